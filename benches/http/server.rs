//! The real binary as a child process, and its cost measured by the kernel. Linux only: the figures come from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Delay until the kernel reports the CPU time of a thread that has just gone to sleep.
const SETTLE: Duration = Duration::from_millis(5);

/// The program of this build.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_rollcall");

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts `rollcall serve` on a free port and waits until it listens.
    pub(crate) fn start(data: &Path) -> Result<Self> {
        Self::start_program(Path::new(PROGRAM), data)
    }

    /// Does the same with another program.
    pub(crate) fn start_program(program: &Path, data: &Path) -> Result<Self> {
        let mut child = serve(program, "127.0.0.1:0", data).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output of the server")?).lines();
        let said = lines.next().context("the server ended before it listened")??;
        let address = said.rsplit("http://").next().and_then(|address| address.trim().parse().ok());
        let address = address.with_context(|| format!("no address in {said:?}"))?;
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { address, child })
    }

    /// CPU time of all live threads so far, user and system. The kernel counts in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        std::thread::sleep(SETTLE);
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the two reads.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += first_number(&text).context("schedstat without a number")?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// A line of `/proc/PID/status` in MiB: `VmRSS` is the current memory, `VmHWM` the maximum.
    pub(crate) fn memory_mib(&self, line: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let kib = found.and_then(first_number).with_context(|| format!("no {line}"))?;
        Ok(f64::from(u32::try_from(kib)?) / 1024.0)
    }

    /// Stops the server as an init system does, so that the write-ahead log is merged into the database.
    pub(crate) fn stop(mut self) -> Result<()> {
        let signaled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let code = self.child.wait()?;
        if !signaled.success() || !code.success() {
            bail!("the server ended with {code}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time from the start of the process to the first 200 that `ask` sees.
pub(crate) fn first_answer(data: &Path, ask: impl Fn(SocketAddr) -> bool) -> Result<Duration> {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let begun = Instant::now();
    let child = serve(Path::new(PROGRAM), &free.to_string(), data).stdout(Stdio::null()).spawn()?;
    let server = Server { address: free, child };
    while !ask(server.address) {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("no answer within 10 s");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(begun.elapsed())
}

/// The command; the log is written, as in production, and discarded.
fn serve(program: &Path, listen: &str, data: &Path) -> Command {
    let mut command = Command::new(program);
    // All load goes to one configuration, so its rate limit is disabled.
    command.args(["serve", "--rate-limit", "0", "--listen", listen, "--data-dir"]).arg(data);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
