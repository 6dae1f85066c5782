//! Delivery: signed requests with the events of the feed, retries with the same content, first load, repetitions.

use serde_json::{Value, json};

use super::receiver::{Received, Response};
use super::{Fixture, WEBHOOKS};
use crate::app::wait_until;
use crate::caller::CONFIGURATIONS;
use crate::sample::{group, operation, user};

/// The events of the feed as texts, for the comparison of bytes.
fn feed_texts(fixture: &Fixture, query: &str) -> Vec<String> {
    let page = fixture.operator.get(&format!("/directory/resources/v1/events?limit=1000{query}")).answered(200);
    let parsed: Value = serde_json::from_slice(&page.answer.body).unwrap();
    parsed["events"].as_array().unwrap().iter().map(Value::to_string).collect()
}

#[test]
fn events_arrive_signed_and_are_those_of_the_feed() {
    let fixture = Fixture::new();
    let (id, secret) = fixture.webhook(&json!({"description": "app", "headers": {"X-Api-Key": "k1"}}));
    let client = fixture.operator.configuration("acme", "okta");
    let ada = client.created("/Users", &user("ada"));
    client.patch(&format!("/Users/{ada}"), &operation("replace", "displayName", &json!("Ada"))).answered(200);
    client.created("/Groups", &group("Team", &[&ada]));
    let events = fixture.receiver.wait_for_events(5);
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    assert_eq!(texts, feed_texts(&fixture, ""));
    for request in fixture.receiver.received() {
        assert_eq!(request.count_valid_signatures(&secret), 1, "{:?}", request.headers);
        assert_eq!(request.header("content-type"), "application/json");
        assert!(request.header("user-agent").starts_with("Rollcall/"));
        assert_eq!(request.header("x-api-key"), "k1");
        assert_eq!(request.header("webhook-resend"), "");
        let body = request.json();
        assert_eq!((&body["type"], &body["data"]["accountId"]), (&json!("events"), &json!("acme")));
        assert_eq!(body["data"]["configurationId"], client.id.as_str());
        assert_eq!(body["timestamp"], request.events().last().unwrap()["createdAt"]);
    }
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let attempts = fixture.attempts(&id);
    assert!(attempts.iter().all(|one| one["outcome"] == "success" && one["status"] == 204), "{attempts:?}");
    assert_eq!(attempts[0]["toSeq"], events.last().unwrap()["seq"]);
    assert_eq!(fixture.lane(&id, &client.id)["position"], events.last().unwrap()["seq"]);
}

#[test]
fn a_batch_that_was_refused_is_sent_again_unchanged_and_the_next_one_waits() {
    let fixture = Fixture::new();
    let (id, secret) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    fixture.receiver.wait_for_events(1);
    fixture.receiver.respond(|_| Response { body: "not now".to_owned(), ..Response::status(500) });
    client.created("/Users", &user("ada"));
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    client.created("/Users", &user("bob"));
    let lane = fixture.lane(&id, &client.id);
    assert_eq!((&lane["failures"], &lane["lastError"], &lane["waiting"]), (&json!(1), &json!("status 500"), &json!(2)));
    let failed = &fixture.attempts(&id)[0];
    assert_eq!((&failed["outcome"], &failed["response"]), (&json!("failure"), &json!("not now")), "{failed}");
    fixture.receiver.respond(|_| Response::status(200));
    // The first retry comes after five seconds; an admin need not wait.
    fixture.operator.post(&format!("{WEBHOOKS}/{id}/lanes/{}/resume", client.id), &json!({})).answered(200);
    let received =
        fixture.receiver.wait_for("the second user", |received| received.iter().any(|one| names(one) == ["bob"]));
    let [.., first, second, third] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    assert_eq!((names(second), names(third)), (vec!["ada".to_owned()], vec!["bob".to_owned()]));
    assert_ne!(second.id(), third.id());
    assert!([first, second, third].iter().all(|one| one.count_valid_signatures(&secret) == 1));
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    assert_eq!(fixture.lane(&id, &client.id)["failures"], 0);
}

fn names(received: &Received) -> Vec<String> {
    let name = |event: &Value| event["data"]["after"]["userName"].as_str().map(str::to_owned);
    received.events().iter().filter_map(name).collect()
}

#[test]
fn a_retry_comes_after_some_seconds_by_itself() {
    let fixture = Fixture::new();
    let failing = std::sync::atomic::AtomicBool::new(true);
    fixture.receiver.respond(move |_| {
        Response::status(if failing.swap(false, std::sync::atomic::Ordering::SeqCst) { 503 } else { 204 })
    });
    let (id, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    let received = fixture.receiver.wait_for("the retry", |received| received.len() == 2);
    assert_eq!((received[0].id(), &received[0].body), (received[1].id(), &received[1].body));
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let attempts = fixture.attempts(&id);
    assert_eq!((&attempts[0]["attempt"], &attempts[1]["attempt"]), (&json!(2), &json!(1)));
}

#[test]
fn one_lane_that_fails_delays_no_other() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({}));
    let bad = fixture.operator.configuration("bad", "okta");
    let good = fixture.operator.configuration("good", "okta");
    fixture.receiver.wait_for_events(2);
    let failing = bad.id.clone();
    fixture.receiver.respond(move |request| {
        let fails = request.json()["data"]["configurationId"] == failing.as_str();
        Response::status(if fails { 500 } else { 204 })
    });
    bad.created("/Users", &user("x"));
    wait_until("a failed attempt", || fixture.lane(&id, &bad.id)["state"] == "retrying");
    for name in ["a", "b", "c"] {
        good.created("/Users", &user(name));
    }
    fixture.receiver.wait_for("the users of the other", |received| {
        received.iter().flat_map(names).filter(|name| name != "x").count() == 3
    });
    let filtered = fixture.operator.get(&format!("{WEBHOOKS}/{id}/attempts?outcome=failure&lane={}", bad.id));
    assert_eq!(filtered.answered(200).json["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_receiver_that_answers_410_gets_no_more_requests() {
    let fixture = Fixture::new();
    fixture.receiver.respond(|_| Response::status(410));
    let (id, _) = fixture.webhook(&json!({}));
    fixture.operator.configuration("acme", "okta");
    let path = format!("{WEBHOOKS}/{id}");
    let get = || fixture.operator.get(&path).answered(200).json;
    wait_until("the end of the webhook", || get()["state"] == "disabled");
    assert_eq!(get()["disabledReason"], "gone");
    assert_eq!(fixture.receiver.received().len(), 1);
    fixture.receiver.respond(|_| Response::status(204));
    fixture.operator.post(&format!("{path}/resume"), &json!({})).answered(200);
    fixture.receiver.wait_for("another request", |received| received.len() == 2);
    assert_eq!(get()["state"], "active");
}

#[test]
fn redirects_are_failures_and_are_not_followed() {
    let fixture = Fixture::new();
    let other = super::receiver::Receiver::start();
    let location = other.url();
    fixture
        .receiver
        .respond(move |_| Response { headers: format!("Location: {location}\r\n"), ..Response::status(307) });
    let (id, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    assert_eq!(fixture.attempts(&id)[0]["status"], 307);
    assert!(other.received().is_empty());
}

#[test]
fn a_new_webhook_can_begin_with_what_is_true_now() {
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "okta");
    let ids: Vec<String> = (0..230).map(|n| client.created("/Users", &user(&format!("u{n:03}")))).collect();
    let members: Vec<&str> = ids.iter().take(150).map(String::as_str).collect();
    client.created("/Groups", &group("Empty", &[]));
    let team = client.created("/Groups", &group("Team", &members));
    client.delete(&format!("/Users/{}", ids[0])).answered(204);
    let (id, _) = fixture.webhook(&json!({"backfill": true}));
    wait_until("an idle lane", || {
        let lane = fixture.lane(&id, &client.id);
        lane["state"] == "idle" && lane["backfilling"] == false
    });
    client.created("/Users", &user("live"));
    let received =
        fixture.receiver.wait_for("the live user", |received| received.iter().any(|one| names(one) == ["live"]));
    let events: Vec<Value> = received.iter().flat_map(Received::events).collect();
    let (live, loaded): (Vec<Value>, Vec<Value>) = events.into_iter().partition(|event| event["backfill"] != true);
    assert_eq!(live.len(), 1);
    let of_kind = |kind: &str| loaded.iter().filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    let created: Vec<&str> =
        of_kind("user.created").iter().map(|event| event["resourceId"].as_str().unwrap()).collect();
    assert_eq!(created, ids[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(of_kind("group.created").len(), 2);
    let added = of_kind("group.member_added");
    assert!(added.iter().all(|event| event["resourceId"] == team.as_str()));
    let joined: Vec<&str> = added
        .iter()
        .flat_map(|event| event["data"]["members"].as_array().unwrap())
        .map(|member| member["value"].as_str().unwrap())
        .collect();
    assert_eq!(joined, members[1..]);
    assert!(added[0]["data"]["members"][0]["userName"].is_string());
    let start = fixture.operator.get(&format!("{WEBHOOKS}/{id}")).answered(200).json["startSeq"].clone();
    assert!(loaded.iter().all(|event| event["seq"] == start && event["version"].is_i64()));
}

#[test]
fn delivered_events_are_sent_again_on_request_without_moving_the_lane() {
    let fixture = Fixture::new();
    let (id, secret) = fixture.webhook(&json!({"batchSize": 2}));
    let client = fixture.operator.configuration("acme", "okta");
    for name in ["a", "b", "c"] {
        client.created("/Users", &user(name));
    }
    let events = fixture.receiver.wait_for_events(4);
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    let before = fixture.receiver.received();
    let lane = fixture.lane(&id, &client.id);
    let last = events[3]["seq"].as_i64().unwrap();
    let resend = |from: i64, to: i64| {
        let body = json!({"fromSeq": from, "toSeq": to, "configuration": client.id});
        fixture.operator.post(&format!("{WEBHOOKS}/{id}/resend"), &body)
    };
    resend(last, last).answered(202);
    let received = fixture.receiver.wait_for("the repetition", |received| received.len() > before.len());
    let again = received.last().unwrap();
    let first = before.iter().find(|one| one.events().last().unwrap()["seq"] == last).unwrap();
    assert_eq!((again.id(), &again.body, again.header("webhook-resend")), (first.id(), &first.body, "true"));
    assert_eq!(again.count_valid_signatures(&secret), 1);
    assert_eq!(fixture.lane(&id, &client.id), lane);
    wait_until("the attempt", || fixture.attempts(&id)[0]["resend"] == true);
    assert_eq!(resend(5, 4).answered(400).json["errorCode"], "webhook_range_invalid");
    assert_eq!(resend(last + 10, last + 20).answered(409).json["errorCode"], "webhook_range_empty");
}

#[test]
fn a_paused_webhook_keeps_its_events_and_a_paused_configuration_sends_its_catch_up() {
    let fixture = Fixture::new();
    let (id, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    fixture.receiver.wait_for_events(1);
    wait_until("an idle lane", || fixture.lane(&id, &client.id)["state"] == "idle");
    fixture.operator.post(&format!("{WEBHOOKS}/{id}/pause"), &json!({})).answered(200);
    client.created("/Users", &user("ada"));
    assert_eq!(fixture.lane(&id, &client.id)["state"], "paused");
    assert_eq!(fixture.receiver.received().len(), 1);
    fixture.operator.post(&format!("{WEBHOOKS}/{id}/resume"), &json!({})).answered(200);
    fixture.receiver.wait_for_events(2);
    let path = format!("{CONFIGURATIONS}/{}", client.id);
    fixture.operator.patch(&path, &json!({"syncToUserManagement": false})).answered(204);
    let bob = client.created("/Users", &user("bob"));
    client.patch(&format!("/Users/{bob}"), &operation("replace", "displayName", &json!("B"))).answered(200);
    fixture.receiver.wait_for_events(3);
    fixture.operator.patch(&path, &json!({"syncToUserManagement": true})).answered(204);
    let events = fixture.receiver.wait_for_events(5);
    assert_eq!(events[4]["kind"], "user.created");
    assert_eq!(events[4]["data"]["after"]["displayName"], "B");
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    assert_eq!(texts, feed_texts(&fixture, ""));
}

#[test]
fn only_selected_kinds_of_one_account_are_sent() {
    let fixture = Fixture::new();
    let (other, own) = (fixture.operator.configuration("zeta", "okta"), fixture.operator.configuration("acme", "okta"));
    let (id, _) = fixture.webhook(&json!({"accountId": "acme", "kinds": ["user.*"], "payload": "thin", "start": 0}));
    other.created("/Users", &user("x"));
    let ada = own.created("/Users", &user("ada"));
    own.created("/Groups", &group("Team", &[&ada]));
    own.delete(&format!("/Users/{ada}")).answered(204);
    let events = fixture.receiver.wait_for_events(2);
    let kinds: Vec<&Value> = events.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["user.created", "user.deleted"]);
    assert!(events.iter().all(|event| event.get("data").is_none() && event["accountId"] == "acme"), "{events:?}");
    wait_until("an idle lane", || fixture.lane(&id, &own.id)["state"] == "idle");
    let lanes = fixture.operator.get(&format!("{WEBHOOKS}/{id}/lanes")).answered(200);
    assert_eq!(lanes.json["items"].as_array().unwrap().len(), 1);
}
