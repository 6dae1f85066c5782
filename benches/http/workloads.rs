//! The measured requests.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::Endpoint;
use super::seed::{Seeded, patch_body, user, user_name};
use super::{LARGE, ROUNDS};

pub(crate) const CONFIG: &str = "GET ServiceProviderConfig";
pub(crate) const READ: &str = "GET user by id";
pub(crate) const FIND: &str = "GET userName eq, found";
pub(crate) const PATCH: &str = "PATCH active";
pub(crate) const CREATE: &str = "POST user";
pub(crate) const ADD_TO_0: &str = "PATCH add member, group of 0";
pub(crate) const ADD_TO_10K: &str = "PATCH add member, group of 10,000";
pub(crate) const ADD_TO_100K: &str = "PATCH add member, group of 100,000";
pub(crate) const GROUP_10K: &str = "GET group of 10,000 without members";
pub(crate) const GROUP_100K: &str = "GET group of 100,000 without members";

/// Connections of a busy identity provider.
const CONNECTIONS: usize = 8;
const READS: usize = 4_000;
const PATCHES: usize = 1_000;
/// Few, so that a small store stays small.
const CREATES: usize = 250;
/// Sequential, as identity providers add members.
const ADDS: usize = 200;

/// Numbered requests of one kind.
pub(crate) struct Workload<'a> {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    /// Requests in one round.
    pub(crate) requests: usize,
    /// Status of each answer, and a text that its body must contain.
    pub(crate) expected: (u16, &'static str),
    /// The request with that number.
    pub(crate) make: Box<dyn Fn(usize) -> Vec<u8> + Sync + 'a>,
}

/// Groups of several sizes.
pub(crate) struct Groups {
    /// One for each add to an empty group, and a spare one.
    pub(crate) empty: Vec<String>,
    of_10k: String,
    of_100k: String,
}

impl Groups {
    pub(crate) fn seed(seeded: &Seeded) -> Self {
        let one = |name: &str, members: usize| seeded.groups(name, 1, &seeded.users[..members]).remove(0);
        Self {
            empty: seeded.groups("empty", ADDS * ROUNDS + 1, &[]),
            of_10k: one("ten thousand", 10_000),
            of_100k: one("all", LARGE),
        }
    }
}

/// Requests on single users, whose cost must not depend on the size of the store. `users` are the ids, by number.
pub(crate) fn on_users<'a>(to: &'a Endpoint, users: &'a [String]) -> Vec<Workload<'a>> {
    let many = |name, requests, expected, make| Workload { name, connections: CONNECTIONS, requests, expected, make };
    let config = to.request("GET", "/ServiceProviderConfig", None);
    // The step is a prime, so that consecutive requests do not use adjacent rows; each user comes once before one comes
    // twice.
    let at = |number: usize| number * 7_919 % users.len();
    vec![
        many(CONFIG, READS, (200, "filter"), Box::new(move |_| config.clone())),
        many(
            READ,
            READS,
            (200, "userName"),
            Box::new(move |number| to.request("GET", &format!("/Users/{}", users[at(number)]), None)),
        ),
        many(
            FIND,
            READS,
            (200, "\"totalResults\":1,"),
            Box::new(move |number| {
                to.request("GET", &format!("/Users?filter=userName%20eq%20%22{}%22", user_name(at(number))), None)
            }),
        ),
        many(
            PATCH,
            PATCHES,
            (200, "userName"),
            Box::new(move |number| {
                // Every request changes something: first all users are deactivated, then activated again.
                let body = patch_body("replace", "active", Value::from(number / users.len() % 2 == 1));
                to.request("PATCH", &format!("/Users/{}", users[at(number)]), Some(&body))
            }),
        ),
        many(
            CREATE,
            CREATES,
            (201, "userName"),
            Box::new(move |number| to.request("POST", "/Users", Some(&user(10_000_000 + number)))),
        ),
    ]
}

/// Requests on groups, whose cost must not depend on the number of members. `spare` are users without groups.
pub(crate) fn on_groups<'a>(to: &'a Endpoint, groups: &'a Groups, spare: &'a [String]) -> Vec<Workload<'a>> {
    let add = move |name, group: Box<dyn Fn(usize) -> &'a str + Sync + 'a>| Workload {
        name,
        connections: 1,
        requests: ADDS,
        expected: (200, ""),
        make: Box::new(move |number| add_member(to, group(number), &spare[number])),
    };
    let read = move |name, group: &'a str| Workload {
        name,
        connections: CONNECTIONS,
        requests: READS,
        expected: (200, "displayName"),
        make: Box::new(move |_| to.request("GET", &format!("/Groups/{group}?excludedAttributes=members"), None)),
    };
    let large = |workload: Workload<'a>| Workload { expected: (204, ""), ..workload };
    vec![
        add(ADD_TO_0, Box::new(|number| &groups.empty[number + 1])),
        large(add(ADD_TO_10K, Box::new(|_| &groups.of_10k))),
        large(add(ADD_TO_100K, Box::new(|_| &groups.of_100k))),
        read(GROUP_10K, &groups.of_10k),
        read(GROUP_100K, &groups.of_100k),
    ]
}

fn add_member(to: &Endpoint, group: &str, member: &str) -> Vec<u8> {
    let body = patch_body("add", "members", json!([{"value": member}]));
    to.request("PATCH", &format!("/Groups/{group}"), Some(&body))
}

/// Adds all these members to one empty group over independent connections; returns how many accepted adds are lost.
pub(crate) fn lost_adds(to: &Endpoint, group: &str, members: &[String]) -> Result<u32> {
    for (range, status) in [(0..100, 200), (100..members.len(), 204)] {
        to.drive(CONNECTIONS, range, (status, ""), &|number| add_member(to, group, &members[number]))?;
    }
    let (status, body) = to.ask(&to.request("GET", &format!("/Groups/{group}"), None))?;
    ensure!(status == 200, "the group answers {status}");
    let body: Value = serde_json::from_slice(&body)?;
    let found = body["members"].as_array().map_or(0, Vec::len);
    Ok(u32::try_from(members.len().saturating_sub(found))?)
}
