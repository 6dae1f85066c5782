//! Files and disks: who may read what, how much room there is, and how old the last backup is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, Grade, size, span};
use crate::clock::Millis;
use crate::settings::Settings;
use crate::store::Figures;
use crate::store::backup::scheduled;

/// Any bit of the group or of everybody.
const OTHERS: u32 = 0o077;
/// Free space below which writes are about to fail.
const ROOM_MIN_BYTES: u64 = 100_000_000;
/// Free space that there should be beside a copy of the database.
const ROOM_BYTES: u64 = 500_000_000;

pub(super) fn all(settings: &Settings, figures: &Figures, now: Millis) -> Vec<Finding> {
    vec![modes(&settings.data_dir), room(settings, figures), backups(settings, now)]
}

/// The data folder and what lies in it is for its owner alone.
fn modes(folder: &Path) -> Finding {
    const ABOUT: &str = "File modes";
    let Ok(own) = fs::metadata(folder) else {
        return Finding::problem(
            ABOUT,
            format!("{} cannot be read.", folder.display()),
            "Run it as the server's user.",
        );
    };
    if own.mode() & OTHERS != 0 {
        let said = format!("Others may look into {} (mode {:04o}).", folder.display(), own.mode() & 0o777);
        return Finding::warning(ABOUT, said, format!("Run chmod 700 {}.", folder.display()));
    }
    let listed = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in listed {
        let Ok(metadata) = entry.metadata() else { continue };
        let shown = entry.path().display().to_string();
        if metadata.is_file() && metadata.mode() & OTHERS != 0 {
            let said = format!("Others may read {shown} (mode {:04o}).", metadata.mode() & 0o777);
            return Finding::warning(ABOUT, said, format!("Run chmod 600 {shown}."));
        }
        if metadata.uid() != own.uid() {
            let said =
                format!("{shown} belongs to another user than the folder: the server may not be able to use it.");
            return Finding::warning(ABOUT, said, format!("Run chown --reference={} {shown}.", folder.display()));
        }
    }
    Finding::fine(ABOUT, "The data folder and its files are for their owner alone.")
}

/// How much room there is on the disk of the data, and on that of the backups.
pub fn room(settings: &Settings, figures: &Figures) -> Finding {
    let database = figures.database_bytes.unwrap_or_default();
    let here = room_at(&settings.data_dir, database, "the database");
    let there = settings.backups.as_ref().map(|schedule| room_at(&schedule.folder, database, "the backups"));
    match there {
        Some(there) if there.grade > here.grade => there,
        _ => here,
    }
}

fn room_at(folder: &Path, database: u64, what: &str) -> Finding {
    const ABOUT: &str = "Disk space";
    // A folder that is made later lies on the disk of what is above it.
    let Some(free) = folder.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let found = rustix::fs::statvfs(place).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }) else {
        return Finding::warning(ABOUT, format!("The room for {what} cannot be told."), "Look at it with df.");
    };
    let said =
        format!("{} are free where {what} lie{} (the database has {}).", size(free), plural(what), size(database));
    if free < ROOM_MIN_BYTES {
        return Finding::problem(ABOUT, said, "Free some now: without room, writes are refused with 507.");
    }
    if free < database + ROOM_BYTES {
        return Finding::warning(
            ABOUT,
            said,
            "A backup or an upgrade needs room for a copy: free some, or use a larger disk.",
        );
    }
    Finding::fine(ABOUT, said)
}

fn plural(what: &str) -> &'static str {
    if what.ends_with('s') { "" } else { "s" }
}

/// Whether backups are made, and how old the newest is.
pub fn backups(settings: &Settings, now: Millis) -> Finding {
    const ABOUT: &str = "Backups";
    let Some(schedule) = &settings.backups else {
        let next =
            "Set --backup-dir (ROLLCALL_BACKUP_DIR) to a folder, best on another disk, and copy it to another machine.";
        return Finding::warning(ABOUT, "No backups are made by the server.", next);
    };
    let every = Millis::try_from(schedule.every.as_millis()).unwrap_or(Millis::MAX);
    let folder = schedule.folder.display();
    let Some(age) = scheduled::newest(&schedule.folder).map(|at| now - at) else {
        let next = "The first is made a second after the start of the server; look into its log if none comes.";
        return Finding::warning(ABOUT, format!("There is no backup in {folder} yet."), next);
    };
    let said = format!("The newest backup in {folder} is {} old; one is made every {}.", span(age), span(every));
    // One that takes its time is not late.
    let late = every.saturating_mul(2).saturating_add(60_000);
    if age > late {
        return Finding {
            grade: Grade::Problem,
            next: Some("Look into the log for why none comes.".to_owned()),
            ..Finding::fine(ABOUT, said)
        };
    }
    Finding::fine(ABOUT, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_others_may_read_are_named_with_the_fix() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(modes(folder.path()).grade, Grade::Fine);
        let key = folder.path().join("signing-key.pem");
        fs::write(&key, "x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let found = modes(folder.path());
        assert!(found.grade == Grade::Warning && found.next.unwrap().contains("chmod 600"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(modes(folder.path()).next.unwrap().contains("chmod 700"));
    }

    #[test]
    fn a_database_larger_than_what_is_free_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        assert!(room_at(folder.path(), u64::MAX / 2, "the database").grade > Grade::Fine);
        let missing = folder.path().join("not/there/yet");
        assert!(room_at(&missing, 0, "the backups").said.contains("free"));
    }
}
