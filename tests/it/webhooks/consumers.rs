//! The consumers of the documentation in Node.js, Python, Go and Rust: each receives the webhooks of the real server, and its
//! copy equals the lists.

#[path = "../../../docs/consumers/consumer.rs"]
#[expect(unreachable_pub, clippy::print_stderr, reason = "the file is a program of its own")]
mod rust_consumer;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Fixture, WEBHOOKS};
use crate::app::{Client, Request, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::http::{Answer, find_free_port};
use crate::management::directory::all;
use crate::sample::{ENTERPRISE, group, operation, removal, user_with};

/// Operations of identity providers and of the operator.
const OPERATIONS: usize = 200;
/// The first load begins after this number of them.
const LOADED_AFTER: usize = 60;
/// Set for the process that is the consumer in Rust.
const CONSUMER_VARIABLE: &str = "ROLLCALL_TEST_CONSUMER";

/// How a consumer is started: a program with arguments.
#[derive(Debug, Clone)]
struct ConsumerProgram {
    language: &'static str,
    command: Vec<String>,
}

fn find_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/consumers").join(name)
}

/// Whether a language can be used here. If it is required (`TEST_NEEDS_NODE=1`), an absent one is a failure.
fn is_installed(language: &str, command: &str) -> bool {
    let tried = Command::new(command).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let required = format!("TEST_NEEDS_{}", language.to_uppercase());
    assert!(
        tried.is_ok() || std::env::var_os(&required).is_none(),
        "{command} is not installed, and {required} is set"
    );
    if tried.is_err() {
        println!("skipped: the consumer in {language}, because {command} is not installed");
    }
    tried.is_ok()
}

/// The consumers of the installed languages.
fn list_programs() -> Vec<ConsumerProgram> {
    let source = |name: &str| find_source(name).to_str().unwrap().to_owned();
    let own = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let itself = ["webhooks::consumers::run_consumer_in_rust", "--exact", "--nocapture"];
    let rust = std::iter::once(own).chain(itself.map(str::to_owned)).collect();
    let mut programs = vec![ConsumerProgram { language: "rust", command: rust }];
    if is_installed("node", "node") {
        programs.push(ConsumerProgram { language: "node", command: vec!["node".to_owned(), source("consumer.mjs")] });
    }
    if is_installed("python", "python3") {
        let command = vec!["python3".to_owned(), "-B".to_owned(), source("consumer.py")];
        programs.push(ConsumerProgram { language: "python", command });
    }
    if is_installed("go", "go") {
        programs.push(ConsumerProgram { language: "go", command: vec![compile_go().clone()] });
    }
    programs
}

/// Compiles once, without the network. `go run` would start a second process, which a kill does not end.
fn compile_go() -> &'static String {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join("consumer-go").to_str().unwrap().to_owned();
        let output = Command::new("go")
            .args(["build", "-o", &program])
            .arg(find_source("consumer.go"))
            .envs([("GOFLAGS", "-mod=mod"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
            .env("GOCACHE", folder.join("go-cache"))
            .env("GOPATH", folder.join("go-path"))
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    });
    &PROGRAM
}

/// The process that [`list_programs`] starts for Rust; without its variable, this is an empty test.
#[test]
fn run_consumer_in_rust() {
    if std::env::var_os(CONSUMER_VARIABLE).is_some() {
        rust_consumer::main().unwrap();
    }
}

/// A running consumer with its webhook.
struct RunningConsumer {
    program: ConsumerProgram,
    port: u16,
    webhook: String,
    secret: String,
    file: PathBuf,
    server: Caller,
    child: Child,
}

impl RunningConsumer {
    /// Creates a webhook and starts its consumer.
    fn start(fixture: &Fixture, program: &ConsumerProgram, folder: &Path, more: &Value) -> Self {
        let port = find_free_port();
        let mut body = json!({"url": format!("http://127.0.0.1:{port}/hook"), "backfill": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let created = fixture.operator.post(WEBHOOKS, &body).answered(201);
        let mut consumer = Self {
            program: program.clone(),
            port,
            webhook: created.id(),
            secret: created.text("secret"),
            file: folder.join(format!("copy-{}", program.language)),
            server: fixture.operator.clone(),
            child: Command::new("true").spawn().unwrap(),
        };
        consumer.restart();
        consumer
    }

    /// Kills the process without warning and starts it again.
    fn restart(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.child = Command::new(&self.program.command[0])
            .args(&self.program.command[1..])
            .envs([("WEBHOOK_SECRET", &self.secret), ("PORT", &self.port.to_string())])
            .env("COPY_FILE", &self.file)
            .env("ROLLCALL_URL", format!("http://{}", self.server.address))
            .env("ROLLCALL_KEY", self.server.credential.as_ref().unwrap())
            .env(CONSUMER_VARIABLE, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(self.program.language, || TcpStream::connect(self.address()).is_ok());
        // Requests failed in the meantime; the retry would come later.
        self.server.post(&format!("{WEBHOOKS}/{}/resume", self.webhook), &json!({})).answered(200);
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn load_copy(&self) -> DirectoryCopy {
        let state = Request::new(self.address(), "GET", "/state").send().answered(200).json;
        let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
        let memberships: Vec<Value> = state["memberships"].as_array().unwrap().clone();
        let copy = DirectoryCopy {
            users: state["users"].clone(),
            groups: state["groups"].clone(),
            memberships: memberships.iter().map(pair).collect(),
        };
        assert_eq!(copy.memberships.len(), memberships.len(), "each membership once");
        copy
    }

    /// Sends a request with a signature of this time, and returns the answer.
    fn send_signed(&self, time: u64, signed: &str, sent: &str) -> Answer {
        let key = STANDARD.decode(self.secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("msg_1.{time}.{signed}").as_bytes());
        let signature = format!("v1a,AAAA v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let request = Request::new(self.address(), "POST", "/hook").body(sent.as_bytes());
        let request = request.header("webhook-id", "msg_1").header("webhook-timestamp", &time.to_string());
        request.header("webhook-signature", &signature).attempt().unwrap()
    }
}

impl Drop for RunningConsumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the lists or a consumer have.
#[derive(Debug, Default, PartialEq)]
struct DirectoryCopy {
    users: Value,
    groups: Value,
    memberships: BTreeSet<(String, String)>,
}

fn load_lists(operator: &Caller) -> DirectoryCopy {
    let read = |list: &str| all(operator, &format!("/directory/resources/v1/{list}"), "&limit=1000");
    let records = |list: &str| -> Value {
        read(list).iter().map(|item| (item["id"].as_str().unwrap().to_owned(), item["resource"].clone())).collect()
    };
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let pairs = read("memberships").iter().map(|item| (text(item, "groupId"), text(item, "memberId"))).collect();
    DirectoryCopy { users: records("users"), groups: records("groups"), memberships: pairs }
}

/// Waits until all copies equal the lists. What waits for a retry is sent at once.
#[track_caller]
fn check_copies(fixture: &Fixture, consumers: &[RunningConsumer]) {
    let begun = Instant::now();
    for consumer in consumers {
        loop {
            fixture.operator.post(&format!("{WEBHOOKS}/{}/resume", consumer.webhook), &json!({})).answered(200);
            let (listed, copy) = (load_lists(&fixture.operator), consumer.load_copy());
            if copy == listed {
                break;
            }
            if begun.elapsed() > Duration::from_mins(2) {
                let attempts = fixture.attempts(&consumer.webhook);
                eprintln!("{}: {:#?}", consumer.program.language, &attempts[..attempts.len().min(3)]);
                assert_eq!(copy, listed, "{}", consumer.program.language);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// An identity provider and what it has created.
struct ProviderScene {
    client: Client,
    users: Vec<String>,
    groups: Vec<String>,
}

impl ProviderScene {
    fn create(operator: &Caller, account: &str) -> Self {
        Self { client: operator.configuration(account, "other"), users: Vec::new(), groups: Vec::new() }
    }

    /// Restores the user or group that was deleted last.
    fn restore_newest(&mut self, operator: &Caller) {
        let path = format!("{CONFIGURATIONS}/{}/deleted", self.client.id);
        let page = operator.get(&format!("{path}?limit=1")).answered(200).json;
        let Some(id) = page["items"][0]["id"].as_str() else { return };
        operator.post(&format!("{path}/{id}/restore"), &json!({})).answered(200);
        let is_user = page["items"][0]["resourceType"] == "User";
        if is_user { &mut self.users } else { &mut self.groups }.push(id.to_owned());
    }

    /// The operation with this number. It is chosen without chance, so that a failure can be repeated.
    fn change(&mut self, number: usize, operator: &Caller) {
        // Both configurations get operations of all kinds.
        let kind = (number * 7 + number / 20) % 20;
        let client = self.client.clone();
        let pick = |ids: &[String], by: usize| ids.get((number * by) % ids.len().max(1)).cloned();
        let (user, other, team) = (pick(&self.users, 13), pick(&self.users, 5), pick(&self.groups, 3));
        match (kind, user, other, team) {
            (0..=4, ..) | (_, None, ..) => {
                let more = json!({"active": true, "displayName": format!("User <{number}> \"é\""), "externalId": "e"});
                self.users.push(client.created("/Users", &user_with(&format!("u{number}"), &more)));
            }
            (5, Some(one), Some(two), _) | (_, Some(one), Some(two), None) => {
                let members = BTreeSet::from([one.as_str(), two.as_str()]);
                let members: Vec<&str> = members.into_iter().collect();
                self.groups.push(client.created("/Groups", &group(&format!("g{number}"), &members)));
            }
            (6..=10, Some(user), ..) => {
                let department = format!("{ENTERPRISE}:department");
                let body = match kind {
                    6 => operation("replace", "active", &json!(number.is_multiple_of(2))),
                    7 => operation("add", &department, &json!(format!("D{number}"))),
                    8 => removal(&department),
                    9 => operation("replace", "emails", &json!([{"value": format!("{number}@example.com")}])),
                    _ => operation("replace", "title", &json!(format!("T{number}"))),
                };
                client.patch(&format!("/Users/{user}"), &body).answered(200);
            }
            (11..=14, Some(user), _, Some(team)) => {
                let body = match kind {
                    11 => operation("replace", "displayName", &json!(format!("Group {number}"))),
                    12 => removal(&format!("members[value eq \"{user}\"]")),
                    _ => operation("add", "members", &json!([{"value": user}])),
                };
                client.patch(&format!("/Groups/{team}"), &body).answered(200);
            }
            (16, Some(user), ..) => {
                client.delete(&format!("/Users/{user}")).answered(204);
                self.users.retain(|id| *id != user);
            }
            (15, ..) => self.restore_newest(operator),
            (17, _, _, Some(team)) if self.groups.len() > 2 => {
                client.delete(&format!("/Groups/{team}")).answered(204);
                self.groups.retain(|id| *id != team);
            }
            _ => {
                let body = json!({"syncToUserManagement": kind == 19});
                operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
            }
        }
    }
}

#[test]
fn the_copies_of_the_consumers_equal_the_lists_over_kills_pauses_and_a_purge() {
    let folder = tempfile::tempdir().unwrap();
    let programs = list_programs();
    let mut fixture = Fixture::new();
    let mut scenes = ["acme", "zeta"].map(|account| ProviderScene::create(&fixture.operator, account));
    let mut consumers = Vec::new();
    for number in 0..OPERATIONS {
        scenes[number % 2].change(number / 2, &fixture.operator);
        match number {
            LOADED_AFTER => {
                let sizes = [5, 2, 1, 3].map(|size| json!({"batchSize": size}));
                let start = |(program, size)| RunningConsumer::start(&fixture, program, folder.path(), size);
                consumers.extend(programs.iter().zip(&sizes).map(start));
            }
            100 => {
                // They have a part, and more is on its way.
                let has_users = |consumer: &RunningConsumer| consumer.load_copy().users != json!({});
                wait_until("the first load", || consumers.iter().all(has_users));
            }
            110 => consumers.iter_mut().for_each(RunningConsumer::restart),
            130 => {
                fixture = fixture.restart();
                for scene in &mut scenes {
                    scene.client.address = fixture.app.address;
                }
                for consumer in &mut consumers {
                    consumer.server = fixture.operator.clone();
                }
            }
            160 => {
                // The users and groups of the configuration end with it, and another one begins.
                let purge = format!("{CONFIGURATIONS}/{}?purge=true", scenes[1].client.id);
                fixture.operator.delete(&purge).answered(204);
                scenes[1] = ProviderScene::create(&fixture.operator, "zeta");
            }
            _ => {}
        }
    }
    for scene in &scenes {
        let body = json!({"syncToUserManagement": true});
        fixture.operator.patch(&format!("{CONFIGURATIONS}/{}", scene.client.id), &body).answered(204);
    }
    check_copies(&fixture, &consumers);
    let lists = load_lists(&fixture.operator);
    assert!(lists.users.as_object().unwrap().len() > 10 && lists.memberships.len() > 5, "{lists:?}");
    check_repetitions(&fixture, &consumers, &scenes[0].client);
    consumers.iter().for_each(check_verification);
    check_copies(&fixture, &consumers);
}

/// Sends the creation of users again that are deleted now: it has no effect.
fn check_repetitions(fixture: &Fixture, consumers: &[RunningConsumer], client: &Client) {
    let users = load_lists(&fixture.operator).users;
    let path = format!("/directory/resources/v1/events?configuration={}&kind=user.created&limit=1000", client.id);
    let created = fixture.operator.get(&path).answered(200).json["events"].as_array().unwrap().clone();
    let is_deleted = |event: &&Value| users.get(event["resourceId"].as_str().unwrap()).is_none();
    let deleted: Vec<&Value> = created.iter().filter(is_deleted).map(|event| &event["seq"]).collect();
    for consumer in consumers {
        let mut batches = 0;
        for seq in &deleted {
            let body = json!({"fromSeq": seq, "toSeq": seq, "configuration": client.id});
            let path = format!("{WEBHOOKS}/{}/resend", consumer.webhook);
            let reply = fixture.operator.post(&path, &body);
            // 409: they were a part of the first load.
            assert!([202, 409].contains(&reply.status), "{}", reply.json);
            batches += usize::from(reply.status == 202);
        }
        assert!(batches > 0, "no user was created after the first load and deleted: {deleted:?}");
        let repeated = || -> Vec<Value> {
            let path = format!("{WEBHOOKS}/{}/attempts?limit=1000", consumer.webhook);
            let attempts = fixture.operator.get(&path).answered(200).json["items"].as_array().unwrap().clone();
            attempts.into_iter().filter(|attempt| attempt["resend"] == true).collect()
        };
        wait_until("the repetition", || repeated().len() == batches);
        assert!(repeated().iter().all(|attempt| attempt["status"] == 204), "{}", consumer.program.language);
        assert_eq!(consumer.load_copy(), load_lists(&fixture.operator), "{}", consumer.program.language);
    }
}

fn check_verification(consumer: &RunningConsumer) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let body = json!({"type": "webhook.test", "timestamp": "2026-11-29T00:00:00.000Z", "data": {}}).to_string();
    for (time, sent, status) in [
        (now, body.as_str(), 204),
        (now - 200, &body, 204),
        (now, "{}", 401),
        (now - 400, &body, 401),
        (now + 400, &body, 401),
    ] {
        let answer = consumer.send_signed(time, &body, sent);
        assert_eq!(answer.status, status, "{}: {time} {sent}", consumer.program.language);
    }
    let unsigned = Request::new(consumer.address(), "POST", "/hook").body(body.as_bytes()).attempt().unwrap();
    assert_eq!(unsigned.status, 401, "{}", consumer.program.language);
}

#[test]
fn the_consumers_read_events_that_are_too_large_for_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "other");
    let text = "x".repeat(60_000);
    let large = |name: &str| {
        let more = json!({"nickName": text, "title": text, "displayName": text, "userType": text, "locale": text});
        client.created("/Users", &user_with(name, &more))
    };
    // One is truncated in the first load, the other one as a live event.
    large("first");
    let programs = list_programs();
    let start = |program| RunningConsumer::start(&fixture, program, folder.path(), &json!({}));
    let consumers: Vec<RunningConsumer> = programs.iter().map(start).collect();
    let second = large("second");
    client.patch(&format!("/Users/{second}"), &operation("replace", "title", &json!("T"))).answered(200);
    check_copies(&fixture, &consumers);
    // An event without data has the same effect.
    for consumer in &consumers {
        fixture.operator.patch(&format!("{WEBHOOKS}/{}", consumer.webhook), &json!({"payload": "thin"})).answered(200);
    }
    let user = client.created("/Users", &user_with("third", &json!({})));
    client.created("/Groups", &group("Team", &[&user, &second]));
    client.delete(&format!("/Users/{second}")).answered(204);
    check_copies(&fixture, &consumers);
}

/// An event as a webhook sends it. The version of an event of members is that of the group.
fn event(seq: u64, kind: &str, id: &str, version: u64, data: &Value) -> Value {
    json!({"seq": seq, "kind": kind, "resourceId": id, "version": version, "data": data})
}

#[test]
fn a_first_load_during_a_restore_has_the_memberships_of_the_restored_user() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new();
    let named = |name: &str| json!({"after": {"userName": name}});
    let members = |id: &str| json!({"members": [{"value": id}]});
    let first_load = |id: &str, kind: &str, version: u64, data: &Value| {
        let mut event = event(7, kind, id, version, data);
        event["backfill"] = json!(true);
        event
    };
    // The first load reads the users before "ada" is deleted and restored, and the group and its members after it. "bob" is
    // added to the group, deleted and restored before the first load reads anything, and is removed from the group meanwhile.
    let events = [
        first_load("ada", "user.created", 1, &named("ada")),
        first_load("bob", "user.created", 3, &named("bob")),
        first_load("team", "group.created", 9, &named("Team")),
        first_load("team", "group.member_added", 9, &members("ada")),
        event(8, "group.member_added", "team", 5, &members("bob")),
        event(9, "user.deleted", "bob", 2, &json!({"before": {}})),
        event(10, "user.restored", "bob", 3, &named("bob")),
        event(11, "user.deleted", "ada", 2, &json!({"before": {}})),
        event(12, "user.restored", "ada", 3, &named("ada")),
        event(13, "group.member_added", "team", 8, &members("ada")),
        event(14, "group.updated", "team", 8, &json!({"changed": ["displayName"], "after": {"displayName": "Old"}})),
    ];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for program in &list_programs() {
        let consumer = RunningConsumer::start(&fixture, program, folder.path(), &json!({}));
        for event in &events {
            let body = json!({"data": {"configurationId": "c", "events": [event]}}).to_string();
            assert_eq!(consumer.send_signed(now, &body, &body).status, 204, "{}: {event}", program.language);
        }
        let copy = consumer.load_copy();
        let expected = BTreeSet::from([("team".to_owned(), "ada".to_owned())]);
        assert_eq!(copy.memberships, expected, "{}", program.language);
        assert_eq!(copy.groups["team"], json!({"userName": "Team"}), "{}", program.language);
    }
}
