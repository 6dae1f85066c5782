//! Episodes on disks that damage what they store: syncs that lie, and bits that flip. What the server notices, and what
//! it does not, is counted; it never stops working in any other way.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use rollcall::store::simulation::SimulatedStore;

use crate::disk::{Disk, Honesty};
use crate::episode::{Episode, Image, Violation, find_log_damage};
use crate::vfs::with_disk;

/// How the disk damages what it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DamageKind {
    LyingSync,
    ShortSync,
    BitInDatabase,
    BitInLog,
}

/// What came of a damage.
#[derive(Debug, Clone, Copy, Default)]
struct DamageCounts {
    episodes: u64,
    /// All acknowledged writes are there.
    harmless: u64,
    /// The start or the check reported it.
    noticed: u64,
    /// The newest acknowledged writes are lost, the older ones are all there.
    lost_newest: u64,
    /// Rows are wrong although the check reports nothing.
    silent: u64,
}

const KINDS: [DamageKind; 4] =
    [DamageKind::LyingSync, DamageKind::ShortSync, DamageKind::BitInDatabase, DamageKind::BitInLog];

static COUNTS: Mutex<[DamageCounts; 4]> =
    Mutex::new([DamageCounts { episodes: 0, harmless: 0, noticed: 0, lost_newest: 0, silent: 0 }; 4]);

/// Damages that the check of the server does not promise to notice. A kind that is not in the list must not be silent.
const UNNOTICED: &[(DamageKind, &str)] = &[
    (DamageKind::LyingSync, "pages that a lying disk lost between two checkpoints can fit together by chance"),
    (DamageKind::ShortSync, "the same"),
];

/// Damages after which the newest acknowledged writes can be lost without a report.
const LOSES_NEWEST: &[(DamageKind, &str)] = &[
    (DamageKind::LyingSync, "the disk has reported as durable what it has lost"),
    (DamageKind::ShortSync, "the same"),
];

/// Runs one episode of the kind that the seed selects.
pub(crate) fn run_episode(image: &Image, folder: &Path, seed: u64) -> Result<(), Violation> {
    let index = usize::try_from(seed % 4).unwrap_or_default();
    let kind = KINDS[index];
    let honesty = match kind {
        DamageKind::LyingSync => Honesty::LiesOnceIn(4),
        DamageKind::ShortSync => Honesty::ShortOnceIn(4),
        DamageKind::BitInDatabase | DamageKind::BitInLog => Honesty::Honest,
    };
    let mut episode = Episode::start(image, folder, seed ^ 0x5EED, Honesty::Honest)?;
    with_disk(|disk| disk.plan.honesty = honesty);
    episode.run_quiet_rounds(12)?;
    let database = folder.join("rollcall.db").to_string_lossy().into_owned();
    // After the end of the process the index of the log is there, after a power failure it is not.
    let damage_of_log = match kind {
        DamageKind::LyingSync | DamageKind::ShortSync => {
            episode.stop(true);
            find_log_damage(folder)?
        }
        DamageKind::BitInDatabase | DamageKind::BitInLog => {
            let name = if kind == DamageKind::BitInLog { format!("{database}-wal") } else { database };
            with_disk(|disk| disk.flip_bit(&name));
            let found = find_log_damage(folder)?;
            episode.stop(false);
            found
        }
    };
    with_disk(|disk| disk.plan.honesty = Honesty::Honest);
    let found = match damage_of_log {
        Some(damage) => Err(damage),
        None => open_and_compare(folder, &episode),
    };
    episode.finish();
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = &mut counts[index];
    counts.episodes += 1;
    match found {
        Ok(0) => counts.harmless += 1,
        Ok(lost) => {
            counts.lost_newest += 1;
            if !LOSES_NEWEST.iter().any(|(losing, _)| *losing == kind) {
                return Err(Violation(format!("a damage ({kind:?}) loses {lost} commits, and no check reports it")));
            }
        }
        Err(finding) if !finding.is_empty() => counts.noticed += 1,
        Err(_) => {
            counts.silent += 1;
            if !UNNOTICED.iter().any(|(unnoticed, _)| *unnoticed == kind) {
                return Err(Violation(format!("a damage ({kind:?}) changes rows, and no check reports it")));
            }
        }
    }
    Ok(())
}

fn open_and_compare(folder: &Path, episode: &Episode<'_>) -> Result<usize, String> {
    let store = SimulatedStore::open(folder).map_err(|error| error.to_string())?;
    let found = episode.find_in_history(&store);
    with_disk(Disk::kill_process);
    found
}

/// Prints what came of the damages.
pub(crate) fn print_counts() {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    for (kind, counts) in KINDS.iter().zip(counts.iter()) {
        let DamageCounts { episodes, harmless, noticed, lost_newest, silent } = counts;
        println!(
            "{kind:?}: {episodes} episodes, {harmless} harmless, {noticed} noticed, {lost_newest} lost the newest \
             writes, {silent} silent"
        );
    }
    for (kind, why) in UNNOTICED {
        println!("rows can be wrong without a report: {kind:?}: {why}");
    }
    for (kind, why) in LOSES_NEWEST {
        println!("the newest writes can be lost without a report: {kind:?}: {why}");
    }
}
