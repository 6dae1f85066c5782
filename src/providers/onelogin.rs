//! `OneLogin`.

use super::credentials::advise_token;
use super::steps::{ConsoleField, SetupEffect, SetupStep};
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
        token: "OneLogin: Configuration, field SCIM Bearer Token; then disable and enable API Connection.",
        url: "OneLogin: Configuration, field SCIM Base URL.",
        mapping: "OneLogin: Parameters, and the JSON template under Configuration.",
        assignments: "OneLogin: Users, and Rules for groups.",
    },
    credentials: &[advise_token("OneLogin takes nothing else.")],
    after_first_user: "assign the other users, and approve pending changes.",
    effort: "About 15 minutes. You need a OneLogin administrator.",
    before: &[],
    steps: &[
        SetupStep::new(
            "create-app",
            "Create the app in OneLogin",
            "Open <strong>Applications › Applications › Add App</strong>, search for <strong>SCIM Provisioner with SAML (SCIM v2 Enterprise)</strong> or <strong>(SCIM v2 Core)</strong>, enter a name, and select <strong>Save</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "Open <strong>Configuration</strong> and fill in:",
            &[
                ConsoleField::scim_url("SCIM Base URL"),
                ConsoleField::token("SCIM Bearer Token"),
                ConsoleField::text("SCIM JSON Template", "as it is"),
            ],
            "Select <strong>Save</strong>, then <strong>API Connection › Enable</strong> (also called <strong>API Status</strong>).",
        ),
        SetupStep::new(
            "parameters",
            "Set the user name",
            "Open <strong>Parameters › SCIM Username</strong>, choose the value, and select <strong>Save</strong>. The default, Username, is often empty: the user is then rejected because <code>userName</code> is missing.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("SCIM Username (scimusername)", "Email"),
            ],
            "",
        )
        .with_mapping(),
        SetupStep::new(
            "provisioning",
            "Turn on provisioning",
            "Open <strong>Provisioning</strong> and select <strong>Save</strong> when the form is filled in.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Enable provisioning", "On"),
                ConsoleField::text("Require admin approval: Create user, Delete user, Update user", "Off"),
                ConsoleField::text("When users are deleted in OneLogin", "Suspend"),
            ],
            "",
        ),
        SetupStep::new(
            "assign",
            "Assign one test user",
            "Open <strong>Users</strong> of the app, or assign a role under <strong>Access</strong>. If the user stays pending, select <strong>Pending › Approve</strong>.",
            SetupEffect::UserArrived,
        ),
        SetupStep::new(
            "groups",
            "Send groups (optional)",
            "Open <strong>Parameters › Groups</strong> and tick <strong>Include in User Provisioning</strong>. Then map roles to groups under <strong>Rules</strong>.",
            SetupEffect::GroupArrived,
        ),
    ],
    good_to_know: &[
        "After a change of the token, disable and enable <strong>API Connection</strong> if requests still fail.",
    ],
    help_url: Some("https://onelogin.service-now.com/kb_view.do?sysparm_article=KB0013904"),
    resync: &[],
    steps_checked_on: "2026-11-30",
    notes: &[
        "The body is a template that the admin edits: booleans as text, a single object instead of a list, and old schema names occur.",
    ],
};
