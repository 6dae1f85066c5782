//! A disk that is really full: a small file system in a mount namespace that ends with the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::app::{App, Client};
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
    let mut stored = 1;
    let full = (0..1_000).find_map(|number| {
        let reply = client.post("/Users", &user_with(&format!("u{number}"), &json!({"title": title})));
        stored += u64::from(reply.status == 201);
        (reply.status != 201).then_some(reply)
    });
    full.expect("the disk fills up").refused(507, "");
    // Reads still work, and acknowledged writes are present.
    client.get(&format!("/Users/{first}")).answered(200);
    assert_eq!(client.count("/Users"), stored);
    client.post("/Users", &user_with("again", &json!({"title": title}))).refused(507, "");
    std::fs::remove_file(&ballast).unwrap();
    let later = client.created("/Users", &user_with("later", &json!({"title": title})));
    assert_eq!(client.count("/Users"), stored + 1);
    client.get(&format!("/Users/{later}")).answered(200);
    assert_eq!(app.terminate(), Some(0));
}
