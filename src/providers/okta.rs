//! Okta.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "okta",
    name: "Okta",
    hint: "SCIM 2.0 app from the catalog, or your own",
    source: ConfigurationSource::Okta,
    provider: None,
    preset: Preset::Okta,
    max_call_interval: 7 * DAY,
    // The button "Test API Credentials" reads one or two users from the start of the list.
    is_connection_test: Some(|search| {
        search.filter_value.is_none() && search.start_index == Some("1") && matches!(search.count, Some("1" | "2"))
    }),
    locations: ConsoleLocations {
        token: "Okta: Provisioning › Integration › Edit, field API Token.",
        url: "Okta: Provisioning › Integration › Edit, field Base URL.",
        mapping: "Okta: Provisioning › To App › Attribute Mappings.",
        assignments: "Okta: Assignments, and Push Groups.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "The wizard of Okta takes an OAuth client: Okta gets short-lived tokens itself, and the secret is replaced without an outage.",
        location: "Okta: Provisioning › Integration › Edit, authentication mode OAuth 2.",
        fields: ConsoleFields {
            scim_url: "SCIM connector base URL",
            token_url: "Access token endpoint URI",
            client_id: "Client ID",
            client_secret: "Client Secret",
        },
    }],
    after_first_user: "assign the other users under Assignments, then push groups under Push Groups.",
    steps: include_str!("../../templates/portal/steps/okta.html"),
    steps_checked_on: "2026-11-22",
    notes: &[
        "Never repeats a request that was answered with 400, so unknown group members are skipped and noted.",
        "Deactivates users and never deletes them.",
    ],
};
