//! Checks of files and disks: file modes, free space, and the age of the newest backup.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, Severity, format_duration, format_size};
use crate::clock::Millis;
use crate::management::backups;
use crate::management::instance::StoreStatistics;
use crate::settings::Settings;

/// Mode bits of the group and of other users.
const GROUP_AND_OTHERS: u32 = 0o077;
/// Write permission of those.
const GROUP_AND_OTHERS_WRITE: u32 = 0o022;
/// Free space in bytes below which writes will fail soon.
const FREE_MIN_BYTES: u64 = 100_000_000;
/// Recommended free space in bytes, in addition to a copy of the database.
const FREE_RECOMMENDED_BYTES: u64 = 500_000_000;

pub(super) fn check_files(settings: &Settings, figures: &StoreStatistics, now: Millis) -> Vec<Finding> {
    vec![check_modes(&settings.data_dir), check_disk_space(settings, figures), check_backups(settings, now)]
}

/// Checks that only the owner has access to the data folder and its files.
fn check_modes(folder: &Path) -> Finding {
    const ABOUT: &str = "File modes";
    let Ok(own) = fs::metadata(folder) else {
        return Finding::problem(
            ABOUT,
            format!("{} cannot be read.", folder.display()),
            "Run it as the server's user.",
        );
    };
    if own.mode() & GROUP_AND_OTHERS != 0 {
        let message = format!("Other users may list {} (mode {:04o}).", folder.display(), own.mode() & 0o777);
        return Finding::warning(ABOUT, message, format!("Run chmod 700 {}.", folder.display()));
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path().display().to_string();
        if metadata.is_file() && metadata.mode() & GROUP_AND_OTHERS != 0 {
            let verb = if metadata.mode() & GROUP_AND_OTHERS_WRITE != 0 { "write" } else { "read" };
            let message = format!("Other users may {verb} {path} (mode {:04o}).", metadata.mode() & 0o777);
            return Finding::warning(ABOUT, message, format!("Run chmod 600 {path}."));
        }
        if metadata.uid() != own.uid() {
            let message =
                format!("{path} has a different owner than the folder: the server may not be able to use it.");
            return Finding::warning(ABOUT, message, format!("Run chown --reference={} {path}.", folder.display()));
        }
    }
    Finding::fine(ABOUT, "Only the owner has access to the data folder and its files.")
}

/// Checks the free space on the disk of the data folder and on the disk of the backups.
pub fn check_disk_space(settings: &Settings, figures: &StoreStatistics) -> Finding {
    let database = figures.database_bytes.unwrap_or_default();
    let data_finding = check_disk_space_at(&settings.data_dir, database, "the database");
    let backup_finding =
        settings.backups.as_ref().map(|schedule| check_disk_space_at(&schedule.folder, database, "the backups"));
    match backup_finding {
        Some(finding) if finding.grade > data_finding.grade => finding,
        _ => data_finding,
    }
}

/// Returns why a backup cannot be written to the data folder for a download, or `None` if there is enough space. The backup is
/// made from a copy of the pages, so that both exist for a time.
pub fn find_copy_obstacle(settings: &Settings, figures: &StoreStatistics) -> Option<String> {
    describe_shortage(find_free_bytes(&settings.data_dir)?, figures.database_bytes.unwrap_or_default())
}

/// Why the free bytes are too few for a backup of a database of this size.
fn describe_shortage(free: u64, database: u64) -> Option<String> {
    let needed = database.saturating_mul(2).saturating_add(FREE_MIN_BYTES);
    let sentence = || {
        format!(
            "{} are free on the disk of the data folder, and a backup needs {} there for a time. Free some space, or run rollcall backup with a file on another disk.",
            format_size(free),
            format_size(needed)
        )
    };
    (free < needed).then(sentence)
}

/// Returns the free bytes of the disk of a folder. One that does not exist yet will be on the disk of its nearest existing
/// ancestor.
fn find_free_bytes(folder: &Path) -> Option<u64> {
    folder.ancestors().find_map(|path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let stats = rustix::fs::statvfs(path).ok()?;
        Some(stats.f_bavail.saturating_mul(stats.f_frsize))
    })
}

fn check_disk_space_at(folder: &Path, database: u64, what: &str) -> Finding {
    const ABOUT: &str = "Disk space";
    let Some(free) = find_free_bytes(folder) else {
        return Finding::warning(
            ABOUT,
            format!("The free space for {what} cannot be determined."),
            "Check it with df.",
        );
    };
    let message = format!(
        "{} are free on the disk of {what} (size of the database: {}).",
        format_size(free),
        format_size(database)
    );
    if free < FREE_MIN_BYTES {
        return Finding::problem(
            ABOUT,
            message,
            "Free some space now: on a full disk, writes are rejected with status 507.",
        );
    }
    if free < database + FREE_RECOMMENDED_BYTES {
        return Finding::warning(
            ABOUT,
            message,
            "A backup or an upgrade needs space for a copy: free some space, or use a larger disk.",
        );
    }
    Finding::fine(ABOUT, message)
}

/// Checks that scheduled backups are enabled, and the age of the newest backup.
pub fn check_backups(settings: &Settings, now: Millis) -> Finding {
    const ABOUT: &str = "Backups";
    let Some(schedule) = &settings.backups else {
        let next = "Set --backup-dir (ROLLCALL_BACKUP_DIR) to a folder, preferably on another disk, and copy it to another machine.";
        return Finding::warning(ABOUT, "Automatic backups are off.", next);
    };
    let every = Millis::try_from(schedule.interval.as_millis()).unwrap_or(Millis::MAX);
    let folder = schedule.folder.display();
    let listed = backups::list_scheduled_backups(&schedule.folder);
    let Some(age) = backups::find_newest_backup_of(&listed, now).map(|at| now - at) else {
        let next =
            "The first backup is made one second after the start of the server. If there is none, check the log.";
        return Finding::warning(ABOUT, format!("There is no backup in {folder} yet."), next);
    };
    let message = format!(
        "The newest backup in {folder} is {} old; the interval is {}.",
        format_duration(age),
        format_duration(every)
    );
    // A backup that is still running is not late.
    let late = every.saturating_mul(2).saturating_add(60_000);
    if age > late {
        return Finding {
            grade: Severity::Problem,
            next_step: Some("Check the log for the cause.".to_owned()),
            ..Finding::fine(ABOUT, message)
        };
    }
    let future = listed.iter().filter(|one| one.is_dated_after(now)).count();
    if future > 0 {
        let next = "Find out when the clock was wrong, and delete these backups or rename them to their real time.";
        return Finding::warning(ABOUT, format!("{message} {future} are dated in the future and do not count."), next);
    }
    Finding::fine(ABOUT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_readable_by_others_is_reported_with_the_fix() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(check_modes(folder.path()).grade, Severity::Fine);
        let key = folder.path().join("signing-key.pem");
        fs::write(&key, "x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let found = check_modes(folder.path());
        assert!(found.grade == Severity::Warning && found.next_step.unwrap().contains("chmod 600"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(check_modes(folder.path()).next_step.unwrap().contains("chmod 700"));
    }

    #[test]
    fn a_backup_for_a_download_needs_space_for_two_copies() {
        let database = 1_000_000_000;
        assert_eq!(describe_shortage(2 * database + FREE_MIN_BYTES, database), None);
        let sentence = describe_shortage(2 * database, database).unwrap();
        assert!(sentence.contains("2.0 GB are free") && sentence.contains("needs 2.1 GB"), "{sentence}");
        assert!(describe_shortage(0, u64::MAX).is_some());
    }

    #[test]
    fn a_database_larger_than_the_free_space_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_disk_space_at(folder.path(), u64::MAX / 2, "the database").grade > Severity::Fine);
        let new_folder = folder.path().join("not/there/yet");
        assert!(check_disk_space_at(&new_folder, 0, "the backups").message.contains("free"));
    }
}
