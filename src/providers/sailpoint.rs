//! `SailPoint`.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "sailpoint",
    name: "SailPoint",
    hint: "SCIM 2.0 source, Identity Security Cloud",
    source: ConfigurationSource::Other,
    provider: Some("sailpoint"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "SailPoint: the source’s Connection Settings, Authentication Type API Token, field API Token.",
        url: "SailPoint: the source’s Connection Settings, field Host URL.",
        mapping: "SailPoint: the source’s Account Schema, and its create profile.",
        assignments: "SailPoint: access profiles and roles with entitlements of the source.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "SailPoint does not renew a token that expires; with an OAuth client, it gets new ones itself.",
        location: "SailPoint: Connection Settings, authentication type OAuth 2.0, grant type Client Credentials.",
        fields: ConsoleFields {
            scim_url: "Host URL",
            token_url: "OAuth 2.0 Token URL",
            client_id: "Client ID",
            client_secret: "Client Secret",
        },
    }],
    after_first_user: "aggregate the accounts, then provision the other users.",
    steps: include_str!("../../templates/portal/steps/sailpoint.html"),
    steps_checked_on: "2026-11-28",
    notes: &[
        "Replaces a complex attribute such as `name` without a path; the sub-attributes are merged.",
        "Can use PUT instead of PATCH.",
        "Reads the discovery documents, all users and all groups, or those changed since the last run.",
    ],
};
