//! Pausing a configuration: what the operator's application sees meanwhile, and how it catches up.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::Consumer;
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{group, operation, user};

fn sync(operator: &Caller, client: &Client, sync: bool) {
    let body = json!({"syncToUserManagement": sync});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
}

/// Everything the account can be read as, in one value.
fn published(caller: &Caller) -> Value {
    let groups = all(caller, "/directory/resources/v1/groups", "");
    let members: Vec<Vec<Value>> = groups
        .iter()
        .map(|group| {
            let id = group["id"].as_str().unwrap();
            all(caller, &format!("/directory/resources/v1/groups/{id}/members"), "")
        })
        .collect();
    json!({"users": all(caller, "/directory/resources/v1/users", ""), "groups": groups, "members": members})
}

#[test]
fn what_a_paused_configuration_does_is_seen_by_its_provider_and_by_nobody_else_until_it_goes_on() {
    let operator = App::shared().operator();
    let client = operator.configuration("paused", "other");
    let account = operator.of("paused");
    let (changes, goes) = (client.created("/Users", &user("changes")), client.created("/Users", &user("goes")));
    let team = client.created("/Groups", &group("Team", &[&changes, &goes]));
    let quiet = client.created("/Groups", &group("Quiet", &[]));
    sync(&operator, &client, false);
    let mut consumer = Consumer::from_now(&account);
    let before = published(&account);

    let new = client.created("/Users", &user("new"));
    client.patch(&format!("/Users/{changes}"), &operation("replace", "displayName", &json!("Changed"))).answered(200);
    client.patch(&format!("/Users/{changes}"), &operation("replace", "active", &json!(false))).answered(200);
    client.delete(&format!("/Users/{goes}")).answered(204);
    let joins = json!([{"value": new}]);
    for group in [&team, &quiet] {
        client.patch(&format!("/Groups/{group}"), &operation("add", "members", &joins)).answered(200);
    }

    assert_eq!(consumer.kinds(), [] as [&str; 0]);
    assert_eq!(published(&account), before);
    let one = |of: &str, id: &str| account.get(&format!("/directory/resources/v1/{of}/{id}"));
    one("users", &new).problem(404);
    one("users", &goes).answered(200);
    assert_eq!(one("users", &changes).answered(200).json["displayName"], Value::Null);
    assert_eq!(client.get(&format!("/Users/{changes}")).answered(200).json["displayName"], "Changed");
    let current = |what: &str| all(&operator, &format!("{CONFIGURATIONS}/{}/{what}", client.id), "");
    assert_eq!(ids(&current("users")), [changes.as_str(), &new]);
    assert_eq!(ids(&current(&format!("groups/{team}/members"))), [changes.as_str(), &new]);

    sync(&operator, &client, true);
    let expected = [
        "configuration.updated",
        "group.member_removed",
        "user.deleted",
        "user.updated",
        "user.deactivated",
        "user.created",
        "group.member_added",
        "group.member_added",
    ];
    assert_eq!(consumer.kinds(), expected);
    let after = published(&account);
    assert_eq!(ids(after["users"].as_array().unwrap()), [changes.as_str(), &new]);
    assert_eq!(after["users"][0]["displayName"], "Changed");
    assert_eq!(ids(after["members"][0].as_array().unwrap()), [changes.as_str(), &new]);
    assert_eq!(ids(after["members"][1].as_array().unwrap()), [new.as_str()]);
    assert_eq!(after["groups"][1]["memberCount"], 1);
    one("users", &goes).problem(404);
    // From now on changes go out as they come.
    client.created("/Users", &user("later"));
    assert_eq!(consumer.kinds(), ["user.created"]);
}

/// Everything of an account that the feed tells of users, with nobody told twice, until `number` were.
fn users_told(consumer: &mut Consumer, number: usize) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let mut last = 0;
    while told.len() < number {
        let (events, _) = consumer.page("&limit=1000&wait=20");
        assert!(!events.is_empty(), "{} of {number} were told", told.len());
        for event in events {
            let seq = event["seq"].as_i64().unwrap();
            assert!(seq > last);
            last = seq;
            if event["kind"] == "user.created" {
                let id = event["resourceId"].as_str().unwrap().to_owned();
                assert!(told.insert(id), "{event} was told twice");
            }
        }
    }
    told
}

/// Creates users by bulk requests.
fn many(client: &Client, number: usize) {
    for start in (0..number).step_by(500) {
        let operations: Vec<Value> = (start..number.min(start + 500))
            .map(|one| json!({"method": "POST", "path": "/Users", "bulkId": format!("b{one}"), "data": user(&format!("user {one}"))}))
            .collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
        let done = client.post("/Bulk", &body).answered(200).json;
        for operation in done["Operations"].as_array().unwrap() {
            assert_eq!(operation["status"], "201", "{operation}");
        }
    }
}

#[test]
fn a_long_pause_is_told_in_steps_and_a_killed_server_goes_on_where_it_was() {
    const USERS: usize = 3_200;
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let client = operator.configuration("long", "other");
    sync(&operator, &client, false);
    let mut consumer = Consumer::from_now(&operator.of("long"));
    many(&client, USERS);
    sync(&operator, &client, true);
    app.kill();

    let app = App::start(Path::new(data.path()));
    let operator = Caller { address: app.address, ..operator };
    consumer.caller.address = app.address;
    // What comes meanwhile stands behind what waited.
    let late = client.at(app.address).created("/Users", &user("late"));
    let told = users_told(&mut consumer, USERS + 1);
    assert!(told.contains(&late));
    let shown = all(&operator.of("long"), "/directory/resources/v1/users", "&limit=1000");
    assert_eq!(shown.len(), USERS + 1);
    assert_eq!(ids(&shown).into_iter().collect::<BTreeSet<_>>(), told.iter().map(String::as_str).collect());
}

#[test]
fn a_pause_that_was_answered_holds_for_all_that_commits_later() {
    let operator = App::shared().operator();
    let client = operator.configuration("races", "other");
    let account = operator.of("races");
    for round in 0..5 {
        let mut consumer = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let client = &client;
                    scope.spawn(move || {
                        for number in 0..15 {
                            client.created("/Users", &user(&format!("r{round}w{writer}n{number}")));
                        }
                    })
                })
                .collect();
            sync(&operator, &client, false);
            // Whatever was told until now is all that is told.
            let consumer = Consumer::from_now(&account);
            for writer in writers {
                writer.join().unwrap();
            }
            consumer
        });
        assert_eq!(consumer.kinds(), [] as [&str; 0]);
        sync(&operator, &client, true);
        consumer.rest();
    }
    let shown = all(&account, "/directory/resources/v1/users", "");
    assert_eq!(shown.len(), 5 * 4 * 15);
}
