//! Pauses as a consumer of the feed lives through them, played and random.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::clock;
use crate::directory::configurations::{self, Content, NewConfiguration};
use crate::directory::people::{self, Whose};
use crate::directory::resources::{self, Prepared};
use crate::directory::tokens::TokenDraft;
use crate::directory::{Scope, leftovers};
use crate::error::Result;
use crate::model::actor::By;
use crate::model::configuration::Source;
use crate::model::event::Event;
use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use crate::scim::{patch, validate};
use crate::secret::Token;
use crate::store::events::{self as rows, Wanted};
use crate::store::people::Filter;
use crate::store::{Access, Store, Undo};

/// One configuration on a store of its own, and a consumer of its events.
struct Fixture {
    store: Store,
    id: String,
    scope: Scope,
    consumer: Consumer,
    _folder: tempfile::TempDir,
}

/// What an application knows that applies each event of the feed as it comes, and refuses what makes no sense.
#[derive(Debug, Default, PartialEq)]
struct Consumer {
    seen: i64,
    users: BTreeMap<String, Map<String, Value>>,
    groups: BTreeMap<String, Map<String, Value>>,
    members: BTreeSet<(String, String)>,
}

impl Consumer {
    fn knows(&self, id: &str) -> bool {
        self.users.contains_key(id) || self.groups.contains_key(id)
    }

    fn apply(&mut self, event: &Event) {
        assert!(event.seq > self.seen, "{event:?}");
        self.seen = event.seq;
        let Some(id) = &event.resource_id else { return };
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        let (of, what) = event.kind.split_once('.').unwrap();
        let all = if of == "user" { &mut self.users } else { &mut self.groups };
        match what {
            "created" => {
                let after = payload["after"].as_object().unwrap().clone();
                assert!(all.insert(id.clone(), after).is_none(), "{event:?}");
            }
            "updated" | "deactivated" | "reactivated" => {
                let known = all.get_mut(id).unwrap_or_else(|| panic!("{event:?}"));
                for path in payload["changed"].as_array().unwrap() {
                    let path = path.as_str().unwrap();
                    // An update that switches `active` as well has told it already.
                    if what == "updated" {
                        assert_eq!(known.get(path), payload["before"].get(path), "{event:?}");
                    }
                    known.remove(path);
                    if let Some(value) = payload["after"].get(path) {
                        known.insert(path.to_owned(), value.clone());
                    }
                }
            }
            "deleted" => {
                assert!(all.remove(id).is_some(), "{event:?}");
                // A purge does not tell memberships apart from those who had them.
                let is_purge = event.payload == rows::PURGED;
                self.members.retain(|(group, member)| group != id && !(is_purge && member == id));
                assert!(!self.members.iter().any(|(_, member)| member == id), "{event:?}");
            }
            "member_added" | "member_removed" => {
                for member in payload["members"].as_array().unwrap() {
                    let edge = (id.clone(), member["value"].as_str().unwrap().to_owned());
                    assert!(self.knows(&edge.0) && self.knows(&edge.1), "{event:?}");
                    let moved =
                        if what == "member_added" { self.members.insert(edge) } else { self.members.remove(&edge) };
                    assert!(moved, "{event:?}");
                }
            }
            _ => panic!("{event:?}"),
        }
    }
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Command).unwrap();
        let token = Token::generate().unwrap();
        let new = NewConfiguration {
            id: clock::new_id(),
            account: "acme".into(),
            connection_name: None,
            source: Source::Other,
            provider: None,
            preset: None,
            sync: true,
            token: TokenDraft::new(clock::new_id(), &token, "first"),
        };
        let id = new.id.clone();
        let scope = store
            .write_blocking(Undo::Savepoint, move |tx| Scope::of(tx, configurations::create(tx, &By::server(), &new)?));
        Self { store, id, scope: scope.unwrap(), consumer: Consumer::default(), _folder: folder }
    }

    fn write<T: Send + 'static>(
        &self,
        undo: Undo,
        job: impl FnOnce(&Tx<'_>, &Scope) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let scope = self.scope.clone();
        self.store.write_blocking(undo, move |tx| job(tx, &scope))
    }

    fn create(&self, of: &'static ResourceType, body: &Value) -> Result<String> {
        let draft = validate::new_resource(body, of, resources::rules(&self.scope))?;
        let (prepared, id) = (Prepared::new(draft, of), clock::new_id());
        self.write(Undo::Unneeded, move |tx, scope| resources::create(tx, scope, of, &id, &prepared, -1))
            .map(|done| done.shown.stored.id)
    }

    fn user(&self, name: &str) -> String {
        self.create(&USER_TYPE, &json!({"schemas": [USER_TYPE.schema.id], "userName": name, "active": true})).unwrap()
    }

    fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": name, "members": members});
        self.create(&GROUP_TYPE, &body).unwrap()
    }

    fn patch(&self, of: &'static ResourceType, id: &str, operation: &Value) -> Result<()> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]
        });
        let edits = patch::read(&body, of, resources::rules(&self.scope))?;
        let id = id.to_owned();
        self.write(Undo::Unneeded, move |tx, scope| resources::patch(tx, scope, of, &id, None, &edits, -1).map(drop))
    }

    fn delete(&self, of: &'static ResourceType, id: &str) {
        let id = id.to_owned();
        self.write(Undo::Unneeded, move |tx, scope| resources::delete(tx, scope, of, &id, None)).unwrap();
    }

    fn sync(&self, sync: bool) {
        let id = self.id.clone();
        self.write(Undo::Savepoint, move |tx, _| configurations::set_sync(tx, &By::server(), &id, sync)).unwrap();
    }

    /// One step of catching up; false where there was nothing to do.
    fn step(&self, limit: usize) -> bool {
        let behind = self.store.read_inline(next_behind).unwrap();
        let Some(behind) = behind else { return false };
        self.write(Undo::Savepoint, move |tx, _| catch_up(tx, &behind, limit)).unwrap();
        true
    }

    /// Reads what is new in the feed; the kinds of the events.
    fn feed(&mut self) -> Vec<String> {
        let seen = self.consumer.seen;
        let read = self.store.read_inline(|at| rows::published(at, &Wanted::default(), seen, i64::MAX, 100_000));
        let events = read.unwrap();
        for event in &events {
            self.consumer.apply(event);
        }
        events.into_iter().map(|event| event.kind).collect()
    }

    /// What the published pages show, in the consumer's words.
    fn published(&self) -> Consumer {
        let mut known = Consumer { seen: self.consumer.seen, ..Consumer::default() };
        let whose = Whose { account: Some("acme".into()), configuration: None };
        for of in [&*USER_TYPE, &*GROUP_TYPE] {
            let mut mark = None;
            loop {
                let (filter, from) = (Filter::default(), mark.clone());
                let page =
                    self.store.read_inline(|at| people::page(at, &whose, &of.name, &filter, from.as_ref(), 3)).unwrap();
                for found in page.items {
                    let all = if of.name == "User" { &mut known.users } else { &mut known.groups };
                    let body = serde_json::from_str(&found.stored.body).unwrap();
                    assert!(all.insert(found.stored.id, body).is_none());
                }
                mark = page.next;
                if mark.is_none() {
                    break;
                }
            }
        }
        for group in known.groups.keys().cloned().collect::<Vec<_>>() {
            let mut mark = None;
            loop {
                let from = mark.clone();
                let page =
                    self.store.read_inline(|at| people::members(at, Some("acme"), &group, from.as_ref(), 2)).unwrap();
                known.members.extend(page.items.into_iter().map(|member| (group.clone(), member.id)));
                mark = page.next;
                if mark.is_none() {
                    break;
                }
            }
        }
        known
    }

    /// What is true, by the rows.
    fn current(&self) -> Consumer {
        let mut known = Consumer { seen: self.consumer.seen, ..Consumer::default() };
        let whose = Whose { account: None, configuration: Some(self.id.clone()) };
        let read = |of: &str| {
            let page = |at: &Snapshot<'_>| people::current_page(at, &whose, of, &Filter::default(), None, 1_000);
            let page = self.store.read_inline(page).unwrap();
            page.items
                .into_iter()
                .map(|found| (found.stored.id, serde_json::from_str(&found.stored.body).unwrap()))
                .collect()
        };
        (known.users, known.groups) = (read("User"), read("Group"));
        for group in known.groups.keys() {
            let page = self.store.read_inline(|at| people::current_members(at, &whose, group, None, 1_000)).unwrap();
            known.members.extend(page.items.into_iter().map(|member| (group.clone(), member.id)));
        }
        known
    }

    #[track_caller]
    fn agrees(&mut self) {
        self.feed();
        assert_eq!(self.published(), self.consumer);
    }
}

#[test]
fn a_pause_ends_in_the_net_difference_and_nothing_else() {
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
    fixture.agrees();

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
    assert!(!fixture.step(PER_STEP));
}

#[test]
fn what_is_as_before_when_the_pause_ends_is_not_told() {
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
fn a_refused_change_holds_nothing_and_spoils_no_neighbour() {
    let mut fixture = Fixture::new();
    let (one, _) = (fixture.user("one"), fixture.user("two"));
    fixture.feed();
    fixture.sync(false);
    let taken = json!({"op": "replace", "path": "userName", "value": "two"});
    assert!(matches!(fixture.patch(&USER_TYPE, &one, &taken), Err(Error::Scim(error)) if error.status == 409));
    fixture.sync(true);
    assert_eq!(fixture.feed(), ["configuration.updated", "configuration.updated"]);
}

#[test]
fn a_write_that_comes_in_while_the_configuration_goes_is_refused() {
    let fixture = Fixture::new();
    let user = fixture.user("ada");
    let id = fixture.id.clone();
    fixture.write(Undo::Savepoint, move |tx, _| configurations::delete(tx, &By::server(), &id, Content::Keep)).unwrap();
    let body = json!({"schemas": [USER_TYPE.schema.id], "userName": "late"});
    assert!(matches!(fixture.create(&USER_TYPE, &body), Err(Error::Scim(error)) if error.status == 401));
    let late = fixture.write(Undo::Unneeded, move |tx, scope| resources::delete(tx, scope, &USER_TYPE, &user, None));
    assert!(matches!(late, Err(Error::Scim(error)) if error.status == 401));
}

/// What an identity provider or the operator does next. Numbers choose among what there is.
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
        3 => (number.clone(), number).prop_map(|(group, user)| Act::Leave(group, user)),
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
            // A group in itself is refused; that is no change.
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
            Act::Sync(sync) => {
                let (id, sync) = (self.id.clone(), *sync);
                // Nothing is told in the call itself here, so that the steps have something to do.
                let switch = move |tx: &Tx<'_>, _: &Scope| {
                    let key = configurations::by_id(tx, &id)?.key;
                    crate::store::configurations::set_sync(tx, key, sync)
                };
                self.write(Undo::Savepoint, switch).unwrap();
            }
            Act::Step(limit) => drop(self.step(*limit)),
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// At every moment the published pages show what the feed has told, no event makes no sense to who has read those
    /// before it, and once all has been told both are what is true.
    #[test]
    fn the_feed_and_the_published_pages_tell_one_story(acts in prop::collection::vec(act(), 1..60)) {
        let mut fixture = Fixture::new();
        for (turn, act) in acts.iter().enumerate() {
            fixture.act(turn, act);
            fixture.agrees();
        }
        fixture.act(0, &Act::Sync(true));
        while fixture.step(3) {
            fixture.agrees();
        }
        fixture.feed();
        prop_assert_eq!(&fixture.current(), &fixture.consumer);
        prop_assert_eq!(fixture.published(), fixture.current());
    }

    /// A purge tells the end of everybody that was known, and of nobody else.
    #[test]
    fn a_purge_leaves_a_consumer_with_nobody(acts in prop::collection::vec(act(), 1..30), limit in 1..6_usize) {
        let mut fixture = Fixture::new();
        for (turn, act) in acts.iter().enumerate() {
            fixture.act(turn, act);
        }
        fixture.agrees();
        let id = fixture.id.clone();
        fixture.write(Undo::Savepoint, move |tx, _| {
            let deleted = configurations::delete(tx, &By::server(), &id, Content::Keep)?;
            crate::store::purge::begin(tx, deleted.configuration.key)
        }).unwrap();
        while let Some(purging) = fixture.store.read_inline(leftovers::next).unwrap() {
            fixture.write(Undo::Savepoint, move |tx, _| leftovers::step(tx, &purging, limit)).unwrap();
            fixture.agrees();
        }
        prop_assert_eq!(&fixture.consumer.users, &BTreeMap::new());
        prop_assert_eq!(&fixture.consumer.groups, &BTreeMap::new());
        let events = fixture.store.read_inline(|at| rows::after(at, 0, 100_000)).unwrap();
        for event in events.iter().filter(|event| event.resource_id.is_some()) {
            prop_assert!([rows::REDACTED, rows::PURGED].contains(&event.payload.as_str()), "{:?}", event);
        }
    }
}
