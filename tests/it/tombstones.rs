//! Tombstones: deleted users and groups are listed and restored with the same id, in every state of their configuration.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, rollcall, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::management::directory::all;
use crate::management::events::Consumer;
use crate::sample::{ENTERPRISE, encode, group, operation, user, user_with};

/// Members that one step of a large deletion removes.
const STEP_MEMBERS: usize = 2_000;

fn deleted_path(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/deleted", client.id)
}

fn list_deleted(operator: &Caller, client: &Client, query: &str) -> Vec<Value> {
    all(operator, &deleted_path(client), query)
}

fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn restore(operator: &Caller, client: &Client, id: &str) -> Reply {
    operator.post(&format!("{}/{id}/restore", deleted_path(client)), &json!({}))
}

fn restore_range(operator: &Caller, client: &Client, range: &Value) -> Value {
    operator.post(&format!("{}/restore", deleted_path(client)), range).answered(200).json
}

fn change_switches(operator: &Caller, client: &Client, switches: &Value) {
    let path = format!("{CONFIGURATIONS}/{}/settings", client.id);
    operator.patch(&path, &json!({"switches": switches})).answered(200);
}

fn sync(operator: &Caller, client: &Client, sync: bool) {
    let body = json!({"syncToUserManagement": sync});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
}

fn member_ids(client: &Client, group: &str) -> BTreeSet<String> {
    let document = client.get(&format!("/Groups/{group}")).answered(200).json;
    let members = document["members"].as_array().into_iter().flatten();
    members.map(|member| member["value"].as_str().unwrap().to_owned()).collect()
}

fn as_set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn count_rows(data: &Path, table: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(data.join("rollcall.db"), flags).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn version_number(tag: &str) -> i64 {
    tag.trim_start_matches("W/").trim_matches('"').split('.').next().unwrap().parse().unwrap()
}

#[test]
fn a_deleted_user_returns_with_its_id_its_attributes_and_its_groups() {
    let operator = App::shared().operator();
    let client = operator.configuration("restores", "other");
    let more = json!({"externalId": "e-1", "displayName": "Ada", "active": true,
        "emails": [{"value": "ada@example.com", "type": "work"}], ENTERPRISE: {"department": "D"}});
    let ada = client.created("/Users", &user_with("Ada@example.com", &more));
    let (one, two) =
        (client.created("/Groups", &group("One", &[&ada])), client.created("/Groups", &group("Two", &[&ada])));
    let path = format!("/Users/{ada}");
    let before = client.get(&path).answered(200);
    let deleted = client.delete(&path).answered(204);
    client.get(&path).refused(404, "");
    assert_eq!(client.count("/Users"), 0);

    let listed = list_deleted(&operator, &client, "");
    assert_eq!(listed.len(), 1);
    let tokens = all(&operator, &format!("{CONFIGURATIONS}/{}/tokens", client.id), "");
    for (name, value) in [
        ("id", json!(ada)),
        ("resourceType", json!("User")),
        ("name", json!("Ada@example.com")),
        ("displayName", json!("Ada")),
        ("externalId", json!("e-1")),
        ("requestId", json!(deleted.header("x-request-id"))),
        ("tokenId", tokens[0]["id"].clone()),
        ("tokenLabel", tokens[0]["label"].clone()),
    ] {
        assert_eq!(listed[0][name], value, "{name}");
    }
    assert!(listed[0]["deletedAt"].as_str().unwrap() < listed[0]["expiresAt"].as_str().unwrap());

    let mut consumer = Consumer::from_now(&operator.for_account("restores"));
    let restored = restore(&operator, &client, &ada).answered(200).json;
    assert_eq!(restored, json!({"id": ada, "resourceType": "User", "version": 2, "membershipsPending": false}));
    let after = client.get(&path).answered(200);
    assert_ne!(after.version(), before.version());
    assert!(after.json["meta"]["lastModified"].as_str() > before.json["meta"]["lastModified"].as_str());
    assert_eq!(after.json["meta"]["created"], before.json["meta"]["created"]);
    let without_meta = |reply: &Reply| {
        let mut document = reply.json.clone();
        document.as_object_mut().unwrap().remove("meta");
        document
    };
    assert_eq!(without_meta(&after), without_meta(&before));
    for group in [&one, &two] {
        assert_eq!(member_ids(&client, group), as_set(&[&ada]));
    }
    let events = consumer.rest();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["user.restored", "group.member_added", "group.member_added"]);
    assert_eq!((&events[0]["resourceId"], &events[0]["version"]), (&json!(ada), &json!(2)));
    assert_eq!(events[0]["data"]["after"]["userName"], "Ada@example.com");
    assert_eq!(client.find("/Users", "emails.value eq \"ADA@example.com\"").len(), 1);
    assert_eq!(list_deleted(&operator, &client, ""), [] as [Value; 0]);
    restore(&operator, &client, &ada).problem(404);
    let audit =
        all(&operator, "/directory/resources/v1/audit", &format!("&configuration={}&action=resource", client.id));
    assert_eq!((&audit[0]["action"], &audit[0]["subjectId"]), (&json!("resource.restored"), &json!(ada)));
    // The deletion is not in the list of deletions any more, and the user is in the list of changes.
    assert_eq!(all(&operator, "/directory/resources/v1/deletions", &format!("&configuration={}", client.id)).len(), 0);
    // It can be changed and deleted again.
    client.patch(&path, &operation("replace", "title", &json!("T"))).answered(200);
    client.delete(&path).answered(204);
    assert_eq!(restore(&operator, &client, &ada).answered(200).json["version"], 4);
    assert_eq!(client.get(&path).answered(200).json["title"], "T");
}

#[test]
fn a_group_returns_with_its_members_and_in_its_groups() {
    let operator = App::shared().operator();
    let client = operator.configuration("restores-groups", "other");
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    let team = client.created("/Groups", &group("Team", &[&ada, &bob]));
    let outer = client.created("/Groups", &group("Outer", &[&team]));
    client.delete(&format!("/Groups/{team}")).answered(204);
    client.delete(&format!("/Users/{bob}")).answered(204);
    let mut consumer = Consumer::from_now(&operator.for_account("restores-groups"));
    restore(&operator, &client, &team).answered(200);
    assert_eq!(consumer.kinds(), ["group.restored", "group.member_added", "group.member_added"]);
    assert_eq!((member_ids(&client, &team), member_ids(&client, &outer)), (as_set(&[&ada]), as_set(&[&team])));
    // The membership of a user that was deleted after the group returns with the user.
    restore(&operator, &client, &bob).answered(200);
    assert_eq!(member_ids(&client, &team), as_set(&[&ada, &bob]));
    assert_eq!(consumer.kinds(), ["user.restored", "group.member_added"]);
}

#[test]
fn a_group_has_all_its_members_at_once_if_they_were_restored_before_it() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-order", "other");
    let users: Vec<String> =
        (0..20).map(|number| client.created("/Users", &user_with(&format!("u{number}"), &json!({})))).collect();
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = client.created("/Groups", &group("Team", &ids));
    for id in &ids[..5] {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    client.delete(&format!("/Groups/{team}")).answered(204);
    for id in &ids[..5] {
        restore(&operator, &client, id).answered(200);
    }
    let restored = restore(&operator, &client, &team).answered(200);
    assert_eq!(restored.json["membershipsPending"], false);
    assert_eq!(member_ids(&client, &team), as_set(&ids));
}

#[test]
fn a_name_that_is_in_use_meanwhile_is_a_conflict_and_changes_nothing() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-conflicts", "other");
    let ada = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&ada]));
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.delete(&format!("/Groups/{team}")).answered(204);
    let other = client.created("/Users", &user("ADA"));
    let second = client.created("/Groups", &group("team", &[]));
    let mut consumer = Consumer::from_now(&operator.for_account("restore-conflicts"));
    for (id, code) in [(&ada, "user_name_taken"), (&team, "group_name_taken")] {
        assert_eq!(restore(&operator, &client, id).problem(409).json["errorCode"], code);
    }
    let result = restore_range(&operator, &client, &json!({"since": "2020-01-01T00:00:00Z"}));
    assert_eq!(result["restored"], 0);
    let conflicts: BTreeSet<(&str, &str)> = result["conflicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(conflicts, BTreeSet::from([(&*ada, "user_name_taken"), (&*team, "group_name_taken")]));
    assert_eq!((consumer.kinds(), result["nextCursor"].clone()), (Vec::new(), Value::Null));
    assert_eq!(list_deleted(&operator, &client, "").len(), 2);
    // The name is free again.
    client.delete(&format!("/Users/{other}")).answered(204);
    client.delete(&format!("/Groups/{second}")).answered(204);
    restore(&operator, &client, &ada).answered(200);
    restore(&operator, &client, &team).answered(200);
    assert_eq!(member_ids(&client, &team), as_set(&[&ada]));
}

#[test]
fn deleted_users_and_groups_are_searched_page_by_page() {
    let operator = App::shared().operator();
    let client = operator.configuration("deleted-lists", "other");
    let mut ids = Vec::new();
    for number in 0..5 {
        let more = json!({"externalId": format!("Ext-{number}"), "displayName": format!("Größe {number}")});
        ids.push(client.created("/Users", &user_with(&format!("user-{number}"), &more)));
    }
    let team = client.created("/Groups", &group("Team", &[]));
    for id in &ids {
        client.delete(&format!("/Users/{id}")).answered(204);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    client.delete(&format!("/Groups/{team}")).answered(204);
    let list = |query: &str| list_deleted(&operator, &client, query);
    let everything = ["Team", "user-4", "user-3", "user-2", "user-1", "user-0"];
    assert_eq!(names(&list("")), everything);
    for limit in 1..4 {
        assert_eq!(names(&list(&format!("&limit={limit}"))), everything);
        assert_eq!(names(&list(&format!("&limit={limit}&type=User"))), everything[1..]);
        assert_eq!(names(&list(&format!("&limit={limit}&text=USER-"))), everything[1..]);
    }
    assert_eq!(names(&list("&type=Group")), ["Team"]);
    assert_eq!(names(&list("&text=ext-3")), ["user-3"]);
    assert_eq!(names(&list(&format!("&text={}", encode("GRÖSSE 1")))), ["user-1"]);
    assert_eq!(names(&list("&text=nothing")), [""; 0]);
    let items = list("");
    let time = |at: usize| encode(items[at]["deletedAt"].as_str().unwrap());
    assert_eq!(names(&list(&format!("&since={}", time(2)))), everything[..3]);
    assert_eq!(names(&list(&format!("&until={}", time(2)))), everything[3..]);
    assert_eq!(names(&list(&format!("&since={}&until={}&limit=1", time(4), time(2)))), everything[3..5]);
    for (query, code) in [
        ("type=Device", "query_invalid"),
        ("text=", "search_text_length"),
        ("since=yesterday", "timestamp_invalid"),
        ("cursor=x", "cursor_not_issued"),
        ("limit=0", "number_out_of_range"),
        ("tpye=User", "query_parameter_unknown"),
    ] {
        let refused = operator.get(&format!("{}?{query}", deleted_path(&client))).problem(400);
        assert_eq!(refused.json["errorCode"], code, "{query}");
    }
}

#[test]
fn those_of_a_time_range_are_restored_in_several_calls() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-ranges", "other");
    let early = client.created("/Users", &user("early"));
    client.delete(&format!("/Users/{early}")).answered(204);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let ids: Vec<String> = (0..130).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let team = client.created("/Groups", &group("Team", &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    // By Bulk: the tombstones are the same.
    let items: Vec<Value> = ids.iter().map(|id| json!({"method": "DELETE", "path": format!("/Users/{id}")})).collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items});
    let bulk = client.post("/Bulk", &body).answered(200);
    client.delete(&format!("/Groups/{team}")).answered(204);
    client.created("/Users", &user("u7"));
    let listed = list_deleted(&operator, &client, "");
    assert_eq!(listed.len(), 132);
    assert_eq!(listed[1]["requestId"], bulk.header("x-request-id"));
    let since = listed[130]["deletedAt"].clone();
    let (mut restored, mut conflicts, mut cursor, mut calls) = (0, Vec::new(), Value::Null, 0);
    loop {
        let result = restore_range(&operator, &client, &json!({"since": since, "cursor": cursor}));
        restored += result["restored"].as_u64().unwrap();
        conflicts.extend(result["conflicts"].as_array().unwrap().clone());
        (cursor, calls) = (result["nextCursor"].clone(), calls + 1);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((restored, calls), (130, 2));
    assert_eq!(conflicts, [json!({"id": ids[7], "reason": "user_name_taken"})]);
    assert_eq!(member_ids(&client, &team).len(), 129);
    assert_eq!(list_deleted(&operator, &client, "").len(), 2);
    for body in [json!({}), json!({"since": "x"}), json!({"since": "2020-01-01T00:00:00Z", "type": "Device"})] {
        operator.post(&format!("{}/restore", deleted_path(&client)), &body).problem(400);
    }
    let types = json!({"since": "2020-01-01T00:00:00Z", "type": "Group"});
    assert_eq!(restore_range(&operator, &client, &types)["restored"], 0);
}

#[test]
fn a_repeated_restore_with_an_idempotency_key_has_no_further_effect() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-idempotency", "other");
    let ada = client.created("/Users", &user("ada"));
    client.delete(&format!("/Users/{ada}")).answered(204);
    let send = || {
        let request = operator.request("POST", &format!("{}/{ada}/restore", deleted_path(&client)));
        request.header("Idempotency-Key", "a-key-of-a-restore").send().answered(200)
    };
    let (first, second) = (send(), send());
    assert_eq!((first.json, second.header("idempotent-replayed")), (second.json.clone(), "true"));
    assert_eq!(client.count("/Users"), 1);
}

#[test]
fn other_accounts_and_callers_without_permission_restore_nothing() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("restore-owner", "other");
    let ada = client.created("/Users", &user("ada"));
    client.delete(&format!("/Users/{ada}")).answered(204);
    operator.configuration("restore-other", "other");
    let foreign = app.account_key("restore-other", &[]);
    foreign.get(&deleted_path(&client)).problem(404);
    restore(&foreign, &client, &ada).problem(404);
    foreign.post(&format!("{}/restore", deleted_path(&client)), &json!({"since": "2020-01-01T00:00:00Z"})).problem(404);
    let reader = app.account_key("restore-owner", &["provisioning.read", "directory.read"]);
    assert_eq!(list_deleted(&reader, &client, "").len(), 1);
    restore(&reader, &client, &ada).problem(403);
    // An id of another configuration of the same account.
    let second = operator.configuration("restore-owner", "okta");
    restore(&operator, &second, &ada).problem(404);
    restore(&app.account_key("restore-owner", &[]), &client, &ada).answered(200);
}

#[test]
fn a_restore_during_a_pause_is_published_with_its_end() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-pauses", "other");
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    let team = client.created("/Groups", &group("Team", &[&ada, &bob]));
    client.delete(&format!("/Users/{ada}")).answered(204);
    sync(&operator, &client, false);
    client.delete(&format!("/Users/{bob}")).answered(204);
    let mut consumer = Consumer::from_now(&operator.for_account("restore-pauses"));
    restore(&operator, &client, &ada).answered(200);
    restore(&operator, &client, &bob).answered(200);
    assert_eq!(member_ids(&client, &team), as_set(&[&ada, &bob]));
    assert_eq!(consumer.kinds(), [""; 0]);
    sync(&operator, &client, true);
    let events = consumer.rest();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["configuration.updated", "user.created", "group.member_added"]);
    assert_eq!(events[1]["resourceId"], ada);
    assert_eq!(events[2]["data"]["members"][0]["value"], ada);
    assert_eq!(events[2]["data"]["members"].as_array().unwrap().len(), 1);
}

#[test]
fn a_purge_removes_tombstones_and_the_deletion_of_a_configuration_leaves_them() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let client = operator.configuration("purges-tombstones", "other");
    let ada = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&ada]));
    client.delete(&format!("/Groups/{team}")).answered(204);
    client.delete(&format!("/Users/{ada}")).answered(204);
    assert_eq!((count_rows(data.path(), "tombstones"), count_rows(data.path(), "tombstone_members")), (2, 1));
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);
    restore(&operator, &client, &ada).problem(404);
    let leftovers = "/directory/resources/v1/leftovers";
    let listed = all(&operator, leftovers, "");
    assert_eq!((listed.len(), &listed[0]["users"], &listed[0]["groups"]), (1, &json!(0), &json!(0)));
    operator.delete(&format!("{leftovers}/{}", client.id)).answered(204);
    assert_eq!((count_rows(data.path(), "tombstones"), count_rows(data.path(), "tombstone_members")), (0, 0));
    assert_eq!(all(&operator, leftovers, "").len(), 0);
    operator.delete(&format!("{leftovers}/{}", client.id)).problem(404);
    app.kill();
    assert!(rollcall(data.path(), &["check", "--deep"]).status.success());
}

#[test]
fn a_configuration_without_tombstone_days_stores_nothing_of_a_deletion() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let client = operator.configuration("no-tombstones", "other");
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    client.created("/Groups", &group("Team", &[&ada, &bob]));
    client.delete(&format!("/Users/{ada}")).answered(204);
    change_switches(&operator, &client, &json!({"tombstoneDays": 0}));
    // What was stored before cannot be restored any more, and a job removes it.
    assert_eq!(list_deleted(&operator, &client, ""), [] as [Value; 0]);
    restore(&operator, &client, &ada).problem(404);
    client.delete(&format!("/Users/{bob}")).answered(204);
    assert_eq!(count_rows(data.path(), "tombstones"), 1);
    change_switches(&operator, &client, &json!({"tombstoneDays": 365}));
    assert_eq!(names(&list_deleted(&operator, &client, "")), ["ada"]);
    let settings = format!("{CONFIGURATIONS}/{}/settings", client.id);
    let refused = operator.patch(&settings, &json!({"switches": {"tombstoneDays": 366}})).problem(400);
    assert_eq!(refused.json["errorCode"], "number_out_of_range");
    // A preset does not change how long deleted users are stored.
    let changed = operator.patch(&settings, &json!({"preset": "okta"})).answered(200).json;
    assert_eq!(changed["switches"]["tombstoneDays"], 365);
}

#[test]
fn a_deleted_user_that_the_provider_creates_again_has_the_same_id_if_the_switch_is_on() {
    let operator = App::shared().operator();
    let client = operator.configuration("revives", "other");
    let create = |name: &str, external_id: &str| {
        let more = json!({"externalId": external_id, "title": name});
        client.post("/Users", &user_with(name, &more)).answered(201)
    };
    let first = create("ada", "e-1");
    let team = client.created("/Groups", &group("Team", &[&first.id()]));
    let delete = |id: &str| client.delete(&format!("/Users/{id}")).answered(204);
    delete(&first.id());
    let second = create("ada", "e-2");
    assert_ne!(second.id(), first.id());
    delete(&second.id());
    change_switches(&operator, &client, &json!({"reviveDeleted": true}));
    let mut consumer = Consumer::from_now(&operator.for_account("revives"));
    // The newest of that name.
    let third = create("ADA", "e-3");
    assert_eq!((third.id(), third.json["title"].as_str()), (second.id(), Some("ADA")));
    assert!(version_number(&third.version()) > version_number(&second.version()));
    // Another name, but the same externalId.
    let fourth = create("lovelace", "e-1");
    assert_eq!(fourth.id(), first.id());
    assert_eq!(member_ids(&client, &team), as_set(&[&first.id()]));
    assert_eq!(consumer.kinds(), ["user.restored", "user.restored", "group.member_added"]);
    wait_until("the log has a note", || {
        let calls = all(&operator, &format!("{CONFIGURATIONS}/{}/requests", client.id), "&method=POST&status=ok");
        calls.iter().any(|call| call["notes"].to_string().contains("brought back"))
    });
    // A group has the members of the request.
    client.delete(&format!("/Groups/{team}")).answered(204);
    assert_eq!(client.created("/Groups", &group("TEAM", &[&second.id()])), team);
    assert_eq!(member_ids(&client, &team), as_set(&[&second.id()]));
    // A name in use is a conflict as ever.
    delete(&first.id());
    client.post("/Users", &user_with("ada", &json!({"externalId": "e-1"}))).refused(409, "uniqueness");
    assert_eq!(names(&list_deleted(&operator, &client, "")), ["lovelace"]);
}

#[test]
fn a_password_returns_with_its_user() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-passwords", "other");
    change_switches(&operator, &client, &json!({"passwords": "verify"}));
    let ada = client.created("/Users", &user_with("ada", &json!({"password": "correct horse battery"})));
    client.delete(&format!("/Users/{ada}")).answered(204);
    restore(&operator, &client, &ada).answered(200);
    let path = format!("{CONFIGURATIONS}/{}/users/{ada}/password/verify", client.id);
    let verdict = operator.post(&path, &json!({"password": "correct horse battery"})).answered(200).json;
    assert_eq!(verdict["valid"], true);
    // A configuration that stops storing passwords forgets those of deleted users, too.
    client.delete(&format!("/Users/{ada}")).answered(204);
    for passwords in ["ignore", "verify"] {
        change_switches(&operator, &client, &json!({"passwords": passwords}));
    }
    restore(&operator, &client, &ada).answered(200);
    let verdict = operator.post(&path, &json!({"password": "correct horse battery"})).answered(200).json;
    assert_eq!(verdict["valid"], false);
}

#[test]
fn references_to_deleted_users_do_not_return() {
    let operator = App::shared().operator();
    let client = operator.configuration("restore-managers", "other");
    let boss = client.created("/Users", &user("boss"));
    let ada = client
        .created("/Users", &user_with("ada", &json!({ENTERPRISE: {"manager": {"value": boss}, "department": "D"}})));
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.delete(&format!("/Users/{boss}")).answered(204);
    restore(&operator, &client, &ada).answered(200);
    let found = client.get(&format!("/Users/{ada}")).answered(200).json;
    assert_eq!(found[ENTERPRISE], json!({"department": "D"}));
}

#[test]
fn the_command_line_lists_and_restores() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let ids: Vec<String> = (0..3).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    for id in &ids {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    let list = |flags: &[&str]| -> Vec<Value> {
        let arguments = [&["deleted", "list", client.id.as_str(), "--output", "json"][..], flags].concat();
        serde_json::from_slice(&app.succeeds(&arguments)).unwrap()
    };
    assert_eq!(names(&list(&["--text", "U1"])), ["u1"]);
    assert_eq!((list(&["--since", "1h", "--limit", "2"]).len(), list(&["--until", "1h"]).len()), (2, 0));
    assert!(String::from_utf8(app.succeeds(&["deleted", "list", &client.id])).unwrap().contains(&ids[2]));
    app.succeeds(&["deleted", "restore", &client.id, &ids[1]]);
    assert_eq!(client.count("/Users"), 1);
    let taken = client.created("/Users", &user("u0"));
    let output = app.rollcall(&["deleted", "restore", &client.id, "--since", "1h", "--type", "user"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{}: user_name_taken", ids[0])), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("restored 1"));
    client.delete(&format!("/Users/{taken}")).answered(204);
    for wrong in [&["deleted", "restore", &client.id][..], &["deleted", "restore", &client.id, "x"]] {
        assert_eq!(app.rollcall(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!app.rollcall(&["deleted", "restore", &client.id, &client.id]).status.success());
}

/// The rows that a deletion writes for its tombstone do not depend on the number of memberships.
#[test]
fn a_deletion_stores_one_row_and_one_for_its_memberships() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let ids: Vec<String> = (0..20).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let groups: Vec<String> =
        (0..10).map(|number| client.created("/Groups", &group(&format!("g{number}"), &members))).collect();
    let alone = client.created("/Users", &user("alone"));
    let count = || (count_rows(data.path(), "tombstones"), count_rows(data.path(), "tombstone_members"));
    client.delete(&format!("/Users/{alone}")).answered(204);
    assert_eq!(count(), (1, 0));
    client.delete(&format!("/Users/{}", ids[0])).answered(204);
    assert_eq!(count(), (2, 1));
    client.delete(&format!("/Groups/{}", groups[0])).answered(204);
    assert_eq!(count(), (3, 2));
}

#[test]
fn a_large_group_that_is_killed_during_its_restore_has_all_members_after_the_start() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let client = app.configuration("other");
    let count = 5 * STEP_MEMBERS;
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let items: Vec<Value> = (ids.len()..ids.len() + 500)
            .map(|n| json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": user(&format!("u{n}"))}))
            .collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items});
        let answer = client.post("/Bulk", &body).answered(200).json;
        let locations = answer["Operations"].as_array().unwrap().iter().map(|item| item["location"].as_str().unwrap());
        ids.extend(locations.map(|location| location.rsplit('/').next().unwrap().to_owned()));
    }
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let team = client.post("/Groups?attributes=id", &group("large", &members)).answered(201).id();
    client.delete(&format!("/Groups/{team}")).answered(204);
    let restored = restore(&app.operator(), &client, &team).answered(200).json;
    assert_eq!(restored["membershipsPending"], true);
    app.kill();
    app = App::start(data.path());
    let client = client.at(app.address);
    wait_until("all members return", || member_ids(&client, &team).len() == count);
    // The deletion of a group whose members are returning ends that, and loses nothing.
    client.delete(&format!("/Groups/{team}")).answered(204);
    restore(&app.operator(), &client, &team).answered(200);
    client.delete(&format!("/Groups/{team}")).answered(204);
    restore(&app.operator(), &client, &team).answered(200);
    wait_until("all members return", || member_ids(&client, &team).len() == count);
    wait_until("no tombstone is left", || count_rows(data.path(), "tombstones") == 0);
    app.kill();
    let output = rollcall(data.path(), &["check", "--deep"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_a_configuration_changed_since_a_time_is_undone() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("undoing", "other");
    let [ada, bob, cleo] = ["ada", "bob", "cleo"].map(|name| client.created("/Users", &user(name)));
    let team = client.created("/Groups", &group("Team", &[&ada, &bob, &cleo]));
    std::thread::sleep(std::time::Duration::from_millis(2));
    let since = rollcall::clock::format_rfc3339(rollcall::clock::current_millis());
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.patch(&format!("/Users/{bob}"), &operation("replace", "active", &json!(false))).answered(200);
    let leaves = json!([{"value": cleo}]);
    client.patch(&format!("/Groups/{team}"), &operation("remove", "members", &leaves)).answered(200);
    let path = format!("{CONFIGURATIONS}/{}/undo", client.id);
    operator.get(&path).problem(404);
    let preview = operator.post(&path, &json!({"since": since, "preview": true})).answered(200).json;
    let counts = json!({"restored": 1, "activated": 1, "deactivated": 0, "membersAdded": 1, "membersRemoved": 0,
        "conflicts": 0});
    assert_eq!((&preview["state"], &preview["counts"], &preview["isCut"]), (&json!("preview"), &counts, &json!(false)));
    assert_eq!(preview["names"][0], json!({"name": "ada", "change": "restored"}));
    let printed = String::from_utf8(app.succeeds(&["undo", &client.id, "--since", &since, "--preview"])).unwrap();
    assert!(printed.contains("ada") && printed.contains("restored"), "{printed}");
    let mut consumer = Consumer::from_now(&operator.for_account("undoing"));
    let started = operator.post(&path, &json!({"since": since})).answered(202);
    wait_until("the undo has ended", || operator.get(&path).answered(200).json["state"] == "done");
    assert_eq!(operator.get(&path).answered(200).json["counts"], counts);
    assert_eq!(member_ids(&client, &team), as_set(&[&ada, &bob, &cleo]));
    let kinds = consumer.kinds();
    assert_eq!(kinds, ["user.restored", "group.member_added", "user.reactivated", "group.member_added"]);
    let audit = all(&operator, "/directory/resources/v1/audit", &format!("&configuration={}", client.id));
    let entry = audit.iter().find(|entry| entry["action"] == "configuration.undone").unwrap();
    assert_eq!(entry["requestId"], json!(started.header("x-request-id")));
    operator.post(&path, &json!({"since": "2020-01-01T00:00:00Z"})).problem(400);
}
