//! Conversion of SQLite errors to the errors of the crate.

use std::cell::Cell;

use rusqlite::{ErrorCode, ffi};

use crate::error::{Error, Reason};
use crate::store::page_checksums::take_last_damage;

thread_local! {
    // An error loses its code when it is converted, and a caller may ignore it. Severe failures are recorded here.
    static OBSERVED: Cell<ObservedFailures> = const { Cell::new(ObservedFailures::NONE) };
}

/// The severe failures among the errors converted on this thread since they were last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObservedFailures {
    /// The file is damaged: no more writes are allowed.
    pub(crate) corruption: bool,
    /// The disk failed: the connection may cache pages that are not on the disk.
    pub(crate) io_failure: bool,
    /// There was no space. The write failed, and the connection can be used.
    pub(crate) disk_full: bool,
}

impl ObservedFailures {
    const NONE: Self = Self { corruption: false, io_failure: false, disk_full: false };

    /// Returns the failures recorded on this thread.
    pub(crate) fn current() -> Self {
        note_undecodable();
        OBSERVED.get()
    }

    /// Whether the file or the disk cannot be trusted.
    pub(crate) fn is_severe(self) -> bool {
        self.corruption || self.io_failure
    }

    /// Returns the failures recorded on this thread, and resets them.
    pub(crate) fn take_observed() -> Self {
        note_undecodable();
        OBSERVED.replace(Self::NONE)
    }
}

/// Content that cannot be decoded is damage, too.
fn note_undecodable() {
    if Error::take_undecodable() {
        OBSERVED.set(ObservedFailures { corruption: true, ..OBSERVED.get() });
    }
}

/// Whether the error says that the content of the file is not what was written: a wrong checksum, a wrong structure, or a
/// value that its column cannot have.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => {
            matches!(code.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || code.extended_code == ffi::SQLITE_IOERR_DATA
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::InvalidColumnType(..) => true,
        _ => false,
    }
}

/// Describes damage, with the page that this thread has read last if its checksum was wrong.
pub(crate) fn describe_damage(error: &rusqlite::Error) -> String {
    take_last_damage().map_or_else(|| error.to_string(), |damage| format!("{error}: {damage}"))
}

/// Returns the error of a column whose value cannot be decoded.
pub(in crate::store) fn undecodable_column(column: &str, problem: impl std::fmt::Display) -> rusqlite::Error {
    let problem = format!("{column}: {problem}").into();
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, problem)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let mut observed = OBSERVED.get();
        if is_damage(&error) {
            observed.corruption = true;
            OBSERVED.set(observed);
            return Self::database(describe_damage(&error));
        }
        let converted = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                observed.disk_full = true;
                Reason::DiskFull.into()
            }
            Some(ErrorCode::OperationInterrupted) => Reason::QueryTooLong.into(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Reason::ServerBusy.into(),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                observed.io_failure = true;
                Self::database(error.to_string())
            }
            _ => Self::database(error.to_string()),
        };
        OBSERVED.set(observed);
        converted
    }
}

/// Returns the columns of the unique index or primary key that the statement violated, as SQLite lists them:
/// `resources.configuration, resources.type, resources.user_name_key`. Returns `None` for every other error.
///
/// The columns identify the index, so that the caller can name the attribute in its error.
pub(in crate::store) fn find_violated_columns(error: &rusqlite::Error) -> Option<&str> {
    let rusqlite::Error::SqliteFailure(code, Some(message)) = error else {
        return None;
    };
    let unique = matches!(code.extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY);
    let columns = message.strip_prefix("UNIQUE constraint failed: ")?;
    unique.then_some(columns)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn failed_statement(sql: &str) -> rusqlite::Error {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT, c INTEGER NOT NULL DEFAULT 0, d TEXT) STRICT, WITHOUT ROWID;
                 CREATE UNIQUE INDEX t_by_b ON t (c, b) WHERE b IS NOT NULL;
                 INSERT INTO t (a, b) VALUES ('1', 'x');",
            )
            .unwrap();
        connection.execute_batch(sql).unwrap_err()
    }

    #[test]
    fn a_unique_violation_names_its_columns() {
        for (sql, columns) in [
            ("INSERT INTO t (a, b) VALUES ('2', 'x')", Some("t.c, t.b")),
            ("INSERT INTO t (a) VALUES ('1')", Some("t.a")),
            ("INSERT INTO t (a, c) VALUES ('2', NULL)", None),
            ("INSERT INTO nowhere VALUES (1)", None),
        ] {
            assert_eq!(find_violated_columns(&failed_statement(sql)), columns, "{sql}");
        }
    }

    #[test]
    fn sqlite_codes_map_to_distinct_errors() {
        let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        ObservedFailures::take_observed();
        assert!(Error::from(failed(ffi::SQLITE_FULL)).reason() == Reason::DiskFull);
        assert!(ObservedFailures::current().disk_full && !ObservedFailures::take_observed().is_severe());
        assert!(Error::from(failed(ffi::SQLITE_INTERRUPT)).reason() == Reason::QueryTooLong);
        assert!(Error::from(failed(ffi::SQLITE_BUSY_SNAPSHOT)).reason() == Reason::ServerBusy);
        assert_eq!(ObservedFailures::take_observed(), ObservedFailures::NONE);
        assert!(Error::from(failed(ffi::SQLITE_CORRUPT)).reason() == Reason::DatabaseUnavailable);
        assert!(ObservedFailures::take_observed().corruption);
        assert!(Error::from(failed(ffi::SQLITE_IOERR_DATA)).reason() == Reason::DatabaseUnavailable);
        assert!(ObservedFailures::take_observed().corruption);
        let value = Connection::open_in_memory().unwrap().query_row("SELECT 'x'", [], |row| row.get::<_, i64>(0));
        assert!(Error::from(value.unwrap_err()).reason() == Reason::DatabaseUnavailable);
        assert!(ObservedFailures::take_observed().corruption);
        assert!(Error::from(failed(ffi::SQLITE_IOERR_FSYNC)).reason() == Reason::DatabaseUnavailable);
        assert!(ObservedFailures::take_observed().io_failure);
        assert_eq!(ObservedFailures::take_observed(), ObservedFailures::NONE);
    }
}
