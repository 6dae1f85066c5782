//! A PATCH with much work does not delay the writes of other configurations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{Client, Reply};
use crate::portal::browser::own_app;
use crate::sample::{group, operation, operations, user, user_with};

/// Very generous: alone a write takes about a millisecond, and with the attack it took minutes.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Creates a user with 1,000 e-mails of more than 500 bytes; returns its path.
fn create_user_with_long_emails(client: &Client, name: &str, unit: &str) -> String {
    let text = unit.repeat(500_usize.div_ceil(unit.len()));
    let emails: Vec<Value> = (0..1000).map(|n| json!({"value": format!("{text}{n}@example.com")})).collect();
    format!("/Users/{}", client.created("/Users", &user_with(name, &json!({"emails": emails}))))
}

/// Value paths of 29 KiB that match nothing.
fn long_value_paths() -> Value {
    let mut list = Vec::new();
    let mut length = 0;
    while length < 29 * 1024 {
        let path = format!("emails[value co \"no {0}\" or value co \"{0} x\"]", list.len());
        length += path.len() + 25;
        list.push(json!({"op": "remove", "path": path}));
    }
    operations(&list.into())
}

fn is_answered(reply: &Reply) {
    match reply.status {
        200 | 204 => {}
        400 => drop(reply.clone().refused(400, "tooMany")),
        status => panic!("{status}: {}", reply.json),
    }
}

/// Runs `attack` in a loop while another configuration writes. Returns how often it ran.
fn write_next_to(attack: impl Fn() + Sync) -> usize {
    let (app, _folder) = own_app();
    let quiet = app.configuration("other");
    let path = format!("/Users/{}", quiet.created("/Users", &user("quiet")));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attacks = scope.spawn(|| {
            let mut count = 0;
            while count == 0 || !ended.load(Ordering::Relaxed) {
                attack();
                count += 1;
            }
            count
        });
        for number in 0..40 {
            let started = Instant::now();
            quiet.patch(&path, &operation("replace", "title", &json!(number.to_string()))).answered(200);
            assert!(started.elapsed() < WAIT_MAX, "write {number} waited {:?}", started.elapsed());
        }
        ended.store(true, Ordering::Relaxed);
        attacks.join().unwrap()
    })
}

#[test]
fn value_paths_on_a_thousand_long_emails_do_not_delay_other_configurations() {
    let (app, _folder) = own_app();
    let client = app.configuration("other");
    let path = create_user_with_long_emails(&client, "ascii", "Abcdefghij");
    let body = long_value_paths();
    assert!(body.to_string().len() >= 29 * 1024);
    write_next_to(|| is_answered(&client.patch(&path, &body)));
    // The user can still be changed.
    client.patch(&path, &operation("replace", "title", &json!("T"))).answered(200);
    let one = operation("replace", "emails[type eq \"x\" or value sw \"abc\"].type", &json!("work"));
    let changed = client.patch(&path, &one).answered(200).json;
    assert_eq!(changed["emails"].as_array().unwrap().iter().filter(|email| email["type"] == "work").count(), 1000);
}

#[test]
fn value_paths_in_a_bulk_request_do_not_delay_other_configurations() {
    let (app, _folder) = own_app();
    let client = app.configuration("other");
    let path = create_user_with_long_emails(&client, "bulk", "Abcdefghij");
    let item = json!({"method": "PATCH", "path": path, "data": long_value_paths()});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": vec![item; 3],
    });
    write_next_to(|| {
        let reply = client.post("/Bulk", &body).answered(200);
        for result in reply.json["Operations"].as_array().unwrap() {
            let status = result["status"].as_str().unwrap();
            assert!(status == "200" || result["response"]["scimType"] == "tooMany", "{result}");
        }
    });
}

#[test]
fn a_patch_with_much_work_in_a_bulk_request_takes_effect_in_the_order_of_the_items() {
    let (app, _folder) = own_app();
    let client = app.configuration("other");
    let path = create_user_with_long_emails(&client, "order", "Abcdefghij");
    let title = |title: &str| json!({"op": "replace", "path": "title", "value": title});
    // This is evaluated outside the transaction, and the others inside.
    let condition = json!({"op": "replace", "path": "emails[value co \"no\" or value co \"none\" or value ew \"7@example.com\"].type", "value": "work"});
    let patch = |list: Value| json!({"method": "PATCH", "path": path, "data": operations(&list)});
    for round in 0..5 {
        let before =
            patch(json!([title("before"), {"op": "replace", "path": "nickName", "value": format!("n{round}")}]));
        let middle = patch(json!([condition, title("middle")]));
        let after = patch(json!([title(&format!("after {round}"))]));
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [before, middle.clone(), after, middle, patch(json!([title(&format!("last {round}"))]))],
        });
        let reply = client.post("/Bulk", &body).answered(200);
        let results = reply.json["Operations"].as_array().unwrap();
        assert!(results.iter().all(|result| result["status"] == "200"), "{}", reply.json);
        let user = client.get(&path).answered(200).json;
        assert_eq!((&user["title"], &user["nickName"]), (&json!(format!("last {round}")), &json!(format!("n{round}"))));
        let work = user["emails"].as_array().unwrap().iter().filter(|email| email["type"] == "work").count();
        assert_eq!(work, 100);
    }
}

#[test]
fn conditions_on_members_are_evaluated_in_one_pass() {
    let (app, _folder) = own_app();
    let client = app.configuration("other");
    let names: Vec<String> = (0..300).map(|n| format!("member-{n}")).collect();
    let ids: Vec<String> = names.iter().map(|name| client.created("/Users", &user(name))).collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let path = format!("/Groups/{}", client.created("/Groups", &group("Large", &members)));
    let removal = |text: &str| json!({"op": "remove", "path": format!("members[value co \"{text}\"]")});
    // Each addition starts a new pass.
    let add = json!({"op": "add", "path": "members", "value": [{"value": ids[0]}]});
    let mixed: Vec<Value> = (0..4_000).flat_map(|n| [removal(&format!("no {n}")), add.clone()]).collect();
    client.patch(&path, &operations(&mixed.into())).refused(400, "tooMany");
    let many: Vec<Value> = (0..1_000).map(|n| removal(&format!("no {n}"))).collect();
    is_answered(&client.patch(&path, &operations(&many.into())));
    assert_eq!(client.get(&path).answered(200).json["members"].as_array().unwrap().len(), 300);
    // A member that an operation adds is removed by a later condition, and the reverse.
    let condition = removal(&ids[1]);
    let added = json!({"op": "add", "path": "members", "value": [{"value": ids[1]}]});
    for (order, expected) in [([&condition, &added], 300), ([&added, &condition], 299)] {
        is_answered(&client.patch(&path, &operations(&json!(order))));
        assert_eq!(client.get(&path).answered(200).json["members"].as_array().unwrap().len(), expected);
    }
}

#[test]
fn a_resource_has_a_largest_size() {
    let (app, _folder) = own_app();
    let client = app.configuration("other");
    let text = "x".repeat(60_000);
    let photos = |count: usize| -> Value { (0..count).map(|n| json!({"value": format!("{n}{text}")})).collect() };
    client.post("/Users", &user_with("large", &json!({"photos": photos(18)}))).answered(413);
    let path = format!("/Users/{}", client.created("/Users", &user_with("large", &json!({"photos": photos(16)}))));
    let more: Value = (0..2).map(|n| json!({"value": format!("more {n}{text}")})).collect();
    client.patch(&path, &operation("add", "photos", &more)).answered(413);
    client.request("PUT", &path).json(&user_with("large", &json!({"photos": photos(18)}))).send().answered(413);
    let one: Value = json!([{"value": "one"}]);
    assert_eq!(client.patch(&path, &operation("replace", "photos", &one)).answered(200).json["photos"], one);
    let foreign: Value = (0..10).map(|n| json!({"value": format!("{n}{}", "é".repeat(10_000))})).collect();
    client.patch(&path, &operation("add", "emails", &foreign)).answered(413);
    client.patch(&path, &operation("add", "photos", &foreign)).answered(200);
}
