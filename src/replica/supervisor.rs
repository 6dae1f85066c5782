//! Runs Litestream as a child process: starts it again after a pause if it ends, writes its log lines to the log of the server,
//! and ends it with the server after a last sync.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::replica::configuration::{LAST_SYNC_MAX, ReplicaFiles};
use crate::replica::control::{ControlError, ControlSocket};
use crate::replica::log_lines::LineForwarder;
use crate::replica::program::LitestreamProgram;
use crate::replica::status::{ProcessState, ReplicaStatus};

/// Pause in front of the first restart; it doubles with each one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause in front of a restart.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// After this time the process counts as started: the next pause is the shortest again.
const STABLE_AFTER: Duration = Duration::from_mins(1);
/// How often the process is asked whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the process may take until it listens.
const START_MAX: Duration = Duration::from_secs(2);
/// How long the process has to end after SIGTERM: its last sync, and the end of its connections.
const END_MAX: Duration = Duration::from_secs(LAST_SYNC_MAX.as_secs() + 5);

/// The running supervision. Dropping it ends Litestream.
#[derive(Debug)]
pub struct Supervisor {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts Litestream, whose settings file is written. A process that an earlier server has left is ended first.
    ///
    /// # Errors
    /// The thread cannot be started, or the earlier process does not end.
    pub fn start(program: LitestreamProgram, files: ReplicaFiles, status: Arc<ReplicaStatus>) -> io::Result<Self> {
        end_earlier_process(&files)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("rollcall-replica".to_owned())
            .spawn(move || supervise(&program, &files, &status, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends Litestream after it has sent the last changes, and waits for that.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that supervises Litestream panicked");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn supervise(program: &LitestreamProgram, files: &ReplicaFiles, status: &Arc<ReplicaStatus>, stopped: &Receiver<()>) {
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        match start_process(program, files, status) {
            Ok(mut process) => {
                if process.run_until_end(stopped) {
                    process.end_after_sync(files);
                    break;
                }
                process.report_end();
            }
            Err(problem) => {
                tracing::error!(program = %program.path().display(), %problem, "Litestream cannot be started");
                status.record_problem(format!("Litestream cannot be started: {problem}"));
            }
        }
        if begun.elapsed() >= STABLE_AFTER {
            pause = PAUSE_MIN;
        }
        status.record_process(ProcessState::Restarting);
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(PAUSE_MAX),
            _ => break,
        }
    }
    drop(fs::remove_file(&files.pid));
    status.record_process(ProcessState::Stopped);
}

/// A process that was started.
struct LitestreamProcess {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    status: Arc<ReplicaStatus>,
    /// The last line that reported a problem.
    last_problem: Arc<Mutex<Option<String>>>,
}

fn start_process(
    program: &LitestreamProgram,
    files: &ReplicaFiles,
    status: &Arc<ReplicaStatus>,
) -> io::Result<LitestreamProcess> {
    let mut child = program.replicate_command(files).spawn()?;
    let last_problem = Arc::default();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ];
    let readers = streams.into_iter().flatten().map(|pipe| forward_lines(pipe, Arc::clone(&last_problem))).collect();
    let process = LitestreamProcess { child, readers, status: Arc::clone(status), last_problem };
    if let Err(problem) = write_pid(&files.pid, process.child.id()) {
        tracing::warn!(%problem, file = %files.pid.display(), "the process id of Litestream cannot be written");
    }
    status.record_process(ProcessState::Running);
    tracing::info!(program = %program.path().display(), process = process.child.id(), "Litestream replicates the database");
    Ok(process)
}

pub(super) fn write_pid(path: &Path, pid: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(pid.to_string().as_bytes())
}

fn forward_lines(pipe: Box<dyn Read + Send>, last_problem: Arc<Mutex<Option<String>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut forwarder = LineForwarder::default();
        for line in BufReader::new(pipe).split(b'\n') {
            // A pipe that cannot be read has no more lines.
            let Ok(line) = line else { return };
            if let Some(problem) = forwarder.forward_line(&String::from_utf8_lossy(&line)) {
                *last_problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            }
        }
    })
}

impl LitestreamProcess {
    /// Waits until the process ends or the server stops. Returns true if the server stops.
    fn run_until_end(&mut self, stopped: &Receiver<()>) -> bool {
        loop {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return false,
            }
            if !matches!(stopped.recv_timeout(LOOK_INTERVAL), Err(RecvTimeoutError::Timeout)) {
                return true;
            }
        }
    }

    fn report_end(mut self) {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        let problem = self.last_problem.lock().unwrap_or_else(PoisonError::into_inner).take();
        let problem = problem.unwrap_or_else(|| "it reported no reason".to_owned());
        tracing::error!(status, problem, "LITESTREAM HAS ENDED: the database is not replicated until it runs again");
        self.status.record_problem(format!("Litestream has ended ({status}): {problem}"));
    }

    /// Ends the process with SIGTERM, after which it sends the last changes.
    fn end_after_sync(mut self, files: &ReplicaFiles) {
        send_last_changes(files);
        let begun = Instant::now();
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::warn!(%error, "Litestream cannot be stopped");
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) | Err(_) => break,
                Ok(None) if begun.elapsed() >= END_MAX => {
                    tracing::error!("Litestream did not stop in time; the last changes may be absent from the replica");
                    drop(self.child.kill());
                    drop(self.child.wait());
                    break;
                }
                Ok(None) => thread::sleep(LOOK_INTERVAL / 4),
            }
        }
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        tracing::info!(took_ms = begun.elapsed().as_millis(), "Litestream has stopped");
    }
}

/// Lets the process send what it has not read yet. When it ends, it sends the rest only if it has used the database before.
fn send_last_changes(files: &ReplicaFiles) {
    let (socket, begun) = (ControlSocket::new(&files.socket, &files.database), Instant::now());
    loop {
        match socket.sync_database(true, LAST_SYNC_MAX / 2) {
            Ok(()) => return,
            // It was started just now.
            Err(ControlError::Unreachable(_)) if begun.elapsed() < START_MAX => thread::sleep(LOOK_INTERVAL),
            Err(problem) => {
                tracing::warn!(%problem, "the last changes are not in the replica yet");
                return;
            }
        }
    }
}

/// Ends a process that a server has left which was killed: two of them would disturb each other. It sends its last changes first.
///
/// # Errors
/// It does not end.
pub fn end_earlier_process(files: &ReplicaFiles) -> io::Result<()> {
    let Ok(text) = fs::read_to_string(&files.pid) else { return Ok(()) };
    let pid = text.trim().parse().ok().and_then(Pid::from_raw).filter(|pid| is_own_process(*pid, &files.configuration));
    if let Some(pid) = pid {
        tracing::warn!(process = pid.as_raw_nonzero(), "ends the Litestream of a server that was killed");
        let _ = kill_process(pid, Signal::TERM);
        let begun = Instant::now();
        while test_kill_process(pid).is_ok() && is_own_process(pid, &files.configuration) {
            if begun.elapsed() >= END_MAX {
                let _ = kill_process(pid, Signal::KILL);
            }
            if begun.elapsed() >= END_MAX + PAUSE_MIN {
                let problem =
                    format!("process {} of Litestream uses the database and does not end", pid.as_raw_nonzero());
                return Err(io::Error::other(problem));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
    drop(fs::remove_file(&files.pid));
    Ok(())
}

/// Whether the process was started with this settings file: the number may belong to another program by now.
fn is_own_process(pid: Pid, configuration: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == configuration.as_os_str().as_encoded_bytes())
}
