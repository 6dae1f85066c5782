//! Settings of scheduled backups.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Flags of `serve` for scheduled backups.
#[derive(Debug, Clone, Args)]
pub struct BackupScheduleArgs {
    /// Folder for scheduled backups; without it, no backups are made
    #[arg(long = "backup-dir", value_name = "DIR", env = "ROLLCALL_BACKUP_DIR")]
    folder: Option<PathBuf>,

    /// Time between two backups: a number with m, h or d
    #[arg(long = "backup-every", value_name = "TIME", env = "ROLLCALL_BACKUP_EVERY", default_value = "24h", value_parser = parse_interval)]
    interval: Duration,

    /// Number of backups to keep
    #[arg(
        long = "backup-keep",
        value_name = "NUMBER",
        env = "ROLLCALL_BACKUP_KEEP",
        default_value = "14",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    keep: u16,

    /// Include the request log in scheduled backups
    #[arg(long = "backup-with-log", env = "ROLLCALL_BACKUP_WITH_LOG")]
    with_log: bool,
}

/// Flags of `serve` for the scrub of the database file.
#[derive(Debug, Clone, Args)]
pub struct ScrubArgs {
    /// MiB per second that the daily check of all database pages reads; 0 turns it off
    #[arg(long = "scrub-rate", value_name = "MIB", env = "ROLLCALL_SCRUB_RATE", default_value = "4", value_parser = clap::value_parser!(u16).range(..=1024))]
    rate: u16,
}

impl ScrubArgs {
    /// Returns the bytes per second, or `None` if the scrub is off.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        (self.rate > 0).then(|| u64::from(self.rate) << 20)
    }
}

/// Validated settings of scheduled backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Folder of the backups; created if it does not exist.
    pub folder: PathBuf,
    /// Time between two backups.
    pub interval: Duration,
    /// Number of backups to keep, at least one.
    pub keep: usize,
    /// Whether the backups contain the request log.
    pub with_log: bool,
}

impl BackupSchedule {
    /// The time between two backups as text, such as `6 hours`.
    pub fn interval_text(&self) -> String {
        let minutes = self.interval.as_secs() / 60;
        let (count, unit) = match minutes {
            _ if minutes.is_multiple_of(1_440) => (minutes / 1_440, "day"),
            _ if minutes.is_multiple_of(60) => (minutes / 60, "hour"),
            _ => (minutes, "minute"),
        };
        if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
    }
}

impl BackupScheduleArgs {
    /// Returns the schedule, or `None` if no folder is set.
    pub(super) fn schedule(&self) -> Option<BackupSchedule> {
        let folder = self.folder.clone()?;
        Some(BackupSchedule { folder, interval: self.interval, keep: self.keep.into(), with_log: self.with_log })
    }
}

/// Parses a time between backups, at least one minute.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let fix = "write a number with m, h or d, such as 30m, 24h or 7d";
    let (number, seconds) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((number, "m")) => (number, 60),
        Some((number, "h")) => (number, 3_600),
        Some((number, "d")) => (number, 86_400),
        _ => return Err(fix.to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| fix.to_owned())?;
    if number == 0 {
        return Err("it must be at least 1m".to_owned());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_between_backups_have_a_unit() {
        for (given, seconds) in [("1m", 60), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(parse_interval(given), Ok(Duration::from_secs(seconds)), "{given}");
        }
        for given in ["", "h", "24", "0h", "-1h", "1.5h", "24 h", "1w", "99999999999d", "1µ"] {
            assert!(parse_interval(given).is_err(), "{given}");
        }
    }
}
