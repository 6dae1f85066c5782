//! Fair admission of work off the event loop: how much of it runs at once in total and for each owner, and which owner is
//! next. There is one queue for scans and one for large documents.
//!
//! Work waits here without a thread, and enters the pool of blocking threads with a permit. The owners share the time by
//! deficit round robin over measured microseconds: the cost of a piece of work is known only when it ends, so it is
//! charged then, and an owner in debt waits until the others had their share. The owner with the highest credit is next.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Error, Reason, Result};
use crate::store::engine::owner::WorkOwner;

/// Maximum number of concurrent work.
pub(crate) const SCANS_MAX: usize = 4;
/// Maximum number of concurrent scans of one owner, while no other owner waits.
pub(crate) const OWNER_SCANS_MAX: usize = 2;
/// Maximum number of large documents that are processed at the same time. The other cores remain free for the event loops.
pub(crate) const DOCUMENTS_MAX: usize = 2;
/// Maximum number of concurrent large documents of one owner.
pub(crate) const OWNER_DOCUMENTS_MAX: usize = 1;
/// Maximum number of waiting work, and of waiting documents, of one configuration.
pub(crate) const CONFIGURATION_WAITING_MAX: usize = 64;
/// The same for the management API and the portal.
pub(crate) const MANAGEMENT_WAITING_MAX: usize = 1_024;
/// How long work may wait. After that time the client has timed out or will retry.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// Share of an owner in one round, in microseconds.
const QUANTUM_US: i64 = 10_000;
/// Credit of an owner without debts, in microseconds: more than that of an owner that waits for its share.
const FRESH_CREDIT_US: i64 = 2 * QUANTUM_US;
/// Largest debt of an owner, in microseconds.
const DEBT_MAX_US: i64 = 10_000_000;
/// Number of remembered owners from which those without a debt are forgotten.
const OWNERS_REMEMBERED: usize = 1_024;

/// How much work of a queue runs.
#[derive(Debug, Clone, Copy)]
struct WorkLimits {
    /// At once.
    running_max: usize,
    /// At once of one owner, while no other owner waits.
    owner_max: usize,
    /// The error of an owner with too much waiting work.
    refusal: Reason,
}

const SCAN_LIMITS: WorkLimits =
    WorkLimits { running_max: SCANS_MAX, owner_max: OWNER_SCANS_MAX, refusal: Reason::QueriesLimited };
const DOCUMENT_LIMITS: WorkLimits =
    WorkLimits { running_max: DOCUMENTS_MAX, owner_max: OWNER_DOCUMENTS_MAX, refusal: Reason::RequestsLimited };

/// The work that runs and waits.
pub(crate) struct WorkQueue {
    state: Mutex<QueuedWork>,
}

/// The right to do one piece of work. Its lifetime is the cost of the work.
pub(crate) struct WorkPermit {
    queue: Arc<WorkQueue>,
    owner: WorkOwner,
    started: Instant,
}

impl Drop for WorkPermit {
    fn drop(&mut self) {
        let cost = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.queue.lock().finish(self.owner, cost, Instant::now());
        WorkQueue::start_waiting(&self.queue);
    }
}

impl WorkQueue {
    /// The queue of work.
    pub(crate) fn for_scans() -> Self {
        Self::new(SCAN_LIMITS)
    }

    /// The queue of large documents.
    pub(crate) fn for_documents() -> Self {
        Self::new(DOCUMENT_LIMITS)
    }

    fn new(limits: WorkLimits) -> Self {
        Self { state: Mutex::new(QueuedWork::new(limits)) }
    }

    /// Waits until work of the owner may run.
    ///
    /// # Errors
    /// 429 if too much of its work waits, `ServerBusy` if none may start in time.
    pub(crate) async fn admit(queue: &Arc<Self>, owner: WorkOwner) -> Result<WorkPermit> {
        let (sender, receiver) = oneshot::channel();
        queue.lock().enqueue(owner, sender, Instant::now())?;
        Self::start_waiting(queue);
        match timeout(WAIT_MAX, receiver).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Reason::ServerBusy)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueuedWork> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts as much waiting work as possible. A permit whose client has gone is dropped, without the lock.
    fn start_waiting(queue: &Arc<Self>) {
        loop {
            let next = queue.lock().start_next();
            let Some((owner, sender)) = next else { return };
            let permit = WorkPermit { queue: Arc::clone(queue), owner, started: Instant::now() };
            drop(sender.send(permit));
        }
    }
}

type PermitSender = oneshot::Sender<WorkPermit>;

/// The work of all owners.
struct QueuedWork {
    limits: WorkLimits,
    running: usize,
    owners: HashMap<WorkOwner, OwnerWork>,
    /// Owners with waiting work; the first one is next.
    turns: VecDeque<WorkOwner>,
}

/// The work of one owner.
struct OwnerWork {
    running: usize,
    waiting: VecDeque<PermitSender>,
    /// Microseconds that it may use before others are next. Below 0 it is in debt.
    credit: i64,
    /// Since when it has no work.
    idle_since: Option<Instant>,
}

impl OwnerWork {
    fn new() -> Self {
        Self { running: 0, waiting: VecDeque::new(), credit: FRESH_CREDIT_US, idle_since: None }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// Its credit at this time. The debt of an owner without work is paid by time.
    fn credit_at(&self, now: Instant) -> i64 {
        let idle = self.idle_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let paid = i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
        self.credit.saturating_add(paid).min(FRESH_CREDIT_US)
    }
}

impl QueuedWork {
    fn new(limits: WorkLimits) -> Self {
        Self { limits, running: 0, owners: HashMap::new(), turns: VecDeque::new() }
    }

    fn enqueue(&mut self, owner: WorkOwner, sender: PermitSender, now: Instant) -> Result<()> {
        if self.owners.len() >= OWNERS_REMEMBERED {
            self.owners.retain(|_, work| !work.is_idle() || work.credit_at(now) < 0);
        }
        let max = match owner {
            WorkOwner::Configuration(_) => CONFIGURATION_WAITING_MAX,
            WorkOwner::Management | WorkOwner::Background => MANAGEMENT_WAITING_MAX,
        };
        let work = self.owners.entry(owner).or_insert_with(OwnerWork::new);
        if work.waiting.len() >= max {
            work.waiting.retain(|sender| !sender.is_closed());
            if work.waiting.len() >= max {
                return Err(Error::new(self.limits.refusal));
            }
        }
        work.credit = work.credit_at(now);
        work.idle_since = None;
        work.waiting.push_back(sender);
        if !self.turns.contains(&owner) {
            self.turns.push_back(owner);
        }
        Ok(())
    }

    /// Returns the next work, now counted as running. `None` if none waits or none may start.
    fn start_next(&mut self) -> Option<(WorkOwner, PermitSender)> {
        self.remove_abandoned();
        let startable: Vec<WorkOwner> = self.turns.iter().copied().filter(|owner| self.may_start(*owner)).collect();
        // The first one of those with the highest credit.
        let owner = startable.into_iter().min_by_key(|owner| Reverse(self.owners[owner].credit))?;
        self.add_rounds(self.owners[&owner].credit);
        self.turns.retain(|other| *other != owner);
        let work = self.owners.get_mut(&owner)?;
        let sender = work.waiting.pop_front()?;
        work.running += 1;
        self.running += 1;
        if !work.waiting.is_empty() {
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
            if let Some(work) = self.owners.get_mut(owner) {
                work.credit = (work.credit + rounds * QUANTUM_US).min(QUANTUM_US);
            }
        }
    }

    /// Whether more work of the owner may start. A second piece starts only while no other owner waits, and leaves half of
    /// the capacity for others.
    fn may_start(&self, owner: WorkOwner) -> bool {
        let running = self.owners.get(&owner).map_or(0, |work| work.running);
        let WorkLimits { running_max, owner_max, .. } = self.limits;
        if self.running >= running_max || running == 0 {
            return self.running < running_max;
        }
        let others_wait = self.turns.iter().any(|other| *other != owner);
        running < owner_max && !others_wait && self.running < running_max / 2
    }

    /// Removes work whose client has gone.
    fn remove_abandoned(&mut self) {
        let owners = &mut self.owners;
        self.turns.retain(|owner| {
            owners.get_mut(owner).is_some_and(|work| {
                while work.waiting.front().is_some_and(PermitSender::is_closed) {
                    work.waiting.pop_front();
                }
                !work.waiting.is_empty()
            })
        });
    }

    fn finish(&mut self, owner: WorkOwner, cost: i64, now: Instant) {
        self.running -= 1;
        if let Some(work) = self.owners.get_mut(&owner) {
            work.running -= 1;
            work.credit = work.credit.saturating_sub(cost).max(-DEBT_MAX_US);
            if work.is_idle() {
                work.idle_since = Some(now);
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
        scans: QueuedWork,
        receivers: Vec<oneshot::Receiver<WorkPermit>>,
    }

    impl Default for Simulation {
        fn default() -> Self {
            Self { now: Instant::now(), scans: QueuedWork::new(SCAN_LIMITS), receivers: Vec::new() }
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
    fn an_owner_has_one_large_document_and_another_owner_starts_at_once() {
        let mut simulation = Simulation { scans: QueuedWork::new(DOCUMENT_LIMITS), ..Simulation::default() };
        (0..20).for_each(|_| simulation.request(LOUD).unwrap());
        assert_eq!(simulation.start(), [LOUD]);
        simulation.request(QUIET).unwrap();
        assert_eq!(simulation.start(), [QUIET]);
        simulation.request(QUIET).unwrap();
        simulation.finish(LOUD, 100_000);
        simulation.finish(QUIET, 1_000);
        assert_eq!(simulation.start(), [QUIET, LOUD], "the one that used less is next");
        for _ in 0..CONFIGURATION_WAITING_MAX {
            let _ = simulation.request(LOUD);
        }
        assert_eq!(simulation.request(LOUD).unwrap_err().reason(), Reason::RequestsLimited);
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
}
