//! Undo of what a configuration changed since a time, from the view of a feed consumer.

use super::*;
use crate::management::configurations::reversals::{self, ReversalCounts, ReversalPreview};
use crate::model::audit_context::AccountScope;
use crate::provisioning::safety_net::reversals as reversal_steps;

impl Fixture {
    pub(super) fn preview(&self, since: i64) -> ReversalPreview {
        let times = (since, crate::clock::current_millis());
        self.store
            .read_inline(|at| reversals::preview_reversal(at, &AccountScope::AllAccounts, &self.id, times))
            .unwrap()
    }

    pub(super) fn revert(&self, since: i64) -> ReversalCounts {
        let id = self.id.clone();
        self.write(move |tx, _| reversals::start_reversal(tx, &AuditContext::server(), &id, since).map(drop)).unwrap();
        while let Some(configuration) = self.store.read_inline(|at| reversal_steps::find_next_reversal(at, 0)).unwrap()
        {
            while let Some((key, _)) = self.store.read_inline(|at| steps::find_next_change(at, 0)).unwrap() {
                self.write(move |tx, _| steps::run_change_step(tx, key)).unwrap();
            }
            self.write(move |tx, _| reversal_steps::run_reversal_step(tx, configuration)).unwrap();
        }
        self.store.read_inline(|at| reversals::find_reversal(at, &AccountScope::AllAccounts, &self.id)).unwrap().counts
    }
}

/// A time after everything that has happened.
pub(super) fn find_later_time() -> i64 {
    std::thread::sleep(std::time::Duration::from_millis(2));
    crate::clock::current_millis()
}

pub(super) fn switch(fixture: &Fixture, id: &str, active: bool) {
    fixture.patch(&USER_TYPE, id, &json!({"op": "replace", "path": "active", "value": active})).unwrap();
}

pub(super) fn edit_members(fixture: &Fixture, group: &str, op: &str, member: &str) {
    let edit = json!({"op": op, "path": "members", "value": [{"value": member}]});
    fixture.patch(&GROUP_TYPE, group, &edit).unwrap();
}

#[test]
fn deletions_activity_and_memberships_return_to_what_they_were() {
    let mut fixture = Fixture::new();
    let [ada, bob, cleo, dan] = ["ada", "bob", "cleo", "dan"].map(|name| fixture.user(name));
    let (one, two) = (fixture.group("One", &[&ada, &bob]), fixture.group("Two", &[&bob]));
    switch(&fixture, &cleo, false);
    fixture.feed();
    let (before, since) = (fixture.current(), find_later_time());
    // Several changes of the same: the state at that time counts.
    for active in [false, true, false] {
        switch(&fixture, &ada, active);
    }
    switch(&fixture, &cleo, true);
    switch(&fixture, &bob, false);
    fixture.delete(&USER_TYPE, &bob);
    fixture.delete(&GROUP_TYPE, &two);
    edit_members(&fixture, &one, "add", &dan);
    edit_members(&fixture, &one, "remove", &ada);
    fixture.patch(&USER_TYPE, &dan, &json!({"op": "replace", "path": "displayName", "value": "Dan"})).unwrap();
    let eve = fixture.user("eve");
    fixture.feed();

    let preview = fixture.preview(since);
    let expected = ReversalCounts { restored: 2, activated: 2, deactivated: 1, joined: 1, left: 1, conflicts: 0 };
    assert_eq!((preview.counts, preview.is_cut, preview.names.len()), (expected, false, 7));
    assert_eq!(fixture.revert(since), expected);
    fixture.check_consumer();
    let now = fixture.current();
    assert_eq!((&now.members, &now.groups), (&before.members, &before.groups));
    for id in [&ada, &bob, &cleo] {
        assert_eq!(now.users[id], before.users[id]);
    }
    assert_eq!(now.users[&dan]["displayName"], "Dan");
    assert!(now.users.contains_key(&eve));
    assert_eq!(fixture.preview(find_later_time()).counts, ReversalCounts::default());
}

#[test]
fn a_name_in_use_is_a_conflict_and_a_wrong_time_is_refused() {
    let fixture = Fixture::new();
    let ada = fixture.user("ada");
    let since = find_later_time();
    fixture.delete(&USER_TYPE, &ada);
    fixture.user("ada");
    assert_eq!(fixture.revert(since), ReversalCounts { conflicts: 1, ..ReversalCounts::default() });
    for wrong in [crate::clock::current_millis() + 60_000, crate::clock::current_millis() - 91 * 86_400_000] {
        let id = fixture.id.clone();
        let refused =
            fixture.write(move |tx, _| reversals::start_reversal(tx, &AuditContext::server(), &id, wrong).map(drop));
        assert_eq!(refused.unwrap_err().reason(), crate::error::Reason::ReversalTimeInvalid);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// What existed at the time exists again with the same activity, and the memberships of what existed are the same, also after
    /// pauses and restores.
    #[test]
    fn a_reversal_brings_back_the_state_of_its_time(
        earlier in prop::collection::vec(act(), 0..25),
        later in prop::collection::vec(act(), 0..25),
    ) {
        let mut fixture = Fixture::new();
        for (turn, act) in earlier.iter().enumerate() {
            fixture.act(turn, act);
        }
        let (before, since) = (fixture.current(), find_later_time());
        for (turn, act) in later.iter().enumerate() {
            // A resource that was deleted before stays restored.
            if !matches!(act, Act::Restore(_)) {
                fixture.act(100 + turn, act);
            }
        }
        let counts = fixture.revert(since);
        prop_assert_eq!(counts.conflicts, 0);
        let now = fixture.current();
        for (id, user) in &before.users {
            prop_assert_eq!(now.users.get(id).map(|user| &user["active"]), Some(&user["active"]));
        }
        prop_assert!(before.groups.keys().all(|id| now.groups.contains_key(id)));
        let known = |(group, member): &&(String, String)| {
            before.groups.contains_key(group) && (before.users.contains_key(member) || before.groups.contains_key(member))
        };
        prop_assert_eq!(now.members.iter().filter(known).collect::<Vec<_>>(), before.members.iter().collect::<Vec<_>>());
        fixture.act(0, &Act::Sync(true));
        while fixture.step(3) {}
        fixture.check_consumer();
    }
}
