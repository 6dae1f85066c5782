//! Deletions in steps store complete tombstones, and restores of them run in steps.

use std::sync::Arc;

use super::*;
use crate::management::configuration_settings::{self, SettingsChange};
use crate::model::quota::QuotaKind;
use crate::model::switches::{SwitchChanges, TombstoneDays};
use crate::provisioning::tombstones::remove_expired_tombstones;
use crate::provisioning::tombstones::restore::{RestoredResource, restore_resource};

impl Fixture {
    fn delete_in_steps(&self, resource_type: &'static ResourceType, id: &str) {
        let id = id.to_owned();
        let job = move |tx: &Tx<'_>, scope: &Scope| {
            deletion::delete_resource(tx, &ResourceWrite::new(scope, resource_type, &id))
        };
        if let Some(key) = self.write(job).unwrap() {
            while !self.step(key) {}
        }
        self.check();
    }

    /// As the management API does: with a savepoint.
    fn restore(&self, id: &str) -> Result<RestoredResource> {
        let (scope, id) = (self.scope.clone(), id.to_owned());
        self.store.write_blocking(move |tx| restore_resource(tx, &scope, &id))
    }

    fn complete(&self, restored: &RestoredResource) -> usize {
        let mut steps = 0;
        while let Some(key) = restored.pending {
            steps += 1;
            let is_complete = self.step(key);
            self.check();
            if is_complete {
                break;
            }
        }
        steps
    }

    fn count_rows(&self, table: &str) -> i64 {
        let database = rusqlite::Connection::open(self.folder.path().join("rollcall.db")).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn a_restored_group_gets_its_members_in_steps_also_after_a_crash() {
    let mut fixture = Fixture::new(12);
    let group = fixture.create_group(&(0..12).collect());
    fixture.delete_in_steps(&GROUP_TYPE, &group);
    assert_eq!((fixture.members_in_feed(&group), fixture.used_members()), (None, 0));
    let restored = fixture.restore(&group).unwrap();
    assert_eq!((restored.id.as_str(), restored.resource_type.as_str()), (group.as_str(), "Group"));
    assert_eq!(fixture.members_of(&group).len(), 2 * MEMBERS_PER_STEP);
    assert_eq!(fixture.used_members(), 12, "the members that return later count already");
    fixture.check();
    fixture = fixture.reopen();
    // A member that is deleted meanwhile returns with its own restore.
    let absent = fixture.users[11].clone();
    fixture.delete_in_steps(&USER_TYPE, &absent);
    assert_eq!(fixture.complete(&restored), 2);
    assert_eq!(fixture.members_of(&group), (0..11).collect());
    assert_eq!(fixture.used_members(), 11);
    assert_eq!(fixture.restore(&absent).unwrap().pending, None);
    assert_eq!((fixture.members_of(&group), fixture.used_members()), ((0..12).collect(), 12));
    assert_eq!(fixture.members_in_feed(&group), Some((0..12).collect()));
    assert_eq!((fixture.count_rows("tombstones"), fixture.count_rows("tombstone_members")), (0, 0));
    fixture.check();
}

#[test]
fn a_restored_user_returns_to_its_groups_in_steps() {
    let fixture = Fixture::new(2);
    let groups: Vec<String> =
        (0..5).map(|number| fixture.create_named_group(&format!("g{number}"), &BTreeSet::from([0, 1]))).collect();
    let user = fixture.users[0].clone();
    fixture.delete_in_steps(&USER_TYPE, &user);
    // A group that is deleted meanwhile gets the membership with its own restore.
    fixture.delete_in_steps(&GROUP_TYPE, &groups[4]);
    let restored = fixture.restore(&user).unwrap();
    assert_eq!(fixture.used_members(), 9, "4 of the other user, and 5 of which one will not return");
    assert_eq!(fixture.complete(&restored), 3);
    for group in &groups[..4] {
        assert_eq!(fixture.members_of(group), BTreeSet::from([0, 1]));
        assert_eq!(fixture.members_in_feed(group), Some(BTreeSet::from([0, 1])));
    }
    assert_eq!(fixture.used_members(), 8);
    assert_eq!(fixture.restore(&groups[4]).unwrap().pending, None);
    assert_eq!((fixture.members_of(&groups[4]), fixture.used_members()), (BTreeSet::from([0, 1]), 10));
    fixture.check();
}

#[test]
fn a_deletion_ends_a_running_restore_and_nothing_is_lost() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&(0..12).collect());
    fixture.delete_in_steps(&GROUP_TYPE, &group);
    for _ in 0..3 {
        let restored = fixture.restore(&group).unwrap();
        assert!(restored.pending.is_some());
        let other = fixture.start_patch(&group, &json!([{"op": "remove", "path": "members"}]));
        assert_eq!(other.unwrap_err().reason(), Reason::ResourceChanging);
        fixture.delete_in_steps(&GROUP_TYPE, &group);
        assert_eq!(fixture.used_members(), 0);
    }
    let restored = fixture.restore(&group).unwrap();
    fixture.complete(&restored);
    assert_eq!((fixture.members_of(&group), fixture.used_members()), ((0..12).collect(), 12));
    assert_eq!(fixture.members_in_feed(&group), Some((0..12).collect()));
    assert_eq!(fixture.restore(&group).unwrap_err().reason(), Reason::DeletedResourceNotFound);
}

#[test]
fn a_restore_above_a_quota_changes_nothing() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&(0..12).collect());
    fixture.delete_in_steps(&GROUP_TYPE, &group);
    let set_limit = |limit: u64| {
        let configuration = QuotaLimits::default().with(QuotaKind::Members, limit);
        fixture.store.set_quota_defaults(QuotaDefaults { configuration, ..QuotaDefaults::default() });
    };
    set_limit(11);
    assert_eq!(fixture.restore(&group).unwrap_err().reason(), Reason::QuotaExceeded);
    assert_eq!((fixture.used_members(), fixture.count_rows("resources")), (0, 12));
    fixture.check();
    set_limit(12);
    let restored = fixture.restore(&group).unwrap();
    fixture.complete(&restored);
    assert_eq!(fixture.members_of(&group), (0..12).collect());
}

#[test]
fn a_created_user_with_the_name_of_a_deleted_one_is_that_user() {
    let mut fixture = Fixture::new(2);
    let groups: Vec<String> =
        (0..5).map(|number| fixture.create_named_group(&format!("g{number}"), &BTreeSet::from([0, 1]))).collect();
    let user = fixture.users[0].clone();
    fixture.delete_in_steps(&USER_TYPE, &user);
    fixture.delete_in_steps(&GROUP_TYPE, &groups[3]);
    Arc::make_mut(&mut fixture.scope.switches).revive_deleted = true;
    let body = json!({"schemas": [USER_TYPE.schema.id], "userName": "U0", "displayName": "Other"});
    assert_eq!(fixture.create(&USER_TYPE, &body).unwrap(), user);
    let (key, _) = fixture.store.read_inline(|at| find_next_change(at, 0)).unwrap().unwrap();
    while !fixture.step(key) {}
    for group in [0, 1, 2, 4] {
        assert_eq!(fixture.members_of(&groups[group]), BTreeSet::from([0, 1]));
    }
    // A group gets the members of the request, and not its own.
    let again = fixture.create_named_group("G3", &BTreeSet::from([1]));
    assert_eq!((again.as_str(), fixture.members_of(&groups[3])), (groups[3].as_str(), BTreeSet::from([1])));
    assert_eq!((fixture.used_members(), fixture.count_rows("tombstones")), (9, 0));
    fixture.check();
    // Without a match, the user is a new one.
    let body = json!({"schemas": [USER_TYPE.schema.id], "userName": "U2"});
    assert!(!fixture.users.contains(&fixture.create(&USER_TYPE, &body).unwrap()));
}

#[test]
fn a_purge_ends_a_running_restore() {
    let fixture = Fixture::new(12);
    let group = fixture.create_group(&(0..12).collect());
    fixture.delete_in_steps(&GROUP_TYPE, &group);
    let key = fixture.restore(&group).unwrap().pending.unwrap();
    fixture.delete_in_steps(&USER_TYPE, &fixture.users[0].clone());
    let id = fixture.scope.configuration_id.to_string();
    let purge = move |tx: &Tx<'_>, _: &Scope| {
        configuration_lifecycle::delete_and_purge_configuration(tx, &AuditContext::server(), &id).map(drop)
    };
    fixture.write(purge).unwrap();
    assert!(fixture.step(key));
    assert_eq!(fixture.used_members(), 0);
    assert_eq!((fixture.count_rows("tombstones"), fixture.count_rows("tombstone_members")), (0, 0));
    fixture.check();
}

#[test]
fn tombstones_are_removed_in_steps_when_their_time_has_ended() {
    let fixture = Fixture::new(6);
    let groups: Vec<String> =
        (0..3).map(|number| fixture.create_named_group(&format!("g{number}"), &(0..6).collect())).collect();
    for group in &groups {
        fixture.delete_in_steps(&GROUP_TYPE, group);
    }
    let remove = || {
        let (mut after, mut steps) = (0, 0);
        while let Some(next) = fixture.write(move |tx, _| remove_expired_tombstones(tx, after, 2)).unwrap() {
            (after, steps) = (next, steps + 1);
        }
        steps
    };
    assert_eq!((remove(), fixture.count_rows("tombstones")), (0, 3));
    let id = fixture.scope.configuration_id.to_string();
    let days = |days| SwitchChanges { tombstone_days: Some(TombstoneDays::new(days)), ..SwitchChanges::default() };
    let change = SettingsChange { switches: days(0), ..SettingsChange::default() };
    fixture
        .store
        .write_blocking(move |tx| configuration_settings::change_settings(tx, &AuditContext::server(), &id, &change))
        .unwrap();
    // Three rows for each: one group and two slices of members.
    assert!(remove() >= 5);
    assert_eq!((fixture.count_rows("tombstones"), fixture.count_rows("tombstone_members")), (0, 0));
}
