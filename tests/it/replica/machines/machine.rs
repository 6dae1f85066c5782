//! One machine of a test: a data folder, an address and a log; and a proxy in front of the storage that can be cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::Client;
use crate::http;
use crate::replica::litestream;

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");

/// One machine, whose processes have the same address in each role.
pub(super) struct Machine {
    pub(super) data: PathBuf,
    pub(super) address: SocketAddr,
    flags: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Machine {
    pub(super) fn new(folder: &Path, name: &str, url: &str, further: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], http::find_free_port()));
        http::use_plain(address);
        let own = ["--replica-url", url, "--replica-lease", "--replica-access-key-id", "test"];
        let flags = own.iter().chain(further).map(|flag| (*flag).to_owned()).collect();
        Self { data: folder.join(name), address, flags, log: folder.join(format!("{name}.log")), child: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--listen").arg(self.address.to_string()).arg("--data-dir").arg(&self.data);
        command.args(&self.flags).env("ROLLCALL_CONFIG", "/dev/null");
        command.env("ROLLCALL_REPLICA_SECRET_ACCESS_KEY", "secret").stdin(Stdio::null());
        command
    }

    /// Starts `serve` or another command that does not end by itself.
    pub(super) fn start(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none());
        let log = std::fs::OpenOptions::new().append(true).create(true).open(&self.log).unwrap();
        let mut command = self.command(arguments);
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Runs a command that ends.
    pub(super) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// Sends a signal to the process.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Kills the process and its Litestream, as the loss of the machine does.
    pub(super) fn lose(&mut self) {
        if let Some(pid) = litestream::find_pid(&self.data) {
            litestream::kill(pid);
        }
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until the process ends by itself, and returns whether it had success.
    pub(super) fn wait_until_ended(&mut self) -> bool {
        let mut child = self.child.take().unwrap();
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < end, "it still runs: {}", self.read_log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn read_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Status and body of `/readyz`. `None` while nothing listens.
    pub(super) fn read_readiness(&self) -> Option<(u16, String)> {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let answer = http::exchange(self.address, request.as_bytes()).ok()?;
        Some((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Waits until `/readyz` is like that, and returns how long it took.
    pub(super) fn wait_for(&self, what: &str, is_so: impl Fn(u16, &str) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            let found = self.read_readiness();
            if found.as_ref().is_some_and(|(status, body)| is_so(*status, body)) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{what}: {found:?}\n{}", self.read_log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn wait_until_ready(&self) -> Duration {
        self.wait_for("ready", |status, _| status == 200)
    }

    /// Waits until the copy of a standby is complete.
    pub(super) fn wait_until_warm(&self) {
        self.wait_for("warm", |_, body| body.starts_with("standby (following)"));
    }

    /// The fenced databases of the folder.
    pub(super) fn list_fenced(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.data).unwrap().flatten().map(|entry| entry.path());
        let is_fenced = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let time = name.strip_prefix("rollcall.db.fenced-");
            time.is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        entries.filter(is_fenced).collect()
    }

    /// A new configuration, through the command line.
    pub(super) fn configuration(&self) -> Client {
        let arguments = ["configuration", "create", "--account", "ACME", "--source", "other", "--output", "json"];
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--data-dir").arg(&self.data).env("ROLLCALL_CONFIG", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        Client::of_configuration(self.address, &made)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.lose();
    }
}

/// nginx in front of both machines, with the example of the packages.
pub(super) struct FrontProxy {
    pub(super) address: SocketAddr,
    child: Child,
}

impl FrontProxy {
    /// `None` if nginx is not installed.
    pub(super) fn start(folder: &Path, a: &Machine, b: &Machine) -> Option<Self> {
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())?;
        let address = SocketAddr::from(([127, 0, 0, 1], http::find_free_port()));
        let servers = include_str!("../../../../packaging/examples/ha-nginx.conf")
            .replace("10.0.0.1:8080", &a.address.to_string())
            .replace("10.0.0.2:8080", &b.address.to_string())
            .replace("listen 443 ssl;", &format!("listen {address};"));
        let servers: String =
            servers.lines().filter(|line| !line.contains("ssl_")).flat_map(|line| [line, "\n"]).collect();
        let path = folder.display();
        let configuration = format!(
            "daemon off;\npid {path}/nginx.pid;\nerror_log {path}/nginx.log;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {path}/body;\nproxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi;\nscgi_temp_path {path}/scgi;\n{servers}}}\n"
        );
        std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-c").arg(folder.join("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        http::use_plain(address);
        crate::app::wait_until("nginx listens", || TcpStream::connect(address).is_ok());
        Some(Self { address, child })
    }
}

impl Drop for FrontProxy {
    fn drop(&mut self) {
        // SIGTERM ends its worker, too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A proxy in front of the storage. While it is cut, connections stay open and nothing passes.
pub(super) struct StorageProxy {
    pub(super) address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl StorageProxy {
    pub(super) fn start(storage: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, is_cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let switch = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(storage) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let switch = Arc::clone(&switch);
                    std::thread::spawn(move || forward(from, to, &switch));
                }
            }
        });
        Self { address, is_cut }
    }

    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }

    pub(super) fn url(&self) -> String {
        format!("s3://bucket/rollcall?endpoint=http://{}&region=us-east-1", self.address)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(bytes) = from.read(&mut chunk) {
        while is_cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if bytes == 0 || to.write_all(&chunk[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
