//! Replication of the database: runs Litestream, watches how far the replica is behind, and proves once a week that the replica
//! can be restored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::clock::{self, Millis};
use crate::management::backups::{self, BackupError};
use crate::management::instance::replica as proofs;
use crate::provisioning::feed;
use crate::replica::lease::{FolderRole, LeaseRecord, LeaseStorage, generation_folder};
use crate::replica::{
    ControlSocket, LitestreamProgram, ProgramError, ProofResult, ReplicaContent, ReplicaFiles, ReplicaStatus,
    RestorePoint, Supervisor, end_earlier_process, write_configuration,
};
use crate::settings::{ReplicaAck, ReplicaLocation, ReplicaSettings};
use crate::store::{LogReplicator, Store};
use crate::thread_priority::lower_priority;

/// How often the lag is measured.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often the replica is asked although nothing was committed here: commands write, too.
const IDLE_INTERVAL: Duration = Duration::from_secs(30);
/// How long one question may take.
const SYNC_MAX: Duration = Duration::from_secs(5);
/// The lag from which an error is logged.
const LAG_ALERT: Duration = Duration::from_mins(1);
/// How often the content of the replica is listed.
const CONTENT_INTERVAL: Duration = Duration::from_mins(5);
/// How often the replica is proven.
const PROOF_INTERVAL: Millis = 7 * 24 * 60 * 60 * 1000;
/// Delay of the first proof after the start: the first complete copy must be in the replica.
const PROOF_DELAY: Duration = Duration::from_mins(10);
/// Pause after a proof that could not be made, such as without space.
const PROOF_RETRY: Duration = Duration::from_hours(1);
/// How often the thread of the proofs looks whether it has something to do.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Most generations that are searched for something to restore.
const GENERATIONS_SEARCHED: usize = 16;
/// Name of the folder in the data folder in which a copy is restored.
const PROOF_FOLDER: &str = "replica-proof";

/// The same for a command, which may run at the same time.
const COMMAND_FOLDER: &str = "replica-proof-command";

/// The running replication. [`ReplicationJob::stop`] ends it after the last sync.
pub struct ReplicationJob {
    status: Arc<ReplicaStatus>,
    supervisor: Supervisor,
    watch: Option<(Sender<()>, JoinHandle<()>)>,
    proofs: Option<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

/// Litestream as the store sees it.
struct AttachedLitestream {
    socket: ControlSocket,
    status: Arc<ReplicaStatus>,
}

impl LogReplicator for AttachedLitestream {
    fn is_running(&self) -> bool {
        self.status.is_running()
    }

    fn run_checkpoint(&self, timeout: Duration) {
        if let Err(problem) = self.socket.sync_database(false, timeout) {
            tracing::debug!(%problem, "Litestream ran no checkpoint");
        }
    }

    fn confirm(&self, timeout: Duration) -> bool {
        let confirmed = self.socket.sync_database(true, timeout);
        confirmed.inspect_err(|problem| self.status.record_problem(problem.to_string())).is_ok()
    }

    fn detach(&self, timeout: Duration) -> bool {
        self.socket
            .detach_database(timeout)
            .inspect_err(|problem| tracing::warn!(%problem, "Litestream does not release the database"))
            .is_ok()
    }

    fn attach(&self, timeout: Duration) {
        if let Err(problem) = self.socket.attach_database(timeout) {
            tracing::error!(%problem, "Litestream does not replicate the database");
            self.status.record_problem(problem.to_string());
        }
    }
}

/// Starts the replication of an open store.
///
/// # Errors
/// Litestream is not installed, or its files cannot be written. The message says what to do.
pub fn start_replication(store: &Store, data_dir: &Path, settings: &ReplicaSettings) -> anyhow::Result<ReplicationJob> {
    let program = LitestreamProgram::find(&settings.location)?;
    let files = ReplicaFiles::in_folder(data_dir)?;
    write_configuration(&files, settings).with_context(|| format!("cannot write {}", files.configuration.display()))?;
    let status = Arc::new(ReplicaStatus::default());
    if let Some(proof) = store.read_inline(proofs::find_proof)? {
        status.record_proof(proof);
    }
    let socket = ControlSocket::new(&files.socket, &files.database);
    let attached = AttachedLitestream { socket: socket.clone(), status: Arc::clone(&status) };
    store.replicate_log(Arc::new(attached))?;
    let supervisor = Supervisor::start(program.clone(), files.clone(), Arc::clone(&status))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = mpsc::channel();
    let watched = LagWatch { store: store.clone(), socket, status: Arc::clone(&status), is_late: false };
    let watch = thread::Builder::new().name("rollcall-lag".into()).spawn(move || watched.run(&stopped))?;
    let prover = ReplicaProver {
        store: store.clone(),
        program,
        files,
        status: Arc::clone(&status),
        stopping: Arc::clone(&stopping),
    };
    let proofs = thread::Builder::new().name("rollcall-proof".into()).spawn(move || prover.run())?;
    Ok(ReplicationJob { status, supervisor, watch: Some((stop, watch)), proofs: Some(proofs), stopping })
}

impl ReplicationJob {
    /// What is known about the replica.
    pub fn status(&self) -> Arc<ReplicaStatus> {
        Arc::clone(&self.status)
    }

    /// Ends the replication after everything that is committed is in the replica. The store is closed by then.
    pub fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let watch = self.watch.take().map(|(stop, thread)| {
            drop(stop);
            thread
        });
        for thread in watch.into_iter().chain(self.proofs.take()) {
            // A panic of the thread is already logged.
            drop(thread.join());
        }
        self.supervisor.stop();
    }
}

impl Drop for ReplicationJob {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Measures the lag.
struct LagWatch {
    store: Store,
    socket: ControlSocket,
    status: Arc<ReplicaStatus>,
    /// Whether the alert was logged.
    is_late: bool,
}

impl LagWatch {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut asked_last = None;
        while stopped.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let (commits, asked) = self.store.count_commits();
            self.status.observe_commits(commits);
            let is_due = asked_last.is_none_or(|at: Instant| at.elapsed() >= IDLE_INTERVAL);
            if self.status.is_running() && (is_due || self.status.is_incomplete()) {
                match self.socket.sync_database(true, SYNC_MAX) {
                    Ok(()) => {
                        asked_last = Some(asked);
                        self.status.confirm_commits(commits, asked);
                    }
                    Err(problem) => self.status.record_problem(problem.to_string()),
                }
            }
            self.report_lag();
        }
    }

    fn report_lag(&mut self) {
        let figures = self.status.read_figures();
        let is_late = figures.lag >= LAG_ALERT;
        if is_late && !self.is_late {
            let (lag_s, problem) = (figures.lag.as_secs(), figures.problem.unwrap_or_default());
            tracing::error!(lag_s, problem, "THE REPLICA IS BEHIND: what was written since is only on this machine");
        } else if self.is_late && !is_late {
            tracing::info!("the replica is complete again");
        }
        self.is_late = is_late;
    }
}

/// Lists the content of the replica, and proves it.
struct ReplicaProver {
    store: Store,
    program: LitestreamProgram,
    files: ReplicaFiles,
    status: Arc<ReplicaStatus>,
    stopping: Arc<AtomicBool>,
}

impl ReplicaProver {
    fn run(self) {
        lower_priority();
        let begun = Instant::now();
        let (mut listed_at, mut tried_at): (Option<Instant>, Option<Instant>) = (None, None);
        let is_over = |at: Option<Instant>, interval| at.is_none_or(|at| at.elapsed() >= interval);
        while !self.stopping.load(Ordering::SeqCst) {
            thread::sleep(LOOK_INTERVAL);
            let figures = self.status.read_figures();
            if figures.last_success.is_none() {
                continue;
            }
            if is_over(listed_at, CONTENT_INTERVAL) {
                listed_at = Some(Instant::now());
                self.list_content();
            }
            let is_old = figures.proof.is_none_or(|proof| clock::current_millis() - proof.at >= PROOF_INTERVAL);
            if is_old && begun.elapsed() >= PROOF_DELAY && is_over(tried_at, PROOF_RETRY) {
                tried_at = Some(Instant::now());
                self.prove_replica();
            }
        }
    }

    fn list_content(&self) {
        // A command can have made a proof.
        if let Ok(Some(proof)) = self.store.read_inline(proofs::find_proof) {
            self.status.record_proof(proof);
        }
        match self.program.read_content(&self.files, &self.stopping) {
            Ok(content) => self.status.record_content(content),
            Err(ProgramError::Stopped) => {}
            Err(problem) => {
                tracing::warn!(%problem, "the replica cannot be listed");
                self.status.record_problem(problem.to_string());
            }
        }
    }

    /// Restores the replica into a scratch file, checks it, and records the result. A proof that cannot be made now is not a bad
    /// one: it is tried again.
    fn prove_replica(&self) {
        let folder = self.files.database.with_file_name(PROOF_FOLDER);
        let result = self.restore_and_check(&folder);
        drop(fs::remove_dir_all(&folder));
        match result {
            Ok(Some(proof)) => {
                match &proof.finding {
                    None => tracing::info!(
                        took_ms = proof.took_ms,
                        bytes = proof.bytes,
                        "the replica was restored and is good"
                    ),
                    Some(finding) => tracing::error!(finding, "THE REPLICA IS NOT GOOD: it was restored and checked"),
                }
                self.status.record_proof(proof.clone());
                if let Err(problem) = self.store.write_blocking(move |tx| proofs::record_proof(tx, &proof)) {
                    tracing::warn!(%problem, "the result of the proof of the replica could not be stored");
                }
            }
            Ok(None) => {}
            Err(problem) => tracing::warn!(%problem, "the replica could not be proven; it will be tried again"),
        }
    }

    /// Returns `None` if the server stops.
    fn restore_and_check(&self, folder: &Path) -> anyhow::Result<Option<ProofResult>> {
        let begun = Instant::now();
        self.check_space()?;
        let newest_before = self.store.read_inline(feed::find_end)?;
        let socket = ControlSocket::new(&self.files.socket, &self.files.database);
        socket.sync_database(true, SYNC_MAX)?;
        let file = prepare_scratch_file(folder)?;
        let restored = self.program.restore_database(&self.files, &file, RestorePoint::Newest, &self.stopping);
        let (finding, newest_event) = match restored {
            Err(ProgramError::Stopped) => return Ok(None),
            Err(problem) => (Some(problem.to_string()), 0),
            Ok(()) => {
                let newest_after = self.store.read_inline(feed::find_end)?;
                match proofs::check_restored_file(&file, newest_before..=newest_after, &self.stopping) {
                    Err(BackupError::Stopped) => return Ok(None),
                    checked => checked?,
                }
            }
        };
        let bytes = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Some(ProofResult { at: clock::current_millis(), finding, newest_event, bytes, took_ms }))
    }

    /// The restored file has the size of the database. As much again stays free.
    fn check_space(&self) -> anyhow::Result<()> {
        let needed = fs::metadata(&self.files.database)?.len().saturating_mul(2);
        let (folder, free) = self.store.read_space();
        match free {
            Some(free) if free < needed => {
                anyhow::bail!("{} has {free} free bytes, and a restored copy needs {needed}", folder.display())
            }
            _ => Ok(()),
        }
    }
}

/// Creates the empty folder, readable by its owner only, and returns the path of the file in it.
fn prepare_scratch_file(folder: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    Ok(folder.join("restored.db"))
}

/// Proves the replica of a running server now, for a command, and records the result.
///
/// # Errors
/// The proof cannot be made: the server does not run, the replica is not complete, or there is no space.
pub fn prove_replica(store: &Store, data_dir: &Path, settings: &ReplicaSettings) -> anyhow::Result<ProofResult> {
    let program = LitestreamProgram::find(&settings.location)?;
    let files = ReplicaFiles::in_folder(data_dir)?;
    if !files.socket.exists() {
        anyhow::bail!("the server does not run or does not replicate: start it, and repeat the command");
    }
    let folder = files.database.with_file_name(COMMAND_FOLDER);
    let prover =
        ReplicaProver { store: store.clone(), program, files, status: Arc::default(), stopping: Arc::default() };
    let result = prover.restore_and_check(&folder);
    drop(fs::remove_dir_all(&folder));
    let proof = result?.context("the command was stopped")?;
    let stored = proof.clone();
    store.write_blocking(move |tx| proofs::record_proof(tx, &stored))?;
    Ok(proof)
}

/// Restores the replica into a scratch file of the data folder, which the caller restores like a backup. Returns the folder of
/// the file, which the caller removes, and the file.
///
/// # Errors
/// Litestream is not installed, or the replica has no such state.
pub fn fetch_replica(
    data_dir: &Path,
    location: ReplicaLocation,
    point: RestorePoint,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let program = LitestreamProgram::find(&location)?;
    let url = location.url.clone();
    let folder = data_dir.canonicalize().with_context(|| {
        format!("the data folder {} cannot be used; create it, or name another one with --data-dir", data_dir.display())
    })?;
    let folder = folder.join("replica-restore");
    let file = prepare_scratch_file(&folder)?;
    let mut files = ReplicaFiles::in_folder(data_dir)?;
    files.configuration = folder.join("litestream.yml");
    let fetched = find_restore_location(&program, &files, location)
        .and_then(|location| Ok(write_location(&files, &location)?))
        .and_then(|()| {
            let restored = program.restore_database(&files, &file, point, &AtomicBool::new(false));
            restored.map_err(|problem| describe_failed_restore(problem, &url, point))
        });
    fetched.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
    Ok((folder, file))
}

/// The message of a restore that failed, with the replica and the fix.
fn describe_failed_restore(problem: ProgramError, url: &str, point: RestorePoint) -> anyhow::Error {
    match (problem, point) {
        (ProgramError::Empty, RestorePoint::Newest) => anyhow::anyhow!(
            "the replica {url} has no copy of the database: compare the URL with that of the server, whose first copy is complete some seconds after its start"
        ),
        (ProgramError::Empty, RestorePoint::At(time)) => anyhow::anyhow!(
            "the replica {url} has no copy of the database of {time} or earlier: give a later time with --at, or compare the URL with that of the server"
        ),
        (problem, _) => anyhow::Error::from(problem).context(format!("the replica {url} cannot be restored")),
    }
}

/// Returns the location of a generation; generation 0 is a replica without a lease.
pub fn locate_generation(location: &ReplicaLocation, generation: u64) -> ReplicaLocation {
    if generation == 0 { location.clone() } else { location.in_folder(&generation_folder(generation)) }
}

/// Returns the newest generation that has something in the replica, from `newest` down, and what it has. A server that was promoted
/// and lost before its first complete copy was sent has nothing.
///
/// # Errors
/// The replica cannot be read, or no generation has anything.
pub fn find_newest_content(
    program: &LitestreamProgram,
    files: &ReplicaFiles,
    (location, newest): (&ReplicaLocation, u64),
    stop: &AtomicBool,
) -> anyhow::Result<(u64, ReplicaContent)> {
    for generation in (0..=newest).rev().take(GENERATIONS_SEARCHED) {
        write_location(files, &locate_generation(location, generation))?;
        let content = program.read_content(files, stop)?;
        if content.files > 0 {
            return Ok((generation, content));
        }
    }
    anyhow::bail!("the replica at {} is empty", location.url)
}

/// Writes a settings file that only says where the replica is.
///
/// # Errors
/// It cannot be written.
pub fn write_location(files: &ReplicaFiles, location: &ReplicaLocation) -> std::io::Result<()> {
    let settings = ReplicaSettings {
        location: location.clone(),
        retention: CONTENT_INTERVAL,
        snapshot_interval: CONTENT_INTERVAL,
        ack: ReplicaAck::Local,
    };
    write_configuration(files, &settings)
}

/// Returns the location that a restore reads: with a lease, the newest generation that has something.
fn find_restore_location(
    program: &LitestreamProgram,
    files: &ReplicaFiles,
    location: ReplicaLocation,
) -> anyhow::Result<ReplicaLocation> {
    if !location.lease {
        return Ok(location);
    }
    let storage = LeaseStorage::open(&location).map_err(|problem| anyhow::anyhow!(problem))?;
    let newest = storage.read()?.map_or(0, |object| object.record.generation);
    let (generation, _) = find_newest_content(program, files, (&location, newest), &AtomicBool::new(false))?;
    Ok(locate_generation(&location, generation))
}

/// What is stored next to a fenced database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FencedRecord {
    /// Generation of the database.
    pub generation: u64,
    /// Newest event that the later generations have, too. `None` if the other server had not recorded it yet.
    pub common_event: Option<i64>,
    /// Generation of the server that was promoted.
    pub promoted: u64,
}

/// Path of the record of a fenced database.
pub fn fenced_record_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

/// Moves the database of the folder aside, because another server was promoted, and stores what `rollcall fenced report` needs.
/// Afterwards the folder can become a standby. Returns the new path of the database, if there was one.
///
/// # Errors
/// A server uses the folder, or a file cannot be moved.
pub fn fence_folder(data_dir: &Path, lease: &LeaseRecord) -> anyhow::Result<Option<PathBuf>> {
    if let Ok(files) = ReplicaFiles::in_folder(data_dir) {
        // A Litestream of a server that was killed would write into the moved file.
        end_earlier_process(&files)?;
    }
    let generation = FolderRole::read(data_dir)?.map_or(0, |role| role.generation);
    let fenced = backups::fence_database(data_dir)?;
    if let Some(file) = &fenced {
        let common_event = lease.find_common_event(generation);
        let record = FencedRecord { generation, common_event, promoted: lease.generation };
        fs::write(fenced_record_path(file), serde_json::to_vec(&record)?)?;
        tracing::error!(file = %file.display(), generation, promoted = lease.generation, "THIS SERVER IS FENCED");
    }
    forget_replaced_database(data_dir)?;
    FolderRole::remove(data_dir)?;
    Ok(fenced)
}

/// Removes what Litestream has stored about a database that a restore has replaced: it begins with a complete copy of the new one.
///
/// # Errors
/// The folder cannot be removed.
pub fn forget_replaced_database(data_dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(data_dir.join(".rollcall.db-litestream")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
