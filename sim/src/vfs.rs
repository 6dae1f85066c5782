//! The file system of SQLite on the simulated disk. It is the default of the process, so that the store opens its files
//! on it. All state belongs to the calling thread.
//!
//! Safety: SQLite passes valid pointers, closes each file once, and calls no method of a file after it was closed. The
//! `SimulatedFile` that SQLite allocates holds a pointer to an `OpenFile`, which is created by `open_file` and freed by
//! `close_file`. No borrow of the thread's machine lasts across a call into SQLite.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use rollcall::clock::{self, simulated};
use rusqlite::ffi;

use crate::disk::{Disk, DiskError};

const NAME_MAX: c_int = 512;
const LOCKS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// The disk, the locks and the shared memory of one machine.
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    /// Locks of the main database: levels by number of the open file.
    locks: BTreeMap<u64, c_int>,
    memory: Rc<SharedMemory>,
    memory_generation: u64,
    opened: u64,
}

/// The index of the write-ahead log, which all connections of a machine share.
#[derive(Default)]
struct SharedMemory {
    regions: RefCell<Vec<Box<[u64]>>>,
    /// For each lock: the open files that share it, and the one that has it alone.
    locks: RefCell<[SlotLock; LOCKS]>,
}

#[derive(Default)]
struct SlotLock {
    shared: Vec<u64>,
    exclusive: Option<u64>,
}

struct OpenFile {
    name: String,
    generation: u64,
    number: u64,
    is_temporary: bool,
    memory: Option<Rc<SharedMemory>>,
}

#[repr(C)]
struct SimulatedFile {
    base: ffi::sqlite3_file,
    open: *mut OpenFile,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine {
        disk: Disk::new(), locks: BTreeMap::new(), memory: Rc::default(), memory_generation: 0, opened: 0,
    });
}

/// Calls `with` with the machine of this thread.
pub(crate) fn with_machine<T>(with: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(with)
}

/// Calls `with` with the disk of this thread.
pub(crate) fn with_disk<T>(with: impl FnOnce(&mut Disk) -> T) -> T {
    with_machine(|machine| with(&mut machine.disk))
}

/// Makes SQLite take its randomness from the disk of this thread again.
pub(crate) fn reset_randomness() {
    // SAFETY: with length 0 and no buffer the function only resets the generator.
    unsafe { ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

impl Machine {
    /// The shared memory of the running machine. It is empty after a restart.
    fn current_memory(&mut self) -> Rc<SharedMemory> {
        if self.memory_generation != self.disk.generation {
            self.memory_generation = self.disk.generation;
            self.memory = Rc::default();
            self.locks.clear();
        }
        Rc::clone(&self.memory)
    }
}

/// Returns the files of a database, with the index of its log, which a power failure does not leave.
pub(crate) fn export_files(database: &str) -> Vec<(&'static str, Vec<u8>)> {
    with_machine(|machine| {
        let content = |suffix| machine.disk.read_content(&format!("{database}{suffix}"));
        let mut files: Vec<_> =
            ["", "-wal"].into_iter().filter_map(|suffix| Some((suffix, content(suffix)?.to_vec()))).collect();
        if machine.memory_generation == machine.disk.generation {
            let regions = machine.memory.regions.borrow();
            let index = regions.iter().flat_map(|region| region.iter().flat_map(|word| word.to_ne_bytes()));
            files.push(("-shm", index.collect()));
        }
        files
    })
}

/// Registers the file system as the default of the process.
pub(crate) fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let vfs = ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: c_int::try_from(size_of::<SimulatedFile>()).unwrap_or(c_int::MAX),
            mxPathname: NAME_MAX,
            pNext: std::ptr::null_mut(),
            zName: c"simulated".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open_file),
            xDelete: Some(delete_file),
            xAccess: Some(access_file),
            xFullPathname: Some(full_path),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(fill_random),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_millis),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        // SAFETY: the structure is never freed.
        let result = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1) };
        assert_eq!(result, ffi::SQLITE_OK);
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close_file),
    xRead: Some(read_file),
    xWrite: Some(write_file),
    xTruncate: Some(truncate_file),
    xSync: Some(sync_file),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(control_file),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(map_memory),
    xShmLock: Some(lock_memory),
    xShmBarrier: Some(memory_barrier),
    xShmUnmap: Some(unmap_memory),
    xFetch: None,
    xUnfetch: None,
};

fn code_of(error: DiskError, io: c_int) -> c_int {
    match error {
        DiskError::Io => io,
        DiskError::Full => ffi::SQLITE_FULL,
    }
}

/// Calls `with` for a file of the running machine; otherwise returns the error.
///
/// # Safety
/// `file` is an open file of this file system.
unsafe fn with_file(
    file: *mut ffi::sqlite3_file,
    io: c_int,
    with: impl FnOnce(&mut OpenFile, &mut Machine) -> Result<c_int, DiskError>,
) -> c_int {
    // SAFETY: the caller guarantees it.
    let open = unsafe { &mut *(*file.cast::<SimulatedFile>()).open };
    with_machine(|machine| {
        if open.generation != machine.disk.generation {
            return io;
        }
        with(open, machine).unwrap_or_else(|error| code_of(error, io))
    })
}

unsafe extern "C" fn open_file(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a buffer of `szOsFile` bytes, and a valid name or none.
    unsafe {
        let into = file.cast::<SimulatedFile>();
        (*into).base.pMethods = std::ptr::null();
        let given = if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok() };
        let is_temporary = given.is_none();
        let opened = with_machine(|machine| {
            machine.current_memory();
            machine.opened += 1;
            let name = given.map_or_else(|| format!("temporary-{}", machine.opened), str::to_owned);
            let creates = is_temporary || flags & ffi::SQLITE_OPEN_CREATE != 0;
            let is_found = machine.disk.open(&name, creates)?;
            let (generation, number) = (machine.disk.generation, machine.opened);
            Ok(is_found.then_some(OpenFile { name, generation, number, is_temporary, memory: None }))
        });
        match opened {
            Ok(Some(open)) => {
                (*into).open = Box::into_raw(Box::new(open));
                (*into).base.pMethods = &raw const METHODS;
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
                ffi::SQLITE_OK
            }
            Ok(None) => ffi::SQLITE_CANTOPEN,
            Err(error) => code_of(error, ffi::SQLITE_CANTOPEN),
        }
    }
}

unsafe extern "C" fn close_file(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the pointer was created by `open_file`, and SQLite closes a file once.
    let open = unsafe { Box::from_raw((*file.cast::<SimulatedFile>()).open) };
    with_machine(|machine| {
        if open.generation == machine.disk.generation {
            machine.locks.remove(&open.number);
            release_memory(&open, machine);
            if open.is_temporary {
                machine.disk.files.remove(&open.name);
            }
        }
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read_file(file: *mut ffi::sqlite3_file, to: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: SQLite passes a buffer of `count` bytes.
    unsafe {
        let into = std::slice::from_raw_parts_mut(to.cast::<u8>(), usize::try_from(count).unwrap_or_default());
        with_file(file, ffi::SQLITE_IOERR_READ, |open, machine| {
            let wanted = into.len();
            let found = machine.disk.read(&open.name, usize::try_from(at).unwrap_or(usize::MAX), into)?;
            Ok(if found < wanted { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK })
        })
    }
}

unsafe extern "C" fn write_file(file: *mut ffi::sqlite3_file, from: *const c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: SQLite passes a buffer of `count` bytes.
    unsafe {
        let data = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(count).unwrap_or_default());
        with_file(file, ffi::SQLITE_IOERR_WRITE, |open, machine| {
            machine.disk.write(&open.name, usize::try_from(at).unwrap_or_default(), data).map(|()| ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn truncate_file(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_TRUNCATE, |open, machine| {
            machine.disk.truncate(&open.name, usize::try_from(length).unwrap_or_default()).map(|()| ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn sync_file(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_FSYNC, |open, machine| machine.disk.sync(&open.name).map(|()| ffi::SQLITE_OK))
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    // SAFETY: an open file, and a valid pointer for the result.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_FSTAT, |open, machine| {
            *length = i64::try_from(machine.disk.find_length(&open.name).unwrap_or_default()).unwrap_or(i64::MAX);
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn lock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_LOCK, |open, machine| {
            let own = machine.locks.get(&open.number).copied().unwrap_or(ffi::SQLITE_LOCK_NONE);
            if own >= level {
                return Ok(ffi::SQLITE_OK);
            }
            let others = machine.locks.iter().filter(|(number, _)| **number != open.number);
            let highest = others.map(|(_, level)| *level).max().unwrap_or(ffi::SQLITE_LOCK_NONE);
            let is_free = match level {
                ffi::SQLITE_LOCK_SHARED => highest < ffi::SQLITE_LOCK_PENDING,
                ffi::SQLITE_LOCK_RESERVED => highest < ffi::SQLITE_LOCK_RESERVED,
                _ => highest == ffi::SQLITE_LOCK_NONE,
            };
            if is_free {
                machine.locks.insert(open.number, level);
                return Ok(ffi::SQLITE_OK);
            }
            if level == ffi::SQLITE_LOCK_EXCLUSIVE && highest < ffi::SQLITE_LOCK_RESERVED {
                machine.locks.insert(open.number, ffi::SQLITE_LOCK_PENDING);
            }
            Ok(ffi::SQLITE_BUSY)
        })
    }
}

unsafe extern "C" fn unlock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_OK, |open, machine| {
            if level == ffi::SQLITE_LOCK_NONE {
                machine.locks.remove(&open.number);
            } else {
                machine.locks.insert(open.number, level);
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, found: *mut c_int) -> c_int {
    // SAFETY: an open file, and a valid pointer for the result.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |_, machine| {
            *found = c_int::from(machine.locks.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED));
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn control_file(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// The same as those of the file system of SQLite on Linux.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ
}

unsafe extern "C" fn map_memory(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extends: c_int,
    address: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, and a valid pointer for the result. Regions are boxed, so their addresses stay, and the file
    // holds the memory until it is closed.
    unsafe {
        *address = std::ptr::null_mut();
        with_file(file, ffi::SQLITE_IOERR_SHMMAP, |open, machine| {
            machine.disk.map_memory(&open.name)?;
            let current = machine.current_memory();
            let memory = open.memory.get_or_insert(current);
            let mut regions = memory.regions.borrow_mut();
            let region = usize::try_from(region).unwrap_or_default();
            while regions.len() <= region && extends != 0 {
                regions.push(vec![0; usize::try_from(bytes).unwrap_or_default().div_ceil(8)].into_boxed_slice());
            }
            if let Some(found) = regions.get_mut(region) {
                *address = found.as_mut_ptr().cast();
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn lock_memory(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_IOERR_SHMLOCK, |open, machine| {
            let current = machine.current_memory();
            let memory = open.memory.get_or_insert(current);
            let begin = usize::try_from(offset).unwrap_or_default();
            let end = begin + usize::try_from(count).unwrap_or_default();
            let mut locks = memory.locks.borrow_mut();
            let slots = &mut locks[begin..end];
            let is_other = |number: u64| number != open.number;
            if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
                for slot in slots {
                    slot.shared.retain(|number| is_other(*number));
                    slot.exclusive = slot.exclusive.filter(|number| is_other(*number));
                }
                return Ok(ffi::SQLITE_OK);
            }
            let is_exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
            let is_busy = slots.iter().any(|slot| {
                slot.exclusive.is_some_and(is_other) || (is_exclusive && slot.shared.iter().any(|one| is_other(*one)))
            });
            if is_busy {
                return Ok(ffi::SQLITE_BUSY);
            }
            for slot in slots {
                if is_exclusive {
                    slot.exclusive = Some(open.number);
                } else if !slot.shared.contains(&open.number) {
                    slot.shared.push(open.number);
                }
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn memory_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn unmap_memory(file: *mut ffi::sqlite3_file, deletes: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe {
        with_file(file, ffi::SQLITE_OK, |open, machine| {
            release_memory(open, machine);
            open.memory = None;
            // Like a file that the first connection truncates.
            if deletes != 0 || Rc::strong_count(&machine.memory) == 1 {
                machine.memory = Rc::default();
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

/// Releases the locks of a file in the shared memory.
fn release_memory(open: &OpenFile, machine: &mut Machine) {
    machine.current_memory();
    if let Some(memory) = &open.memory {
        for slot in memory.locks.borrow_mut().iter_mut() {
            slot.shared.retain(|number| *number != open.number);
            slot.exclusive = slot.exclusive.filter(|number| *number != open.number);
        }
    }
}

unsafe extern "C" fn delete_file(_: *mut ffi::sqlite3_vfs, name: *const c_char, syncs: c_int) -> c_int {
    // SAFETY: a valid name.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    match with_disk(|disk| disk.delete(&name, syncs != 0)) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(error) => code_of(error, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access_file(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    found: *mut c_int,
) -> c_int {
    // SAFETY: a valid name, and a valid pointer for the result.
    unsafe {
        let name = CStr::from_ptr(name).to_string_lossy();
        let length = with_disk(|disk| disk.find_length(&name));
        // Like the file system of SQLite on Linux: an empty file does not exist.
        let is_found = length.is_some_and(|length| flags != ffi::SQLITE_ACCESS_EXISTS || length > 0);
        *found = c_int::from(is_found);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path(_: *mut ffi::sqlite3_vfs, name: *const c_char, length: c_int, to: *mut c_char) -> c_int {
    // SAFETY: a valid name, and a buffer of `length` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > usize::try_from(length).unwrap_or_default() {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn fill_random(_: *mut ffi::sqlite3_vfs, count: c_int, to: *mut c_char) -> c_int {
    // SAFETY: a buffer of `count` bytes.
    let into = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), usize::try_from(count).unwrap_or_default()) };
    with_disk(|disk| into.fill_with(|| disk.random.next().to_be_bytes()[4]));
    count
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    simulated::advance(Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
    micros
}

/// Julian day of 1970-01-01, in milliseconds.
const UNIX_EPOCH: i64 = 210_866_760_000_000;

#[expect(clippy::cast_precision_loss, reason = "SQLite counts days in this type")]
unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // SAFETY: a valid pointer for the result.
    unsafe { *days = (UNIX_EPOCH + clock::current_millis()) as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_millis(_: *mut ffi::sqlite3_vfs, millis: *mut i64) -> c_int {
    // SAFETY: a valid pointer for the result.
    unsafe { *millis = UNIX_EPOCH + clock::current_millis() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
