//! Pebble, the ACME test server of Let's Encrypt, with a separate DNS server.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;

use super::authority::Authority;
use crate::app::Request;
use crate::http::{self, find_free_port};

/// Maximum wait until it answers.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whether these tests can run here. If they are required (`TEST_NEEDS_PEBBLE=1`), an absent pebble is a failure.
pub(super) fn is_here() -> bool {
    let tried = Command::new("pebble").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = tried.is_ok();
    let required = std::env::var_os("TEST_NEEDS_PEBBLE").is_some();
    assert!(here || !required, "pebble is not installed");
    if !here {
        println!("skipped: pebble is not installed; `tests/run rust` installs it on Debian");
    }
    here
}

/// Configuration of a Pebble that is not started yet.
pub(super) struct PebbleSetup {
    authority: Authority,
    port: u16,
}

impl PebbleSetup {
    pub(super) fn new() -> Self {
        Self { authority: Authority::new(), port: find_free_port() }
    }

    /// The ACME directory URL for the server's settings.
    pub(super) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Its folder below `tls` in the data folder.
    pub(super) fn folder(&self) -> String {
        format!("127.0.0.1-{}", self.port)
    }

    /// The root certificate that the server must trust for the connection to Pebble.
    pub(super) fn root(&self) -> String {
        let path = self.authority.folder.path().join("root.pem");
        std::fs::write(&path, &self.authority.root_pem).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts an authority at the same address that only suggests to renew every certificate within that window (RFC
    /// 9773). Returns the paths of its requests.
    pub(super) fn suggest(&self, start: &str, end: &str) -> mpsc::Receiver<String> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let how = self.authority.as_server();
        let base = format!("https://127.0.0.1:{}", self.port);
        let directory = json!({
            "newNonce": base, "newAccount": base, "newOrder": base, "renewalInfo": format!("{base}/renewal"), "meta": {},
        });
        let window = json!({"suggestedWindow": {"start": start, "end": end}});
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&how)).unwrap(), stream.unwrap());
                let mut line = String::new();
                if BufReader::new(&mut stream).read_line(&mut line).is_err() {
                    continue;
                }
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let body = if path == "/dir" { directory.to_string() } else { window.to_string() };
                let head = format!("Content-Length: {}\r\nRetry-After: 3600\r\nConnection: close", body.len());
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
                stream.conn.send_close_notify();
                let _ = stream.flush();
                if sender.send(path).is_err() {
                    return;
                }
            }
        });
        asked
    }

    /// Starts Pebble. It validates every name at that port of this machine and issues certificates with that lifetime.
    pub(super) fn start(&self, port_of_proofs: u16, life: Duration) -> Pebble {
        let (names, management, names_management) = (find_free_port(), find_free_port(), find_free_port());
        let folder = self.authority.folder.path();
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": self.authority.certificate(),
            "privateKey": self.authority.key(),
            "httpPort": find_free_port(),
            "tlsPort": port_of_proofs,
            "certificateValidityPeriod": life.as_secs(),
        }});
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        name_server.args(["-dns01", &format!("127.0.0.1:{names}")]);
        name_server.args(["-management", &format!("127.0.0.1:{names_management}")]);
        let mut pebble = Command::new("pebble");
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        pebble.arg("-config").arg(folder.join("config.json")).args(["-dnsserver", &format!("127.0.0.1:{names}")]);
        let running = Pebble {
            children: [begin(name_server, &folder.join("names.log")), begin(pebble, &folder.join("pebble.log"))],
            management: ([127, 0, 0, 1], management).into(),
        };
        for port in [names_management, management, self.port] {
            wait_for(port);
        }
        http::secure(running.management, self.authority.client(rustls::ALL_VERSIONS, &[]));
        running
    }
}

fn begin(mut command: Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

#[track_caller]
fn wait_for(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < TIMEOUT, "no process listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running Pebble. It ends when this is dropped.
pub(super) struct Pebble {
    children: [Child; 2],
    management: SocketAddr,
}

impl Pebble {
    /// The root of the issued certificates. It changes with each start.
    pub(super) fn root(&self) -> CertificateDer<'static> {
        let reply = Request::new(self.management, "GET", "/roots/0").send().answered(200);
        CertificateDer::from_pem_slice(&reply.answer.body).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
