//! Order and completeness over crashes of the server and failures of the receiver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::Fixture;
use super::receiver::{Received, Response};
use crate::app::{Client, wait_until};
use crate::sample::{operation, user};

/// The consumer that docs/webhooks.md describes: it skips requests that it knows, and events up to the last number of their
/// configuration.
fn apply(received: &[Received]) -> BTreeMap<String, Vec<i64>> {
    let mut applied: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for request in received {
        let body = request.json();
        let lane = applied.entry(body["data"]["configurationId"].as_str().unwrap().to_owned()).or_default();
        for event in request.events() {
            let seq = event["seq"].as_i64().unwrap();
            if lane.last().is_none_or(|last| seq > *last) {
                lane.push(seq);
            }
        }
    }
    applied
}

fn feed(fixture: &Fixture, client: &Client) -> Vec<i64> {
    let path = format!("/directory/resources/v1/events?limit=1000&configuration={}", client.id);
    let page = fixture.operator.get(&path).answered(200).json;
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

#[test]
fn every_change_arrives_in_order_over_kills_of_the_server_and_failures_of_the_receiver() {
    let mut fixture = Fixture::new();
    let (id, secret) = fixture.webhook(&json!({"batchSize": 3}));
    let mut clients: Vec<Client> =
        ["acme", "zeta"].iter().map(|account| fixture.operator.configuration(account, "okta")).collect();
    let count = AtomicU32::new(0);
    // Every fifth request fails.
    fixture
        .receiver
        .respond(move |_| Response::status(if count.fetch_add(1, Ordering::Relaxed) % 5 == 4 { 500 } else { 200 }));
    for round in 0..6 {
        for client in &clients {
            let user = client.created("/Users", &user(&format!("u{round}")));
            client.patch(&format!("/Users/{user}"), &operation("replace", "active", &json!(false))).answered(200);
        }
        fixture = fixture.restart();
        clients = clients.iter().map(|client| client.at(fixture.app.address)).collect();
    }
    let is_idle = |fixture: &Fixture, client: &Client| fixture.lane(&id, &client.id)["state"] == "idle";
    wait_until("idle lanes", || {
        for client in &clients {
            let path = format!("{}/{id}/lanes/{}/resume", super::WEBHOOKS, client.id);
            fixture.operator.post(&path, &json!({})).answered(200);
        }
        clients.iter().all(|client| is_idle(&fixture, client))
    });
    let received = fixture.receiver.received();
    assert!(received.iter().all(|one| one.count_valid_signatures(&secret) == 1));
    let applied = apply(&received);
    for client in &clients {
        assert_eq!(applied[&client.id], feed(&fixture, client), "{}", client.id);
    }
    // A request with the same id has the same bytes.
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for request in &received {
        assert_eq!(*bodies.entry(request.id()).or_insert(&request.body), request.body.as_slice());
    }
}

#[test]
fn a_batch_in_flight_at_a_crash_is_sent_again_with_its_id() {
    let fixture = Fixture::new();
    let (_, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    fixture.receiver.wait_for_events(1);
    fixture.receiver.respond(|_| Response { delay: std::time::Duration::from_secs(20), ..Response::status(200) });
    for name in ["a", "b", "c"] {
        client.created("/Users", &user(name));
    }
    let before = fixture.receiver.wait_for("a request in flight", |received| received.len() == 2);
    let fixture = fixture.restart();
    fixture.receiver.respond(|_| Response::status(200));
    let received = fixture.receiver.wait_for("the same request", |received| received.len() >= 3);
    assert_eq!((received[2].id(), &received[2].body), (before[1].id(), &before[1].body));
    let all =
        fixture.receiver.wait_for("all users", |received| received[2..].iter().flat_map(Received::events).count() >= 3);
    let seqs: Vec<Value> = all[2..].iter().flat_map(Received::events).map(|event| event["seq"].clone()).collect();
    assert!(seqs.is_sorted_by_key(Value::as_i64), "{seqs:?}");
}

#[test]
fn an_endpoint_that_hangs_does_not_delay_another_one_or_identity_providers() {
    let fixture = Fixture::new();
    let hanging = super::receiver::Receiver::start();
    hanging.respond(|_| Response { delay: std::time::Duration::from_mins(1), ..Response::status(200) });
    for _ in 0..20 {
        fixture.create(&json!({"url": hanging.url()})).answered(201);
    }
    fixture.webhook(&json!({}));
    let clients: Vec<Client> =
        (0..10).map(|n| fixture.operator.configuration(&format!("account-{n}"), "okta")).collect();
    fixture.receiver.wait_for_events(10);
    for client in &clients {
        client.created("/Users", &user("ada"));
    }
    fixture.receiver.wait_for_events(20);
    assert!(hanging.received().len() <= 56, "{}", hanging.received().len());
}

/// Answers the first request with a status after two seconds, and accepts the others.
fn fail_slowly_once(fixture: &Fixture, status: u16) {
    let first = std::sync::atomic::AtomicBool::new(true);
    fixture.receiver.respond(move |_| {
        let is_first = first.swap(false, Ordering::SeqCst);
        let delay = std::time::Duration::from_secs(if is_first { 2 } else { 0 });
        Response { delay, ..Response::status(if is_first { status } else { 204 }) }
    });
}

#[test]
fn a_lane_whose_settings_change_during_a_request_that_fails_tries_again() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({}));
    fail_slowly_once(&fixture, 500);
    let client = fixture.operator.configuration("acme", "okta");
    fixture.receiver.wait_for("a request in flight", |received| received.len() == 1);
    fixture.operator.patch(&format!("{}/{id}", super::WEBHOOKS), &json!({"payload": "thin"})).answered(200);
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    let received = fixture.receiver.wait_for("the retry", |received| received.len() == 2);
    assert_ne!(received[0].id(), received[1].id());
    assert_eq!(received[1].events()[0].get("data"), None);
}

#[test]
fn a_pause_and_a_resume_during_a_request_start_no_second_one() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    fixture.receiver.wait_for_events(1);
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    fail_slowly_once(&fixture, 204);
    client.created("/Users", &user("ada"));
    fixture.receiver.wait_for("a request in flight", |received| received.len() == 2);
    for action in ["pause", "resume", "pause", "resume"] {
        fixture.operator.post(&format!("{}/{id}/{action}", super::WEBHOOKS), &json!({})).answered(200);
    }
    client.created("/Users", &user("bob"));
    let events = fixture.receiver.wait_for_events(3);
    let names: Vec<&Value> = events[1..].iter().map(|event| &event["data"]["after"]["userName"]).collect();
    assert_eq!(names, ["ada", "bob"]);
}

#[test]
fn a_page_of_the_first_load_whose_resources_have_changed_is_another_request() {
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "okta");
    let ada = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &crate::sample::group("Team", &[]));
    fixture.receiver.respond(|_| Response::status(500));
    let (id, _) = fixture.webhook(&json!({"backfill": true}));
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    client.delete(&format!("/Users/{ada}")).answered(204);
    fixture.receiver.respond(|_| Response::status(204));
    fixture.operator.post(&format!("{}/{id}/resume", super::WEBHOOKS), &json!({})).answered(200);
    let received = fixture.receiver.wait_for("the group", |received| {
        received.iter().flat_map(Received::events).any(|event| event["resourceId"] == team.as_str())
    });
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for request in &received {
        assert_eq!(*bodies.entry(request.id()).or_insert(&request.body), request.body.as_slice());
    }
}
