//! What is well with this server and what is not: one finding for each thing that is looked at, in a sentence, with the
//! next step where there is one. The command line and the portal show the same.

mod files;
mod outside;
mod rows;

use std::net::IpAddr;

use crate::clock::Millis;
use crate::error::Result;
use crate::settings::Settings;
use crate::store::{Figures, Snapshot, Store};

pub use files::{backups, room};
pub use rows::Rows;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing to do.
    Fine,
    /// Something to look at soon.
    Warning,
    /// Something that hurts already, or is about to.
    Problem,
}

impl Grade {
    /// The word for people and machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub about: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What was found, in one sentence.
    pub said: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    fn fine(about: &'static str, said: impl Into<String>) -> Self {
        Self { about, grade: Grade::Fine, said: said.into(), next: None }
    }

    fn warning(about: &'static str, said: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, grade: Grade::Warning, said: said.into(), next: Some(next.into()) }
    }

    /// Something that hurts.
    pub fn problem(about: &'static str, said: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, grade: Grade::Problem, said: said.into(), next: Some(next.into()) }
    }
}

/// What only the running server knows.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// When the certificate ends that it serves; nothing where there is none, or only one of its own making.
    pub certificate_ends: Option<Millis>,
    /// Who sent a forwarding header and is no trusted proxy.
    pub stranger: Option<IpAddr>,
    /// Calls that were served and not kept in the request log, since the start.
    pub calls_dropped: u64,
    /// Lines of the log that nobody read in time, since the start.
    pub lines_dropped: u64,
}

/// What the database says about itself and the server.
///
/// # Errors
/// Of the store only.
pub fn rows(at: &Snapshot<'_>, now: Millis) -> Result<Rows> {
    Rows::read(at, now)
}

/// Everything that is looked at. `running` is what the server itself adds; a command beside it has none.
pub fn findings(
    settings: &Settings,
    store: &Store,
    rows: &Rows,
    running: Option<&Running>,
    now: Millis,
) -> Vec<Finding> {
    let figures = store.figures();
    let mut found = vec![integrity(store), wal(&figures)];
    found.extend(files::all(settings, &figures, now));
    found.extend(outside::all(settings, rows, running, now));
    found.extend(rows::all(rows, now));
    found.extend(running.map(logs));
    found
}

/// What somebody who runs the server should know at once, whatever page they open: what goes wrong by itself, and not what
/// was decided, such as to make no backups. Costs some looks at the disk.
pub fn urgent(settings: &Settings, store: &Store, running: &Running, now: Millis) -> Vec<Finding> {
    let figures = store.figures();
    let mut found = vec![integrity(store), files::room(settings, &figures)];
    found.extend(settings.backups.is_some().then(|| files::backups(settings, now)));
    found.extend(outside::certificate(settings, Some(running), now));
    found.extend(running.stranger.map(outside::stranger));
    found.retain(|finding| finding.grade > Grade::Fine);
    found
}

fn integrity(store: &Store) -> Finding {
    const ABOUT: &str = "Database";
    if store.is_sound() {
        return Finding::fine(ABOUT, "The database is sound as far as it was read.");
    }
    let next = "Stop the server, run rollcall check, and restore the last good backup.";
    Finding::problem(ABOUT, "The database is damaged, and takes no writes.", next)
}

/// Size of the write-ahead log from which on something keeps it from being folded in.
const WAL_MAX_BYTES: u64 = 256 << 20;

fn wal(figures: &Figures) -> Finding {
    const ABOUT: &str = "Write-ahead log";
    let bytes = figures.log_bytes.unwrap_or_default();
    let size = size(bytes);
    if bytes < WAL_MAX_BYTES {
        return Finding::fine(ABOUT, format!("The write-ahead log has {size}."));
    }
    let next = "Look for a program that keeps the database open, such as sqlite3 or a copy that hangs, and end it.";
    Finding::warning(
        ABOUT,
        format!("The write-ahead log has grown to {size}: somebody keeps it from being folded in."),
        next,
    )
}

fn logs(running: &Running) -> Finding {
    const ABOUT: &str = "Logs";
    match (running.calls_dropped, running.lines_dropped) {
        (0, 0) => Finding::fine(ABOUT, "No line of a log was dropped since the start."),
        (calls, 0) => Finding::warning(
            ABOUT,
            format!("{calls} calls were served and not kept in the request log since the start."),
            "More came than the log takes. Look at the metrics for who floods.",
        ),
        (_, lines) => Finding::warning(
            ABOUT,
            format!("{lines} lines of the server's log were dropped since the start."),
            "Whatever reads standard error is too slow.",
        ),
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, of) in units {
        if bytes >= of {
            return format!("{}.{} {unit}", bytes / of, bytes % of * 10 / of);
        }
    }
    format!("{bytes} bytes")
}

/// A span of time for people, in its largest whole unit.
fn span(millis: Millis) -> String {
    let minutes = millis.max(0) / 60_000;
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2_880 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_said_in_their_largest_unit() {
        for (bytes, said) in [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000_000, "2.0 GB")] {
            assert_eq!(size(bytes), said);
        }
        for (minutes, said) in
            [(0, "0 minutes"), (1, "1 minute"), (119, "119 minutes"), (120, "2 hours"), (4_320, "3 days")]
        {
            assert_eq!(span(minutes * 60_000), said);
        }
    }
}
