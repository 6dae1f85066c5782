//! The core Group schema (RFC 7643 sections 4.2 and 8.7.1, errata applied).

use std::sync::LazyLock;

use super::{Attribute, Schema};
use crate::scim::urn;

/// `urn:ietf:params:scim:schemas:core:2.0:Group`.
pub static GROUP: LazyLock<Schema> = LazyLock::new(|| Schema {
    id: urn::GROUP.into(),
    name: "Group".into(),
    description: "Group".into(),
    attributes: vec![
        // Erratum 5368: required.
        Attribute::string("displayName", "Name of the group.").required().indexed(),
        Attribute::complex(
            "members",
            "Members of the group.",
            vec![
                Attribute::string("value", "Id of the member.").immutable().case_exact().indexed(),
                Attribute::reference("$ref", "URL of the member.", &["User", "Group"]).immutable(),
                Attribute::string("type", "Resource type of the member.").immutable().canonical(&["User", "Group"]),
                // Erratum 6011: absent from the RFC's table, but in general use.
                Attribute::string("display", "The member's name.").read_only().repeats("User"),
            ],
        )
        .multi_valued(),
    ],
});
