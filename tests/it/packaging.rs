//! Features for packages and service managers.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::app::{App, rollcall};

const UNIT: &str = include_str!("../../packaging/rollcall.service");
const DEFAULTS: &str = include_str!("../../packaging/debian/rollcall.default");
const SETTINGS: &str = include_str!("../../packaging/debian/rollcall.toml");

fn output(arguments: &[&str]) -> String {
    let output = rollcall(Path::new("nowhere"), arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_service_manager_is_notified_of_ready_watchdog_and_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let address = directory.path().join("notify");
    let socket = UnixDatagram::bind(&address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let environment = [("NOTIFY_SOCKET", address.to_str().unwrap()), ("WATCHDOG_USEC", "600000")];
    let mut app = App::start_in(&directory.path().join("data"), &[], &environment, &directory.path().join("log"));
    let heard = |message: &str| {
        let mut all = String::new();
        while !all.contains(message) {
            let mut buffer = [0; 1024];
            let length = socket.recv(&mut buffer).unwrap_or_else(|why| panic!("no {message} in {all:?}: {why}"));
            all.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        all
    };
    assert!(heard("READY=1").contains(&app.address.to_string()));
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    assert_eq!(app.terminate(), Some(0));
    heard("STOPPING=1");
}

#[test]
fn a_server_stopped_immediately_after_the_start_exits_with_zero() {
    // T71
    let data = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        assert_eq!(App::start(data.path()).terminate(), Some(0));
    }
}

#[test]
fn health_distinguishes_a_running_server_from_a_stopped_one() {
    let directory = tempfile::tempdir().unwrap();
    let app = App::start(directory.path());
    let (url, listen) = (format!("http://{}", app.address), app.address.to_string());
    assert_eq!(output(&["health", "--url", &url]), "ready\n");
    assert_eq!(output(&["health", "--listen", &listen]), "ready\n");
    drop(app);
    let gone = rollcall(directory.path(), &["health", "--url", &url]);
    assert_eq!(gone.status.code(), Some(1));
    let expected = format!(
        "rollcall: {url}/readyz does not answer: Connection refused (os error 111). Start the server, or name its address with --url or --listen\n"
    );
    assert_eq!(String::from_utf8_lossy(&gone.stderr), expected);
    let unknown = rollcall(directory.path(), &["health", "--url", "http://host.invalid:1"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(1) && said.matches("host.invalid").count() == 1, "{said}");
    assert!(["request", "client error", "connect error"].iter().all(|part| !said.contains(part)), "{said}");
}

#[test]
fn every_shell_completes_the_commands_and_the_manual_has_a_page_for_each() {
    let help = output(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = output(&["completions", shell]);
        let absent: Vec<&&str> = commands.iter().filter(|command| !script.contains(**command)).collect();
        assert!(absent.is_empty(), "{shell}: {absent:?}");
    }
    assert!(output(&["man"]).contains(".SH SUBCOMMANDS"));
    let pages = tempfile::tempdir().unwrap();
    output(&["man", "--out", pages.path().to_str().unwrap()]);
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = std::fs::read_to_string(pages.path().join(format!("rollcall-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
}

#[test]
fn the_settings_of_the_package_are_in_one_file_and_valid() {
    let set = UNIT.lines().chain(DEFAULTS.lines()).find(|line| line.contains("ROLLCALL_") && line.contains('='));
    assert_eq!(set, None, "a variable overrides the settings file for the service, but not for commands");
    // Every line of the file is a setting or a comment, and the commented settings are valid together.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollcall.toml");
    let is_setting = |line: &&str| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
    assert!(SETTINGS.lines().filter(is_setting).count() > 5);
    let of_one_way = |line: &str| !["#domain", "#acme_email"].iter().any(|key| line.starts_with(key));
    let enabled = SETTINGS.lines().filter(|line| of_one_way(line));
    let enabled: String =
        enabled.map(|line| if is_setting(&line) { &line[1..] } else { line }).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&file, enabled).unwrap();
    let checked = rollcall(Path::new("nowhere"), &["config", "check", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The version that the build script sets in this folder.
fn run_build_script(script: &Path, folder: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(script);
    command.current_dir(folder).env_remove("ROLLCALL_VERSION").envs([("CARGO_PKG_VERSION", "0.3.0")]);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let version = printed.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=PROGRAM_VERSION="));
    version.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

#[test]
fn the_version_of_a_release_build_is_the_tag_or_grows_with_each_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (script, checkout) = (folder.path().join("script"), folder.path().join("checkout"));
    let source = folder.path().join("script.rs");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/version.rs");
    let is_release = r#"std::env::var("PROFILE").is_ok_and(|profile| profile == "release")"#;
    let main = format!("#[path = {module:?}] mod version;\nfn main() {{ version::set_version({is_release}); }}\n");
    std::fs::write(&source, main).unwrap();
    let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let compiled = compiler.args(["--edition", "2024", "-o"]).arg(&script).arg(&source).status().unwrap();
    assert!(compiled.success());
    std::fs::create_dir(&checkout).unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=tests", "-c", "user.email=tests@rollcall.invalid", "-C"];
        let mut command = Command::new("git");
        command.args(identity).arg(&checkout).args(arguments).env("GIT_COMMITTER_DATE", "2026-11-30T23:30:00-02:00");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let release = [("PROFILE", "release")];
    assert_eq!(run_build_script(&script, &checkout, &release), "0.3.0", "without a checkout");
    git(&["init", "--quiet"]);
    let mut versions = Vec::new();
    for round in ["one", "two"] {
        git(&["commit", "--quiet", "--allow-empty", "--message", round]);
        versions.push(run_build_script(&script, &checkout, &release));
    }
    // The date is that of the commit in UTC.
    assert!(versions[0].starts_with("0.3.0~git20261201.1.") && versions[1].starts_with("0.3.0~git20261201.2."));
    // The first tag can have the version of Cargo.toml.
    git(&["tag", "v0.3.0"]);
    assert_eq!(run_build_script(&script, &checkout, &release), "0.3.0");
    versions.push("0.3.0".to_owned());
    git(&["commit", "--quiet", "--allow-empty", "--message", "three"]);
    versions.push(run_build_script(&script, &checkout, &release));
    assert!(versions[3].starts_with("0.3.0+git20261201.3."), "{versions:?}");
    git(&["commit", "--quiet", "--allow-empty", "--message", "four"]);
    git(&["tag", "v0.4.0"]);
    versions.push(run_build_script(&script, &checkout, &release));
    assert_eq!(versions[4], "0.4.0");
    for pair in versions.windows(2) {
        // Without dpkg, the order cannot be checked here; the test of the package does.
        let compared = Command::new("dpkg").args(["--compare-versions", &pair[0], "lt", &pair[1]]).status();
        assert!(compared.is_err() || compared.is_ok_and(|status| status.success()), "{pair:?}");
    }
    // A build for tests does not depend on the commit, and a build from an archive has the given version.
    assert_eq!(run_build_script(&script, &checkout, &[("PROFILE", "debug")]), "0.3.0");
    let given = [("PROFILE", "release"), ("ROLLCALL_VERSION", "0.5.0")];
    assert_eq!(run_build_script(&script, &checkout, &given), "0.5.0");
}
