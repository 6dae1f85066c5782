//! Quotas of configurations and accounts: what is refused above a limit, what always works, and who may change limits.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::Browser;
use crate::sample::{group, operation, operations, removal, user, user_with};

pub(super) fn quotas_of(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/quotas", client.id)
}

pub(super) fn account_quotas(account: &str) -> String {
    format!("/directory/resources/v1/accounts/{account}/quotas")
}

#[track_caller]
pub(super) fn limit(operator: &Caller, path: &str, limits: &Value) -> Value {
    operator.patch(path, limits).answered(200).json
}

/// One quota of an answer.
#[track_caller]
pub(super) fn quota(answer: &Value, name: &str) -> Value {
    let all = answer["quotas"].as_array().unwrap();
    all.iter().find(|one| one["quota"] == name).unwrap_or_else(|| panic!("{name} in {answer}")).clone()
}

#[track_caller]
pub(super) fn used(operator: &Caller, path: &str, name: &str) -> u64 {
    quota(&operator.get(path).answered(200).json, name)["used"].as_u64().unwrap()
}

/// Checks a SCIM refusal that names the quota, its limit and the fix.
#[track_caller]
fn over_quota(reply: Reply, owner: &str, what: &str, limit: u64) {
    assert_eq!(reply.status, 403, "{}", reply.json);
    let detail = reply.json["detail"].as_str().unwrap();
    let expected = format!("the {owner} has reached its quota of {limit} {what}; remove some, or ask the operator");
    assert!(detail.contains(&expected), "{detail}");
    assert_eq!(reply.json.get("scimType"), None);
}

#[test]
fn users_and_groups_above_their_quota_are_refused_and_the_rest_works() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-counts", "other");
    limit(&operator, &quotas_of(&client), &json!({"users": 2, "groups": 1}));
    let ada = client.created("/Users", &user("ada"));
    let bob = client.created("/Users", &user("bob"));
    over_quota(client.post("/Users", &user("eve")), "connection", "users", 2);
    // A name in use is the better message.
    client.post("/Users", &user("ada")).refused(409, "uniqueness");
    let team = client.created("/Groups", &group("Team", &[&ada]));
    over_quota(client.post("/Groups", &group("Other", &[])), "connection", "groups", 1);
    assert_eq!((client.count("/Users"), client.count("/Groups")), (2, 1));
    // Above the limit, everything that adds nothing works.
    limit(&operator, &quotas_of(&client), &json!({"users": 1, "bytes": 1, "members": 1}));
    client.patch(&format!("/Users/{bob}"), &operation("replace", "active", &json!(false))).answered(200);
    client.put(&format!("/Users/{bob}"), &user("b")).answered(200);
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &json!([{"value": ada}]))).answered(200);
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.delete(&format!("/Groups/{team}")).answered(204);
    client.delete(&format!("/Users/{bob}")).answered(204);
    for name in ["users", "groups", "members", "bytes"] {
        assert_eq!(used(&operator, &quotas_of(&client), name), 0, "{name}");
        assert_eq!(used(&operator, &account_quotas("quota-counts"), name), 0, "{name}");
    }
    limit(&operator, &quotas_of(&client), &json!({"users": null, "bytes": null}));
    client.created("/Users", &user("again"));
}

#[test]
fn members_above_their_quota_are_refused_whole() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-members", "other");
    limit(&operator, &quotas_of(&client), &json!({"members": 3}));
    let ids: Vec<String> = (0..5).map(|n| client.created("/Users", &user(&format!("m{n}")))).collect();
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    over_quota(client.post("/Groups", &group("Large", &all)), "connection", "group memberships", 3);
    assert_eq!(client.count("/Groups"), 0);
    let team = client.created("/Groups", &group("Team", &all[..3]));
    let path = format!("/Groups/{team}");
    let member = |id: &str| json!([{"value": id}]);
    over_quota(
        client.patch(&path, &operation("add", "members", &member(all[3]))),
        "connection",
        "group memberships",
        3,
    );
    over_quota(client.put(&path, &group("Team", &all[..4])), "connection", "group memberships", 3);
    // The same members again, others instead, and an exchange in one request.
    client.patch(&path, &operation("add", "members", &member(all[0]))).answered(200);
    client.put(&path, &group("Renamed", &all[2..])).answered(200);
    let exchange = operations(&json!([
        {"op": "remove", "path": format!("members[value eq \"{}\"]", all[4])},
        {"op": "add", "path": "members", "value": member(all[0])},
    ]));
    client.patch(&path, &exchange).answered(200);
    assert_eq!(used(&operator, &quotas_of(&client), "members"), 3);
    // A refused request leaves no trace: neither its attributes nor its members nor its version.
    let before = client.get(&path).answered(200).json;
    let both = operations(&json!([
        {"op": "replace", "path": "displayName", "value": "Must not be stored"},
        {"op": "add", "path": "members", "value": member(all[1])},
    ]));
    over_quota(client.patch(&path, &both), "connection", "group memberships", 3);
    assert_eq!(client.get(&path).answered(200).json, before);
    client.patch(&path, &removal("members")).answered(200);
    assert_eq!(used(&operator, &quotas_of(&client), "members"), 0);
    client.put(&path, &group("Team", &all[..3])).answered(200);
}

#[test]
fn larger_documents_above_the_quota_of_bytes_are_refused() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-bytes", "other");
    let id = client.created("/Users", &user_with("ada", &json!({"title": "x".repeat(200)})));
    let bytes = used(&operator, &quotas_of(&client), "bytes");
    assert!((200..1_000).contains(&bytes), "{bytes}");
    limit(&operator, &quotas_of(&client), &json!({"bytes": bytes}));
    let path = format!("/Users/{id}");
    let longer = json!({"title": "x".repeat(201)});
    over_quota(client.put(&path, &user_with("ada", &longer)), "connection", "bytes of users and groups", bytes);
    let change = operation("add", "nickName", &json!("Countess"));
    over_quota(client.patch(&path, &change), "connection", "bytes of users and groups", bytes);
    over_quota(client.post("/Users", &user("bob")), "connection", "bytes of users and groups", bytes);
    assert_eq!(client.get(&path).answered(200).json["title"], "x".repeat(200));
    client.put(&path, &user_with("ada", &json!({"title": "y".repeat(200)}))).answered(200);
    client.put(&path, &user("ada")).answered(200);
    client.put(&path, &user_with("ada", &json!({"title": "z".repeat(200)}))).answered(200);
    assert_eq!(used(&operator, &quotas_of(&client), "bytes"), bytes);
}

#[test]
fn each_item_of_a_bulk_request_is_checked() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-bulk", "other");
    limit(&operator, &quotas_of(&client), &json!({"users": 3, "groups": 1}));
    let item =
        |n: u32| json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": user(&format!("b{n}"))});
    let job = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": (0..8).map(item).collect::<Vec<_>>(),
    });
    let answer = client.post("/Bulk", &job).answered(200).json;
    let results = answer["Operations"].as_array().unwrap();
    let with = |status: &str| results.iter().filter(|result| result["status"] == status).collect::<Vec<_>>();
    assert_eq!((with("201").len(), with("403").len()), (3, 5), "{answer}");
    assert!(with("403")[0]["response"]["detail"].as_str().unwrap().contains("quota of 3 users"), "{answer}");
    // A cycle of groups is created whole or not at all.
    let cyclic = |own: &str, other: &str| {
        json!({"method": "POST", "path": "/Groups", "bulkId": own,
        "data": group(own, &[&format!("bulkId:{other}")])})
    };
    let job = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [cyclic("one", "two"), cyclic("two", "one")],
    });
    let answer = client.post("/Bulk", &job).answered(200).json;
    assert!(answer["Operations"].to_string().contains("quota of 1 groups"), "{answer}");
    assert_eq!((client.count("/Users"), client.count("/Groups")), (3, 0));
}

#[test]
fn concurrent_creates_never_exceed_a_quota_and_others_are_not_affected() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-race", "other");
    let sibling = operator.configuration("quota-race", "other");
    let other = operator.configuration("quota-race-neighbour", "other");
    limit(&operator, &account_quotas("quota-race"), &json!({"users": 20}));
    let create = |client: &Client, name: String| client.post("/Users", &user(&name)).status;
    let counted = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let one = if n % 2 == 0 { &client } else { &sibling };
                scope.spawn(move || (0..10).map(|i| create(one, format!("r{n}-{i}"))).collect::<Vec<u16>>())
            })
            .collect();
        let quiet = scope.spawn(|| (0..10).map(|i| create(&other, format!("q{i}"))).collect::<Vec<u16>>());
        assert_eq!(quiet.join().unwrap(), [201; 10]);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<u16>>()
    });
    let with = |status: u16| counted.iter().filter(|found| **found == status).count();
    assert_eq!((with(201), with(403)), (20, 60), "{counted:?}");
    assert_eq!(client.count("/Users") + sibling.count("/Users"), 20);
    assert_eq!(used(&operator, &account_quotas("quota-race"), "users"), 20);
    over_quota(client.post("/Users", &user("late")), "account", "users", 20);
}

#[test]
fn connections_above_the_quota_of_an_account_are_refused() {
    let app = App::shared();
    let operator = app.operator();
    let first = operator.configuration("quota-connections", "other");
    limit(&operator, &account_quotas("quota-connections"), &json!({"configurations": 1}));
    let own = app.account_key("quota-connections", &["provisioning.create", "provisioning.read"]);
    let refused = own.post(CONFIGURATIONS, &json!({"source": "other"})).problem(403);
    assert_eq!(refused.text("errorCode"), "quota_exceeded");
    assert!(refused.text("message").contains("quota of 1 connections"), "{}", refused.json);
    let output = app.rollcall(&["configuration", "create", "--account", "quota-connections"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("quota of 1 connections"), "{output:?}");
    let mut browser = Browser::with_role(app, "provisioning-manager", Some("quota-connections"));
    let page = browser.submit("/connections/new", &[("provider", "okta"), ("name", "Second"), ("sync", "on")]);
    assert!(page.contains("quota of 1 connections"), "{}", page.text);
    operator.delete(&format!("{CONFIGURATIONS}/{}", first.id)).answered(204);
    own.post(CONFIGURATIONS, &json!({"source": "other"})).answered(201);
}

#[test]
fn only_the_operator_changes_limits_and_everyone_of_the_account_sees_them() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("quota-rights", "other");
    let displayed = operator.get(&quotas_of(&client)).answered(200).json;
    assert_eq!(
        quota(&displayed, "users"),
        json!({"quota": "users", "used": 0, "limit": 1_000_000, "percent": 0, "isOverride": false})
    );
    let own = app.account_key("quota-rights", &["provisioning.read", "provisioning.create"]);
    for path in [quotas_of(&client), account_quotas("quota-rights")] {
        own.get(&path).answered(200);
        own.patch(&path, &json!({"users": 0})).problem(403);
        let other = app.account_key("quota-rights-other", &["provisioning.read"]);
        other.get(&path).problem(404);
        for (body, named) in [
            (json!({"users": -1}), "users"),
            (json!({"bytes": "x"}), "bytes"),
            (json!({"groups": 1_u64 << 51}), "groups"),
        ] {
            let refused = operator.patch(&path, &body).problem(400);
            assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
        }
    }
    let after = limit(&operator, &quotas_of(&client), &json!({"users": 0, "groups": 5}));
    let none = json!({"quota": "users", "used": 0, "limit": null, "percent": null, "isOverride": true});
    assert_eq!((quota(&after, "users"), &quota(&after, "groups")["limit"]), (none, &json!(5)));
    let audit = operator
        .get("/directory/resources/v1/audit?limit=1&account=quota-rights&action=configuration.quotas_changed")
        .answered(200);
    assert!(audit.json.to_string().contains("\"groups\":5"), "{}", audit.json);
    // The command line shows and sets the same limits.
    app.succeeds(&["quota", "set", "--configuration", &client.id, "users=7", "groups=default"]);
    let displayed = String::from_utf8(app.succeeds(&["quota", "show", "--configuration", &client.id])).unwrap();
    assert!(displayed.lines().any(|line| line.split_whitespace().eq(["users", "0", "7", "0", "own"])), "{displayed}");
    app.succeeds(&["quota", "set", "--account", "quota-rights", "configurations=0"]);
    let displayed = app.succeeds(&["quota", "show", "--account", "quota-rights", "--output", "json"]);
    let displayed: Value = serde_json::from_slice(&displayed).unwrap();
    assert_eq!(
        (&displayed[0]["quota"], &displayed[0]["used"], &displayed[0]["limit"]),
        (&json!("configurations"), &json!(1), &Value::Null)
    );
}

#[test]
fn defaults_are_settings_and_the_doctor_warns_at_eighty_percent() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--quota-users", "5", "--account-quota-groups", "2", "--account-quota-configurations", "3"];
    let app = App::start_with(folder.path(), &flags);
    let client = app.configuration_of("acme", "other");
    for number in 0..3 {
        client.created("/Users", &user(&format!("u{number}")));
    }
    let doctor = || String::from_utf8(app.rollcall(&["doctor"]).stdout).unwrap();
    assert!(doctor().contains("ok       Quotas:"), "{}", doctor());
    client.created("/Users", &user("u3"));
    client.created("/Groups", &group("G", &[]));
    client.created("/Groups", &group("H", &[]));
    let found = doctor();
    assert!(found.contains("warning  Quotas:") && found.contains("80 % of its users"), "{found}");
    assert!(found.contains("account acme: 100 % of its groups"), "{found}");
    client.created("/Users", &user("u4"));
    over_quota(client.post("/Users", &user("u5")), "connection", "users", 5);
    over_quota(client.post("/Groups", &group("I", &[])), "account", "groups", 2);
    // A command knows the limits of the server.
    for _ in 0..2 {
        app.configuration_of("acme", "other");
    }
    assert!(!app.rollcall(&["configuration", "create", "--account", "acme"]).status.success());
    app.succeeds(&["check"]);
}

#[test]
fn the_portal_shows_the_usage_and_only_the_operator_changes_limits() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("quota-portal", "other");
    limit(&operator, &quotas_of(&client), &json!({"users": 5}));
    for number in 0..4 {
        client.created("/Users", &user(&format!("p{number}")));
    }
    let (page, account) = (format!("/connections/{}", client.id), "/accounts/quota-portal");
    let mut own = Browser::with_role(app, "provisioning-manager", Some("quota-portal"));
    let displayed = own.get(&page).answered(200);
    assert!(displayed.contains("Users: 80 % of the limit are used (4 of 5)."), "{}", displayed.text);
    assert!(displayed.contains("<progress max=\"100\" value=\"80\"") && !displayed.contains("Change the limits"));
    own.submit_only(&format!("{page}/quotas"), &[("users", "100")]).answered(403);
    own.submit_only(&format!("{account}/quotas"), &[("users", "100")]).answered(403);
    let mut owner = Browser::owner(app);
    assert!(owner.get(&page).answered(200).contains("Change the limits"));
    let wrong = owner.submit_only(&format!("{page}/quotas"), &[("users", "many"), ("bytes", "1")]).answered(422);
    assert!(wrong.contains("Write a whole number") && wrong.contains("value=\"many\""), "{}", wrong.text);
    assert_eq!(quota(&operator.get(&quotas_of(&client)).json, "users")["limit"], 5);
    let saved = owner.submit(&format!("{page}/quotas"), &[("users", "4"), ("bytes", "2"), ("groups", "")]);
    assert!(saved.contains("the limit of 4 is reached (4)"), "{}", saved.text);
    let after = operator.get(&quotas_of(&client)).answered(200).json;
    assert_eq!(
        (&quota(&after, "bytes")["limit"], &quota(&after, "groups")["isOverride"]),
        (&json!(2 << 20), &json!(false))
    );
    let saved = owner.submit(&format!("{account}/quotas"), &[("configurations", "1")]);
    assert!(saved.contains("Connections: the limit of 1 is reached (1)"), "{}", saved.text);
    over_quota(client.post("/Users", &user("late")), "connection", "users", 4);
    let failed = format!("{page}/requests?only=failed");
    let log = crate::portal::browser::wait_for_text(&mut owner, &failed, "a limit is reached");
    assert!(log.contains("a limit is reached"));
}

#[test]
fn a_request_log_above_its_quota_loses_its_oldest_calls_only() {
    let operator = App::shared().operator();
    let client = operator.configuration("quota-log", "other");
    let other = operator.configuration("quota-log-neighbour", "other");
    other.created("/Users", &user("first"));
    let most: u64 = 40_000;
    limit(&operator, &quotas_of(&client), &json!({"requestLogBytes": most}));
    let path = |client: &Client| format!("{CONFIGURATIONS}/{}/requests?limit=100", client.id);
    let long = "x".repeat(4_000);
    for round in 0..4 {
        for number in 0..15 {
            let name = format!("log{round}-{number}");
            client.created("/Users", &user_with(&name, &json!({"title": long})));
        }
        thread::sleep(Duration::from_millis(600));
    }
    let begun = Instant::now();
    let newest = loop {
        let calls = operator.get(&path(&client)).answered(200).json["items"].as_array().unwrap().clone();
        let bytes = used(&operator, &quotas_of(&client), "requestLogBytes");
        // Each batch removes up to 500 of the oldest calls, so the log is at or below its limit after a batch.
        if bytes <= most && !calls.is_empty() && calls.len() < 60 {
            break calls;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{bytes} bytes, {} calls", calls.len());
        client.get("/Users?count=1");
        thread::sleep(Duration::from_millis(300));
    };
    assert!(!newest.is_empty());
    let remaining = operator.get(&path(&other)).answered(200).json;
    assert_eq!(remaining["items"].as_array().unwrap().len(), 1, "{remaining}");
}
