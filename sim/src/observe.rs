//! Reads the rows of the database with SQL of its own, and compares them with the model.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::model::{Model, ModelConfiguration, ModelDirectory, ModelGroup, ModelUser};

/// The keys of the configurations of the model, in its order.
pub(crate) type ConfigurationKeys = [i64];

/// Reads the state. The second part is what the events add up to.
pub(crate) fn read_model(connection: &Connection, keys: &ConfigurationKeys) -> Result<(Model, Model), String> {
    let mut current = Model(vec![ModelConfiguration::default(); keys.len()]);
    let mut published = current.clone();
    read_rows(connection, keys, &mut current).map_err(|error| format!("the rows cannot be read: {error}"))?;
    replay_events(connection, keys, &mut published)?;
    Ok((current, published))
}

fn position(keys: &ConfigurationKeys, key: i64) -> Option<usize> {
    keys.iter().position(|one| *one == key)
}

fn read_rows(connection: &Connection, keys: &ConfigurationKeys, into: &mut Model) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT configuration, type, id, body, active FROM resources")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = position(keys, row.get(0)?) else { continue };
        let (kind, id, body): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let directory = &mut into.0[at].current;
        if kind == "User" {
            let mut user = read_user(&body);
            // The column must agree with the document.
            user.active &= row.get::<_, Option<bool>>(4)? == Some(true);
            directory.users.insert(id, user);
        } else {
            directory.groups.insert(id, ModelGroup { name: text_of(&body, "displayName"), ..ModelGroup::default() });
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT g.configuration, g.id, m.id FROM group_members
             JOIN resources g ON g.resource = group_resource JOIN resources m ON m.resource = member_resource",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = position(keys, row.get(0)?) else { continue };
        let group: String = row.get(1)?;
        if let Some(group) = into.0[at].current.groups.get_mut(&group) {
            group.members.insert(row.get(2)?);
        }
    }
    let mut statement = connection.prepare_cached("SELECT configuration, id, revoked_at IS NOT NULL FROM tokens")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = position(keys, row.get(0)?) else { continue };
        into.0[at].tokens.insert(row.get(1)?, row.get(2)?);
    }
    let mut statement = connection.prepare_cached("SELECT configuration, id FROM requests")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = position(keys, row.get(0)?) else { continue };
        into.0[at].calls.insert(row.get(1)?);
    }
    Ok(())
}

fn text_of(body: &Value, name: &str) -> String {
    body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn read_user(body: &Value) -> ModelUser {
    ModelUser {
        name: text_of(body, "userName"),
        title: body.get("title").and_then(Value::as_str).map(str::to_owned),
        active: body.get("active") == Some(&Value::Bool(true)),
    }
}

type EventRow = (i64, i64, String, Option<String>, String, i64);

/// Applies the published events one by one, as the operator's application does.
fn replay_events(connection: &Connection, keys: &ConfigurationKeys, into: &mut Model) -> Result<(), String> {
    let failed = |error: rusqlite::Error| format!("the events cannot be read: {error}");
    let sql = "SELECT seq, configuration, kind, resource_id, payload, created_at FROM events WHERE published = 1
               ORDER BY seq";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let columns =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
    let mut latest = i64::MIN;
    for row in statement.query_map([], columns).map_err(failed)? {
        let (seq, configuration, kind, id, payload, created_at): EventRow = row.map_err(failed)?;
        if created_at < latest {
            return Err(format!("event {seq} is dated earlier than the one in front of it"));
        }
        latest = created_at;
        let (Some(at), Some(id)) = (position(keys, configuration), id) else { continue };
        let payload: Value =
            serde_json::from_str(&payload).map_err(|error| format!("the payload of event {seq}: {error}"))?;
        apply_event(&mut into.0[at].current, &kind, &id, &payload)
            .map_err(|why| format!("event {seq} ({kind} of {id}) cannot be applied: {why}"))?;
    }
    Ok(())
}

fn apply_event(to: &mut ModelDirectory, kind: &str, id: &str, payload: &Value) -> Result<(), &'static str> {
    let members = || {
        let members = payload["members"].as_array().into_iter().flatten();
        members.filter_map(|member| Some(member["value"].as_str()?.to_owned()))
    };
    match kind {
        "user.created" | "user.restored" => {
            let user = read_user(&payload["after"]);
            if to.users.values().any(|other| other.name == user.name) {
                return Err("its name is in use");
            }
            if to.users.insert(id.to_owned(), user).is_some() {
                return Err("the user exists");
            }
        }
        "user.updated" | "user.deactivated" | "user.reactivated" => {
            let user = to.users.get_mut(id).ok_or("there is no such user")?;
            let after = &payload["after"];
            for path in payload["changed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                match path {
                    "userName" => user.name = text_of(after, "userName"),
                    "title" => user.title = after["title"].as_str().map(str::to_owned),
                    "active" => user.active = after["active"] == Value::Bool(true),
                    _ => {}
                }
            }
        }
        "user.deleted" => {
            to.users.remove(id).ok_or("there is no such user")?;
            if to.groups.values().any(|group| group.members.contains(id)) {
                return Err("it is still a member of a group");
            }
        }
        "group.created" | "group.restored" => {
            let group = ModelGroup { name: text_of(&payload["after"], "displayName"), ..ModelGroup::default() };
            if to.groups.insert(id.to_owned(), group).is_some() {
                return Err("the group exists");
            }
        }
        "group.updated" => {
            to.groups.get_mut(id).ok_or("there is no such group")?.name = text_of(&payload["after"], "displayName");
        }
        "group.deleted" => drop(to.groups.remove(id).ok_or("there is no such group")?),
        "group.member_added" => {
            let group = to.groups.get_mut(id).ok_or("there is no such group")?;
            for member in members() {
                if !to.users.contains_key(&member) {
                    return Err("there is no such member");
                }
                group.members.insert(member);
            }
        }
        "group.member_removed" => {
            let group = to.groups.get_mut(id).ok_or("there is no such group")?;
            for member in members() {
                group.members.remove(&member);
            }
        }
        _ => return Err("its kind is unknown"),
    }
    Ok(())
}

/// Returns how what was read differs from the model; none if it does not.
pub(crate) fn find_difference(model: &Model, (current, published): &(Model, Model)) -> Option<String> {
    for (at, expected) in model.0.iter().enumerate() {
        let (found, events) = (&current.0[at], &published.0[at].current);
        if let Some(difference) = compare_directories(&expected.current, &found.current) {
            return Some(format!("configuration {at}: {difference}"));
        }
        if let Some(difference) = compare_directories(expected.published(), events) {
            return Some(format!("configuration {at}, its events: {difference}"));
        }
        if expected.calls != found.calls {
            let (expected, found) = (expected.calls.len(), found.calls.len());
            return Some(format!("configuration {at}: {found} calls in the request log, not {expected}"));
        }
        if let Some(difference) = compare_tokens(&expected.tokens, &found.tokens) {
            return Some(format!("configuration {at}: {difference}"));
        }
    }
    None
}

fn compare_tokens(expected: &BTreeMap<String, bool>, found: &BTreeMap<String, bool>) -> Option<String> {
    if !expected.keys().eq(found.keys()) {
        return Some(format!("tokens {:?}, not {:?}", found.keys(), expected.keys()));
    }
    let live = found.values().filter(|revoked| !**revoked).count();
    if live > 2 {
        return Some(format!("{live} live tokens"));
    }
    let revived = expected.iter().find(|(id, revoked)| **revoked && found.get(*id) == Some(&false));
    revived.map(|(id, _)| format!("the token {id} is live after it was revoked"))
}

fn compare_directories(expected: &ModelDirectory, found: &ModelDirectory) -> Option<String> {
    compare_maps("user", &expected.users, &found.users)
        .or_else(|| compare_maps("group", &expected.groups, &found.groups))
}

fn compare_maps<V: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<String, V>,
    found: &BTreeMap<String, V>,
) -> Option<String> {
    let ids = expected.keys().chain(found.keys());
    let different = ids.into_iter().find(|id| expected.get(*id) != found.get(*id))?;
    let shorten = |value: Option<&V>| format!("{value:?}").chars().take(300).collect::<String>();
    Some(format!("{what} {different} is {}, not {}", shorten(found.get(different)), shorten(expected.get(different))))
}
