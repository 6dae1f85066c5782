//! SQLite itself: the file, the single writer, the readers, upgrades, backups and integrity checks. No table is named here
//! except where an upgrade or a check needs it.

pub mod backup;
pub(crate) mod batch;
pub(crate) mod checkpointer;
pub(crate) mod connection;
pub(crate) mod database;
pub(crate) mod fair_queue;
pub(crate) mod files;
pub(crate) mod foreign_objects;
pub(crate) mod integrity;
pub(crate) mod job_deadline;
pub(crate) mod open_error;
pub(crate) mod owner;
pub(crate) mod queued_write;
pub(crate) mod readers;
pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod snapshot_gate;
pub(crate) mod sqlite_errors;
pub(crate) mod statistics;
pub(crate) mod upgrade;
pub(crate) mod work_queue;
pub(crate) mod write_queue;
pub(crate) mod writer;
