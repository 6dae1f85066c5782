//! Location of settings in the admin console of each identity provider.

/// A setting at an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingLocation {
    /// The token field.
    Token,
    /// The field for the provisioning URL.
    Url,
    /// The attribute mapping.
    Mapping,
    /// The assignment of users and groups.
    Assignments,
    /// The behavior of the client itself; there is no setting.
    Client,
}

/// Returns where the setting is at the provider with this key; empty if unknown.
pub(super) fn describe_location(provider: &str, setting: SettingLocation) -> &'static str {
    match setting {
        SettingLocation::Token | SettingLocation::Url => {
            describe_credentials_field(provider, setting == SettingLocation::Token)
        }
        SettingLocation::Mapping => describe_mapping(provider),
        SettingLocation::Assignments => describe_assignments(provider),
        SettingLocation::Client => "",
    }
}

fn describe_credentials_field(provider: &str, is_token: bool) -> &'static str {
    match (provider, is_token) {
        ("okta", true) => "Okta: Provisioning › Integration › Edit, field API Token.",
        ("okta", false) => "Okta: Provisioning › Integration › Edit, field Base URL.",
        ("entra", true) => "Entra ID: Provisioning › Admin Credentials, field Secret Token, without “Bearer”.",
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
        (_, true) => "Send the header “Authorization: Bearer” followed by a space and the token.",
        (_, false) => "Use the provisioning URL as the base, and append /Users or /Groups.",
    }
}

fn describe_mapping(provider: &str) -> &'static str {
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

fn describe_assignments(provider: &str) -> &'static str {
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
