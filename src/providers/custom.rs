//! Any other SCIM 2.0 client.

use super::credentials::advise_token;
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: super::CUSTOM_KEY,
    name: "Custom SCIM 2.0",
    hint: "Any client that speaks SCIM 2.0",
    source: ConfigurationSource::Other,
    provider: None,
    preset: Preset::Standard,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "Send the header “Authorization: Bearer” followed by a space and the token.",
        url: "Use the provisioning URL as the base, and append /Users or /Groups.",
        mapping: "",
        assignments: "",
    },
    credentials: &[advise_token("Every SCIM client takes a token. If yours supports OAuth, an OAuth client is safer.")],
    after_first_user: "sync the other users, and groups if your application needs them.",
    steps: include_str!("../../templates/portal/steps/custom.html"),
    steps_checked_on: "2026-11-22",
    notes: &[],
};
