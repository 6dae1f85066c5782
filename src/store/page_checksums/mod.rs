//! SQLite file access that verifies every page that it reads.
//!
//! Each page of a database has a checksum in its last 16 bytes, which SQLite reserves for that. It is written with the page,
//! also in the write-ahead log, and verified when the page is read. A page in the log that another program wrote is verified
//! with the checksum of its frame, which SQLite otherwise reads only after a crash. Damage is the error
//! `SQLITE_IOERR_DATA`, never wrong content.
//!
//! A database without reserved bytes is read and written as before.
//!
//! When a page is written, its unused space is cleared, so that nothing of deleted rows is left in it.

mod checksum;
mod file;
mod unused_space;
mod vfs;

pub use checksum::{
    FRAME_HEADER_BYTES, LOG_HEADER_BYTES, LogChecksum, RESERVED_BYTES, find_checked_page_size, is_first_page_valid,
    is_lock_page,
};
pub use file::take_last_damage;
pub use vfs::{
    RawPage, accept_foreign_page, accept_foreign_pages, expect_no_checksums, has_checksums, read_raw_page, register,
    request_checksums,
};

#[cfg(test)]
mod tests;
