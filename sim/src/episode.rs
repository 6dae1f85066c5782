//! One episode: a store on a simulated disk, random writes, faults and crashes, and after each of them a comparison with
//! the model.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use rollcall::clock::simulated;
use rollcall::error::{Error, Reason, Result};
use rollcall::provisioning::resources::read_resource;
use rollcall::provisioning::{Members, Scope};
use rollcall::scim::schema::USER_TYPE;
use rollcall::store::simulation::SimulatedStore;
use rollcall::store::{OpenError, WorkOwner};

use crate::disk::{CallKind, Disk, DiskCounts, DiskFile, FaultPlan, Honesty};
use crate::jobs::{Job, JobRun, Outcome, RunOrder};
use crate::model::Model;
use crate::observe::{find_difference, read_model};
use crate::random::Random;
use crate::vfs::{export_files, reset_randomness, with_disk};

/// Rounds of an episode. Each queues some jobs and runs their batches.
const ROUNDS: usize = 40;
/// Most jobs of a round.
const JOBS_MAX: usize = 12;
/// Most states that are possible at the same time, because the outcome of writes is unknown.
const CANDIDATES_MAX: usize = 16;

/// A prepared database, from which episodes start.
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, DiskFile>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) keys: Vec<i64>,
    pub(crate) model: Model,
}

/// Counts of what episodes have done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EpisodeCounts {
    pub(crate) jobs: u64,
    pub(crate) acknowledged: u64,
    pub(crate) batches: u64,
    pub(crate) power_cuts: u64,
    pub(crate) kills: u64,
    pub(crate) unknown: u64,
    pub(crate) comparisons: u64,
    pub(crate) log_scans: u64,
    pub(crate) disk: DiskCounts,
}

/// Why an episode failed.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Checked<T> = std::result::Result<T, Violation>;
type PendingResult = Pin<Box<dyn Future<Output = Result<Vec<Outcome>>>>>;

/// A job that was queued, and its result once it has one.
struct QueuedJob {
    job: Arc<Job>,
    pending: PendingResult,
    result: Option<Result<Vec<Outcome>>>,
}

/// The state of an episode.
pub(crate) struct Episode<'i> {
    image: &'i Image,
    folder: &'i Path,
    random: Random,
    honesty: Honesty,
    store: Option<SimulatedStore>,
    /// The states that are possible: one, unless writes have an unknown outcome.
    candidates: Vec<Model>,
    /// All states after a commit, oldest first, for disks that lie.
    pub(crate) history: Vec<Model>,
    pub(crate) counts: EpisodeCounts,
}

impl<'i> Episode<'i> {
    /// Starts from the image.
    pub(crate) fn start(image: &'i Image, folder: &'i Path, seed: u64, honesty: Honesty) -> Checked<Self> {
        with_disk(|disk| {
            disk.reset(image.files.clone(), seed);
            disk.plan.honesty = honesty;
        });
        simulated::reset(seed);
        // Later than the image.
        simulated::advance(Duration::from_hours(1));
        reset_randomness();
        let mut episode = Self {
            image,
            folder,
            random: Random::new(seed, 2),
            honesty,
            store: None,
            candidates: vec![image.model.clone()],
            history: vec![image.model.clone()],
            counts: EpisodeCounts::default(),
        };
        episode.open()?;
        Ok(episode)
    }

    /// Creates a new database while the power fails again and again.
    pub(crate) fn start_first(folder: &Path, files: BTreeMap<String, DiskFile>, seed: u64) -> Checked<EpisodeCounts> {
        with_disk(|disk| disk.reset(files, seed));
        simulated::reset(seed);
        reset_randomness();
        let (mut random, mut counts) = (Random::new(seed, 3), EpisodeCounts::default());
        for _ in 0..4 {
            with_disk(|disk| disk.plan.power_fails_at = Some(random.next() % 400));
            let opened = SimulatedStore::open(folder);
            if with_disk(|disk| disk.has_power()) && random.chance(1, 2) {
                counts.kills += 1;
                with_disk(Disk::kill_process);
            } else {
                counts.power_cuts += 1;
                with_disk(Disk::cut_power);
            }
            drop(opened);
        }
        let opened = SimulatedStore::open(folder);
        with_disk(Disk::kill_process);
        match opened {
            // The backup of a partly created database is a file of the real file system, which is not simulated.
            Ok(_) | Err(OpenError::NotBackedUp { .. }) => Ok(counts),
            Err(error) => Err(Violation(format!("an interrupted first start prevents the next one: {error}"))),
        }
    }

    /// Runs all rounds on an honest disk.
    pub(crate) fn run(&mut self) -> Checked<()> {
        for _ in 0..ROUNDS {
            self.run_round()?;
        }
        self.end_process();
        self.open()?;
        self.compare(true)
    }

    /// Ends the episode, and returns the digest of everything that happened.
    pub(crate) fn finish(mut self) -> (EpisodeCounts, u64) {
        with_disk(Disk::kill_process);
        self.store = None;
        self.counts.disk = with_disk(|disk| disk.counts);
        (self.counts, with_disk(|disk| disk.trace.digest()))
    }

    fn run_round(&mut self) -> Checked<()> {
        let plan = self.draw_plan();
        with_disk(|disk| disk.plan = plan);
        report(format_args!("round with {plan:?}"));
        self.run_jobs()?;
        if self.random.chance(1, 6)
            && let Some(store) = self.store.as_mut()
        {
            store.run_checkpoint();
        }
        if self.random.chance(1, 10) {
            self.read_one()?;
        }
        if !with_disk(|disk| disk.has_power()) {
            self.end_process();
            if self.random.chance(1, 4) {
                self.check_log()?;
            }
            self.open()?;
            return self.compare(true);
        }
        with_disk(|disk| disk.plan = FaultPlan { honesty: disk.plan.honesty, ..FaultPlan::NONE });
        match self.random.below(40) {
            0..3 => self.kill()?,
            3..5 => {
                self.end_process();
                self.open()?;
            }
            5 => {
                if let Some(store) = self.store.take() {
                    store.close();
                }
                self.open()?;
            }
            6..12 => {}
            _ => return Ok(()),
        }
        self.compare(false)
    }

    fn draw_plan(&mut self) -> FaultPlan {
        let random = &mut self.random;
        let mut plan = FaultPlan { honesty: self.honesty, ..FaultPlan::NONE };
        match random.below(100) {
            0..25 => plan.power_fails_at = Some(random.next() % 120),
            25..40 => {
                let kinds = [
                    CallKind::Write,
                    CallKind::Sync,
                    CallKind::Sync,
                    CallKind::Read,
                    CallKind::Truncate,
                    CallKind::Open,
                    CallKind::MapMemory,
                ];
                let kind = kinds[random.below(kinds.len())];
                let first = random.next() % if kind == CallKind::Sync { 4 } else { 40 };
                plan.failure = Some((kind, first, 1 + random.next() % 3));
                plan.failed_sync_drops = random.chance(1, 2);
                if random.chance(1, 3) {
                    plan.power_fails_at = Some(random.next() % 120);
                }
            }
            40..46 => plan.capacity = Some(with_disk(|disk| disk.count_bytes()) + random.below(64 * 1024)),
            46..56 => plan.stalls_once_in = Some(50),
            _ => {}
        }
        plan
    }

    /// Queues some jobs, and runs their batches.
    fn run_jobs(&mut self) -> Checked<()> {
        let order = RunOrder::default();
        let mut queued: Vec<QueuedJob> = Vec::new();
        let count = 1 + self.random.below(JOBS_MAX);
        for number in 0..count {
            let job = Arc::new(Job::draw(&mut self.random, &self.candidates[0]));
            let run = JobRun {
                number,
                scope: self.image.scopes[job.configuration].clone(),
                job: Arc::clone(&job),
                order: Arc::clone(&order),
            };
            let Some(store) = &self.store else { return Ok(()) };
            let mut pending = send(store, run);
            let result = pending.as_mut().now_or_never();
            queued.push(QueuedJob { job, pending, result });
        }
        self.counts.jobs += count as u64;
        loop {
            order.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let log_writes = with_disk(|disk| disk.counts.log_writes);
            let Some(store) = self.store.as_mut() else { return Ok(()) };
            if !store.run_batch() {
                break;
            }
            self.counts.batches += 1;
            let has_written = with_disk(|disk| disk.counts.log_writes) > log_writes;
            let ran = order.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.settle_batch(&mut queued, &ran, has_written)?;
        }
        let unanswered = queued.iter().filter(|one| one.result.is_none()).count();
        if unanswered > 0 {
            return Err(Violation(format!("{unanswered} writes have no result after the last batch")));
        }
        let is_intact = self.store.as_ref().is_none_or(|store| store.store.is_intact());
        if !is_intact && self.honesty == Honesty::Honest {
            return Err(Violation("the store reports corruption on a disk that has none".to_owned()));
        }
        Ok(())
    }

    /// Applies the results of a batch to the model.
    fn settle_batch(&mut self, queued: &mut [QueuedJob], ran: &[usize], has_written: bool) -> Checked<()> {
        let mut settled = Vec::new();
        for (number, one) in queued.iter_mut().enumerate().filter(|(_, one)| one.result.is_none()) {
            one.result = one.pending.as_mut().now_or_never();
            if one.result.is_some() {
                settled.push((ran.iter().rposition(|ran| *ran == number), number));
            }
        }
        settled.sort_unstable();
        let mut applied: Vec<(&Job, Option<Vec<Outcome>>)> = Vec::new();
        let mut attempted: Vec<&Job> = Vec::new();
        let mut is_committed = false;
        for (position, number) in settled {
            let QueuedJob { job, result: Some(result), .. } = &queued[number] else { continue };
            with_disk(|disk| disk.trace.add_text(&describe_result(result)));
            report(format_args!("  {position:?} {job:?}: {}", describe_result(result)));
            match result {
                Ok(outcomes) => {
                    is_committed = true;
                    self.counts.acknowledged += 1;
                    applied.push((job, Some(outcomes.clone())));
                }
                Err(error) if job.fails() || position.is_none() => check_failure(job, error)?,
                Err(error) => {
                    if let Some(outcome) = Outcome::from_error(error) {
                        applied.push((job, Some(vec![outcome])));
                    } else {
                        check_failure(job, error)?;
                        attempted.extend(is_unknown(error).then_some(&**job));
                    }
                }
            }
        }
        if !is_committed && !attempted.is_empty() && has_written {
            return self.add_unknown(&attempted);
        }
        let had_several = self.candidates.len() > 1;
        let mut reasons = Vec::new();
        self.candidates.retain_mut(|candidate| {
            let misfit = applied.iter().find(|(job, outcomes)| !candidate.apply_job(job, outcomes.as_deref()));
            reasons.extend(misfit.map(|(job, outcomes)| format!("{job:?} returned {outcomes:?}")));
            misfit.is_none()
        });
        if self.candidates.is_empty() {
            return Err(Violation(format!("a result does not fit the state: {}", reasons.join("; "))));
        }
        if is_committed {
            self.history.push(self.candidates[0].clone());
            if had_several {
                return self.compare(true);
            }
        }
        Ok(())
    }

    /// The batch is in the database as a whole, or not at all.
    fn add_unknown(&mut self, attempted: &[&Job]) -> Checked<()> {
        report(format_args!("  the outcome is unknown"));
        self.counts.unknown += 1;
        let mut further = self.candidates.clone();
        for candidate in &mut further {
            for job in attempted {
                candidate.apply_job(job, None);
            }
        }
        for candidate in further {
            if !self.candidates.contains(&candidate) {
                self.candidates.push(candidate);
            }
        }
        if self.candidates.len() > CANDIDATES_MAX {
            // Without faults the next commit settles what is true.
            self.end_process();
            self.open()?;
            return self.compare(true);
        }
        Ok(())
    }

    fn kill(&mut self) -> Checked<()> {
        self.counts.kills += 1;
        report(format_args!("kill"));
        if self.random.chance(1, 4) {
            self.check_log()?;
        }
        with_disk(Disk::kill_process);
        self.store = None;
        self.open()
    }

    /// The power fails, unless it has failed already.
    fn end_process(&mut self) {
        report(format_args!("power cut"));
        self.counts.power_cuts += 1;
        with_disk(Disk::cut_power);
        self.store = None;
    }

    /// The start refuses a log with damage. That of an honest disk has none.
    fn check_log(&mut self) -> Checked<()> {
        self.counts.log_scans += 1;
        match find_log_damage(self.folder)? {
            Some(damage) if self.honesty == Honesty::Honest => {
                Err(Violation(format!("the log of a disk without damage is refused: {damage}")))
            }
            _ => Ok(()),
        }
    }

    /// Starts the store. Sometimes there are faults meanwhile.
    fn open(&mut self) -> Checked<()> {
        self.store = None;
        for _ in 0..3 {
            if !self.random.chance(1, 5) {
                continue;
            }
            let mut plan = FaultPlan { honesty: self.honesty, ..FaultPlan::NONE };
            if self.random.chance(1, 2) {
                plan.power_fails_at = Some(self.random.next() % 60);
            } else {
                let kinds = [CallKind::Read, CallKind::Write, CallKind::Sync, CallKind::Open, CallKind::MapMemory];
                plan.failure = Some((kinds[self.random.below(kinds.len())], self.random.next() % 30, 1));
            }
            with_disk(|disk| disk.plan = plan);
            let opened = SimulatedStore::open(self.folder);
            report(format_args!("start with {plan:?}: {:?}", opened.as_ref().err().map(ToString::to_string)));
            match opened {
                Ok(store) if with_disk(|disk| disk.has_power()) => {
                    with_disk(|disk| disk.plan = FaultPlan { honesty: self.honesty, ..FaultPlan::NONE });
                    self.store = Some(store);
                    return Ok(());
                }
                Err(error @ (OpenError::Corrupt { .. } | OpenError::Foreign(_) | OpenError::Newer { .. }))
                    if self.honesty == Honesty::Honest =>
                {
                    return Err(Violation(format!("a fault of the disk is reported as damage: {error}")));
                }
                _ => {}
            }
            if with_disk(|disk| disk.has_power()) {
                self.counts.kills += 1;
                with_disk(Disk::kill_process);
            } else {
                self.end_process();
            }
        }
        with_disk(|disk| disk.plan = FaultPlan { honesty: self.honesty, ..FaultPlan::NONE });
        let opened = SimulatedStore::open(self.folder);
        self.store = Some(opened.map_err(|error| Violation(format!("the database cannot be opened: {error}")))?);
        Ok(())
    }

    /// Compares the rows with the model. `settles` if the rows are known to be durable, so that the other states are no
    /// longer possible.
    pub(crate) fn compare(&mut self, settles: bool) -> Checked<()> {
        let Some(connection) = self.store.as_ref().and_then(SimulatedStore::connection) else { return Ok(()) };
        self.counts.comparisons += 1;
        let plan =
            with_disk(|disk| std::mem::replace(&mut disk.plan, FaultPlan { honesty: self.honesty, ..FaultPlan::NONE }));
        // The deep check is ten times as long.
        let is_deep = self.random.chance(1, 20);
        let findings = SimulatedStore::check_integrity(connection, is_deep);
        let findings = findings.map_err(|error| Violation(format!("the check failed: {error}")))?;
        if !findings.is_empty() {
            return Err(Violation(format!("the check found: {}", findings.join("; "))));
        }
        let found = read_model(connection, &self.image.keys).map_err(Violation)?;
        let differences: Vec<Option<String>> =
            self.candidates.iter().map(|candidate| find_difference(candidate, &found)).collect();
        let Some(at) = differences.iter().position(Option::is_none) else {
            let texts: Vec<String> = differences.into_iter().flatten().collect();
            return Err(Violation(format!("the rows fit none of {} states: {}", texts.len(), texts.join("; "))));
        };
        self.candidates.swap(0, at);
        if settles {
            self.candidates.truncate(1);
        }
        with_disk(|disk| disk.plan = plan);
        Ok(())
    }

    /// Reads one user through the product, and compares it.
    fn read_one(&mut self) -> Checked<()> {
        let [model] = &self.candidates[..] else { return Ok(()) };
        let configuration = self.random.below(model.0.len());
        let users: Vec<_> = model.0[configuration].current.users.iter().collect();
        let (Some((id, expected)), Some(store)) = (self.random.pick(&users), &self.store) else { return Ok(()) };
        let scope = &self.image.scopes[configuration];
        let read = store.store.read_inline(|at| read_resource(at, scope, &USER_TYPE, id, Members::Skip));
        match read {
            Ok(resource) if resource.stored.body.contains(&format!("\"{}\"", expected.name)) => Ok(()),
            Ok(resource) => Err(Violation(format!("a read returned {}, not {expected:?}", resource.stored.body))),
            Err(error) if Outcome::from_error(&error).is_some() => {
                Err(Violation(format!("a read did not find the user {id}: {error}")))
            }
            Err(_) => Ok(()),
        }
    }

    /// Compares the rows with all states that have been, for disks that lie. Returns how many commits are lost.
    pub(crate) fn find_in_history(&self, store: &SimulatedStore) -> std::result::Result<usize, String> {
        let connection = store.connection().ok_or("there is no connection")?;
        let findings = SimulatedStore::check_integrity(connection, true).map_err(|error| error.to_string())?;
        if !findings.is_empty() {
            return Err(findings.join("; "));
        }
        let found = read_model(connection, &self.image.keys)?;
        let position = self.history.iter().rposition(|model| find_difference(model, &found).is_none());
        position.map(|at| self.history.len() - 1 - at).ok_or_else(String::new)
    }

    /// Runs some rounds without faults of calls, for disks that damage what they store.
    pub(crate) fn run_quiet_rounds(&mut self, count: usize) -> Checked<()> {
        for _ in 0..count {
            self.run_jobs()?;
            if self.random.chance(1, 4)
                && let Some(store) = self.store.as_mut()
            {
                store.run_checkpoint();
            }
        }
        Ok(())
    }

    /// Ends the process without a checkpoint.
    pub(crate) fn stop(&mut self, cuts_power: bool) {
        if cuts_power {
            self.end_process();
        } else {
            with_disk(Disk::kill_process);
            self.store = None;
        }
    }
}

/// Copies the files to the real file system, which the search for damage in the log reads.
pub(crate) fn find_log_damage(folder: &Path) -> Checked<Option<String>> {
    let failed = |error: std::io::Error| Violation(format!("the log cannot be searched: {error}"));
    let copies = folder.join("copies");
    std::fs::create_dir_all(&copies).map_err(failed)?;
    let database = folder.join("rollcall.db").to_string_lossy().into_owned();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(copies.join(format!("rollcall.db{suffix}")));
    }
    for (suffix, content) in export_files(&database) {
        std::fs::write(copies.join(format!("rollcall.db{suffix}")), content).map_err(failed)?;
    }
    SimulatedStore::find_log_damage(&copies.join("rollcall.db")).map_err(failed)
}

/// Prints what happens, with `--trace 1`.
fn report(what: fmt::Arguments<'_>) {
    if REPORTS.load(Ordering::Relaxed) {
        println!("{what}");
    }
}

/// Whether [`report`] prints.
pub(crate) static REPORTS: AtomicBool = AtomicBool::new(false);

fn send(store: &SimulatedStore, run: JobRun) -> PendingResult {
    let owner = if run.job.is_management() { WorkOwner::Management } else { run.scope.work_owner() };
    let store = store.store.clone();
    Box::pin(async move {
        if run.job.has_savepoint() {
            store.write_as(owner, move |tx| run.run(tx)).await
        } else {
            store.write_without_savepoint(owner, move |tx| run.run(tx)).await
        }
    })
}

fn describe_result(result: &Result<Vec<Outcome>>) -> String {
    match result {
        Ok(outcomes) => format!("{outcomes:?}"),
        Err(error) => error.reason().code().to_owned(),
    }
}

/// Whether a write with this error can be in the database. After the power has failed, no caller gets an answer.
fn is_unknown(error: &Error) -> bool {
    error.reason() == Reason::WriteOutcomeUnknown || !with_disk(|disk| disk.has_power())
}

/// Returns an error if a write fails in a way that no fault explains.
fn check_failure(job: &Job, error: &Error) -> Checked<()> {
    let is_expected = matches!(
        error.reason(),
        Reason::DatabaseUnavailable
            | Reason::DiskFull
            | Reason::DiskStalled
            | Reason::CheckpointFailing
            | Reason::ServerBusy
            | Reason::WriteOutcomeUnknown
            | Reason::WriteTooLong
    );
    if is_expected { Ok(()) } else { Err(Violation(format!("{job:?} failed: {error}"))) }
}
