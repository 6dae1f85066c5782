//! Google Workspace.

use super::credentials::advise_token;
use super::steps::{ConsoleField, SetupEffect, SetupStep};
use super::{ConsoleLocations, DAY, IdentityProvider, ResyncHint};
use crate::model::configuration::ConfigurationSource;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "google",
    name: "Google Workspace",
    hint: "Users only, catalog applications only",
    source: ConfigurationSource::Other,
    provider: Some("google"),
    preset: Preset::Idp,
    max_call_interval: DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "Google: Autoprovisioning › Configure, step access token.",
        url: "Google: Autoprovisioning › Configure, step endpoint URL.",
        mapping: "Google: Autoprovisioning › Attribute mapping.",
        assignments: "Google: Autoprovisioning › Scope.",
    },
    credentials: &[advise_token("Google Workspace takes nothing else.")],
    after_first_user: "check that the scope of autoprovisioning includes all users.",
    effort: "About 20 minutes. You need a super administrator.",
    before: &[
        "Google’s automatic provisioning serves only applications of its own catalog, and only users, not groups. If your application is not in the catalog, use another provider for provisioning.",
        "Known alternative: an entry of the catalog with a free URL and token, such as “Keeper Web (SAML)”. Google does not support this use.",
        "Starter editions can provision at most 3 applications.",
    ],
    steps: &[
        SetupStep::new(
            "create-app",
            "Add the application in Google",
            "Open <strong>Apps › Web and mobile apps › Add app › Search for apps</strong> and choose the entry, such as <strong>Keeper Web (SAML)</strong>. The entry asks for SAML values first: if you do not use them, enter any URL of your own.",
            SetupEffect::Reached,
        )
        .with_fields(
            &[
                ConsoleField::text("ACS URL", "required, not used for provisioning"),
                ConsoleField::text("Entity ID", "required, not used for provisioning"),
                ConsoleField::text("User access", "ON for everyone, or for the groups that are synced"),
            ],
            "Select <strong>Finish</strong>.",
        ),
        SetupStep::credentials(
            "Connect it",
            "In the application, open <strong>Autoprovisioning › Configure autoprovisioning</strong> and go through its pages:",
            &[
                ConsoleField::token("Access token"),
                ConsoleField::scim_url("Endpoint URL"),
                ConsoleField::text("Attribute mapping", "as it is"),
            ],
            "Select <strong>Continue</strong>.",
        ),
        SetupStep::new(
            "scope",
            "Choose the users",
            "On the page <strong>Provisioning scope</strong>, choose the group whose users are synced, then the times of deprovisioning, and select <strong>Finish</strong>.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Provisioning scope", "a group with one test user"),
            ],
            "",
        ),
        SetupStep::new(
            "activate",
            "Turn it on",
            "In <strong>Autoprovisioning</strong>, turn on <strong>Active</strong> and confirm. Google syncs within some hours; extend the scope when the test user has arrived.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Autoprovisioning", "Active"),
            ],
            "",
        ),
    ],
    good_to_know: &[
        "Suspended and deleted users are sent; archived users are not.",
    ],
    help_url: Some("https://support.google.com/a/answer/7681608"),
    resync: &[ResyncHint {
        action: "Download list",
        description: "In the Admin console, open <strong>Apps › Web and mobile apps</strong> and the app. While autoprovisioning is active, Google syncs users every few hours by itself. <strong>Download list</strong> names the users that failed, with the reason. Google does not provision a user again that was deleted here.",
        help_url: "https://support.google.com/a/answer/6294828",
        checked_on: "2026-11-30",
    }],
    steps_checked_on: "2026-11-30",
    notes: &["Sends users, never groups."],
};
