//! The core User schema (RFC 7643 sections 4.1 and 8.7.1, errata applied).

use std::sync::LazyLock;

use super::{Attribute, Schema, Uniqueness};
use crate::scim::format::ValueFormat;
use crate::scim::urn;

/// `urn:ietf:params:scim:schemas:core:2.0:User`.
pub static USER: LazyLock<Schema> = LazyLock::new(|| Schema {
    id: urn::USER.into(),
    name: "User".into(),
    description: "User Account".into(),
    attributes: build_attributes(),
});

fn build_attributes() -> Vec<Attribute> {
    let mut all = build_single_valued();
    all.extend(build_contact_details());
    all.extend(build_entitlements());
    all
}

fn build_single_valued() -> Vec<Attribute> {
    vec![
        Attribute::string("userName", "Unique name with which the user signs in.")
            .required()
            .unique(Uniqueness::Server)
            .indexed(),
        Attribute::complex(
            "name",
            "The components of the user's name.",
            vec![
                Attribute::string("formatted", "Full name for display."),
                Attribute::string("familyName", "Family name."),
                Attribute::string("givenName", "Given name."),
                Attribute::string("middleName", "Middle names."),
                Attribute::string("honorificPrefix", "Prefix such as \"Ms.\"."),
                Attribute::string("honorificSuffix", "Suffix such as \"III\"."),
            ],
        ),
        Attribute::string("displayName", "Name for display to others.").indexed(),
        Attribute::string("nickName", "Casual name."),
        Attribute::reference("profileUrl", "URL of the user's profile page.", &["external"]),
        Attribute::string("title", "Job title."),
        Attribute::string("userType", "Relation to the organization, such as \"Employee\"."),
        Attribute::string("preferredLanguage", "Preferred languages, as in Accept-Language."),
        Attribute::string("locale", "Language tag for currency, dates and numbers."),
        Attribute::string("timezone", "IANA time zone name."),
        Attribute::boolean("active", "Whether the account may be used.").indexed(),
        // RFC 7643 section 4.1.1. /Schemas lists it only for configurations that store passwords.
        Attribute::string("password", "Clear-text password, write only.").write_only().unlisted(),
    ]
}

fn build_contact_details() -> Vec<Attribute> {
    vec![
        build_multi_valued(
            "emails",
            "E-mail addresses.",
            Attribute::string("value", "The address.").indexed(),
            &["work", "home", "other"],
        ),
        build_multi_valued(
            "phoneNumbers",
            "Phone numbers.",
            Attribute::string("value", "The number."),
            &["work", "home", "mobile", "fax", "pager", "other"],
        ),
        build_multi_valued(
            "ims",
            "Instant messaging addresses.",
            Attribute::string("value", "The address."),
            &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"],
        ),
        build_multi_valued(
            "photos",
            "URLs of photos.",
            Attribute::reference("value", "URL of an image file.", &["external"]),
            &["photo", "thumbnail"],
        ),
        Attribute::complex(
            "addresses",
            "Postal addresses.",
            vec![
                Attribute::string("formatted", "Full address for display."),
                Attribute::string("streetAddress", "Street and number."),
                Attribute::string("locality", "City."),
                Attribute::string("region", "State or region."),
                Attribute::string("postalCode", "Postal code."),
                Attribute::string("country", "Country, as ISO 3166-1 alpha-2.").format(ValueFormat::Country),
                build_type(&["work", "home", "other"]),
                // RFC 7644 section 3.5.2.3 uses it, but RFC 7643 does not list it.
                build_primary(),
            ],
        )
        .multi_valued(),
    ]
}

fn build_entitlements() -> Vec<Attribute> {
    vec![
        Attribute::complex(
            "groups",
            "Groups the user belongs to; changed through the group.",
            vec![
                Attribute::string("value", "The group's id.").read_only().case_exact().indexed(),
                Attribute::reference("$ref", "URL of the group.", &["Group"]).read_only(),
                Attribute::string("display", "The group's name.").read_only(),
                Attribute::string("type", "\"direct\" or \"indirect\".").read_only().canonical(&["direct", "indirect"]),
            ],
        )
        .multi_valued()
        .read_only()
        .repeats("Group"),
        build_multi_valued(
            "entitlements",
            "Things the user is entitled to.",
            Attribute::string("value", "The entitlement."),
            &[],
        ),
        build_multi_valued("roles", "Roles of the user.", Attribute::string("value", "The role."), &[]),
        build_multi_valued(
            "x509Certificates",
            "X.509 certificates.",
            Attribute::binary("value", "DER certificate in base64.").format(ValueFormat::Certificate),
            &[],
        ),
    ]
}

/// The usual multi-valued attribute (RFC 7643 section 2.4): value, display, type, primary.
fn build_multi_valued(
    name: &'static str,
    description: &'static str,
    value: Attribute,
    types: &[&'static str],
) -> Attribute {
    let display = Attribute::string("display", "Name for display.");
    Attribute::complex(name, description, vec![value, display, build_type(types), build_primary()]).multi_valued()
}

fn build_type(canonical_values: &[&'static str]) -> Attribute {
    Attribute::string("type", "What the value is used for.").canonical(canonical_values)
}

fn build_primary() -> Attribute {
    Attribute::boolean("primary", "Whether this is the preferred value; at most one is.").default_if_absent(false)
}
