//! API keys: created, listed and revoked by API and on the command line.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};

const KEYS: &str = "/directory/resources/v1/api-keys";

fn listed(caller: &Caller, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{KEYS}?{query}{cursor}")).answered(200).json;
        found.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn a_new_key_returns_its_secret_once_and_works_at_once() {
    let app = App::shared();
    let operator = app.operator();
    let made =
        operator.post(KEYS, &json!({"name": "Automation", "expiresAt": "2100-01-31T12:00:00+01:00"})).answered(201);
    assert_eq!(made.json["name"], "Automation");
    assert_eq!(made.json["accountId"], Value::Null);
    assert_eq!(made.json["expiresAt"], "2100-01-31T11:00:00.000Z");
    assert_eq!(made.json["permissions"].as_array().unwrap().len(), 9);
    let (id, secret) = (made.text("clientId"), made.text("secret"));
    assert!(secret.starts_with("rck_") && secret.ends_with(&made.text("hint")));
    app.anonymous().with(&secret).get(CONFIGURATIONS).answered(200);
    let read = operator.get(&format!("{KEYS}/{id}")).answered(200).json;
    assert_eq!(read["name"], "Automation");
    assert!(!read.to_string().contains(&secret));
    assert!(!operator.get(KEYS).answered(200).json.to_string().contains(&secret));
}

#[test]
fn a_revoked_key_is_refused_at_once_and_not_listed() {
    let app = App::shared();
    let operator = app.operator();
    let made = operator.post(KEYS, &json!({"name": "Short"})).answered(201);
    let (path, bearer) = (format!("{KEYS}/{}", made.text("clientId")), app.anonymous().with(&made.text("secret")));
    bearer.get(CONFIGURATIONS).answered(200);
    operator.delete(&path).answered(204);
    bearer.get(CONFIGURATIONS).problem(401);
    operator.get(&path).problem(404);
    operator.delete(&path).problem(404);
    assert!(listed(&operator, "limit=1000").iter().all(|key| key["clientId"] != made.json["clientId"]));
}

#[test]
fn a_key_cannot_have_more_permissions_than_its_creator() {
    let app = App::shared();
    let admin = app.keyed(&["--permission", "system.admin", "--permission", "audit.read"]);
    let refused = admin.post(KEYS, &json!({"name": "More", "permissions": ["provisioning.delete"]})).problem(403);
    assert!(refused.json["message"].as_str().unwrap().starts_with("permissions"), "{}", refused.json);
    let less = admin.post(KEYS, &json!({"name": "Less", "permissions": ["audit.read"]})).answered(201);
    assert_eq!(less.json["permissions"], json!(["audit.read"]));
    let same = admin.post(KEYS, &json!({"name": "Same"})).answered(201);
    assert_eq!(same.json["permissions"], json!(["audit.read", "system.admin"]));
}

#[test]
fn the_key_of_an_account_never_has_operator_permissions() {
    let app = App::shared();
    let operator = app.operator();
    let made = operator.post(KEYS, &json!({"name": "Theirs", "accountId": "keys-of-one"})).answered(201);
    assert_eq!(made.json["accountId"], "keys-of-one");
    assert!(!made.json["permissions"].to_string().contains("system.admin"));
    app.anonymous().with(&made.text("secret")).get(KEYS).problem(403);
}

#[test]
fn the_tenant_header_limits_which_keys_are_listed_created_and_revoked() {
    let app = App::shared();
    let operator = app.operator();
    let inside = operator.for_account("keys-in").post(KEYS, &json!({"name": "In"})).answered(201);
    assert_eq!(inside.json["accountId"], "keys-in");
    let outside = operator.post(KEYS, &json!({"name": "Out", "accountId": "keys-out"})).answered(201);
    for found in [listed(&operator.for_account("keys-in"), ""), listed(&operator, "accountId=keys-in")] {
        assert_eq!((found.len(), &found[0]["clientId"]), (1, &inside.json["clientId"]));
    }
    assert!(listed(&operator.for_account("keys-in"), "accountId=keys-out").is_empty());
    let path = format!("{KEYS}/{}", outside.text("clientId"));
    operator.for_account("keys-in").get(&path).problem(404);
    operator.for_account("keys-in").delete(&path).problem(404);
    operator.for_account("keys-in").post(KEYS, &json!({"name": "X", "accountId": "keys-out"})).problem(403);
}

#[test]
fn pages_of_the_list_hold_every_key_once() {
    let app = App::shared();
    let operator = app.operator();
    let made: Vec<Value> = (0..5)
        .map(|at| {
            let body = json!({"name": format!("Key {at}"), "accountId": "keys-paged"});
            operator.post(KEYS, &body).answered(201).json["clientId"].clone()
        })
        .collect();
    let found: Vec<Value> =
        listed(&operator, "accountId=keys-paged&limit=2").into_iter().map(|key| key["clientId"].clone()).collect();
    assert_eq!(found, made);
}

#[test]
fn an_invalid_key_request_is_refused_with_the_name_of_the_field() {
    let app = App::shared();
    let operator = app.operator();
    for (body, status, named) in [
        (json!({}), 400, "name"),
        (json!({"name": ""}), 400, "name"),
        (json!({"name": "x".repeat(65)}), 400, "name"),
        (json!({"name": "x", "permissions": []}), 400, "permissions"),
        (json!({"name": "x", "permissions": ["everything"]}), 400, "permissions"),
        (json!({"name": "x", "permissions": "audit.read"}), 400, "permissions"),
        (json!({"name": "x", "accountId": ""}), 400, "account"),
        (json!({"name": "x", "accountId": "x".repeat(129)}), 400, "account"),
        (json!({"name": "x", "expiresAt": "tomorrow"}), 400, "expiresAt"),
        (json!({"name": "x", "expiresAt": 7}), 400, "expiresAt"),
        (json!({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}), 409, "expiresAt"),
    ] {
        let reply = operator.post(KEYS, &body).problem(status);
        assert!(reply.json["message"].as_str().unwrap().contains(named), "{body}: {}", reply.json);
    }
    let secret = operator.credential.clone().unwrap();
    for id in ["unknown", "01890a5d-ac96-774b-bcce-b302099a8057", secret.as_str()] {
        operator.get(&format!("{KEYS}/{id}")).problem(404);
        operator.delete(&format!("{KEYS}/{id}")).problem(404);
    }
}

#[test]
fn the_list_says_when_a_key_was_last_used() {
    let app = App::shared();
    let operator = app.operator();
    let made = operator.post(KEYS, &json!({"name": "Used"})).answered(201);
    let path = format!("{KEYS}/{}", made.text("clientId"));
    assert_eq!(operator.get(&path).answered(200).json["lastUsedAt"], Value::Null);
    app.anonymous().with(&made.text("secret")).get(CONFIGURATIONS).answered(200);
    let is_noted = || operator.get(&path).answered(200).json["lastUsedAt"].is_string();
    let noted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        is_noted()
    });
    assert!(noted, "the use is not written down");
}

#[test]
fn the_command_line_makes_lists_and_revokes_keys() {
    let app = App::shared();
    let create =
        ["api-key", "create", "--name", "By hand", "--account", "keys-cli", "--expires-in", "90d", "--output", "json"];
    let made: Value = serde_json::from_slice(&app.succeeds(&create)).unwrap();
    let (id, secret) = (made["clientId"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let list = ["api-key", "list", "--account", "keys-cli", "--output", "json"];
    let found: Value = serde_json::from_slice(&app.succeeds(&list)).unwrap();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["clientId"]), (1, &made["clientId"]));
    assert!(found[0]["expiresAt"].is_string());
    assert!(!found.to_string().contains(secret));
    let table = String::from_utf8(app.succeeds(&["api-key", "list"])).unwrap();
    assert!(table.contains(id) && table.contains("By hand") && !table.contains(secret), "{table}");
    app.anonymous().with(secret).get(CONFIGURATIONS).answered(200);
    app.succeeds(&["api-key", "revoke", id, "--yes"]);
    app.anonymous().with(secret).get(CONFIGURATIONS).problem(401);
    let again = app.rollcall(&["api-key", "revoke", id, "--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains(id));
}

#[test]
fn a_lifetime_in_seconds_limits_a_key() {
    let app = App::shared();
    let operator = app.operator();
    let create = |body: &Value| operator.post(KEYS, body);
    let end = |body: Value| {
        let text = create(&body).answered(201).text("expiresAt");
        text.parse::<jiff::Timestamp>().unwrap().as_second() - jiff::Timestamp::now().as_second()
    };
    let left = end(json!({"name": "an hour", "expiresIn": 3600}));
    assert!((3500..=3600).contains(&left), "{left}");
    let left = end(json!({"name": "the earlier one", "expiresIn": 3600, "expiresAt": "2099-01-01T00:00:00Z"}));
    assert!((3500..=3600).contains(&left), "{left}");
    for seconds in [json!(0), json!(315_360_001)] {
        let refused = create(&json!({"name": "x", "expiresIn": seconds})).problem(400);
        assert_eq!(refused.json["errorCode"], "seconds_out_of_range", "{}", refused.json);
    }
    create(&json!({"name": "x", "expiresIn": "3600"})).problem(400);
}

#[test]
fn the_key_of_an_account_cannot_have_the_permission_of_the_operator() {
    let app = App::shared();
    let operator = app.operator();
    let body = json!({"name": "x", "permissions": ["provisioning.read", "system.admin"]});
    let mut with_account = body.clone();
    with_account["accountId"] = json!("keys-refused");
    for refused in [operator.post(KEYS, &with_account), operator.for_account("keys-refused").post(KEYS, &body)] {
        let refused = refused.problem(403);
        assert_eq!(refused.json["errorCode"], "permission_of_operator");
        assert!(refused.json.to_string().contains("system.admin"), "{}", refused.json);
    }
    operator.post(KEYS, &body).answered(201);
}
