//! Okta.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::steps::{ConsoleField, SetupEffect, SetupStep, StepMethod};
use super::{ConsoleLocations, DAY, IdentityProvider, ResyncHint};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "okta",
    name: "Okta",
    hint: "SCIM 2.0 app from the catalog, or your own",
    source: ConfigurationSource::Okta,
    provider: None,
    preset: Preset::Okta,
    max_call_interval: 7 * DAY,
    // The button "Test API Credentials" reads one or two users from the start of the list.
    is_connection_test: Some(|search| {
        search.filter_value.is_none() && search.start_index == Some("1") && matches!(search.count, Some("1" | "2"))
    }),
    locations: ConsoleLocations {
        token: "Okta: Provisioning › Integration › Edit, field OAuth Bearer Token (Header Auth app: API Token).",
        url: "Okta: Provisioning › Integration › Edit, field SCIM 2.0 Base Url (your own app: SCIM connector base URL).",
        mapping: "Okta: Provisioning › To App › Attribute Mappings.",
        assignments: "Okta: Assignments, and Push Groups.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "The integration wizard in Okta takes an OAuth client: Okta gets short-lived tokens itself, and the secret is replaced without an outage.",
        location: "Okta: Provisioning › Integration › Edit, authentication mode OAuth 2.",
        fields: ConsoleFields {
            scim_url: "SCIM connector base URL",
            token_url: "Access token endpoint URI",
            client_id: "Client ID",
            client_secret: "Client Secret",
        },
    }],
    after_first_user: "assign the other users under Assignments, then push groups under Push Groups.",
    effort: "About 10 minutes. You need an Okta app administrator.",
    before: &[
        "Okta sends <code>userName</code> in the <strong>Application username format</strong> of the app. This is usually the e-mail address.",
        "Provisioning needs the Okta feature Lifecycle Management.",
    ],
    steps: &[
        SetupStep::new(
            "create-app",
            "Create the app in Okta",
            "Open <strong>Applications › Applications › Browse App Catalog</strong>, search for <strong>SCIM 2.0 Test App (OAuth Bearer Token)</strong> and select <strong>Add Integration</strong>. Enter a name, then <strong>Next</strong> and <strong>Done</strong>.",
            SetupEffect::Reached,
        )
        .with_fields(
            &[
                ConsoleField::text("Application username format (tab Sign On)", "Email"),
            ],
            "",
        )
        .only(StepMethod::Token),
        SetupStep::new(
            "create-app",
            "Create the app in Okta",
            "Open <strong>Applications › Applications › Create App Integration</strong> and create an app of your own: SAML 2.0, or OIDC with the newer integration wizard. Then open <strong>General › App Settings › Edit</strong> and turn on SCIM.",
            SetupEffect::Reached,
        )
        .with_fields(
            &[
                ConsoleField::text("Provisioning", "SCIM"),
                ConsoleField::text("Application username format (tab Sign On)", "Email"),
            ],
            "Select <strong>Save</strong>.",
        )
        .only(StepMethod::Client),
        SetupStep::credentials(
            "Connect it",
            "In the app, open <strong>Provisioning › Configure API Integration</strong> (your own app: <strong>Provisioning › Integration › Edit</strong>), tick <strong>Enable API integration</strong> and fill in:",
            &[
                ConsoleField::scim_url("SCIM 2.0 Base Url"),
                ConsoleField::token("OAuth Bearer Token"),
                ConsoleField::text_for(StepMethod::Token, "Import Groups", "Off"),
                ConsoleField::text_for(StepMethod::Client, "Unique identifier field for users", "userName"),
                ConsoleField::text_for(StepMethod::Client, "Supported provisioning actions", "Push New Users, Push Profile Updates, Push Groups"),
                ConsoleField::text_for(StepMethod::Client, "Authentication Mode", "OAuth 2"),
            ],
            "Select <strong>Test API Credentials</strong>, then <strong>Save</strong>.",
        ),
        SetupStep::new(
            "to-app",
            "Choose what Okta sends",
            "Open <strong>Provisioning › To App › Edit</strong>.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Create Users", "On"),
                ConsoleField::text("Update User Attributes", "On"),
                ConsoleField::text("Deactivate Users", "On"),
                ConsoleField::text("Sync Password", "Off"),
            ],
            "Select <strong>Save</strong>.",
        )
        .with_mapping(),
        SetupStep::new(
            "assign",
            "Assign one test user",
            "Open <strong>Assignments › Assign › Assign to People</strong>, choose one user, then <strong>Save and Go Back</strong> and <strong>Done</strong>. When the user has arrived, assign the others or a group.",
            SetupEffect::UserArrived,
        ),
        SetupStep::new(
            "push-groups",
            "Push groups (optional)",
            "Open <strong>Push Groups › Find groups by name</strong>, choose <strong>Create Group</strong> or <strong>Link Group</strong>, and select <strong>Save</strong>. Use a different group than the one you assign: with the same group for both, Okta can push the group before its members exist.",
            SetupEffect::GroupArrived,
        ),
    ],
    good_to_know: &[
        "Okta’s test reads the first users. The live check then says that the test passed.",
        "Pushing a group does not assign its members. Do both, with different groups.",
        "When a user is unassigned, Okta deactivates the user. It never deletes users.",
        "Okta intends the apps named SCIM 2.0 Test App for development and tests. An app of your own (<strong>Create App Integration</strong>) does the same, and takes an OAuth client.",
        "The app <strong>SCIM 2.0 Test App (Header Auth)</strong> works too. Its fields are called Base URL and API Token, and the token is entered as <code>Bearer</code>, a space, and the token.",
    ],
    help_url: Some("https://help.okta.com/en-us/content/topics/apps/oiw/provisioning-settings.htm"),
    resync: &[
        ResyncHint {
            action: "Force Sync",
            description: "In the app, open <strong>Provisioning › To App</strong> and select <strong>Force Sync</strong>. Okta applies the attribute mappings to all assigned users again, and sends those whose values differ from the last push that succeeded.",
            help_url: "https://support.okta.com/help/s/article/How-To-Use-The-Force-Sync-Option",
            checked_on: "2026-11-30",
        },
        ResyncHint {
            action: "Push Now",
            description: "In the app, open <strong>Push Groups</strong>, open the menu in the column <strong>Push Status</strong> of a group and select <strong>Push Now</strong>. Okta sends all members of the group again.",
            help_url: "https://help.okta.com/wf/en-us/Content/Topics/Workflows/access-control/access-control-sync-group.htm",
            checked_on: "2026-11-30",
        },
    ],
    steps_checked_on: "2026-11-30",
    notes: &[
        "Never repeats a request that was answered with 400, so unknown group members are skipped and noted.",
        "Deactivates users and never deletes them.",
    ],
};
