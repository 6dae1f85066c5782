//! `PingOne`.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::steps::{ConsoleField, SetupEffect, SetupStep, StepMethod};
use super::{ConsoleLocations, DAY, IdentityProvider, ResyncHint};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "ping",
    name: "PingOne",
    hint: "SCIM Outbound connection",
    source: ConfigurationSource::Other,
    provider: Some("ping"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "PingOne: the connection’s Configuration, field OAuth Access Token; the type is Bearer.",
        url: "PingOne: the connection’s Configuration, field SCIM Base URL; resources /Users and /Groups.",
        mapping: "PingOne: the rule’s Attribute Mapping.",
        assignments: "PingOne: the rule’s User Filter, and its groups.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "PingOne gets short-lived tokens itself, and the secret is replaced without an outage.",
        location: "PingOne: Integrations › Provisioning, authentication method OAuth 2 Client Credentials.",
        fields: ConsoleFields {
            scim_url: "SCIM Base URL",
            token_url: "OAuth Token Request",
            client_id: "OAuth Client ID",
            client_secret: "OAuth Client Secret",
        },
    }],
    after_first_user: "check that the rule includes all users, and add the groups.",
    effort: "About 15 minutes. You need an Environment Admin of PingOne.",
    before: &[],
    steps: &[
        SetupStep::new(
            "create-connection",
            "Create the connection in PingOne",
            "Open <strong>Integrations › Provisioning › + › New Connection › Identity Store</strong>, select <strong>SCIM</strong> (also called <strong>SCIM Outbound</strong>), enter a name, then <strong>Next</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "On the page <strong>Authentication</strong>, fill in:",
            &[
                ConsoleField::scim_url("SCIM Base URL"),
                ConsoleField::text("Users Resource", "/Users"),
                ConsoleField::text("Groups Resource", "/Groups"),
                ConsoleField::text("SCIM Version", "2.0"),
                ConsoleField::text_for(StepMethod::Token, "Authentication Method", "OAuth 2 Bearer Token"),
                ConsoleField::text_for(StepMethod::Client, "Authentication Method", "OAuth 2 Client Credentials"),
                ConsoleField::token("OAuth Access Token"),
                ConsoleField::text("Auth Type Header", "Bearer"),
            ],
            "Select <strong>Test Connection</strong>, then <strong>Continue</strong>.",
        ),
        SetupStep::new(
            "preferences",
            "Set the preferences",
            "Fill in the preferences, select <strong>Finish</strong>, and turn on the connection with its toggle.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("User Filter Expression", "userName Eq \"%s\""),
                ConsoleField::text("Actions", "Allow users to be created, updated and disabled"),
                ConsoleField::text("Remove Action", "Disable"),
            ],
            "",
        ),
        SetupStep::new(
            "rule",
            "Create a rule",
            "Open <strong>Rules › + › New Rule</strong>: source PingOne, target this connection. Set a user filter, map the attributes, and turn on the rule.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("User Filter", "Enabled Equals true, or one test user"),
                ConsoleField::text("Attribute Mapping", "Username, Given Name, Family Name, Email Address"),
            ],
            "",
        )
        .with_mapping(),
        SetupStep::new(
            "groups",
            "Add groups (optional)",
            "In the rule, open <strong>Group Provisioning</strong> and add the groups.",
            SetupEffect::GroupArrived,
        ),
    ],
    good_to_know: &[],
    help_url: Some("https://docs.pingidentity.com/r/en-us/pingone/pingone_create_provisioning_connection"),
    resync: &[ResyncHint {
        action: "Full Resync",
        description: "Open the provisioning rule and select <strong>Full Resync</strong>. PingOne sends all users of the rule again. A change of the authentication or of the user filter does the same by itself.",
        help_url: "https://docs.pingidentity.com/pingone/integrations/p1_resync_configurations.html",
        checked_on: "2026-11-30",
    }],
    steps_checked_on: "2026-11-30",
    notes: &["Updates users with PUT. The filter that matches users is a template that the admin edits."],
};
