//! Rippling.

use super::credentials::advise_token;
use super::steps::{ConsoleField, SetupEffect, SetupStep};
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
    effort: "About 15 minutes. You need a Rippling administrator.",
    before: &[
        "Rippling asks for a logo of the application: have an image ready.",
    ],
    steps: &[
        SetupStep::new(
            "create-app",
            "Create the integration in Rippling",
            "Open <strong>IT › Third-Party Access</strong> (older: <strong>Identity Management › Custom App</strong>) <strong>› Add Integration › Create New Custom Integration</strong>. Enter name, category and logo, tick <strong>User Management via SCIM</strong>, then <strong>Continue</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "Fill in:",
            &[
                ConsoleField::text("SCIM Version", "2.0"),
                ConsoleField::scim_url("SCIM Base URL"),
                ConsoleField::text("SCIM Authorization Method", "Bearer Token"),
                ConsoleField::text("Supports Groups, Supports Pagination", "On"),
                ConsoleField::text("Create & Delete Groups, Use PATCH to edit Groups", "On"),
                ConsoleField::text("Supported SCIM Attributes", "externalId, emails.primary, name.givenName, name.familyName; optional: employeeNumber"),
                ConsoleField::token("Bearer Token (asked after Install now)"),
            ],
            "Select <strong>Continue</strong>, then <strong>Install now</strong>, and enter the token.",
        ),
        SetupStep::new(
            "rules",
            "Choose rules and mappings",
            "Choose <strong>App Access Rules</strong> and <strong>Provision Time</strong>. Set the attribute mappings to be sent on creation and updates.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Attribute Mappings", "On user creation and updates"),
            ],
            "",
        )
        .with_mapping(),
        SetupStep::new(
            "assign",
            "Assign one test user",
            "Assign one user to the application, and the others when it has arrived. Groups follow with their members.",
            SetupEffect::UserArrived,
        ),
    ],
    good_to_know: &[],
    help_url: Some("https://help.rippling.com/"),
    resync: &[],
    steps_checked_on: "2026-11-30",
    notes: &["Tests the connection by reading `/ServiceProviderConfig`."],
};
