//! The programs that these tests need: Litestream, and moto as an S3 server. `tests/run machines` installs both.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::find_free_port;

/// Whether Litestream is installed. If it is required (`TEST_NEEDS_LITESTREAM=1`), its absence is a failure.
pub(super) fn is_here() -> bool {
    let tried = Command::new("litestream").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = tried.is_ok_and(|status| status.success());
    let required = std::env::var_os("TEST_NEEDS_LITESTREAM").is_some();
    assert!(here || !required, "Litestream is not installed");
    if !here {
        println!("skipped: Litestream is not installed; `tests/run machines` installs it");
    }
    here
}

/// Process id of the Litestream of a server. `None` while none runs.
pub(super) fn find_pid(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("litestream.pid")).ok()?;
    let pid = text.parse().ok()?;
    is_running(pid).then_some(pid)
}

/// Whether the process runs and is a Litestream.
pub(super) fn is_running(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.contains("(litestream)") && !state.contains(") Z ")
}

pub(super) fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// An S3 server with one bucket in memory, which the test can stop and continue.
pub(super) struct StorageServer {
    child: Child,
    pub(super) address: SocketAddr,
}

impl StorageServer {
    /// Starts moto and creates the bucket. `None` if it is not installed.
    pub(super) fn start() -> Option<Self> {
        let program = std::env::var_os("TEST_S3_SERVER").map(PathBuf::from);
        let Some(program) = program else {
            println!("skipped: no S3 server is installed; `tests/run machines` installs one");
            return None;
        };
        let port = find_free_port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        let begun = Instant::now();
        while server.create_bucket().is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    fn create_bucket(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "PUT /bucket HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(answer)) }
    }

    pub(super) fn url(&self) -> String {
        format!("s3://bucket/rollcall?endpoint=http://{}&region=us-east-1", self.address)
    }

    /// Stops or continues the process: connections stay open and get no answer.
    pub(super) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for StorageServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
