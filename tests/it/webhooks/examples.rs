//! The JSON examples of docs/events.md and docs/webhooks.md have the shape of what the server sends.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::receiver::{Received, Response};
use super::{Fixture, WEBHOOKS};
use crate::app::wait_until;
use crate::management::event_contract::cause_each_kind;
use crate::sample::{group, operation, user_with};

/// Number of kinds of events.
const KINDS: usize = 17;

/// The values of the JSON examples of a document.
fn read_examples(document: &str) -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"))).collect()
}

/// The names of the members at every level, with the types of their values. The items of an array have the shapes that occur.
fn describe_shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => {
            let mut shapes: Vec<Value> = items.iter().map(describe_shape).collect();
            shapes.sort_by_key(Value::to_string);
            shapes.dedup();
            Value::Array(shapes)
        }
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> =
                members.iter().map(|(name, member)| (name, describe_shape(member))).collect();
            members.into_iter().map(|(name, shape)| (name.clone(), shape)).collect::<Map<_, _>>().into()
        }
    }
}

#[test]
fn each_kind_in_the_documentation_has_the_shape_of_the_event_that_a_webhook_receives() {
    let fixture = Fixture::new();
    fixture.webhook(&json!({}));
    let caused = cause_each_kind(&fixture.app, "acme");
    // The last event of each of the two configurations.
    let are_last = |received: &[Received]| {
        let kinds: Vec<Value> = received.iter().flat_map(Received::events).map(|event| event["kind"].clone()).collect();
        ["configuration.held", "configuration.deleted"].iter().all(|last| kinds.contains(&json!(last)))
    };
    let received = fixture.receiver.wait_for("the last events", are_last);
    let mut events: Vec<Value> = received.iter().flat_map(Received::events).collect();
    events.sort_by_key(|event| event["seq"].as_i64());
    let sent: BTreeMap<String, Value> =
        events.into_iter().map(|event| (event["kind"].as_str().unwrap().to_owned(), event)).collect();
    // The feed has the same events.
    assert_eq!(sent, caused);
    let examples = read_examples("docs/events.md").into_iter().filter(|example| example["kind"].is_string());
    let examples: BTreeMap<String, Value> =
        examples.map(|example| (example["kind"].as_str().unwrap().to_owned(), example)).collect();
    assert_eq!((examples.len(), sent.len()), (KINDS, KINDS));
    for (kind, event) in &sent {
        assert_eq!(describe_shape(&examples[kind]), describe_shape(event), "{kind}: {event}");
    }
}

/// The claims of a token in the body of a request.
fn read_claims(request: &Received) -> Option<Value> {
    let claims = std::str::from_utf8(&request.body).ok()?.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn is_idle(fixture: &Fixture, webhook: &str) -> bool {
    let lanes = fixture.operator.get(&format!("{WEBHOOKS}/{webhook}/lanes")).answered(200).json["items"].clone();
    lanes.as_array().unwrap().iter().all(|lane| lane["state"] == "idle" && lane["backfilling"] == false)
}

#[test]
fn the_examples_of_requests_and_answers_have_the_shape_of_real_ones() {
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "okta");
    let text = "x".repeat(60_000);
    let large = json!({"nickName": text, "title": text, "displayName": text, "userType": text, "locale": text});
    let ada = client.created("/Users", &user_with("ada", &json!({})));
    client.created("/Groups", &group("Team", &[&ada]));
    let backfill = json!({"backfill": true, "batchSize": 1, "description": "main application"});
    let created = fixture.create(&backfill).answered(201);
    let others = [json!({"format": "frontegg"}), json!({"format": "set"}), json!({"payload": "thin", "batchSize": 1})];
    let others = others.iter().map(|settings| fixture.webhook(settings).0);
    let webhooks: Vec<String> = std::iter::once(created.id()).chain(others).collect();
    wait_until("the first load", || is_idle(&fixture, &created.id()));
    cause_each_kind(&fixture.app, "zeta");
    let emails = json!([{"value": "ada@example.org", "type": "work", "primary": true}]);
    client.patch(&format!("/Users/{ada}"), &operation("replace", "emails", &emails)).answered(200);
    client.created("/Users", &user_with("large", &large));
    let own = format!("{WEBHOOKS}/{}", created.id());
    let tested = fixture.operator.post(&format!("{own}/test"), &json!({})).answered(200).json;
    let rotated = fixture.operator.post(&format!("{own}/secrets"), &json!({"overlap": "1h"})).answered(201).json;
    wait_until("the delivery of all events", || webhooks.iter().all(|webhook| is_idle(&fixture, webhook)));
    let received = fixture.receiver.received();
    // A lane that waits, and a failed attempt.
    fixture.receiver.respond(|_| Response { body: "try later".to_owned(), ..Response::status(503) });
    client.created("/Users", &user_with("bob", &json!({})));
    wait_until("a failed attempt", || fixture.lane(&created.id(), &client.id)["state"] == "retrying");
    let mut real: Vec<Value> = received.iter().map(Received::json).filter(Value::is_object).collect();
    real.extend(received.iter().filter_map(read_claims));
    real.extend(received.iter().flat_map(Received::events));
    real.extend([created.json.clone(), tested, rotated]);
    real.extend(fixture.attempts(&created.id()));
    real.push(fixture.lane(&created.id(), &client.id));
    let shapes: Vec<Value> = real.iter().map(describe_shape).collect();
    let examples = read_examples("docs/webhooks.md");
    assert!(examples.len() >= 10, "{}", examples.len());
    for example in &examples {
        let shape = describe_shape(example);
        assert!(shapes.contains(&shape), "no request or answer has the shape of {example}");
    }
}

#[test]
fn a_notice_of_joined_members_has_no_members() {
    let fixture = Fixture::new();
    fixture.webhook(&json!({"format": "set", "payload": "thin", "kinds": ["group.member_added"]}));
    let client = fixture.operator.configuration("acme", "other");
    let users: Vec<String> =
        (0..50).map(|number| client.created("/Users", &user_with(&format!("u{number}"), &json!({})))).collect();
    let members: Vec<&str> = users.iter().map(String::as_str).collect();
    client.created("/Groups", &group("Team", &members));
    let received = fixture.receiver.wait_for("a request", |received| received.len() == 1);
    let events = &read_claims(&received[0]).unwrap()["events"];
    let notice = json!({"attributes": ["members"], "version": "W/\"1\""});
    assert_eq!(*events, json!({"urn:ietf:params:scim:event:prov:patch:notice": notice}));
}
