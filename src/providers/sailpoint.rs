//! `SailPoint`.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::steps::{ConsoleField, SetupEffect, SetupStep, StepMethod};
use super::{ConsoleLocations, DAY, IdentityProvider, ResyncHint};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "sailpoint",
    name: "SailPoint",
    hint: "SCIM 2.0 source, Identity Security Cloud",
    source: ConfigurationSource::Other,
    provider: Some("sailpoint"),
    preset: Preset::Idp,
    max_call_interval: 7 * DAY,
    is_connection_test: None,
    locations: ConsoleLocations {
        token: "SailPoint: the source’s Connection Settings, Authentication Type API Token, field API Token.",
        url: "SailPoint: the source’s Connection Settings, field Host URL.",
        mapping: "SailPoint: the source’s Account Schema, and its create profile.",
        assignments: "SailPoint: access profiles and roles with entitlements of the source.",
    },
    credentials: &[CredentialAdvice {
        method: CredentialMethod::Client(ClientAuthentication::Secret),
        reason: "SailPoint does not renew a token that expires; with an OAuth client, it gets new ones itself.",
        location: "SailPoint: Connection Settings, authentication type OAuth 2.0, grant type Client Credentials.",
        fields: ConsoleFields {
            scim_url: "Host URL",
            token_url: "OAuth 2.0 Token URL",
            client_id: "Client ID",
            client_secret: "Client Secret",
        },
    }],
    after_first_user: "aggregate the accounts, then provision the other users.",
    effort: "About 20 minutes. You need a source administrator of Identity Security Cloud.",
    before: &[
        "SailPoint activates provisioning for a site on request. Without it, the source only reads.",
    ],
    steps: &[
        SetupStep::new(
            "create-source",
            "Create the source in SailPoint",
            "Open <strong>Admin › Connections › Sources › Create New</strong>, search for <strong>SCIM 2.0</strong>, and select <strong>Configure</strong>. Enter a name and an owner, choose <strong>Direct Connection</strong>, then <strong>Continue</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "Open <strong>Connection Settings</strong> and fill in:",
            &[
                ConsoleField::scim_url("Host URL"),
                ConsoleField::text_for(StepMethod::Token, "Authentication Type", "API Token"),
                ConsoleField::token("API Token"),
                ConsoleField::text_for(StepMethod::Client, "Authentication Type", "OAuth 2.0"),
                ConsoleField::text_for(StepMethod::Client, "Grant Type", "Client Credentials"),
            ],
            "Select <strong>Save</strong>, then <strong>Test Connection</strong>.",
        ),
        SetupStep::new(
            "schema",
            "Discover the schema",
            "Open <strong>Import Data › Account Schema › Discover</strong>, set the two attributes, then start the first aggregation.",
            SetupEffect::Tested,
        )
        .with_fields(
            &[
                ConsoleField::text("Account ID", "id"),
                ConsoleField::text("Account Name", "userName"),
            ],
            "",
        ),
        SetupStep::new(
            "profile",
            "Provision one user",
            "Map <code>userName</code>, <code>name</code> and <code>emails</code> in the create profile. Then grant one identity an access profile or a role with an entitlement of the source.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Create profile", "userName, name, emails"),
            ],
            "",
        )
        .with_mapping(),
    ],
    good_to_know: &[
        "The test reads the discovery documents; it looks for no user.",
        "A token must not expire: SailPoint does not renew it. With an OAuth client, it gets new ones by itself.",
    ],
    help_url: Some("https://documentation.sailpoint.com/connectors/scim_2_0/help/integrating_scim2/supported_features.html"),
    resync: &[ResyncHint {
        action: "Synchronize Attributes",
        description: "Open <strong>Identities › Identity List</strong> and, in the menu of an identity, select <strong>Synchronize Attributes</strong>. SailPoint compares all accounts of the identity, and sends the attributes that differ. It creates no accounts.",
        help_url: "https://developer.sailpoint.com/docs/api/beta/identities",
        checked_on: "2026-11-30",
    }],
    steps_checked_on: "2026-11-30",
    notes: &[
        "Replaces a complex attribute such as `name` without a path; the sub-attributes are merged.",
        "Can use PUT instead of PATCH.",
        "Reads the discovery documents, all users and all groups, or those changed since the last run.",
    ],
};
