//! The hold on mass removal: each form in which identity providers remove users, the decision of an admin, and kills in between.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::management::directory::all;
use crate::management::events::Consumer;
use crate::sample::{group, operation, operations, user, user_with};

/// Removals of users with which a configuration of the default settings is held, if it has at most 100 users.
const LIMIT: usize = 10;

fn path(client: &Client, part: &str) -> String {
    format!("{CONFIGURATIONS}/{}/{part}", client.id)
}

fn hold(operator: &Caller, client: &Client) -> Value {
    operator.get(&path(client, "hold")).answered(200).json
}

fn state(operator: &Caller, client: &Client) -> String {
    hold(operator, client)["state"].as_str().unwrap().to_owned()
}

fn decide(operator: &Caller, client: &Client, decision: &Value) -> Reply {
    operator.post(&path(client, "hold"), decision)
}

fn reject(operator: &Caller, client: &Client) {
    assert!([200, 202].contains(&decide(operator, client, &json!({"decision": "reject"})).status));
    wait_until("the rejection is complete", || state(operator, client) == "none");
}

/// A configuration without a time of grace.
fn watched(operator: &Caller, account: &str) -> Client {
    let client = operator.configuration(account, "other");
    operator.patch(&path(&client, "settings"), &json!({"hold": {"graceHours": 0}})).answered(200);
    client
}

fn add_users(client: &Client, count: usize) -> Vec<String> {
    (0..count).map(|number| client.created("/Users", &user(&format!("user-{number}@example.com")))).collect()
}

fn switch_off(client: &Client, id: &str) {
    client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!(false))).answered(200);
}

/// The kinds of new events, without the one of the hold.
fn kinds(consumer: &mut Consumer) -> Vec<String> {
    consumer.kinds().into_iter().filter(|kind| kind != "configuration.held").collect()
}

fn is_active(client: &Client, id: &str) -> bool {
    client.get(&format!("/Users/{id}")).answered(200).json["active"] == json!(true)
}

#[test]
fn each_form_of_removing_users_is_held_with_the_tenth() {
    type Removal = fn(&Client, &str, usize);
    let operator = App::shared().operator();
    let forms: [(&str, Removal); 6] = [
        ("okta-patch", |client, id, _| {
            let body = operations(&json!([{"op": "replace", "value": {"active": false}}]));
            client.patch(&format!("/Users/{id}"), &body).answered(200);
        }),
        ("entra-patch", |client, id, _| {
            let body = operations(&json!([{"op": "Replace", "path": "active", "value": "False"}]));
            client.patch(&format!("/Users/{id}"), &body).answered(200);
        }),
        ("put", |client, id, number| {
            let body = user_with(&format!("user-{number}@example.com"), &json!({"active": false}));
            client.put(&format!("/Users/{id}"), &body).answered(200);
        }),
        ("delete", |client, id, _| {
            client.delete(&format!("/Users/{id}")).answered(204);
        }),
        ("bulk", |client, id, _| {
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": [{"method": "DELETE", "path": format!("/Users/{id}")}]});
            client.post("/Bulk", &body).answered(200);
        }),
        ("twice", |client, id, _| {
            // It counts once.
            switch_off(client, id);
            client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!(true))).answered(200);
            switch_off(client, id);
            client.delete(&format!("/Users/{id}")).answered(204);
        }),
    ];
    for (name, remove) in forms {
        let account = format!("hold-{name}");
        let client = watched(&operator, &account);
        let users = add_users(&client, LIMIT + 2);
        let mut consumer = Consumer::from_now(&operator.for_account(&account));
        for (number, id) in users[..LIMIT - 1].iter().enumerate() {
            remove(&client, id, number);
        }
        assert_eq!(state(&operator, &client), "none", "{name}");
        let published = consumer.kinds().len();
        assert!(published >= LIMIT - 1, "{name}: {published}");
        for (number, id) in users.iter().enumerate().take(LIMIT + 1).skip(LIMIT - 1) {
            remove(&client, id, number);
            assert_eq!(
                consumer.kinds(),
                if number == LIMIT - 1 { vec!["configuration.held"] } else { Vec::new() },
                "{name}"
            );
        }
        let found = hold(&operator, &client);
        assert_eq!((&found["state"], &found["reason"]), (&json!("held"), &json!("users")), "{name}");
        assert_eq!((&found["threshold"], &found["published"]), (&json!(LIMIT), &json!(LIMIT - 1)), "{name}");
        assert_eq!(found["counted"], LIMIT + 1, "{name}");
        assert_eq!(found["names"].as_array().unwrap().len(), LIMIT + 1, "{name}");
        assert!(found["names"].as_array().unwrap().contains(&json!("user-9@example.com")), "{name}: {found}");
    }
}

#[test]
fn one_bulk_request_is_held_at_the_right_operation() {
    let operator = App::shared().operator();
    let client = watched(&operator, "hold-in-bulk");
    let users = add_users(&client, 200);
    let mut consumer = Consumer::from_now(&operator.for_account("hold-in-bulk"));
    let deletions: Vec<Value> =
        users.iter().take(30).map(|id| json!({"method": "DELETE", "path": format!("/Users/{id}")})).collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": deletions});
    let done = client.post("/Bulk", &body).answered(200).json;
    assert!(done["Operations"].as_array().unwrap().iter().all(|one| one["status"] == "204"));
    // The 20th of 200.
    assert_eq!(kinds(&mut consumer).len(), 19);
    let found = hold(&operator, &client);
    assert_eq!((&found["threshold"], &found["counted"]), (&json!(20), &json!(30)));
}

#[test]
fn members_removed_by_one_request_or_by_many_are_held() {
    let operator = App::shared().operator();
    for form in ["one patch", "filters", "replacement", "empty replacement"] {
        let account = format!("hold-members-{}", form.replace(' ', "-"));
        let client = watched(&operator, &account);
        let users = add_users(&client, 70);
        let ids: Vec<&str> = users.iter().map(String::as_str).collect();
        let team = client.created("/Groups", &group("Team", &ids));
        let mut consumer = Consumer::from_now(&operator.for_account(&account));
        let group_path = format!("/Groups/{team}");
        let published = match form {
            "one patch" => {
                let values: Vec<Value> = ids[..60].iter().map(|id| json!({"value": id})).collect();
                client.patch(&group_path, &operation("remove", "members", &json!(values))).answered(200);
                0
            }
            "filters" => {
                for id in &ids[..60] {
                    let body = operations(&json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]));
                    client.patch(&group_path, &body).answered(200);
                }
                49
            }
            // A replacement that keeps a member does not count it.
            "replacement" => {
                client.put(&group_path, &group("Team", &ids[..21])).answered(200);
                client.put(&group_path, &group("Team", &ids[..20])).answered(200);
                1
            }
            _ => {
                client.patch(&group_path, &operation("replace", "members", &json!([]))).answered(200);
                0
            }
        };
        let events = kinds(&mut consumer);
        assert!(
            events.len() == published && events.iter().all(|kind| kind == "group.member_removed"),
            "{form}: {events:?}"
        );
        let found = hold(&operator, &client);
        assert_eq!((&found["state"], &found["reason"]), (&json!("held"), &json!("memberships")), "{form}");
        assert!(found["names"][0].as_str().unwrap().starts_with("Team: user-"), "{form}: {found}");
        reject(&operator, &client);
        let events = kinds(&mut consumer);
        assert!(events.iter().all(|kind| kind == "configuration.updated"), "{form}: {events:?}");
        let members = client.get(&group_path).answered(200).json["members"].as_array().unwrap().len();
        assert_eq!(members, if form == "filters" || form == "replacement" { 21 } else { 70 }, "{form}");
    }
}

#[test]
fn deleted_groups_are_counted_without_their_memberships() {
    let operator = App::shared().operator();
    let client = watched(&operator, "hold-groups");
    let users = add_users(&client, 30);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let groups: Vec<String> =
        (0..8).map(|number| client.created("/Groups", &group(&format!("G{number}"), &ids))).collect();
    let mut consumer = Consumer::from_now(&operator.for_account("hold-groups"));
    for id in &groups[..6] {
        client.delete(&format!("/Groups/{id}")).answered(204);
    }
    let found = hold(&operator, &client);
    assert_eq!((&found["reason"], &found["counted"], &found["published"]), (&json!("groups"), &json!(6), &json!(4)));
    assert_eq!(kinds(&mut consumer), ["group.deleted"; 4]);
    reject(&operator, &client);
    for (number, id) in groups.iter().enumerate() {
        let answer = client.get(&format!("/Groups/{id}"));
        if number < 4 {
            answer.refused(404, "");
        } else {
            assert_eq!(answer.answered(200).json["members"].as_array().unwrap().len(), 30, "{number}");
        }
    }
}

#[test]
fn nothing_of_a_held_configuration_reaches_the_application_and_only_operators_get_the_event() {
    let app = App::shared();
    let operator = app.operator();
    let client = watched(&operator, "hold-audience");
    let users = add_users(&client, LIMIT);
    let account = app.account_key("hold-audience", &["directory.read", "provisioning.read"]);
    let (mut of_operator, mut of_account) =
        (Consumer::from_now(&operator.for_account("hold-audience")), Consumer::from_now(&account));
    for id in &users {
        switch_off(&client, id);
    }
    client.created("/Users", &user("joiner@example.com"));
    assert!(of_operator.kinds().contains(&"configuration.held".to_owned()));
    assert_eq!(of_account.kinds(), vec!["user.deactivated"; LIMIT - 1]);
    let listed = all(&account, "/directory/resources/v1/users", "");
    assert_eq!(listed.len(), LIMIT);
    let active: Vec<&Value> = listed.iter().filter(|one| one["active"] == json!(true)).collect();
    assert_eq!(active.len(), 1);
    // The identity provider sees what it wrote.
    assert_eq!((is_active(&client, &users[LIMIT - 1]), client.count("/Users")), (false, LIMIT as u64 + 1));
    assert_eq!(hold(&account, &client)["state"], "held");
    let health = operator.get(&path(&client, "health")).answered(200).json;
    assert_eq!(health["held"], true);
    decide(&account, &client, &json!({"decision": "allow"})).problem(403);
    for (body, code) in [
        (json!({"decision": "allow-for"}), "hold_minutes_missing"),
        (json!({"decision": "allow", "minutes": 5}), "hold_minutes_unused"),
    ] {
        assert_eq!(decide(&operator, &client, &body).problem(400).json["errorCode"], code);
    }
    decide(&operator, &client, &json!({"decision": "allow-for", "minutes": 1_441})).problem(400);
    let allowed = decide(&operator, &client, &json!({"decision": "allow-for", "minutes": 30})).answered(200).json;
    assert_eq!(allowed["state"], "none");
    assert!(allowed["exemptUntil"].is_string());
    assert_eq!(of_account.kinds(), ["configuration.updated", "user.deactivated", "user.created"]);
    assert_eq!(
        decide(&operator, &client, &json!({"decision": "reject"})).problem(409).json["errorCode"],
        "configuration_not_held"
    );
    // Nothing is held now.
    let more = add_users_named(&client, "more", LIMIT + 5);
    for id in &more {
        switch_off(&client, id);
    }
    assert_eq!(state(&operator, &client), "none");
    let audit = all(&operator, "/directory/resources/v1/audit", &format!("&configuration={}", client.id));
    let decided = audit.iter().find(|entry| entry["action"] == "configuration.hold_decided").unwrap();
    assert_eq!(decided["after"], json!({"decision": "allow", "minutes": 30}));
}

fn add_users_named(client: &Client, prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| client.created("/Users", &user(&format!("{prefix}-{number}")))).collect()
}

#[test]
fn a_rejection_brings_back_what_was_removed_and_the_same_removal_holds_again() {
    let operator = App::shared().operator();
    let client = watched(&operator, "hold-reject");
    let users = add_users(&client, 30);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = client.created("/Groups", &group("Team", &ids));
    // Tombstones are kept during a hold, also without days for them.
    operator.patch(&path(&client, "settings"), &json!({"switches": {"tombstoneDays": 0}})).answered(200);
    for id in &users[..9] {
        switch_off(&client, id);
    }
    let mut consumer = Consumer::from_now(&operator.for_account("hold-reject"));
    for id in &users[9..20] {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    client.patch(&format!("/Users/{}", users[25]), &operation("replace", "title", &json!("T"))).answered(200);
    reject(&operator, &client);
    assert_eq!(kinds(&mut consumer), ["configuration.updated", "user.updated"]);
    for (number, id) in users.iter().enumerate() {
        assert_eq!(is_active(&client, id), number >= 9, "{number}");
    }
    assert_eq!(client.get(&format!("/Groups/{team}")).answered(200).json["members"].as_array().unwrap().len(), 30);
    client.delete(&format!("/Users/{}", users[15])).answered(204);
    let found = hold(&operator, &client);
    assert_eq!((&found["state"], &found["published"]), (&json!("held"), &json!(9)));
    assert!(kinds(&mut consumer).is_empty());
    reject(&operator, &client);
    assert!(is_active(&client, &users[15]));
}

#[test]
fn a_held_connection_is_named_by_the_doctor_the_metrics_and_the_command_line() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let client = watched(&operator, "acme");
    let users = add_users(&client, LIMIT);
    for id in &users {
        switch_off(&client, id);
    }
    let findings = app.rollcall(&["doctor", "--output", "json"]).stdout;
    let findings: Value = serde_json::from_slice(&findings).unwrap();
    assert!(findings.to_string().contains("changes are held: acme: "), "{findings}");
    let table = String::from_utf8(app.succeeds(&["hold", "show", &client.id])).unwrap();
    assert!(table.contains("held") && table.contains("10 users in 60 minutes"), "{table}");
    app.succeeds(&["hold", "reject", &client.id]);
    let printed: Value =
        serde_json::from_slice(&app.succeeds(&["hold", "show", &client.id, "--output", "json"])).unwrap();
    assert_eq!((&printed["state"], &printed["conflicts"]), (&json!("none"), &json!([])));
    assert!(is_active(&client, &users[9]) && !is_active(&client, &users[0]));
    assert!(!app.rollcall(&["hold", "allow", &client.id]).status.success());
}

#[test]
fn kills_during_a_decision_change_nothing_of_its_result() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let operator = app.operator();
    let client = watched(&operator, "acme");
    let users = add_users(&client, 400);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = client.created("/Groups", &group("Team", &ids));
    for id in &users[..300] {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    let start = Consumer::from_now(&operator).after;
    let asked = decide(&operator, &client, &json!({"decision": "reject"}));
    assert_eq!((asked.status, &asked.json["state"]), (202, &json!("releasing")));
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_millis(30));
        app.kill();
        app = App::start(data.path());
    }
    let operator = app.operator();
    let client = client.at(app.address);
    wait_until("the rejection is complete", || state(&operator, &client) == "none");
    // The first 39 were published.
    assert_eq!(client.count("/Users"), 361);
    let members = client.get(&format!("/Groups/{team}")).answered(200).json["members"].as_array().unwrap().len();
    assert_eq!(members, 361);
    let mut consumer = Consumer { caller: operator, after: start };
    let kinds = consumer.kinds();
    assert!(kinds.iter().all(|kind| kind == "configuration.updated"), "{kinds:?}");
}
