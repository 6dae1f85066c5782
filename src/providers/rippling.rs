//! Rippling.

use super::credentials::advise_token;
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "rippling",
    name: "Rippling",
    hint: "Custom integration",
    source: ConfigurationSource::Other,
    provider: Some("rippling"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "Rippling: the custom integration’s settings, field bearer token.",
        url: "Rippling: the custom integration’s settings, field base URL.",
        mapping: "Rippling: the integration’s mappings on creation and updates.",
        assignments: "Rippling: Access rules.",
    },
    credentials: &[advise_token("Rippling takes nothing else.")],
    after_first_user: "extend the access rules to all users.",
    steps: include_str!("../../templates/portal/steps/rippling.html"),
    steps_checked_on: "2026-11-22",
    notes: &["Tests the connection by reading `/ServiceProviderConfig`."],
};
