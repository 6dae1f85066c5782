//! Fair admission of scans: how many run at once in total and for each owner, and which owner is next.
//!
//! A scan waits here without a thread, and enters the pool of blocking threads with a permit. The owners share the time of
//! the scans by deficit round robin over measured microseconds: the cost of a scan is known only when it ends, so it is
//! charged then, and an owner in debt waits until the others had their share. The owner with the highest credit is next.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Error, Reason, Result};
use crate::store::engine::owner::WorkOwner;

/// Maximum number of concurrent scans.
pub(crate) const SCANS_MAX: usize = 4;
/// Maximum number of concurrent scans of one owner, while no other owner waits.
pub(crate) const OWNER_SCANS_MAX: usize = 2;
/// Maximum number of waiting scans of one configuration.
pub(crate) const CONFIGURATION_WAITING_MAX: usize = 64;
/// Maximum number of waiting scans of the management API and the portal.
pub(crate) const MANAGEMENT_WAITING_MAX: usize = 1_024;
/// How long a scan may wait. After that time the client has timed out or will retry.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// Share of an owner in one round, in microseconds.
const QUANTUM_US: i64 = 10_000;
/// Credit of an owner without debts, in microseconds: more than that of an owner that waits for its share.
const FRESH_CREDIT_US: i64 = 2 * QUANTUM_US;
/// Largest debt of an owner, in microseconds.
const DEBT_MAX_US: i64 = 10_000_000;
/// Number of remembered owners from which those without a debt are forgotten.
const OWNERS_REMEMBERED: usize = 1_024;

/// The scans that run and wait.
#[derive(Default)]
pub(crate) struct ScanQueue {
    state: Mutex<QueuedScans>,
}

/// The right to run one scan. Its lifetime is the cost of the scan.
pub(crate) struct ScanPermit {
    queue: Arc<ScanQueue>,
    owner: WorkOwner,
    started: Instant,
}

impl Drop for ScanPermit {
    fn drop(&mut self) {
        let cost = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.queue.lock().finish(self.owner, cost, Instant::now());
        ScanQueue::start_waiting(&self.queue);
    }
}

impl ScanQueue {
    /// Waits until a scan of the owner may run.
    ///
    /// # Errors
    /// `QueriesLimited` if too many of its scans wait, `ServerBusy` if none may start in time.
    pub(crate) async fn admit(queue: &Arc<Self>, owner: WorkOwner) -> Result<ScanPermit> {
        let (sender, receiver) = oneshot::channel();
        queue.lock().enqueue(owner, sender, Instant::now())?;
        Self::start_waiting(queue);
        match timeout(WAIT_MAX, receiver).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Reason::ServerBusy)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueuedScans> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts as many waiting scans as possible. A permit whose client has gone is dropped, without the lock.
    fn start_waiting(queue: &Arc<Self>) {
        loop {
            let next = queue.lock().start_next();
            let Some((owner, sender)) = next else { return };
            let permit = ScanPermit { queue: Arc::clone(queue), owner, started: Instant::now() };
            drop(sender.send(permit));
        }
    }
}

type PermitSender = oneshot::Sender<ScanPermit>;

/// The scans of all owners.
#[derive(Default)]
struct QueuedScans {
    running: usize,
    owners: HashMap<WorkOwner, OwnerScans>,
    /// Owners with waiting scans; the first one is next.
    turns: VecDeque<WorkOwner>,
}

/// The scans of one owner.
struct OwnerScans {
    running: usize,
    waiting: VecDeque<PermitSender>,
    /// Microseconds that it may use before others are next. Below 0 it is in debt.
    credit: i64,
    /// Since when it has no scans.
    idle_since: Option<Instant>,
}

impl OwnerScans {
    fn new() -> Self {
        Self { running: 0, waiting: VecDeque::new(), credit: FRESH_CREDIT_US, idle_since: None }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// Its credit at this time. The debt of an owner without scans is paid by time.
    fn credit_at(&self, now: Instant) -> i64 {
        let idle = self.idle_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let paid = i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
        self.credit.saturating_add(paid).min(FRESH_CREDIT_US)
    }
}

impl QueuedScans {
    fn enqueue(&mut self, owner: WorkOwner, sender: PermitSender, now: Instant) -> Result<()> {
        if self.owners.len() >= OWNERS_REMEMBERED {
            self.owners.retain(|_, scans| !scans.is_idle() || scans.credit_at(now) < 0);
        }
        let max = match owner {
            WorkOwner::Configuration(_) => CONFIGURATION_WAITING_MAX,
            WorkOwner::Management | WorkOwner::Background => MANAGEMENT_WAITING_MAX,
        };
        let scans = self.owners.entry(owner).or_insert_with(OwnerScans::new);
        if scans.waiting.len() >= max {
            scans.waiting.retain(|sender| !sender.is_closed());
            if scans.waiting.len() >= max {
                return Err(Error::new(Reason::QueriesLimited));
            }
        }
        scans.credit = scans.credit_at(now);
        scans.idle_since = None;
        scans.waiting.push_back(sender);
        if !self.turns.contains(&owner) {
            self.turns.push_back(owner);
        }
        Ok(())
    }

    /// Returns the next scan, now counted as running. `None` if none waits or none may start.
    fn start_next(&mut self) -> Option<(WorkOwner, PermitSender)> {
        self.remove_abandoned();
        let startable: Vec<WorkOwner> = self.turns.iter().copied().filter(|owner| self.may_start(*owner)).collect();
        // The first one of those with the highest credit.
        let owner = startable.into_iter().min_by_key(|owner| Reverse(self.owners[owner].credit))?;
        self.add_rounds(self.owners[&owner].credit);
        self.turns.retain(|other| *other != owner);
        let scans = self.owners.get_mut(&owner)?;
        let sender = scans.waiting.pop_front()?;
        scans.running += 1;
        self.running += 1;
        if !scans.waiting.is_empty() {
            self.turns.push_back(owner);
        }
        Some((owner, sender))
    }

    /// Gives every waiting owner its share of as many rounds as it takes until the richest one has a credit.
    fn add_rounds(&mut self, richest: i64) {
        if richest > 0 {
            return;
        }
        let rounds = -richest / QUANTUM_US + 1;
        for owner in &self.turns {
            if let Some(scans) = self.owners.get_mut(owner) {
                scans.credit = (scans.credit + rounds * QUANTUM_US).min(QUANTUM_US);
            }
        }
    }

    /// Whether another scan of the owner may start. A second one starts only while no other owner waits, and leaves half of
    /// the scans for others.
    fn may_start(&self, owner: WorkOwner) -> bool {
        let running = self.owners.get(&owner).map_or(0, |scans| scans.running);
        if self.running >= SCANS_MAX || running == 0 {
            return self.running < SCANS_MAX;
        }
        let others_wait = self.turns.iter().any(|other| *other != owner);
        running < OWNER_SCANS_MAX && !others_wait && self.running < SCANS_MAX / 2
    }

    /// Removes scans whose client has gone.
    fn remove_abandoned(&mut self) {
        let owners = &mut self.owners;
        self.turns.retain(|owner| {
            owners.get_mut(owner).is_some_and(|scans| {
                while scans.waiting.front().is_some_and(PermitSender::is_closed) {
                    scans.waiting.pop_front();
                }
                !scans.waiting.is_empty()
            })
        });
    }

    fn finish(&mut self, owner: WorkOwner, cost: i64, now: Instant) {
        self.running -= 1;
        if let Some(scans) = self.owners.get_mut(&owner) {
            scans.running -= 1;
            scans.credit = scans.credit.saturating_sub(cost).max(-DEBT_MAX_US);
            if scans.is_idle() {
                scans.idle_since = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: WorkOwner = WorkOwner::Configuration(1);
    const QUIET: WorkOwner = WorkOwner::Configuration(2);

    /// Scans under test, without threads, with chosen costs and times.
    struct Simulation {
        now: Instant,
        scans: QueuedScans,
        receivers: Vec<oneshot::Receiver<ScanPermit>>,
    }

    impl Default for Simulation {
        fn default() -> Self {
            Self { now: Instant::now(), scans: QueuedScans::default(), receivers: Vec::new() }
        }
    }

    impl Simulation {
        fn request(&mut self, owner: WorkOwner) -> Result<()> {
            let (sender, receiver) = oneshot::channel();
            self.receivers.push(receiver);
            self.scans.enqueue(owner, sender, self.now)
        }

        /// Starts what may start, and returns the owners.
        fn start(&mut self) -> Vec<WorkOwner> {
            std::iter::from_fn(|| self.scans.start_next().map(|(owner, _)| owner)).collect()
        }

        fn finish(&mut self, owner: WorkOwner, cost: i64) {
            self.scans.finish(owner, cost, self.now);
        }
    }

    #[test]
    fn an_owner_runs_two_scans_and_leaves_the_others_free() {
        let mut simulation = Simulation::default();
        (0..20).for_each(|_| simulation.request(LOUD).unwrap());
        assert_eq!(simulation.start(), [LOUD; 2]);
        simulation.request(QUIET).unwrap();
        assert_eq!(simulation.start(), [QUIET], "it starts at once");
    }

    #[test]
    fn while_another_owner_waits_an_owner_has_one_scan() {
        let mut simulation = Simulation::default();
        for owner in 0..6 {
            (0..3).for_each(|_| simulation.request(WorkOwner::Configuration(owner)).unwrap());
        }
        assert_eq!(simulation.start(), [0, 1, 2, 3].map(WorkOwner::Configuration));
        simulation.finish(WorkOwner::Configuration(0), 2_000_000);
        assert_eq!(simulation.start(), [WorkOwner::Configuration(4)]);
    }

    #[test]
    fn one_foreign_scan_ends_before_that_of_a_quiet_owner_starts() {
        let mut simulation = Simulation::default();
        for owner in 10..16 {
            (0..64).for_each(|_| simulation.request(WorkOwner::Configuration(owner)).unwrap());
        }
        let mut running = simulation.start();
        for _ in 0..20 {
            let ended = running.remove(0);
            simulation.finish(ended, 2_000_000);
            running.extend(simulation.start());
        }
        for turn in 0..100 {
            simulation.now += Duration::from_millis(100);
            simulation.request(QUIET).unwrap();
            let ended = running.remove(0);
            simulation.finish(ended, 2_000_000);
            assert_eq!(simulation.start(), [QUIET], "turn {turn}");
            simulation.finish(QUIET, 500);
            running.extend(simulation.start());
        }
    }

    #[test]
    fn time_is_shared_equally_between_long_and_short_scans() {
        let mut simulation = Simulation::default();
        let others: Vec<WorkOwner> = (3..6).map(WorkOwner::Configuration).collect();
        // Three of the four scans are in use, so that the two owners share the last one.
        for owner in &others {
            simulation.request(*owner).unwrap();
        }
        assert_eq!(simulation.start(), others);
        let mut used = [0_i64; 2];
        for _ in 0..2_000 {
            for owner in [LOUD, QUIET] {
                while simulation.scans.owners.get(&owner).map_or(0, |scans| scans.waiting.len()) < 3 {
                    simulation.request(owner).unwrap();
                }
            }
            let started = simulation.start();
            let [owner] = started[..] else { panic!("{started:?}") };
            let (index, cost) = if owner == LOUD { (0, 50_000) } else { (1, 1_000) };
            used[index] += cost;
            simulation.finish(owner, cost);
        }
        assert!((used[0] - used[1]).abs() <= 100_000, "{used:?}");
    }

    #[test]
    fn the_queue_of_each_configuration_is_bounded() {
        let mut simulation = Simulation::default();
        (0..CONFIGURATION_WAITING_MAX).for_each(|_| simulation.request(LOUD).unwrap());
        let refused = simulation.request(LOUD).unwrap_err();
        assert_eq!((refused.reason(), refused.status()), (Reason::QueriesLimited, 429));
        simulation.request(QUIET).unwrap();
        // Clients that have gone make room.
        simulation.receivers.truncate(10);
        simulation.request(LOUD).unwrap();
    }

    #[test]
    fn a_debt_is_paid_by_time_and_forgotten() {
        let mut simulation = Simulation::default();
        simulation.request(LOUD).unwrap();
        simulation.start();
        simulation.finish(LOUD, 2_000_000);
        let scans = &simulation.scans.owners[&LOUD];
        let since = scans.idle_since.unwrap();
        assert!(scans.credit_at(since + Duration::from_secs(1)) < 0);
        assert_eq!(scans.credit_at(since + Duration::from_mins(1)), FRESH_CREDIT_US);
        for owner in 0..5_000 {
            simulation.request(WorkOwner::Configuration(owner)).unwrap();
            simulation.start();
            simulation.finish(WorkOwner::Configuration(owner), 0);
        }
        assert!(simulation.scans.owners.len() <= OWNERS_REMEMBERED + 1);
    }

    #[test]
    fn a_permit_whose_client_has_gone_is_released() {
        let queue = Arc::new(ScanQueue::default());
        let waits = async {
            let held = [ScanQueue::admit(&queue, LOUD).await.unwrap(), ScanQueue::admit(&queue, LOUD).await.unwrap()];
            let abandoned = timeout(Duration::from_millis(10), ScanQueue::admit(&queue, LOUD)).await;
            assert!(abandoned.is_err(), "an owner has two scans");
            drop(held);
            let permit = ScanQueue::admit(&queue, LOUD).await.unwrap();
            assert_eq!(queue.lock().running, 1);
            drop(permit);
            assert_eq!(queue.lock().running, 0);
        };
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(waits);
    }
}
