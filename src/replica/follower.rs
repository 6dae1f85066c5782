//! A copy of the database that follows a replica: `litestream restore -f` in a child process. It writes the pages of new changes
//! into the file, and the number of the last transaction next to it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::replica::configuration::ReplicaFiles;
use crate::replica::log_lines::LineForwarder;
use crate::replica::program::LitestreamProgram;
use crate::replica::supervisor::{end_earlier_process, write_pid};

/// How long the process has to end after SIGTERM.
const END_MAX: Duration = Duration::from_secs(10);
/// How often the process is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What the name of a copy begins with.
const COPY_PREFIX: &str = "standby.";

/// Path of the copy that follows a generation. Its name says which, so that two are never mixed.
pub fn copy_path(data_dir: &Path, generation: u64) -> PathBuf {
    data_dir.join(format!("{COPY_PREFIX}g{generation:06}.db"))
}

/// Number of the last transaction in a copy. `None` while it has none.
pub fn read_copied_transaction(copy: &Path) -> Option<u64> {
    let text = fs::read_to_string(transaction_path(copy)).ok()?;
    u64::from_str_radix(text.trim(), 16).ok()
}

fn transaction_path(copy: &Path) -> PathBuf {
    let mut path = copy.as_os_str().to_owned();
    path.push("-txid");
    path.into()
}

/// Removes all copies but one, with the files next to them.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_other_copies(data_dir: &Path, remaining: Option<&Path>) -> io::Result<()> {
    let remaining = remaining.and_then(Path::file_name).and_then(|name| name.to_str());
    for entry in fs::read_dir(data_dir)?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(COPY_PREFIX)) else { continue };
        if remaining.is_none_or(|remaining| !name.starts_with(remaining)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The running process of one copy.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    copy: PathBuf,
    pid: PathBuf,
}

impl Follower {
    /// Starts to follow the replica of the settings file. A process that an earlier standby has left is ended first. A copy of an
    /// earlier process is restored again: Litestream can continue it only while no complete copy is newer.
    ///
    /// # Errors
    /// The process cannot be started, or files of the folder cannot be removed.
    pub fn start(program: &LitestreamProgram, files: &ReplicaFiles, copy: &Path) -> io::Result<Self> {
        end_earlier_process(files)?;
        if let Some(folder) = copy.parent() {
            remove_other_copies(folder, None)?;
        }
        let mut child = program.follow_command(files, copy).spawn()?;
        if let Err(problem) = write_pid(&files.pid, child.id()) {
            tracing::warn!(%problem, file = %files.pid.display(), "the process id of Litestream cannot be written");
        }
        if let Some(pipe) = child.stderr.take() {
            forward_lines(pipe);
        }
        if let Some(pipe) = child.stdout.take() {
            forward_lines(pipe);
        }
        Ok(Self { child, copy: copy.to_owned(), pid: files.pid.clone() })
    }

    /// Path of the copy.
    pub fn copy(&self) -> &Path {
        &self.copy
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process, between two changes. The copy is complete up to its last transaction if this returns true.
    pub fn stop(&mut self) -> bool {
        let begun = Instant::now();
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && self.is_running()
        {
            // If it has ended meanwhile, there is nothing to end.
            let _ = kill_process(pid, Signal::TERM);
        }
        let is_complete = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status.success(),
                Ok(None) if begun.elapsed() < END_MAX => thread::sleep(POLL_INTERVAL),
                _ => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break false;
                }
            }
        };
        drop(fs::remove_file(&self.pid));
        is_complete
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

fn forward_lines(pipe: impl Read + Send + 'static) {
    thread::spawn(move || {
        let mut forwarder = LineForwarder::default();
        for line in BufReader::new(pipe).split(b'\n') {
            // A pipe that cannot be read has no more lines.
            let Ok(line) = line else { return };
            forwarder.forward_line(&String::from_utf8_lossy(&line));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_name_of_its_generation_and_others_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (copy_path(folder.path(), 1), copy_path(folder.path(), 2));
        for path in [&old, &new, &transaction_path(&old), &transaction_path(&new), &folder.path().join("rollcall.db")] {
            fs::write(path, "0000000000000010\n").unwrap();
        }
        assert_eq!(read_copied_transaction(&new), Some(16));
        remove_other_copies(folder.path(), Some(&new)).unwrap();
        assert_eq!(read_copied_transaction(&old), None);
        assert!(!old.exists() && new.exists() && transaction_path(&new).exists());
        remove_other_copies(folder.path(), None).unwrap();
        assert!(!new.exists() && folder.path().join("rollcall.db").exists());
    }
}
