//! The data folder and what lies in it: who may touch it, and who holds it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::db::OpenError;

const DATABASE: &str = "rollcall.db";
const LOCK: &str = "rollcall.lock";
/// What is put in the database's place, until it is there.
const INCOMING: &str = "rollcall.db.incoming";

/// Write bits of the group and of everybody.
const OTHERS_WRITE: u32 = 0o022;
/// The smallest page of a SQLite file. SQLite itself takes a file of one byte for an empty one.
const PAGE_MIN_BYTES: u64 = 512;
/// Any bit of the group or of everybody.
const OTHERS_ANY: u32 = 0o077;

/// The folder and the database in it, with every symbolic link on the way resolved.
#[derive(Debug, Clone)]
pub(super) struct DataFiles {
    pub(super) directory: PathBuf,
    pub(super) database: PathBuf,
}

/// The held lock file; other servers are kept out until it is dropped, or the process ends in whatever way.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl DataFiles {
    /// Finds the folder and refuses one that others may write to, or a database that is a link or open to others'
    /// writing. With `create`, makes what is missing: folder 0700, empty database file 0600.
    pub(super) fn prepare(directory: &Path, create: bool) -> Result<Self, OpenError> {
        let files = Self::folder(directory, create)?;
        files.prepare_database(create)?;
        Ok(files)
    }

    /// The same for the folder alone, whatever the database in it is like: for who puts another one in its place.
    pub(super) fn folder(directory: &Path, create: bool) -> Result<Self, OpenError> {
        if create {
            make_private_folder(directory).map_err(|error| OpenError::io("make the data folder", directory, error))?;
        }
        let directory = match directory.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(OpenError::Missing(directory.join(DATABASE)));
            }
            Err(error) => return Err(OpenError::io("open the data folder", directory, error)),
        };
        let metadata =
            fs::metadata(&directory).map_err(|error| OpenError::io("open the data folder", &directory, error))?;
        if !metadata.is_dir() {
            return Err(OpenError::NotAFolder(directory));
        }
        refuse_open_to_others(&directory, metadata.mode(), "go-w")?;
        let database = directory.join(DATABASE);
        Ok(Self { directory, database })
    }

    /// The write-ahead log, and the index of it that processes share.
    pub(super) fn log_files(&self) -> [PathBuf; 2] {
        ["db-wal", "db-shm"].map(|ending| self.database.with_extension(ending))
    }

    /// Where a copy lies that is about to become the database.
    pub(super) fn incoming(&self) -> PathBuf {
        self.directory.join(INCOMING)
    }

    /// A file beside the database, named after it.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{DATABASE}.{ending}"))
    }

    /// Whether that path is one of the files that a running server works with.
    pub(super) fn is_in_use(&self, path: &Path) -> bool {
        let [log, index] = self.log_files();
        [&self.database, &log, &index, &self.directory.join(LOCK), &self.incoming()].into_iter().any(|own| own == path)
    }

    /// Gives a new file to whom the folder belongs: what root makes on somebody's behalf is theirs.
    pub(super) fn hand_over(&self, file: &Path) {
        let (Ok(folder), Ok(made)) = (fs::metadata(&self.directory), fs::symlink_metadata(file)) else {
            return;
        };
        if folder.uid() != made.uid() {
            // Only root can; whoever else writes into another's folder keeps what they made.
            let _ = chown(file, Some(folder.uid()), Some(folder.gid()));
        }
    }

    // The file is only ever looked at by name: closing a descriptor of our own would drop the locks that SQLite holds on
    // the file in this process.
    fn prepare_database(&self, create: bool) -> Result<(), OpenError> {
        match fs::symlink_metadata(&self.database) {
            Ok(metadata) if metadata.is_file() => {
                refuse_open_to_others(&self.database, metadata.mode(), "go-w")?;
                self.refuse_odd_length(metadata.len())
            }
            Ok(_) => Err(OpenError::NotARegularFile(self.database.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.refuse_remains()?;
                if !create {
                    return Err(OpenError::Missing(self.database.clone()));
                }
                self.create_database()
            }
            Err(error) => Err(OpenError::io("open the database", &self.database, error)),
        }
    }

    fn create_database(&self) -> Result<(), OpenError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.database);
        match made {
            Ok(_) => {
                self.hand_over(&self.database);
                Ok(())
            }
            // Another process was quicker; its file has passed the same door.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(OpenError::io("make the database", &self.database, error)),
        }
    }

    /// Where the database is missing, a new one must not hide that there was one.
    fn refuse_remains(&self) -> Result<(), OpenError> {
        let incoming = self.incoming();
        if fs::symlink_metadata(&incoming).is_ok() {
            return Err(OpenError::HalfRestored { database: self.database.clone(), incoming });
        }
        if self.log_holds_pages() {
            return Err(OpenError::corrupt(&self.database, "it is missing, yet its log is there"));
        }
        Ok(())
    }

    /// An empty database beside a log that holds pages was emptied by something else; SQLite would delete the log.
    fn refuse_odd_length(&self, length: u64) -> Result<(), OpenError> {
        if (1..PAGE_MIN_BYTES).contains(&length) {
            return Err(OpenError::Foreign(self.database.clone()));
        }
        if length == 0 && self.log_holds_pages() {
            return Err(OpenError::corrupt(&self.database, "it is empty, yet its log is not"));
        }
        Ok(())
    }

    /// Whether there is a write-ahead log with something in it.
    pub(super) fn log_holds_pages(&self) -> bool {
        let [log, _] = self.log_files();
        fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Takes the read bits from others, on a database that is known to be ours.
    pub(super) fn close_to_others(&self) -> Result<(), OpenError> {
        let mode = fs::metadata(&self.database)
            .map_err(|error| OpenError::io("open the database", &self.database, error))?
            .mode();
        if mode & OTHERS_ANY == 0 {
            return Ok(());
        }
        fs::set_permissions(&self.database, Permissions::from_mode(0o600))
            .map_err(|error| OpenError::io("set mode 0600 on", &self.database, error))
    }

    /// Takes the lock that one server holds for life, and writes its process id into it for the next to name.
    pub(super) fn lock(&self) -> Result<Lock, OpenError> {
        let path = self.directory.join(LOCK);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(OpenError::NotARegularFile(path));
        }
        let failed = |error| OpenError::io("lock", &path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The text is a courtesy: a holder that cannot be read is still a holder.
                let _ = file.read_to_string(&mut holder);
                let pid = holder.trim().parse().ok();
                return Err(OpenError::Held { directory: self.directory.clone(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        self.hand_over(&path);
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock(file))
    }
}

/// Makes a folder for its owner alone, with what is missing above it. One that is there stays as it is.
pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a folder last: a rename is on the disk only after this.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn refuse_open_to_others(path: &Path, mode: u32, fix: &'static str) -> Result<(), OpenError> {
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(OpenError::OpenToOthers { path: path.to_owned(), mode: mode & 0o777, fix })
}
