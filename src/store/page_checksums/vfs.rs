//! The registration of the file access with SQLite, and what a connection can ask it.

use std::ffi::{CStr, c_int, c_void};
use std::mem;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::{Connection, ffi};

use crate::store::page_checksums::checksum::{self, RESERVED_BYTES};
use crate::store::page_checksums::file::{self, VerifiedFile};

const NAME: &CStr = c"rollcall";
const MAIN: &CStr = c"main";

/// Makes the file access the default of the process. Later calls have no effect.
///
/// # Errors
/// SQLite has no file access of its own, or no memory.
pub fn register() -> rusqlite::Result<()> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    match *REGISTERED.get_or_init(register_once) {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn register_once() -> c_int {
    // SAFETY: a null name asks for the default, which SQLite never frees. The copy differs in its own members only: its
    // other functions do not use the pointer to the application data.
    unsafe {
        let original = ffi::sqlite3_vfs_find(ptr::null());
        if original.is_null() {
            return ffi::SQLITE_ERROR;
        }
        let mut own = ptr::read(original);
        own.zName = NAME.as_ptr();
        own.pNext = ptr::null_mut();
        own.pAppData = original.cast();
        own.szOsFile = (*original).szOsFile.saturating_add(c_int::try_from(file::FILE_BYTES).unwrap_or(c_int::MAX));
        own.xOpen = Some(open_file);
        // Registered until the process ends.
        ffi::sqlite3_vfs_register(Box::into_raw(Box::new(own)), 1)
    }
}

unsafe extern "C" fn open_file(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    opened: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the registered structure, and memory of `szOsFile` bytes for the file.
    unsafe {
        let original: *mut ffi::sqlite3_vfs = (*vfs).pAppData.cast();
        let Some(open) = (*original).xOpen else { return ffi::SQLITE_CANTOPEN };
        if flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) == 0 {
            return open(original, name, opened, flags, flags_out);
        }
        let inner = VerifiedFile::inner_file(opened);
        ptr::write_bytes(inner.cast::<u8>(), 0, usize::try_from((*original).szOsFile).unwrap_or_default());
        let code = open(original, name, inner, flags, flags_out);
        if code == ffi::SQLITE_OK {
            VerifiedFile::set_up(opened, name, flags & ffi::SQLITE_OPEN_WAL != 0);
        } else {
            if !(*inner).pMethods.is_null()
                && let Some(close) = (*(*inner).pMethods).xClose
            {
                close(inner);
            }
            (*opened).pMethods = ptr::null();
        }
        code
    }
}

/// Asks SQLite to reserve the bytes of the checksums in a new database, and in those that `VACUUM INTO` writes. An
/// existing database stays as it is.
pub fn request_checksums(connection: &Connection) -> rusqlite::Result<()> {
    let mut bytes = c_int::try_from(RESERVED_BYTES).unwrap_or_default();
    // SAFETY: the connection is open, and the operation reads and writes one integer.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            MAIN.as_ptr(),
            ffi::SQLITE_FCNTL_RESERVE_BYTES,
            (&raw mut bytes).cast(),
        )
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) }
}

/// Says that an empty file gets the pages of a database without checksums. Otherwise the pages of a new file have some,
/// unless its first page is written first and declares none.
pub fn expect_no_checksums(connection: &Connection) -> rusqlite::Result<()> {
    let Some(opened) = find_file(connection) else {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_MISUSE), None));
    };
    // SAFETY: the file is open as long as the connection, which this thread alone uses.
    unsafe { VerifiedFile::expect_no_checksums(opened) };
    Ok(())
}

/// Returns the file of the main database, if this file access opened it.
fn find_file(connection: &Connection) -> Option<*mut ffi::sqlite3_file> {
    let mut found: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the connection is open, and the operation writes one pointer.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            MAIN.as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut found).cast::<c_void>(),
        )
    };
    // SAFETY: SQLite returned its own open file.
    (code == ffi::SQLITE_OK && !found.is_null() && unsafe { VerifiedFile::is_verified(found) }).then_some(found)
}

/// Whether each page of the database file has a checksum. `None` if the file has no page yet.
pub fn has_checksums(connection: &Connection) -> rusqlite::Result<Option<bool>> {
    let mut header = [0; 100];
    let read = read_raw(connection, &mut header, 0)?;
    Ok((read && checksum::is_database_header(&header)).then(|| checksum::declares_checksums(&header)))
}

/// Accepts pages of this database with a wrong checksum, or no longer. For a database into which another program writes
/// pages without checksums.
pub fn accept_foreign_pages(path: &Path, accepts: bool) {
    file::accept_foreign_pages(path, accepts);
}

/// Accepts this page of the database with a wrong checksum, and no other one. For a database in which another program writes only
/// this page.
pub fn accept_foreign_page(path: &Path, number: u64) {
    file::accept_foreign_page(path, number);
}

/// A page as it is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawPage {
    /// The checksum is right.
    Valid,
    /// The checksum is wrong: the page is damaged, or is being written now.
    Invalid,
    /// The file ends in front of this page.
    End,
}

/// Reads a page of the database file, and not of the write-ahead log, into `page`, whose length is the page size. Page
/// numbers start at 1.
pub fn read_raw_page(connection: &Connection, number: u64, page: &mut [u8]) -> rusqlite::Result<RawPage> {
    let offset = number.saturating_sub(1).saturating_mul(page.len() as u64);
    if !read_raw(connection, page, offset)? {
        return Ok(RawPage::End);
    }
    Ok(if checksum::is_page_valid(page, number) { RawPage::Valid } else { RawPage::Invalid })
}

/// Reads without verification. Returns false if the file ends within the range.
fn read_raw(connection: &Connection, into: &mut [u8], offset: u64) -> rusqlite::Result<bool> {
    let Some(opened) = find_file(connection) else {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_MISUSE), None));
    };
    // SAFETY: the file is open as long as the connection, which this thread alone uses.
    let code = unsafe { VerifiedFile::read_inner(opened, into, offset) };
    match code {
        ffi::SQLITE_OK => Ok(true),
        ffi::SQLITE_IOERR_SHORT_READ => Ok(false),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

const _: () = assert!(mem::align_of::<VerifiedFile>() <= 8);
