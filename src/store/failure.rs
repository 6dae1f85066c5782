//! What SQLite says when it refuses, in the words of the crate. The only translation of its errors.

use std::cell::Cell;

use rusqlite::{ErrorCode, ffi};

use crate::error::Error;

thread_local! {
    // An error loses its code when it is translated, and may be swallowed on its way up; what must not be missed is kept here.
    static SEEN: Cell<Seen> = const { Cell::new(Seen::NOTHING) };
}

/// What the translated errors of this thread said about the file since somebody last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The file is damaged: nothing may be written to it any more.
    pub(super) corruption: bool,
    /// The disk failed: the connection may hold pages that the disk does not.
    pub(super) io_failure: bool,
}

impl Seen {
    const NOTHING: Self = Self { corruption: false, io_failure: false };

    /// What was seen on this thread so far.
    pub(super) fn peek() -> Self {
        SEEN.get()
    }

    /// Whether the file or the disk cannot be trusted.
    pub(super) fn is_grave(self) -> bool {
        self.corruption || self.io_failure
    }

    /// Takes what was seen on this thread, and forgets it.
    pub(super) fn take() -> Self {
        SEEN.replace(Self::NOTHING)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let mut seen = SEEN.get();
        let translated = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::OperationInterrupted) => Self::ScanTooLong,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                seen.corruption = true;
                Self::Database(error.to_string())
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                seen.io_failure = true;
                Self::Database(error.to_string())
            }
            _ => Self::Database(error.to_string()),
        };
        SEEN.set(seen);
        translated
    }
}

/// The columns of the unique index or primary key that the statement ran into, as SQLite lists them:
/// `resources.configuration, resources.type, resources.user_name_key`. None for every other error.
///
/// The index decides what is unique; this tells which one it was, so that the caller can name the attribute.
pub(in crate::store) fn violated(error: &rusqlite::Error) -> Option<&str> {
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

    fn refusal(sql: &str) -> rusqlite::Error {
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
            assert_eq!(violated(&refusal(sql)), columns, "{sql}");
        }
    }

    #[test]
    fn codes_become_the_errors_that_callers_tell_apart() {
        let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Seen::take();
        assert!(matches!(Error::from(failed(ffi::SQLITE_FULL)), Error::DiskFull));
        assert!(matches!(Error::from(failed(ffi::SQLITE_INTERRUPT)), Error::ScanTooLong));
        assert!(matches!(Error::from(failed(ffi::SQLITE_BUSY_SNAPSHOT)), Error::Busy));
        assert_eq!(Seen::take(), Seen::NOTHING);
        assert!(matches!(Error::from(failed(ffi::SQLITE_CORRUPT)), Error::Database(_)));
        assert!(Seen::take().corruption);
        assert!(matches!(Error::from(failed(ffi::SQLITE_IOERR_FSYNC)), Error::Database(_)));
        assert!(Seen::take().io_failure);
        assert_eq!(Seen::take(), Seen::NOTHING);
    }
}
