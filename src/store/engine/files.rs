//! The data folder: its files, their permissions, and the server lock.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::clock::Millis;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::boot_record::{self, LOCK_NAME};

/// Name of the database file in the data folder.
pub const DATABASE_NAME: &str = "rollcall.db";
/// A restored copy before it replaces the database.
const INCOMING_NAME: &str = "rollcall.db.incoming";
/// Says that a database exists.
const MARKER_NAME: &str = "rollcall.marker";
/// Occupies space for deletions on a full disk.
const RESERVE_NAME: &str = "rollcall.reserve";

/// How often and after which pause the lock is tried again.
const LOCK_ATTEMPTS: u32 = 4;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What differs after another program has written into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// The smallest page size of SQLite. SQLite itself treats a file of one byte as empty.
const PAGE_MIN_BYTES: u64 = 512;
/// Any permission of group and others.
const OTHERS_ANY: u32 = 0o077;

/// The data folder and the database in it. Symbolic links in the folder path are resolved.
#[derive(Debug, Clone)]
pub(crate) struct DataFiles {
    pub(crate) directory: PathBuf,
    pub(crate) database: PathBuf,
}

/// The locked lock file and folder. They exclude other servers until they are dropped or the process ends in any way. The lock
/// of the folder remains if the lock file is removed; some network file systems do not have it.
pub(crate) struct ServerLock {
    file: File,
    _folder: File,
}

impl ServerLock {
    /// Records that the index of the log is of this boot of the machine: the database was opened.
    pub(crate) fn record_boot(&self) {
        self.record(None);
    }

    /// Records the time of a server that does not follow the system clock, for commands: see [`DataFiles::find_held_offset`].
    pub(crate) fn record(&self, held_offset: Option<Millis>) {
        if let Err(error) = boot_record::write_record(&self.file, boot_record::read_boot_id().as_deref(), held_offset) {
            tracing::warn!(%error, "the lock file cannot be written");
        }
    }
}

impl DataFiles {
    /// Opens the folder. With `create`, creates a missing folder with mode 0700 and a missing, empty database file with
    /// mode 0600.
    ///
    /// Returns an error if the folder or the database is writable by other users, the database is a symbolic link, or a server
    /// uses the database without the index of its log.
    pub(crate) fn prepare(directory: &Path, create: bool) -> Result<Self, OpenError> {
        let files = Self::open_folder(directory, create)?;
        files.check_modes()?;
        files.refuse_missing_index()?;
        files.prepare_database(create)?;
        Ok(files)
    }

    /// Like [`Self::prepare`], without checking the database in the folder: for a restore, which replaces it.
    pub(crate) fn open_folder(directory: &Path, create: bool) -> Result<Self, OpenError> {
        if create {
            create_private_folder(directory)
                .map_err(|error| OpenError::io("create the data folder", directory, error))?;
        }
        let directory = match directory.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(OpenError::NotFound(directory.join(DATABASE_NAME)));
            }
            Err(error) => return Err(OpenError::io("open the data folder", directory, error)),
        };
        let metadata =
            fs::metadata(&directory).map_err(|error| OpenError::io("open the data folder", &directory, error))?;
        if !metadata.is_dir() {
            return Err(OpenError::NotAFolder(directory));
        }
        check_write_permissions(&directory, metadata.mode(), "go-w")?;
        let database = directory.join(DATABASE_NAME);
        Ok(Self { directory, database })
    }

    /// Paths of the write-ahead log and its shared-memory index.
    pub(crate) fn log_paths(&self) -> [PathBuf; 2] {
        ["db-wal", "db-shm"].map(|extension| self.database.with_extension(extension))
    }

    /// Path of a restored copy before it replaces the database.
    pub(crate) fn incoming_path(&self) -> PathBuf {
        self.directory.join(INCOMING_NAME)
    }

    /// Path of the marker.
    pub(crate) fn marker_path(&self) -> PathBuf {
        self.directory.join(MARKER_NAME)
    }

    /// Path of the file that occupies space for deletions.
    pub(crate) fn reserve_path(&self) -> PathBuf {
        self.directory.join(RESERVE_NAME)
    }

    /// Path of a file in the data folder, named after the database with this suffix.
    pub(crate) fn sibling_path(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{DATABASE_NAME}.{suffix}"))
    }

    /// Whether the path is one of the files that a running server uses.
    pub(crate) fn is_in_use(&self, path: &Path) -> bool {
        let [log, index] = self.log_paths();
        let lock = self.directory.join(LOCK_NAME);
        let own = [&lock, &self.incoming_path(), &self.marker_path(), &self.reserve_path()].map(PathBuf::clone);
        [&self.database, &log, &index].into_iter().chain(&own).any(|own| own == path)
    }

    /// Changes the owner of a new file to the owner of the folder, for files that root creates for another user.
    pub(crate) fn match_folder_owner(&self, file: &Path) {
        let (Ok(folder), Ok(created)) = (fs::metadata(&self.directory), fs::symlink_metadata(file)) else {
            return;
        };
        if folder.uid() != created.uid() {
            // Only root can change the owner. For other users the file stays theirs.
            let _ = chown(file, Some(folder.uid()), Some(folder.gid()));
        }
    }

    /// Refuses files next to the database that other users can write: the log, its index, the marker, the reserve and the
    /// lock.
    fn check_modes(&self) -> Result<(), OpenError> {
        let [log, index] = self.log_paths();
        let others = [log, index, self.marker_path(), self.reserve_path(), self.directory.join(LOCK_NAME)];
        for path in others {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => check_write_permissions(&path, metadata.mode(), "go-w")?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Logs that other users may list the data folder. A mode that the operator has set is not changed.
    pub(crate) fn report_folder_mode(&self) {
        let mode = fs::metadata(&self.directory).map_or(0, |metadata| metadata.mode());
        if mode & OTHERS_ANY != 0 {
            tracing::warn!(
                folder = %self.directory.display(), mode = format!("{:04o}", mode & 0o777),
                "other users may list the data folder: run chmod 700 on it"
            );
        }
    }

    // Checks the file by its path only: closing a file descriptor would drop the POSIX locks that SQLite holds on the
    // file in this process.
    fn prepare_database(&self, create: bool) -> Result<(), OpenError> {
        match fs::symlink_metadata(&self.database) {
            Ok(metadata) if metadata.is_file() => {
                check_write_permissions(&self.database, metadata.mode(), "go-w")?;
                self.check_length(metadata.len())
            }
            Ok(_) => Err(OpenError::NotARegularFile(self.database.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check_no_remains()?;
                if !create {
                    return Err(OpenError::NotFound(self.database.clone()));
                }
                self.create_database()
            }
            Err(error) => Err(OpenError::io("open the database", &self.database, error)),
        }
    }

    fn create_database(&self) -> Result<(), OpenError> {
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.database);
        match created {
            Ok(_) => {
                self.match_folder_owner(&self.database);
                Ok(())
            }
            // Another process created it first, with the same checks.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(OpenError::io("create the database", &self.database, error)),
        }
    }

    /// If the database is missing, files of an earlier one are an error: creating a new one would hide the loss.
    fn check_no_remains(&self) -> Result<(), OpenError> {
        let incoming = self.incoming_path();
        if fs::symlink_metadata(&incoming).is_ok() {
            return Err(OpenError::HalfRestored { database: self.database.clone(), incoming });
        }
        if self.log_holds_pages() {
            return Err(OpenError::corrupt(&self.database, "it is missing, but its log exists"));
        }
        let marker = self.marker_path();
        if fs::symlink_metadata(&marker).is_ok() {
            return Err(OpenError::Vanished { database: self.database.clone(), marker });
        }
        Ok(())
    }

    /// An empty database with a non-empty log was truncated by another program. SQLite would delete the log.
    fn check_length(&self, length: u64) -> Result<(), OpenError> {
        if (1..PAGE_MIN_BYTES).contains(&length) {
            return Err(OpenError::Foreign(self.database.clone()));
        }
        if length == 0 && self.log_holds_pages() {
            return Err(OpenError::corrupt(&self.database, "it is empty, but its log is not"));
        }
        let marker = self.marker_path();
        // Another process may have created the content, and the marker after it, since the length was read.
        let is_empty = || fs::metadata(&self.database).is_ok_and(|metadata| metadata.len() == 0);
        if length == 0 && fs::symlink_metadata(&marker).is_ok() && is_empty() {
            return Err(OpenError::Emptied { database: self.database.clone(), marker });
        }
        Ok(())
    }

    /// Whether there is a non-empty write-ahead log.
    pub(crate) fn log_holds_pages(&self) -> bool {
        let [log, _] = self.log_paths();
        fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Returns the state of the database file.
    pub(crate) fn read_state(&self) -> Option<FileState> {
        let metadata = fs::metadata(&self.database).ok()?;
        Some(FileState {
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// Sets mode 0600 on the database, after it was identified as a Rollcall database.
    pub(crate) fn restrict_permissions(&self) -> Result<(), OpenError> {
        let mode = fs::metadata(&self.database)
            .map_err(|error| OpenError::io("open the database", &self.database, error))?
            .mode();
        if mode & OTHERS_ANY == 0 {
            return Ok(());
        }
        fs::set_permissions(&self.database, Permissions::from_mode(0o600))
            .map_err(|error| OpenError::io("set mode 0600 on", &self.database, error))
    }

    /// Refuses to open the database while a server uses it and the index of its log is missing. SQLite would make a new index,
    /// and would not know of the server.
    fn refuse_missing_index(&self) -> Result<(), OpenError> {
        let [_, index] = self.log_paths();
        let is_missing = fs::symlink_metadata(&index).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if is_missing && self.log_holds_pages() && self.is_locked() {
            return Err(OpenError::IndexMissing(index));
        }
        Ok(())
    }

    /// Whether a server has locked the folder.
    pub(crate) fn is_locked(&self) -> bool {
        let file = OpenOptions::new().read(true).write(true).open(self.directory.join(LOCK_NAME));
        let is_held =
            |file: io::Result<File>| file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        is_held(file) || is_held(File::open(&self.directory))
    }

    /// The time of the running server minus that of the monotonic clock, if it does not follow the system clock.
    pub(crate) fn find_held_offset(&self) -> Option<Millis> {
        let recorded = File::open(self.directory.join(LOCK_NAME)).ok().map(|file| boot_record::read_record(&file))?;
        recorded.held_offset.filter(|_| self.is_locked())
    }

    /// Acquires the server lock and writes the process id into the lock file, so that a second server can report it.
    pub(crate) fn lock(&self) -> Result<ServerLock, OpenError> {
        let path = self.directory.join(LOCK_NAME);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(OpenError::NotARegularFile(path));
        }
        let failed = |error| OpenError::io("lock", &path, error);
        let folder = File::open(&self.directory).map_err(|error| OpenError::io("open", &self.directory, error))?;
        if matches!(try_lock_again(&folder), Err(TryLockError::WouldBlock)) {
            return Err(self.describe_holder(OpenOptions::new().read(true).open(&path).ok().as_ref()));
        }
        // Without a lock file, the files are a copy, whose index was not written back by a failing machine.
        let is_copy = fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match try_lock_again(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.describe_holder(Some(&file))),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        self.match_folder_owner(&path);
        // The process id is optional: on a full disk the lock is held without it.
        let boot = if is_copy { boot_record::read_boot_id() } else { boot_record::read_record(&file).boot };
        if let Err(error) = boot_record::write_record(&file, boot.as_deref(), None) {
            tracing::warn!(lock = %path.display(), %error, "the process id cannot be written");
        }
        Ok(ServerLock { file, _folder: folder })
    }

    /// The error of a second server. The process id is optional: the lock is held even if the lock file cannot be read.
    fn describe_holder(&self, lock: Option<&File>) -> OpenError {
        let pid = lock.and_then(|file| boot_record::read_record(file).pid);
        OpenError::Held { directory: self.directory.clone(), pid }
    }
}

/// A command that looks whether a server runs holds the lock for some microseconds.
fn try_lock_again(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

/// Creates a folder and its missing parents with mode 0700. An existing folder is not changed.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Syncs a folder. A rename in it is durable only after this.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn check_write_permissions(path: &Path, mode: u32, fix: &'static str) -> Result<(), OpenError> {
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(OpenError::OpenToOthers { path: path.to_owned(), mode: mode & 0o777, fix })
}
