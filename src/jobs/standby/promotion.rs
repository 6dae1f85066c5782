//! A promotion, in steps that can each run again after a kill:
//!
//! 1. Take the lease in the next generation. From here on it is renewed.
//! 2. Bring the copy to the end of the replica, and end the process that follows.
//! 3. Set the copy aside, so that it never follows again.
//! 4. Let its event numbers leap.
//! 5. Let it be the database of this machine.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::jobs::lease::{LeaseClaim, LeaseKeeper};
use crate::jobs::replication::forget_replaced_database;
use crate::jobs::standby::follow::ReplicaFollower;
use crate::management::backups;
use crate::replica::lease::{FolderRole, LeaseObject, RoleKind, Takeover};
use crate::replica::{StandbyPhase, StandbyStatus, remove_other_copies};
use crate::settings::ReplicaLocation;

/// How often the lease is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a promotion reports that it waits.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// How far a promotion is.
#[derive(Debug)]
pub(super) enum PromotionProgress {
    /// It waits for the lease, or for the copy.
    Waiting,
    /// The folder has the database. With a lease, this holds it.
    Complete(Option<LeaseKeeper>),
}

/// The promotion of one data folder.
#[derive(Debug)]
pub(super) struct Promotion<'f> {
    data_dir: &'f Path,
    location: &'f ReplicaLocation,
    claim: Option<LeaseClaim<'f>>,
    keeper: Option<LeaseKeeper>,
    /// The lease at the last look.
    lease: Option<LeaseObject>,
    looked_at: Option<Instant>,
    reported_at: Option<Instant>,
}

impl<'f> Promotion<'f> {
    pub(super) fn open(data_dir: &'f Path, location: &'f ReplicaLocation) -> anyhow::Result<Self> {
        let claim = location.lease.then(|| LeaseClaim::open(data_dir, location)).transpose()?;
        Ok(Self { data_dir, location, claim, keeper: None, lease: None, looked_at: None, reported_at: None })
    }

    /// Whether a promotion of the folder was begun and not completed.
    pub(super) fn is_begun(&self) -> anyhow::Result<bool> {
        Ok(self.read_role()?.is_some_and(|role| matches!(role.kind, RoleKind::Promoting { .. })))
    }

    /// Looks at the lease, if that is due. Returns what is known.
    pub(super) fn look(&mut self) -> Option<&LeaseObject> {
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL);
        if let Some(claim) = self.claim.as_mut().filter(|_| is_due) {
            self.looked_at = Some(Instant::now());
            match claim.look_once() {
                Ok(found) => self.lease = found,
                Err(problem) => tracing::warn!(%problem, "the lease cannot be read"),
            }
        }
        self.lease.as_ref()
    }

    /// Whether a standby may take over without an operator: the lease was not written for its whole time, also if it was given up,
    /// so that a restart of the primary is no failover.
    pub(super) fn may_take_over(&self, is_warm: bool) -> bool {
        let left = self.claim.as_ref().zip(self.lease.as_ref()).map(|(claim, lease)| claim.read_left_unreleased(lease));
        is_warm && left.is_some_and(|left| left.is_zero())
    }

    fn read_role(&self) -> anyhow::Result<Option<FolderRole>> {
        FolderRole::read(self.data_dir).context("the role of the data folder cannot be read")
    }

    /// Runs the next steps. Call it again while it waits.
    ///
    /// # Errors
    /// A step had no success. It can be tried again.
    pub(super) fn advance(
        &mut self,
        follower: &mut ReplicaFollower,
        status: &StandbyStatus,
        stop: &AtomicBool,
    ) -> anyhow::Result<PromotionProgress> {
        if self.location.lease && self.keeper.is_none() && !self.take_lease(status)? {
            return Ok(PromotionProgress::Waiting);
        }
        if !self.location.lease {
            self.begin_without_lease()?;
        }
        status.record_phase(StandbyPhase::Promoting);
        let role = self.read_role()?.context("the role of the data folder is absent")?;
        let RoleKind::Promoting { from } = role.kind else { anyhow::bail!("the data folder is not being promoted") };
        abort_for_test("lease");
        let source = if backups::has_promoted_copy(self.data_dir) || backups::has_database(self.data_dir) {
            from
        } else {
            let Some((source, copy)) = follower.catch_up(from, stop)? else { return Ok(PromotionProgress::Waiting) };
            abort_for_test("caught-up");
            self.reserve_copy(&role, (source, &copy))?;
            source
        };
        abort_for_test("aside");
        self.complete(&role, source)?;
        Ok(PromotionProgress::Complete(self.keeper.take()))
    }

    /// Takes the lease, and begins to renew it. Returns false while it has not ended.
    fn take_lease(&mut self, status: &StandbyStatus) -> anyhow::Result<bool> {
        let Some(claim) = self.claim.as_mut() else { return Ok(false) };
        let found = claim.look_once()?;
        let Some(taken) = claim.claim_for_promotion(found.as_ref())? else {
            status.record_phase(StandbyPhase::Waiting);
            if self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
                self.reported_at = Some(Instant::now());
                let left_ms = found.as_ref().map_or(0, |lease| claim.read_left(lease).as_millis());
                tracing::info!(
                    left_ms,
                    "the promotion waits for the end of the lease; it begins again with each renewal"
                );
            }
            return Ok(false);
        };
        if let Some(claim) = self.claim.take() {
            self.keeper = Some(LeaseKeeper::start(claim.into_claimed(taken))?);
        }
        Ok(true)
    }

    fn begin_without_lease(&self) -> anyhow::Result<()> {
        let role = self.read_role()?;
        if role.as_ref().is_none_or(|role| !matches!(role.kind, RoleKind::Promoting { .. })) {
            let holder = role.map_or_else(crate::clock::new_id, |role| role.holder);
            FolderRole { holder, generation: 1, kind: RoleKind::Promoting { from: 0 } }.write(self.data_dir)?;
        }
        Ok(())
    }

    /// From now on the copy does not follow. Which generation it is of is stored first.
    fn reserve_copy(&self, role: &FolderRole, (source, copy): (u64, &PathBuf)) -> anyhow::Result<()> {
        FolderRole { kind: RoleKind::Promoting { from: source }, ..role.clone() }.write(self.data_dir)?;
        backups::reserve_copy(self.data_dir, copy)?;
        Ok(())
    }

    fn complete(&self, role: &FolderRole, source: u64) -> anyhow::Result<()> {
        // Each generation after the source may have used the numbers of one gap.
        let distance = i64::try_from(role.generation.saturating_sub(source).max(1)).unwrap_or(i64::MAX);
        let event = backups::prepare_promotion(self.data_dir, distance)?;
        if let Some(keeper) = &self.keeper {
            keeper.record_takeover(Takeover { generation: role.generation, from: source, event });
        }
        abort_for_test("leapt");
        backups::complete_promotion(self.data_dir)?;
        abort_for_test("renamed");
        forget_replaced_database(self.data_dir)?;
        remove_other_copies(self.data_dir, None)?;
        report_absent_key(self.data_dir);
        if self.location.lease {
            FolderRole { kind: RoleKind::Primary, ..role.clone() }.write(self.data_dir)?;
        } else {
            FolderRole::remove(self.data_dir)?;
        }
        tracing::info!(generation = role.generation, source, event, "this server was promoted");
        Ok(())
    }
}

/// Says what is lost without the key of the other machine.
fn report_absent_key(data_dir: &Path) {
    if !data_dir.join("signing-key.pem").exists() {
        tracing::error!(
            "THE DATA FOLDER HAS NO signing-key.pem: the server makes a new one. User tokens that were signed with the old one are refused, and the keys and headers of webhooks must be entered again. Copy the file of the other machine here and start the server again, if you can"
        );
    }
}

/// Ends the process like a kill after that step, in builds for tests only.
fn abort_for_test(step: &str) {
    if cfg!(debug_assertions) && std::env::var("TEST_ABORT_PROMOTION_AFTER").is_ok_and(|expected| expected == step) {
        std::process::abort();
    }
}
