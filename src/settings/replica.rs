//! Settings of the replica of the database, which Litestream writes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use url::Url;

use crate::settings::backups::parse_interval;

/// Longest URL of a replica, in bytes.
const URL_MAX_BYTES: usize = 1_024;
const SCHEMES: &str = "it must begin with s3://, file:/// or sftp://";

/// Flags of the commands that reach the replica: where it is, and how it is opened.
#[derive(Clone, Args)]
pub struct ReplicaLocationArgs {
    /// URL of the replica of the database: `s3://BUCKET/PATH`, `file:///PATH` or `sftp://USER@HOST/PATH`; it needs Litestream.
    /// Without it, the database is not replicated
    #[arg(id = "replica_url", long = "replica-url", value_name = "URL", env = "ROLLCALL_REPLICA_URL", value_parser = parse_replica_url)]
    url: Option<String>,

    /// Access key id of the object storage of the replica; without it, Litestream looks for credentials of the machine
    #[arg(
        id = "replica_access_key_id",
        long = "replica-access-key-id",
        value_name = "TEXT",
        env = "ROLLCALL_REPLICA_ACCESS_KEY_ID",
        value_parser = crate::settings::parse_non_empty,
        requires = "replica_url"
    )]
    access_key_id: Option<String>,

    /// Secret access key of the object storage of the replica
    #[arg(
        id = "replica_secret_access_key",
        long = "replica-secret-access-key",
        value_name = "TEXT",
        env = "ROLLCALL_REPLICA_SECRET_ACCESS_KEY",
        hide_env_values = true,
        value_parser = crate::settings::parse_non_empty,
        requires = "replica_access_key_id"
    )]
    secret_access_key: Option<String>,

    /// Private SSH key for a replica at an sftp:// URL
    #[arg(
        id = "replica_sftp_key",
        long = "replica-sftp-key",
        value_name = "FILE",
        env = "ROLLCALL_REPLICA_SFTP_KEY",
        requires = "replica_url"
    )]
    sftp_key: Option<PathBuf>,

    /// Accept writes only while this server holds a lease next to the replica, which must be at an s3:// URL: for a standby that can
    /// be promoted
    #[arg(id = "replica_lease", long = "replica-lease", env = "ROLLCALL_REPLICA_LEASE", requires = "replica_url")]
    lease: bool,

    /// Program of Litestream 0.5.17 or newer; default: `litestream` in PATH
    #[arg(id = "replica_program", long = "replica-program", value_name = "FILE", env = "ROLLCALL_REPLICA_PROGRAM")]
    program: Option<PathBuf>,
}

/// Flags of `serve` for what the replica contains.
#[derive(Debug, Clone, Args)]
pub struct ReplicaContentArgs {
    /// How far back the replica can be restored: a number with m, h or d
    #[arg(long = "replica-retention", value_name = "TIME", env = "ROLLCALL_REPLICA_RETENTION", default_value = "7d", value_parser = parse_interval)]
    retention: Duration,

    /// Time between two complete copies in the replica: a number with m, h or d, at most the retention
    #[arg(long = "replica-snapshot-every", value_name = "TIME", env = "ROLLCALL_REPLICA_SNAPSHOT_EVERY", default_value = "24h", value_parser = parse_interval)]
    snapshot_interval: Duration,

    /// When a write is answered: `local`, after it is on the disk of this machine, or `replicated`, after it is in the replica too; without an answer of the replica, writes get 503
    #[arg(
        long = "replica-ack",
        value_name = "WHEN",
        env = "ROLLCALL_REPLICA_ACK",
        value_enum,
        default_value = "local"
    )]
    ack: ReplicaAck,
}

/// When a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplicaAck {
    /// After it is on the disk of this machine
    Local,
    /// After it is in the replica, too
    Replicated,
}

/// Where the replica is, and how it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplicaLocation {
    /// URL as Litestream reads it.
    pub url: String,
    /// Access key id and secret of an object storage; the secret is `None` if only the id is set.
    pub access_key: Option<(String, Option<String>)>,
    /// Private SSH key.
    pub sftp_key: Option<PathBuf>,
    /// Whether a lease next to the replica decides which server accepts writes.
    pub lease: bool,
    /// Program of Litestream; `None`: `litestream` in `PATH`.
    pub program: Option<PathBuf>,
}

impl fmt::Debug for ReplicaLocation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ReplicaLocation").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplicaLocationArgs {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ReplicaLocationArgs").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Validated settings of the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSettings {
    /// Where it is.
    pub location: ReplicaLocation,
    /// How far back it can be restored.
    pub retention: Duration,
    /// Time between two complete copies.
    pub snapshot_interval: Duration,
    /// When a write is answered.
    pub ack: ReplicaAck,
}

impl ReplicaLocationArgs {
    /// Returns the location, or `None` if no URL is set.
    pub fn location(&self) -> Option<ReplicaLocation> {
        Some(ReplicaLocation {
            url: self.url.clone()?,
            access_key: self.access_key_id.clone().map(|id| (id, self.secret_access_key.clone())),
            sftp_key: self.sftp_key.clone(),
            lease: self.lease,
            program: self.program.clone(),
        })
    }

    /// The same flags with another URL.
    pub(crate) fn with_url(&self, url: Option<&String>) -> Self {
        Self { url: url.or(self.url.as_ref()).cloned(), ..self.clone() }
    }
}

impl ReplicaLocation {
    /// The location of a folder in it.
    #[must_use]
    pub fn in_folder(&self, name: &str) -> Self {
        let (path, query) = match self.url.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (self.url.as_str(), String::new()),
        };
        Self { url: format!("{}/{name}{query}", path.trim_end_matches('/')), ..self.clone() }
    }

    /// Whether it is in an object storage, which can have a lease.
    pub fn is_object_storage(&self) -> bool {
        self.url.starts_with("s3://")
    }
}

impl ReplicaContentArgs {
    /// Returns the settings of a replica at this location. A complete copy is made at least once in the retention.
    pub(super) fn replica(&self, location: ReplicaLocation) -> ReplicaSettings {
        let snapshot_interval = self.snapshot_interval.min(self.retention);
        ReplicaSettings { location, retention: self.retention, snapshot_interval, ack: self.ack }
    }
}

/// Validates the URL of a replica.
///
/// # Errors
/// The sentence says what to change.
pub(crate) fn parse_replica_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.len() > URL_MAX_BYTES {
        return Err(format!("it is longer than {URL_MAX_BYTES} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it must contain only printable ASCII characters".to_owned());
    }
    let url = Url::parse(text).map_err(|_| SCHEMES)?;
    if url.password().is_some() {
        return Err("it must not contain a password: name a key with --replica-sftp-key".to_owned());
    }
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    match url.scheme() {
        "s3" if !has_host => Err("it needs a bucket, such as s3://bucket/rollcall".to_owned()),
        "sftp" if !has_host => Err("it needs a host, such as sftp://user@host/srv/rollcall".to_owned()),
        "file" if has_host || !Path::new(url.path()).is_absolute() || url.path() == "/" => {
            Err("it needs an absolute path, such as file:///mnt/replica/rollcall".to_owned())
        }
        "s3" | "sftp" | "file" => Ok(text.to_owned()),
        _ => Err(SCHEMES.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_object_storage_files_and_sftp_are_accepted() {
        for given in [
            "s3://bucket/rollcall",
            "s3://bucket/rollcall?endpoint=http://127.0.0.1:9000&region=us-east-1",
            "file:///mnt/replica",
            "sftp://backup@host.example.com:2222/srv/rollcall",
        ] {
            assert_eq!(parse_replica_url(given).as_deref(), Ok(given));
        }
    }

    #[test]
    fn a_folder_of_a_location_is_in_front_of_the_parameters() {
        let of = |url: &str| ReplicaLocation {
            url: url.to_owned(),
            access_key: None,
            sftp_key: None,
            lease: false,
            program: None,
        };
        assert_eq!(of("s3://b/x/?region=r").in_folder("g000002").url, "s3://b/x/g000002?region=r");
        assert_eq!(of("s3://b").in_folder("g000002").url, "s3://b/g000002");
        assert!(of("s3://b").is_object_storage() && !of("file:///b").is_object_storage());
    }

    #[test]
    fn other_urls_are_refused_with_the_fix() {
        for (given, expected) in [
            ("", "s3://"),
            ("bucket", "s3://"),
            ("gs://bucket/x", "s3://"),
            ("s3:///x", "bucket"),
            ("file://relative/path", "absolute"),
            ("file:///", "absolute"),
            ("sftp:///x", "host"),
            ("sftp://user:secret@host/x", "--replica-sftp-key"),
            ("s3://bucket/a b", "ASCII"),
        ] {
            let error = parse_replica_url(given).unwrap_err();
            assert!(error.contains(expected), "{given}: {error}");
        }
    }

    #[test]
    fn neither_debug_output_contains_the_secret() {
        let args = ReplicaLocationArgs {
            url: Some("s3://b/x".to_owned()),
            access_key_id: Some("id".to_owned()),
            secret_access_key: Some("hunter2".to_owned()),
            sftp_key: None,
            lease: false,
            program: None,
        };
        let location = args.location().unwrap();
        assert!(!format!("{args:?} {location:?}").contains("hunter2"));
        assert_eq!(location.access_key, Some(("id".to_owned(), Some("hunter2".to_owned()))));
    }
}
