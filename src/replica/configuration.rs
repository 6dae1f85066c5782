//! The settings file of Litestream. It is written as JSON, which is YAML too, so that no value needs its own quoting. It has no
//! credentials: they are variables of the child process.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::settings::ReplicaSettings;

/// Name of the settings file in the data folder.
const FILE: &str = "litestream.yml";
/// Name of the control socket in the data folder.
pub const CONTROL_SOCKET: &str = "litestream.sock";
/// Name of the file with the process id.
const PID_FILE: &str = "litestream.pid";
/// Longest path of a Unix socket in bytes, with its final zero (`sockaddr_un`).
const SOCKET_PATH_MAX: usize = 108;
/// Pages in the write-ahead log from which Litestream runs a checkpoint: 16 MiB, like the server without a replica. A checkpoint
/// copies a page once, however often it is in the log.
const CHECKPOINT_PAGES: u32 = 8_000;
/// How often Litestream looks for changes and sends them.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long Litestream tries to send the last changes when it stops.
pub(crate) const LAST_SYNC_MAX: Duration = Duration::from_secs(10);

/// The files of the replication in the data folder. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFiles {
    /// The database.
    pub database: PathBuf,
    /// Settings file of Litestream.
    pub configuration: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// File with its process id.
    pub pid: PathBuf,
}

impl ReplicaFiles {
    /// Returns the files of a data folder, which must exist.
    ///
    /// # Errors
    /// The folder does not exist, or its path is too long for a socket in it.
    pub fn in_folder(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.canonicalize()?;
        let socket = folder.join(CONTROL_SOCKET);
        if socket.as_os_str().len() >= SOCKET_PATH_MAX {
            let problem = format!(
                "the path of the data folder {} is too long for the control socket of Litestream: at most {} bytes",
                folder.display(),
                SOCKET_PATH_MAX - CONTROL_SOCKET.len() - 2
            );
            return Err(io::Error::other(problem));
        }
        Ok(Self {
            database: folder.join("rollcall.db"),
            configuration: folder.join(FILE),
            pid: folder.join(PID_FILE),
            socket,
        })
    }
}

/// Writes the settings file with mode 0600. A complete file replaces the previous one.
///
/// # Errors
/// The file cannot be written.
pub fn write_configuration(files: &ReplicaFiles, settings: &ReplicaSettings) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&build_configuration(files, settings)).map_err(io::Error::other)?;
    let part = files.configuration.with_extension("yml.part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    // An interrupted write can have left a file with another mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&part, &files.configuration)
}

fn build_configuration(files: &ReplicaFiles, settings: &ReplicaSettings) -> Value {
    let mut replica = json!({"url": settings.location.url, "sync-interval": format_duration(SYNC_INTERVAL)});
    if let (Some(key), Some(replica)) = (&settings.location.sftp_key, replica.as_object_mut()) {
        replica.insert("key-path".to_owned(), json!(key));
    }
    json!({
        "socket": {"enabled": true, "path": files.socket, "permissions": 0o600},
        "logging": {"level": "info", "type": "json", "stderr": true},
        "snapshot": {
            "interval": format_duration(settings.snapshot_interval),
            "retention": format_duration(settings.retention),
        },
        "shutdown-sync-timeout": format_duration(LAST_SYNC_MAX),
        "dbs": [{
            "path": files.database,
            "monitor-interval": format_duration(SYNC_INTERVAL),
            "min-checkpoint-page-count": CHECKPOINT_PAGES,
            "replica": replica,
        }],
    })
}

/// A duration in the format of Go.
fn format_duration(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ReplicaAck, ReplicaLocation};

    fn settings(url: &str) -> ReplicaSettings {
        let access_key = Some(("AKIA".to_owned(), Some("hunter2".to_owned())));
        let location = ReplicaLocation {
            url: url.to_owned(),
            access_key,
            sftp_key: Some("/k/id".into()),
            lease: false,
            program: None,
        };
        ReplicaSettings {
            location,
            retention: Duration::from_hours(168),
            snapshot_interval: Duration::from_hours(24),
            ack: ReplicaAck::Local,
        }
    }

    #[test]
    fn the_file_is_private_complete_and_has_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReplicaFiles::in_folder(folder.path()).unwrap();
        fs::write(files.configuration.with_extension("yml.part"), "left by an interrupted write").unwrap();
        write_configuration(&files, &settings("s3://bucket/\"quoted\"")).unwrap();
        let text = fs::read_to_string(&files.configuration).unwrap();
        assert_eq!(fs::metadata(&files.configuration).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!text.contains("hunter2") && !text.contains("AKIA"), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["dbs"][0]["replica"]["url"], "s3://bucket/\"quoted\"");
        assert_eq!(read["dbs"][0]["replica"]["key-path"], "/k/id");
        assert_eq!(read["dbs"][0]["path"], json!(files.database));
        assert_eq!(read["snapshot"], json!({"interval": "86400s", "retention": "604800s"}));
        assert_eq!(read["socket"]["permissions"], 384);
    }

    #[test]
    fn a_folder_with_a_path_too_long_for_a_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        assert!(ReplicaFiles::in_folder(&long).unwrap_err().to_string().contains("too long"));
    }
}
