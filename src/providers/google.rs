//! Google Workspace.

use super::credentials::advise_token;
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "google",
    name: "Google Workspace",
    hint: "Users only, catalog applications only",
    source: ConfigurationSource::Other,
    provider: Some("google"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "Google: Autoprovisioning › Configure, step access token.",
        url: "Google: Autoprovisioning › Configure, step endpoint URL.",
        mapping: "Google: Autoprovisioning › Attribute mapping.",
        assignments: "Google: Autoprovisioning › Scope.",
    },
    credentials: &[advise_token("Google Workspace takes nothing else.")],
    after_first_user: "check that the scope of autoprovisioning includes all users.",
    steps: include_str!("../../templates/portal/steps/google.html"),
    steps_checked_on: "2026-11-22",
    notes: &["Sends users, never groups."],
};
