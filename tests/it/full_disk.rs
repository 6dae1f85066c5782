//! A disk that is really full: a small file system in a mount namespace that ends with the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::app::{App, Client, Request, wait_until};
use crate::sample::{user, user_with};

/// Runs a command with a file system of 12 MiB on the folder, which only that command sees.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=12m,mode=0700 none "$1" || exit 1; shift; exec "$@""#;

/// Whether the test may mount a file system on this machine.
fn can_mount(folder: &Path) -> bool {
    let tried =
        Command::new("unshare").args(["-m", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(folder).arg("true").output();
    tried.is_ok_and(|output| output.status.success())
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
    let mount = tempfile::tempdir().unwrap();
    if !can_mount(mount.path()) {
        println!("skipped: this machine does not let the test mount a file system");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(mount.path());
    let data = mount.path().join("data");
    let mut app = App::start_through(command, &data);
    let client = configuration(&app, &data);
    let first = client.created("/Users", &user("first"));
    let ballast = seen_by(&app, &mount.path().join("ballast"));
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
    // Deletions use the reserve.
    for user in &users[..5] {
        client.delete(&format!("/Users/{user}")).answered(204);
        stored -= 1;
    }
    std::fs::remove_file(&ballast).unwrap();
    wait_until("the disk has space", || readiness().status == 200);
    let later = client.created("/Users", &user_with("later", &json!({"title": title})));
    assert_eq!(client.count("/Users"), stored + 1);
    client.get(&format!("/Users/{later}")).answered(200);
    assert_eq!(app.terminate(), Some(0));
}

/// Lets the server start only after the disk was filled to the last byte, as at a restart on a full disk.
const ON_A_FILLED_DISK: &str = r#"mount -t tmpfs -o size=24m,mode=0700 none "$1" || exit 1
cp -a "$2" "$1/data"; cat /dev/zero > "$1/ballast" 2>/dev/null; shift 2; exec "$@""#;

#[test]
fn a_start_on_a_full_disk_serves_reads_and_deletions() {
    let mount = tempfile::tempdir().unwrap();
    if !can_mount(mount.path()) {
        println!("skipped: this machine does not let the test mount a file system");
        return;
    }
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
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", ON_A_FILLED_DISK, "sh"]).arg(mount.path()).arg(earlier.path());
    let app = App::start_through(command, &mount.path().join("data"));
    let client = client.at(app.address);
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    assert!(String::from_utf8_lossy(&readiness().answer.body).contains("disk_full"));
    client.get(&format!("/Users/{}", users[0])).answered(200);
    client.post("/Users", &user("refused")).refused(507, "");
    for user in &users {
        client.delete(&format!("/Users/{user}")).answered(204);
    }
    assert_eq!(client.count("/Users"), 0);
    std::fs::remove_file(seen_by(&app, &mount.path().join("ballast"))).unwrap();
    wait_until("the disk has space", || readiness().status == 200);
    client.created("/Users", &user("after"));
}
