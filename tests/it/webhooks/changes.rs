//! Changes while a webhook sends: its settings, and the resources of a first load.

use serde_json::{Value, json};

use super::receiver::{Received, Response};
use super::{Fixture, WEBHOOKS};
use crate::app::wait_until;
use crate::sample::{group, operation, user};

fn kinds_of(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn kinds_that_are_added_apply_from_the_change_on() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({"kinds": ["user.*"]}));
    let path = format!("{WEBHOOKS}/{id}");
    let client = fixture.operator.configuration("acme", "okta");
    client.created("/Groups", &group("Before", &[]));
    client.created("/Users", &user("ada"));
    fixture.receiver.wait_for_events(1);
    client.created("/Groups", &group("Before too", &[]));
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    fixture.operator.patch(&path, &json!({"kinds": ["user.*", "group.*"]})).answered(200);
    client.created("/Groups", &group("After", &[]));
    let events = fixture.receiver.wait_for_events(2);
    assert_eq!(kinds_of(&events), ["user.created", "group.created"]);
    assert_eq!(events[1]["data"]["after"]["displayName"], "After");
    // Events that wait for kinds that are removed are not sent.
    fixture.receiver.respond(|_| Response::status(500));
    client.created("/Groups", &group("Waits", &[]));
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    fixture.receiver.respond(|_| Response::status(204));
    fixture.operator.patch(&path, &json!({"kinds": ["user.*"]})).answered(200);
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let before = fixture.receiver.received().len();
    fixture.operator.patch(&path, &json!({"kinds": null})).answered(200);
    client.created("/Groups", &group("Last", &[]));
    let received = fixture.receiver.wait_for("the last group", |received| received.len() > before);
    let events: Vec<Value> = received[before..].iter().flat_map(Received::events).collect();
    assert_eq!((events.len(), &events[0]["data"]["after"]["displayName"]), (1, &json!("Last")));
    // The receiver has the request before the lane has the answer.
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let lane = fixture.lane(&id, &client.id);
    assert_eq!((&lane["failures"], &lane["waiting"]), (&json!(0), &json!(0)));
}

#[test]
fn the_position_moves_past_events_that_are_not_sent_and_survives_a_kill() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({"kinds": ["user.deleted"]}));
    let client = fixture.operator.configuration("acme", "okta");
    client.created("/Users", &user("ada"));
    let newest = fixture.operator.get("/directory/resources/v1/events?limit=1000").answered(200).json["events"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()["seq"]
        .clone();
    wait_until("the stored position", || fixture.lane(&id, &client.id)["position"] == newest);
    let fixture = fixture.restart();
    assert_eq!(fixture.lane(&id, &client.id)["position"], newest);
}

#[test]
fn what_is_created_during_a_first_load_arrives_once() {
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "okta");
    let ada = client.created("/Users", &user("ada"));
    client.created("/Users", &user("bob"));
    let team = client.created("/Groups", &group("Team", &[&ada]));
    fixture.receiver.respond(|_| Response::status(500));
    let (id, _) = fixture.webhook(&json!({"backfill": true, "batchSize": 1}));
    wait_until("a failed page", || fixture.lane(&id, &client.id)["state"] == "retrying");
    let cyd = client.created("/Users", &user("cyd"));
    let late = client.created("/Groups", &group("Late", &[&ada]));
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &json!([{"value": cyd}]))).answered(200);
    let failed = fixture.receiver.received().len();
    fixture.receiver.respond(|_| Response::status(204));
    fixture.operator.post(&format!("{WEBHOOKS}/{id}/resume"), &json!({})).answered(200);
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let received = fixture.receiver.received();
    let events: Vec<Value> = received[failed..].iter().flat_map(Received::events).collect();
    let about = |event: &Value| {
        let members = event["data"]["members"].as_array().map_or(0, Vec::len);
        (event["kind"].as_str().unwrap().to_owned(), event["resourceId"].as_str().unwrap().to_owned(), members)
    };
    let (loaded, live): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|event| event["backfill"] == true);
    let loaded: Vec<_> = loaded.into_iter().map(about).collect();
    let live: Vec<_> = live.into_iter().map(about).collect();
    let event = |kind: &str, id: &str, members| (kind.to_owned(), id.to_owned(), members);
    assert_eq!(loaded.len(), 4, "{loaded:?}");
    assert_eq!(loaded[2..], [event("group.created", &team, 0), event("group.member_added", &team, 1)]);
    assert_eq!(
        live,
        [
            event("user.created", &cyd, 0),
            event("group.created", &late, 0),
            event("group.member_added", &late, 1),
            event("group.member_added", &team, 1)
        ]
    );
}

#[test]
fn members_that_cannot_be_changed_are_refused_with_what_to_do() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({}));
    let path = format!("{WEBHOOKS}/{id}");
    for (name, value, fix) in [
        ("signature", json!("ed25519"), "create another webhook"),
        ("accountId", json!("acme"), "create another webhook"),
        ("accountId", Value::Null, "create another webhook"),
        ("start", json!("latest"), "create another webhook"),
        ("startSeq", json!(1), "create another webhook"),
        ("backfill", json!(true), "create another webhook"),
        ("state", json!("paused"), "/pause"),
        ("disabledReason", Value::Null, "/resume"),
        ("secret", json!("whsec_AAAA"), "/secrets"),
        ("keys", json!([]), "/secrets"),
        ("id", json!("x"), "leave it out"),
        ("createdAt", json!("2026-01-01T00:00:00Z"), "leave it out"),
    ] {
        let reply = fixture.operator.patch(&path, &json!({"description": "d", name: value})).problem(400);
        assert_eq!(reply.json["errorCode"], "body_field_fixed", "{name}");
        let message = reply.json["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{name} cannot be changed")) && message.contains(fix), "{message}");
    }
    assert_eq!(fixture.operator.get(&path).answered(200).json["description"], "");
    // Members that no webhook has are ignored, and the format can be changed.
    let changed = fixture.operator.patch(&path, &json!({"unknown": 1, "format": "frontegg"})).answered(200);
    assert_eq!(changed.json["format"], "frontegg");
    for url in ["https:///x", "https://a.example.com:0/", "https://a b.example.com/", "https:a.example.com"] {
        let reply = fixture.operator.patch(&path, &json!({"url": url})).problem(400);
        assert_eq!(reply.json["errorCode"], "webhook_url_invalid", "{url}");
        assert!(reply.json["message"].as_str().unwrap().starts_with("url "), "{}", reply.json);
    }
}
