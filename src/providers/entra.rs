//! Microsoft Entra ID.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::{ConsoleLocations, IdentityProvider, MINUTE};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "entra",
    name: "Microsoft Entra ID",
    hint: "Enterprise application, every 40 minutes",
    source: ConfigurationSource::AzureAd,
    provider: None,
    preset: Preset::Entra,
    max_call_interval: 40 * MINUTE,
    // The button "Test Connection" searches for a user whose name is a random UUID.
    is_connection_test: Some(|search| search.filter_value.is_some_and(is_uuid)),
    locations: ConsoleLocations {
        token: "Entra ID: Provisioning › Admin Credentials, field Secret Token, without “Bearer”.",
        url: "Entra ID: Provisioning › Admin Credentials, field Tenant URL.",
        mapping: "Entra ID: Provisioning › Attribute mapping.",
        assignments: "Entra ID: Users and groups.",
    },
    credentials: &[
        CredentialAdvice {
            method: CredentialMethod::Client(ClientAuthentication::Federated),
            reason: "Nothing is secret, so nothing can leak or expire, and the gallery of Microsoft takes no long-lived tokens any more.",
            location: "Entra ID: Provisioning › Connectivity, authentication method Workload identity federation.",
            fields: ConsoleFields::GENERAL,
        },
        CredentialAdvice {
            method: CredentialMethod::Client(ClientAuthentication::Secret),
            reason: "For a tenant without workload identity federation: Entra ID gets short-lived tokens with a secret that you replace before it ends.",
            location: "Entra ID: Provisioning › Connectivity, authentication method OAuth2 Client Credentials Grant.",
            fields: ConsoleFields {
                scim_url: "Tenant URL",
                token_url: "Token Endpoint",
                client_id: "Client Identifier",
                client_secret: "Client Secret",
            },
        },
    ],
    after_first_user: "set the notification e-mail under Properties, then start provisioning.",
    steps: include_str!("../../templates/portal/steps/entra.html"),
    steps_checked_on: "2026-11-22",
    notes: &[
        "Replaces values such as `emails[type eq \"work\"].value` before they exist; they are created.",
        "Sends booleans as text in PATCH.",
    ],
};

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
