//! `OneLogin`.

use super::credentials::advise_token;
use super::{ConsoleLocations, DAY, IdentityProvider};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "onelogin",
    name: "OneLogin",
    hint: "SCIM Provisioner with SAML",
    source: ConfigurationSource::Other,
    provider: Some("onelogin"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "OneLogin: Configuration, field SCIM Bearer Token; then disable and enable API Status.",
        url: "OneLogin: Configuration, field SCIM Base URL.",
        mapping: "OneLogin: Parameters, and the JSON template under Configuration.",
        assignments: "OneLogin: Users, and Rules for groups.",
    },
    credentials: &[advise_token("OneLogin takes nothing else.")],
    after_first_user: "assign the other users, and approve pending changes.",
    steps: include_str!("../../templates/portal/steps/onelogin.html"),
    steps_checked_on: "2026-11-22",
    notes: &[
        "The body is a template that the admin edits: booleans as text, a single object instead of a list, and old schema names occur.",
    ],
};
