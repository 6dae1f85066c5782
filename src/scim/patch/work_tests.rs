//! The work of a PATCH: what is counted, its limit, and that stored results change nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Patch, apply_edits, parse_patch};
use crate::error::{Error, Reason};
use crate::scim::dialect::DialectRules;
use crate::scim::schema::USER_TYPE;
use crate::scim::validate::Attributes;
use crate::scim::work::{WORK_MAX, WorkBudget};

const RULES: DialectRules = DialectRules::LENIENT;

fn read(operations: &[Value]) -> Patch {
    parse_patch(&json!({"Operations": operations}), &USER_TYPE, RULES).unwrap()
}

/// A user with that many e-mails, whose values begin with the same text.
fn user_with_emails(count: usize, text: &str) -> Attributes {
    let emails: Vec<Value> = (0..count).map(|n| json!({"value": format!("{text}{n}@X"), "type": "work"})).collect();
    let Value::Object(user) = json!({"userName": "u", "emails": emails}) else { unreachable!() };
    user
}

fn apply(patch: &Patch, user: &Attributes, work: &mut WorkBudget) -> Result<Attributes, Error> {
    let mut after = user.clone();
    apply_edits(&patch.edits, &mut after, &USER_TYPE, RULES, work).map(|()| after)
}

fn count_work(operations: &[Value], user: &Attributes) -> u64 {
    let mut work = WorkBudget::with_max(u64::MAX);
    apply(&read(operations), user, &mut work).unwrap();
    work.used()
}

fn display_of(number: usize) -> Value {
    json!({"op": "replace", "path": format!("emails[value eq \"{number}\"].display"), "value": "d"})
}

#[test]
fn the_values_of_a_document_are_folded_once() {
    let user = user_with_emails(1000, &"é".repeat(100));
    let removal = |n| json!({"op": "remove", "path": format!("emails[value ew \"no {n}\"]")});
    let one = count_work(&[removal(0)], &user);
    let hundred: Vec<Value> = (0..100).map(removal).collect();
    assert!(one > 20_000_000, "the first operation folds everything: {one}");
    let more = count_work(&hundred, &user) - one;
    assert!(more < 99 * 1000 * 150, "the next ones only compare: {more}");
}

#[test]
fn only_changed_elements_are_folded_again() {
    let user = user_with_emails(1000, &"é".repeat(100));
    let select = |n: usize| format!("emails[value eq \"{}{n}@x\"].display", "é".repeat(100));
    let operations: Vec<Value> = (0..100).map(|n| json!({"op": "add", "path": select(n), "value": "d"})).collect();
    let (one, all) = (count_work(&operations[..1], &user), count_work(&operations, &user));
    // Each changes one element, whose 200 bytes are folded again.
    assert!(all - one < 99 * (1000 * 350 + 200 * 150), "{}", all - one);
}

#[test]
fn values_are_added_in_linear_time() {
    let user = user_with_emails(0, "");
    let add = |n: usize| json!({"op": "add", "path": "emails", "value": [{"value": format!("{n}@x"), "type": "work"}]});
    let operations: Vec<Value> = (0..1000).map(add).collect();
    let (half, all) = (count_work(&operations[..500], &user), count_work(&operations, &user));
    assert!(all < 3 * half, "{half} {all}");
    assert!(all < 2_000_000, "{all}");
}

#[test]
fn removals_by_value_and_primary_values_are_counted() {
    let user = user_with_emails(999, &"a".repeat(500));
    let listed = json!({"op": "remove", "path": "emails", "value": [{"value": "none"}]});
    let primary = json!({"op": "add", "path": "emails", "value": [{"value": "p", "primary": true}]});
    for operation in [listed, primary] {
        let operations = vec![operation; 10_000];
        let mut work = WorkBudget::default();
        match apply(&read(&operations), &user, &mut work) {
            Ok(_) => assert!(work.used() <= WORK_MAX),
            Err(error) => assert_eq!(error.reason(), Reason::RequestTooExpensive),
        }
        assert!(work.used() < WORK_MAX + 2_000_000, "{}", work.used());
    }
}

#[test]
fn equal_elements_are_found_in_linear_time() {
    let user = user_with_emails(1000, &"a".repeat(200));
    // Each operation changes the value of one element, to one that no other element has.
    let change = |n: usize| {
        let path = format!("emails[value eq \"{}{n}@x\"].value", "a".repeat(200));
        json!({"op": "replace", "path": path, "value": format!("{}new{n}", "a".repeat(200))})
    };
    let operations: Vec<Value> = (0..100).map(change).collect();
    let (one, all) = (count_work(&operations[..1], &user), count_work(&operations, &user));
    assert!(all - one < 99 * (1000 * 300 + 20_000), "{one} {all}");
    // The last operation makes all elements equal.
    let merge = json!({"op": "replace", "path": "emails.value", "value": "same"});
    let used = count_work(&[merge], &user);
    assert!(used < 3_000_000, "{used}");
    for path in ["emails.value", "emails[type pr].type", "emails[value pr].value"] {
        let operations: Vec<Value> =
            (0..10_000).map(|n| json!({"op": "replace", "path": path, "value": format!("v{n}")})).collect();
        let mut work = WorkBudget::default();
        drop(apply(&read(&operations), &user, &mut work));
        assert!(work.used() < WORK_MAX + 2_000_000, "{path}: {}", work.used());
    }
}

#[test]
fn a_value_is_not_copied_without_limit() {
    let user = user_with_emails(1000, "a");
    let text = "x".repeat(60_000);
    let operations = [json!({"op": "replace", "path": "emails.display", "value": text})];
    let error = apply(&read(&operations), &user, &mut WorkBudget::default()).unwrap_err();
    assert_eq!((error.status(), error.reason()), (400, Reason::RequestTooExpensive));
}

#[test]
fn value_paths_of_29_kib_on_a_thousand_long_values_are_refused() {
    // This request kept the writer busy for 152 s.
    let user = user_with_emails(1000, &"\u{fdfa}".repeat(170));
    let operations: Vec<Value> = (0..400).map(display_of).collect();
    let removals: Vec<Value> = (0..400)
        .map(|n| json!({"op": "remove", "path": format!("emails[value co \"{n}-\" or value co \"-{n}\"]")}))
        .collect();
    for operations in [removals, operations] {
        let mut work = WorkBudget::default();
        let error = apply(&read(&operations), &user, &mut work).unwrap_err();
        assert!(error.reason() == Reason::RequestTooExpensive && work.used() < WORK_MAX + 1_000_000, "{error}");
        assert!(error.to_string().contains("Operations["), "{error}");
    }
}

#[test]
fn ordinary_requests_are_far_below_the_limit() {
    let user = user_with_emails(5, "ada.lovelace");
    let used = count_work(&[json!({"op": "replace", "path": "active", "value": false})], &user);
    assert!(used < 1_000, "{used}");
    let operations: Vec<Value> = (0..200)
        .map(|n| json!({"op": "replace", "path": "emails[type eq \"work\"].display", "value": n.to_string()}))
        .collect();
    let used = count_work(&operations, &user);
    assert!(used < WORK_MAX / 100, "{used}");
}

fn element() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just("a"), Just("É"), Just("é"), Just("B b"), Just("ß")];
    (text.clone(), prop::option::of(text), any::<bool>()).prop_map(|(value, kind, primary)| {
        let mut element = json!({"value": value});
        if let Some(kind) = kind {
            element["type"] = kind.into();
        }
        if primary {
            element["primary"] = true.into();
        }
        element
    })
}

fn operation() -> impl Strategy<Value = Value> {
    let filter = prop_oneof![
        Just("value eq \"É\""),
        Just("value sw \"b\" or type eq \"SS\""),
        Just("not (value co \"a\")"),
        Just("type eq \"a\" and value ne \"a\""),
        Just("primary eq true"),
        Just("display pr"),
    ];
    let elements = || prop::collection::vec(element(), 1..12).prop_map(Value::from);
    let part = prop_oneof![Just("value"), Just("type"), Just("display"), Just("primary")];
    let list = prop_oneof![3 => Just("emails"), 1 => Just("phoneNumbers")];
    let text = || prop_oneof![Just(json!("a")), Just(json!("É")), Just(json!("b"))];
    prop_oneof![
        3 => (list.clone(), elements()).prop_map(|(list, value)| json!({"op": "add", "path": list, "value": value})),
        1 => (list.clone(), elements()).prop_map(|(list, value)| json!({"op": "replace", "path": list, "value": value})),
        1 => (list.clone(), elements()).prop_map(|(list, value)| json!({"op": "remove", "path": list, "value": value})),
        2 => (list.clone(), filter.clone()).prop_map(|(list, filter)| json!({"op": "remove", "path": format!("{list}[{filter}]")})),
        4 => (list.clone(), filter.clone(), part, text()).prop_map(|(list, filter, part, value)| {
            let value = if part == "primary" { Value::Bool(true) } else { value };
            json!({"op": "add", "path": format!("{list}[{filter}].{part}"), "value": value})
        }),
        1 => (list.clone(), text()).prop_map(|(list, value)| json!({"op": "replace", "path": format!("{list}.type"), "value": value})),
        1 => text().prop_map(|value| json!({"op": "add", "path": "manager[value eq \"a\"].value", "value": value})),
        1 => (list, filter, element()).prop_map(|(list, filter, value)| {
            json!({"op": "replace", "path": format!("{list}[{filter}]"), "value": value})
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(800) })]

    /// An edit on its own has nothing stored, so it computes everything.
    #[test]
    fn stored_keys_and_indexes_change_no_result(
        emails in prop::collection::vec(element(), 0..20),
        operations in prop::collection::vec(operation(), 1..12),
    ) {
        let body = json!({"userName": "u", "emails": emails});
        let user = crate::scim::validate::read_resource(&body, &USER_TYPE, RULES).unwrap().attributes;
        let patch = read(&operations);
        let together = apply(&patch, &user, &mut WorkBudget::default());
        let mut apart = Ok(user);
        for edit in &patch.edits {
            apart = apart.and_then(|user| {
                let mut after = user;
                apply_edits(std::slice::from_ref(edit), &mut after, &USER_TYPE, RULES, &mut WorkBudget::default())?;
                Ok(after)
            });
        }
        prop_assert_eq!(together, apart);
    }
}
