//! Where at each identity provider a thing is set.

/// A thing that is set at an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The field of the token.
    Token,
    /// The field of the provisioning URL.
    Address,
    /// What is sent for which attribute.
    Mapping,
    /// Who is sent.
    Assignments,
    /// In the client itself, nothing that can be set.
    Client,
}

/// Where that is at the provider with this word; empty where nothing can be said.
pub(super) fn at(provider: &str, place: Place) -> &'static str {
    match place {
        Place::Token | Place::Address => credentials(provider, place == Place::Token),
        Place::Mapping => mapping(provider),
        Place::Assignments => assignments(provider),
        Place::Client => "",
    }
}

fn credentials(provider: &str, is_token: bool) -> &'static str {
    match (provider, is_token) {
        ("okta", true) => "Okta: Provisioning › Integration › Edit, field API Token.",
        ("okta", false) => "Okta: Provisioning › Integration › Edit, field Base URL.",
        ("entra", true) => "Entra ID: Provisioning › Admin Credentials, field Secret Token, without the word Bearer.",
        ("entra", false) => "Entra ID: Provisioning › Admin Credentials, field Tenant URL.",
        ("onelogin", true) => "OneLogin: Configuration, field SCIM Bearer Token; then disable and enable API Status.",
        ("onelogin", false) => "OneLogin: Configuration, field SCIM Base URL.",
        ("jumpcloud", true) => "JumpCloud: Identity Management, field Token Key.",
        ("jumpcloud", false) => "JumpCloud: Identity Management, field Base URL.",
        ("google", true) => "Google: Autoprovisioning › Configure, step access token.",
        ("google", false) => "Google: Autoprovisioning › Configure, step endpoint URL.",
        ("ping", true) => "PingOne: the connection’s Configuration, field OAuth access token; the type is Bearer.",
        ("ping", false) => {
            "PingOne: the connection’s Configuration, field SCIM base URL; resources /Users and /Groups."
        }
        ("rippling", true) => "Rippling: the custom integration’s settings, field bearer token.",
        ("rippling", false) => "Rippling: the custom integration’s settings, field base URL.",
        (_, true) => "Send the header “Authorization: Bearer” and the token after one blank.",
        (_, false) => "Take the provisioning URL as the base, and append /Users or /Groups to it.",
    }
}

fn mapping(provider: &str) -> &'static str {
    match provider {
        "okta" => "Okta: Provisioning › To App › Attribute Mappings.",
        "entra" => "Entra ID: Provisioning › Attribute mapping.",
        "onelogin" => "OneLogin: Parameters, and the JSON template under Configuration.",
        "jumpcloud" => "JumpCloud: Identity Management › User attributes.",
        "google" => "Google: Autoprovisioning › Attribute mapping.",
        "ping" => "PingOne: the rule’s Attribute Mapping.",
        "rippling" => "Rippling: the integration’s mappings on creation and updates.",
        _ => "",
    }
}

fn assignments(provider: &str) -> &'static str {
    match provider {
        "okta" => "Okta: Assignments, and Push Groups.",
        "entra" => "Entra ID: Users and groups.",
        "onelogin" => "OneLogin: Users, and Rules for groups.",
        "jumpcloud" => "JumpCloud: User Groups.",
        "google" => "Google: Autoprovisioning › Scope.",
        "ping" => "PingOne: the rule’s User Filter, and its groups.",
        "rippling" => "Rippling: Access rules.",
        _ => "",
    }
}
