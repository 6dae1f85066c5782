//! The consumer of the documentation, during random changes with pauses, purges, kills and a restore.

#[path = "../../../docs/reference_consumer.rs"]
#[expect(unreachable_pub, reason = "the file is a module of an application")]
mod consumer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::consumer::{Copy, Record, Server};
use super::directory::all;
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{ENTERPRISE, group, operation, removal, user_with};

/// Changes in a normal test run. `CONSUMER_CHANGES` sets another number.
const CHANGES: u64 = 600;

impl Server for Caller {
    fn get(&mut self, path: &str) -> (u16, Value) {
        let reply = Caller::get(self, path);
        (reply.status, reply.json)
    }
}

/// Random numbers with a seed: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick(&mut self, ids: &BTreeSet<String>) -> Option<String> {
        let count = u64::try_from(ids.len()).unwrap();
        (count > 0).then(|| ids.iter().nth(usize::try_from(self.below(count)).unwrap()).unwrap().clone())
    }
}

/// Restores one of the deleted users and groups, if there is any.
fn restore_any(operator: &Caller, provider: &mut Provider, random: &mut Random) {
    let path = format!("{CONFIGURATIONS}/{}/deleted", provider.client.id);
    let deleted = all(operator, &path, "");
    if deleted.is_empty() {
        return;
    }
    let one = &deleted[usize::try_from(random.below(deleted.len() as u64)).unwrap()];
    let id = one["id"].as_str().unwrap();
    operator.post(&format!("{path}/{id}/restore"), &json!({})).answered(200);
    let ids = if one["resourceType"] == "User" { &mut provider.users } else { &mut provider.groups };
    ids.insert(id.to_owned());
}

/// A configuration with the users and groups that its provider created.
struct Provider {
    client: Client,
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    is_paused: bool,
}

struct Scene {
    app: Option<App>,
    operator: Caller,
    providers: Vec<Provider>,
    copy: Copy,
    /// A second copy, which is made from the lists of changes.
    reconciled: Copy,
    random: Random,
}

impl Scene {
    fn start(data: &Path, seed: u64) -> Self {
        let app = App::start(data);
        let operator = app.operator();
        let (copy, reconciled) = (Copy::default(), Copy::default());
        let mut scene =
            Self { app: Some(app), operator, providers: Vec::new(), copy, reconciled, random: Random(seed) };
        for _ in 0..2 {
            let provider = scene.new_provider();
            scene.providers.push(provider);
        }
        scene
    }

    fn new_provider(&self) -> Provider {
        let client = self.operator.configuration("copied", "other");
        Provider { client, users: BTreeSet::new(), groups: BTreeSet::new(), is_paused: false }
    }

    /// Kills the server and starts it again.
    fn restart(&mut self, between: impl FnOnce(&Path)) {
        let app = self.app.take().unwrap();
        let data = app.data.clone();
        app.kill();
        between(&data);
        let app = App::start(&data);
        self.operator.address = app.address;
        for provider in &mut self.providers {
            provider.client.address = app.address;
        }
        self.app = Some(app);
    }

    /// One random change.
    fn change(&mut self, number: u64) {
        let at = usize::try_from(self.random.below(2)).unwrap();
        let (kind, random, operator) = (self.random.below(100), &mut self.random, &self.operator);
        let provider = &mut self.providers[at];
        let client = provider.client.clone();
        let configuration = format!("{CONFIGURATIONS}/{}", client.id);
        match kind {
            0..30 => {
                let more = json!({"active": true, "displayName": format!("User {number}")});
                provider.users.insert(client.created("/Users", &user_with(&format!("u{number}"), &more)));
            }
            30..36 => {
                let members: Vec<String> = (0..3).filter_map(|_| random.pick(&provider.users)).collect();
                let members: Vec<&str> = members.iter().map(String::as_str).collect();
                provider.groups.insert(client.created("/Groups", &group(&format!("g{number}"), &members)));
            }
            36..60 => {
                let Some(id) = random.pick(&provider.users) else { return };
                let body = change_user(random, number);
                client.patch(&format!("/Users/{id}"), &body).answered(200);
            }
            60..80 => {
                let (Some(id), Some(user)) = (random.pick(&provider.groups), random.pick(&provider.users)) else {
                    return;
                };
                let body = match random.below(4) {
                    0 => operation("replace", "displayName", &json!(format!("Group {number}"))),
                    1 => removal(&format!("members[value eq \"{user}\"]")),
                    _ => operation("add", "members", &json!([{"value": user}])),
                };
                client.patch(&format!("/Groups/{id}"), &body).answered(200);
            }
            80..84 => restore_any(operator, provider, random),
            84..92 => {
                let Some(id) = random.pick(&provider.users) else { return };
                client.delete(&format!("/Users/{id}")).answered(204);
                provider.users.remove(&id);
            }
            92..95 => {
                let Some(id) = random.pick(&provider.groups) else { return };
                client.delete(&format!("/Groups/{id}")).answered(204);
                provider.groups.remove(&id);
            }
            95..99 => {
                provider.is_paused = !provider.is_paused;
                let body = json!({"syncToUserManagement": !provider.is_paused});
                operator.patch(&configuration, &body).answered(204);
            }
            _ => {
                operator.delete(&format!("{configuration}?purge=true")).answered(204);
                self.providers[at] = self.new_provider();
            }
        }
    }

    fn update_copies(&mut self) {
        self.copy.update(&mut self.operator);
        self.reconciled.reconcile(&mut self.operator);
    }

    /// Waits until the copies equal the lists: the server can still publish or purge in steps.
    #[track_caller]
    fn check(&mut self) {
        let begun = Instant::now();
        loop {
            self.update_copies();
            let listed = self.list();
            let copies = [&self.copy, &self.reconciled].map(|copy| (strip(&copy.users), strip(&copy.groups)));
            if copies.iter().all(|copy| *copy == listed) {
                return;
            }
            if begun.elapsed() > Duration::from_mins(1) {
                let [applied, reconciled] = copies;
                assert_eq!(applied, listed, "of the feed");
                assert_eq!(reconciled, listed, "of the lists of changes");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn list(&self) -> (BTreeMap<String, Record>, BTreeMap<String, Record>) {
        let read = |list: &str| -> BTreeMap<String, Record> {
            let items = all(&self.operator, &format!("/directory/resources/v1/{list}"), "&limit=1000");
            let attributes = |item: &Value| item["resource"].as_object().unwrap().clone();
            let record = |item: &Value| Record { attributes: attributes(item), ..Record::default() };
            items.iter().map(|item| (item["id"].as_str().unwrap().to_owned(), record(item))).collect()
        };
        let (users, mut groups) = (read("users"), read("groups"));
        for (id, record) in &mut groups {
            let members = all(&self.operator, &format!("/directory/resources/v1/groups/{id}/members"), "&limit=1000");
            record.members = members.iter().map(|member| member["id"].as_str().unwrap().to_owned()).collect();
        }
        (users, groups)
    }

    /// Reads the users and groups of the providers again, after a restore.
    fn reload_providers(&mut self) {
        for at in 0..self.providers.len() {
            let configuration = format!("{CONFIGURATIONS}/{}", self.providers[at].client.id);
            let found = self.operator.get(&configuration);
            if found.status == 404 {
                // It was created after the backup.
                self.providers[at] = self.new_provider();
                continue;
            }
            let ids = |endpoint: &str| -> BTreeSet<String> {
                let found = all(&self.operator, &format!("{configuration}/{endpoint}"), "");
                found.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
            };
            let (users, groups) = (ids("users"), ids("groups"));
            let provider = &mut self.providers[at];
            (provider.users, provider.groups) = (users, groups);
            provider.is_paused = found.answered(200).json["syncToUserManagement"] == false;
        }
    }
}

/// The records without their versions: the version of a group also increases without an event.
fn strip(records: &BTreeMap<String, Record>) -> BTreeMap<String, Record> {
    records.iter().map(|(id, record)| (id.clone(), Record { version: 0, ..record.clone() })).collect()
}

fn change_user(random: &mut Random, number: u64) -> Value {
    match random.below(6) {
        0 => operation("replace", "active", &json!(random.below(2) == 0)),
        1 => operation("replace", "displayName", &json!(format!("Name {number}"))),
        2 => operation("add", &format!("{ENTERPRISE}:department"), &json!(format!("D{number}"))),
        3 => operation("add", &format!("{ENTERPRISE}:division"), &json!(format!("V{number}"))),
        4 => removal(&format!("{ENTERPRISE}:department")),
        _ => operation("replace", "title", &json!(format!("T{number}"))),
    }
}

#[test]
fn the_copy_of_the_reference_consumer_equals_the_lists_after_random_changes() {
    let changes = std::env::var("CONSUMER_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(CHANGES);
    let seed = std::env::var("CONSUMER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    eprintln!("CONSUMER_SEED={seed} CONSUMER_CHANGES={changes}");
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = backups.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    let mut scene = Scene::start(data.path(), seed);
    let (check_every, kill_every) = ((changes / 30).max(1), (changes / 6).max(1));
    for number in 1..=changes {
        scene.change(number);
        if scene.random.below(10) == 0 {
            // In the middle of a catch-up or a purge.
            scene.update_copies();
        }
        if number % kill_every == 0 {
            scene.restart(|_| ());
        }
        if number % check_every == 0 {
            scene.check();
        }
        if number == changes / 2 {
            scene.app.as_ref().unwrap().succeeds(&["backup", backup]);
        }
        if number == changes / 2 + changes / 60 {
            // Events that the backup does not contain were read: the position cannot be continued.
            scene.update_copies();
            scene.restart(|data| {
                let restored = crate::app::rollcall(data, &["restore", "--force", backup]);
                assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
            });
            scene.reload_providers();
            scene.check();
        }
    }
    scene.check();
    assert!(!scene.copy.users.is_empty());
}

#[test]
fn a_membership_restored_during_the_first_load_is_in_the_copy() {
    let mut copy = Copy::default();
    // The list of users was read before the user was deleted and restored, the group and its members were read after it.
    copy.users.insert("ada".to_owned(), Record { version: 1, ..Record::default() });
    let members = BTreeSet::from(["ada".to_owned()]);
    copy.groups.insert("team".to_owned(), Record { version: 9, members, ..Record::default() });
    for (kind, id, version, data) in [
        ("user.deleted", "ada", 2, json!({"before": {}})),
        ("user.restored", "ada", 3, json!({"after": {"userName": "ada"}})),
        ("group.member_added", "team", 8, json!({"members": [{"value": "ada"}]})),
    ] {
        copy.apply(&json!({"kind": kind, "resourceId": id, "version": version, "data": data}));
    }
    assert!(copy.groups["team"].members.contains("ada"), "{copy:?}");
    assert_eq!(copy.groups["team"].version, 9);
}
