//! Versions: an `ETag` moves when what is answered moves, and at no other time (RFC 7644 section 3.14).

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::holds;
use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, group, operation, operations, removal, user, user_with};

const USERS: usize = 3;
const GROUPS: usize = 3;

/// A write, with resources by their number: users first, groups after them.
#[derive(Debug, Clone)]
enum Write {
    Label(usize, &'static str),
    Title(usize, &'static str),
    Manager(usize, usize),
    Join(usize, usize),
    Leave(usize, usize),
    Members(usize, Vec<usize>),
    ThereAndBack(usize, usize),
    Put(usize, &'static str),
    Refused(usize),
    Delete(usize),
}

fn writes() -> impl Strategy<Value = Write> {
    let words = || select(&["", "a", "b"][..]);
    let one = || 0..USERS + GROUPS;
    let user = || 0..USERS;
    let team = || USERS..USERS + GROUPS;
    prop_oneof![
        4 => (one(), words()).prop_map(|(on, word)| Write::Label(on, word)),
        2 => (user(), words()).prop_map(|(on, word)| Write::Title(on, word)),
        2 => (user(), user()).prop_map(|(on, boss)| Write::Manager(on, boss)),
        4 => (team(), one()).prop_map(|(on, member)| Write::Join(on, member)),
        3 => (team(), one()).prop_map(|(on, member)| Write::Leave(on, member)),
        1 => (team(), vec(one(), 0..3)).prop_map(|(on, members)| Write::Members(on, members)),
        1 => (team(), one()).prop_map(|(on, member)| Write::ThereAndBack(on, member)),
        2 => (one(), words()).prop_map(|(on, word)| Write::Put(on, word)),
        1 => one().prop_map(Write::Refused),
        1 => one().prop_map(Write::Delete),
    ]
}

struct World {
    client: Client,
    ids: Vec<String>,
}

impl World {
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
        let member = |who: &usize| json!([{"value": self.ids[*who]}]);
        let leaving = |who: &usize| removal(&format!("members[value eq \"{}\"]", self.ids[*who]));
        let (on, body) = match write {
            // Names of groups are unique, so each has words of its own.
            Write::Label(on, word) if *on < USERS => (on, operation("replace", "displayName", &json!(word))),
            Write::Label(on, word) => (on, operation("replace", "displayName", &json!(format!("g{on}{word}")))),
            Write::Title(on, "") => (on, removal("title")),
            Write::Title(on, word) => (on, operation("add", "title", &json!(word))),
            Write::Manager(on, boss) => {
                (on, operation("add", &format!("{ENTERPRISE}:manager.value"), &json!(self.ids[*boss])))
            }
            Write::Join(on, who) => (on, operation("add", "members", &member(who))),
            Write::Leave(on, who) => (on, leaving(who)),
            Write::Members(on, all) => {
                let all: Vec<Value> = all.iter().map(|who| member(who)[0].clone()).collect();
                (on, operation("replace", "members", &all.into()))
            }
            Write::ThereAndBack(on, who) => {
                let there = json!({"op": "add", "path": "members", "value": member(who)});
                (on, operations(&json!([there, leaving(who)["Operations"][0]])))
            }
            Write::Refused(on) => {
                (on, operations(&json!([{"op": "add", "path": "externalId", "value": "x"}, {"op": "remove"}])))
            }
            Write::Put(on, word) => return self.client.put(&self.path(*on), &self.whole(*on, word)).status,
            Write::Delete(on) => return self.client.delete(&self.path(*on)).status,
        };
        self.client.patch(&self.path(*on), &body).status
    }

    /// A document for PUT; a group loses its members but the first user.
    fn whole(&self, on: usize, word: &str) -> Value {
        if on < USERS {
            user_with(&format!("u{on}"), &json!({"displayName": word}))
        } else {
            group(&format!("g{on}{word}"), &[&self.ids[0]])
        }
    }

    /// Each document by its id.
    fn seen(&self) -> BTreeMap<String, Value> {
        let pages = ["/Users", "/Groups"].map(|path| self.client.get(path).answered(200).json["Resources"].take());
        let all = pages.iter().flat_map(|page| page.as_array().unwrap());
        all.map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect()
    }
}

/// A document without what only says that it changed.
fn content(document: &Value) -> Value {
    let mut content = document.clone();
    let meta = content["meta"].as_object_mut().unwrap();
    meta.shift_remove("version");
    meta.shift_remove("lastModified");
    content
}

#[test]
fn a_version_moves_exactly_when_the_answer_does() {
    //
    holds(80, vec(writes(), 1..12), |all| {
        let world = World::new();
        let mut before = world.seen();
        for write in &all {
            let status = world.send(write);
            prop_assert!([200, 204, 400, 404].contains(&status), "{:?} answered {}", write, status);
            let after = world.seen();
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
        // The header says the same as the list.
        for (id, document) in &before {
            let endpoint = if document["meta"]["resourceType"] == "User" { "/Users" } else { "/Groups" };
            let alone = world.client.get(&format!("{endpoint}/{id}")).answered(200);
            prop_assert_eq!(alone.version(), document["meta"]["version"].as_str().unwrap());
        }
        Ok(())
    });
}
