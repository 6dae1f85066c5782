//! Pausing a configuration: what the operator's application sees meanwhile, and the catch-up.

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

/// Everything that the account can read, in one value.
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
fn changes_of_a_paused_configuration_are_visible_only_to_its_provider_until_it_is_resumed() {
    let operator = App::shared().operator();
    let client = operator.configuration("paused", "other");
    let account = operator.for_account("paused");
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
    // From now on changes are published immediately.
    client.created("/Users", &user("later"));
    assert_eq!(consumer.kinds(), ["user.created"]);
}

/// Ids of the users that the feed reports as created, until there are `number`. Fails if a user is reported twice.
fn reported_users(consumer: &mut Consumer, number: usize) -> BTreeSet<String> {
    let mut reported = BTreeSet::new();
    let mut last = 0;
    while reported.len() < number {
        let (events, _) = consumer.page("&limit=1000&wait=20");
        assert!(!events.is_empty(), "{} of {number} were reported", reported.len());
        for event in events {
            let seq = event["seq"].as_i64().unwrap();
            assert!(seq > last);
            last = seq;
            if event["kind"] == "user.created" {
                let id = event["resourceId"].as_str().unwrap().to_owned();
                assert!(reported.insert(id), "{event} was reported twice");
            }
        }
    }
    reported
}

/// Creates users with bulk requests.
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
fn the_catch_up_after_a_long_pause_continues_after_a_kill() {
    const USERS: usize = 3_200;
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let client = operator.configuration("long", "other");
    sync(&operator, &client, false);
    let mut consumer = Consumer::from_now(&operator.for_account("long"));
    many(&client, USERS);
    sync(&operator, &client, true);
    app.kill();

    let app = App::start(Path::new(data.path()));
    let operator = Caller { address: app.address, ..operator };
    consumer.caller.address = app.address;
    // Changes during the catch-up are published after it.
    let late = client.at(app.address).created("/Users", &user("late"));
    let reported = reported_users(&mut consumer, USERS + 1);
    assert!(reported.contains(&late));
    let listed = all(&operator.for_account("long"), "/directory/resources/v1/users", "&limit=1000");
    assert_eq!(listed.len(), USERS + 1);
    assert_eq!(ids(&listed).into_iter().collect::<BTreeSet<_>>(), reported.iter().map(String::as_str).collect());
}

#[test]
fn an_acknowledged_pause_applies_to_all_later_commits() {
    let operator = App::shared().operator();
    let client = operator.configuration("races", "other");
    let account = operator.for_account("races");
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
            // Events published until now are the only ones.
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
    let listed = all(&account, "/directory/resources/v1/users", "");
    assert_eq!(listed.len(), 5 * 4 * 15);
}
