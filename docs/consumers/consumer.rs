//! A consumer of webhooks in Rust: it verifies each request and applies its events to a copy of the users, groups and
//! memberships. The tests of Rollcall run this file; see docs/webhooks.md. The crates are `base64` 0.23, `hmac` 0.13,
//! `serde` 1 with `derive`, `serde_json` 1 and `sha2` 0.11; in an application, a web framework replaces the last part.
//!
//!     WEBHOOK_SECRET=whsec_… PORT=3000 COPY_FILE=copy.json cargo run
//!
//! Events without data (thin, or truncated) are read from the server, here with curl: set `ROLLCALL_URL` and `ROLLCALL_KEY`, an
//! API key with the permission `directory.read`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;

const TOLERANCE_SECONDS: u64 = 300;
const BODY_MAX_BYTES: usize = 1024 * 1024;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A user or group.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    version: i64,
    attributes: Map<String, Value>,
    members: BTreeSet<String>,
}

/// The copy. `positions` has the last applied `seq` of each configuration, and is stored together with the data.
#[derive(Default, Serialize, Deserialize)]
struct Copy {
    positions: BTreeMap<String, i64>,
    users: BTreeMap<String, Record>,
    groups: BTreeMap<String, Record>,
}

impl Copy {
    /// Applies an event, unless it was applied before.
    fn apply(&mut self, configuration: &str, event: &Value) {
        let seq = event["seq"].as_i64().unwrap_or_default();
        let position = self.positions.get(configuration).copied().unwrap_or(-1);
        // Events of the first load all have the `seq` at which it began; what happened since then follows as live events.
        if seq < position || (seq == position && event["backfill"] != true) {
            return;
        }
        self.change(event);
        self.positions.insert(configuration.to_owned(), seq);
    }

    fn change(&mut self, event: &Value) {
        let (Some(kind), Some(id)) = (event["kind"].as_str(), event["resourceId"].as_str()) else { return };
        let (subject, action) = kind.split_once('.').unwrap_or_default();
        let copy = self.users.get(id).or_else(|| self.groups.get(id));
        let is_outdated =
            copy.is_some_and(|copy| event["version"].as_i64().is_some_and(|version| version < copy.version));
        if action == "deleted" {
            // An older deletion than the copy: the resource was restored, and a first load has read it since. The memberships
            // that it has again follow as events.
            if !is_outdated {
                self.users.remove(id);
                self.groups.remove(id);
            }
            if let Some(group) = self.groups.get_mut(id) {
                group.members.clear();
            }
            for group in self.groups.values_mut() {
                group.members.remove(id);
            }
            return;
        }
        let records = if subject == "user" { &mut self.users } else { &mut self.groups };
        let (data, version) = (&event["data"], event["version"].as_i64().unwrap_or_default());
        // The data was removed by a purge, and the deletion follows.
        if data["redacted"] == true {
            return;
        }
        // An older event than the copy, after a first load. The members of a group do not have its version: the load reads them
        // later.
        if is_outdated && !action.starts_with("member_") {
            return;
        }
        if action == "created" || action == "restored" {
            let record = records.entry(id.to_owned()).or_default();
            record.version = version;
            record.attributes = data["after"].as_object().cloned().unwrap_or_default();
            return;
        }
        // A change of a resource that was deleted before the first load read it.
        let Some(record) = records.get_mut(id) else { return };
        // A group can change while the pages of the first load are read: its version stays that of its first event.
        if event["backfill"] != true {
            record.version = record.version.max(version);
        }
        for member in list_items(data, "members").filter_map(|member| member["value"].as_str()) {
            if action == "member_added" {
                record.members.insert(member.to_owned());
            } else {
                record.members.remove(member);
            }
        }
        for path in list_items(data, "changed").filter_map(Value::as_str) {
            change_attribute(&mut record.attributes, path, &data["after"]);
        }
    }

    fn list_state(&self) -> Value {
        let attributes = |records: &BTreeMap<String, Record>| -> Map<String, Value> {
            records.iter().map(|(id, record)| (id.clone(), Value::Object(record.attributes.clone()))).collect()
        };
        let pairs = |(id, group): (&String, &Record)| -> Vec<Value> {
            group.members.iter().map(|member| json!([id, member])).collect()
        };
        let memberships: Vec<Value> = self.groups.iter().flat_map(pairs).collect();
        json!({"users": attributes(&self.users), "groups": attributes(&self.groups), "memberships": memberships})
    }

    /// Replaces the file as a whole: after a crash it is the one from before or the one from after.
    fn save(&self, path: &str) -> Outcome<()> {
        let new = format!("{path}.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        Ok(std::fs::rename(new, path)?)
    }
}

/// The items of an array, if there is one.
fn list_items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// The path is `title`, or `urn:…:User:department` for an attribute in the object of an extension.
fn change_attribute(attributes: &mut Map<String, Value>, path: &str, after: &Value) {
    let Some((urn, name)) = path.rsplit_once(':') else {
        return set_value(attributes, path, after.get(path));
    };
    let Value::Object(extension) = attributes.entry(urn).or_insert_with(|| json!({})) else { return };
    set_value(extension, name, after[urn].get(name));
    if extension.is_empty() {
        attributes.remove(urn);
    }
}

fn set_value(target: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => drop(target.insert(name.to_owned(), value.clone())),
        None => drop(target.remove(name)),
    }
}

/// Verifies a request. The key is what follows `whsec_` in the secret, decoded.
fn is_authentic(key: &[u8], request: &Request) -> bool {
    let sent_at = request.header("webhook-timestamp");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if !sent_at.parse::<u64>().is_ok_and(|time| time.abs_diff(now) <= TOLERANCE_SECONDS) {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    mac.update(format!("{}.{sent_at}.", request.header("webhook-id")).as_bytes());
    mac.update(&request.body);
    request.header("webhook-signature").split(' ').any(|signature| {
        let given = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        given.is_some_and(|given| mac.clone().verify_slice(&given).is_ok())
    })
}

/// Reads the data of an event that was sent without it.
fn complete(event: &Value) -> Outcome<Value> {
    let (kind, is_backfill) = (event["kind"].as_str().unwrap_or_default(), event["backfill"] == true);
    if event.get("data").is_some() || kind.ends_with(".deleted") {
        return Ok(event.clone());
    }
    if !is_backfill {
        return read(&format!("events/{}", event["seq"]))?.ok_or_else(|| "the event is not stored any more".into());
    }
    if kind == "group.member_added" {
        return Err("a first load needs the payload \"full\"".into());
    }
    let list = if event["resourceType"] == "User" { "users" } else { "groups" };
    let found = read(&format!("{list}/{}", event["resourceId"].as_str().unwrap_or_default()))?;
    let mut whole = event.clone();
    match found {
        Some(found) => {
            whole["version"] = found["version"].clone();
            whole["data"] = json!({"after": found["resource"]});
        }
        // The resource was deleted since: the live event follows.
        None => whole["data"] = json!({"redacted": true}),
    }
    Ok(whole)
}

/// Reads from the management API. `None` if there is no such resource.
fn read(path: &str) -> Outcome<Option<Value>> {
    let url = format!("{}/directory/resources/v1/{path}", std::env::var("ROLLCALL_URL")?);
    let mut curl = Command::new("curl")
        .args(["--silent", "--max-time", "10", "--write-out", "%{http_code}", "--config", "-", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // Other users of the machine can read arguments, so the key is not one.
    let header = format!("header = \"Authorization: Bearer {}\"\n", std::env::var("ROLLCALL_KEY")?);
    curl.stdin.take().ok_or("no input")?.write_all(header.as_bytes())?;
    let output = String::from_utf8(curl.wait_with_output()?.stdout)?;
    match output.split_at_checked(output.len().saturating_sub(3)) {
        Some((body, "200")) => Ok(Some(serde_json::from_str(body)?)),
        Some((_, "404")) => Ok(None),
        _ => Err(format!("{path}: {output}").into()),
    }
}

struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(stream: &TcpStream) -> Outcome<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let mut reader = BufReader::new(stream.take(2 * BODY_MAX_BYTES as u64));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let pairs = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        let headers: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let length: usize = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        if length > BODY_MAX_BYTES {
            return Err("the body is too large".into());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Self { line: lines.first().cloned().unwrap_or_default(), headers, body })
    }
}

struct Consumer {
    key: Vec<u8>,
    path: String,
    copy: Mutex<Copy>,
}

impl Consumer {
    /// Returns the status and the body of the response.
    fn respond(&self, request: &Request) -> (&'static str, String) {
        if request.line.starts_with("GET /state ") {
            let copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
            return ("200 OK", copy.list_state().to_string());
        }
        if !is_authentic(&self.key, request) {
            return ("401 Unauthorized", String::new());
        }
        match self.apply_all(&request.body) {
            Ok(()) => ("204 No Content", String::new()),
            // The server sends the request again.
            Err(problem) => ("500 Internal Server Error", problem.to_string()),
        }
    }

    fn apply_all(&self, body: &[u8]) -> Outcome<()> {
        let message: Value = serde_json::from_slice(body)?;
        let configuration = message["data"]["configurationId"].as_str().unwrap_or_default();
        // A request of the type `webhook.test` has no events.
        let events = list_items(&message["data"], "events").map(complete).collect::<Outcome<Vec<Value>>>()?;
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &events {
            copy.apply(configuration, event);
        }
        // Also if all events were applied before: storing them could have failed.
        copy.save(&self.path)
    }

    fn serve(&self, mut stream: &TcpStream) -> Outcome<()> {
        let (status, body) = self.respond(&Request::read(stream)?);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes())?;
        Ok(())
    }
}

pub fn main() -> Outcome<()> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let secret = std::env::var("WEBHOOK_SECRET")?;
    let path = setting("COPY_FILE", "copy.json");
    let copy = if std::fs::exists(&path)? { serde_json::from_slice(&std::fs::read(&path)?)? } else { Copy::default() };
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(&secret))?;
    let consumer = Arc::new(Consumer { key, path, copy: Mutex::new(copy) });
    for stream in TcpListener::bind(format!("127.0.0.1:{}", setting("PORT", "3000")))?.incoming().flatten() {
        let consumer = Arc::clone(&consumer);
        std::thread::spawn(move || {
            if let Err(problem) = consumer.serve(&stream) {
                eprintln!("{problem}");
            }
        });
    }
    Ok(())
}
