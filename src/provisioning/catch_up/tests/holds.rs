//! Holds on mass removal from the view of a feed consumer: what an admin allows arrives as if nothing had been held, and what an
//! admin rejects never arrives.

use super::*;
use crate::management::configuration_settings::{self, SettingsChange};
use crate::management::configurations::holds::{self, HoldOrder, HoldState, HoldStatus};
use crate::model::audit_context::AccountScope;
use crate::model::hold::{HoldChanges, HoldReason, RemovalKind, ThresholdChanges};
use crate::provisioning::safety_net::rejections;

impl Fixture {
    /// Holds the configuration with the second removal of each kind.
    pub(super) fn with_small_thresholds() -> Self {
        let fixture = Self::new();
        let threshold = Some(ThresholdChanges { percent: Some(1), count: Some(2) });
        fixture.change_hold(HoldChanges {
            grace_hours: Some(0),
            users: threshold,
            memberships: threshold,
            groups: threshold,
            ..HoldChanges::default()
        });
        fixture
    }

    fn change_hold(&self, hold: HoldChanges) {
        self.change_settings(SettingsChange { hold, ..SettingsChange::default() });
    }

    pub(super) fn change_settings(&self, change: SettingsChange) {
        let id = self.id.clone();
        self.write(move |tx, _| configuration_settings::change_settings(tx, &AuditContext::server(), &id, &change))
            .unwrap();
    }

    pub(super) fn hold(&self) -> HoldStatus {
        let scope = AccountScope::AllAccounts;
        self.store
            .read_inline(|at| holds::find_status(at, &scope, &self.id, (None, 100), crate::clock::current_millis()))
            .unwrap()
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold().state == HoldState::Held
    }

    /// Decides, and runs what is left in steps of this size.
    pub(super) fn decide(&self, order: HoldOrder, step: usize) {
        let id = self.id.clone();
        self.write(move |tx, _| holds::decide_hold(tx, &AuditContext::server(), &id, order)).unwrap();
        while let Some(configuration) = self.store.read_inline(|at| rejections::find_next_rejection(at, 0)).unwrap() {
            while let Some((key, _)) = self.store.read_inline(|at| steps::find_next_change(at, 0)).unwrap() {
                self.write(move |tx, _| steps::run_change_step(tx, key)).unwrap();
            }
            self.write(move |tx, _| rejections::run_rejection_step(tx, configuration, step)).unwrap();
        }
        while self.step(step) {}
    }

    pub(super) fn switch_off(&self, id: &str) {
        self.patch(&USER_TYPE, id, &json!({"op": "replace", "path": "active", "value": false})).unwrap();
    }

    fn leave(&self, group: &str, member: &str) {
        let edit = json!({"op": "remove", "path": "members", "value": [{"value": member}]});
        self.patch(&GROUP_TYPE, group, &edit).unwrap();
    }
}

fn is_removal(kind: &str) -> bool {
    ["deleted", "deactivated", "member_removed"].iter().any(|action| kind.ends_with(action))
}

#[test]
fn the_write_that_reaches_the_threshold_and_all_later_ones_are_held() {
    let mut fixture = Fixture::with_small_thresholds();
    let users = ["a", "b", "c", "d"].map(|name| fixture.user(name));
    fixture.feed();
    fixture.switch_off(&users[0]);
    assert_eq!((fixture.feed(), fixture.is_held()), (vec!["user.deactivated".to_owned()], false));
    fixture.delete(&USER_TYPE, &users[1]);
    fixture.user("e");
    assert_eq!(fixture.feed(), ["configuration.held"]);
    let hold = fixture.hold();
    let record = hold.record.clone().unwrap();
    assert_eq!(
        (hold.state, record.reason, record.counted, record.published, record.threshold),
        (HoldState::Held, HoldReason::Users, 2, 1, 2)
    );
    let mut names = hold.names;
    names.sort();
    assert_eq!(names, ["a", "b"], "a deleted user has its name");
    fixture.check_consumer();

    fixture.decide(HoldOrder::Allow, 10);
    assert_eq!(fixture.feed(), ["configuration.updated", "user.deleted", "user.created"]);
    assert_eq!(fixture.current(), fixture.consumer);
    // The counters begin again.
    std::thread::sleep(std::time::Duration::from_millis(2));
    fixture.switch_off(&users[2]);
    assert!(!fixture.is_held());
    fixture.switch_off(&users[3]);
    let hold = fixture.hold();
    assert_eq!(hold.record.map(|record| (record.counted, record.published)), Some((2, 1)));
    assert_eq!(hold.names.len(), 2, "what was allowed is not named again");
}

#[test]
fn what_returns_is_taken_off_and_what_was_inactive_is_not_counted() {
    let fixture = Fixture::with_small_thresholds();
    let users = ["a", "b", "c"].map(|name| fixture.user(name));
    let on = json!({"op": "replace", "path": "active", "value": true});
    for user in &users {
        fixture.switch_off(user);
        assert!(!fixture.is_held());
        fixture.patch(&USER_TYPE, user, &on).unwrap();
    }
    fixture.switch_off(&users[0]);
    // The deletion of an inactive user.
    fixture.delete(&USER_TYPE, &users[0]);
    assert!(!fixture.is_held());
    // A restored user takes off its removal.
    fixture.restore(0);
    let team = fixture.group("Team", &[&users[1], &users[2]]);
    fixture.leave(&team, &users[1]);
    let join = json!({"op": "add", "path": "members", "value": [{"value": users[1]}]});
    fixture.patch(&GROUP_TYPE, &team, &join).unwrap();
    fixture.leave(&team, &users[2]);
    assert!(!fixture.is_held());
    // Memberships of a deleted user or group are not counted.
    fixture.delete(&GROUP_TYPE, &team);
    assert!(!fixture.is_held());
}

#[test]
fn a_rejection_undoes_all_forms_of_removal_and_publishes_the_rest() {
    let mut fixture = Fixture::with_small_thresholds();
    let [ada, bob, cleo, dan] = ["ada", "bob", "cleo", "dan"].map(|name| fixture.user(name));
    let (one, two) = (fixture.group("One", &[&ada, &bob]), fixture.group("Two", &[&bob, &cleo]));
    let manager = json!({"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": {"value": bob}});
    fixture.patch(&USER_TYPE, &dan, &manager).unwrap();
    fixture.switch_off(&dan);
    let before = {
        fixture.feed();
        fixture.published()
    };
    // Held by the second one. Entra ID deactivates first, and deletes later.
    fixture.switch_off(&bob);
    assert!(fixture.is_held());
    fixture.delete(&USER_TYPE, &bob);
    fixture.delete(&GROUP_TYPE, &one);
    fixture.leave(&two, &cleo);
    let rename = json!({"op": "replace", "path": "displayName", "value": "Ada"});
    fixture.patch(&USER_TYPE, &ada, &rename).unwrap();
    let eve = fixture.user("eve");
    fixture.decide(HoldOrder::Reject, 1);
    let kinds = fixture.feed();
    assert!(!kinds.iter().any(|kind| is_removal(kind)), "{kinds:?}");
    let now = fixture.current();
    assert_eq!(now, fixture.published());
    assert_eq!((now.members.clone(), now.groups.clone()), (before.members, before.groups));
    assert_eq!(now.users[&bob], before.users[&bob]);
    assert_eq!(now.users[&dan], before.users[&dan], "the reference to the manager returned");
    assert_eq!((&now.users[&ada]["displayName"], now.users.contains_key(&eve)), (&json!("Ada"), true));

    // The same removal holds at once, also after the window.
    fixture.change_hold(HoldChanges {
        users: Some(ThresholdChanges { percent: None, count: Some(1_000) }),
        ..HoldChanges::default()
    });
    fixture.switch_off(&ada);
    assert!(!fixture.is_held());
    fixture.switch_off(&bob);
    let record = fixture.hold().record.unwrap();
    assert!(fixture.is_held());
    assert_eq!((record.published, record.threshold), (2, 1), "dan and ada are published: {record:?}");
}

#[test]
fn a_name_that_was_used_again_stays_with_its_new_user() {
    let mut fixture = Fixture::with_small_thresholds();
    let [ada, bob] = ["ada", "bob"].map(|name| fixture.user(name));
    fixture.switch_off(&ada);
    fixture.delete(&USER_TYPE, &bob);
    let second = fixture.user("bob");
    fixture.decide(HoldOrder::Reject, 5);
    assert_eq!(fixture.hold().conflicts, [(bob.clone(), "user_name_taken".to_owned())]);
    fixture.feed();
    assert_eq!(fixture.current(), fixture.consumer);
    assert!(!fixture.consumer.contains(&bob) && fixture.consumer.contains(&second));
}

#[test]
fn a_large_change_is_held_as_one_write_and_its_steps_are_not_counted_again() {
    let mut fixture = Fixture::with_small_thresholds();
    let limit = ThresholdChanges { percent: Some(50), count: Some(7) };
    fixture.change_hold(HoldChanges { memberships: Some(limit), ..HoldChanges::default() });
    let users: Vec<String> = (0..8).map(|number| fixture.user(&format!("user {number}"))).collect();
    let team = fixture.group("Team", &[]);
    for user in &users {
        let join = json!({"op": "add", "path": "members", "value": [{"value": user}]});
        fixture.patch(&GROUP_TYPE, &team, &join).unwrap();
    }
    fixture.feed();
    let before = fixture.published();
    fixture.delete(&GROUP_TYPE, &team);
    assert!(!fixture.is_held(), "a deleted group counts once");
    fixture.restore(0);
    fixture.feed();
    for user in &users {
        fixture.leave(&team, user);
    }
    assert!(fixture.is_held());
    assert_eq!(fixture.hold().record.unwrap().counted, 8);
    assert_eq!(fixture.hold().names.len(), 8);
    fixture.decide(HoldOrder::Reject, 3);
    fixture.feed();
    assert_eq!(fixture.current().members.len(), before.members.len() - 6, "the first six were published");
}

#[test]
fn a_protected_user_is_held_in_the_time_of_grace_too() {
    let mut fixture = Fixture::new();
    let [ada, bob, cleo] = ["Ada@x.example", "bob", "cleo"].map(|name| fixture.user(name));
    let users = Some(vec!["ada@X.example".to_owned(), "cleo".to_owned()]);
    fixture.change_settings(SettingsChange { protected_users: users, ..SettingsChange::default() });
    fixture.feed();
    fixture.switch_off(&bob);
    assert!(!fixture.is_held());
    fixture.switch_off(&ada);
    let record = fixture.hold().record.unwrap();
    assert_eq!((fixture.is_held(), record.reason, record.counted), (true, HoldReason::Protected, 1));
    assert_eq!(fixture.feed(), ["user.deactivated", "configuration.held"]);
    fixture.decide(HoldOrder::Reject, 5);
    assert_eq!(fixture.feed(), ["configuration.updated"]);
    fixture.delete(&USER_TYPE, &cleo);
    assert!(fixture.is_held());
    fixture.decide(HoldOrder::Allow, 5);
    assert_eq!(fixture.feed(), ["configuration.held", "configuration.updated", "user.deleted"]);
}

#[test]
fn removals_are_forgotten_after_the_window_and_rejections_after_thirty_days() {
    use crate::model::hold::window::RemovalWindow;
    use crate::provisioning::safety_net::mass_removals::remove_old_removals;
    use crate::store::tables::holds::{self as rows, RemovedItem};
    use crate::store::tables::removal_windows::{self, CountingState};

    let fixture = Fixture::with_small_thresholds();
    let [ada, bob] = ["ada", "bob"].map(|name| fixture.user(name));
    fixture.switch_off(&ada);
    let count = |fixture: &Fixture| {
        let key = (fixture.scope.configuration, RemovalKind::Users);
        fixture.store.read_inline(|at| rows::count_removals(at, key, 0)).unwrap()
    };
    let run = |fixture: &Fixture| {
        let mut after = Some((0, ""));
        while let Some(position) = after {
            after = fixture.write(move |tx, _| remove_old_removals(tx, position, 1)).unwrap();
        }
    };
    run(&fixture);
    assert_eq!(count(&fixture), 1, "it is in the window");
    fixture.change_hold(HoldChanges { window_minutes: Some(1), ..HoldChanges::default() });
    let key = fixture.scope.configuration;
    let empty = move |tx: &Tx<'_>| {
        let state = removal_windows::load_counting(tx, key, RemovalKind::Users)?;
        let state = CountingState { window: RemovalWindow::decode(&[0; 24], 1, 0), ..state };
        removal_windows::save_window(tx, key, RemovalKind::Users, state);
        Ok(())
    };
    fixture.write(move |tx, _| empty(tx)).unwrap();
    run(&fixture);
    assert_eq!(count(&fixture), 0);
    fixture.switch_off(&bob);
    assert!(!fixture.is_held(), "the window is empty");
    let mark = move |tx: &Tx<'_>, id: &str| {
        rows::mark_rejected(tx, key, RemovalKind::Users, RemovedItem { subject: id, member: "" })
    };
    let (marked, read) = (bob.clone(), bob);
    fixture.write(move |tx, _| mark(tx, &marked)).unwrap();
    run(&fixture);
    let item = RemovedItem { subject: &read, member: "" };
    let is_rejected =
        || fixture.store.read_inline(|at| rows::was_rejected(at, key, RemovalKind::Users, item, 0)).unwrap();
    assert!(is_rejected());
    assert_eq!(fixture.write(move |tx, _| rows::delete_old_rejections(tx, tx.now, 5)).unwrap(), 1);
    assert!(!is_rejected());
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    None,
    Order(HoldOrder),
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        4 => Just(Decision::None),
        1 => Just(Decision::Order(HoldOrder::Allow)),
        1 => Just(Decision::Order(HoldOrder::AllowFor(1))),
        2 => Just(Decision::Order(HoldOrder::Reject)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// N-006: while it is held, the published pages stay as they were at the write that began the hold. Allowed, the consumer gets
    /// the current state. Rejected, no removal is published, everything that was published exists with its id, and everything
    /// else that happened is there.
    #[test]
    fn a_decision_gives_the_state_that_it_promises(
        acts in prop::collection::vec((act(), decision(), 1..4_usize), 1..50),
    ) {
        let mut fixture = Fixture::with_small_thresholds();
        let mut frozen: Option<Consumer> = None;
        for (turn, (act, decision, step)) in acts.iter().enumerate() {
            // A pause holds more than the hold.
            if matches!(act, Act::Sync(_) | Act::Step(_)) {
                continue;
            }
            fixture.act(turn, act);
            fixture.check_consumer();
            if !fixture.is_held() {
                frozen = None;
                continue;
            }
            let published = fixture.published();
            match &frozen {
                None => frozen = Some(published),
                Some(before) => prop_assert_eq!((&before.users, &before.groups, &before.members), (&published.users, &published.groups, &published.members)),
            }
            let Decision::Order(order) = decision else { continue };
            let (before, before_decision) = (frozen.take().unwrap(), fixture.current());
            fixture.decide(*order, *step);
            let kinds = fixture.feed();
            let now = fixture.current();
            prop_assert_eq!(&now, &fixture.consumer);
            prop_assert_eq!(&fixture.published(), &now);
            if *order != HoldOrder::Reject {
                prop_assert_eq!((&before_decision.users, &before_decision.members), (&now.users, &now.members));
                continue;
            }
            prop_assert!(!kinds.iter().any(|kind| is_removal(kind)), "{:?}", kinds);
            prop_assert!(fixture.hold().conflicts.is_empty());
            prop_assert!(before.members.is_subset(&now.members) && before_decision.members.is_subset(&now.members));
            prop_assert!(before.groups.keys().chain(before_decision.groups.keys()).all(|id| now.groups.contains_key(id)));
            for (id, published) in &before.users {
                let user = now.users.get(id);
                prop_assert!(user.is_some_and(|user| published["active"] != json!(true) || user["active"] == json!(true)));
            }
            for (id, stored) in &before_decision.users {
                let mut expected = stored.clone();
                let was_active = before.users.get(id).is_some_and(|user| user["active"] == json!(true));
                if was_active {
                    expected.insert("active".to_owned(), json!(true));
                }
                prop_assert_eq!(&now.users[id], &expected);
            }
        }
        if fixture.is_held() {
            fixture.decide(HoldOrder::Allow, 3);
        }
        while fixture.step(3) {}
        fixture.feed();
        prop_assert_eq!(&fixture.current(), &fixture.consumer);
        let findings = check_database(fixture.folder.path(), CheckDepth::Deep).unwrap();
        prop_assert_eq!(findings, Vec::<String>::new());
    }
}
