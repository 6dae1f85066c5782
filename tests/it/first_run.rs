//! The first minutes of an installation: `init`, the settings file, the setup URL, and commands that ask before they
//! delete. Each test runs the binary in a separate folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::app::{App, Request, initialize, rollcall};

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");
const PACKAGED: &str = include_str!("../../packaging/debian/rollcall.toml");
/// A user that exists on every system and owns no files.
const OTHER_USER: u32 = 65_534;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command in a folder, with the settings file of that folder.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("ROLLCALL_CONFIG").current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn fails(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn init_writes_a_settings_file_that_every_command_uses() {
    let folder = tempfile::tempdir().unwrap();
    let said = succeeds(&run(folder.path(), &["init", "--public-url", "https://scim.acme.example"]));
    assert!(said.contains("rollcall serve") && said.contains("rollcall setup-url"), "{said}");
    let (file, data) = (folder.path().join("rollcall.toml"), folder.path().join("rollcall-data"));
    assert_eq!((mode(&file), mode(&data), mode(&data.join("rollcall.db"))), (0o600, 0o700, 0o600));
    // The path is absolute: the file works from any folder.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = ["--config", file.to_str().unwrap()];
    for arguments in [&["configuration", "create", "--account", "acme"][..], &["check"], &["configuration", "list"]] {
        succeeds(&run(elsewhere.path(), &[arguments, &config].concat()));
    }
    let url = succeeds(&run(elsewhere.path(), &[&["setup-url"][..], &config].concat()));
    assert!(url.starts_with("https://scim.acme.example/setup/"), "{url}");
    let listed = succeeds(&run(folder.path(), &["config", "show"]));
    assert!(listed.starts_with("settings file: ./rollcall.toml\n"), "{listed}");
    assert!(succeeds(&run(folder.path(), &["config", "check"])).contains("./rollcall.toml"));
}

#[test]
fn init_does_not_replace_a_settings_file_without_force_and_never_a_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rollcall.toml"), "# mine\n").unwrap();
    let said = fails(&run(folder.path(), &["init"]));
    assert!(said.contains("already exists") && said.contains("--force"), "{said}");
    assert!(!folder.path().join("rollcall-data").exists());
    succeeds(&run(folder.path(), &["init", "--force"]));
    succeeds(&run(folder.path(), &["configuration", "create", "--account", "acme"]));
    succeeds(&run(folder.path(), &["init", "--force"]));
    assert!(succeeds(&run(folder.path(), &["configuration", "list"])).contains("acme"));
}

#[test]
fn the_settings_file_of_the_package_is_that_of_init_with_two_folders() {
    let folder = tempfile::tempdir().unwrap();
    let backups = ["init", "--backup-dir", "backups"];
    succeeds(&run(folder.path(), &backups));
    let path = folder.path().canonicalize().unwrap();
    let written = fs::read_to_string(path.join("rollcall.toml")).unwrap();
    let folders = [("rollcall-data", "/var/lib/rollcall"), ("backups", "/var/lib/rollcall-backups")];
    let expected = folders.into_iter().fold(written, |written, (name, packaged)| {
        written.replace(&format!("{:?}", path.join(name)), &format!("{packaged:?}"))
    });
    assert_eq!(PACKAGED, expected);
}

#[test]
fn no_command_creates_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let id = "00000000-0000-7000-8000-000000000000";
    fs::write(folder.path().join("copy.db"), "").unwrap();
    for arguments in [
        &["configuration", "create", "--account", "acme"][..],
        &["configuration", "list"],
        &["configuration", "delete", id, "--yes"],
        &["api-key", "create", "--name", "x"],
        &["webhook", "create", "--url", "https://hook.example.com/"],
        &["admin", "create", "--email", "a@x.example", "--role", "owner"],
        &["setup-url"],
        &["token", "rotate", id],
        &["backup", "new.db"],
        &["restore", "copy.db"],
        &["check"],
        &["accept-loss", "--yes"],
        &["doctor"],
        &["quota", "show", "--account", "acme"],
    ] {
        let said = fails(&run(folder.path(), &[arguments, &["--config", "/dev/null"]].concat()));
        assert!(said.contains("no database in ./rollcall-data"), "{arguments:?}: {said}");
        assert!(said.contains("(default)") && said.contains("settings file: none"), "{arguments:?}: {said}");
        assert!(said.contains("rollcall init"), "{arguments:?}: {said}");
        assert!(!folder.path().join("rollcall-data").exists(), "{arguments:?}");
    }
    assert!(!folder.path().join("new.db").exists());
}

#[test]
fn health_uses_the_listen_address_and_the_domains_of_the_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(&folder.path().join("data"));
    let toml = format!("listen = \"{}\"\ndomain = [\"a.example\", \"b.example\"]\n", app.address);
    fs::write(folder.path().join("rollcall.toml"), toml).unwrap();
    assert_eq!(succeeds(&run(folder.path(), &["health"])), "ready\n");
}

/// Standard output of a server until it listens and has said how to set up the portal.
fn start_and_read(data: &Path) -> String {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    for line in std::io::BufRead::lines(output) {
        said.push_str(&line.unwrap());
        said.push('\n');
        if said.contains("setup") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn a_setup_url_stays_valid_after_a_restart_until_a_new_one_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let said = start_and_read(folder.path());
    let path = said.lines().find_map(|line| line.split_once("/setup/")).map(|(_, code)| format!("/setup/{code}"));
    let path = path.unwrap_or_else(|| panic!("{said}"));
    let said = start_and_read(folder.path());
    assert!(said.contains("printed before is valid until") && !said.contains("/setup/"), "{said}");
    let app = App::start(folder.path());
    assert!(text(&Request::new(app.address, "GET", &path).send().answered(200).answer.body).contains("owner account"));
    let output = app.rollcall(&["setup-url"]);
    let next = succeeds(&output);
    assert!(text(&output.stderr).contains("printed before has ended"), "{output:?}");
    Request::new(app.address, "GET", &path).send().answered(404);
    let next = format!("/setup/{}", next.trim().rsplit('/').next().unwrap());
    Request::new(app.address, "GET", &next).send().answered(200);
}

#[test]
fn the_first_page_without_an_admin_says_what_to_do_and_has_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let first = Request::new(app.address, "GET", "/").send();
    assert!([200, 303].contains(&first.status), "{}", first.status);
    let reply = Request::new(app.address, "GET", "/login?next=/").send().answered(200);
    let page = text(&reply.answer.body);
    assert!(page.contains("Set up Rollcall") && page.contains("rollcall setup-url"), "{page}");
    assert!(!page.contains("/setup/") && !page.contains("type=\"password\""), "{page}");
}

#[test]
fn an_admin_needs_a_role_and_the_error_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    initialize(folder.path());
    let output = rollcall(folder.path(), &["admin", "create", "--email", "ada@x.example"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(["--role", "owner", "provisioning-manager", "viewer"].iter().all(|role| said.contains(role)), "{said}");
    assert!(!text(&rollcall(folder.path(), &["admin", "list"]).stdout).contains("ada"));
}

#[test]
fn the_log_has_no_lines_of_the_framework() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut app = App::start_in(&folder.path().join("data"), &[], &[], &log);
    app.configuration("other").get("/Users").answered(200);
    assert_eq!(app.terminate(), Some(0));
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.lines().count() > 0 && !said.to_lowercase().contains("actix"), "{said}");
    assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "not on a terminal: {said}");
}

/// Runs a command on a terminal, types `typed`, and returns the exit code and what the terminal displays.
fn run_on_terminal(data: &Path, arguments: &str, typed: &str) -> (Option<i32>, String) {
    let line = format!("{BINARY} {arguments} --config /dev/null --data-dir {}", data.display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    input.flush().unwrap();
    let output = child.wait_with_output().unwrap();
    drop(input);
    (output.status.code(), text(&output.stdout))
}

#[test]
fn a_command_that_deletes_asks_on_a_terminal_and_needs_yes_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    initialize(&data);
    let made = succeeds(&rollcall(&data, &["configuration", "create", "--account", "acme", "--output", "json"]));
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    let delete = ["configuration", "delete", id, "--purge"];
    let said = fails(&rollcall(&data, &delete));
    assert!(said.contains("--yes") && said.contains(id) && said.contains("nothing was changed"), "{said}");
    let (code, said) = run_on_terminal(&data, &delete.join(" "), "n\n");
    assert!(code == Some(1) && said.contains("[y/N]") && said.contains("not confirmed"), "{code:?}: {said}");
    assert!(succeeds(&rollcall(&data, &["configuration", "list"])).contains(id));
    let (code, said) = run_on_terminal(&data, &delete.join(" "), "y\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(!succeeds(&rollcall(&data, &["configuration", "list"])).contains(id));
}

#[test]
fn every_command_that_deletes_or_revokes_is_refused_without_yes() {
    let folder = tempfile::tempdir().unwrap();
    initialize(folder.path());
    let id = "00000000-0000-7000-8000-000000000000";
    for arguments in [
        &["configuration", "delete", id][..],
        &["token", "revoke", id, id],
        &["oauth-client", "delete", id, id],
        &["oauth-client", "delete-secret", id, id, id],
        &["personal-data", "erase", "--account", "acme", "--email", "a@x.example"],
        &["schema", "delete", id, "urn:x:y", "--purge"],
        &["api-key", "revoke", id],
        &["webhook", "delete", id],
        &["accept-loss"],
    ] {
        let said = fails(&rollcall(folder.path(), arguments));
        assert!(said.contains("confirm it with --yes"), "{arguments:?}: {said}");
    }
    // A restore over a database.
    let copy = folder.path().with_extension("copy");
    let copy_path = copy.to_str().unwrap();
    succeeds(&rollcall(folder.path(), &["backup", copy_path]));
    let said = fails(&rollcall(folder.path(), &["restore", copy_path]));
    assert!(said.contains("--force"), "{said}");
    let (code, said) = run_on_terminal(folder.path(), &format!("restore {copy_path}"), "y\n");
    assert!(code == Some(0) && said.contains("[y/N]"), "{code:?}: {said}");
    succeeds(&rollcall(folder.path(), &["restore", copy_path, "--yes"]));
    fs::remove_file(copy).unwrap();
}

#[test]
fn an_address_that_cannot_be_used_is_reported_once_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(&folder.path().join("one"));
    let address = app.address.to_string();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config", "/dev/null", "--listen", &address, "--data-dir"]).arg(folder.path().join("two"));
    let said = fails(&command.stdin(Stdio::null()).output().unwrap());
    let expected = format!("rollcall: could not listen on {address}: the address is in use");
    let line = said.lines().find(|line| line.starts_with("rollcall: ")).unwrap_or_default();
    assert!(line.starts_with(&expected) && !line.contains("os error"), "{said}");
}

#[test]
fn an_error_of_the_system_is_reported_once_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not-a-folder");
    fs::write(&path, "").unwrap();
    let data = path.join("data");
    let said = fails(&rollcall(&data, &["serve", "--listen", "127.0.0.1:0"]));
    let line = said.lines().find(|line| line.starts_with("rollcall: ")).unwrap_or_default();
    assert!(line.contains(data.to_str().unwrap()), "{said}");
    assert_eq!(line.matches("os error").count(), 1, "{said}");
}

#[test]
fn the_documents_are_in_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let listed = succeeds(&run(folder.path(), &["docs"]));
    assert!(listed.lines().any(|line| line.starts_with("https ")), "{listed}");
    let printed = succeeds(&run(folder.path(), &["docs", "https"]));
    assert_eq!(printed.trim(), include_str!("../../docs/https.md").trim());
    let said = fails(&run(folder.path(), &["docs", "bakcup"]));
    assert!(said.contains("did you mean backup?"), "{said}");
    // The portal has a page for each, also without a session.
    let page = |path: &str| text(&Request::new(App::shared().address, "GET", path).send().answered(200).answer.body);
    assert!(page("/docs").contains("href=\"/docs/settings\""));
    assert!(page("/docs/install").contains("href=\"/docs/settings#the-data-folder\""));
    assert!(page("/docs/settings").contains("<h2 id=\"the-data-folder\">"));
}

#[test]
fn root_uses_the_rights_of_the_owner_of_the_data_folder() {
    // A folder that the other user may open.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        eprintln!("skipped: only root can give a folder to another user");
        return;
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    let settings = folder.path().join("rollcall.toml");
    let config = ["--config", settings.to_str().unwrap()];
    succeeds(&rollcall(&data, &[&["init"][..], &config].concat()));
    let written = fs::metadata(&settings).unwrap();
    assert_eq!((written.uid(), written.gid(), written.mode() & 0o777), (0, OTHER_USER, 0o640));
    let mut app = App::start(&data);
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let ids = format!("Uid:\t{OTHER_USER}\t{OTHER_USER}\t{OTHER_USER}\t{OTHER_USER}");
    assert!(status.contains(&ids), "{status}");
    app.configuration("other").get("/Users").answered(200);
    assert_eq!(app.terminate(), Some(0));
    succeeds(&rollcall(&data, &["webhook", "create", "--url", "https://hook.example.com/"]));
    succeeds(&rollcall(&data, &["check"]));
    for entry in fs::read_dir(&data).unwrap() {
        let (path, found) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER_USER, OTHER_USER), "{path:?}");
    }
    // A file that only root can read.
    let schema = folder.path().join("schema.json");
    fs::write(&schema, "{}").unwrap();
    fs::set_permissions(&schema, fs::Permissions::from_mode(0o600)).unwrap();
    let id = "00000000-0000-7000-8000-000000000000";
    let said = fails(&rollcall(&data, &["schema", "add", id, schema.to_str().unwrap()]));
    assert!(said.contains("with the rights of") && said.contains(schema.to_str().unwrap()), "{said}");
}
