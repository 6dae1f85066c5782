//! The server that holds the lease: how it begins, and what happens when another server was promoted.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::jobs::lease::{FencedFolder, LeaseClaim, LeaseKeeper};
use crate::jobs::replication;
use crate::management::backups;
use crate::replica::lease::{FolderRole, LeaseRecord, LeaseStorage, RoleKind, generation_folder};
use crate::settings::{ReplicaSettings, Settings};

/// How long a fenced server waits until the other one has recorded where its generation began.
const COMMON_EVENT_MAX: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// Takes the lease for the server of the data folder. `None` if the settings need none.
///
/// # Errors
/// Another server has it. If that one was promoted after this one, the database is moved aside.
pub(super) fn claim_lease(settings: &Settings) -> anyhow::Result<Option<LeaseKeeper>> {
    let Some(replica) = settings.replica.as_ref().filter(|replica| replica.location.lease) else { return Ok(None) };
    // Two processes of one folder would be the same holder.
    let lock = backups::lock_data_folder(&settings.data_dir)?;
    let claimed = LeaseClaim::open(&settings.data_dir, &replica.location).and_then(LeaseClaim::claim_for_primary);
    drop(lock);
    match claimed {
        Ok(claimed) => Ok(Some(LeaseKeeper::start(claimed)?)),
        Err(problem) => match problem.downcast::<FencedFolder>() {
            Ok(fenced) => Err(fence_database(settings, &fenced.lease)),
            Err(problem) => Err(problem),
        },
    }
}

/// Returns the settings of the replica: with a lease, the folder of the generation.
pub(super) fn find_replica(settings: &Settings, lease: Option<&LeaseKeeper>) -> Option<ReplicaSettings> {
    let replica = settings.replica.clone()?;
    let Some(lease) = lease else { return Some(replica) };
    let location = replica.location.in_folder(&generation_folder(lease.generation()));
    Some(ReplicaSettings { location, ..replica })
}

/// Gives the lease up after the last write. If another server has taken it, moves the database aside.
///
/// # Errors
/// Another server has taken it.
pub(super) fn end_lease(settings: &Settings, lease: Option<LeaseKeeper>) -> anyhow::Result<()> {
    match lease.and_then(LeaseKeeper::stop) {
        Some(taken) => Err(fence_database(settings, &taken)),
        None => Ok(()),
    }
}

/// Moves the database of a server aside after which another one was promoted, and returns what the operator has to know.
pub(super) fn fence_database(settings: &Settings, lease: &LeaseRecord) -> anyhow::Error {
    let newest = wait_for_common_event(settings, lease);
    let lease = newest.as_ref().unwrap_or(lease);
    match replication::fence_folder(&settings.data_dir, lease) {
        Ok(fenced) => {
            let file = fenced.map_or_else(|| "There was no database".to_owned(), |path| {
                format!("The database of this machine is now {}; `rollcall fenced report FILE` lists the events that only it has", path.display())
            });
            anyhow::anyhow!(
                "this server is fenced: another one was promoted, in generation {}. {file}. `rollcall standby` lets this machine follow the other one",
                lease.generation
            )
        }
        Err(problem) => problem.context(format!(
            "this server is fenced: another one was promoted, in generation {}. The database could not be moved aside; the next start tries it again",
            lease.generation
        )),
    }
}

/// Waits a short time until the other server has recorded where its generation began, for the report of the events that only this one
/// has. Returns the newest lease, or `None` if it cannot be read.
fn wait_for_common_event(settings: &Settings, lease: &LeaseRecord) -> Option<LeaseRecord> {
    let generation = FolderRole::read(&settings.data_dir).ok()??.generation;
    if lease.find_common_event(generation).is_some() {
        return None;
    }
    let location = &settings.replica.as_ref()?.location;
    let storage = LeaseStorage::open(location).ok()?;
    let begun = Instant::now();
    loop {
        let found = storage.read().ok().flatten().map(|object| object.record);
        let is_recorded = found.as_ref().is_some_and(|lease| lease.find_common_event(generation).is_some());
        if is_recorded || begun.elapsed() >= COMMON_EVENT_MAX {
            return found;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether the data folder is that of a primary.
pub(super) fn is_primary(settings: &Settings) -> anyhow::Result<bool> {
    let role = FolderRole::read(&settings.data_dir).context("the role of the data folder cannot be read")?;
    Ok(role.is_some_and(|role| role.kind == RoleKind::Primary) && backups::has_database(&settings.data_dir))
}
