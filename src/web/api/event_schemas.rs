//! The schemas of events: one for each kind, and their union on `kind`.

mod configuration_data;

use std::borrow::Cow;

use utoipa::openapi::schema::{ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::model::event::{PUBLISHED_KINDS, parse_resource_type};
use crate::web::api::events::EventResponse;

/// Start of the name of a referenced schema.
const SCHEMAS: &str = "#/components/schemas/";

impl PartialSchema for EventResponse {
    fn schema() -> RefOr<Schema> {
        let union = OneOfBuilder::new().description(Some(
            "A change of a user, a group or a configuration. `data` depends on `kind`: see the schema of each kind",
        ));
        let union = PUBLISHED_KINDS
            .iter()
            .fold(union, |union, kind| union.item(Ref::from_schema_name(name_event_schema(kind))));
        let mapping = PUBLISHED_KINDS.map(|kind| (kind, format!("{SCHEMAS}{}", name_event_schema(kind))));
        union.discriminator(Some(Discriminator::with_mapping("kind", mapping))).into()
    }
}

impl ToSchema for EventResponse {
    fn name() -> Cow<'static, str> {
        "ProvisioningEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(PUBLISHED_KINDS.map(|kind| (name_event_schema(kind), build_event_schema(kind))));
        schemas.extend([
            ("EventMember".to_owned(), build_member_schema()),
            ("CreatedData".to_owned(), build_created_schema()),
            ("ChangedData".to_owned(), build_changed_schema()),
            ("DeletedData".to_owned(), build_deleted_schema()),
            ("MembersData".to_owned(), build_members_schema()),
            (
                "RedactedData".to_owned(),
                build_mark_schema("redacted", "The data was permanently removed by a purge or an erasure"),
            ),
            (
                "PurgedData".to_owned(),
                build_mark_schema("purged", "The resource was deleted with its data, by a purge or an erasure"),
            ),
        ]);
        schemas.extend(configuration_data::list_schemas());
    }
}

/// Returns the name of the schema of a kind: `GroupMemberAddedEvent` for `group.member_added`.
pub(super) fn name_event_schema(kind: &str) -> String {
    let capitalize = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    kind.split(['.', '_']).map(capitalize).collect::<String>() + "Event"
}

fn build_event_schema(kind: &str) -> RefOr<Schema> {
    let (subject, action) = kind.split_once('.').unwrap_or_default();
    let is_resource = subject != "configuration";
    let id = |description: &str| text().description(Some(description.to_owned()));
    let event = ObjectBuilder::new()
        .description(Some(describe_kind(kind)))
        .property("seq", number("Position in the order of commits; increases, with gaps"))
        .property("kind", text().enum_values(Some([kind])))
        .property("accountId", text())
        .property("configurationId", nullable_text());
    let event = if is_resource {
        event
            .property("resourceType", text().enum_values(Some([parse_resource_type(kind)])))
            .property("resourceId", id("Id of the user or group"))
            .property(
                "version",
                number("Version of the resource after the change, as in the lists: of the group for members, the last one for deletions. Absent if an earlier version of the server stored the event"),
            )
            .property("lastModified", timestamp("Time of that version"))
    } else {
        event.property("resourceType", null()).property("resourceId", null())
    };
    let event = event
        .property("createdAt", timestamp("Time of the commit, or of the publication after a pause"))
        .property("data", build_data_schema(subject, action));
    ["seq", "kind", "accountId", "configurationId", "resourceType", "resourceId", "createdAt", "data"]
        .into_iter()
        .fold(event, ObjectBuilder::required)
        .into()
}

/// Describes a kind of events, without a full stop.
pub(super) fn describe_kind(kind: &str) -> String {
    match kind {
        "user.deactivated" => "The `active` of a user changed from true to false",
        "user.reactivated" => "The `active` of a user changed to true",
        "user.restored" => "A deleted user exists again, with the same id",
        "group.restored" => "A deleted group exists again, with the same id. Its members follow as separate events",
        "configuration.held" => {
            "The changes of a configuration wait for a decision, because its identity provider removed much at once"
        }
        "configuration.tested" => "An admin sent a test event. Nothing changed",
        "group.member_added" => "Members joined a group",
        "group.member_removed" => "Members left a group",
        _ => return format!("A {}", kind.replace('.', " was ")),
    }
    .to_owned()
}

fn build_data_schema(subject: &str, action: &str) -> RefOr<Schema> {
    let name = match (subject, action) {
        ("configuration", _) => return Ref::from_schema_name(configuration_data::name_data_schema(action)).into(),
        (_, "created" | "restored") => "CreatedData",
        (_, "deleted") => "DeletedData",
        (_, "member_added" | "member_removed") => "MembersData",
        _ => "ChangedData",
    };
    let union = OneOfBuilder::new().item(Ref::from_schema_name(name)).item(Ref::from_schema_name("RedactedData"));
    let union = if action == "deleted" { union.item(Ref::from_schema_name("PurgedData")) } else { union };
    union.into()
}

fn build_created_schema() -> RefOr<Schema> {
    let after = resource("The SCIM resource without `id`, `meta`, `members` and `groups`");
    ObjectBuilder::new()
        .description(Some("A new or restored resource"))
        .property("after", after)
        .required("after")
        .into()
}

fn build_deleted_schema() -> RefOr<Schema> {
    let before = resource("The SCIM resource without `id`, `meta`, `members` and `groups`");
    ObjectBuilder::new().description(Some("A deleted resource")).property("before", before).required("before").into()
}

fn build_changed_schema() -> RefOr<Schema> {
    let paths = ArrayBuilder::new().items(text()).description(Some(
        "Names of attributes; those of extensions with the URN: `urn:…:User:department`. `password` has no values",
    ));
    let before = resource("The previous values, nested as in the resource. A path that is absent had no value");
    let after = resource("The new values, nested as in the resource. A path that is absent has no value any more");
    let data = ObjectBuilder::new().description(Some("Changed attributes"));
    let data = data.property("changed", paths).property("before", before).property("after", after);
    ["changed", "before", "after"].into_iter().fold(data, ObjectBuilder::required).into()
}

fn build_members_schema() -> RefOr<Schema> {
    let members = ArrayBuilder::new().items(Ref::from_schema_name("EventMember")).min_items(Some(1));
    let members = members.max_items(Some(1_000));
    let data = ObjectBuilder::new().description(Some("Members that joined or left a group"));
    data.property("members", members).required("members").into()
}

fn build_member_schema() -> RefOr<Schema> {
    ObjectBuilder::new()
        .description(Some("A member of a group, with the names that it had at the time of the event"))
        .property("value", text().description(Some("Id of the member")))
        .property("type", text().enum_values(Some(["User", "Group"])))
        .property("userName", text())
        .property("displayName", text())
        .property("externalId", text())
        .required("value")
        .required("type")
        .into()
}

fn build_mark_schema(name: &str, description: &str) -> RefOr<Schema> {
    let mark = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]));
    ObjectBuilder::new().description(Some(description.to_owned())).property(name, mark).required(name).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn nullable_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

fn number(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).description(Some(description.to_owned()))
}

fn timestamp(description: &str) -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    text().format(Some(format)).description(Some(description.to_owned()))
}

fn resource(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object).description(Some(description.to_owned()))
}
