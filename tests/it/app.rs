//! The program under test: the real binary on a free port, and a client for one of its configurations.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{self, Answer};
use crate::sample;

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");

/// The variable with which a command reads no settings file, not even that of an installed package.
const NO_SETTINGS: [&str; 2] = ["ROLLCALL_CONFIG", "/dev/null"];

/// Shell script that runs the shared server. Standard input closes when the test process ends, for whatever reason;
/// then the script stops the server and deletes its data. Only the server keeps standard output open, so that it closes
/// with the server.
const WATCHED: &str =
    r#"dir=$1; shift; "$@" & server=$!; exec >/dev/null; cat; kill "$server"; wait "$server"; rm -rf "$dir""#;

/// A running server and its data directory.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    child: Child,
}

impl App {
    /// The server that tests share. Each test creates its own configuration.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<App> = OnceLock::new();
        SHARED.get_or_init(|| {
            let data = tempfile::tempdir().unwrap().keep();
            let mut command = Command::new("sh");
            command.args(["-c", WATCHED, "sh"]).arg(&data).arg(BINARY);
            Self::spawn(command, &data, &[])
        })
    }

    /// Starts a separate server on that directory, which the test can kill and start again.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// Like `start`, with additional flags.
    pub(crate) fn start_with(data: &Path, flags: &[&str]) -> Self {
        Self::spawn(Command::new(BINARY), data, flags)
    }

    /// Like `start`, with flags, environment variables and a file for the log.
    pub(crate) fn start_in(data: &Path, flags: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command.envs(environment.iter().copied()).stderr(std::fs::File::create(log).unwrap());
        Self::spawn_as(command, data, flags)
    }

    /// Starts the server through another program, which gets the server's command line as arguments.
    pub(crate) fn start_through(mut command: Command, data: &Path) -> Self {
        command.arg(BINARY);
        Self::spawn(command, data, &[])
    }

    /// Like `start_through`, with a file for the log.
    pub(crate) fn start_logged_through(mut command: Command, data: &Path, log: &Path) -> Self {
        command.arg(BINARY).stderr(std::fs::File::create(log).unwrap());
        Self::spawn_as(command, data, &[])
    }

    fn spawn(mut command: Command, data: &Path, flags: &[&str]) -> Self {
        command.stderr(Stdio::null());
        Self::spawn_as(command, data, flags)
    }

    pub(crate) fn spawn_as(command: Command, data: &Path, flags: &[&str]) -> Self {
        Self::try_spawn(command, data, flags).expect("serve says where it listens before it ends")
    }

    /// Starts a separate server, without a log. `None` if it refuses to start.
    pub(crate) fn try_start(data: &Path) -> Option<Self> {
        let mut command = Command::new(BINARY);
        command.stderr(Stdio::null());
        Self::try_spawn(command, data, &[])
    }

    fn try_spawn(mut command: Command, data: &Path, flags: &[&str]) -> Option<Self> {
        command.env(NO_SETTINGS[0], NO_SETTINGS[1]);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).args(flags);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address: SocketAddr = loop {
            let Some(line) = lines.next() else {
                child.wait().unwrap();
                return None;
            };
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("listening on ").and_then(|(_, url)| url.split_once("://")) {
                break address.trim().parse().unwrap();
            }
        };
        http::use_plain(address);
        // The remaining output is read so that the server does not block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { address, data: data.to_owned(), child })
    }

    /// Waits until the server ends by itself, and returns how.
    pub(crate) fn wait_until_ended(&mut self) -> std::process::ExitStatus {
        let end = std::time::Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(std::time::Instant::now() < end, "the server still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A new configuration in a new account.
    pub(crate) fn configuration(&self, source: &str) -> Client {
        self.made(&new_account(), &["--source", source])
    }

    /// A new configuration with the switches of a preset, in a new account.
    pub(crate) fn configuration_with_preset(&self, preset: &str) -> Client {
        self.made(&new_account(), &["--preset", preset])
    }

    /// A new configuration of that account.
    pub(crate) fn configuration_of(&self, account: &str, source: &str) -> Client {
        self.made(account, &["--source", source])
    }

    fn made(&self, account: &str, how: &[&str]) -> Client {
        let mut arguments = vec!["configuration", "create", "--account", account, "--output", "json"];
        arguments.extend(how);
        let made: Value = serde_json::from_slice(&self.succeeds(&arguments)).unwrap();
        Client::of_configuration(self.address, &made)
    }

    /// Runs a command on the server's data directory.
    pub(crate) fn rollcall(&self, arguments: &[&str]) -> Output {
        rollcall(&self.data, arguments)
    }

    /// Runs a command that must succeed and returns its standard output.
    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.rollcall(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Process id of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process without warning, as a power failure would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends that signal to the process.
    pub(crate) fn signal(&self, name: &str) {
        let signal = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    }

    /// Stops the process as an init system does, and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        ends_within(&mut self.child, Duration::from_secs(20))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a database or a backup to change it, with checksums as the server writes them.
pub(crate) fn open_database(path: impl AsRef<Path>) -> rusqlite::Connection {
    rollcall::store::page_checksums::register().unwrap();
    rusqlite::Connection::open(path).unwrap()
}

/// Waits after a change of the database of a running server, as commands do: it may use a snapshot from before the change.
pub(crate) fn wait_for_snapshots() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

pub(crate) fn new_account() -> String {
    static ACCOUNTS: AtomicU32 = AtomicU32::new(1);
    format!("account-{}", ACCOUNTS.fetch_add(1, Ordering::Relaxed))
}

/// Waits until a condition is true, for at most two minutes.
#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(2), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command on a data directory.
pub(crate) fn rollcall(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data-dir").arg(data).env(NO_SETTINGS[0], NO_SETTINGS[1]);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Creates the database in a data directory, for tests of commands without a server.
#[track_caller]
pub(crate) fn initialize(data: &Path) {
    let file = data.with_extension("settings");
    let output = rollcall(data, &["init", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(file).unwrap();
}

/// Starts `serve`, which must fail, and returns its output. Kills the process if it does not end in time.
#[track_caller]
pub(crate) fn serve_refuses(data: &Path, within: Duration) -> Output {
    serve_with_refuses(data, &[], within)
}

/// Like `serve_refuses`, with additional flags.
#[track_caller]
pub(crate) fn serve_with_refuses(data: &Path, flags: &[&str], within: Duration) -> Output {
    let mut command = Command::new(BINARY);
    command.env(NO_SETTINGS[0], NO_SETTINGS[1]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).args(flags);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let code = ends_within(&mut child, within);
    let output = child.wait_with_output().unwrap();
    assert!(code.is_some_and(|code| code != 0), "serve did not refuse within {within:?}: {output:?}");
    output
}

/// The exit code. `None` if the process had to be killed or ended by a signal.
fn ends_within(child: &mut Child, limit: Duration) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    None
}

/// A client with the token of one configuration. Paths are relative to its provisioning URL.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) id: String,
    pub(crate) token: String,
    /// Path of the provisioning URL.
    pub(crate) base: String,
    /// The provisioning URL as the command line printed it.
    pub(crate) url: String,
}

impl Client {
    /// A client for what `configuration create --output json` printed.
    pub(crate) fn of_configuration(address: SocketAddr, made: &Value) -> Self {
        let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("{name} in {made}")).to_owned();
        let base = format!("/directory/resources/scim/v2.0/{}", text("id"));
        Self { address, id: text("id"), token: text("token"), base, url: text("provisioningUrl") }
    }

    /// The same client for another address, for example after a restart.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path).json(body).send()
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.request("PUT", path).json(body).send()
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.request("PATCH", path).json(body).send()
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    /// The resources that match a filter.
    #[track_caller]
    pub(crate) fn find(&self, endpoint: &str, filter: &str) -> Vec<Value> {
        let reply = self.get(&format!("{endpoint}?count=500&filter={}", sample::encode(filter))).answered(200);
        reply.json["Resources"].as_array().unwrap_or_else(|| panic!("Resources in {}", reply.json)).clone()
    }

    /// The number of resources of the endpoint.
    #[track_caller]
    pub(crate) fn count(&self, endpoint: &str) -> u64 {
        self.get(&format!("{endpoint}?count=0")).answered(200).json["totalResults"].as_u64().unwrap()
    }

    /// Creates a resource and returns its id.
    #[track_caller]
    pub(crate) fn created(&self, endpoint: &str, document: &Value) -> String {
        self.post(endpoint, document).answered(201).id()
    }

    /// A request with this configuration's token, which the test can change before it is sent.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.request_to(method, &format!("{}{path}", self.base))
    }

    /// Like `request`, for a path that may be outside of the provisioning URL.
    pub(crate) fn request_to(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target).header("Authorization", &format!("Bearer {}", self.token))
    }
}

/// A request that is not sent yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without credentials.
    pub(crate) fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        Self { address, method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// Sets a header and replaces an existing header of that name.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let mut request = self.without(name);
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    /// Adds a header and keeps existing headers of that name.
    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    /// Sets a JSON body and its content type.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string().as_bytes()).header("Content-Type", "application/scim+json")
    }

    /// Sets any body. The caller sets the content type.
    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    /// Sends the request and checks the rules for all answers.
    #[track_caller]
    pub(crate) fn send(&self) -> Reply {
        let asked = format!("{} {}", self.method, self.target.chars().take(300).collect::<String>());
        match self.attempt() {
            Ok(answer) => Reply::new(asked, answer),
            Err(why) => panic!("{asked}: no answer: {why}"),
        }
    }

    /// Sends the request without checks; the server may be stopping.
    pub(crate) fn attempt(&self) -> io::Result<Answer> {
        use std::fmt::Write as _;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let given = |name: &str| self.headers.iter().any(|(present, _)| present.eq_ignore_ascii_case(name));
        if !given("host") {
            let _ = write!(head, "Host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = &self.body
            && !given("content-length")
        {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        http::exchange(self.address, &bytes)
    }
}

/// An answer that follows the rules for all answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The body, or null if there is none.
    pub(crate) json: Value,
    pub(crate) answer: Answer,
    asked: String,
}

impl Reply {
    #[track_caller]
    fn new(asked: String, answer: Answer) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = answer.status;
        assert!(status < 500 || [501, 503, 507].contains(&status), "{asked} answered {status}: {text}");
        if status == 204 || status == 304 {
            assert!(answer.body.is_empty(), "{asked}: {status} with the body {text}");
        }
        Self { status, json, answer, asked }
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn answered(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.answer.body);
        assert_eq!(self.status, status, "{} answered {body}", self.asked);
        self
    }

    /// Asserts a SCIM error with that `scimType` (RFC 7644 section 3.12). Empty for no `scimType`; `|` separates
    /// alternatives where the RFC allows two.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, scim_type: &str) -> Self {
        let reply = self.answered(status).with_scim_error();
        let actual = reply.json["scimType"].as_str().unwrap_or_default();
        let expected = scim_type.split('|').any(|allowed| allowed == actual);
        assert!(expected, "{}: expected {scim_type:?} in {}", reply.asked, reply.json);
        reply
    }

    /// Asserts that the body is a SCIM error whose `detail` reveals no internals.
    #[track_caller]
    pub(crate) fn with_scim_error(self) -> Self {
        let Self { json, asked, status, .. } = &self;
        let text = String::from_utf8_lossy(&self.answer.body);
        assert_eq!(json["schemas"], serde_json::json!([sample::ERROR]), "{asked} answered {status} {text}");
        assert_eq!(json["status"], status.to_string(), "{asked}: {text}");
        let detail = json["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty(), "{asked}: no detail in {text}");
        for inside in ["SELECT ", "sqlite", "rusqlite", "panicked", "src/", "rct_"] {
            assert!(!detail.contains(inside), "{asked}: {detail:?} shows {inside:?}");
        }
        assert_eq!(self.header("content-type"), "application/scim+json", "{asked}");
        self
    }

    /// Asserts an error of the management API: messages, a code, and the request id.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> Self {
        let reply = self.answered(status);
        let Self { json, asked, .. } = &reply;
        let sentence = json["errors"][0].as_str().unwrap_or_else(|| panic!("{asked}: no errors in {json}"));
        assert!(!sentence.is_empty() && json["message"].as_str().is_some_and(|all| all.contains(sentence)), "{json}");
        assert_eq!(json["statusCode"], status, "{asked}");
        assert!(json["errorCode"].as_str().is_some_and(crate::errors::is_error_code), "{asked}: {json}");
        for inside in ["SELECT ", "sqlite", "rusqlite", "panicked", "src/", "rct_", "rck_"] {
            assert!(!json.to_string().contains(inside), "{asked}: {json} shows {inside:?}");
        }
        let id = reply.header("x-request-id");
        assert!(!id.is_empty() && id == reply.header("frontegg-trace-id"), "{asked}: {:?}", reply.answer.headers);
        reply
    }

    /// A string member of the answer.
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        self.json[name].as_str().unwrap_or_else(|| panic!("{}: no {name} in {}", self.asked, self.json)).to_owned()
    }

    /// Value of a header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.answer.header(name).unwrap_or_default()
    }

    /// The resource's id.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("{}: no id in {}", self.asked, self.json)).to_owned()
    }

    /// The resource's version, which must equal the `ETag` header.
    #[track_caller]
    pub(crate) fn version(&self) -> String {
        let version = self.json["meta"]["version"].as_str().unwrap_or_else(|| panic!("{}: {}", self.asked, self.json));
        assert_eq!(self.header("etag"), version, "{}", self.asked);
        version.to_owned()
    }
}
