//! SQLite itself: the file, the single writer, the readers, upgrades, backups and integrity checks. No table is named here
//! except where an upgrade or a check needs it.

pub mod backup;
pub(crate) mod batch;
pub(crate) mod connection;
pub(crate) mod database;
pub(crate) mod files;
pub(crate) mod integrity;
pub(crate) mod open_error;
pub(crate) mod readers;
pub(crate) mod snapshot;
pub(crate) mod sqlite_errors;
pub(crate) mod statistics;
pub(crate) mod upgrade;
pub(crate) mod writer;
