//! The command line for operators and scripts.

use std::process::Output;

use serde_json::Value;

use crate::app::{App, initialize, rollcall};
use crate::sample::{group, user};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn fails(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.trim().is_empty() && !said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_configuration_can_be_created_before_the_first_start_of_the_server() {
    let data = tempfile::tempdir().unwrap();
    initialize(data.path());
    let output = rollcall(data.path(), &["configuration", "create", "--account", "acme", "--output", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(made["connectionName"].as_str().is_some_and(|name| !name.is_empty()));
    assert!(made["token"].as_str().is_some_and(|token| token.len() >= 43));
    let url = made["provisioningUrl"].as_str().unwrap();
    assert!(url.ends_with(&format!("/directory/resources/scim/v2.0/{id}")), "{url}");
    // D4: Okta refuses a base URL with an underscore.
    assert!(!url.contains('_'), "{url}");
    assert_eq!(id, id.to_lowercase());
    assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn a_new_configuration_works_at_once_while_the_server_runs() {
    let client = App::shared().configuration("other");
    assert!(client.url.ends_with(&client.base), "{}", client.url);
    client.get("/Users").answered(200);
}

#[test]
fn the_public_url_of_serve_is_what_commands_print_and_answers_say() {
    // `serve` stores its public URL in the data folder.
    let data = tempfile::tempdir().unwrap();
    let first = App::start(data.path());
    let before = first.configuration("other").url;
    assert!(before.starts_with(&format!("http://{}", first.address)), "{before}");
    let made = first.configuration("other").post("/Users", &user("x")).answered(201);
    assert!(made.header("location").starts_with(&format!("http://{}", first.address)), "{}", made.header("location"));
}

#[test]
fn the_list_shows_every_configuration_and_no_token() {
    let app = App::shared();
    let client = app.configuration_of("listed", "okta");
    let output = app.succeeds(&["configuration", "list", "--account", "listed", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&output).unwrap();
    let items = listed.as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed}");
    assert_eq!(items[0]["id"], client.id.as_str());
    assert!(!listed.to_string().contains(&client.token));
    let table = text(&app.succeeds(&["configuration", "list"]));
    assert!(table.contains(&client.id) && !table.contains(&client.token), "{table}");
}

#[test]
fn two_configurations_of_an_account_cannot_have_one_name() {
    let app = App::shared();
    let create = ["configuration", "create", "--account", "names", "--name", "Main directory"];
    app.succeeds(&create);
    assert!(fails(&app.rollcall(&create), 1).contains("Main directory"));
}

#[test]
fn single_switches_are_set_by_key() {
    let app = App::shared();
    let client = app.configuration("other");
    let update = ["configuration", "update", &client.id, "--switch", "bulk=false", "--switch", "pageMax=200"];
    app.succeeds(&update);
    client.post("/Bulk", &Value::Null).refused(501, "");
    for (switch, said) in [("bulk=perhaps", "true, false"), ("bulk", "KEY=VALUE"), ("loud=true", "no switch loud")] {
        let failed = fails(&app.rollcall(&["configuration", "update", &client.id, "--switch", switch]), 2);
        assert!(failed.contains(said), "{failed}");
    }
    let failed = fails(&app.rollcall(&["configuration", "update", &client.id, "--switch", "pageMax=5000"]), 1);
    assert!(failed.contains("pageMax"), "{failed}");
}

#[test]
fn a_purge_removes_only_the_users_of_its_configuration() {
    let app = App::shared();
    let (gone, stays) = (app.configuration_of("purge", "other"), app.configuration_of("purge", "other"));
    for client in [&gone, &stays] {
        let user_id = client.created("/Users", &user("purged-user"));
        client.created("/Groups", &group("Purged group", &[&user_id]));
    }
    app.succeeds(&["configuration", "delete", &gone.id, "--purge", "--yes"]);
    gone.get("/Users").refused(401, "");
    assert_eq!((stays.count("/Users"), stays.count("/Groups")), (1, 1));
    assert!(app.rollcall(&["check"]).status.success());
}

#[test]
fn unknown_ids_are_named_in_the_error() {
    let app = App::shared();
    let unknown_id = "00000000-0000-7000-8000-000000000000";
    for command in [["configuration", "delete", "--yes"].as_slice(), &["token", "rotate"]] {
        // An invalid id is an argument error.
        for (id, code) in [(unknown_id, 1), ("not-an-id", 2), ("", 2)] {
            let said = fails(&app.rollcall(&[command, &[id]].concat()), code);
            assert!(said.contains(id), "{said}");
        }
    }
}

#[test]
fn wrong_arguments_end_with_two_and_name_the_fault() {
    let app = App::shared();
    let table: &[(&[&str], &str)] = &[
        (&["configuration", "create"], "--account"),
        (&["configuration", "create", "--account", "a", "--source", "yahoo"], "yahoo"),
        (&["configuration", "create", "--account", "a", "--output", "xml"], "xml"),
        (&["serve", "--listen", "nowhere"], "--listen"),
        (&["serve", "--public-url", "not a url"], "--public-url"),
        (&["serve", "--public-url", "ftp://x.example"], "--public-url"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (arguments, named) in table {
        let said = fails(&app.rollcall(arguments), 2);
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn an_account_name_must_not_be_blank() {
    let output = App::shared().rollcall(&["configuration", "create", "--account", "  "]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("account"), "{}", text(&output.stderr));
}

#[test]
fn help_starts_with_the_first_steps() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rollcall")).output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(said.contains("rollcall serve") && said.contains("rollcall configuration create"), "{said}");
    let version = std::process::Command::new(env!("CARGO_BIN_EXE_rollcall")).arg("version").output().unwrap();
    assert!(text(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
}
