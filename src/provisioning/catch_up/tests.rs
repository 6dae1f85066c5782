//! Pauses and catch-up from the view of a feed consumer: fixed scenarios and property tests.

mod change_lists;
mod holds;
mod safety_net;
mod undos;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::management::configuration_lifecycle;
use crate::model::account::AccountFilter;
use crate::model::audit_context::AuditContext;
use crate::model::event::{Event, EventContent};
use crate::provisioning::catch_up::*;
use crate::provisioning::directory::{self, DirectoryQuery, DirectoryScope};
use crate::provisioning::large_changes::steps;
use crate::provisioning::resources::{self, ResourceWrite};
use crate::provisioning::tests::{create_in_store, open_store_with_configuration};
use crate::provisioning::tombstones::{self, DeletedFilter, restore};
use crate::provisioning::{Scope, deletion, patches, purge};
use crate::scim::patch;
use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use crate::store::Store;
use crate::store::engine::integrity::{CheckDepth, check_database};
use crate::store::tables::directory::DirectoryFilter;
use crate::store::tables::events as rows;
use crate::store::tables::events::{EventsLimit, EventsQuery};
use crate::store::tables::membership_events;

const UNLIMITED: EventsLimit = EventsLimit { count: 100_000, bytes: usize::MAX };

/// One configuration in its own store, and a consumer of its events.
struct Fixture {
    store: Store,
    id: String,
    scope: Scope,
    consumer: Consumer,
    folder: tempfile::TempDir,
}

/// The state of an application that applies each event of the feed in order and rejects inconsistent events.
#[derive(Debug, Default, PartialEq)]
struct Consumer {
    seen: i64,
    /// The version of each resource that an event reported.
    versions: BTreeMap<String, i64>,
    users: BTreeMap<String, Map<String, Value>>,
    groups: BTreeMap<String, Map<String, Value>>,
    members: BTreeSet<(String, String)>,
}

impl Consumer {
    /// A consumer without resources that has read the same events.
    fn without_state(&self) -> Self {
        Self { seen: self.seen, versions: self.versions.clone(), ..Self::default() }
    }

    fn contains(&self, id: &str) -> bool {
        self.users.contains_key(id) || self.groups.contains_key(id)
    }

    fn apply(&mut self, event: &Event) {
        assert!(event.seq > self.seen, "{event:?}");
        self.seen = event.seq;
        let Some(id) = &event.resource_id else { return };
        let version = EventContent::from_payload(event.payload.clone()).version.unwrap();
        let known = self.versions.insert(id.clone(), version);
        assert!(known.is_none_or(|known| known <= version), "{event:?}");
        assert!(known.is_none_or(|known| known < version || !event.kind.ends_with("restored")), "{event:?}");
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        let (resource, action) = event.kind.split_once('.').unwrap();
        let all = if resource == "user" { &mut self.users } else { &mut self.groups };
        match action {
            "created" | "restored" => {
                let after = payload["after"].as_object().unwrap().clone();
                assert!(all.insert(id.clone(), after).is_none(), "{event:?}");
            }
            "updated" | "deactivated" | "reactivated" => {
                let attributes = all.get_mut(id).unwrap_or_else(|| panic!("{event:?}"));
                for path in payload["changed"].as_array().unwrap() {
                    let path = path.as_str().unwrap();
                    assert_eq!(attributes.get(path), payload["before"].get(path), "{event:?}");
                    attributes.remove(path);
                    if let Some(value) = payload["after"].get(path) {
                        attributes.insert(path.to_owned(), value.clone());
                    }
                }
            }
            "deleted" => {
                assert!(all.remove(id).is_some(), "{event:?}");
                // A purge appends no events for the memberships of the purged resources.
                let is_purge = event.payload.ends_with(&format!("{}}}", rows::PURGED));
                self.members.retain(|(group, member)| group != id && !(is_purge && member == id));
                assert!(!self.members.iter().any(|(_, member)| member == id), "{event:?}");
            }
            "member_added" | "member_removed" => {
                for member in payload["members"].as_array().unwrap() {
                    let edge = (id.clone(), member["value"].as_str().unwrap().to_owned());
                    assert!(self.contains(&edge.0) && self.contains(&edge.1), "{event:?}");
                    let changed =
                        if action == "member_added" { self.members.insert(edge) } else { self.members.remove(&edge) };
                    assert!(changed, "{event:?}");
                }
            }
            _ => panic!("{event:?}"),
        }
    }
}

impl Fixture {
    fn new() -> Self {
        let (folder, store, scope) = open_store_with_configuration();
        let id = scope.configuration_id.to_string();
        Self { store, id, scope, consumer: Consumer::default(), folder }
    }

    /// Writes with a savepoint.
    fn write<T: Send + 'static>(
        &self,
        mut job: impl FnMut(&Tx<'_>, &Scope) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let scope = self.scope.clone();
        self.store.write_blocking(move |tx| job(tx, &scope))
    }

    /// Writes as the handlers of identity providers do.
    fn write_without_savepoint<T: Send + 'static>(
        &self,
        mut job: impl FnMut(&Tx<'_>, &Scope) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let scope = self.scope.clone();
        self.store.write_blocking_without_savepoint(move |tx| job(tx, &scope))
    }

    fn create(&self, resource_type: &'static ResourceType, body: &Value) -> Result<String> {
        create_in_store(&self.store, &self.scope, resource_type, body)
    }

    fn user(&self, name: &str) -> String {
        let emails = json!([{"value": format!("{name}@example.com")}]);
        let body = json!({"schemas": [USER_TYPE.schema.id], "userName": name, "active": true, "emails": emails});
        self.create(&USER_TYPE, &body).unwrap()
    }

    fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": name, "members": members});
        self.create(&GROUP_TYPE, &body).unwrap()
    }

    fn patch(&self, resource_type: &'static ResourceType, id: &str, operation: &Value) -> Result<()> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]
        });
        let edits = patch::parse_patch(&body, resource_type, resources::build_rules(&self.scope))?;
        let id = id.to_owned();
        self.write_without_savepoint(move |tx, scope| {
            patches::patch_resource(tx, &ResourceWrite::new(scope, resource_type, &id), &edits).map(drop)
        })
    }

    fn delete(&self, resource_type: &'static ResourceType, id: &str) {
        let id = id.to_owned();
        let delete = move |tx: &Tx<'_>, scope: &Scope| {
            deletion::delete_resource(tx, &ResourceWrite::new(scope, resource_type, &id))
        };
        let started = self.write_without_savepoint(delete).unwrap();
        while let Some(key) = started
            && !self.write(move |tx, _| steps::run_change_step(tx, key)).unwrap()
        {}
    }

    /// Restores one of the deleted resources, if there is any.
    fn restore(&self, number: usize) {
        let scope = &self.scope;
        let list = |at: &Snapshot<'_>| {
            let selected = (crate::clock::current_millis(), 1_000);
            tombstones::list_restorable(at, scope.configuration, &DeletedFilter::default(), selected)
        };
        let deleted = self.store.read_inline(list).unwrap().items;
        if deleted.is_empty() {
            return;
        }
        let id = deleted[number % deleted.len()].id.clone();
        let restored = self.write(move |tx, scope| restore::restore_resource(tx, scope, &id)).unwrap();
        while let Some(key) = restored.pending
            && !self.write(move |tx, _| steps::run_change_step(tx, key)).unwrap()
        {}
    }

    fn sync(&self, sync: bool) {
        let id = self.id.clone();
        self.write(move |tx, _| crate::management::configurations::set_sync(tx, &AuditContext::server(), &id, sync))
            .unwrap();
    }

    /// Runs one catch-up step. Returns false if there was nothing to do.
    fn step(&self, limit: usize) -> bool {
        let pending = self.store.read_inline(|at| find_next_pending(at, 0)).unwrap();
        let Some(pending) = pending else { return false };
        self.write(move |tx, _| catch_up(tx, &pending, limit)).unwrap();
        true
    }

    /// Applies the new events of the feed and returns their kinds.
    fn feed(&mut self) -> Vec<String> {
        let seen = self.consumer.seen;
        let read = self
            .store
            .read_inline(|at| rows::list_published_events(at, &EventsQuery::default(), seen, i64::MAX, UNLIMITED));
        let (events, _) = read.unwrap();
        for event in &events {
            self.consumer.apply(event);
        }
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The published state, in the form of a consumer.
    fn published(&self) -> Consumer {
        let mut state = self.consumer.without_state();
        let scope = DirectoryScope { account: Some(AccountFilter::WithId("acme".into())), configuration: None };
        for resource_type in [&*USER_TYPE, &*GROUP_TYPE] {
            let mut cursor = None;
            loop {
                let (filter, from) = (DirectoryFilter::default(), cursor.clone());
                let page = self
                    .store
                    .read_inline(|at| {
                        let (resource_type, cursor) = (&*resource_type.name, from.as_ref());
                        let query = DirectoryQuery { resource_type, filter: &filter, cursor, limit: 3 };
                        directory::list_published(at, &scope, &query)
                    })
                    .unwrap();
                for found in page.items {
                    let all = if resource_type.name == "User" { &mut state.users } else { &mut state.groups };
                    let body = serde_json::from_str(&found.stored.body).unwrap();
                    assert!(all.insert(found.stored.id, body).is_none());
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        for group in state.groups.keys().cloned().collect::<Vec<_>>() {
            let mut cursor = None;
            loop {
                let from = cursor.clone();
                let page = self
                    .store
                    .read_inline(|at| directory::list_published_members(at, None, &group, from.as_ref(), 2))
                    .unwrap();
                state.members.extend(page.items.into_iter().map(|member| (group.clone(), member.id)));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        state
    }

    /// The current state, from the rows.
    fn current(&self) -> Consumer {
        let mut state = self.consumer.without_state();
        let scope = DirectoryScope { account: None, configuration: Some(self.id.clone()) };
        let read = |resource_type: &str| {
            let page = |at: &Snapshot<'_>| {
                let filter = &DirectoryFilter::default();
                let query = DirectoryQuery { resource_type, filter, cursor: None, limit: 1_000 };
                directory::list_current(at, &scope, &query)
            };
            let page = self.store.read_inline(page).unwrap();
            page.items
                .into_iter()
                .map(|found| (found.stored.id, serde_json::from_str(&found.stored.body).unwrap()))
                .collect()
        };
        (state.users, state.groups) = (read("User"), read("Group"));
        for group in state.groups.keys() {
            let page =
                self.store.read_inline(|at| directory::list_current_members(at, &scope, group, None, 1_000)).unwrap();
            state.members.extend(page.items.into_iter().map(|member| (group.clone(), member.id)));
        }
        state
    }

    #[track_caller]
    fn check_consumer(&mut self) {
        self.feed();
        assert_eq!(self.published(), self.consumer);
    }
}

#[test]
fn the_end_of_a_pause_publishes_only_the_net_difference() {
    let mut fixture = Fixture::new();
    let (stays, goes) = (fixture.user("stays"), fixture.user("goes"));
    let group = fixture.group("Team", &[&stays, &goes]);
    fixture.feed();
    fixture.sync(false);
    assert_eq!(fixture.feed(), ["configuration.updated"]);

    let rename = json!({"op": "replace", "path": "nickName", "value": "S"});
    fixture.patch(&USER_TYPE, &stays, &rename).unwrap();
    let passing = fixture.user("passing");
    fixture
        .patch(&GROUP_TYPE, &group, &json!({"op": "add", "path": "members", "value": [{"value": passing}]}))
        .unwrap();
    fixture.delete(&USER_TYPE, &passing);
    fixture.delete(&USER_TYPE, &goes);
    let new = fixture.user("new");
    fixture.patch(&GROUP_TYPE, &group, &json!({"op": "add", "path": "members", "value": [{"value": new}]})).unwrap();
    assert_eq!(fixture.feed(), Vec::<String>::new());
    fixture.check_consumer();

    fixture.sync(true);
    assert_eq!(
        fixture.feed(),
        [
            "configuration.updated",
            "group.member_removed",
            "user.deleted",
            "user.updated",
            "user.created",
            "group.member_added"
        ]
    );
    assert_eq!(fixture.published(), fixture.consumer);
    assert_eq!(fixture.current(), fixture.consumer);
    assert!(!fixture.step(CHANGES_PER_STEP));
}

#[test]
fn changes_that_are_reverted_during_a_pause_are_not_published() {
    let mut fixture = Fixture::new();
    let user = fixture.user("ada");
    let group = fixture.group("Team", &[&user]);
    fixture.feed();
    fixture.sync(false);
    for active in [false, true] {
        fixture.patch(&USER_TYPE, &user, &json!({"op": "replace", "path": "active", "value": active})).unwrap();
    }
    for op in ["remove", "add"] {
        let edit = json!({"op": op, "path": "members", "value": [{"value": user}]});
        fixture.patch(&GROUP_TYPE, &group, &edit).unwrap();
    }
    fixture.sync(true);
    assert_eq!(fixture.feed(), ["configuration.updated", "configuration.updated"]);
}

#[test]
fn a_deletion_that_is_restored_in_the_same_pause_is_not_published() {
    let mut fixture = Fixture::new();
    let user = fixture.user("ada");
    let group = fixture.group("Team", &[&user]);
    fixture.feed();
    fixture.sync(false);
    fixture.delete(&USER_TYPE, &user);
    fixture.delete(&GROUP_TYPE, &group);
    // The user first: its membership returns with the group.
    fixture.restore(1);
    fixture.restore(0);
    fixture.sync(true);
    assert_eq!(fixture.feed(), ["configuration.updated", "configuration.updated"]);
    assert_eq!(fixture.current(), fixture.consumer);
    // A published deletion is published again as a creation.
    fixture.delete(&USER_TYPE, &user);
    fixture.sync(false);
    fixture.restore(0);
    assert_eq!(fixture.feed(), ["group.member_removed", "user.deleted", "configuration.updated"]);
    fixture.sync(true);
    assert_eq!(fixture.feed(), ["configuration.updated", "user.created", "group.member_added"]);
    assert_eq!(fixture.current(), fixture.consumer);
}

#[test]
fn a_rejected_change_holds_nothing() {
    let mut fixture = Fixture::new();
    let (one, _) = (fixture.user("one"), fixture.user("two"));
    fixture.feed();
    fixture.sync(false);
    let conflict = json!({"op": "replace", "path": "userName", "value": "two"});
    assert!(matches!(fixture.patch(&USER_TYPE, &one, &conflict), Err(error) if error.status() == 409));
    fixture.sync(true);
    assert_eq!(fixture.feed(), ["configuration.updated", "configuration.updated"]);
}

#[test]
fn a_write_during_the_deletion_of_the_configuration_is_rejected() {
    let fixture = Fixture::new();
    let user = fixture.user("ada");
    let id = fixture.id.clone();
    fixture
        .write(move |tx, _| configuration_lifecycle::delete_configuration(tx, &AuditContext::server(), &id))
        .unwrap();
    let body = json!({"schemas": [USER_TYPE.schema.id], "userName": "late"});
    assert!(matches!(fixture.create(&USER_TYPE, &body), Err(error) if error.status() == 401));
    let late = fixture.write_without_savepoint(move |tx, scope| {
        deletion::delete_resource(tx, &ResourceWrite::new(scope, &USER_TYPE, &user)).map(drop)
    });
    assert!(matches!(late, Err(error) if error.status() == 401));
}

/// The next action of an identity provider or the operator. Numbers select among the existing resources.
#[derive(Debug, Clone)]
enum Act {
    CreateUser,
    CreateGroup(usize),
    Rename(usize),
    Switch(usize, bool),
    DeleteUser(usize),
    DeleteGroup(usize),
    Join(usize, usize),
    Nest(usize, usize),
    Leave(usize, usize),
    Restore(usize),
    Sync(bool),
    Step(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let number = 0..1_000_usize;
    prop_oneof![
        3 => Just(Act::CreateUser),
        2 => number.clone().prop_map(Act::CreateGroup),
        3 => number.clone().prop_map(Act::Rename),
        2 => (number.clone(), any::<bool>()).prop_map(|(user, to)| Act::Switch(user, to)),
        2 => number.clone().prop_map(Act::DeleteUser),
        1 => number.clone().prop_map(Act::DeleteGroup),
        4 => (number.clone(), number.clone()).prop_map(|(group, user)| Act::Join(group, user)),
        1 => (number.clone(), number.clone()).prop_map(|(group, other)| Act::Nest(group, other)),
        3 => (number.clone(), number.clone()).prop_map(|(group, user)| Act::Leave(group, user)),
        3 => number.prop_map(Act::Restore),
        3 => any::<bool>().prop_map(Act::Sync),
        3 => (1..5_usize).prop_map(Act::Step),
    ]
}

fn pick(from: &BTreeMap<String, Map<String, Value>>, number: usize) -> Option<String> {
    if from.is_empty() { None } else { from.keys().nth(number % from.len()).cloned() }
}

impl Fixture {
    fn act(&self, turn: usize, act: &Act) -> Option<()> {
        let now = self.current();
        let edit = |group: &str, op: &str, member: &str| {
            // A group as a member of itself is rejected, which changes nothing.
            let members = json!({"op": op, "path": "members", "value": [{"value": member}]});
            let _ = self.patch(&GROUP_TYPE, group, &members);
        };
        match act {
            Act::CreateUser => drop(self.user(&format!("user {turn}"))),
            Act::CreateGroup(user) => {
                let member = pick(&now.users, *user);
                self.group(&format!("Group {turn}"), &member.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Act::Rename(user) => {
                let rename = json!({"op": "replace", "path": "displayName", "value": format!("Name {}", turn % 2)});
                self.patch(&USER_TYPE, &pick(&now.users, *user)?, &rename).unwrap();
            }
            Act::Switch(user, to) => {
                let switch = json!({"op": "replace", "path": "active", "value": to});
                self.patch(&USER_TYPE, &pick(&now.users, *user)?, &switch).unwrap();
            }
            Act::DeleteUser(user) => self.delete(&USER_TYPE, &pick(&now.users, *user)?),
            Act::DeleteGroup(group) => self.delete(&GROUP_TYPE, &pick(&now.groups, *group)?),
            Act::Join(group, user) => edit(&pick(&now.groups, *group)?, "add", &pick(&now.users, *user)?),
            Act::Nest(group, other) => edit(&pick(&now.groups, *group)?, "add", &pick(&now.groups, *other)?),
            Act::Leave(group, user) => edit(&pick(&now.groups, *group)?, "remove", &pick(&now.users, *user)?),
            Act::Restore(number) => self.restore(*number),
            Act::Sync(sync) => {
                let (id, sync) = (self.id.clone(), *sync);
                // This call publishes nothing itself, so that held changes remain for the steps.
                let switch = move |tx: &Tx<'_>, _: &Scope| {
                    let key = crate::management::configurations::find_configuration_by_id(tx, &id)?.key;
                    crate::store::tables::configurations::set_sync(tx, key, sync)
                };
                self.write(switch).unwrap();
            }
            Act::Step(limit) => drop(self.step(*limit)),
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// After every action the published pages match the applied events, every event is consistent with the events
    /// before it, and after catch-up both match the current state.
    #[test]
    fn the_feed_and_the_published_pages_agree(acts in prop::collection::vec(act(), 1..60)) {
        let mut fixture = Fixture::new();
        for (turn, act) in acts.iter().enumerate() {
            fixture.act(turn, act);
            fixture.check_consumer();
        }
        fixture.act(0, &Act::Sync(true));
        while fixture.step(3) {
            fixture.check_consumer();
        }
        fixture.feed();
        prop_assert_eq!(&fixture.current(), &fixture.consumer);
        prop_assert_eq!(fixture.published(), fixture.current());
        let findings = check_database(fixture.folder.path(), CheckDepth::Deep).unwrap();
        prop_assert_eq!(findings, Vec::<String>::new());
    }

    /// A purge publishes the deletion of every published resource, and of no other.
    #[test]
    fn a_purge_removes_all_resources_of_a_consumer(acts in prop::collection::vec(act(), 1..30), limit in 1..6_usize) {
        let mut fixture = Fixture::new();
        for (turn, act) in acts.iter().enumerate() {
            fixture.act(turn, act);
        }
        fixture.check_consumer();
        let id = fixture.id.clone();
        fixture.write(move |tx, _| {
            let deleted = configuration_lifecycle::delete_configuration(tx, &AuditContext::server(), &id)?;
            crate::store::tables::purge::begin_purge(tx, deleted.configuration.key)
        }).unwrap();
        while let Some(purging) = fixture.store.read_inline(purge::find_next_purge).unwrap() {
            fixture.write(move |tx, _| purge::run_purge_step(tx, &purging, limit)).unwrap();
            fixture.feed();
            // The memberships of a group are removed before its deletion is reported.
            let published = fixture.published();
            prop_assert_eq!((&published.users, &published.groups), (&fixture.consumer.users, &fixture.consumer.groups));
            prop_assert!(published.members.is_subset(&fixture.consumer.members));
        }
        prop_assert_eq!(&fixture.consumer.users, &BTreeMap::new());
        prop_assert_eq!(&fixture.consumer.groups, &BTreeMap::new());
        prop_assert!(fixture.consumer.members.is_empty(), "{:?}", fixture.consumer.members);
        prop_assert_eq!(fixture.store.read_inline(held_changes::count_emails).unwrap(), 0);
        prop_assert_eq!(fixture.store.read_inline(membership_events::count_memberships).unwrap(), 0);
        let events = fixture.store.read_inline(|at| rows::list_events_after(at, 0, 100_000)).unwrap();
        for event in events.iter().filter(|event| event.resource_id.is_some()) {
            let content = EventContent::from_payload(event.payload.clone());
            let expected = [crate::model::event::REDACTED, rows::PURGED].map(|member| format!("{{{member}}}"));
            prop_assert!(expected.contains(&content.data), "{:?}", event);
            prop_assert!(content.version.is_some_and(|version| version > 0), "{:?}", event);
        }
    }
}
