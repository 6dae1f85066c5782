//! The safety net in unusual cases: limits that are reached, users without `active`, and groups that return without members.

use super::*;
use crate::management::configuration_settings::SettingsChange;
use crate::management::configurations::holds::HoldOrder;
use crate::management::configurations::reversals::ReversalCounts;
use crate::management::quotas::{self, QuotaChanges};
use crate::model::hold::HoldReason;
use crate::model::quota::QuotaKind;
use crate::provisioning::catch_up::tests::undos::{edit_members, find_later_time, switch};
use crate::provisioning::safety_net::rejections;

impl Fixture {
    fn limit_active_users(&self, limit: u64) {
        let id = self.id.clone();
        let changes = QuotaChanges { limits: vec![(QuotaKind::ActiveUsers, Some(limit))], ..QuotaChanges::default() };
        self.write(move |tx, _| quotas::set_configuration_limits(tx, &AuditContext::server(), &id, &changes)).unwrap();
    }

    fn protect(&self, names: &[&str]) {
        let users = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self.change_settings(SettingsChange { protected_users: users, ..SettingsChange::default() });
    }
}

#[test]
fn a_rejection_at_the_limit_of_active_users_ends_with_conflicts() {
    let mut fixture = Fixture::with_small_thresholds();
    let users = ["a", "b", "c", "d"].map(|name| fixture.user(name));
    fixture.limit_active_users(4);
    for user in &users {
        fixture.switch_off(user);
    }
    assert!(fixture.is_held());
    // They use the seats that became free.
    let new = ["e", "f"].map(|name| fixture.user(name));
    fixture.feed();
    fixture.decide(HoldOrder::Reject, 1);
    assert!(!fixture.is_held());
    let conflicts = fixture.hold().conflicts;
    let reasons: Vec<&str> = conflicts.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["active_user_limit_reached"]);
    fixture.feed();
    fixture.check_consumer();
    let active = |id: &&String| fixture.consumer.users[*id]["active"] == true;
    assert_eq!(new.iter().filter(active).count(), 2, "joiners are published");
    assert_eq!(users.iter().filter(active).count(), 2, "as many return as fit");
}

#[test]
fn a_reversal_at_the_limit_of_active_users_ends_with_conflicts() {
    let mut fixture = Fixture::new();
    let users = ["a", "b", "c"].map(|name| fixture.user(name));
    fixture.limit_active_users(3);
    let since = find_later_time();
    for user in &users {
        switch(&fixture, user, false);
    }
    for name in ["d", "e"] {
        fixture.user(name);
    }
    let counts = fixture.revert(since);
    assert_eq!(counts, ReversalCounts { activated: 1, conflicts: 2, ..ReversalCounts::default() });
    fixture.feed();
    fixture.check_consumer();
}

#[test]
fn steps_of_one_configuration_do_not_stop_those_of_the_next_one() {
    let fixture = Fixture::new();
    let database = rusqlite::Connection::open(fixture.folder.path().join("rollcall.db")).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    for key in [101_i64, 102] {
        let sql = "INSERT INTO holds (configuration, settings, rejection) VALUES (?1, '{}', '{}')";
        database.execute(sql, [key]).unwrap();
    }
    let next = |after| fixture.store.read_inline(|at| rejections::find_next_rejection(at, after)).unwrap();
    assert_eq!([next(0), next(101), next(102)], [Some(101), Some(102), Some(101)]);
}

#[test]
fn a_user_without_active_can_sign_in_so_its_removal_is_no_deactivation() {
    let mut fixture = Fixture::with_small_thresholds();
    let users = ["a", "b", "c"].map(|name| fixture.user(name));
    fixture.feed();
    for user in &users {
        fixture.patch(&USER_TYPE, user, &json!({"op": "remove", "path": "active"})).unwrap();
    }
    assert_eq!(fixture.feed(), ["user.updated", "user.updated", "user.updated"]);
    assert!(!fixture.is_held());
    fixture.switch_off(&users[0]);
    assert_eq!(fixture.feed(), ["user.deactivated"]);
    fixture.delete(&USER_TYPE, &users[1]);
    assert!(fixture.is_held(), "they are counted when they really end");
    fixture.check_consumer();
}

#[test]
fn a_group_that_returns_without_its_members_stays_counted() {
    let mut fixture = Fixture::with_small_thresholds();
    Arc::make_mut(&mut fixture.scope.switches).revive_deleted = true;
    let user = fixture.user("a");
    let groups = ["One", "Two", "Three"].map(|name| fixture.group(name, &[&user]));
    fixture.delete(&GROUP_TYPE, &groups[0]);
    assert_eq!(fixture.group("One", &[&user]), groups[0], "it returns with the same id");
    fixture.delete(&GROUP_TYPE, &groups[1]);
    assert!(!fixture.is_held(), "the first one is taken off");
    fixture.group("Two", &[]);
    fixture.delete(&GROUP_TYPE, &groups[2]);
    assert!(fixture.is_held());
}

#[test]
fn a_second_reversal_changes_nothing() {
    let mut fixture = Fixture::new();
    let [ada, bob] = ["ada", "bob"].map(|name| fixture.user(name));
    let team = fixture.group("Team", &[&ada, &bob]);
    let since = find_later_time();
    edit_members(&fixture, &team, "remove", &ada);
    edit_members(&fixture, &team, "remove", &bob);
    // The identity provider has corrected one of them.
    edit_members(&fixture, &team, "add", &bob);
    let preview = fixture.preview(since);
    assert_eq!(preview.counts, ReversalCounts { joined: 1, ..ReversalCounts::default() });
    assert_eq!(preview.names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Team: ada"]);
    assert_eq!(fixture.revert(since), preview.counts);
    fixture.feed();
    fixture.check_consumer();
    assert_eq!(fixture.revert(since), ReversalCounts::default());
    assert_eq!(fixture.feed(), [] as [String; 0]);
    let left = rusqlite::Connection::open(fixture.folder.path().join("rollcall.db")).unwrap();
    let left: i64 = left.query_row("SELECT count(*) FROM undone_changes", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_preview_of_a_reversal_has_its_numbers() {
    let fixture = Fixture::new();
    let [ada, bob, cleo] = ["ada", "bob", "cleo"].map(|name| fixture.user(name));
    let (team, other) = (fixture.group("Team", &[&ada, &bob]), fixture.group("Other", &[&ada]));
    let since = find_later_time();
    switch(&fixture, &ada, false);
    edit_members(&fixture, &team, "remove", &ada);
    edit_members(&fixture, &other, "add", &cleo);
    fixture.delete(&USER_TYPE, &ada);
    fixture.delete(&USER_TYPE, &bob);
    fixture.delete(&GROUP_TYPE, &other);
    // Its name is in use, so it stays deleted.
    fixture.user("bob");
    let preview = fixture.preview(since);
    assert_eq!(
        preview.counts,
        ReversalCounts { restored: 2, activated: 1, joined: 1, left: 1, conflicts: 1, ..ReversalCounts::default() }
    );
    assert_eq!(fixture.revert(since), preview.counts);
}

#[test]
fn a_protected_user_is_held_when_it_is_inactive_and_after_a_new_name() {
    let mut fixture = Fixture::new();
    let [ada, bob] = ["ada", "bob"].map(|name| fixture.user(name));
    fixture.switch_off(&bob);
    fixture.protect(&["ada", "bob"]);
    fixture.feed();
    fixture.delete(&USER_TYPE, &bob);
    let record = fixture.hold().record.unwrap();
    assert_eq!((fixture.is_held(), record.reason, record.counted), (true, HoldReason::Protected, 1));
    fixture.decide(HoldOrder::Reject, 5);
    assert_eq!(fixture.current().users[&bob]["active"], false);
    fixture.patch(&USER_TYPE, &ada, &json!({"op": "replace", "path": "userName", "value": "ada.new"})).unwrap();
    assert!(!fixture.is_held());
    fixture.switch_off(&ada);
    assert!(fixture.is_held());
}

#[test]
fn users_whose_removal_was_rejected_count_once() {
    let fixture = Fixture::with_small_thresholds();
    let users = ["a", "b", "c"].map(|name| fixture.user(name));
    fixture.switch_off(&users[0]);
    fixture.switch_off(&users[1]);
    fixture.switch_off(&users[2]);
    fixture.decide(HoldOrder::Reject, 5);
    assert!(!fixture.is_held());
    let counted = || fixture.hold().record.map(|record| record.counted);
    for user in &users[1..] {
        fixture.switch_off(user);
        assert_eq!(counted(), Some(3), "it repeats a rejected removal");
    }
    let new = fixture.user("d");
    fixture.switch_off(&new);
    assert_eq!(counted(), Some(4));
}

#[test]
fn users_that_were_deleted_before_the_hold_have_names() {
    let fixture = Fixture::with_small_thresholds();
    let users = ["a", "b"].map(|name| fixture.user(name));
    for user in &users {
        fixture.delete(&USER_TYPE, user);
    }
    let mut names = fixture.hold().names;
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn the_end_of_a_pause_is_no_change_for_a_reversal() {
    let mut fixture = Fixture::new();
    let [ada, bob] = ["ada", "bob"].map(|name| fixture.user(name));
    fixture.sync(false);
    let team = fixture.group("Team", &[&ada]);
    switch(&fixture, &bob, false);
    let (before, since) = (fixture.current(), find_later_time());
    fixture.sync(true);
    while fixture.step(2) {}
    assert_eq!(fixture.preview(since).counts, ReversalCounts::default());
    edit_members(&fixture, &team, "add", &bob);
    assert_eq!(fixture.revert(since), ReversalCounts { left: 1, ..ReversalCounts::default() });
    let now = fixture.current();
    assert_eq!((&now.members, &now.users), (&before.members, &before.users));
    fixture.feed();
    fixture.check_consumer();
}
