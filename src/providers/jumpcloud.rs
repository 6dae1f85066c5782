//! `JumpCloud`.

use super::credentials::advise_token;
use super::steps::{ConsoleField, SetupEffect, SetupStep};
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
    effort: "About 10 minutes. You need a JumpCloud administrator.",
    before: &["Create a test user in JumpCloud that is not synced yet: the connection test uses it."],
    steps: &[
        SetupStep::new(
            "create-app",
            "Create the application in JumpCloud",
            "Open <strong>SSO Applications › Add New Application › Custom Application</strong>, select <strong>Next</strong>, choose <strong>Export users to this app (Identity Management)</strong>, select <strong>Next</strong>, enter a name, then <strong>Save Application</strong> and <strong>Configure Application</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "Open <strong>Identity Management</strong> and fill in:",
            &[
                ConsoleField::text("SCIM Version", "SCIM 2.0"),
                ConsoleField::scim_url("Base URL"),
                ConsoleField::token("Token Key"),
                ConsoleField::text("Test User Email", "the address of a JumpCloud user that is not synced yet"),
                ConsoleField::text("Enable management of User Groups and Group Membership in this application", "On"),
            ],
            "Select <strong>Test Connection</strong>, <strong>Activate</strong>, then <strong>Save</strong>.",
        ),
        SetupStep::new(
            "groups",
            "Assign user groups",
            "Open <strong>User Groups</strong>, tick the groups whose users are synced, and select <strong>Save</strong>.",
            SetupEffect::UserArrived,
        ),
    ],
    good_to_know: &["The test can create, change and delete the test user. This is not an error."],
    help_url: Some("https://jumpcloud.com/support"),
    resync: &[],
    steps_checked_on: "2026-11-30",
    notes: &["Each activation creates, changes and deletes a test user and a test group."],
};
