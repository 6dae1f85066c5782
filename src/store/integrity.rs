//! Whether the file is whole: quickly at start, the rest of it in the background, and in full on demand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::Shared;
use super::db::{self, OpenError};
use super::files::DataFiles;

/// How long the start may wait for the check.
const START_CHECK_MAX: Duration = Duration::from_millis(25);
/// Virtual machine steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;
/// Findings that the full check lists.
const FINDINGS_MAX: usize = 100;

/// Checks the file for at most 25 ms. What is damaged is refused; what takes longer goes on in the background, and
/// stops writes when it finds something.
pub(super) fn check_quickly(connection: &Connection, shared: &Arc<Shared>) -> Result<(), OpenError> {
    let path = &shared.files.database;
    let failed = |error| OpenError::sqlite(path, error);
    let deadline = Instant::now() + START_CHECK_MAX;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline)).map_err(failed)?;
    let found = first_finding(connection);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
    match found {
        Ok(None) => Ok(()),
        Ok(Some(detail)) => Err(OpenError::corrupt(path, detail)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            continue_in_background(shared)
        }
        Err(error) => Err(failed(error)),
    }
}

fn first_finding(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

fn continue_in_background(shared: &Arc<Shared>) -> Result<(), OpenError> {
    let theirs = Arc::clone(shared);
    thread::Builder::new()
        .name("rollcall-check".into())
        .spawn(move || check_to_the_end(&theirs))
        .map_err(|error| OpenError::io("start a thread to check", &shared.files.database, error))?;
    Ok(())
}

fn check_to_the_end(shared: &Arc<Shared>) {
    let watched = Arc::clone(shared);
    let found = db::reader(&shared.files).and_then(|connection| {
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || watched.closing.load(Ordering::SeqCst)))?;
        first_finding(&connection)
    });
    match found {
        Ok(None) => tracing::info!("the check of the database found nothing"),
        Ok(Some(finding)) => shared.note_corruption(&finding),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {}
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                shared.note_corruption(&error.to_string());
            }
            _ => tracing::warn!(%error, "the check of the database could not be finished"),
        },
    }
}

/// Reads the whole database and lists up to 100 findings; an empty list means that it is sound. Changes nothing, and may
/// run beside a server.
pub fn check(data_dir: &Path) -> Result<Vec<String>, OpenError> {
    let files = DataFiles::prepare(data_dir, false)?;
    let failed = |error| OpenError::sqlite(&files.database, error);
    if db::probe(&files.database)? == 0 {
        return Err(OpenError::Missing(files.database.clone()));
    }
    let connection = db::reader(&files).map_err(failed)?;
    findings(&connection).map_err(failed)
}

/// The first thing that the quick check finds in the file: pages that do not fit together. Changes nothing, and may run
/// beside a server.
pub fn check_pages(data_dir: &Path) -> Result<Option<String>, OpenError> {
    let files = DataFiles::prepare(data_dir, false)?;
    let failed = |error| OpenError::sqlite(&files.database, error);
    if db::probe(&files.database)? == 0 {
        return Err(OpenError::Missing(files.database.clone()));
    }
    db::reader(&files).and_then(|connection| first_finding(&connection)).map_err(failed)
}

/// What the rows must agree on and no constraint of the schema can say.
const AGREEMENTS: &[(&str, &str)] = &[
    (
        "the number of resources of a configuration is not what its counter says",
        "SELECT configuration, type, stretch, sum(n) FROM (
             SELECT configuration, type, resource >> 12 AS stretch, 1 AS n FROM resources
             UNION ALL SELECT configuration, type, stretch, -total FROM resource_counts)
         GROUP BY configuration, type, stretch HAVING sum(n) <> 0",
    ),
    (
        "the number of members of a group is not what its counter says",
        "SELECT 1 FROM resources r WHERE r.member_count <>
             (SELECT count(*) FROM group_members m WHERE m.group_resource = r.resource)",
    ),
    (
        "a membership crosses from one configuration to another",
        "SELECT 1 FROM group_members m JOIN resources g ON g.resource = m.group_resource
             JOIN resources r ON r.resource = m.member_resource WHERE g.configuration <> r.configuration",
    ),
    (
        "an indexed value belongs to a resource that is missing",
        "SELECT 1 FROM resource_values v LEFT JOIN resources r ON r.resource = v.resource
         WHERE r.resource IS NULL OR r.configuration <> v.configuration",
    ),
    ("the document of a resource is not JSON", "SELECT 1 FROM resources WHERE NOT json_valid(body)"),
];

/// What is wrong with the pages of a database, up to 100 findings: the tables, their indexes, and what a column may hold.
pub(super) fn damage(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found: Vec<String> = connection
        .prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|line| line != "ok");
    Ok(found)
}

/// Everything that is wrong with a database of ours, up to 100 findings.
fn findings(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = damage(connection)?;
    if !found.is_empty() {
        // On broken pages the rows say nothing.
        return Ok(found);
    }
    let mut dangling = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = dangling.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(format!("a row of {table} refers to a missing row of {parent}"));
        if found.len() >= FINDINGS_MAX {
            return Ok(found);
        }
    }
    for (finding, sql) in AGREEMENTS {
        let times: i64 = connection.query_row(&format!("SELECT count(*) FROM ({sql})"), [], |row| row.get(0))?;
        if times > 0 {
            found.push(format!("{finding} ({times} times)"));
        }
    }
    Ok(found)
}
