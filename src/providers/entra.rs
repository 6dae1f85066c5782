//! Microsoft Entra ID.

use super::credentials::{ConsoleFields, CredentialAdvice, CredentialMethod};
use super::steps::{ConsoleField, SetupEffect, SetupStep, StepMethod};
use super::{ConsoleLocations, IdentityProvider, MINUTE, ResyncHint};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::ClientAuthentication;
use crate::model::switches::Preset;

pub(super) const PROVIDER: IdentityProvider = IdentityProvider {
    key: "entra",
    name: "Microsoft Entra ID",
    hint: "Enterprise application, every 40 minutes",
    source: ConfigurationSource::AzureAd,
    provider: None,
    preset: Preset::Entra,
    max_call_interval: 40 * MINUTE,
    // The button "Test Connection" searches for a user whose name is a random UUID.
    is_connection_test: Some(|search| search.filter_value.is_some_and(is_uuid)),
    locations: ConsoleLocations {
        token: "Entra ID: Provisioning › Connectivity, field Secret Token, without “Bearer”.",
        url: "Entra ID: Provisioning › Connectivity, field Tenant URL.",
        mapping: "Entra ID: Provisioning › Attribute mapping.",
        assignments: "Entra ID: Users and groups.",
    },
    credentials: &[
        CredentialAdvice {
            method: CredentialMethod::Client(ClientAuthentication::Federated),
            reason: "Nothing is secret, so nothing can leak or expire, and apps of the Microsoft gallery cannot use long-lived tokens any more.",
            location: "Entra ID: Provisioning › Connectivity, authentication method Workload identity federation.",
            fields: ConsoleFields::GENERAL,
        },
        CredentialAdvice {
            method: CredentialMethod::Client(ClientAuthentication::Secret),
            reason: "For a tenant without workload identity federation: Entra ID gets short-lived tokens with a secret that you replace before it ends.",
            location: "Entra ID: Provisioning › Connectivity, authentication method OAuth2 Client Credentials Grant.",
            fields: ConsoleFields {
                scim_url: "Tenant URL",
                token_url: "Token Endpoint",
                client_id: "Client Identifier",
                client_secret: "Client Secret",
            },
        },
    ],
    after_first_user: "set the notification e-mail under Properties, then start provisioning.",
    effort: "About 15 minutes. You need the role Application Administrator.",
    before: &[
        "Assigning groups needs Entra ID P1 or P2.",
        "Only security groups are synced. Members of nested groups are not read: assign the inner groups too.",
    ],
    steps: &[
        SetupStep::new(
            "create-app",
            "Create the application in Entra",
            "Open <strong>entra.microsoft.com › Enterprise apps › New application › Create your own application</strong>, enter a name, and choose <strong>Integrate any other application you don’t find in the gallery (Non-gallery)</strong>.",
            SetupEffect::Reached,
        ),
        SetupStep::credentials(
            "Connect it",
            "In the application, open <strong>Provisioning › New configuration</strong> (later: <strong>Provisioning › Connectivity</strong>; older screens: <strong>Admin Credentials</strong> with the mode Automatic) and fill in:",
            &[
                ConsoleField::scim_url("Tenant URL"),
                ConsoleField::token("Secret Token"),
                ConsoleField::text_for(StepMethod::Token, "Authentication method", "Bearer authentication"),
                ConsoleField::text_for(StepMethod::Client, "Authentication method", "Workload identity federation, or OAuth2 Client Credentials Grant"),
            ],
            "Select <strong>Test Connection</strong>, then <strong>Create</strong>. If you use a token, enter it without the word “Bearer”, and never leave its field empty.",
        ),
        SetupStep::new(
            "mapping",
            "Check the attribute mapping",
            "Open <strong>Attribute mapping › Provision Microsoft Entra ID Users</strong> (older screens: <strong>Mappings</strong>), edit the row <code>externalId</code>, and select <strong>Save</strong>.",
            SetupEffect::UserArrived,
        )
        .with_fields(
            &[
                ConsoleField::text("Matching attribute", "userName"),
                ConsoleField::text("externalId, Source attribute", "objectId"),
            ],
            "",
        )
        .with_mapping(),
        SetupStep::new(
            "on-demand",
            "Assign and test one user",
            "Open <strong>Users and groups › Add user/group</strong> and assign one user. Then open <strong>Provision on demand</strong>, choose the user, and select <strong>Provision</strong>.",
            SetupEffect::UserArrived,
        ),
        SetupStep::new(
            "properties",
            "Set the safety properties",
            "Open <strong>Overview › Properties</strong> (the pencil), fill in, and select <strong>Apply</strong>.",
            SetupEffect::NotVisible,
        )
        .with_fields(
            &[
                ConsoleField::text("Notification Email", "the address of your team"),
                ConsoleField::text("Prevent accidental deletion", "On, with a threshold that fits"),
            ],
            "",
        ),
        SetupStep::new(
            "start",
            "Start provisioning",
            "Assign the other users and the groups, then select <strong>Overview › Start provisioning</strong>. The first cycle takes longer; later ones run about every 40 minutes.",
            SetupEffect::NotVisible,
        ),
    ],
    good_to_know: &[
        "The test looks for a user with a random id and expects no match.",
        "A user who is unassigned is deactivated. A user who is deleted in Entra is deleted here after 30 days, or at once if it is deleted permanently.",
        "Do not let the token or the client secret expire: Entra then puts the job into quarantine.",
        "What was sent is in <strong>Provisioning logs</strong>.",
        "If an article says to add <code>aadOptscim062020</code> to the Tenant URL: both forms work.",
    ],
    help_url: Some("https://learn.microsoft.com/en-us/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups"),
    resync: &[
        ResyncHint {
            action: "Restart provisioning",
            description: "On the page <strong>Provisioning</strong> of the application, select <strong>Restart provisioning</strong>. Entra compares all users and groups in scope again, and ends a quarantine.",
            help_url: "https://learn.microsoft.com/en-us/graph/api/resources/synchronization-synchronizationjobrestartcriteria",
            checked_on: "2026-11-30",
        },
        ResyncHint {
            action: "Provision on demand",
            description: "On the page <strong>Provisioning</strong> of the application, select <strong>Provision on demand</strong>, choose one user, or one group and up to five of its users, and select <strong>Provision</strong>. Entra sends only these, within seconds.",
            help_url: "https://learn.microsoft.com/en-us/entra/identity/app-provisioning/provision-on-demand",
            checked_on: "2026-11-30",
        },
    ],
    steps_checked_on: "2026-11-30",
    notes: &[
        "Replaces values such as `emails[type eq \"work\"].value` before they exist; they are created.",
        "Sends booleans as text in PATCH.",
    ],
};

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
