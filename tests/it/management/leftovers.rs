//! Leftovers of a deleted configuration, and their purge.

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::{Consumer, EVENTS};
use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{group, operation, user};

const LEFTOVERS: &str = "/directory/resources/v1/leftovers";
const USERS: &str = "/directory/resources/v1/users";

fn delete(operator: &Caller, id: &str) {
    operator.delete(&format!("{CONFIGURATIONS}/{id}")).answered(204);
}

#[test]
fn leftovers_are_listed_marked_and_purged() {
    let app = App::shared();
    let operator = app.operator();
    let account = operator.for_account("leaves");
    let client = operator.configuration("leaves", "okta");
    let user_id = client.created("/Users", &user("ada@example.com"));
    let team = client.created("/Groups", &group("Team", &[&user_id]));
    assert_eq!(all(&account, LEFTOVERS, ""), [] as [Value; 0]);
    operator.delete(&format!("{LEFTOVERS}/{}", client.id)).problem(404);
    delete(&operator, &client.id);

    let listed = all(&account, LEFTOVERS, "");
    assert_eq!(listed, all(&operator, LEFTOVERS, "&account=leaves&limit=1"));
    assert_eq!(listed.len(), 1);
    for (name, value) in [
        ("configurationId", json!(client.id)),
        ("accountId", json!("leaves")),
        ("users", json!(1)),
        ("groups", json!(1)),
    ] {
        assert_eq!(listed[0][name], value, "{name}");
    }
    assert!(listed[0]["deletedAt"].is_string());
    assert_eq!(all(&account, USERS, "")[0]["leftover"], true);
    operator.get(&format!("{CONFIGURATIONS}/{}/users", client.id)).problem(404);
    operator.for_account("other-account").delete(&format!("{LEFTOVERS}/{}", client.id)).problem(404);

    let mut consumer = Consumer::from_now(&account);
    let before = consumer.after;
    operator.delete(&format!("{LEFTOVERS}/{}", client.id)).answered(204);
    let events = consumer.rest();
    let reported: Vec<(&str, &Value)> =
        events.iter().map(|event| (event["kind"].as_str().unwrap(), &event["resourceId"])).collect();
    let expected =
        [("configuration.deleted", &Value::Null), ("group.deleted", &json!(team)), ("user.deleted", &json!(user_id))];
    assert_eq!(reported, expected);
    assert_eq!(events[2]["data"], json!({"purged": true}));
    assert_eq!(all(&account, USERS, ""), [] as [Value; 0]);
    assert_eq!(all(&account, LEFTOVERS, ""), [] as [Value; 0]);
    operator.get(&format!("{USERS}/{user_id}")).problem(404);
    operator.delete(&format!("{LEFTOVERS}/{}", client.id)).problem(404);

    // Earlier events of these resources are redacted, soon after the purge.
    let asked = format!("{EVENTS}?limit=1000&configuration={}", client.id);
    let said = || operator.for_account("leaves").get(&asked).json;
    let names = |whole: &Value| whole.to_string().contains("ada@example.com");
    let whole = (0..200).map(|_| said()).find(|whole| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        !names(whole)
    });
    let whole = whole.unwrap_or_else(said);
    assert!(!names(&whole), "{whole}");
    let early: Vec<&Value> =
        whole["events"].as_array().unwrap().iter().filter(|event| event["seq"].as_i64().unwrap() <= before).collect();
    assert_eq!(early.iter().filter(|event| event["data"] == json!({"redacted": true})).count(), 3);
}

#[test]
fn a_purge_of_a_paused_configuration_reports_only_published_resources() {
    let operator = App::shared().operator();
    let account = operator.for_account("purges-paused");
    let client = operator.configuration("purges-paused", "other");
    let (published, gone) = (client.created("/Users", &user("published")), client.created("/Users", &user("gone")));
    let pause = json!({"syncToUserManagement": false});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &pause).answered(204);
    client.created("/Users", &user("unknown"));
    client.patch(&format!("/Users/{published}"), &operation("replace", "nickName", &json!("N"))).answered(200);
    client.delete(&format!("/Users/{gone}")).answered(204);
    delete(&operator, &client.id);
    assert_eq!(ids(&all(&account, USERS, "")), [published.as_str(), &gone]);
    let mut consumer = Consumer::from_now(&account);
    operator.delete(&format!("{LEFTOVERS}/{}", client.id)).answered(204);
    let reported: Vec<Value> = consumer.rest().iter().skip(1).map(|event| event["resourceId"].clone()).collect();
    assert_eq!(reported, [json!(published), json!(gone)]);
    assert_eq!(all(&account, USERS, ""), [] as [Value; 0]);
}

#[test]
fn a_large_purge_continues_after_the_answer_until_no_user_is_left() {
    let operator = App::shared().operator();
    let account = operator.for_account("purges-many");
    let client = operator.configuration("purges-many", "other");
    for start in 0..6 {
        let operations: Vec<Value> = (0..500)
            .map(|one| json!({"method": "POST", "path": "/Users", "bulkId": format!("b{one}"), "data": user(&format!("user {start} {one}"))}))
            .collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
        client.post("/Bulk", &body).answered(200);
    }
    let mut consumer = Consumer::from_now(&account);
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", client.id)).answered(204);
    assert_eq!(all(&account, LEFTOVERS, ""), [] as [Value; 0]);
    let mut deleted = 0;
    while deleted < 3_000 {
        let (events, _) = consumer.page("&limit=1000&wait=20");
        assert!(!events.is_empty(), "{deleted}");
        deleted += events.iter().filter(|event| event["kind"] == "user.deleted").count();
    }
    assert_eq!(deleted, 3_000);
    assert_eq!(all(&account, USERS, ""), [] as [Value; 0]);
}
