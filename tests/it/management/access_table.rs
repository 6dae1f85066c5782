//! Permissions of every operation of the management API: a table (`access_table.txt`), checked with all kinds of callers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::Caller;
use crate::identity::{Signer, app_for, now};

/// `METHOD path needs`: a permission, with the prefix `operator:` if only the operator may use it, or `public`.
const ACCESS_TABLE: &str = include_str!("access_table.txt");

const PERMISSIONS: [&str; 9] = [
    "provisioning.read",
    "provisioning.create",
    "provisioning.delete",
    "provisioning.tokens",
    "directory.read",
    "requests.read",
    "audit.read",
    "system.admin",
    "webhooks.manage",
];

fn table() -> BTreeMap<(String, String), String> {
    let lines = ACCESS_TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [method, path, needs] = fields[..] else { panic!("METHOD path needs, not {line:?}") };
        ((path.to_owned(), method.to_owned()), needs.to_owned())
    };
    lines.map(entry).collect()
}

fn documented(app: &App) -> Vec<(String, String)> {
    let document = app.anonymous().get("/openapi.json").answered(200).json;
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
fn the_access_table_lists_exactly_the_documented_operations() {
    let listed: Vec<(String, String)> = table().into_keys().collect();
    assert_eq!(documented(App::shared()), listed, "tests/it/management/access_table.txt must list every operation");
}

/// The path with a random id in place of each parameter.
fn filled(path: &str) -> String {
    let parts =
        path.split('/').map(|part| if part.starts_with('{') { "01890a5d-ac96-774b-bcce-b302099a8057" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn status_of(caller: &Caller, method: &str, path: &str) -> u16 {
    let request = caller.request(method, &filled(path)).header("Content-Type", "application/json");
    request.send().status
}

/// Without this switch, no account has access to webhooks.
fn allow_account_webhooks(app: &App) {
    app.operator().patch("/directory/resources/v1/settings", &json!({"accountWebhooks": true})).answered(200);
}

/// Whether only the operator has access, and the required permissions.
fn parse_needs(needs: &str) -> (bool, Vec<&str>) {
    let (is_operators, needed) = needs.strip_prefix("operator:").map_or((false, needs), |needed| (true, needed));
    (is_operators, needed.split('+').collect())
}

/// The sets of permissions that every operation is called with: each permission alone, all except one, and the sets of two
/// that the table requires. The result of an operation follows from whether the set contains all that it needs.
fn permission_sets() -> Vec<Vec<&'static str>> {
    let alone = PERMISSIONS.iter().map(|&permission| vec![permission]);
    let without = |left: &'static str| PERMISSIONS.into_iter().filter(move |&permission| permission != left).collect();
    let pairs = [vec!["provisioning.tokens", "directory.read"]];
    alone.chain(PERMISSIONS.into_iter().map(without)).chain(pairs).collect()
}

#[test]
fn each_operation_is_allowed_only_with_its_permissions() {
    let app = App::shared();
    allow_account_webhooks(app);
    let flags = |set: &[&'static str]| set.iter().flat_map(|&one| ["--permission", one]).collect::<Vec<_>>();
    let operators: Vec<_> = permission_sets().into_iter().map(|set| (app.keyed(&flags(&set)), set)).collect();
    // The key of an account cannot have this permission.
    let without_system =
        |set: Vec<&'static str>| set.into_iter().filter(|one| *one != "system.admin").collect::<Vec<_>>();
    let of_accounts = permission_sets().into_iter().map(without_system).filter(|set| !set.is_empty());
    let accounts: Vec<_> = of_accounts.map(|set| (app.account_key("access", &set), set)).collect();
    let token = app.operator().configuration("access", "other").token;
    let wrong = ["", "rck_wrong", "x", token.as_str(), "a.b.c", "eyJhbGciOiJub25lIn0.e30."];
    for ((path, method), needs) in table() {
        let operation = format!("{method} {path}");
        if needs == "public" {
            assert_ne!(status_of(&app.anonymous(), &method, &path), 403, "{operation}");
            continue;
        }
        assert_eq!(status_of(&app.anonymous(), &method, &path), 401, "{operation} without credentials");
        for credential in wrong {
            assert_eq!(
                status_of(&app.anonymous().with(credential), &method, &path),
                401,
                "{operation} with {credential:?}"
            );
        }
        let (is_operators, needed) = parse_needs(&needs);
        for (caller, set) in &operators {
            let status = status_of(caller, &method, &path);
            let is_allowed = needed.iter().all(|one| set.contains(one));
            assert_eq!(status == 403, !is_allowed, "{operation}: operator with {set:?}: {status}");
            assert_ne!(status, 401, "{operation}: operator with {set:?}");
        }
        for (caller, set) in &accounts {
            let status = status_of(caller, &method, &path);
            let is_allowed = !is_operators && needed.iter().all(|one| set.contains(one));
            assert_eq!(status == 403, !is_allowed, "{operation}: account with {set:?}: {status}");
            let foreign = status_of(&caller.for_account("other-account"), &method, &path);
            assert_eq!(foreign, 403, "{operation}: account with {set:?} that names another one");
        }
    }
}

#[test]
fn user_tokens_follow_the_same_table() {
    // T58
    let signer = Signer::new("access");
    let (_folder, app) = app_for(&signer);
    allow_account_webhooks(&app);
    let users =
        PERMISSIONS.map(|permission| (permission, app.anonymous().with(&signer.token("access", &[permission]))));
    let changed = |claims: Value| signer.token_with("access", &PERMISSIONS, &claims);
    let wrong = [
        ("expired", changed(json!({"exp": now() - 120}))),
        ("of another issuer", changed(json!({"iss": "https://evil.example.com"}))),
        ("of no account", changed(json!({"tenantId": null}))),
        ("of another key", Signer::new("access").token("access", &PERMISSIONS)),
        ("unsigned", format!("eyJhbGciOiJub25lIn0.{}.", changed(json!({})).split('.').nth(1).unwrap())),
    ];
    for ((path, method), needs) in table() {
        let operation = format!("{method} {path}");
        if needs == "public" {
            continue;
        }
        for (what, token) in &wrong {
            assert_eq!(status_of(&app.anonymous().with(token), &method, &path), 401, "{operation} with a token {what}");
        }
        for (permission, user) in &users {
            let status = status_of(user, &method, &path);
            let is_allowed = parse_needs(&needs) == (false, vec![*permission]);
            assert_eq!(status == 403, !is_allowed, "{operation}: user with {permission}: {status}");
            assert_ne!(status, 401, "{operation}: user with {permission}");
            let foreign = status_of(&user.for_account("other-account"), &method, &path);
            assert_eq!(foreign, 403, "{operation}: user with {permission} who names another account");
        }
    }
}
