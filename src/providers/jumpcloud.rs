//! `JumpCloud`.

use super::credentials::advise_token;
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "jumpcloud",
    name: "JumpCloud",
    hint: "Custom application, Identity Management",
    source: ConfigurationSource::Other,
    provider: Some("jumpcloud"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "JumpCloud: Identity Management, field Token Key.",
        url: "JumpCloud: Identity Management, field Base URL.",
        mapping: "JumpCloud: Identity Management › User attributes.",
        assignments: "JumpCloud: User Groups.",
    },
    credentials: &[advise_token("JumpCloud takes nothing else.")],
    after_first_user: "select the user groups to sync under User Groups.",
    steps: include_str!("../../templates/portal/steps/jumpcloud.html"),
    steps_checked_on: "2026-11-22",
    notes: &["Each activation creates, changes and deletes a test user and a test group."],
};
