//! Settings: a flag overrides a variable, which overrides a secret's file, `rollcall.toml` and the default; and the
//! messages for mistakes. Each test runs the binary in a separate folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::app::App;

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");
const DOCUMENTED: &str = include_str!("../../docs/settings.md");
const EXAMPLE: &str = include_str!("../../packaging/examples/rollcall.toml");
/// Markers of the table of settings in the document.
const TABLE: [&str; 2] = ["<!-- settings -->\n", "<!-- end of settings -->"];

/// A folder with that `rollcall.toml`.
fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rollcall.toml"), toml).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.env_remove("ROLLCALL_CONFIG");
    if !folder.join("rollcall.toml").exists() {
        // That of an installed package is not part of the test.
        command.env("ROLLCALL_CONFIG", "/dev/null");
    }
    command.args(arguments).envs(environment.iter().copied()).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    said
}

fn show_settings(folder: &Path, environment: &[(&str, &str)]) -> Vec<Value> {
    let output = run(folder, &["config", "show", "--output", "json"], environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Value and origin of one setting.
#[track_caller]
fn one(folder: &Path, key: &str, environment: &[(&str, &str)]) -> (Value, String) {
    let all = show_settings(folder, environment);
    let found = all.iter().find(|setting| setting["setting"] == key).unwrap_or_else(|| panic!("{key}"));
    (found["value"].clone(), found["origin"].as_str().unwrap().to_owned())
}

#[test]
fn a_variable_overrides_the_file_and_the_file_the_default() {
    let folder = folder("# a comment\n\nbackup_keep = 3\nallowed_origin = [\"https://a.example\"]\n");
    let at = folder.path();
    assert_eq!(one(at, "backup_every", &[]), (Value::from("24h"), "default".to_owned()));
    assert_eq!(one(at, "backup_keep", &[]), (Value::from(3), "./rollcall.toml:3".to_owned()));
    assert_eq!(one(at, "allowed_origin", &[]).0, serde_json::json!(["https://a.example"]));
    let said = one(at, "backup_keep", &[("ROLLCALL_BACKUP_KEEP", "4")]);
    assert_eq!(said, (Value::from(4), "environment ROLLCALL_BACKUP_KEEP".to_owned()));
    let lists = one(at, "allowed_origin", &[("ROLLCALL_ALLOWED_ORIGIN", "https://b.example,https://c.example")]);
    assert_eq!(lists.0, serde_json::json!(["https://b.example", "https://c.example"]));
}

#[test]
fn the_server_uses_the_settings_file_and_a_flag_overrides_it() {
    let folder =
        folder("public_url = \"https://from-the-file.example\"\nlisten = \"127.0.0.1:1\"\nlog_level = \"debug\"\n");
    let data = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollcall.toml");
    // `App` sets --listen, which must override the file.
    let app = App::start_with(data.path(), &["--config", file.to_str().unwrap()]);
    let url = app.configuration("other").url;
    assert!(url.starts_with("https://from-the-file.example/"), "{url}");
    drop(app);
    let flag = ["--config", file.to_str().unwrap(), "--public-url", "https://from-the-flag.example"];
    let url = App::start_with(data.path(), &flag).configuration("other").url;
    assert!(url.starts_with("https://from-the-flag.example/"), "{url}");
}

#[test]
fn every_command_finds_the_data_folder_that_the_file_names() {
    let folder = folder("data_dir = \"data\"\n");
    // A command does not create the folder.
    let said = refused(&run(folder.path(), &["configuration", "create", "--account", "acme"], &[]));
    assert!(said.contains("data (./rollcall.toml:1)") && said.contains("rollcall init"), "{said}");
    assert!(!folder.path().join("data").exists());
    let init = ["init", "--config", "other.toml", "--data-dir", "data"];
    assert!(run(folder.path(), &init, &[]).status.success());
    let made = run(folder.path(), &["configuration", "create", "--account", "acme"], &[]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(folder.path().join("data/rollcall.db").is_file());
    for arguments in [&["check"][..], &["configuration", "list"], &["setup-url"], &["doctor"]] {
        let said = run(folder.path(), arguments, &[]);
        assert!(!String::from_utf8_lossy(&said.stderr).contains("no database"), "{arguments:?}");
    }
    // A flag overrides, before and after the name of the command.
    for arguments in [["--data-dir", "elsewhere", "check"], ["check", "--data-dir", "elsewhere"]] {
        assert!(refused(&run(folder.path(), &arguments, &[])).contains("elsewhere"));
    }
}

#[test]
fn a_mistake_is_reported_with_file_line_key_and_the_fix() {
    for (toml, line, phrases) in [
        ("\npublik_url = \"https://x.example\"", 2, &["publik_url", "did you mean public_url?"][..]),
        ("public-url = \"https://x.example\"", 1, &["public-url", "did you mean public_url?"]),
        ("ROLLCALL_BACKUP_KEEP = 3", 1, &["did you mean backup_keep?"]),
        ("[server]\nlisten = \"127.0.0.1:1\"", 1, &["server"]),
        ("backup_keep = \"3\"", 1, &["backup_keep", "without quotes"]),
        ("backup_keep = 0", 1, &["backup_keep", "1..=65535"]),
        ("backup_keep = 3.5", 1, &["backup_keep", "whole number"]),
        ("backup_every = 24", 1, &["backup_every", "30m, 24h or 7d"]),
        ("backup_every = true", 1, &["backup_every", "quotes"]),
        ("listen = 8080", 1, &["listen", "127.0.0.1:8080"]),
        ("data_dir = 5", 1, &["data_dir: write text in quotes"]),
        ("data_dir = true", 1, &["data_dir: write text in quotes"]),
        ("tls_cert = 5", 1, &["tls_cert: write text in quotes"]),
        ("user_token_issuer = 5", 1, &["user_token_issuer: write text in quotes"]),
        ("log_level = 5", 1, &["log_level: write text in quotes"]),
        ("allowed_origin = [\"https://ok.example\", \"*\"]", 1, &["allowed_origin", "scheme and a host"]),
        ("allowed_origin = [1]", 1, &["allowed_origin", "list of texts"]),
        ("log_format = \"xml\"", 1, &["log_format", "json, text"]),
        ("metrics_token = \"short\"", 1, &["metrics_token", "16"]),
        ("backup_keep = 3\nbackup_keep = 4", 2, &["TOML"]),
        ("backup_keep", 1, &["TOML"]),
    ] {
        let folder = folder(toml);
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"], &["check"]] {
            let said = refused(&run(folder.path(), command, &[]));
            assert!(said.contains(&format!("rollcall.toml line {line}")), "{toml}: {said}");
            assert!(phrases.iter().all(|phrase| said.contains(phrase)), "{toml}: {said}");
        }
    }
}

/// The settings of the documented list, each with a value of every other type.
#[test]
fn a_value_of_another_type_is_refused_for_every_setting() {
    let types =
        [("5", "Number"), ("\"x\"", "Text"), ("true", "Switch"), ("5.5", ""), ("{a = 1}", ""), ("1979-05-27", "")];
    let folder = folder("");
    for setting in show_settings(folder.path(), &[]) {
        let key = setting["setting"].as_str().unwrap();
        let accepted = match &setting["default"] {
            Value::Bool(_) => vec!["Switch"],
            Value::Number(_) => vec!["Number"],
            Value::Array(_) => vec!["Text"],
            _ if setting["placeholder"] == "NUMBER" => vec!["Number"],
            _ if setting["placeholder"].is_null() => vec!["Switch"],
            _ => vec!["Text"],
        };
        for (value, _) in types.iter().filter(|(_, name)| !accepted.contains(name)) {
            fs::write(folder.path().join("rollcall.toml"), format!("{key} = {value}\n")).unwrap();
            let said = refused(&run(folder.path(), &["config", "show"], &[]));
            assert!(said.contains(&format!("rollcall.toml line 1: {key}: ")), "{key} = {value}: {said}");
        }
    }
}

#[test]
fn an_invalid_variable_is_named_and_not_its_flag() {
    let folder = folder("");
    let rule = "write an IP address and a port, such as 127.0.0.1:8080";
    for (variable, value, parts) in [
        ("ROLLCALL_LISTEN", "8080", &["ROLLCALL_LISTEN is not valid: \"8080\": ", rule][..]),
        ("ROLLCALL_LISTEN", "", &["ROLLCALL_LISTEN is not valid: \"\": "]),
        ("ROLLCALL_BACKUP_KEEP", "0", &["ROLLCALL_BACKUP_KEEP is not valid: \"0\": ", "1..=65535"]),
        ("ROLLCALL_LOG_FORMAT", "xml", &["ROLLCALL_LOG_FORMAT is not valid: \"xml\": use json, text"]),
        ("ROLLCALL_ALLOW_PLAIN_HTTP", "maybe", &["ROLLCALL_ALLOW_PLAIN_HTTP is not valid: write true or false"]),
        ("ROLLCALL_METRICS_TOKEN", "short", &["ROLLCALL_METRICS_TOKEN is not valid: it must have at least 16"]),
    ] {
        for command in [&["serve"][..], &["config", "check"]] {
            let said = refused(&run(folder.path(), command, &[(variable, value)]));
            assert!(!said.contains("--") && !said.contains("'short'"), "{said}");
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
    // A flag is named as before, also if the variable is set.
    let output = run(folder.path(), &["health", "--listen", "8080"], &[("ROLLCALL_LISTEN", "x")]);
    assert_eq!(output.status.code(), Some(2));
    let said = refused(&output);
    assert!(said.contains("'--listen <ADDRESS:PORT>'") && said.contains(rule), "{said}");
    let output = run(folder.path(), &["health"], &[("ROLLCALL_LISTEN", "8080")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(refused(&output).contains("ROLLCALL_LISTEN is not valid"));
}

#[test]
fn settings_that_are_wrong_together_name_the_file_that_sets_them() {
    let folder = folder("user_token_issuer = \"https://id.example\"\n");
    let said = refused(&run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &[]));
    assert!(said.contains("--user-token-jwks-url") && said.contains("rollcall.toml sets user_token_issuer"), "{said}");
    assert!(refused(&run(folder.path(), &["config", "check"], &[])).contains("--user-token-jwks-url"));
}

#[test]
fn a_named_file_must_exist_and_be_writable_only_by_its_owner() {
    let folder = folder("backup_keep = 3\n");
    let said = refused(&run(folder.path(), &["--config", "missing.toml", "check"], &[]));
    assert!(said.contains("missing.toml") && said.contains("--config"), "{said}");
    let said = refused(&run(folder.path(), &["check"], &[("ROLLCALL_CONFIG", "missing.toml")]));
    assert!(said.contains("missing.toml") && said.contains("ROLLCALL_CONFIG"), "{said}");
    let file = folder.path().join("rollcall.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(refused(&run(folder.path(), &["config", "check"], &[])).contains("chmod go-w"));
}

#[test]
fn help_works_with_an_invalid_file() {
    let folder = folder("nonsense\n");
    for arguments in [&["help"][..], &["--version"], &["serve", "--help"], &["version"], &["config", "example"]] {
        assert!(run(folder.path(), arguments, &[]).status.success(), "{arguments:?}");
    }
}

const SECRET: &str = "secret-that-is-never-printed";

fn secret_file(folder: &Path, mode: u32) -> String {
    let path = folder.join("metrics-token");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_secret_comes_from_a_file_or_a_credential_and_is_never_printed() {
    let folder = folder("metrics_listen = \"127.0.0.1:0\"\n");
    let file = secret_file(folder.path(), 0o600);
    let masked = Value::from("(set, not shown)");
    let said = one(folder.path(), "metrics_token", &[("ROLLCALL_METRICS_TOKEN_FILE", &file)]);
    assert_eq!(said, (masked.clone(), file.clone()));
    let said = one(folder.path(), "metrics_token", &[("ROLLCALL_METRICS_TOKEN", SECRET)]);
    assert_eq!(said, (masked.clone(), "environment ROLLCALL_METRICS_TOKEN".to_owned()));
    let credentials = tempfile::tempdir().unwrap();
    fs::rename(&file, credentials.path().join("metrics_token")).unwrap();
    let environment = [("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())];
    assert_eq!(one(folder.path(), "metrics_token", &environment).0, masked);
    for arguments in [&["config", "show", "--origin"][..], &["config", "check"], &["serve", "--help"]] {
        let output = run(folder.path(), arguments, &[("ROLLCALL_METRICS_TOKEN", SECRET)]);
        let said = format!("{output:?}");
        assert!(output.status.success() && !said.contains(SECRET), "{said}");
    }
}

#[test]
fn a_world_readable_or_duplicate_secret_is_refused() {
    let folder = folder("metrics_listen = \"127.0.0.1:0\"\n");
    let file = secret_file(folder.path(), 0o644);
    let environment = [("ROLLCALL_METRICS_TOKEN_FILE", file.as_str())];
    let said = refused(&run(folder.path(), &["config", "check"], &environment));
    assert!(said.contains("chmod o-rwx") && said.contains("ROLLCALL_METRICS_TOKEN_FILE"), "{said}");
    secret_file(folder.path(), 0o640);
    assert!(run(folder.path(), &["config", "check"], &environment).status.success());
    let both = [environment[0], ("ROLLCALL_METRICS_TOKEN", SECRET)];
    assert!(refused(&run(folder.path(), &["config", "check"], &both)).contains("both"));
    let toml = folder.path().join("rollcall.toml");
    fs::write(&toml, format!("metrics_listen = \"127.0.0.1:0\"\nmetrics_token = \"{SECRET}\"\n")).unwrap();
    fs::set_permissions(&toml, fs::Permissions::from_mode(0o644)).unwrap();
    let said = refused(&run(folder.path(), &["config", "check"], &[]));
    assert!(said.contains("chmod o-rwx") && !said.contains(SECRET), "{said}");
    fs::set_permissions(&toml, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(run(folder.path(), &["config", "check"], &[]).status.success());
}

#[test]
fn metrics_on_a_public_address_need_a_token() {
    let folder = folder("metrics_listen = \"0.0.0.0:9090\"\n");
    let said = refused(&run(folder.path(), &["config", "check"], &[]));
    assert!(said.contains("--metrics-token") && said.contains("127.0.0.1"), "{said}");
    assert!(run(folder.path(), &["config", "check"], &[("ROLLCALL_METRICS_TOKEN", SECRET)]).status.success());
}

#[test]
fn an_unknown_variable_causes_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for (name, like) in [
        ("ROLLCALL_LISTN", "ROLLCALL_LISTEN"),
        ("ROLLCALL_BACKUPDIR", "ROLLCALL_BACKUP_DIR"),
        ("ROLLCALL_METRICS_TOKEN_FIL", "ROLLCALL_METRICS_TOKEN_FILE"),
        ("ROLLCALL_LISTEN_FILE", "ROLLCALL_LISTEN"),
    ] {
        let output = run(folder.path(), &["config", "check"], &[(name, "x")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains(name), "{said}");
        assert!(said.contains(&format!("did you mean {like}?")), "{said}");
    }
    let quiet = run(folder.path(), &["config", "check"], &[("ROLLCALL_LISTEN", "127.0.0.1:0")]);
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

/// The table of docs/settings.md, generated from the program.
fn documented() -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("| key | flag | variable | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    for setting in show_settings(folder.path(), &[]) {
        let text = |name: &str| setting[name].as_str().unwrap_or_default().replace('|', "\\|");
        let default = match &setting["default"] {
            Value::Null => String::new(),
            Value::Array(items) if items.is_empty() => String::new(),
            Value::Array(items) => {
                format!("`{}`", items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
            }
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let secret = if setting["secret"] == true { ". **Secret**" } else { "" };
        let flag = format!("{} {}", text("flag"), text("placeholder"));
        let (key, variable, meaning) = (text("setting"), text("environment"), text("meaning"));
        let row = format!("| `{key}` | `{}` | `{variable}` | {default} | {meaning}{secret} |\n", flag.trim());
        table.push_str(&row);
    }
    table
}

/// With `TEST_WRITES=1` the next two tests write the files instead of comparing them.
fn writes() -> bool {
    std::env::var_os("TEST_WRITES").is_some()
}

#[test]
fn the_documented_settings_are_those_of_the_program() {
    let (before, rest) = DOCUMENTED.split_once(TABLE[0]).unwrap();
    let (table, after) = rest.split_once(TABLE[1]).unwrap();
    let now = documented();
    if writes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
        fs::write(path, format!("{before}{}{now}{}{after}", TABLE[0], TABLE[1])).unwrap();
        return;
    }
    assert_eq!(table, now, "TEST_WRITES=1 cargo test --test it settings rewrites docs/settings.md");
}

#[test]
fn the_example_file_has_every_setting_and_says_what_holds_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let example = String::from_utf8(run(folder.path(), &["config", "example"], &[]).stdout).unwrap();
    if writes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/examples/rollcall.toml");
        fs::write(path, &example).unwrap();
        return;
    }
    assert_eq!(EXAMPLE, example, "rollcall config example > packaging/examples/rollcall.toml");
    // Enabling the commented settings that have a default changes nothing.
    let before = show_settings(folder.path(), &[]);
    let keys = before.iter().filter(|setting| !setting["default"].is_null());
    let keys: Vec<String> = keys.map(|setting| format!("#{} = ", setting["setting"].as_str().unwrap())).collect();
    let line = |line: &str| {
        let is_default = keys.iter().any(|key| line.starts_with(key.as_str()));
        if is_default { line[1..].to_owned() } else { line.to_owned() }
    };
    let toml: String = example.lines().map(|text| line(text) + "\n").collect();
    fs::write(folder.path().join("rollcall.toml"), toml).unwrap();
    let after = show_settings(folder.path(), &[]);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["value"], after["value"], "{after}");
        let from_file = after["origin"].as_str().unwrap().contains("rollcall.toml");
        assert_eq!(from_file, !before["default"].is_null(), "{after}");
    }
}
