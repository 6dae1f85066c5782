//! What a data folder is: the primary or a standby, and its generation. A file in the folder, because it must survive a restart and
//! must not be part of the database, which is replicated.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Name of the file in the data folder.
const FILE: &str = "lease.json";
/// Id of the start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How far the data folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum RoleKind {
    /// The database is the one of this generation.
    Primary,
    /// A copy follows the replica of another server.
    Standby,
    /// A promotion has begun, with the replica of that generation.
    Promoting {
        /// The generation that it continues.
        from: u64,
    },
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRole {
    /// Id of the folder, which is the holder of the lease.
    pub holder: String,
    /// Its generation; 0 for a standby.
    pub generation: u64,
    /// What the folder is.
    #[serde(flatten)]
    pub kind: RoleKind,
}

impl FolderRole {
    /// Reads the file of a data folder. `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not valid.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(data_dir.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file. It is on the disk afterwards.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let part = data_dir.join(format!("{FILE}.part"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(&part, data_dir.join(FILE))?;
        File::open(data_dir)?.sync_all()
    }

    /// Removes the file: the folder is none of them any more.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(data_dir: &Path) -> io::Result<()> {
        match fs::remove_file(data_dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Returns the id of the start of this machine; empty if the system has none.
pub fn read_boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_of_a_folder_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FolderRole::read(folder.path()).unwrap(), None);
        for kind in [RoleKind::Standby, RoleKind::Promoting { from: 2 }, RoleKind::Primary] {
            let role = FolderRole { holder: "h".to_owned(), generation: 3, kind };
            role.write(folder.path()).unwrap();
            assert_eq!(FolderRole::read(folder.path()).unwrap(), Some(role));
        }
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(FolderRole::read(folder.path()).is_err());
        FolderRole::remove(folder.path()).unwrap();
        FolderRole::remove(folder.path()).unwrap();
        assert_eq!(FolderRole::read(folder.path()).unwrap(), None);
    }
}
