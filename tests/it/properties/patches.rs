//! PATCH compared to the model, in memory and over HTTP; and PATCH sent twice.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall::error::{Error, ScimType};
use rollcall::scim::dialect::DialectRules;
use rollcall::scim::patch;
use rollcall::scim::schema::USER_TYPE;
use rollcall::scim::validate;
use rollcall::scim::work::WorkBudget;
use serde_json::{Map, Value, json};

use super::patch_model::patched;
use super::{check_property, users};
use crate::app::{App, Client};
use crate::sample;

/// The result of the product, without a server.
fn product(mut document: Map<String, Value>, operations: &[Value]) -> Result<Map<String, Value>, Error> {
    let patch = patch::parse_patch(&sample::operations(&operations.into()), &USER_TYPE, DialectRules::LENIENT)?;
    patch::apply_edits(&patch.edits, &mut document, &USER_TYPE, DialectRules::LENIENT, &mut WorkBudget::default())?;
    validate::check_required(&document, &USER_TYPE)?;
    Ok(validate::sort_attributes(document, &USER_TYPE))
}

#[test]
fn patches_do_what_the_model_says() {
    //
    let inputs = (users::users(), vec(users::operations(), 1..6));
    check_property(15_000, inputs, |(mut user, operations)| {
        user.insert("userName".into(), "u".into());
        let given = product(user.clone(), &operations);
        let expected = patched(user.clone(), &operations);
        let given = given.map_err(|error| error.scim_type().map_or("", ScimType::as_str));
        prop_assert_eq!(given, expected, "\n{}\n{}", Value::from(user), Value::from(operations));
        Ok(())
    });
}

/// Creates a random user; returns its path and the document of the answer.
fn create(client: &Client, user: &Map<String, Value>) -> (String, Value) {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let name = format!("random-{}", USERS.fetch_add(1, Ordering::Relaxed));
    let made = client.post("/Users", &sample::user_with(&name, &Value::Object(user.clone()))).answered(201);
    (format!("/Users/{}", made.id()), made.json)
}

/// The attributes that the model supports.
fn attributes(document: &Value) -> Map<String, Value> {
    let mut attributes = document.as_object().unwrap().clone();
    attributes.retain(|name, _| !["id", "meta", "schemas"].contains(&name.as_str()));
    attributes
}

#[test]
fn the_answer_and_stored_state_after_a_patch_match_the_model() {
    //
    let client = App::shared().configuration("other");
    let inputs = (users::users(), vec(users::operations(), 1..6));
    check_property(300, inputs, |(user, operations)| {
        let (path, before) = create(&client, &user);
        let expected = patched(attributes(&before), &operations);
        let reply = client.patch(&path, &sample::operations(&operations.into()));
        let after = client.get(&path).answered(200).json;
        match expected {
            Ok(expected) => {
                prop_assert_eq!(&reply.answered(200).json, &after);
                let mut schemas = vec![sample::USER];
                schemas.extend(expected.contains_key(sample::ENTERPRISE).then_some(sample::ENTERPRISE));
                prop_assert_eq!(&after["schemas"], &json!(schemas));
                let changed = expected != attributes(&before);
                prop_assert_eq!(changed, after["meta"] != before["meta"], "{} {}", before, after);
                prop_assert_eq!(attributes(&after), expected);
            }
            Err(scim_type) => {
                reply.refused(400, scim_type);
                prop_assert_eq!(after, before, "a refused request left a trace");
            }
        }
        client.delete(&path).answered(204);
        Ok(())
    });
}

/// The number of elements of all lists.
fn count_elements(document: &Value) -> usize {
    document.as_object().unwrap().values().filter_map(Value::as_array).map(Vec::len).sum()
}

#[test]
fn a_replace_or_remove_sent_twice_is_sent_once() {
    // a client repeats a request that got no answer.
    let client = App::shared().configuration("other");
    check_property(300, (users::users(), users::repeatable()), |(user, operation)| {
        let (path, before) = create(&client, &user);
        let body = sample::operations(&json!([operation]));
        let first = client.patch(&path, &body);
        let second = client.patch(&path, &body);
        let stored = client.get(&path).answered(200).json;
        prop_assert_eq!(&stored, if first.status == 200 { &first.json } else { &before });
        if first.status == 200 && second.status == 400 && count_elements(&stored) < count_elements(&before) {
            // The first one made two elements equal, so that one of them was left, which the filter does not match.
            second.refused(400, "noTarget");
        } else {
            prop_assert_eq!(first.status, second.status);
            prop_assert_eq!(&first.json, &second.json);
            prop_assert_eq!(first.header("etag"), second.header("etag"));
        }
        client.delete(&path).answered(204);
        Ok(())
    });
}
