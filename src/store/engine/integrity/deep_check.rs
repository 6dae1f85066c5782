//! The deep check: compares each user and group with everything that the store derives from it. It reads one resource at a
//! time, so its memory does not grow with the database.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::model::event::find_at_path;
use crate::scim::index::{self, IndexKeys};
use crate::scim::schema::{ResourceType, ResourceTypeExtension, parse, standard_types};

/// Maximum number of findings.
const FINDINGS_MAX: usize = 100;

type Document = Map<String, Value>;

/// A row of `resources`.
struct CheckedResource {
    key: i64,
    configuration: i64,
    type_name: String,
    id: String,
    columns: IndexKeys,
    body: String,
}

/// What the events of a resource lead to.
#[derive(Default)]
struct ReplayedResource {
    document: Document,
    /// Ids of the members of a group.
    members: BTreeSet<String>,
    /// Whether an event of an earlier program is among them: those do not report changes of `schemas`.
    lacks_schemas: bool,
}

/// The resource types of the configuration that is checked now.
struct TypesOf {
    configuration: i64,
    types: Vec<ResourceType>,
    /// Index values of its resources.
    values: i64,
}

/// Appends findings, until there are 100.
pub(super) fn compare_rows(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    compare_resources(connection, found)?;
    compare_last_events(connection, found)
}

/// Skips configurations that are being purged: the index values of a resource are removed first.
fn compare_resources(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut resources = connection.prepare(
        "SELECT resource, configuration, type, id, user_name_key, display_name_key, external_id, active, label, body
         FROM resources WHERE configuration NOT IN (SELECT configuration FROM configurations WHERE purge_seq IS NOT NULL)
         ORDER BY configuration, type",
    )?;
    let mut rows = resources.query([])?;
    let mut current: Option<TypesOf> = None;
    while let Some(row) = rows.next()? {
        if found.len() >= FINDINGS_MAX {
            return Ok(());
        }
        let resource = CheckedResource {
            key: row.get(0)?,
            configuration: row.get(1)?,
            type_name: row.get(2)?,
            id: row.get(3)?,
            columns: IndexKeys {
                user_name: row.get(4)?,
                display_name: row.get(5)?,
                external_id: row.get(6)?,
                active: row.get(7)?,
                label: row.get(8)?,
                values: Vec::new(),
            },
            body: row.get(9)?,
        };
        if current.as_ref().is_none_or(|of| of.configuration != resource.configuration) {
            if let Some(finished) = current.take() {
                compare_value_count(connection, &finished, found)?;
            }
            current = load_types(connection, resource.configuration, found)?;
        }
        if let Some(of) = current.as_mut() {
            compare_resource(connection, &resource, of, found)?;
        }
    }
    current.map_or(Ok(()), |last| compare_value_count(connection, &last, found))
}

/// Returns the resource types of a configuration, or `None` with a finding if a schema of it cannot be decoded.
fn load_types(
    connection: &Connection,
    configuration: i64,
    found: &mut Vec<String>,
) -> rusqlite::Result<Option<TypesOf>> {
    let mut types: Vec<ResourceType> = standard_types().iter().map(|standard| ResourceType::clone(standard)).collect();
    let mut extensions = connection.prepare_cached(
        "SELECT resource_type, id, document, required FROM extensions WHERE configuration = ?1 ORDER BY id",
    )?;
    let mut rows = extensions.query([configuration])?;
    while let Some(row) = rows.next()? {
        let (type_name, id, document): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let schema = serde_json::from_str(&document).ok().and_then(|document| parse::parse_schema(&document).ok());
        let Some(schema) = schema else {
            found.push(format!("the schema {id} of a configuration cannot be decoded"));
            return Ok(None);
        };
        let extension = ResourceTypeExtension { schema: schema.into(), required: row.get(3)? };
        types.iter_mut().filter(|of| of.name == type_name).for_each(|of| of.extensions.push(extension.clone()));
    }
    Ok(Some(TypesOf { configuration, types, values: 0 }))
}

fn compare_resource(
    connection: &Connection,
    resource: &CheckedResource,
    of: &mut TypesOf,
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let id = &resource.id;
    let Some(resource_type) = of.types.iter().find(|of| of.name == resource.type_name) else {
        found.push(format!("{id} has an unknown type"));
        return Ok(());
    };
    let Ok(document) = serde_json::from_str::<Document>(&resource.body) else {
        found.push(format!("the document of {id} cannot be decoded"));
        return Ok(());
    };
    let mut keys = index::build_index_keys(&document, resource_type);
    let values = std::mem::take(&mut keys.values);
    if keys != resource.columns {
        found.push(format!("the columns of {id} differ from its document"));
    }
    of.values += i64::try_from(values.len()).unwrap_or(i64::MAX);
    let mut has_value = connection.prepare_cached(
        "SELECT 1 FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4",
    )?;
    for (path, key) in &values {
        if !has_value.exists((resource.configuration, path, key, resource.key))? {
            found.push(format!("{id} has a value of {path} that is not in the index"));
            break;
        }
    }
    let Some(mut replayed) = replay_events(connection, id)? else { return Ok(()) };
    let mut document = document;
    if replayed.lacks_schemas {
        replayed.document.remove("schemas");
        document.remove("schemas");
    }
    if without_empty_parts(replayed.document) != without_empty_parts(document) {
        found.push(format!("the events of {id} do not lead to its document"));
    }
    if resource_type.members().is_some() && !has_members(connection, resource.key, &replayed.members)? {
        found.push(format!("the events of {id} do not lead to its members"));
    }
    Ok(())
}

/// Whether these are the members of the group.
fn has_members(connection: &Connection, group: i64, expected: &BTreeSet<String>) -> rusqlite::Result<bool> {
    let mut members = connection.prepare_cached(
        "SELECT r.id FROM group_members m JOIN resources r ON r.resource = m.member_resource WHERE m.group_resource = ?1",
    )?;
    let mut rows = members.query([group])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if !expected.contains(row.get_ref(0)?.as_str()?) {
            return Ok(false);
        }
        count += 1;
    }
    Ok(count == expected.len())
}

/// With the values of all documents in the index, an equal number means that there are no others.
fn compare_value_count(connection: &Connection, of: &TypesOf, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM resource_values WHERE configuration = ?1";
    let stored: i64 = connection.prepare_cached(sql)?.query_row([of.configuration], |row| row.get(0))?;
    if stored != of.values {
        let difference = stored - of.values;
        found.push(format!("a configuration has {difference} index values more than its users and groups"));
    }
    Ok(())
}

/// Returns what the events of a resource lead to, including those that were not published. `None` if its creation is not
/// stored any more, or its events were redacted.
fn replay_events(connection: &Connection, id: &str) -> rusqlite::Result<Option<ReplayedResource>> {
    let mut events =
        connection.prepare_cached("SELECT kind, payload FROM events WHERE resource_id = ?1 ORDER BY seq")?;
    let mut rows = events.query([id])?;
    let mut replayed = ReplayedResource::default();
    let mut is_created = false;
    while let Some(row) = rows.next()? {
        let (kind, payload): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(Value::Object(mut payload)) = serde_json::from_str(&payload) else {
            return Ok(Some(ReplayedResource::default()));
        };
        if payload.contains_key("redacted") || payload.contains_key("purged") {
            return Ok(None);
        }
        match kind.split_once('.').map(|(_, action)| action) {
            // At the end of a pause, a creation is repeated with the state of that time.
            Some("created") => {
                let Some(Value::Object(after)) = payload.remove("after") else {
                    return Ok(Some(ReplayedResource::default()));
                };
                replayed.document = after;
                is_created = true;
            }
            // The memberships of a restored group follow.
            Some("restored") => {
                let Some(Value::Object(after)) = payload.remove("after") else {
                    return Ok(Some(ReplayedResource::default()));
                };
                replayed = ReplayedResource { document: after, ..ReplayedResource::default() };
                is_created = true;
            }
            Some("updated" | "deactivated" | "reactivated") => {
                replayed.lacks_schemas |= !payload.contains_key("version");
                apply_change(&mut replayed.document, &payload);
            }
            Some("member_added") => replayed.members.extend(member_ids(&payload).map(str::to_owned)),
            Some("member_removed") => {
                for member in member_ids(&payload) {
                    replayed.members.remove(member);
                }
            }
            _ => {}
        }
    }
    Ok(is_created.then_some(replayed))
}

fn member_ids(payload: &Document) -> impl Iterator<Item = &str> {
    let members = payload.get("members").and_then(Value::as_array);
    members.into_iter().flatten().filter_map(|member| member.get("value").and_then(Value::as_str))
}

fn apply_change(state: &mut Document, payload: &Document) {
    let paths = payload.get("changed").and_then(Value::as_array);
    for path in paths.into_iter().flatten().filter_map(Value::as_str).filter(|path| *path != "password") {
        let after = payload.get("after").and_then(|after| find_at_path(after, path)).cloned();
        let (part_of, name) = match path.rsplit_once(':') {
            Some((extension, name)) => {
                let parts = state.entry(extension).or_insert_with(|| Value::Object(Map::new()));
                (parts.as_object_mut(), name)
            }
            None => (Some(&mut *state), path),
        };
        let Some(part_of) = part_of else { continue };
        match after {
            Some(value) => drop(part_of.insert(name.to_owned(), value)),
            None => drop(part_of.remove(name)),
        }
    }
}

/// An extension without values is the same as none.
fn without_empty_parts(mut document: Document) -> Document {
    document.retain(|_, value| value.as_object().is_none_or(|parts| !parts.is_empty()));
    document
}

/// The last event of a resource says whether it exists.
fn compare_last_events(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut last = connection.prepare(
        "SELECT e.resource_id, e.kind, max(e.seq), EXISTS (SELECT 1 FROM resources r WHERE r.id = e.resource_id)
         FROM events e WHERE e.resource_id IS NOT NULL GROUP BY e.resource_id",
    )?;
    let mut rows = last.query([])?;
    while let Some(row) = rows.next()?.filter(|_| found.len() < FINDINGS_MAX) {
        let (id, kind, exists): (String, String, bool) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let is_deleted = kind.ends_with(".deleted");
        if is_deleted == exists {
            let state = if exists { "exists after its deletion" } else { "is missing without its deletion" };
            found.push(format!("{id} {state}"));
        }
    }
    Ok(())
}
