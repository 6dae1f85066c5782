//! One open file: the database, or its write-ahead log.

mod log;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{mem, slice};

use rusqlite::ffi;

use crate::store::page_checksums::checksum;
use crate::store::page_checksums::unused_space::PAGES_MAX;

/// Bytes of [`VerifiedFile`] in front of the file of SQLite's own file access.
pub(crate) const FILE_BYTES: usize = mem::size_of::<VerifiedFile>().next_multiple_of(8);
const PAGE_MIN_BYTES: usize = 512;

thread_local! {
    static LAST_DAMAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns the last damage that this thread has read, and resets it: `page 17 of /var/lib/rollcall/rollcall.db`.
pub fn take_last_damage() -> Option<String> {
    LAST_DAMAGE.take()
}

/// Databases into which other programs write, with the page that they write; `None` for any page.
static FOREIGN: Mutex<BTreeMap<PathBuf, Option<u64>>> = Mutex::new(BTreeMap::new());

pub(crate) fn accept_foreign_pages(path: &Path, accepts: bool) {
    let mut foreign = FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
    if accepts {
        foreign.insert(path.to_owned(), None);
    } else {
        foreign.remove(path);
    }
}

pub(crate) fn accept_foreign_page(path: &Path, number: u64) {
    let mut foreign = FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
    // All pages stay accepted if they were.
    let accepted = foreign.entry(path.to_owned()).or_insert(Some(number));
    *accepted = accepted.map(|_| number);
}

/// What is known of the checksums of a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksums {
    /// The file is new, and its first page is not written yet. `sealed` if other pages were written with a checksum.
    Undecided {
        sealed: bool,
    },
    Absent,
    Present,
}

#[derive(Debug, Clone, Copy)]
enum FileRole {
    Database(Checksums),
    Log(LogState),
}

/// What is known of a write-ahead log.
#[derive(Debug, Clone, Copy)]
struct LogState {
    is_big_endian: Option<bool>,
    /// Position and content of the header that SQLite wrote last, if its page follows.
    header: Option<(u64, [u8; 24])>,
    /// The header is not in the file yet: it is written together with its page.
    is_header_delayed: bool,
    /// The end of the last write. A header at this position belongs to a new frame, so its page follows.
    end: Option<u64>,
    /// The file of the database.
    database: *mut ffi::sqlite3_file,
    /// A transaction that changes a page again in the log writes the checksums of the frames from there on when it
    /// commits. Until then only this connection reads them.
    unverified_from: u64,
}

/// The file that SQLite sees. The file of SQLite's own file access follows it in memory.
#[repr(C)]
pub(crate) struct VerifiedFile {
    base: ffi::sqlite3_file,
    name: *const c_char,
    role: FileRole,
    /// Frames of a log that are not in the file yet, one after the other: they are written together.
    gathered: Vec<u8>,
    /// Position of the first of them.
    gathered_at: u64,
    /// The log of a database, as long as it is open.
    log: *mut ffi::sqlite3_file,
}

impl VerifiedFile {
    /// # Safety
    /// `opened` points to memory for this file and the inner file.
    pub(crate) unsafe fn inner_file(opened: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
        // SAFETY: both are in the same memory.
        unsafe { opened.cast::<u8>().add(FILE_BYTES).cast() }
    }

    /// # Safety
    /// `opened` is as in [`Self::inner_file`], the inner file is open, and `name` is valid as long as it is.
    pub(crate) unsafe fn set_up(opened: *mut ffi::sqlite3_file, name: *const c_char, is_log: bool) {
        // SAFETY: the caller has provided the memory, and it is written before it is read.
        unsafe {
            let role = if is_log {
                let database = ffi::sqlite3_database_file_object(name);
                if !database.is_null() && Self::is_verified(database) {
                    (*database.cast::<Self>()).log = opened;
                }
                FileRole::Log(LogState {
                    is_big_endian: None,
                    header: None,
                    is_header_delayed: false,
                    end: None,
                    database,
                    unverified_from: u64::MAX,
                })
            } else {
                FileRole::Database(Checksums::Undecided { sealed: false })
            };
            let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
            let (gathered, log) = (Vec::new(), std::ptr::null_mut());
            opened.cast::<Self>().write(Self { base, name, role, gathered, gathered_at: 0, log });
            if !is_log {
                let mut header = [0; 100];
                if Self::read_inner(opened, &mut header, 0) == ffi::SQLITE_OK {
                    (*opened.cast::<Self>()).role = FileRole::Database(decide(&header));
                }
            }
        }
    }

    /// # Safety
    /// `file` is an open file of SQLite.
    pub(crate) unsafe fn is_verified(file: *mut ffi::sqlite3_file) -> bool {
        // SAFETY: the caller passes an open file.
        unsafe { (*file).pMethods == &raw const METHODS }
    }

    /// # Safety
    /// `opened` is an open file of this type.
    pub(crate) unsafe fn expect_no_checksums(opened: *mut ffi::sqlite3_file) {
        // SAFETY: the caller passes an open file of this type.
        let own = unsafe { &mut *opened.cast::<Self>() };
        if matches!(own.role, FileRole::Database(Checksums::Undecided { .. })) {
            own.role = FileRole::Database(Checksums::Absent);
        }
    }

    /// Reads without verification.
    ///
    /// # Safety
    /// `opened` is an open file of this type.
    pub(crate) unsafe fn read_inner(opened: *mut ffi::sqlite3_file, into: &mut [u8], offset: u64) -> c_int {
        let (Ok(length), Ok(offset)) = (c_int::try_from(into.len()), i64::try_from(offset)) else {
            return ffi::SQLITE_IOERR_READ;
        };
        // SAFETY: the inner file is open, and the buffer has this length.
        unsafe {
            let inner = Self::inner_file(opened);
            match (*(*inner).pMethods).xRead {
                Some(read) => read(inner, into.as_mut_ptr().cast(), length, offset),
                None => ffi::SQLITE_IOERR_READ,
            }
        }
    }

    /// Returns the length of the file; the greatest one if it cannot be read.
    ///
    /// # Safety
    /// `opened` is an open file of this type.
    unsafe fn read_length(opened: *mut ffi::sqlite3_file) -> u64 {
        let mut length = 0;
        // SAFETY: the inner file is open.
        let code = unsafe {
            let inner = Self::inner_file(opened);
            (*(*inner).pMethods).xFileSize.map_or(ffi::SQLITE_IOERR_FSTAT, |read| read(inner, &raw mut length))
        };
        if code == ffi::SQLITE_OK { u64::try_from(length).unwrap_or(u64::MAX) } else { u64::MAX }
    }

    /// Writes without a checksum.
    ///
    /// # Safety
    /// `opened` is an open file of this type.
    unsafe fn write_inner(opened: *mut ffi::sqlite3_file, from: &[u8], offset: u64) -> c_int {
        let (Ok(length), Ok(offset)) = (c_int::try_from(from.len()), i64::try_from(offset)) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: the inner file is open, and the buffer has this length.
        unsafe {
            let inner = Self::inner_file(opened);
            match (*(*inner).pMethods).xWrite {
                Some(write) => write(inner, from.as_ptr().cast(), length, offset),
                None => ffi::SQLITE_IOERR_WRITE,
            }
        }
    }

    /// Bytes of the gathered frames.
    fn count_gathered(&self) -> usize {
        self.gathered.len()
    }

    /// Writes the gathered frames. After an error they are lost: the transaction is not committed then.
    ///
    /// # Safety
    /// `opened` is an open file of this type.
    unsafe fn write_gathered(opened: *mut ffi::sqlite3_file) -> c_int {
        // SAFETY: the caller passes an open file of this type.
        unsafe {
            let own = opened.cast::<Self>();
            if (*own).count_gathered() == 0 {
                return ffi::SQLITE_OK;
            }
            let mut frames = mem::take(&mut (*own).gathered);
            let code = Self::write_inner(opened, &frames, (*own).gathered_at);
            frames.clear();
            (*own).gathered = frames;
            code
        }
    }

    /// Writes what is delayed: the gathered frames, and the header of the next one.
    ///
    /// # Safety
    /// `opened` is an open file of this type.
    unsafe fn write_delayed(opened: *mut ffi::sqlite3_file) -> c_int {
        // SAFETY: the caller passes an open file of this type.
        unsafe {
            let code = Self::write_gathered(opened);
            if code != ffi::SQLITE_OK {
                return code;
            }
            let FileRole::Log(log) = &mut (*opened.cast::<Self>()).role else { return ffi::SQLITE_OK };
            match log.header {
                Some((at, header)) if mem::take(&mut log.is_header_delayed) => Self::write_inner(opened, &header, at),
                _ => ffi::SQLITE_OK,
            }
        }
    }

    fn accepts_foreign_page(&self, number: u64) -> bool {
        // SAFETY: the name is valid as long as the file is open.
        let name = if self.name.is_null() { c"" } else { unsafe { CStr::from_ptr(self.name) } };
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        let foreign = FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
        foreign.get(path).is_some_and(|accepted| accepted.is_none_or(|accepted| accepted == number))
    }

    fn report_damage(&self, what: &str, number: u64) -> c_int {
        // SAFETY: The name is valid as long as the file is open.
        let name = if self.name.is_null() { c"" } else { unsafe { CStr::from_ptr(self.name) } };
        let name = name.to_string_lossy();
        LAST_DAMAGE.set(Some(format!("the checksum of {what} {number} of {name} is wrong")));
        ffi::SQLITE_IOERR_DATA
    }
}

fn decide(header: &[u8]) -> Checksums {
    if checksum::declares_checksums(header) { Checksums::Present } else { Checksums::Absent }
}

/// Returns the number of the page that this range is.
fn find_page_number(length: usize, offset: u64) -> Option<u64> {
    let is_page = length >= PAGE_MIN_BYTES && length.is_power_of_two() && offset.is_multiple_of(length as u64);
    is_page.then(|| offset / length as u64 + 1)
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes an open file of this type and a buffer of this length, which no one else uses meanwhile.
    let (own, into) = unsafe {
        (
            &mut *file.cast::<VerifiedFile>(),
            slice::from_raw_parts_mut(into.cast::<u8>(), usize::try_from(length).unwrap_or_default()),
        )
    };
    let offset = offset.unsigned_abs();
    // SAFETY: as above.
    unsafe {
        let code = VerifiedFile::write_delayed(file);
        if code != ffi::SQLITE_OK {
            return code;
        }
        match own.role {
            FileRole::Database(checksums) => {
                let code = VerifiedFile::read_inner(file, into, offset);
                verify_database(own, checksums, code, (into, offset))
            }
            FileRole::Log(log) => match log::find_frame(into.len(), offset) {
                Some(frame) => log::read_logged_page(file, log, frame, into),
                None => VerifiedFile::read_inner(file, into, offset),
            },
        }
    }
}

fn verify_database(
    own: &mut VerifiedFile,
    mut checksums: Checksums,
    code: c_int,
    (read, offset): (&[u8], u64),
) -> c_int {
    let number = find_page_number(read.len(), offset);
    if code == ffi::SQLITE_IOERR_SHORT_READ
        && checksums == Checksums::Present
        && let Some(number) = number
    {
        return own.report_damage("page", number);
    }
    if code != ffi::SQLITE_OK {
        return code;
    }
    let is_header = offset == 0 && checksum::is_database_header(read);
    if is_header && checksums != Checksums::Present {
        checksums = decide(read);
        own.role = FileRole::Database(checksums);
    }
    let Some(number) = number else { return code };
    // A connection that opened an empty file does not know the page size when it reads the first page.
    let page = match checksum::read_page_size(read) {
        size if is_header && (PAGE_MIN_BYTES..read.len()).contains(&size) => &read[..size],
        _ => read,
    };
    let is_damaged = match checksums {
        Checksums::Present => !checksum::is_page_valid(page, number),
        _ => is_header && checksum::has_lost_its_declaration(page),
    };
    if is_damaged && !own.accepts_foreign_page(number) { own.report_damage("page", number) } else { code }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, length: c_int, offset: i64) -> c_int {
    let bytes = usize::try_from(length).unwrap_or_default();
    // SAFETY: SQLite passes an open file of this type. The buffer is memory of SQLite, which does not use the reserved
    // bytes of a page, and no one else uses it meanwhile.
    unsafe {
        let own = &mut *file.cast::<VerifiedFile>();
        match own.role {
            FileRole::Database(checksums) => {
                if let Some(number) = find_page_number(bytes, offset.unsigned_abs()) {
                    let page = slice::from_raw_parts_mut(from.cast::<u8>().cast_mut(), bytes);
                    let Some(checksums) = decide_write(file, checksums, page, number) else {
                        return ffi::SQLITE_IOERR_WRITE;
                    };
                    own.role = FileRole::Database(checksums);
                    if checksums != Checksums::Absent {
                        let page_bytes = bytes as u64;
                        let end = offset.unsigned_abs() + page_bytes;
                        checksum::clear_page(page, number, || {
                            VerifiedFile::read_length(file).max(end) / page_bytes < PAGES_MAX
                        });
                        checksum::seal_page(page, number);
                    }
                }
            }
            FileRole::Log(log) => {
                let content = slice::from_raw_parts_mut(from.cast::<u8>().cast_mut(), bytes);
                return log::write_log(file, log, content, offset.unsigned_abs());
            }
        }
        let content = slice::from_raw_parts(from.cast::<u8>(), bytes);
        VerifiedFile::write_inner(file, content, offset.unsigned_abs())
    }
}

/// Returns whether the pages of the file have checksums, now that this page is written. `None` if the file is new and its
/// pages have checksums that its first page does not declare.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn decide_write(
    file: *mut ffi::sqlite3_file,
    checksums: Checksums,
    page: &[u8],
    number: u64,
) -> Option<Checksums> {
    if number == 1 && checksum::is_database_header(page) {
        let declared = decide(page);
        return (declared == Checksums::Present || checksums != Checksums::Undecided { sealed: true })
            .then_some(declared);
    }
    match checksums {
        Checksums::Undecided { .. } => Some(Checksums::Undecided { sealed: true }),
        Checksums::Present => Some(Checksums::Present),
        // Another connection may have added them meanwhile.
        Checksums::Absent => {
            let mut header = [0; 100];
            // SAFETY: the caller passes an open file of this type.
            let is_read = unsafe { VerifiedFile::read_inner(file, &mut header, 0) } == ffi::SQLITE_OK;
            Some(if is_read { decide(&header) } else { Checksums::Absent })
        }
    }
}

/// Calls the same function of the inner file.
macro_rules! forward {
    ($name:ident, $method:ident ($($argument:ident: $kind:ty),*), $missing:expr) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite passes an open file of this type, and arguments that are valid for the inner file.
            unsafe {
                let code = VerifiedFile::write_delayed(file);
                if code != ffi::SQLITE_OK {
                    return code;
                }
                let inner = VerifiedFile::inner_file(file);
                match (*(*inner).pMethods).$method {
                    Some(method) => method(inner $(, $argument)*),
                    None => $missing,
                }
            }
        }
    };
}

forward!(truncate, xTruncate(size: i64), ffi::SQLITE_IOERR_TRUNCATE);
forward!(sync, xSync(flags: c_int), ffi::SQLITE_IOERR_FSYNC);
forward!(file_size, xFileSize(size: *mut i64), ffi::SQLITE_IOERR_FSTAT);
forward!(lock, xLock(level: c_int), ffi::SQLITE_IOERR_LOCK);
forward!(unlock, xUnlock(level: c_int), ffi::SQLITE_IOERR_UNLOCK);
forward!(check_reserved_lock, xCheckReservedLock(result: *mut c_int), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK);
forward!(file_control, xFileControl(operation: c_int, argument: *mut c_void), ffi::SQLITE_NOTFOUND);
forward!(sector_size, xSectorSize(), 4_096);
forward!(device_characteristics, xDeviceCharacteristics(), 0);
forward!(map_shared, xShmMap(region: c_int, size: c_int, extend: c_int, mapped: *mut *mut c_void), ffi::SQLITE_IOERR_SHMMAP);
forward!(unmap_shared, xShmUnmap(delete: c_int), ffi::SQLITE_OK);

/// Without the lock of the writer, another process can write frames at the position of those that this connection has gathered.
/// So they are written in front of every change of a lock. At the end of the lock they belong to no committed transaction.
unsafe extern "C" fn lock_shared(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file of this type, and the log is null or open.
    unsafe {
        let log = (*file.cast::<VerifiedFile>()).log;
        let code = if log.is_null() { ffi::SQLITE_OK } else { VerifiedFile::write_gathered(log) };
        if code != ffi::SQLITE_OK && flags & ffi::SQLITE_SHM_LOCK != 0 {
            return code;
        }
        let inner = VerifiedFile::inner_file(file);
        match (*(*inner).pMethods).xShmLock {
            Some(method) => method(inner, offset, count, flags),
            None => ffi::SQLITE_IOERR_SHMLOCK,
        }
    }
}

unsafe extern "C" fn order_shared(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite passes an open file of this type.
    unsafe {
        let inner = VerifiedFile::inner_file(file);
        if let Some(method) = (*(*inner).pMethods).xShmBarrier {
            method(inner);
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite passes an open file of this type.
    unsafe {
        let code = VerifiedFile::write_delayed(file);
        let own = file.cast::<VerifiedFile>();
        drop(mem::take(&mut (*own).gathered));
        if let FileRole::Log(LogState { database, .. }) = (*own).role
            && !database.is_null()
            && VerifiedFile::is_verified(database)
            && (*database.cast::<VerifiedFile>()).log == file
        {
            (*database.cast::<VerifiedFile>()).log = std::ptr::null_mut();
        }
        let inner = VerifiedFile::inner_file(file);
        let closed = (*(*inner).pMethods).xClose.map_or(ffi::SQLITE_OK, |method| method(inner));
        if code == ffi::SQLITE_OK { closed } else { code }
    }
}

/// Pages are not mapped into memory, because they could not be verified there.
unsafe extern "C" fn fetch(_: *mut ffi::sqlite3_file, _: i64, _: c_int, mapped: *mut *mut c_void) -> c_int {
    // SAFETY: SQLite passes memory for the pointer.
    unsafe { *mapped = std::ptr::null_mut() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn release(_: *mut ffi::sqlite3_file, _: i64, _: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(map_shared),
    xShmLock: Some(lock_shared),
    xShmBarrier: Some(order_shared),
    xShmUnmap: Some(unmap_shared),
    xFetch: Some(fetch),
    xUnfetch: Some(release),
};
