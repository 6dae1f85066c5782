//! The schemas of the data of configuration events. An update is one of several changes, each with its own members.

use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType};
use utoipa::openapi::{Ref, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{nullable_text, number, text, timestamp};
use crate::model::configuration::ConfigurationSource;
use crate::model::hold::{HoldDecision, HoldReason, HoldSettings};
use crate::model::rights::TokenRights;
use crate::model::switches::{Preset, SwitchesResponse};

/// Names of the schemas of changes.
const CHANGES: [&str; 12] = [
    "SyncChange",
    "SettingsChange",
    "TokenCreation",
    "TokenChange",
    "TokenRevocation",
    "OAuthClientChange",
    "SchemaAddition",
    "SchemaAttributesAddition",
    "SchemaRemoval",
    "HoldSettingsChange",
    "HoldDecisionChange",
    "ProtectedUsersChange",
];

/// Returns the name of the schema of the data of an action.
pub(super) fn name_data_schema(action: &str) -> &'static str {
    match action {
        "created" => "ConfigurationCreatedData",
        "deleted" => "ConfigurationDeletedData",
        "held" => "ConfigurationHeldData",
        "tested" => "ConfigurationTestedData",
        _ => "ConfigurationUpdatedData",
    }
}

/// Returns all schemas of this data, with their names.
pub(super) fn list_schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas: Vec<(String, RefOr<Schema>)> = vec![
        ("ConfigurationCreatedData".to_owned(), describe_creation()),
        ("ConfigurationDeletedData".to_owned(), describe_deletion()),
        ("ConfigurationUpdatedData".to_owned(), describe_update()),
        ("ConfigurationHeldData".to_owned(), describe_hold()),
        ("ConfigurationTestedData".to_owned(), describe_test()),
    ];
    let changes = [
        describe_sync(),
        describe_settings(),
        describe_token_creation(),
        describe_token_change(),
        build_object("A token was revoked", [("tokenRevoked", text().description(Some("Id of the token")))], &[]),
        describe_client_change(),
        describe_schema_addition(),
        describe_schema_extension(),
        describe_schema_removal(),
        describe_hold_settings(),
        describe_hold_decision(),
        build_object("The protected users were changed", [("protectedUsers", count("Their number"))], &[]),
    ];
    schemas.extend(CHANGES.map(str::to_owned).into_iter().zip(changes));
    let mut nested = Vec::new();
    SwitchesResponse::schemas(&mut nested);
    HoldSettings::schemas(&mut nested);
    nested.push((HoldSettings::name().into_owned(), HoldSettings::schema()));
    schemas.extend(nested);
    schemas
}

/// An object whose members are required, except for `optional` ones.
fn build_object<const N: usize>(
    description: &str,
    members: [(&str, ObjectBuilder); N],
    optional: &[&str],
) -> RefOr<Schema> {
    let object = ObjectBuilder::new().description(Some(description.to_owned()));
    members
        .into_iter()
        .fold(object, |object, (name, schema)| {
            let object = object.property(name, schema);
            if optional.contains(&name) { object } else { object.required(name) }
        })
        .into()
}

fn flag(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description.to_owned()))
}

fn count(description: &str) -> ObjectBuilder {
    number(description).minimum(Some(0))
}

/// A timestamp, or null for never.
fn end(description: &str) -> ObjectBuilder {
    timestamp(description).schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
}

fn schema_urn() -> ObjectBuilder {
    text().description(Some("URN of the schema"))
}

fn source_schema() -> ObjectBuilder {
    text().enum_values(Some(ConfigurationSource::ALL.map(ConfigurationSource::as_str)))
}

fn describe_creation() -> RefOr<Schema> {
    let source = source_schema();
    let provider = nullable_text().description(Some("Name of the identity provider, if it was given"));
    let members = [("connectionName", text()), ("source", source), ("provider", provider)];
    build_object("A new configuration", members, &[])
}

fn describe_deletion() -> RefOr<Schema> {
    let resources = ObjectBuilder::new()
        .description(Some("Number of resources by type: `User`, `Group`"))
        .additional_properties(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))));
    let purged = flag("Whether the users and groups are deleted too; otherwise they remain as leftovers");
    let members = [("connectionName", text()), ("purged", purged), ("resources", resources)];
    build_object("A deleted configuration", members, &[])
}

fn describe_update() -> RefOr<Schema> {
    let union = AnyOfBuilder::new().description(Some("One change of a configuration. Its members show which one"));
    let union = CHANGES.iter().fold(union, |union, name| union.item(Ref::from_schema_name(*name)));
    Schema::AnyOf(union.build()).into()
}

fn describe_sync() -> RefOr<Schema> {
    let sync = flag("The new value: false while the configuration is paused");
    build_object("A configuration was paused or resumed", [("syncToUserManagement", sync)], &[])
}

fn describe_settings() -> RefOr<Schema> {
    let mut settings = ObjectBuilder::new()
        .description(Some("The new values of the settings that changed"))
        .property("connectionName", text())
        .property(
            "source",
            source_schema().description(Some("Changes when the holder of a setup link chooses the provider")),
        )
        .property("provider", nullable_text().description(Some("Name of the identity provider; null for none")))
        .property("preset", text().enum_values(Some(Preset::ALL.map(Preset::as_str))))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .min_properties(Some(1));
    if let RefOr::T(Schema::Object(mut switches)) = SwitchesResponse::schema() {
        switches.required.clear();
        switches.description = Some("The switches that changed".to_owned());
        settings = settings.property("switches", switches);
    }
    settings.into()
}

fn describe_token_creation() -> RefOr<Schema> {
    let token = ObjectBuilder::new()
        .property("id", text())
        .property("hint", text().description(Some("The last characters of the token")))
        .property("label", text())
        .property("rights", text().enum_values(Some(TokenRights::ALL.map(TokenRights::as_str))))
        .property("expiresAt", end("When the token expires; null for never"));
    let token = ["id", "hint", "label", "rights", "expiresAt"].into_iter().fold(token, ObjectBuilder::required);
    let others = count("Milliseconds until the other token ends; null if it stays")
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]));
    let members = [
        ("token", token),
        ("revokedTokens", count("Number of older tokens that were revoked")),
        ("othersEndAfterMs", others),
    ];
    build_object("A new token; never with its secret", members, &[])
}

fn describe_token_change() -> RefOr<Schema> {
    let id = text().description(Some("Id of the token. Absent if an earlier version of the server stored the event"));
    let members =
        [("tokenUpdated", id), ("label", text()), ("expiresAt", end("When the token expires; null for never"))];
    build_object("The label or the end of a token was changed; both have their new values", members, &["tokenUpdated"])
}

fn describe_client_change() -> RefOr<Schema> {
    let changes = [
        "oauth_client.created",
        "oauth_client.updated",
        "oauth_client.deleted",
        "oauth_secret.created",
        "oauth_secret.deleted",
    ];
    let client = ObjectBuilder::new()
        .property("clientId", text().description(Some("Public id of the client")))
        .property("label", text())
        .property("change", text().enum_values(Some(changes)));
    let client = ["clientId", "label", "change"].into_iter().fold(client, ObjectBuilder::required);
    build_object("An OAuth client or one of its secrets was changed", [("oauthClient", client)], &[])
}

fn describe_schema_addition() -> RefOr<Schema> {
    let resource_type = text().enum_values(Some(["User", "Group"]));
    let required = flag("Whether resources must have attributes of it");
    let members = [("schemaAdded", schema_urn()), ("resourceType", resource_type), ("required", required)];
    build_object("A schema was added", members, &[])
}

fn describe_schema_extension() -> RefOr<Schema> {
    let attributes = ArrayBuilder::new().items(text()).description(Some("Names of the new attributes"));
    ObjectBuilder::new()
        .description(Some("Attributes were added to a schema"))
        .property("schemaExtended", schema_urn())
        .property("attributes", attributes)
        .required("schemaExtended")
        .required("attributes")
        .into()
}

fn describe_schema_removal() -> RefOr<Schema> {
    let purged = flag("Whether its values were removed from the resources");
    build_object("A schema was removed", [("schemaRemoved", schema_urn()), ("purged", purged)], &[])
}

fn describe_hold() -> RefOr<Schema> {
    let reason = text().enum_values(Some(HoldReason::ALL.map(HoldReason::as_str)));
    let members = [
        (
            "reason",
            reason.description(Some("What was removed: many users, memberships or groups, or a protected user")),
        ),
        ("counted", count("How many were removed in the window")),
        ("threshold", count("With how many the hold began")),
        ("windowMinutes", count("Length of the window")),
        ("published", count("How many of them had been published before")),
    ];
    let description = "The identity provider removed much at once: later changes are not published until an admin decides. \
                       Only callers without an account receive this event";
    build_object(description, members, &[])
}

fn describe_test() -> RefOr<Schema> {
    build_object("A test event", [("test", flag("Always true"))], &[])
}

fn describe_hold_settings() -> RefOr<Schema> {
    let until = end("Until then nothing is held; null if that does not apply");
    ObjectBuilder::new()
        .description(Some("The settings of the hold were changed"))
        .property("hold", Ref::from_schema_name(HoldSettings::name()))
        .property("exemptUntil", until)
        .required("hold")
        .required("exemptUntil")
        .into()
}

fn describe_hold_decision() -> RefOr<Schema> {
    let decision = text().enum_values(Some(HoldDecision::ALL.map(HoldDecision::as_str)));
    let minutes = count("For how long nothing is held; null if that was not chosen")
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]));
    let decided = ObjectBuilder::new().property("decision", decision).property("minutes", minutes);
    let decided = decided.required("decision").required("minutes");
    build_object("An admin decided about a hold", [("holdDecision", decided)], &[])
}
