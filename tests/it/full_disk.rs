//! A disk that is really full: a small file system in a mount namespace that ends with the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::app::{App, Client, Request, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::Browser;
use crate::sample::{group, operation, removal, user, user_with};

const BADGE: &str = "urn:example:params:scim:schemas:Badge:1.0:User";
const KEYS: &str = "/directory/resources/v1/api-keys";
/// Runs a command with a file system of 12 MiB on the folder, which only that command sees.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=12m,mode=0700 none "$1" || exit 1; shift; exec "$@""#;

/// Lets the server start only after the disk was filled to the last byte, as at a restart on a full disk.
const ON_A_FILLED_DISK: &str = r#"mount -t tmpfs -o size=24m,mode=0700 none "$1" || exit 1
cp -a "$2" "$1/data"; cat /dev/zero > "$1/ballast" 2>/dev/null; shift 2; exec "$@""#;

/// The same, and copies the data of the server to a folder after its end.
const ON_A_FILLED_DISK_THEN_COPY: &str = r#"mount -t tmpfs -o size=24m,mode=0700 none "$1" || exit 1
data="$1/data"; out="$3"; cp -a "$2" "$data"; cat /dev/zero > "$1/ballast" 2>/dev/null; shift 3
"$@"; code=$?; cp -a "$data" "$out"; exit $code"#;

/// Like [`ON_A_FILLED_DISK`], but 2 MiB are free, and the reserve of 3 MiB is not there: it was released before.
const ON_A_DISK_WITH_A_REST: &str = r#"mount -t tmpfs -o size=24m,mode=0700 none "$1" || exit 1
cp -a "$2" "$1/data"; rm -f "$1/data/rollcall.reserve"; dd if=/dev/zero of="$1/rest" bs=1M count=2 2>/dev/null
cat /dev/zero > "$1/ballast" 2>/dev/null; rm "$1/rest"; shift 2; exec "$@""#;

/// Like [`ON_A_FILLED_DISK`], without the reserve: another program has used it.
const ON_A_DISK_WITHOUT_A_BYTE: &str = r#"mount -t tmpfs -o size=24m,mode=0700 none "$1" || exit 1
cp -a "$2" "$1/data"; rm -f "$1/data/rollcall.reserve"; cat /dev/zero > "$1/ballast" 2>/dev/null; shift 2; exec "$@""#;

/// The folder of a small file system, which exists as long as the command that mounts it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Returns `None`, and says so, if this machine does not let the test mount a file system.
    fn find() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let tried = disk.command(ON_A_SMALL_DISK, &[]).arg("true").output();
        if tried.is_ok_and(|output| output.status.success()) {
            return Some(disk);
        }
        println!("skipped: this machine does not let the test mount a file system");
        None
    }

    /// A command that one of the scripts runs. `folders` are its further arguments.
    fn command(&self, script: &str, folders: &[&Path]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(self.0.path()).args(folders);
        command
    }

    fn start(&self, script: &str, folders: &[&Path]) -> App {
        App::start_through(self.command(script, folders), &self.data())
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

/// The path as the server sees it.
fn seen_by(app: &App, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{}/root", app.pid())).join(path.strip_prefix("/").unwrap())
}

fn configuration(app: &App, data: &Path) -> Client {
    let mut command = Command::new("nsenter");
    command.args(["-m", "-t", &app.pid().to_string(), env!("CARGO_BIN_EXE_rollcall")]);
    command.args(["configuration", "create", "--account", "full", "--output", "json", "--data-dir"]).arg(data);
    let output = command.output().unwrap();
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let base = format!("/directory/resources/scim/v2.0/{}", text("id"));
    Client { address: app.address, id: text("id"), token: text("token"), base, url: text("provisioningUrl") }
}

#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    // T63
    let Some(disk) = SmallDisk::find() else { return };
    let mut app = disk.start(ON_A_SMALL_DISK, &[]);
    let client = configuration(&app, &disk.data());
    let first = client.created("/Users", &user("first"));
    let ballast = seen_by(&app, &disk.ballast());
    std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let title = "x".repeat(60_000);
    let (mut stored, mut users) = (1, Vec::new());
    let full = (0..1_000).find_map(|number| {
        let reply = client.post("/Users", &user_with(&format!("u{number}"), &json!({"title": title})));
        if reply.status == 201 {
            stored += 1;
            users.push(reply.id());
            return None;
        }
        Some(reply)
    });
    full.expect("the disk fills up").refused(507, "");
    // Reads still work, and acknowledged writes are present.
    client.get(&format!("/Users/{first}")).answered(200);
    assert_eq!(client.count("/Users"), stored);
    let again = client.post("/Users", &user_with("again", &json!({"title": title}))).refused(507, "");
    assert!(!again.header("retry-after").is_empty());
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    assert!(String::from_utf8_lossy(&readiness().answer.body).contains("disk_full"));
    // Deletions use the reserve, and other writes must not use what is left of it.
    for victim in &users[..5] {
        client.post("/Users", &user("eats the reserve")).refused(507, "");
        client.delete(&format!("/Users/{victim}")).answered(204);
        stored -= 1;
    }
    std::fs::remove_file(&ballast).unwrap();
    wait_until("the disk has space", || readiness().status == 200);
    let later = client.created("/Users", &user_with("later", &json!({"title": title})));
    assert_eq!(client.count("/Users"), stored + 1);
    client.get(&format!("/Users/{later}")).answered(200);
    assert_eq!(app.terminate(), Some(0));
}

#[test]
fn a_deletion_that_finds_the_disk_full_runs_again_with_the_reserve() {
    let Some(disk) = SmallDisk::find() else { return };
    let app = disk.start(ON_A_SMALL_DISK, &[]);
    let client = configuration(&app, &disk.data());
    let users: Vec<String> = (0..20).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    wait_until("there is a reserve", || seen_by(&app, &disk.data().join("rollcall.reserve")).exists());
    let mut ballast = std::fs::File::create(seen_by(&app, &disk.ballast())).unwrap();
    while std::io::Write::write_all(&mut ballast, &[0; 4_096]).is_ok() {}
    for user in &users {
        client.delete(&format!("/Users/{user}")).answered(204);
    }
    assert_eq!(client.count("/Users"), 0);
}

#[test]
fn a_start_on_a_full_disk_serves_reads_and_deletions() {
    let Some(disk) = SmallDisk::find() else { return };
    let earlier = tempfile::tempdir().unwrap();
    let mut app = App::start(earlier.path());
    let client = app.configuration("other");
    let users: Vec<String> = (0..10).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    app.terminate();
    let reserve = earlier.path().join("rollcall.reserve");
    assert!(reserve.metadata().unwrap().len() >= 1 << 20, "there is a reserve");
    // The small disk has a small one.
    std::fs::File::options().write(true).open(&reserve).unwrap().set_len(0).unwrap();
    std::fs::write(&reserve, vec![0; 3 << 20]).unwrap();
    let app = disk.start(ON_A_FILLED_DISK, &[earlier.path()]);
    let client = client.at(app.address);
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    assert!(String::from_utf8_lossy(&readiness().answer.body).contains("disk_full"));
    client.get(&format!("/Users/{}", users[0])).answered(200);
    client.post("/Users", &user("refused")).refused(507, "");
    for user in &users {
        client.delete(&format!("/Users/{user}")).answered(204);
    }
    assert_eq!(client.count("/Users"), 0);
    std::fs::remove_file(seen_by(&app, &disk.ballast())).unwrap();
    wait_until("the disk has space", || readiness().status == 200);
    client.created("/Users", &user("after"));
}

/// The answers to deletions on a disk without a free byte: each is done, or says that the disk is full.
fn check_deletions(client: &Client, users: &[String]) {
    for user in users {
        let reply = client.delete(&format!("/Users/{user}"));
        assert!(reply.status == 204 || reply.status == 507, "{}: {:?}", reply.status, reply.json);
        if reply.status == 507 {
            assert!(reply.json["detail"].as_str().unwrap().contains("disk of the server is full"), "{:?}", reply.json);
        }
    }
}

#[test]
fn without_a_free_byte_and_without_the_reserve_the_server_starts_and_serves_reads() {
    let Some(disk) = SmallDisk::find() else { return };
    let earlier = tempfile::tempdir().unwrap();
    let app = App::start(earlier.path());
    let client = app.configuration("other");
    let users: Vec<String> = (0..10).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    // The log and its index are there, so that nothing must be created to open the database.
    app.kill();
    let app = disk.start(ON_A_DISK_WITHOUT_A_BYTE, &[earlier.path()]);
    let client = client.at(app.address);
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    assert!(String::from_utf8_lossy(&readiness().answer.body).contains("disk_full"));
    client.get(&format!("/Users/{}", users[0])).answered(200);
    client.post("/Users", &user("refused")).refused(507, "");
    check_deletions(&client, &users[..5]);
    let left = client.count("/Users");
    std::fs::remove_file(seen_by(&app, &disk.ballast())).unwrap();
    wait_until("the disk has space", || readiness().status == 200);
    client.created("/Users", &user("after"));
    assert_eq!(client.count("/Users"), left + 1);
}

#[test]
fn deletions_after_others_took_the_freed_reserve_are_done_or_say_that_the_disk_is_full() {
    let Some(disk) = SmallDisk::find() else { return };
    let app = disk.start(ON_A_SMALL_DISK, &[]);
    let client = configuration(&app, &disk.data());
    let title = "x".repeat(20_000);
    let make = |number: usize| client.created("/Users", &user_with(&format!("u{number}"), &json!({"title": title})));
    let users: Vec<String> = (0..60).map(make).collect();
    let reserve = seen_by(&app, &disk.data().join("rollcall.reserve"));
    wait_until("there is a reserve", || reserve.exists());
    let mut ballast = std::fs::File::create(seen_by(&app, &disk.ballast())).unwrap();
    let mut fill = || while std::io::Write::write_all(&mut ballast, &[0; 4_096]).is_ok() {};
    for part in users.chunks(6) {
        fill();
        check_deletions(&client, part);
    }
    assert!(!reserve.exists());
    let doctor = run_doctor(&app, &disk.data());
    assert!(doctor.contains("disk_full") && doctor.contains(disk.data().to_str().unwrap()), "{doctor}");
    ballast.set_len(0).unwrap();
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    wait_until("the disk has space", || readiness().status == 200);
    client.created("/Users", &user("after"));
}

fn run_doctor(app: &App, data: &Path) -> String {
    let mut command = Command::new("nsenter");
    command
        .args(["-m", "-t", &app.pid().to_string(), env!("CARGO_BIN_EXE_rollcall"), "doctor", "--data-dir"])
        .arg(data);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn after_a_restart_the_rest_of_the_reserve_is_for_writes_that_free_space_or_end_a_right() {
    let Some(disk) = SmallDisk::find() else { return };
    let earlier = tempfile::tempdir().unwrap();
    let mut app = App::start(earlier.path());
    let (client, operator) = (app.configuration("other"), app.operator());
    let users: Vec<String> = (0..3).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let team = client.created("/Groups", &group("Team", &[&users[1], &users[2]]));
    let base = format!("{CONFIGURATIONS}/{}", client.id);
    let attribute = json!({"name": "badge", "type": "string", "multiValued": false, "required": false});
    let schema = json!({"id": BADGE, "name": "Badge", "attributes": [attribute]});
    operator.post(&format!("{base}/schemas"), &json!({"resourceType": "User", "schema": schema})).answered(201);
    let links = format!("{base}/links");
    let link = operator.post(&links, &json!({"provider": "okta"})).answered(201).text("id");
    let key = operator.post(KEYS, &json!({"name": "one"})).answered(201).text("clientId");
    let token = operator.get(&format!("{base}/tokens")).answered(200).json;
    let token = token["items"][0]["id"].as_str().unwrap().to_owned();
    let mut owner = Browser::owner(&app);
    let other = Browser::owner(&app).email;
    let admins = owner.get("/settings/people");
    let row = admins.text.split("<tr>").find(|row| row.contains(&other)).unwrap();
    let page = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    app.terminate();
    let app = disk.start(ON_A_DISK_WITH_A_REST, &[earlier.path()]);
    let (client, operator) = (client.at(app.address), Caller { address: app.address, ..operator });
    let set_active = |active: bool| {
        let change = operation("replace", "active", &json!(active));
        client.patch(&format!("/Users/{}", users[1]), &change).status
    };
    // Nothing changes, the user is deactivated, and it is not activated again.
    assert!(set_active(true) < 300 && set_active(false) < 300 && set_active(true) == 507);
    let change_members = |change: &Value| client.patch(&format!("/Groups/{team}"), change).status;
    assert_eq!(change_members(&operation("add", "members", &json!([{"value": users[0]}]))), 507);
    assert_eq!(change_members(&removal(&format!("members[value eq \"{}\"]", users[1]))), 200);
    assert_eq!(change_members(&operation("remove", "members", &json!([{"value": users[2]}]))), 200);
    assert_eq!(change_members(&operation("add", "members", &json!([{"value": users[2]}]))), 507);
    let url = format!("{base}/tokens/{token}");
    let expire = |hours: u64| {
        let end = jiff::Timestamp::now() + std::time::Duration::from_hours(hours);
        operator.request("PATCH", &url).json(&json!({"expiresAt": end.to_string()})).send().status
    };
    assert!(expire(20) < 300 && expire(10) < 300 && expire(30) == 507);
    let sign_in_as = |email: &str| {
        let mut browser = Browser::anonymous(&app);
        email.clone_into(&mut browser.email);
        let page = browser.sign_in();
        (browser, page.status)
    };
    for number in 0..20 {
        client.post("/Users", &user(&format!("refused{number}"))).refused(507, "");
    }
    assert_eq!(operator.post(&links, &json!({"provider": "okta"})).status, 507);
    client.delete(&format!("/Users/{}", users[0])).answered(204);
    for path in [format!("{base}/schemas/{BADGE}"), format!("{links}/{link}"), format!("{KEYS}/{key}")] {
        operator.delete(&path).answered(204);
    }
    let (mut owner, status) = sign_in_as(&owner.email);
    assert_eq!(status, 200);
    owner.submit(&format!("{page}/active"), &[("active", "off")]).answered(200);
    assert_eq!(sign_in_as(&other).1, 401);
    owner.submit("/logout", &[]).answered(200);
    operator.delete(&format!("{base}/tokens/{token}")).answered(204);
    assert_eq!(client.get("/Users").status, 401);
}

#[test]
fn an_upgrade_on_a_full_disk_is_refused_with_the_space_it_needs_and_changes_nothing() {
    let Some(disk) = SmallDisk::find() else { return };
    let old = crate::upgrade::old_data("");
    // The database is not the file of the disk, so what the server leaves is copied out after its end.
    let left = tempfile::tempdir().unwrap();
    let mut command = disk.command(ON_A_FILLED_DISK_THEN_COPY, &[old.path(), left.path()]);
    command.arg(env!("CARGO_BIN_EXE_rollcall")).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let output = command.arg(disk.data()).output().unwrap();
    let (said, path) = (String::from_utf8_lossy(&output.stderr), disk.data().join("rollcall.db"));
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("{} must be upgraded, which needs ", path.display())), "{said}");
    assert!(said.contains(" bytes of free space") && said.contains(" bytes are free"), "{said}");
    // On a disk with space the same files are upgraded.
    let data = left.path().join("data");
    let names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("before-v")), "{names:?}");
    let app = App::start(&data);
    assert_eq!(crate::upgrade::client(&app).count("/Users"), 3);
}
