//! `rollcall demo`: the printed URLs work, users arrive, and nothing is left at the end.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::{Request, rollcall, wait_until};
use crate::portal::browser::{Browser, wait_for_text};

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");

/// A running demo, with what it printed.
struct Demo {
    child: Child,
    address: SocketAddr,
    /// Path of the URL of the portal.
    setup: String,
    /// Path and query of the URL of the event feed.
    feed: String,
    key: String,
    data: PathBuf,
}

impl Demo {
    fn start(temporary: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["demo", "--listen", "127.0.0.1:0"]).args(flags).env("TMPDIR", temporary);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut find = |label: &str| {
            let line = lines.find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no line {label}"));
            line.trim_start_matches(label).trim().to_owned()
        };
        let (portal, curl, data) = (find("Portal"), find("Event feed"), find("Data"));
        find("Stop");
        std::thread::spawn(move || lines.for_each(drop));
        let (address, setup) = split_url(&portal);
        let (_, key) = curl.split_once("Authorization: Bearer ").unwrap();
        let (key, url) = key.split_once("\" \"").unwrap();
        let (feed_address, feed) = split_url(url.trim_end_matches('"'));
        assert_eq!(address, feed_address);
        let data = data.split(" (").next().unwrap().into();
        Self { child, address, setup, feed, key: key.to_owned(), data }
    }

    fn browser(&self) -> Browser {
        Browser {
            address: self.address,
            email: String::new(),
            cookies: std::collections::BTreeMap::new(),
            form_token: String::new(),
        }
    }

    /// The events of the feed, up to 1,000.
    fn events(&self) -> Vec<Value> {
        let path = self.feed.replace("limit=20", "limit=1000");
        let request = Request::new(self.address, "GET", &path).header("Authorization", &format!("Bearer {}", self.key));
        request.send().answered(200).json["events"].as_array().unwrap().clone()
    }

    fn count_events(&self, kind: &str) -> usize {
        self.events().iter().filter(|event| event["kind"] == kind).count()
    }

    /// Sends a signal and returns the exit code.
    fn stop(&mut self, signal: &str) -> Option<i32> {
        let command = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Address, and path with query, of a plain URL.
fn split_url(url: &str) -> (SocketAddr, String) {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    (address.parse().unwrap(), format!("/{path}"))
}

#[test]
fn the_demo_signs_in_once_provisions_users_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(temporary.path(), &[]);
    assert!(demo.data.starts_with(temporary.path()) && demo.data.is_dir());
    let mut browser = demo.browser();
    let home = browser.get(&demo.setup).answered(200);
    assert_eq!(home.at, "/");
    demo.browser().get(&demo.setup).answered(404);
    wait_until("the first sync", || demo.count_events("user.created") >= 20);
    wait_until("the groups", || demo.count_events("group.created") == 3);
    let connections = browser.get("/connections").answered(200);
    for part in ["Alder Logistics", "Alder Okta", "Birch Health", "Birch Entra ID"] {
        assert!(connections.contains(part), "{part} in {}", connections.text);
    }
    assert!(browser.get("/accounts").answered(200).contains("Alder Logistics"));
    // Each provider has a wrong mapping. Entra repeats its requests, so the home page lists its connection.
    wait_for_text(&mut browser, "/", "requests were rejected.");
    for (connection, cause) in [("Alder Okta", "True or false is required"), ("Birch Entra ID", "userName is missing")]
    {
        let (_, after) = connections.text.split_once(&format!("Select {connection}")).unwrap();
        let (_, path) = after.split_once("href=\"").unwrap();
        let path = path.split('"').next().unwrap();
        let page = wait_for_text(&mut browser, path, "Problems, last 24 hours");
        assert!(page.contains(cause), "{}", page.text);
    }
    wait_until("a joiner", || demo.count_events("user.created") >= 21);
    wait_until("a mover", || demo.count_events("user.updated") >= 1);
    assert_eq!(demo.stop("INT"), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the folder is removed");
}

#[test]
fn the_data_of_a_demo_can_stay_in_a_new_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("demo");
    let flags = ["--keep", folder.to_str().unwrap()];
    let mut demo = Demo::start(temporary.path(), &flags);
    assert_eq!(demo.data, folder);
    wait_until("the first sync", || demo.count_events("user.created") >= 20);
    assert_eq!(demo.stop("HUP"), Some(0), "the terminal is closed");
    assert!(rollcall(&folder, &["check"]).status.success());
    let again = Command::new(BINARY).arg("demo").args(flags).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && text.contains("is not empty"), "{text}");
    assert!(folder.is_dir());
}
