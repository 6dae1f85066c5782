//! `PingOne`.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "ping",
    name: "PingOne",
    hint: "SCIM Outbound connection",
    source: ConfigurationSource::Other,
    provider: Some("ping"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "PingOne: the connection’s Configuration, field OAuth access token; the type is Bearer.",
        url: "PingOne: the connection’s Configuration, field SCIM base URL; resources /Users and /Groups.",
        mapping: "PingOne: the rule’s Attribute Mapping.",
        assignments: "PingOne: the rule’s User Filter, and its groups.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "PingOne gets short-lived tokens itself, and the secret is replaced without an outage.",
        location: "PingOne: Integrations › Provisioning, authentication method OAuth 2 Client Credentials.",
        fields: ConsoleFields {
            scim_url: "SCIM base URL",
            token_url: "OAuth Token Request",
            client_id: "OAuth Client ID",
            client_secret: "OAuth Client Secret",
        },
    }],
    after_first_user: "check that the rule includes all users, and add the groups.",
    steps: include_str!("../../templates/portal/steps/ping.html"),
    steps_checked_on: "2026-11-22",
    notes: &["Updates users with PUT. The filter that matches users is a template that the admin edits."],
};
