//! A standby: a copy of the database follows the replica of another server, until a promotion makes it the database of this
//! machine.

mod follow;
mod promotion;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::clock;
use crate::jobs::lease::{LeaseClaim, LeaseKeeper};
use crate::jobs::replication::fence_folder;
use crate::jobs::standby::follow::ReplicaFollower;
use crate::jobs::standby::promotion::{Promotion, PromotionProgress};
use crate::management::backups;
use crate::replica::lease::{FolderRole, RoleKind};
use crate::replica::{StandbyPhase, StandbyStatus};
use crate::settings::ReplicaLocation;

/// How often the standby looks whether it has something to do.
const TICK: Duration = Duration::from_millis(200);
/// Name of the file with which a command asks a running standby for its promotion.
const REQUEST_FILE: &str = "promote.request";

/// What a standby does at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyMode {
    /// Follows until a command asks for the promotion.
    Follow,
    /// The same, and takes over when the lease of the other server has ended.
    AutoPromote,
    /// Takes over now.
    Promote,
}

/// How the work of a standby ended.
#[derive(Debug)]
pub enum StandbyEnd {
    /// The process stops.
    Stopped,
    /// The folder has the database of this machine now. With a lease, this holds it.
    Promoted(Option<LeaseKeeper>),
}

/// The work of one standby.
#[derive(Debug)]
pub struct StandbyJob {
    data_dir: PathBuf,
    location: ReplicaLocation,
    mode: StandbyMode,
    status: Arc<StandbyStatus>,
    stopping: Arc<AtomicBool>,
}

impl StandbyJob {
    /// The work in this folder with the replica at this location.
    pub fn new(data_dir: &Path, location: ReplicaLocation, mode: StandbyMode) -> Self {
        let data_dir = data_dir.to_owned();
        Self { data_dir, location, mode, status: Arc::default(), stopping: Arc::default() }
    }

    /// What is known about it.
    pub fn status(&self) -> Arc<StandbyStatus> {
        Arc::clone(&self.status)
    }

    /// Set to end the work.
    pub fn stop_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopping)
    }

    /// Follows the replica until it is promoted or stopped. Problems of the replica are logged, and tried again.
    ///
    /// # Errors
    /// Litestream is not installed, no lease can be used, or a file of the folder cannot be used.
    pub fn run(self) -> anyhow::Result<StandbyEnd> {
        prepare_folder(&self.data_dir)?;
        let mut follower = ReplicaFollower::open(&self.data_dir, &self.location, Arc::clone(&self.status))?;
        let mut promotion = Promotion::open(&self.data_dir, &self.location)?;
        // One that was interrupted is completed.
        let is_begun = promotion.is_begun()?;
        while !self.stopping.load(Ordering::SeqCst) {
            let is_asked = is_begun || self.mode == StandbyMode::Promote || is_promotion_requested(&self.data_dir);
            let lease = promotion.look().cloned();
            if is_asked || self.mode == StandbyMode::AutoPromote && promotion.may_take_over(follower.is_warm()) {
                match promotion.advance(&mut follower, &self.status, &self.stopping) {
                    Ok(PromotionProgress::Complete(keeper)) => {
                        withdraw_request(&self.data_dir)?;
                        return Ok(StandbyEnd::Promoted(keeper));
                    }
                    Ok(PromotionProgress::Waiting) => {}
                    Err(problem) => {
                        tracing::error!(problem = format!("{problem:#}"), "the promotion did not succeed yet");
                        self.status.record_problem(format!("{problem:#}"));
                    }
                }
            }
            if !backups::has_database(&self.data_dir) && !backups::has_promoted_copy(&self.data_dir) {
                follower.tick(lease.as_ref(), &self.stopping);
            }
            thread::sleep(TICK);
        }
        self.status.record_phase(StandbyPhase::Restoring);
        Ok(StandbyEnd::Stopped)
    }
}

/// Records that the folder is that of a standby, unless a promotion has begun.
fn prepare_folder(data_dir: &Path) -> anyhow::Result<()> {
    let role = FolderRole::read(data_dir).context("the role of the data folder cannot be read")?;
    if role.is_none() && !backups::has_database(data_dir) {
        let standby = FolderRole { holder: clock::new_id(), generation: 0, kind: RoleKind::Standby };
        standby.write(data_dir).context("the role of the data folder cannot be written")?;
    }
    Ok(())
}

/// Forgets a promotion of the folder that another server has overtaken: its copy is not the newest state. Call it while no standby
/// runs.
///
/// # Errors
/// The lease cannot be read, or a file cannot be moved.
pub fn settle_folder(data_dir: &Path, location: &ReplicaLocation) -> anyhow::Result<()> {
    if !location.lease || !data_dir.exists() {
        return Ok(());
    }
    let Some(role) = FolderRole::read(data_dir).context("the role of the data folder cannot be read")? else {
        return Ok(());
    };
    if !matches!(role.kind, RoleKind::Promoting { .. }) {
        return Ok(());
    }
    let Some(lease) = LeaseClaim::open(data_dir, location)?.look()? else { return Ok(()) };
    let lease = lease.record;
    let is_own = lease.holder == role.holder && lease.generation == role.generation;
    if is_own || lease.generation < role.generation {
        return Ok(());
    }
    tracing::warn!(generation = lease.generation, "another server was promoted during the promotion of this one");
    backups::discard_promoted_copy(data_dir)?;
    if backups::has_database(data_dir) {
        fence_folder(data_dir, &lease)?;
    }
    FolderRole { generation: 0, kind: RoleKind::Standby, ..role }.write(data_dir)?;
    Ok(())
}

/// Whether the folder has a database that no promotion has brought.
///
/// # Errors
/// The role of the folder cannot be read.
pub fn has_foreign_database(data_dir: &Path) -> anyhow::Result<bool> {
    let role = FolderRole::read(data_dir).context("the role of the data folder cannot be read")?;
    let is_promoting = role.is_some_and(|role| matches!(role.kind, RoleKind::Promoting { .. }));
    Ok(backups::has_database(data_dir) && !is_promoting)
}

/// Asks the running standby of the folder for its promotion.
///
/// # Errors
/// The file cannot be written.
pub fn request_promotion(data_dir: &Path) -> io::Result<()> {
    fs::write(data_dir.join(REQUEST_FILE), "")
}

/// Takes the request back.
///
/// # Errors
/// The file cannot be removed.
pub fn withdraw_request(data_dir: &Path) -> io::Result<()> {
    match fs::remove_file(data_dir.join(REQUEST_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a promotion was requested and is not complete.
pub fn is_promotion_requested(data_dir: &Path) -> bool {
    data_dir.join(REQUEST_FILE).exists()
}
