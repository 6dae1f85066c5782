//! PATCH against the model beside it, in memory and over HTTP; and PATCH sent twice.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall::scim::dialect::Rules;
use rollcall::scim::patch::{self, Edit};
use rollcall::scim::schema::USER_TYPE;
use rollcall::scim::{Error, ScimType, validate};
use serde_json::{Map, Value, json};

use super::patch_model::patched;
use super::{holds, people};
use crate::app::{App, Client};
use crate::sample;

/// What the product makes of it, without a server.
fn product(mut document: Map<String, Value>, operations: &[Value]) -> Result<Map<String, Value>, Error> {
    let patch = patch::read(&sample::operations(&operations.into()), &USER_TYPE, Rules::LENIENT)?;
    for edit in &patch.edits {
        let Edit::Attribute(edit) = edit else { panic!("a user has no members") };
        patch::apply(edit, &mut document, &USER_TYPE, Rules::LENIENT)?;
    }
    validate::check_required(&document, &USER_TYPE)?;
    Ok(validate::in_order(document, &USER_TYPE))
}

#[test]
fn patches_do_what_the_model_says() {
    //
    let inputs = (people::users(), vec(people::operations(), 1..6));
    holds(15_000, inputs, |(mut user, operations)| {
        user.insert("userName".into(), "u".into());
        let given = product(user.clone(), &operations);
        let wanted = patched(user.clone(), &operations);
        let given = given.map_err(|error| error.scim_type.map_or("", ScimType::as_str));
        prop_assert_eq!(given, wanted, "\n{}\n{}", Value::from(user), Value::from(operations));
        Ok(())
    });
}

/// Creates a random user; its path and the document as it was answered.
fn create(client: &Client, user: &Map<String, Value>) -> (String, Value) {
    static PEOPLE: AtomicU32 = AtomicU32::new(0);
    let name = format!("random-{}", PEOPLE.fetch_add(1, Ordering::Relaxed));
    let made = client.post("/Users", &sample::user_with(&name, &Value::Object(user.clone()))).answered(201);
    (format!("/Users/{}", made.id()), made.json)
}

/// The attributes alone: what the model knows of a document.
fn attributes(document: &Value) -> Map<String, Value> {
    let mut attributes = document.as_object().unwrap().clone();
    attributes.retain(|name, _| !["id", "meta", "schemas"].contains(&name.as_str()));
    attributes
}

#[test]
fn what_is_answered_and_kept_after_a_patch_is_what_the_model_says() {
    //
    let client = App::shared().configuration("other");
    let inputs = (people::users(), vec(people::operations(), 1..6));
    holds(300, inputs, |(user, operations)| {
        let (path, before) = create(&client, &user);
        let wanted = patched(attributes(&before), &operations);
        let reply = client.patch(&path, &sample::operations(&operations.into()));
        let after = client.get(&path).answered(200).json;
        match wanted {
            Ok(wanted) => {
                prop_assert_eq!(&reply.answered(200).json, &after);
                let mut schemas = vec![sample::USER];
                schemas.extend(wanted.contains_key(sample::ENTERPRISE).then_some(sample::ENTERPRISE));
                prop_assert_eq!(&after["schemas"], &json!(schemas));
                let changed = wanted != attributes(&before);
                prop_assert_eq!(changed, after["meta"] != before["meta"], "{} {}", before, after);
                prop_assert_eq!(attributes(&after), wanted);
            }
            Err(word) => {
                reply.refused(400, word);
                prop_assert_eq!(after, before, "a refused request left a trace");
            }
        }
        client.delete(&path).answered(204);
        Ok(())
    });
}

#[test]
fn a_replace_or_remove_sent_twice_is_sent_once() {
    // a client repeats what got no answer.
    let client = App::shared().configuration("other");
    holds(300, (people::users(), people::repeatable()), |(user, operation)| {
        let (path, before) = create(&client, &user);
        let body = sample::operations(&json!([operation]));
        let first = client.patch(&path, &body);
        let second = client.patch(&path, &body);
        prop_assert_eq!(first.status, second.status);
        prop_assert_eq!(&first.json, &second.json);
        prop_assert_eq!(first.header("etag"), second.header("etag"));
        let kept = client.get(&path).answered(200).json;
        prop_assert_eq!(&kept, if first.status == 200 { &first.json } else { &before });
        client.delete(&path).answered(204);
        Ok(())
    });
}
