//! Every place of the management API, and who may go through: a table beside this file, and a walk of all callers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::Caller;
use crate::identity::{Signer, app_for, now};

/// `METHOD path needs`: a permission, `operator:` before one that only the operator may use, or `anybody`.
const DOORS: &str = include_str!("doors.txt");

const PERMISSIONS: [&str; 8] = [
    "provisioning.read",
    "provisioning.create",
    "provisioning.delete",
    "provisioning.tokens",
    "directory.read",
    "requests.read",
    "audit.read",
    "system.admin",
];

fn table() -> BTreeMap<(String, String), String> {
    let lines = DOORS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let door = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, path, needs] = words[..] else { panic!("METHOD path needs, not {line:?}") };
        ((path.to_owned(), method.to_owned()), needs.to_owned())
    };
    lines.map(door).collect()
}

fn documented(app: &App) -> Vec<(String, String)> {
    let document = app.stranger().get("/openapi.json").answered(200).json;
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(move |method| (path.clone(), method)).collect::<Vec<_>>()
    };
    let mut found: Vec<(String, String)> = paths.iter().flat_map(operations).collect();
    found.sort();
    found
}

#[test]
fn every_documented_place_stands_in_the_table_and_no_other() {
    let listed: Vec<(String, String)> = table().into_keys().collect();
    assert_eq!(documented(App::shared()), listed, "tests/it/management/doors.txt lists who may go through");
}

/// A path with something in the place of its parameters that is nobody's.
fn filled(path: &str) -> String {
    let parts =
        path.split('/').map(|part| if part.starts_with('{') { "01890a5d-ac96-774b-bcce-b302099a8057" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn knock(caller: &Caller, method: &str, path: &str) -> u16 {
    let request = caller.request(method, &filled(path)).header("Content-Type", "application/json");
    request.send().status
}

#[test]
fn each_place_opens_to_those_who_may_and_to_nobody_else() {
    let app = App::shared();
    let operators = PERMISSIONS.map(|permission| (permission, app.keyed(&["--permission", permission])));
    let accounts = PERMISSIONS.map(|permission| (permission, app.account_key("doors", &[permission])));
    let token = app.operator().configuration("doors", "other").token;
    let wrong = ["", "rck_wrong", "x", token.as_str(), "a.b.c", "eyJhbGciOiJub25lIn0.e30."];
    for ((path, method), needs) in table() {
        let place = format!("{method} {path}");
        if needs == "anybody" {
            assert_ne!(knock(&app.stranger(), &method, &path), 403, "{place}");
            continue;
        }
        assert_eq!(knock(&app.stranger(), &method, &path), 401, "{place} without credentials");
        for credential in wrong {
            assert_eq!(knock(&app.stranger().with(credential), &method, &path), 401, "{place} with {credential:?}");
        }
        let (is_operators, needed) = needs.strip_prefix("operator:").map_or((false, &*needs), |needed| (true, needed));
        for (permission, caller) in &operators {
            let status = knock(caller, &method, &path);
            assert_eq!(status == 403, *permission != needed, "{place}: operator with {permission}: {status}");
            assert_ne!(status, 401, "{place}: operator with {permission}");
        }
        for (permission, caller) in &accounts {
            let status = knock(caller, &method, &path);
            let refused = is_operators || *permission != needed;
            assert_eq!(status == 403, refused, "{place}: account with {permission}: {status}");
            let foreign = knock(&caller.of("somebody-else"), &method, &path);
            assert_eq!(foreign, 403, "{place}: account with {permission} that names another one");
        }
    }
}

#[test]
fn users_are_held_to_the_same_table() {
    // T58
    let signer = Signer::new("doors");
    let (_folder, app) = app_for(&signer);
    let users = PERMISSIONS.map(|permission| (permission, app.stranger().with(&signer.token("doors", &[permission]))));
    let changed = |claims: Value| signer.token_with("doors", &PERMISSIONS, &claims);
    let wrong = [
        ("expired", changed(json!({"exp": now() - 120}))),
        ("of another issuer", changed(json!({"iss": "https://evil.example.com"}))),
        ("of no account", changed(json!({"tenantId": null}))),
        ("of another key", Signer::new("doors").token("doors", &PERMISSIONS)),
        ("unsigned", format!("eyJhbGciOiJub25lIn0.{}.", changed(json!({})).split('.').nth(1).unwrap())),
    ];
    for ((path, method), needs) in table() {
        let place = format!("{method} {path}");
        if needs == "anybody" {
            continue;
        }
        for (what, token) in &wrong {
            assert_eq!(knock(&app.stranger().with(token), &method, &path), 401, "{place} with a token {what}");
        }
        for (permission, user) in &users {
            let status = knock(user, &method, &path);
            assert_eq!(status == 403, *permission != needs, "{place}: user with {permission}: {status}");
            assert_ne!(status, 401, "{place}: user with {permission}");
            let foreign = knock(&user.of("somebody-else"), &method, &path);
            assert_eq!(foreign, 403, "{place}: user with {permission} who names another account");
        }
    }
}
