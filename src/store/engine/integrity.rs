//! Integrity checks: a quick check at startup that continues in the background, and a full check on demand.

mod deep_check;
pub(crate) mod log_scan;
pub(crate) mod scrub;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};

use crate::store::SharedState;
use crate::store::engine::files::DataFiles;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::marker;
use crate::store::engine::sqlite_errors::{describe_damage, is_damage};
use crate::store::engine::{connection, foreign_objects, upgrade};
use crate::store::page_checksums::take_last_damage;

/// How long startup may wait for the check.
const START_CHECK_MAX: Duration = Duration::from_millis(25);
/// SQLite virtual machine steps between two checks of the clock.
const STEPS_BETWEEN_CHECKS: i32 = 1_000;
/// Maximum number of findings that the full check returns.
const FINDINGS_MAX: usize = 100;

/// Checks the file for at most 25 ms and returns an error if it is damaged. A longer check continues in the background
/// and stops writes when it finds damage.
pub(crate) fn run_quick_check(connection: &Connection, shared: &Arc<SharedState>) -> Result<(), OpenError> {
    let path = &shared.files.database;
    let failed = |error| OpenError::sqlite(path, error);
    let deadline = Instant::now() + START_CHECK_MAX;
    connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || Instant::now() > deadline)).map_err(failed)?;
    let found = find_first_problem(connection);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
    match found {
        Ok(None) => Ok(()),
        Ok(Some(detail)) => Err(OpenError::corrupt(path, detail)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            continue_check_in_background(shared)
        }
        Err(error) => Err(failed(error)),
    }
}

pub(crate) fn find_first_problem(connection: &Connection) -> rusqlite::Result<Option<String>> {
    take_last_damage();
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    check_page_was_read(&found, take_last_damage().is_some())?;
    Ok((found != "ok").then_some(found))
}

/// The check of SQLite also lists pages that could not be read. That is a failure of the disk, and not damage: the page may
/// be intact. A page with a wrong checksum is damage. For a page of the list of unused pages, the finding has no code.
fn check_page_was_read(finding: &str, has_wrong_checksum: bool) -> rusqlite::Result<()> {
    let mut code = finding.rsplit_once("error code=").and_then(|(_, code)| code.trim().parse().ok());
    if finding.contains("failed to get page") && !has_wrong_checksum {
        code = Some(ffi::SQLITE_IOERR_READ);
    }
    match code.map(ffi::Error::new) {
        Some(error) if error.code == ErrorCode::SystemIoFailure && error.extended_code != ffi::SQLITE_IOERR_DATA => {
            Err(rusqlite::Error::SqliteFailure(error, Some(finding.to_owned())))
        }
        _ => Ok(()),
    }
}

fn continue_check_in_background(shared: &Arc<SharedState>) -> Result<(), OpenError> {
    let thread_shared = Arc::clone(shared);
    thread::Builder::new()
        .name("rollcall-check".into())
        .spawn(move || complete_check(&thread_shared))
        .map_err(|error| OpenError::io("start a thread to check", &shared.files.database, error))?;
    Ok(())
}

fn complete_check(shared: &Arc<SharedState>) {
    let watched = Arc::clone(shared);
    let found = connection::connect_reader(&shared.files).and_then(|connection| {
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || watched.closing.load(Ordering::SeqCst)))?;
        find_first_problem(&connection)
    });
    match found {
        Ok(None) => tracing::info!("the check of the database found no damage"),
        Ok(Some(finding)) => shared.report_damage(&finding),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {}
            _ if is_damage(&error) => shared.report_damage(&describe_damage(&error)),
            _ => tracing::warn!(%error, "the check of the database failed"),
        },
    }
}

/// What a check compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Pages, indexes, references and counters.
    Normal,
    /// Also each user and group with its columns, index values and events.
    Deep,
}

/// Checks the whole database and returns up to 100 findings. An empty list means that the database is intact. Changes
/// nothing, and can run while a server uses the database.
pub fn check_database(data_dir: &Path, depth: CheckDepth) -> Result<Vec<String>, OpenError> {
    let files = DataFiles::prepare(data_dir, false)?;
    log_scan::refuse_damaged_log(&files, None)?;
    let failed = |error| OpenError::sqlite(&files.database, error);
    refuse_unknown_database(&files)?;
    let connection = connection::connect_reader(&files).map_err(failed)?;
    match collect_findings(&connection, depth) {
        // The check ends at a page that cannot be read.
        Err(error) if is_damage(&error) => Ok(vec![describe_damage(&error)]),
        found => found.map_err(failed),
    }
}

/// Refuses a file without a database, or with another one than before.
pub(crate) fn refuse_unknown_database(files: &DataFiles) -> Result<(), OpenError> {
    let version = connection::probe_file(&files.database)?;
    marker::refuse_other_database(files, version)?;
    if version == 0 { Err(OpenError::NotFound(files.database.clone())) } else { Ok(()) }
}

/// Returns the first finding of the quick check, which verifies the page structure, or the first object that is not part
/// of the schema, is missing or was changed. Changes nothing, and can run while
/// a server uses the database.
pub fn check_pages(data_dir: &Path) -> Result<Option<String>, OpenError> {
    let files = DataFiles::prepare(data_dir, false)?;
    log_scan::refuse_damaged_log(&files, None)?;
    let failed = |error| OpenError::sqlite(&files.database, error);
    refuse_unknown_database(&files)?;
    let connection = connection::connect_reader(&files).map_err(failed)?;
    match find_first_problem(&connection).map_err(failed)? {
        None => Ok(find_schema_problems(&connection).map_err(failed)?.into_iter().next()),
        found => Ok(found),
    }
}

/// Returns a finding for each object that is not part of the schema, is missing or was changed.
fn find_schema_problems(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    Ok(foreign_objects::compare_schema(connection)?.describe())
}

/// Refuses a file whose own tables and indexes are not those of this version: statements would fail or be slow, and
/// duplicates would be stored.
pub(crate) fn check_schema(connection: &Connection, shared: &SharedState) -> Result<(), OpenError> {
    let path = &shared.files.database;
    let found = foreign_objects::compare_schema(connection).map_err(|error| OpenError::sqlite(path, error))?;
    if !found.foreign.is_empty() {
        tracing::warn!(
            database = %path.display(), objects = found.foreign.join(", "),
            "the database contains objects that are not part of a Rollcall database; its backups cannot be restored"
        );
    }
    match found.describe_damage().first() {
        None => Ok(()),
        Some(finding) => Err(OpenError::corrupt(path, finding.clone())),
    }
}

/// Consistency rules between rows that the schema's constraints cannot express.
const CONSISTENCY_RULES: &[(&str, &str)] = &[
    (
        "the number of resources of a configuration differs from its counter",
        "SELECT configuration, type, stretch, sum(n) FROM (
             SELECT configuration, type, resource >> 12 AS stretch, 1 AS n FROM resources
             UNION ALL SELECT configuration, type, stretch, -total FROM resource_counts)
         GROUP BY configuration, type, stretch HAVING sum(n) <> 0",
    ),
    (
        "the number of members of a group differs from its counter",
        "SELECT 1 FROM resources r WHERE r.member_count <>
             (SELECT count(*) FROM group_members m WHERE m.group_resource = r.resource)",
    ),
    (
        "a membership connects resources of two configurations",
        "SELECT 1 FROM group_members m JOIN resources g ON g.resource = m.group_resource
             JOIN resources r ON r.resource = m.member_resource WHERE g.configuration <> r.configuration",
    ),
    (
        "an indexed value belongs to a resource that does not exist",
        "SELECT 1 FROM resource_values v LEFT JOIN resources r ON r.resource = v.resource
         WHERE r.resource IS NULL OR r.configuration <> v.configuration",
    ),
    (
        "the usage of a configuration differs from its users, groups, members and bytes",
        "SELECT configuration FROM (
             SELECT configuration, type = 'User' AS users, type = 'User' AND ifnull(active, 0) AS active_users,
                    type = 'Group' AS groups, member_count AS members, octet_length(body) AS bytes FROM resources
             UNION ALL SELECT configuration, 0, 0, 0, reserved - changed, 0 FROM pending_changes
             UNION ALL SELECT configuration, -users, -active_users, -groups, -members, -bytes FROM configuration_usage)
         GROUP BY configuration
         HAVING sum(users) <> 0 OR sum(active_users) <> 0 OR sum(groups) <> 0 OR sum(members) <> 0 OR sum(bytes) <> 0",
    ),
    (
        "the usage of an account differs from the sum of its configurations",
        "SELECT account FROM (
             SELECT account, users, active_users, groups, members, bytes FROM configuration_usage
             UNION ALL SELECT account, -users, -active_users, -groups, -members, -bytes FROM account_usage)
         GROUP BY account
         HAVING sum(users) <> 0 OR sum(active_users) <> 0 OR sum(groups) <> 0 OR sum(members) <> 0 OR sum(bytes) <> 0",
    ),
    (
        "a configuration or an account has no usage counters",
        "SELECT 1 FROM configurations c LEFT JOIN configuration_usage u ON u.configuration = c.configuration
         WHERE u.account IS NOT c.account
         UNION ALL SELECT 1 FROM accounts a LEFT JOIN account_usage u ON u.account = a.account WHERE u.account IS NULL",
    ),
    (
        "the bytes of a request log differ from their counter",
        "SELECT configuration FROM (
             SELECT configuration, 400 + octet_length(path) + octet_length(notes) + ifnull(octet_length(detail), 0)
                    + ifnull(octet_length(request_body), 0) + ifnull(octet_length(response_body), 0)
                    + ifnull(octet_length(bodies), 0) AS bytes
             FROM requests
             UNION ALL SELECT configuration, -request_log_bytes FROM configuration_usage)
         GROUP BY configuration HAVING sum(bytes) <> 0",
    ),
    ("the document of a resource is not valid JSON", "SELECT 1 FROM resources WHERE NOT json_valid(body)"),
];

/// Returns up to 100 findings of the deep check about the rows of a copy. The rows of an older version are not compared.
pub(crate) fn find_inconsistent_rows(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    if upgrade::read_version(connection)? != upgrade::newest_version() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    compare_rows(connection, CheckDepth::Deep, &mut found)?;
    Ok(found)
}

/// Returns up to 100 findings about damaged pages, tables, indexes and column types.
pub(crate) fn find_page_damage(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    take_last_damage();
    let mut found: Vec<String> = connection
        .prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|line| line != "ok");
    let has_wrong_checksum = take_last_damage().is_some();
    found.iter().try_for_each(|finding| check_page_was_read(finding, has_wrong_checksum))?;
    Ok(found)
}

/// Returns up to 100 findings about damaged pages and inconsistent rows.
pub(crate) fn collect_findings(connection: &Connection, depth: CheckDepth) -> rusqlite::Result<Vec<String>> {
    let mut found = find_page_damage(connection)?;
    if !found.is_empty() {
        // Row checks are meaningless on damaged pages.
        return Ok(found);
    }
    found.extend(find_schema_problems(connection)?);
    if !found.is_empty() {
        // The rules below read tables that could be missing.
        return Ok(found);
    }
    compare_rows(connection, depth, &mut found)?;
    Ok(found)
}

/// Appends findings about inconsistent rows, up to 100 findings.
pub(crate) fn compare_rows(
    connection: &Connection,
    depth: CheckDepth,
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut dangling = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = dangling.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(format!("a row of {table} refers to a missing row of {parent}"));
        if found.len() >= FINDINGS_MAX {
            return Ok(());
        }
    }
    for (finding, sql) in CONSISTENCY_RULES {
        let times: i64 = connection.query_row(&format!("SELECT count(*) FROM ({sql})"), [], |row| row.get(0))?;
        if times > 0 {
            found.push(format!("{finding} ({times} times)"));
        }
    }
    if depth == CheckDepth::Deep {
        deep_check::compare_rows(connection, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_could_not_be_read_is_no_damage() {
        for (finding, is_failure) in [
            ("*** in database main ***\nTree 7 page 7: unable to get the page. error code=266", true),
            ("*** in database main ***\nTree 7 page 7: unable to get the page. error code=11", false),
            ("*** in database main ***\nTree 7 page 7: unable to get the page. error code=8202", false),
            ("*** in database main ***\nTree 7 page 7: btreeInitPage() returns error code 11", false),
            ("ok", false),
        ] {
            assert_eq!(check_page_was_read(finding, false).is_err(), is_failure, "{finding}");
        }
        let unused = "*** in database main ***\nFreelist: failed to get page 109";
        assert!(check_page_was_read(unused, false).is_err());
        assert!(check_page_was_read(unused, true).is_ok());
    }
}
