//! The order and the limits of waiting work. The tests of the schedule are deterministic: costs and times are chosen.

use proptest::prelude::*;

use super::credit::FRESH_CREDIT_US;
use super::schedule::TENANTS_REMEMBERED;
use super::*;
use crate::model::configuration::ConfigurationKey;
use crate::store::engine::owner::WorkTenant;

const LOUD: WorkOwner = configuration(1, 1);
const QUIET: WorkOwner = configuration(2, 2);

/// An owner: the configuration with this key of this account.
const fn configuration(account: i64, key: i64) -> WorkOwner {
    WorkOwner::Configuration(ConfigurationKey { account, key })
}

/// The only configuration of an account.
const fn alone(account: i64) -> WorkOwner {
    configuration(account, account)
}

/// Work under test, without threads, with chosen costs and times.
struct Simulation {
    now: Instant,
    schedule: WorkSchedule<PermitSender>,
    receivers: Vec<oneshot::Receiver<WorkPermit>>,
}

impl Simulation {
    fn new(limits: WorkLimits) -> Self {
        Self { now: Instant::now(), schedule: WorkSchedule::new(limits), receivers: Vec::new() }
    }

    fn request(&mut self, owner: WorkOwner) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.receivers.push(receiver);
        self.schedule.enqueue(owner, sender, self.now)
    }

    /// Starts what may start, and returns the owners.
    fn start(&mut self) -> Vec<WorkOwner> {
        std::iter::from_fn(|| self.schedule.start_next(self.now).map(|(owner, _)| owner)).collect()
    }

    fn finish(&mut self, owner: WorkOwner, cost: i64) {
        self.schedule.finish(owner, cost, self.now);
    }

    /// Waiting work of the owner.
    fn count_waiting(&self, owner: WorkOwner) -> usize {
        let work = self.schedule.tenants.get(&owner.tenant());
        work.and_then(|work| work.owners.get(&owner)).map_or(0, |work| work.waiting.len())
    }
}

#[test]
fn an_account_runs_two_scans_and_another_one_starts_at_once() {
    for configurations in [1, 2, 48] {
        let mut simulation = Simulation::new(SCAN_LIMITS);
        for number in 0..60 {
            simulation.request(configuration(1, number % configurations)).unwrap();
        }
        // Only configurations that have used little so far start one more.
        let most = if configurations > 2 { 3 } else { 2 };
        assert_eq!(simulation.start().len(), most, "{configurations} configurations");
        simulation.request(QUIET).unwrap();
        assert_eq!(simulation.start(), [QUIET], "it starts at once");
    }
}

#[test]
fn while_another_account_waits_an_account_has_one_scan_and_the_last_slot_is_reserved() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    for account in 0..6 {
        (0..3).for_each(|_| simulation.request(alone(account)).unwrap());
    }
    let started = simulation.start();
    assert_eq!(started, [0, 1, 2, 3].map(alone), "none of them has used much");
    for owner in started {
        simulation.finish(owner, 2_000_000);
    }
    // Now these four are busy, and the two others are not.
    assert_eq!(simulation.start(), [alone(4), alone(5), alone(0)]);
    simulation.request(alone(50)).unwrap();
    assert_eq!(simulation.start(), [alone(50)]);
}

#[test]
fn the_last_slot_is_for_an_account_that_used_little() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    let busy = [11, 12, 13, 14, 15].map(alone);
    let mut running = Vec::new();
    for _ in 0..20 {
        for owner in busy {
            while simulation.count_waiting(owner) < 10 {
                simulation.request(owner).unwrap();
            }
        }
        running.extend(simulation.start());
        for owner in running.drain(..) {
            simulation.finish(owner, 2_000_000);
        }
        simulation.now += Duration::from_secs(2);
    }
    assert_eq!(simulation.start().len(), SCANS_MAX - RESERVED_SLOTS, "long work leaves a slot free");
    for turn in 0..100 {
        simulation.now += Duration::from_millis(100);
        simulation.request(QUIET).unwrap();
        assert_eq!(simulation.start(), [QUIET], "turn {turn}: it does not wait until long work ends");
        simulation.finish(QUIET, 500);
    }
    // An account that stops is light again after some time.
    simulation.now += Duration::from_mins(1);
    simulation.request(alone(99)).unwrap();
    assert_eq!(simulation.start(), [alone(99)]);
}

#[test]
fn an_account_has_one_large_document_and_another_one_starts_at_once() {
    let mut simulation = Simulation::new(DOCUMENT_LIMITS);
    for number in 0..60 {
        simulation.request(configuration(1, number % 3)).unwrap();
    }
    assert_eq!(simulation.start(), [configuration(1, 0), configuration(1, 1)], "the second one has used little");
    simulation.request(QUIET).unwrap();
    assert_eq!(simulation.start(), [QUIET]);
    simulation.request(QUIET).unwrap();
    simulation.finish(configuration(1, 0), 100_000);
    simulation.finish(configuration(1, 1), 100_000);
    simulation.finish(QUIET, 1_000);
    assert_eq!(simulation.start(), [QUIET, configuration(1, 2)], "the one that used less is next");
    let refused = (0..CONFIGURATION_WAITING_MAX).find_map(|_| simulation.request(configuration(1, 0)).err());
    assert_eq!(refused.unwrap().reason(), Reason::RequestsLimited);
}

#[test]
fn a_configuration_does_not_wait_for_the_long_work_of_another_one_of_its_account() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    let quiet = configuration(1, 2);
    (0..60).for_each(|_| simulation.request(LOUD).unwrap());
    let mut running = simulation.start();
    for turn in 0..50 {
        assert_eq!(running, [LOUD; 2], "turn {turn}");
        simulation.request(quiet).unwrap();
        assert_eq!(simulation.start(), [quiet], "turn {turn}");
        simulation.request(QUIET).unwrap();
        assert_eq!(simulation.start(), [QUIET], "a slot is left for another account");
        simulation.finish(quiet, 500);
        simulation.finish(QUIET, 500);
        for owner in running.drain(..) {
            simulation.finish(owner, 2_000_000);
        }
        simulation.request(LOUD).unwrap();
        simulation.now += Duration::from_secs(2);
        running.extend(simulation.start());
    }
}

#[test]
fn bulk_requests_are_limited_for_each_account_only() {
    let mut simulation = Simulation::new(BULK_LIMITS);
    for number in 0..40 {
        simulation.request(configuration(1, number % 4)).unwrap();
    }
    assert_eq!(simulation.start(), [configuration(1, 0), configuration(1, 1)]);
    for account in 2..200 {
        (0..3).for_each(|_| simulation.request(alone(account)).unwrap());
        assert_eq!(simulation.start(), [alone(account); 2]);
    }
    simulation.finish(configuration(1, 0), 1_000_000);
    assert_eq!(simulation.start(), [configuration(1, 2)], "the configurations take turns");
}

#[test]
fn time_is_shared_equally_between_accounts_whatever_their_number_of_configurations() {
    for configurations in [1, 2, 48] {
        let mut simulation = Simulation::new(SCAN_LIMITS);
        let others: Vec<WorkOwner> = (3..5).map(alone).collect();
        // Two slots are in use and the last one is reserved, so that the two accounts share one.
        for owner in &others {
            simulation.request(*owner).unwrap();
        }
        assert_eq!(simulation.start(), others);
        for (account, cost) in [(1, 2_000_000), (2, 2_000_000)] {
            simulation.request(alone(account)).unwrap();
            let started = simulation.start();
            simulation.finish(started[0], cost);
        }
        let mut used = [0_i64; 2];
        for _ in 0..2_000 {
            for key in 0..configurations {
                while simulation.count_waiting(configuration(1, key)) < 2 {
                    simulation.request(configuration(1, key)).unwrap();
                }
            }
            while simulation.count_waiting(QUIET) < 3 {
                simulation.request(QUIET).unwrap();
            }
            let started = simulation.start();
            let [owner] = started[..] else { panic!("{started:?}") };
            let (index, cost) = if owner == QUIET { (1, 1_000) } else { (0, 50_000) };
            used[index] += cost;
            simulation.finish(owner, cost);
        }
        assert!((used[0] - used[1]).abs() <= 100_000, "{configurations} configurations: {used:?}");
    }
}

#[test]
fn the_configurations_of_an_account_share_its_time_equally() {
    let mut simulation = Simulation::new(DOCUMENT_LIMITS);
    let mut used = [0_i64; 3];
    for _ in 0..2_000 {
        for key in 0..3 {
            while simulation.count_waiting(configuration(1, key)) < 2 {
                simulation.request(configuration(1, key)).unwrap();
            }
        }
        for owner in simulation.start() {
            let index = (0..3).position(|key| configuration(1, key) == owner).unwrap();
            let cost = [50_000, 5_000, 10_000][index];
            used[index] += cost;
            simulation.finish(owner, cost);
        }
    }
    let most = used.iter().max().unwrap();
    assert!(used.iter().all(|used| most - used <= 120_000), "{used:?}");
}

#[test]
fn the_queues_of_a_configuration_and_of_an_account_are_bounded() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    (0..CONFIGURATION_WAITING_MAX).for_each(|_| simulation.request(LOUD).unwrap());
    let refused = simulation.request(LOUD).unwrap_err();
    assert_eq!((refused.reason(), refused.status()), (Reason::QueriesLimited, 429));
    simulation.request(QUIET).unwrap();
    // Clients that have gone make room.
    simulation.receivers.truncate(10);
    simulation.request(LOUD).unwrap();

    let mut simulation = Simulation::new(SCAN_LIMITS);
    let mut accepted = 0;
    for key in 0..48 {
        accepted +=
            (0..CONFIGURATION_WAITING_MAX).filter(|_| simulation.request(configuration(1, key)).is_ok()).count();
    }
    assert_eq!(accepted, ACCOUNT_WAITING_MAX);
    assert!(simulation.request(WorkOwner::Account(1)).is_err(), "an admin belongs to the account");
    simulation.request(QUIET).unwrap();
    simulation.request(WorkOwner::Management).unwrap();

    // One or two configurations leave room for the others of their account.
    let mut simulation = Simulation::new(SCAN_LIMITS);
    for key in 0..2 {
        while simulation.request(configuration(1, key)).is_ok() {}
    }
    simulation.request(configuration(1, 4)).unwrap();
    simulation.request(WorkOwner::Account(1)).unwrap();
}

#[test]
fn a_debt_is_paid_by_time_and_forgotten() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    simulation.request(LOUD).unwrap();
    simulation.start();
    simulation.finish(LOUD, 2_000_000);
    let (credit, now) = (&simulation.schedule.tenants[&LOUD.tenant()].credit, simulation.now);
    assert!(credit.micros_at(now + Duration::from_secs(1)) < 0);
    assert_eq!(credit.micros_at(now + Duration::from_mins(1)), FRESH_CREDIT_US);
    for account in 0..5_000 {
        simulation.request(alone(account)).unwrap();
        simulation.start();
        simulation.finish(alone(account), 0);
    }
    assert!(simulation.schedule.tenants.len() <= TENANTS_REMEMBERED + 1);
    for key in 0..5_000 {
        simulation.request(configuration(1, key)).unwrap();
        simulation.start();
        simulation.finish(configuration(1, key), 0);
    }
    assert!(simulation.schedule.tenants[&WorkTenant::Account(1)].owners.len() <= 200);
}

#[test]
fn the_debt_of_an_account_whose_clients_have_gone_is_paid_by_time() {
    let mut simulation = Simulation::new(SCAN_LIMITS);
    simulation.request(LOUD).unwrap();
    simulation.start();
    simulation.request(LOUD).unwrap();
    simulation.finish(LOUD, 2_000_000);
    simulation.receivers.clear();
    assert!(simulation.start().is_empty());
    let (credit, now) = (&simulation.schedule.tenants[&LOUD.tenant()].credit, simulation.now);
    assert_eq!(credit.micros_at(now + Duration::from_mins(1)), FRESH_CREDIT_US);
}

#[test]
fn a_permit_whose_client_has_gone_is_released() {
    let queue = Arc::new(WorkQueue::for_scans());
    let waits = async {
        let held = [WorkQueue::admit(&queue, LOUD).await.unwrap(), WorkQueue::admit(&queue, LOUD).await.unwrap()];
        let abandoned = timeout(Duration::from_millis(10), WorkQueue::admit(&queue, LOUD)).await;
        assert!(abandoned.is_err(), "an owner has two scans");
        drop(held);
        let permit = WorkQueue::admit(&queue, LOUD).await.unwrap();
        assert_eq!(queue.lock().running, 1);
        drop(permit);
        assert_eq!(queue.lock().running, 0);
    };
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(waits);
}

/// A step of a random run.
#[derive(Debug, Clone)]
enum WorkStep {
    Request(i64, i64),
    Finish(usize, i64),
    Wait(u64),
}

fn random_steps() -> impl Strategy<Value = Vec<WorkStep>> {
    let step = prop_oneof![
        4 => (0..4i64, 0..3i64).prop_map(|(account, number)| WorkStep::Request(account, number)),
        3 => (0..8usize, 0..2_000_000i64).prop_map(|(index, cost)| WorkStep::Finish(index, cost)),
        1 => (0..500u64).prop_map(WorkStep::Wait),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_hold_and_no_slot_for_long_work_stays_free_while_idle_accounts_wait(steps in random_steps()) {
        let mut simulation = Simulation::new(SCAN_LIMITS);
        let mut running: Vec<WorkOwner> = Vec::new();
        let mut waiting: Vec<WorkOwner> = Vec::new();
        for step in steps {
            match step {
                WorkStep::Request(account, number) => {
                    let owner = configuration(account, account * 10 + number);
                    if simulation.request(owner).is_ok() {
                        waiting.push(owner);
                    }
                }
                WorkStep::Finish(index, cost) if !running.is_empty() => {
                    let owner = running.swap_remove(index % running.len());
                    simulation.finish(owner, cost);
                }
                WorkStep::Finish(..) => {}
                WorkStep::Wait(millis) => simulation.now += Duration::from_millis(millis),
            }
            for owner in simulation.start() {
                let position = waiting.iter().position(|waiting| *waiting == owner);
                prop_assert!(position.is_some(), "work starts once");
                waiting.swap_remove(position.unwrap());
                running.push(owner);
            }
            prop_assert!(running.len() <= SCANS_MAX);
            for tenant in (0..4).map(WorkTenant::Account) {
                let of_tenant = |owners: &[WorkOwner]| owners.iter().filter(|owner| owner.tenant() == tenant).count();
                prop_assert!(of_tenant(&running) <= OWNER_SCANS_MAX + 1);
                prop_assert!(of_tenant(&waiting) <= ACCOUNT_WAITING_MAX);
                // Work-conserving: an account without running work waits only while the other slots are in use.
                if of_tenant(&waiting) > 0 && of_tenant(&running) == 0 {
                    prop_assert!(running.len() >= SCANS_MAX - RESERVED_SLOTS);
                }
            }
        }
    }
}
