//! A consumer of the event feed: a copy of the users, groups and members of an account (or of all accounts) that always
//! leads to the state that the lists report. The tests of Rollcall run this file; see docs/event-feed.md.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Path of the management API.
const API: &str = "/directory/resources/v1";

/// A user or group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The version up to which changes are applied.
    pub version: i64,
    /// The SCIM resource: `schemas` and the attributes.
    pub attributes: Map<String, Value>,
    /// Ids of the members of a group.
    pub members: BTreeSet<String>,
}

/// The copy. Store it together with the position, in one transaction of your database.
#[derive(Debug, Default)]
pub struct Copy {
    pub users: BTreeMap<String, Record>,
    pub groups: BTreeMap<String, Record>,
    /// `after` of the next request.
    pub position: Option<String>,
}

/// Sends a GET request to a path and returns the status and the JSON body.
pub trait Server {
    fn get(&mut self, path: &str) -> (u16, Value);
}

impl Copy {
    /// Applies all events that the feed has now. Loads the lists first if there is no position yet, or if the position cannot
    /// be continued.
    pub fn update(&mut self, server: &mut impl Server) {
        loop {
            let Some(position) = self.position.clone() else {
                // The position is read before the lists, so that no change is lost in between.
                let (_, page) = server.get(&format!("{API}/events?after=latest"));
                self.load_lists(server, &page["nextAfter"]);
                continue;
            };
            let (status, page) = server.get(&format!("{API}/events?after={position}&limit=1000"));
            if status == 410 {
                self.load_lists(server, &page["restartFrom"]);
                continue;
            }
            for event in page["events"].as_array().into_iter().flatten() {
                self.apply(event);
            }
            self.position = read_text(&page["nextAfter"]);
            if page["hasMore"] != true {
                return;
            }
        }
    }

    /// Reads what changed since the position from the lists, instead of the feed.
    pub fn reconcile(&mut self, server: &mut impl Server) {
        let Some(since) = self.position.clone() else {
            let (_, page) = server.get(&format!("{API}/events?after=latest"));
            return self.load_lists(server, &page["nextAfter"]);
        };
        // The position of the first list: what changes while the other lists are read is reported again.
        let deletions = load_changes(server, &format!("deletions?since={since}"));
        let users = load_changes(server, &format!("users?changedSince={since}"));
        let groups = load_changes(server, &format!("groups?changedSince={since}"));
        let ((deleted, position), (users, _), (groups, _)) = match (deletions, users, groups) {
            (Ok(deletions), Ok(users), Ok(groups)) => (deletions, users, groups),
            (Err(restart_from), ..) | (_, Err(restart_from), _) | (.., Err(restart_from)) => {
                return self.load_lists(server, &restart_from);
            }
        };
        for id in deleted.iter().filter_map(|item| item["id"].as_str()) {
            self.delete(id);
        }
        self.users.extend(users.into_iter().filter_map(describe_record));
        for (id, mut group) in groups.into_iter().filter_map(describe_record) {
            group.members = load_members(server, &id);
            self.groups.insert(id, group);
        }
        self.position = read_text(&position);
    }

    /// Deletes a user or group.
    fn delete(&mut self, id: &str) {
        self.users.remove(id);
        self.groups.remove(id);
        self.end_memberships(id);
    }

    /// Removes the members of a group, and a user or group from its groups: memberships end with a deletion, without an event.
    fn end_memberships(&mut self, id: &str) {
        if let Some(group) = self.groups.get_mut(id) {
            group.members.clear();
        }
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
    }

    /// Replaces the copy with the lists.
    fn load_lists(&mut self, server: &mut impl Server, position: &Value) {
        self.users = load_records(server, "users");
        self.groups = load_records(server, "groups");
        for (id, group) in &mut self.groups {
            group.members = load_members(server, id);
        }
        self.position = read_text(position);
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &Value) {
        let (Some(kind), Some(id)) = (event["kind"].as_str(), event["resourceId"].as_str()) else { return };
        let data = &event["data"];
        let (subject, action) = kind.split_once('.').unwrap_or_default();
        let copy = self.users.get(id).or_else(|| self.groups.get(id));
        let is_outdated =
            copy.is_some_and(|copy| event["version"].as_i64().is_some_and(|version| version < copy.version));
        if action == "deleted" {
            // An older deletion than the copy: the resource was restored, and the lists have it. The memberships that it has
            // again follow as events.
            if is_outdated {
                self.end_memberships(id);
            } else {
                self.delete(id);
            }
            return;
        }
        let records = if subject == "user" { &mut self.users } else { &mut self.groups };
        let version = event["version"].as_i64().unwrap_or_default();
        // The data was removed by a purge, and the deletion follows.
        if data["redacted"] == true {
            return;
        }
        // An older event than the copy. The members of a group do not have its version: they are read later.
        if is_outdated && !action.starts_with("member_") {
            return;
        }
        if action == "created" || action == "restored" {
            let record = records.entry(id.to_owned()).or_default();
            record.attributes = data["after"].as_object().cloned().unwrap_or_default();
            record.version = version;
            return;
        }
        // A change of a resource that was deleted since the lists were read: its deletion follows.
        let Some(record) = records.get_mut(id) else { return };
        record.version = record.version.max(version);
        let members = data["members"].as_array().into_iter().flatten().filter_map(|member| read_text(&member["value"]));
        match action {
            "member_added" => record.members.extend(members),
            "member_removed" => {
                for member in members {
                    record.members.remove(&member);
                }
            }
            _ => apply_changes(&mut record.attributes, data),
        }
    }
}

/// Sets the changed attributes of `user.updated` and the like.
fn apply_changes(attributes: &mut Map<String, Value>, data: &Value) {
    for path in data["changed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // `urn:…:User:department` is `department` in the object of the extension.
        let (extension, name) = path.rsplit_once(':').map_or((None, path), |(extension, name)| (Some(extension), name));
        let parent = match extension {
            Some(extension) => attributes.entry(extension).or_insert_with(|| Map::new().into()).as_object_mut(),
            None => Some(&mut *attributes),
        };
        let Some(parent) = parent else { continue };
        match extension.map_or(&data["after"], |extension| &data["after"][extension]).get(name) {
            Some(value) => drop(parent.insert(name.to_owned(), value.clone())),
            None => drop(parent.remove(name)),
        }
        // An extension without attributes is the same as none.
        let is_empty = extension.is_some_and(|extension| attributes[extension] == Value::Object(Map::new()));
        if let Some(extension) = extension.filter(|_| is_empty) {
            attributes.remove(extension);
        }
    }
}

fn load_records(server: &mut impl Server, list: &str) -> BTreeMap<String, Record> {
    load_list(server, list).into_iter().filter_map(describe_record).collect()
}

/// The id and the record of an item of a list.
fn describe_record(item: Value) -> Option<(String, Record)> {
    let attributes = item["resource"].as_object().cloned().unwrap_or_default();
    let record = Record { version: item["version"].as_i64().unwrap_or_default(), attributes, ..Record::default() };
    Some((read_text(&item["id"])?, record))
}

fn load_members(server: &mut impl Server, group: &str) -> BTreeSet<String> {
    let members = load_list(server, &format!("groups/{group}/members"));
    members.iter().filter_map(|member| read_text(&member["id"])).collect()
}

/// Reads all pages of a list of changes, with the position after them; or the position to restart from.
fn load_changes(server: &mut impl Server, list: &str) -> Result<(Vec<Value>, Value), Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("{API}/{list}&limit=1000&cursor={cursor}"));
        if status == 410 {
            return Err(page["restartFrom"].clone());
        }
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok((items, page["position"].clone())),
        }
    }
}

/// Reads all pages of a list. Nothing is returned for a group that was deleted in the meantime.
fn load_list(server: &mut impl Server, list: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = server.get(&format!("{API}/{list}?limit=1000&cursor={cursor}"));
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return items,
        }
    }
}

fn read_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
