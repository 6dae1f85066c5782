//! Takes the lease: for the primary, in its own generation; for a promotion, in the next one. Nothing shortens the time of another
//! holder.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::clock;
use crate::replica::lease::{
    FolderRole, LeaseClock, LeaseError, LeaseObject, LeaseObserver, LeaseRecord, LeaseStorage, LeaseTerms, RoleKind,
    read_boot_id,
};
use crate::settings::ReplicaLocation;
use crate::store::WritePermit;

/// How long a start waits for a storage that does not answer.
const STORAGE_MAX: Duration = Duration::from_secs(30);
/// How long a start waits for the end of a lease that is not renewed.
const END_MAX: Duration = Duration::from_secs(30);
/// How often the lease is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a data folder is to the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseRelation {
    /// There is no lease yet.
    Absent,
    /// The folder holds it, and may write it at once.
    Own,
    /// It is that of an earlier start of the machine, and must end first.
    Earlier,
    /// Another server was promoted after this one.
    Fenced,
    /// Another server has it, and the folder was never a part of this replica.
    Foreign,
}

/// Compares a data folder with the lease. Pure.
pub fn compare_folder(role: Option<&FolderRole>, boot: &str, lease: Option<&LeaseRecord>) -> LeaseRelation {
    let Some(lease) = lease else { return LeaseRelation::Absent };
    let Some(role) = role else { return LeaseRelation::Foreign };
    if lease.holder == role.holder && lease.generation == role.generation {
        return if lease.is_held_by(&role.holder, boot) || lease.released {
            LeaseRelation::Own
        } else {
            LeaseRelation::Earlier
        };
    }
    if lease.generation > role.generation { LeaseRelation::Fenced } else { LeaseRelation::Foreign }
}

/// The data folder is that of a server after which another one was promoted.
#[derive(Debug, thiserror::Error)]
#[error("another server was promoted: it has generation {}", .lease.generation)]
pub struct FencedFolder {
    /// The lease of the other server.
    pub lease: LeaseRecord,
}

/// A lease that was taken. Its permit is valid for some seconds.
#[derive(Debug)]
pub struct ClaimedLease {
    pub(super) storage: LeaseStorage,
    pub(super) object: LeaseObject,
    pub(super) clock: LeaseClock,
    pub(super) permit: Arc<WritePermit>,
}

impl ClaimedLease {
    /// The content of the lease.
    pub fn record(&self) -> &LeaseRecord {
        &self.object.record
    }
}

/// A data folder that wants the lease.
#[derive(Debug)]
pub struct LeaseClaim<'f> {
    data_dir: &'f Path,
    storage: LeaseStorage,
    boot: String,
    observer: LeaseObserver,
}

impl<'f> LeaseClaim<'f> {
    /// Opens the storage of the lease.
    ///
    /// # Errors
    /// The replica cannot have a lease, or no credentials are set.
    pub fn open(data_dir: &'f Path, location: &ReplicaLocation) -> anyhow::Result<Self> {
        let storage = LeaseStorage::open(location).map_err(|problem| anyhow::anyhow!(problem))?;
        Ok(Self { data_dir, storage, boot: read_boot_id(), observer: LeaseObserver::default() })
    }

    /// Looks at the lease, and waits some time for a storage that does not answer.
    ///
    /// # Errors
    /// The storage does not answer.
    pub fn look(&mut self) -> anyhow::Result<Option<LeaseObject>> {
        let begun = Instant::now();
        loop {
            match self.look_once() {
                Err(problem) if begun.elapsed() < STORAGE_MAX => {
                    tracing::warn!(%problem, "the lease cannot be read yet");
                    thread::sleep(LOOK_INTERVAL);
                }
                looked => return Ok(looked?),
            }
        }
    }

    /// Looks at the lease once.
    ///
    /// # Errors
    /// The storage does not answer.
    pub fn look_once(&mut self) -> Result<Option<LeaseObject>, LeaseError> {
        let found = self.storage.read()?;
        if let Some(object) = &found {
            self.observer.record_look(&object.tag, clock::read_boot_time());
        }
        Ok(found)
    }

    /// How long it takes until the lease with this content has ended. Zero if it has.
    pub fn read_left(&self, object: &LeaseObject) -> Duration {
        if object.record.released { Duration::ZERO } else { self.read_left_unreleased(object) }
    }

    /// The same, also if its holder has given it up.
    pub fn read_left_unreleased(&self, object: &LeaseObject) -> Duration {
        if object.is_old() {
            return Duration::ZERO;
        }
        let ttl = Duration::from_millis(object.record.ttl_ms).max(LeaseTerms::DEFAULT.ttl);
        self.observer.read_left(&object.tag, ttl, clock::read_boot_time())
    }

    /// Takes the lease for the server of the folder. Waits until the lease of an earlier start of the machine has ended.
    ///
    /// # Errors
    /// Another server has it; the message says what to do. A fenced folder is an error that [`FencedFolder`] describes.
    pub fn claim_for_primary(mut self) -> anyhow::Result<ClaimedLease> {
        let begun = Instant::now();
        loop {
            let found = self.look()?;
            let role = FolderRole::read(self.data_dir).context("the role of the data folder cannot be read")?;
            if let Some(role) = role.as_ref().filter(|role| role.kind != RoleKind::Primary) {
                bail!(describe_other_role(role));
            }
            let lease = found.as_ref().map(|object| &object.record);
            let record = match (compare_folder(role.as_ref(), &self.boot, lease), lease) {
                (LeaseRelation::Absent, _) | (_, None) => self.prepare_first(role)?,
                (LeaseRelation::Own, Some(lease)) => lease.renewed(&self.boot),
                (LeaseRelation::Fenced, Some(lease)) => return Err(FencedFolder { lease: lease.clone() }.into()),
                (LeaseRelation::Foreign, Some(lease)) => bail!(describe_foreign(lease)),
                (LeaseRelation::Earlier, Some(lease)) => {
                    let left = found.as_ref().map_or(Duration::ZERO, |object| self.read_left(object));
                    if !left.is_zero() {
                        if begun.elapsed() >= END_MAX {
                            bail!("a server with a copy of this data folder writes the lease: stop it");
                        }
                        thread::sleep(left.min(LOOK_INTERVAL));
                        continue;
                    }
                    lease.renewed(&self.boot)
                }
            };
            match self.write(&record, found.as_ref()) {
                Err(LeaseError::Changed) => {}
                Err(problem) if begun.elapsed() < STORAGE_MAX => {
                    tracing::warn!(%problem, "the lease cannot be written yet");
                    thread::sleep(LOOK_INTERVAL);
                }
                written => return Ok(self.into_claimed(written?)),
            }
        }
    }

    /// The lease of a replica that has none. The role of the folder is written first: the lease is its own after an interruption.
    fn prepare_first(&self, role: Option<FolderRole>) -> anyhow::Result<LeaseRecord> {
        let known = role.is_some();
        let role = match role {
            Some(role) => role,
            None => FolderRole { holder: clock::new_id(), generation: 1, kind: RoleKind::Primary },
        };
        role.write(self.data_dir).context("the role of the data folder cannot be written")?;
        let ttl = LeaseTerms::DEFAULT.ttl;
        if known {
            // It was removed, and its holder may not know that yet.
            thread::sleep(ttl);
        }
        Ok(LeaseRecord { generation: role.generation, ..first_lease(&role.holder, &self.boot) })
    }

    /// Takes the lease in the next generation, if it has ended. A promotion that was interrupted after this step holds it already.
    /// Returns `None` while it has not ended.
    ///
    /// # Errors
    /// The storage does not answer, or the role of the folder cannot be written.
    pub fn claim_for_promotion(
        &mut self,
        found: Option<&LeaseObject>,
    ) -> anyhow::Result<Option<(LeaseObject, Duration)>> {
        let role = FolderRole::read(self.data_dir).context("the role of the data folder cannot be read")?;
        let lease = found.map(|object| &object.record);
        let begun = role.as_ref().zip(lease).filter(|(role, lease)| {
            let is_promoting = matches!(role.kind, RoleKind::Promoting { .. });
            is_promoting && role.holder == lease.holder && role.generation == lease.generation
        });
        let is_free = found.is_none_or(|object| self.read_left(object).is_zero());
        let record = match (begun, lease) {
            (Some((_, lease)), _) if is_free || lease.boot == self.boot => lease.renewed(&self.boot),
            (None, _) if is_free => {
                let holder = role.map_or_else(clock::new_id, |role| role.holder);
                let record = match lease {
                    Some(lease) => lease.taken_by(&holder, &self.boot),
                    None => first_lease(&holder, &self.boot),
                };
                let kind = RoleKind::Promoting { from: lease.map_or(0, |lease| lease.generation) };
                let promoting = FolderRole { holder, generation: record.generation, kind };
                promoting.write(self.data_dir).context("the role of the data folder cannot be written")?;
                record
            }
            _ => return Ok(None),
        };
        match self.write(&record, found) {
            Ok(_) if found.is_none() => {
                // It may have been removed while a server holds it. The next look finds this one.
                thread::sleep(LeaseTerms::DEFAULT.ttl);
                Ok(None)
            }
            Err(LeaseError::Changed) => Ok(None),
            written => Ok(Some(written?)),
        }
    }

    fn write(
        &mut self,
        record: &LeaseRecord,
        found: Option<&LeaseObject>,
    ) -> Result<(LeaseObject, Duration), LeaseError> {
        let asked_at = clock::read_boot_time();
        let object = self.storage.write(record, found.map(|object| object.tag.as_str()))?;
        Ok((object, asked_at))
    }

    /// Begins the permit of a lease that was written. `asked_at` is the time in front of the request.
    pub fn into_claimed(self, (object, asked_at): (LeaseObject, Duration)) -> ClaimedLease {
        let (mut clock, permit) = (LeaseClock::new(LeaseTerms::DEFAULT), Arc::new(WritePermit::default()));
        permit.extend(clock.record_success(asked_at));
        ClaimedLease { storage: self.storage, object, clock, permit }
    }
}

fn first_lease(holder: &str, boot: &str) -> LeaseRecord {
    let ttl_ms = u64::try_from(LeaseTerms::DEFAULT.ttl.as_millis()).unwrap_or(u64::MAX);
    LeaseRecord::first(holder, boot, ttl_ms)
}

fn describe_other_role(role: &FolderRole) -> String {
    match role.kind {
        RoleKind::Promoting { .. } => {
            "the promotion of this data folder was interrupted: run `rollcall promote` again".to_owned()
        }
        _ => "this data folder is that of a standby: run `rollcall standby`, or `rollcall promote` to take over"
            .to_owned(),
    }
}

fn describe_foreign(lease: &LeaseRecord) -> String {
    format!(
        "another server has the lease of this replica, in generation {}: run `rollcall standby` on an empty data folder, or `rollcall promote` to take over with this one",
        lease.generation
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_compared_with_the_lease_by_holder_generation_and_start_of_the_machine() {
        let lease = |generation| LeaseRecord { generation, ..LeaseRecord::first("a", "boot", 10_000) };
        let role =
            |holder: &str, generation| FolderRole { holder: holder.to_owned(), generation, kind: RoleKind::Primary };
        let judge = |role: Option<FolderRole>, lease: &LeaseRecord| compare_folder(role.as_ref(), "boot", Some(lease));
        assert_eq!(compare_folder(Some(&role("a", 1)), "boot", None), LeaseRelation::Absent);
        assert_eq!(judge(None, &lease(1)), LeaseRelation::Foreign);
        assert_eq!(judge(Some(role("a", 2)), &lease(2)), LeaseRelation::Own);
        assert_eq!(judge(Some(role("a", 1)), &lease(2)), LeaseRelation::Fenced);
        assert_eq!(judge(Some(role("b", 1)), &lease(2)), LeaseRelation::Fenced);
        // Two folders cannot be the primary of one generation.
        assert_eq!(judge(Some(role("b", 2)), &lease(2)), LeaseRelation::Foreign);
        assert_eq!(judge(Some(role("a", 3)), &lease(2)), LeaseRelation::Foreign);
        let earlier = LeaseRecord { boot: "before".to_owned(), ..lease(2) };
        assert_eq!(judge(Some(role("a", 2)), &earlier), LeaseRelation::Earlier);
        assert_eq!(judge(Some(role("a", 2)), &earlier.released()), LeaseRelation::Own);
    }
}
