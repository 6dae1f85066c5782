//! Large changes in steps: the result is the one of a direct change, also after a crash between any two steps, and the feed
//! reports it. The limits of a step are smaller in unit tests.

mod restores;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock;
use crate::error::Reason;
use crate::management::configuration_lifecycle;
use crate::model::audit_context::AuditContext;
use crate::model::quota::{QuotaDefaults, QuotaLimits};
use crate::provisioning::large_changes::MEMBERS_PER_STEP;
use crate::provisioning::patches::PatchBasis;
use crate::provisioning::plans;
use crate::provisioning::rendered::Members;
use crate::provisioning::resources::{self as writes, PreparedResource, WriteProgress};
use crate::provisioning::tests::{create_in_store, open_store_with_configuration};
use crate::scim::entity_tag::{EntityTags, VersionConditions};
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
use crate::scim::{patch, validate};
use crate::store::Store;
use crate::store::engine::integrity::{CheckDepth, check_database};
use crate::store::tables::events::{self, EventsLimit, EventsQuery};
use crate::store::tables::usage as usage_rows;

struct Fixture {
    store: Store,
    scope: Scope,
    users: Vec<String>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(users: usize) -> Self {
        let (folder, store, scope) = open_store_with_configuration();
        let mut fixture = Self { store, scope, users: Vec::new(), folder };
        for number in 0..users {
            let body = json!({"schemas": [USER_TYPE.schema.id], "userName": format!("u{number}"),
                "displayName": format!("Name {number}")});
            let user = fixture.create(&USER_TYPE, &body).unwrap();
            fixture.users.push(user);
        }
        fixture
    }

    /// Opens the database again, as after a crash: nothing but committed writes is left.
    fn reopen(self) -> Self {
        let Self { store, scope, users, folder } = self;
        store.close();
        drop(store);
        Self { store: Store::open_for_command(folder.path()).unwrap(), scope, users, folder }
    }

    fn write<T: Send + 'static>(
        &self,
        mut job: impl FnMut(&Tx<'_>, &Scope) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let scope = self.scope.clone();
        self.store.write_blocking_without_savepoint(move |tx| job(tx, &scope))
    }

    fn create(&self, resource_type: &'static ResourceType, body: &Value) -> Result<String> {
        create_in_store(&self.store, &self.scope, resource_type, body)
    }

    fn list_members(&self, numbers: &BTreeSet<usize>) -> Value {
        numbers.iter().map(|number| json!({"value": self.users[*number]})).collect()
    }

    fn create_group(&self, members: &BTreeSet<usize>) -> String {
        self.create_named_group("g", members)
    }

    fn create_named_group(&self, name: &str, members: &BTreeSet<usize>) -> String {
        let body =
            json!({"schemas": [GROUP_TYPE.schema.id], "displayName": name, "members": self.list_members(members)});
        self.create(&GROUP_TYPE, &body).unwrap()
    }

    fn start_replacement(&self, group: &str, members: &BTreeSet<usize>) -> Result<Option<i64>> {
        let body =
            json!({"schemas": [GROUP_TYPE.schema.id], "displayName": "g", "members": self.list_members(members)});
        let draft = validate::read_resource(&body, &GROUP_TYPE, writes::build_rules(&self.scope)).unwrap();
        let write = ResourceWrite::new(&self.scope, &GROUP_TYPE, group);
        let plan = self.store.read_inline(|at| plans::plan_replacement(at, &write, &draft))?;
        self.write_plan(group, plan)
    }

    fn start_patch(&self, group: &str, operations: &Value) -> Result<Option<i64>> {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        let patch = patch::parse_patch(&body, &GROUP_TYPE, writes::build_rules(&self.scope)).unwrap();
        let write = ResourceWrite::new(&self.scope, &GROUP_TYPE, group);
        let basis = self.store.read_inline(|at| PatchBasis::read(at, &write, &patch))?;
        let plan = basis.evaluate(&self.scope, &GROUP_TYPE, &patch)?;
        self.write_plan(group, plan)
    }

    fn write_plan(&self, group: &str, plan: plans::ResourcePlan) -> Result<Option<i64>> {
        let (mut plan, id) = (Some(plan), group.to_owned());
        let done = self.write(move |tx, scope| {
            plans::write_plan(tx, &ResourceWrite::new(scope, &GROUP_TYPE, &id), plan.take().unwrap(), None)
        })?;
        Ok(match done.expect("the version is the one of the plan") {
            WriteProgress::Complete(_) => None,
            WriteProgress::Started(key, _) => Some(key),
        })
    }

    /// Deletes a group, if it has this version.
    fn delete(&self, group: &str, version: Option<&str>) -> Result<Option<i64>> {
        let (id, if_match) = (group.to_owned(), version.map(|tag| EntityTags::parse(tag, true).unwrap()));
        self.write(move |tx, scope| {
            let conditions = VersionConditions { if_match: if_match.clone(), if_none_match: None };
            let write = ResourceWrite::new(scope, &GROUP_TYPE, &id);
            deletion::delete_resource(tx, &ResourceWrite { conditions: Some(&conditions), ..write })
        })
    }

    fn count_slices(&self) -> i64 {
        let database = rusqlite::Connection::open(self.folder.path().join("rollcall.db")).unwrap();
        database.query_row("SELECT count(*) FROM pending_member_slices", [], |row| row.get(0)).unwrap()
    }

    /// Runs one step. Returns whether the change has ended.
    fn step(&self, key: i64) -> bool {
        self.write(move |tx, _| run_change_step(tx, key)).unwrap()
    }

    fn members_of(&self, group: &str) -> BTreeSet<usize> {
        let found =
            self.store.read_inline(|at| writes::read_resource(at, &self.scope, &GROUP_TYPE, group, Members::All));
        let crate::provisioning::ResourceLinks::Members(members) = found.unwrap().links else { panic!() };
        members.iter().map(|member| self.users.iter().position(|user| *user == member.id).unwrap()).collect()
    }

    /// The members of the group as a reader of the feed knows them, `None` if it is deleted.
    fn members_in_feed(&self, group: &str) -> Option<BTreeSet<usize>> {
        let limit = EventsLimit { count: 100_000, bytes: usize::MAX };
        let read = |at: &Snapshot<'_>| events::list_published_events(at, &EventsQuery::default(), 0, i64::MAX, limit);
        let (found, _) = self.store.read_inline(read).unwrap();
        let (mut members, mut exists) = (BTreeSet::new(), false);
        for event in found.iter().filter(|event| event.resource_id.as_deref() == Some(group)) {
            let payload: Value = serde_json::from_str(&event.payload).unwrap();
            exists = !event.kind.ends_with("deleted");
            if !exists {
                members.clear();
            }
            for member in payload["members"].as_array().into_iter().flatten() {
                let number =
                    self.users.iter().position(|user| Some(user.as_str()) == member["value"].as_str()).unwrap();
                let changed =
                    if event.kind.contains("added") { members.insert(number) } else { members.remove(&number) };
                assert!(changed, "{event:?}");
            }
        }
        exists.then_some(members)
    }

    fn check(&self) {
        assert_eq!(check_database(self.folder.path(), CheckDepth::Deep).unwrap(), Vec::<String>::new());
    }

    fn used_members(&self) -> i64 {
        let read = |at: &Snapshot<'_>| usage_rows::load_usage(at, self.scope.configuration);
        self.store.read_inline(read).unwrap().configuration.used.get(crate::model::quota::QuotaKind::Members)
    }
}

fn numbers() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0_usize..14, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_change_in_steps_has_the_result_of_a_direct_change(
        (before, after, crash, deleted) in (numbers(), numbers(), 0_usize..9, 0_usize..14)
    ) {
        let mut fixture = Fixture::new(14);
        let group = fixture.create_group(&before);
        let both: BTreeSet<usize> = before.intersection(&after).copied().collect();
        let started = fixture.start_replacement(&group, &after).unwrap();
        let mut expected = after.clone();
        let mut steps = 0;
        while let Some(key) = started {
            if steps == crash {
                fixture = fixture.reopen();
                // A user that is deleted in the meantime is no member afterwards.
                let user = fixture.users[deleted].clone();
                let job = move |tx: &Tx<'_>, scope: &Scope| {
                    deletion::delete_resource(tx, &ResourceWrite::new(scope, &USER_TYPE, &user))
                };
                while fixture.write(job.clone()).is_ok_and(|key| key.is_some_and(|key| fixture.step(key))) {}
                expected.remove(&deleted);
                fixture.check();
            }
            let had = fixture.members_of(&group);
            let is_complete = fixture.step(key);
            let has = fixture.members_of(&group);
            prop_assert!(had.symmetric_difference(&has).count() <= MEMBERS_PER_STEP);
            prop_assert!(both.iter().all(|one| has.contains(one) || *one == deleted), "{:?}", has);
            prop_assert_eq!(fixture.members_in_feed(&group), Some(has));
            fixture.check();
            steps += 1;
            if is_complete {
                break;
            }
        }
        prop_assert_eq!(fixture.members_of(&group), expected.clone());
        prop_assert_eq!(fixture.members_in_feed(&group), Some(expected));
        fixture.check();
    }
}

#[test]
fn no_other_write_changes_the_resource_until_the_last_step() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&BTreeSet::from([0, 1]));
    let key = fixture.start_replacement(&group, &(2..12).collect()).unwrap().unwrap();
    let again = fixture.start_replacement(&group, &BTreeSet::new()).unwrap_err();
    assert_eq!(again.reason(), Reason::ResourceChanging);
    let patched = fixture.start_patch(&group, &json!([{"op": "remove", "path": "members"}])).unwrap_err();
    assert_eq!(patched.reason(), Reason::ResourceChanging);
    let conditional = fixture.delete(&group, Some("W/\"1\""));
    assert_eq!(conditional.unwrap_err().reason(), Reason::ResourceChanging);
    while !fixture.step(key) {}
    assert_eq!(fixture.members_of(&group), (2..12).collect());
    assert!(fixture.delete(&group, Some("W/\"1\"")).unwrap_err().status() == 412);
    let key = fixture.delete(&group, None).unwrap().unwrap();
    assert_eq!(fixture.delete(&group, None).unwrap_err().reason(), Reason::ResourceChanging);
    while !fixture.step(key) {}
    assert_eq!(fixture.members_in_feed(&group), None);
    assert_eq!(fixture.used_members(), 0);
    fixture.check();
}

#[test]
fn a_deletion_ends_a_running_change_of_the_members() {
    for steps in 0..4 {
        let fixture = Fixture::new(12);
        let group = fixture.create_group(&BTreeSet::from([0, 1]));
        let changed = fixture.start_replacement(&group, &(2..12).collect()).unwrap().unwrap();
        for _ in 0..steps {
            fixture.step(changed);
        }
        let deleted = fixture.delete(&group, None).unwrap();
        fixture.check();
        assert_eq!(deleted.is_some(), steps > 0, "without a step the group has two members");
        // The request of the change runs the steps of the deletion.
        while !fixture.step(changed) {
            fixture.check();
        }
        assert_eq!(fixture.members_in_feed(&group), None);
        assert_eq!((fixture.used_members(), fixture.count_slices()), (0, 0));
        fixture.check();
    }
}

#[test]
fn changes_take_turns_and_a_deletion_is_found_by_its_configuration() {
    let fixture = Fixture::new(6);
    let groups = [0, 1, 2].map(|number| fixture.create_named_group(&format!("g{number}"), &BTreeSet::new()));
    let add = json!([{"op": "add", "path": "members", "value": fixture.list_members(&(0..6).collect())}]);
    let keys = groups.each_ref().map(|group| fixture.start_patch(group, &add).unwrap().unwrap());
    let next = |after| fixture.store.read_inline(|at| find_next_change(at, after)).unwrap().unwrap();
    assert_eq!([next(0).0, next(keys[0]).0, next(keys[1]).0, next(keys[2]).0], [keys[0], keys[1], keys[2], keys[0]]);
    assert_eq!(next(0).1, fixture.scope.work_owner());
    let deletion = || fixture.store.read_inline(|at| find_next_deletion(at, &fixture.scope)).unwrap();
    assert_eq!(deletion(), None);
    while !fixture.step(keys[1]) {}
    fixture.delete(&groups[1], None).unwrap().unwrap();
    assert_eq!(deletion(), Some(keys[1]));
    let taken = fixture.create(&GROUP_TYPE, &json!({"schemas": [GROUP_TYPE.schema.id], "displayName": "g1"}));
    assert_eq!(taken.unwrap_err().scim_type(), Some(crate::error::ScimType::Uniqueness));
    for key in keys {
        while !fixture.step(key) {}
    }
    fixture.create_named_group("g1", &BTreeSet::new());
    fixture.check();
}

#[test]
fn a_new_group_has_its_members_at_once_or_gets_them_in_steps() {
    let fixture = Fixture::new(12);
    for (count, is_large) in [(MEMBERS_PER_STEP, false), (MEMBERS_PER_STEP + 1, true), (12, true)] {
        let members: BTreeSet<usize> = (0..count).collect();
        let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": format!("of {count} {is_large}"),
            "members": fixture.list_members(&members)});
        let draft = validate::read_new_resource(&body, &GROUP_TYPE, writes::build_rules(&fixture.scope)).unwrap();
        let (mut prepared, id) = (PreparedResource::new(draft, &GROUP_TYPE).unwrap(), clock::new_id());
        let list = prepared.take_many_members().unwrap();
        let write = ResourceWrite::new(&fixture.scope, &GROUP_TYPE, &id);
        let found = fixture.store.read_inline(|at| plans::resolve_new_members(at, &write, &list)).unwrap();
        let before = fixture.used_members();
        let new_id = id.clone();
        let done = fixture.write(move |tx, scope| {
            plans::create_with_members(tx, &ResourceWrite::new(scope, &GROUP_TYPE, &new_id), &prepared, &found)
        });
        match done.unwrap() {
            WriteProgress::Complete(_) => assert!(!is_large),
            WriteProgress::Started(key, _) => {
                assert!(is_large);
                while !fixture.step(key) {}
            }
        }
        assert_eq!(fixture.used_members() - before, i64::try_from(count).unwrap());
        assert_eq!((fixture.members_of(&id), fixture.members_in_feed(&id)), (members.clone(), Some(members)));
        fixture.check();
    }
}

#[test]
fn every_form_of_a_patch_runs_in_steps() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&BTreeSet::from([0]));
    let list = |numbers| fixture.list_members(&numbers);
    for (operations, expected) in [
        (json!([{"op": "add", "path": "members", "value": list((1..9).collect())}]), (0..9).collect()),
        (json!([{"op": "remove", "path": "members", "value": list((0..5).collect())}]), (5..9).collect()),
        (json!([{"op": "replace", "path": "members", "value": list((0..5).collect())}]), (0..5).collect()),
        (json!([{"op": "add", "value": {"members": list((3..12).collect()), "displayName": "n"}}]), (0..12).collect()),
        (
            json!([{"op": "remove", "path": "members[display sw \"Name 1\"]"},
                {"op": "remove", "path": "members[display eq \"name 4\"]"}]),
            BTreeSet::from([0, 2, 3, 5, 6, 7, 8, 9]),
        ),
        (json!([{"op": "remove", "path": "members[value pr]"}]), BTreeSet::new()),
    ] {
        let key = fixture.start_patch(&group, &operations).unwrap().expect("it is large");
        while !fixture.step(key) {}
        assert_eq!(fixture.members_of(&group), expected, "{operations}");
        assert_eq!(fixture.members_in_feed(&group), Some(expected));
        fixture.check();
    }
}

#[test]
fn the_quota_is_decided_when_the_change_starts() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&(0..2).collect());
    let limits = QuotaLimits::default().with(crate::model::quota::QuotaKind::Members, 8);
    fixture.store.set_quota_defaults(QuotaDefaults { configuration: limits, ..QuotaDefaults::default() });
    let refused = fixture.start_replacement(&group, &(0..9).collect()).unwrap_err();
    assert_eq!(refused.reason(), Reason::QuotaExceeded);
    assert_eq!(fixture.members_of(&group), (0..2).collect());
    let key = fixture.start_replacement(&group, &(0..8).collect()).unwrap().unwrap();
    assert_eq!(fixture.used_members(), 8, "the members that join later count already");
    let other = fixture.create(
        &GROUP_TYPE,
        &json!({"schemas": [GROUP_TYPE.schema.id], "displayName": "o",
        "members": fixture.list_members(&BTreeSet::from([0]))}),
    );
    assert_eq!(other.unwrap_err().reason(), Reason::QuotaExceeded);
    while !fixture.step(key) {}
    assert_eq!(fixture.used_members(), 8);
    // All members are replaced without a growth, which always fits.
    let key = fixture.start_replacement(&group, &(4..12).collect()).unwrap().unwrap();
    while !fixture.step(key) {}
    assert_eq!((fixture.members_of(&group), fixture.used_members()), ((4..12).collect(), 8));
    fixture.check();
}

#[test]
fn a_user_in_many_groups_is_deleted_in_steps() {
    let fixture = Fixture::new(2);
    let members = fixture.list_members(&BTreeSet::from([0, 1]));
    let create = |number: usize| {
        let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": format!("g{number}"), "members": members});
        fixture.create(&GROUP_TYPE, &body).unwrap()
    };
    let groups: Vec<String> = (0..5).map(create).collect();
    let user = fixture.users[0].clone();
    let delete =
        move |tx: &Tx<'_>, scope: &Scope| deletion::delete_resource(tx, &ResourceWrite::new(scope, &USER_TYPE, &user));
    let key = fixture.write(delete).unwrap().unwrap();
    let mut steps = 1;
    while !fixture.step(key) {
        steps += 1;
        fixture.check();
    }
    assert_eq!(steps, 5);
    for group in &groups {
        assert_eq!(fixture.members_of(group), BTreeSet::from([1]));
        assert_eq!(fixture.members_in_feed(group), Some(BTreeSet::from([1])));
    }
    fixture.check();
}

#[test]
fn a_purge_ends_a_running_change() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&BTreeSet::from([0, 1]));
    let key = fixture.start_replacement(&group, &(2..12).collect()).unwrap().unwrap();
    fixture.step(key);
    let id = fixture.scope.configuration_id.to_string();
    let purged = move |tx: &Tx<'_>, _: &Scope| {
        configuration_lifecycle::delete_and_purge_configuration(tx, &AuditContext::server(), &id).map(drop)
    };
    fixture.write(purged).unwrap();
    assert!(fixture.store.read_inline(|at| find_next_change(at, 0)).unwrap().is_none());
    assert!(fixture.step(key));
    assert_eq!(fixture.used_members(), 0);
    fixture.check();
}
