//! Versions: an `ETag` changes exactly when the answer changes (RFC 7644 section 3.14).

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::check_property;
use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, group, operation, operations, removal, user, user_with};

const USERS: usize = 3;
const GROUPS: usize = 3;

/// A write, with resources by number: users first, then groups.
#[derive(Debug, Clone)]
enum Write {
    Label(usize, &'static str),
    Title(usize, &'static str),
    Manager(usize, usize),
    Join(usize, usize),
    Leave(usize, usize),
    Members(usize, Vec<usize>),
    JoinAndLeave(usize, usize),
    Put(usize, &'static str),
    Refused(usize),
    Delete(usize),
}

fn writes() -> impl Strategy<Value = Write> {
    let texts = || select(&["", "a", "b"][..]);
    let one = || 0..USERS + GROUPS;
    let user = || 0..USERS;
    let team = || USERS..USERS + GROUPS;
    prop_oneof![
        4 => (one(), texts()).prop_map(|(on, text)| Write::Label(on, text)),
        2 => (user(), texts()).prop_map(|(on, text)| Write::Title(on, text)),
        2 => (user(), user()).prop_map(|(on, boss)| Write::Manager(on, boss)),
        4 => (team(), one()).prop_map(|(on, member)| Write::Join(on, member)),
        3 => (team(), one()).prop_map(|(on, member)| Write::Leave(on, member)),
        1 => (team(), vec(one(), 0..3)).prop_map(|(on, members)| Write::Members(on, members)),
        1 => (team(), one()).prop_map(|(on, member)| Write::JoinAndLeave(on, member)),
        2 => (one(), texts()).prop_map(|(on, text)| Write::Put(on, text)),
        1 => one().prop_map(Write::Refused),
        1 => one().prop_map(Write::Delete),
    ]
}

struct VersionFixture {
    client: Client,
    ids: Vec<String>,
}

impl VersionFixture {
    fn new() -> Self {
        let client = App::shared().configuration("okta");
        let mut ids: Vec<String> = (0..USERS).map(|n| client.created("/Users", &user(&format!("u{n}")))).collect();
        let first = ids[0].clone();
        ids.extend((0..GROUPS).map(|n| client.created("/Groups", &group(&format!("g{n}"), &[&first]))));
        Self { client, ids }
    }

    fn path(&self, on: usize) -> String {
        format!("{}/{}", if on < USERS { "/Users" } else { "/Groups" }, self.ids[on])
    }

    fn send(&self, write: &Write) -> u16 {
        let member = |user: &usize| json!([{"value": self.ids[*user]}]);
        let leaving = |user: &usize| removal(&format!("members[value eq \"{}\"]", self.ids[*user]));
        let (on, body) = match write {
            // Names of groups are unique, so each has its own texts.
            Write::Label(on, text) if *on < USERS => (on, operation("replace", "displayName", &json!(text))),
            Write::Label(on, text) => (on, operation("replace", "displayName", &json!(format!("g{on}{text}")))),
            Write::Title(on, "") => (on, removal("title")),
            Write::Title(on, text) => (on, operation("add", "title", &json!(text))),
            Write::Manager(on, boss) => {
                (on, operation("add", &format!("{ENTERPRISE}:manager.value"), &json!(self.ids[*boss])))
            }
            Write::Join(on, user) => (on, operation("add", "members", &member(user))),
            Write::Leave(on, user) => (on, leaving(user)),
            Write::Members(on, all) => {
                let all: Vec<Value> = all.iter().map(|user| member(user)[0].clone()).collect();
                (on, operation("replace", "members", &all.into()))
            }
            Write::JoinAndLeave(on, user) => {
                let there = json!({"op": "add", "path": "members", "value": member(user)});
                (on, operations(&json!([there, leaving(user)["Operations"][0]])))
            }
            Write::Refused(on) => {
                (on, operations(&json!([{"op": "add", "path": "externalId", "value": "x"}, {"op": "remove"}])))
            }
            Write::Put(on, text) => return self.client.put(&self.path(*on), &self.whole(*on, text)).status,
            Write::Delete(on) => return self.client.delete(&self.path(*on)).status,
        };
        self.client.patch(&self.path(*on), &body).status
    }

    /// A document for PUT; a group keeps only the first user as member.
    fn whole(&self, on: usize, text: &str) -> Value {
        if on < USERS {
            user_with(&format!("u{on}"), &json!({"displayName": text}))
        } else {
            group(&format!("g{on}{text}"), &[&self.ids[0]])
        }
    }

    /// Each document by its id.
    fn seen(&self) -> BTreeMap<String, Value> {
        let pages = ["/Users", "/Groups"].map(|path| self.client.get(path).answered(200).json["Resources"].take());
        let all = pages.iter().flat_map(|page| page.as_array().unwrap());
        all.map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect()
    }
}

/// A document without version and timestamp.
fn content(document: &Value) -> Value {
    let mut content = document.clone();
    let meta = content["meta"].as_object_mut().unwrap();
    meta.shift_remove("version");
    meta.shift_remove("lastModified");
    content
}

#[test]
fn a_version_changes_exactly_when_the_answer_changes() {
    //
    check_property(80, vec(writes(), 1..12), |all| {
        let fixture = VersionFixture::new();
        let mut before = fixture.seen();
        for write in &all {
            let status = fixture.send(write);
            prop_assert!([200, 204, 400, 404].contains(&status), "{:?} answered {}", write, status);
            let after = fixture.seen();
            for (id, new) in &after {
                let old = &before[id];
                let (old_meta, new_meta) = (&old["meta"], &new["meta"]);
                let moved = old_meta["version"] != new_meta["version"];
                prop_assert_eq!(content(old) != content(new), moved, "{:?}\n{}\n{}", write, old, new);
                let (then, now) = (old_meta["lastModified"].as_str(), new_meta["lastModified"].as_str());
                prop_assert!(now >= then && (moved || now == then), "{:?}: {:?}, {:?}", write, then, now);
            }
            before = after;
        }
        // The header equals the version in the list.
        for (id, document) in &before {
            let endpoint = if document["meta"]["resourceType"] == "User" { "/Users" } else { "/Groups" };
            let alone = fixture.client.get(&format!("{endpoint}/{id}")).answered(200);
            prop_assert_eq!(alone.version(), document["meta"]["version"].as_str().unwrap());
        }
        Ok(())
    });
}
