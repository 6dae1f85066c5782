//! Leftovers of a deleted configuration, and their purge.

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::{Consumer, EVENTS};
use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::Browser;
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
    operator.delete(&format!("{LEFTOVERS}/{}", client.id)).answered(204);
    let events = consumer.rest();
    let first = events[0]["seq"].as_i64().unwrap();
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
        whole["events"].as_array().unwrap().iter().filter(|event| event["seq"].as_i64().unwrap() < first).collect();
    let redacted = early.iter().filter(|event| event["data"] == json!({"redacted": true}));
    let versions: Vec<&Value> = redacted.map(|event| &event["version"]).collect();
    assert_eq!(versions, [1, 1, 1], "events stay without data");
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

/// The routes on which a deletion can ask for a purge.
#[derive(Clone, Copy, Debug)]
enum DeletionRoute {
    Api,
    CommandLine,
    Portal,
}

/// Deletes a connection on a route. Returns whether the route found something to delete.
fn deletes_on(route: DeletionRoute, owner: &mut Browser, id: &str, name: &str, purge: bool) -> bool {
    let app = App::shared();
    match route {
        DeletionRoute::Api => {
            let reply = app.operator().delete(&format!("{CONFIGURATIONS}/{id}?purge={purge}"));
            assert!([204, 404].contains(&reply.status), "{}", reply.status);
            reply.status == 204
        }
        DeletionRoute::CommandLine => {
            let options: &[&str] = if purge { &["--yes", "--purge"] } else { &["--yes"] };
            let done = app.rollcall(&[&["configuration", "delete", id], options].concat());
            let problem = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success() || problem.contains("there is no configuration"), "{problem}");
            done.status.success()
        }
        DeletionRoute::Portal => {
            let fields: &[(&str, &str)] = if purge { &[("name", name), ("purge", "on")] } else { &[("name", name)] };
            let page = owner.submit(&format!("/connections/{id}/delete"), fields);
            assert!([200, 404].contains(&page.status), "{}", page.status);
            page.status == 200
        }
    }
}

#[test]
fn a_deletion_and_a_purge_have_the_same_result_on_every_route() {
    let app = App::shared();
    let operator = app.operator();
    let mut owner = Browser::owner(app);
    for route in [DeletionRoute::Api, DeletionRoute::CommandLine, DeletionRoute::Portal] {
        let account = format!("routes-{route:?}").to_lowercase();
        let connection = || {
            let client = operator.configuration(&account, "okta");
            client.created("/Users", &user("ada@example.com"));
            let name =
                operator.get(&format!("{CONFIGURATIONS}/{}", client.id)).answered(200).text("connectionName").clone();
            (client, name)
        };
        let leftovers = || all(&operator.for_account(&account), LEFTOVERS, "").len();

        let (client, name) = connection();
        assert!(deletes_on(route, &mut owner, &client.id, &name, true), "{route:?}: a live one with purge");
        client.get("/Users").refused(401, "");
        assert_eq!(leftovers(), 0, "{route:?}");
        for purge in [true, false] {
            assert!(!deletes_on(route, &mut owner, &client.id, &name, purge), "{route:?}: nothing is left");
        }

        let mut consumer = Consumer::from_now(&operator.for_account(&account));
        let (client, name) = connection();
        assert!(deletes_on(route, &mut owner, &client.id, &name, false), "{route:?}: a live one");
        client.get("/Users").refused(401, "");
        assert_eq!(leftovers(), 1, "{route:?}");
        assert!(!deletes_on(route, &mut owner, &client.id, &name, false), "{route:?}: a deleted one");
        assert_eq!(leftovers(), 1, "{route:?}");
        assert!(deletes_on(route, &mut owner, &client.id, &name, true), "{route:?}: a deleted one with purge");
        assert_eq!(leftovers(), 0, "{route:?}");
        assert!(!deletes_on(route, &mut owner, &client.id, &name, true), "{route:?}: nothing is left");
        let kinds: Vec<String> = consumer
            .rest()
            .iter()
            .filter(|event| event["kind"] == "configuration.deleted")
            .map(|event| event["data"]["purged"].to_string())
            .collect();
        assert_eq!(kinds, ["false", "true"], "{route:?}");
    }
}
