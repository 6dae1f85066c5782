//! Attributes of every resource (RFC 7643 section 3.1). Schema documents do not list them.

use std::sync::LazyLock;

use super::{Attribute, Uniqueness};

/// `schemas`, `id`, `externalId` and `meta`, in the order of the response.
pub static COMMON: LazyLock<Vec<Attribute>> = LazyLock::new(|| {
    vec![
        Attribute::string("schemas", "URIs of the schemas that apply to the resource.")
            .multi_valued()
            .required()
            .case_exact()
            .always_returned(),
        Attribute::string("id", "Identifier issued by the service provider.")
            .read_only()
            .always_returned()
            .unique(Uniqueness::Global)
            .case_exact()
            .indexed(),
        Attribute::string("externalId", "Identifier issued by the provisioning client.").case_exact().indexed(),
        Attribute::complex(
            "meta",
            "Metadata managed by the service provider.",
            vec![
                Attribute::string("resourceType", "Name of the resource type.").read_only().case_exact(),
                Attribute::date_time("created", "When the resource was created.").read_only(),
                Attribute::date_time("lastModified", "When the resource last changed.").read_only().indexed(),
                Attribute::reference("location", "URL of the resource.", &["uri"]).read_only(),
                Attribute::string("version", "Entity tag of the resource.").read_only().case_exact(),
            ],
        )
        .read_only(),
    ]
});
