//! Any other SCIM 2.0 client.

use super::credentials::advise_token;
use super::steps::{ConsoleField, SetupEffect, SetupStep};
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
    effort: "For any client that speaks SCIM 2.0.",
    before: &["Supported: PATCH, filters, sorting, ETag, Bulk, and paging by index and by cursor."],
    steps: &[
        SetupStep::credentials(
            "Connect your client",
            "Enter these values in your client:",
            &[
                ConsoleField::scim_url("Base URL"),
                ConsoleField::token("Token"),
                ConsoleField::text("Header", "Authorization: Bearer, a space, and the token"),
                ConsoleField::text("Content type", "application/scim+json"),
                ConsoleField::text("Resources", "/Users, /Groups"),
            ],
            "",
        ),
        SetupStep::new(
            "list",
            "Read the users",
            "Send <code>GET /Users?count=10</code>, or use the test button of your client.",
            SetupEffect::Tested,
        ),
        SetupStep::new(
            "create",
            "Create one user",
            "Send <code>POST /Users</code> with <code>schemas</code> and <code>userName</code>, or assign one user in your client.",
            SetupEffect::UserArrived,
        )
        .with_mapping(),
        SetupStep::new(
            "groups",
            "Send groups (optional)",
            "Send <code>POST /Groups</code> with <code>displayName</code> and <code>members</code>.",
            SetupEffect::GroupArrived,
        ),
    ],
    good_to_know: &[],
    help_url: None,
    resync: &[],
    steps_checked_on: "2026-11-30",
    notes: &[],
};
