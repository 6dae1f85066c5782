//! The order and the limits of the fair queue. All tests are deterministic: costs are numbers, not measured times.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::model::configuration::ConfigurationKey;

const NOISY: WorkOwner = configuration(1, 1);
const QUIET: WorkOwner = configuration(2, 2);

/// An owner: the configuration with this key of this account.
const fn configuration(account: i64, key: i64) -> WorkOwner {
    WorkOwner::Configuration(ConfigurationKey { account, key })
}

/// The only configuration of an account.
const fn alone(account: i64) -> WorkOwner {
    configuration(account, account)
}

/// Fills the lane of the owner, and returns how many items fitted.
fn fill_lane(queue: &mut FairQueue<u32>, owner: WorkOwner) -> usize {
    (0..100_000).take_while(|&number| queue.push(owner, number).is_ok()).count()
}

#[test]
fn an_account_gets_a_quarter_and_the_management_lane_a_half() {
    let mut queue = FairQueue::new(1_024);
    assert_eq!(fill_lane(&mut queue, NOISY), 224, "one configuration leaves a part of the quarter to the others");
    assert_eq!(fill_lane(&mut queue, configuration(1, 3)), 32);
    assert_eq!(fill_lane(&mut queue, WorkOwner::Account(1)), 0);
    assert_eq!(queue.push(NOISY, 0), Err(0));
    queue.push(QUIET, 0).unwrap();
    let mut queue = FairQueue::new(1_024);
    assert_eq!(fill_lane(&mut queue, WorkOwner::Management), 512);
    assert_eq!(fill_lane(&mut queue, WorkOwner::Background), 512 / 4);
}

#[test]
fn a_full_queue_accepts_the_minimum_share_of_another_owner() {
    let mut queue = FairQueue::new(1_024);
    for key in 10..100 {
        fill_lane(&mut queue, alone(key));
    }
    assert_eq!(fill_lane(&mut queue, QUIET), 128);
}

#[test]
fn an_account_with_many_configurations_has_the_share_of_one_with_one() {
    for configurations in [1, 2, 48, 1_000] {
        let mut queue = FairQueue::new(1_024);
        let (mut turns, mut used) = ([0_usize; 2], [0_u64; 2]);
        for number in 0..40_000 {
            for step in 0..2 {
                // A full lane refuses, and the order does not change.
                let _ = queue.push(configuration(1, 10 + (2 * number + step) % configurations), 0);
            }
            let _ = queue.push(QUIET, 0);
            let (owner, _) = queue.pop().unwrap();
            let (index, cost) = if owner == QUIET { (1, 100) } else { (0, 1_000) };
            turns[index] += 1;
            used[index] += cost;
            queue.charge(owner, cost);
            assert!(queue.length <= 512);
        }
        assert!(used[0].abs_diff(used[1]) <= 2_000, "{configurations} configurations: {used:?}");
        assert!(turns[1] > 9 * turns[0], "{turns:?}");
    }
}

#[test]
fn the_configurations_of_an_account_share_its_time_equally() {
    let mut queue = FairQueue::new(1_024);
    let mut used = HashMap::new();
    for _ in 0..30_000 {
        for owner in [configuration(1, 0), configuration(1, 1), configuration(1, 2), alone(7)] {
            // A full lane refuses, and the order does not change.
            let _ = queue.push(owner, 0);
        }
        let (owner, _) = queue.pop().unwrap();
        let WorkOwner::Configuration(ConfigurationKey { account, key }) = owner else { panic!("{owner:?}") };
        let cost = if account == 7 { 500 } else { [100, 1_000, 3_000][usize::try_from(key).unwrap()] };
        *used.entry(owner).or_insert(0_u64) += cost;
        queue.charge(owner, cost);
    }
    let of = |owner: WorkOwner| used[&owner];
    let sums = [0, 1, 2].map(|key| of(configuration(1, key)));
    assert!(sums.iter().all(|sum| sum.abs_diff(sums[0]) <= 6_000), "{sums:?}");
    assert!(sums.iter().sum::<u64>().abs_diff(of(alone(7))) <= 6_000, "{used:?}");
}

#[test]
fn a_quiet_configuration_of_a_flooding_account_is_next_in_its_account() {
    let mut queue = FairQueue::new(1_024);
    fill_lane(&mut queue, NOISY);
    let (running, _) = queue.pop().unwrap();
    queue.charge(running, 500);
    queue.push(configuration(1, 9), 7).unwrap();
    assert_eq!(queue.pop(), Some((configuration(1, 9), 7)));
}

#[test]
fn the_smallest_queue_accepts_one_item_per_owner() {
    let mut queue = FairQueue::new(1);
    assert_eq!(fill_lane(&mut queue, NOISY), 1);
    assert_eq!(fill_lane(&mut queue, QUIET), 1);
}

#[test]
fn a_quiet_owner_waits_for_no_queued_item_of_a_noisy_one() {
    let mut queue = FairQueue::new(1_024);
    fill_lane(&mut queue, NOISY);
    let (running, _) = queue.pop().unwrap();
    queue.push(QUIET, 7).unwrap();
    queue.charge(running, 500);
    assert_eq!(queue.pop(), Some((QUIET, 7)));
}

#[test]
fn an_owner_that_used_more_time_waits_more_turns() {
    let mut queue = FairQueue::new(1_024);
    fill_lane(&mut queue, NOISY);
    fill_lane(&mut queue, QUIET);
    let mut turns = HashMap::new();
    for _ in 0..110 {
        let (owner, _) = queue.pop().unwrap();
        queue.charge(owner, if owner == NOISY { 1_000 } else { 100 });
        *turns.entry(owner).or_insert(0) += 1;
    }
    assert_eq!(turns, HashMap::from([(NOISY, 10), (QUIET, 100)]));
}

#[test]
fn an_idle_owner_gets_no_credit_and_an_expensive_one_owes_its_time() {
    let mut queue = FairQueue::new(1_024);
    fill_lane(&mut queue, NOISY);
    for _ in 0..50 {
        let (owner, _) = queue.pop().unwrap();
        queue.charge(owner, 100);
    }
    // The quiet owner was idle for 5,000 microseconds. It alternates with the other one from now on.
    fill_lane(&mut queue, QUIET);
    let owners: Vec<WorkOwner> = (0..20)
        .map(|_| {
            let (owner, _) = queue.pop().unwrap();
            queue.charge(owner, 100);
            owner
        })
        .collect();
    let quiet = owners.iter().filter(|owner| **owner == QUIET).count();
    assert!((9..=11).contains(&quiet), "{owners:?}");
    // An owner whose queue is empty still owes the time of its last item.
    let mut queue = FairQueue::new(1_024);
    queue.push(NOISY, 1).unwrap();
    queue.push(QUIET, 1).unwrap();
    queue.push(QUIET, 2).unwrap();
    let (owner, _) = queue.pop().unwrap();
    assert_eq!(owner, NOISY);
    queue.charge(NOISY, 1_000);
    queue.push(NOISY, 2).unwrap();
    assert_eq!(queue.pop(), Some((QUIET, 1)));
    queue.charge(QUIET, 10);
    assert_eq!(queue.pop(), Some((QUIET, 2)));
}

#[test]
fn owners_without_items_are_forgotten() {
    let mut queue = FairQueue::new(1_024);
    for key in 0..10_000 {
        queue.push(alone(key), 0).unwrap();
        let (owner, _) = queue.pop().unwrap();
        queue.charge(owner, 10);
    }
    assert!(queue.lanes.len() <= 2 * (turns::IDLE_MAX + 3), "{}", queue.lanes.len());
    assert!(queue.tenants.remembered() <= turns::IDLE_MAX + 3);
    for key in 0..10_000 {
        queue.push(configuration(1, key), 0).unwrap();
        let (owner, _) = queue.pop().unwrap();
        queue.charge(owner, 10);
    }
    let lane = &queue.lanes[&WorkTenant::Account(1)];
    assert!(lane.items.is_empty() && lane.owners.remembered() <= turns::IDLE_MAX + 3);
}

/// A step of a random run.
#[derive(Debug, Clone)]
enum QueueStep {
    Push(i64),
    Serve(u64),
}

fn random_steps() -> impl Strategy<Value = Vec<QueueStep>> {
    let step = prop_oneof![
        3 => (0..6i64).prop_map(QueueStep::Push),
        2 => (0..5_000u64).prop_map(QueueStep::Serve),
    ];
    prop::collection::vec(step, 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn items_are_neither_lost_nor_repeated_and_no_owner_starves(steps in random_steps(), capacity in 1..64usize) {
        const COST_MAX: u64 = 5_000;
        let mut queue = FairQueue::new(capacity);
        let mut model: HashMap<i64, VecDeque<u32>> = HashMap::new();
        // Time that other owners used while the owner waited.
        let mut waited: HashMap<i64, HashMap<i64, u64>> = HashMap::new();
        let mut number = 0;
        for step in steps {
            match step {
                QueueStep::Push(key) => {
                    number += 1;
                    let lane = model.entry(key).or_default();
                    if queue.push(alone(key), number).is_ok() {
                        lane.push_back(number);
                        prop_assert!(lane.len() <= (capacity / 4).max(capacity / 8).max(1));
                    } else {
                        prop_assert!(lane.len() >= (capacity / 8).max(1));
                    }
                }
                QueueStep::Serve(cost) => {
                    let served = queue.pop();
                    prop_assert_eq!(served.is_none(), model.values().all(VecDeque::is_empty));
                    let Some((WorkOwner::Configuration(ConfigurationKey { key, .. }), item)) = served else { continue };
                    // First in, first out for each owner.
                    prop_assert_eq!(model.get_mut(&key).and_then(VecDeque::pop_front), Some(item));
                    waited.remove(&key);
                    for (other, lane) in &model {
                        if *other != key && !lane.is_empty() {
                            *waited.entry(*other).or_default().entry(key).or_default() += cost;
                        }
                    }
                    queue.charge(alone(key), cost);
                }
            }
            // A waiting owner owes at most one item. Until its turn another owner runs for that time and one item more.
            for by_owner in waited.values() {
                prop_assert!(by_owner.values().all(|used| *used <= 3 * COST_MAX), "{:?}", by_owner);
            }
        }
        let left = model.values().map(VecDeque::len).sum::<usize>();
        prop_assert_eq!(queue.list_heads().count(), model.values().filter(|lane| !lane.is_empty()).count());
        prop_assert_eq!(queue.clear().len(), left);
        prop_assert!(queue.is_empty());
    }
}
