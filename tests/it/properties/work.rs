//! Worst cases: large documents with expensive texts, and many operations, terms and values. Fuzz inputs of some KiB cannot
//! contain them. The work of each stays below the limit, and so does the memory.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rollcall::error::Reason;
use rollcall::scim::dialect::DialectRules;
use rollcall::scim::filter::ScimFilter;
use rollcall::scim::filter::evaluate::matches_resource;
use rollcall::scim::patch;
use rollcall::scim::schema::USER_TYPE;
use rollcall::scim::validate;
use rollcall::scim::work::{RESOURCE_MAX_BYTES, WORK_MAX, WorkBudget, measure_value};
use serde_json::{Map, Value, json};

use super::check_property;
use crate::sample::{self, ENTERPRISE};

/// Work that is counted after it is done: one value, or one pass over the largest document.
const LATE_WORK: u64 = 12_000_000;
/// Very generous: a test without optimization on a busy machine. Work that is not counted takes minutes.
const TIME_MAX: Duration = Duration::from_mins(1);

/// Texts whose comparison keys are expensive: cheap, long to normalize, and eleven times longer afterwards.
fn expensive_texts() -> BoxedStrategy<String> {
    (select(&["a", "A", "é", "\u{fdfa}", "ß", "a\u{301}\u{323}", "\u{1f82}"][..]), 1_usize..600)
        .prop_map(|(unit, length)| unit.repeat(length.div_ceil(unit.len())))
        .boxed()
}

/// Users whose list has up to 1,000 elements that begin with the same text.
fn large_users() -> BoxedStrategy<Map<String, Value>> {
    (1_usize..=1_000, expensive_texts(), select(&["emails", "phoneNumbers", "addresses"][..]))
        .prop_map(|(count, text, list)| {
            let count = count.min(RESOURCE_MAX_BYTES / (text.len() + 80));
            let element = |n: usize| match list {
                "addresses" => json!({"formatted": format!("{text}{n}"), "type": "work"}),
                _ => json!({"value": format!("{text}{n}"), "type": "work", "display": "Ä"}),
            };
            let elements: Vec<Value> = (0..count).map(element).collect();
            let user = json!({
                "userName": "u", list: elements, ENTERPRISE: {"manager": {"value": "7", "displayName": text}},
            });
            validate::read_resource(&user, &USER_TYPE, DialectRules::LENIENT).unwrap().attributes
        })
        .boxed()
}

/// A filter of up to 200 terms on the elements of a list.
fn long_filters() -> BoxedStrategy<String> {
    let operator = select(&["co", "eq", "ne", "sw", "ew", "gt"][..]);
    let name = select(&["value", "type", "display"][..]);
    (1_usize..200, operator, name, expensive_texts(), any::<bool>())
        .prop_map(|(terms, operator, name, text, negated)| {
            // The path has a maximum length.
            let text: String = text.chars().take(20).collect();
            let terms = terms.min(7_000 / (text.len() + 24));
            let term = |n| format!("{name} {operator} \"{text}-{n}\"");
            let joined = (0..terms).map(term).collect::<Vec<_>>().join(" or ");
            if negated { format!("not ({joined})") } else { joined }
        })
        .boxed()
}

/// One operation, which is repeated.
fn expensive_operations() -> BoxedStrategy<Value> {
    let list = || select(&["emails", "phoneNumbers"][..]);
    let element = |n: usize, text: &str| json!({"value": format!("{text}{n}"), "type": "work", "primary": n == 0});
    let elements = move || {
        (1_usize..200, expensive_texts())
            .prop_map(move |(count, text)| (0..count).map(|n| element(n, &text)).collect::<Vec<_>>())
    };
    let filtered = || (list(), long_filters()).prop_map(|(list, filter)| format!("{list}[{filter}]"));
    prop_oneof![
        4 => filtered().prop_map(|path| json!({"op": "remove", "path": path})),
        4 => (filtered(), expensive_texts())
            .prop_map(|(path, value)| json!({"op": "add", "path": format!("{path}.display"), "value": value})),
        3 => (list(), elements()).prop_map(|(path, value)| json!({"op": "add", "path": path, "value": value})),
        2 => (list(), elements()).prop_map(|(path, value)| json!({"op": "remove", "path": path, "value": value})),
        2 => (list(), elements()).prop_map(|(path, value)| json!({"op": "replace", "path": path, "value": value})),
        3 => (list(), select(&["value", "display", "type"][..]), expensive_texts())
            .prop_map(|(list, part, text)| json!({"op": "replace", "path": format!("{list}.{part}"), "value": text})),
        1 => list().prop_map(|list| json!({"op": "add", "path": format!("{list}.primary"), "value": true})),
        2 => (long_filters(), expensive_texts()).prop_map(|(filter, text)| {
            let filter = filter.replace("type ", "value ").replace("display ", "displayName ");
            json!({"op": "add", "path": format!("manager[value eq \"7\" and not ({filter})].value"), "value": text})
        }),
        1 => (long_filters(), expensive_texts())
            .prop_map(|(_, text)| json!({"op": "add", "path": ENTERPRISE, "value": {"department": text}})),
        1 => Just(json!({"op": "add", "path": "addresses", "value": [{"formatted": "new"}]})),
    ]
    .boxed()
}

#[test]
fn the_work_of_the_worst_patch_is_limited() {
    let operations = (vec(expensive_operations(), 1..4), select(&[1_usize, 10, 100, 1_000][..]));
    let budget = || WorkBudget::default();
    // Each case without optimization takes up to some seconds.
    check_property(30, (large_users(), operations), |(user, (operations, repeats))| {
        let operations: Vec<Value> = operations.iter().cycle().take(operations.len() * repeats).cloned().collect();
        if measure_value(&Value::from(operations.clone()), 8 << 20) > 8 << 20 {
            return Ok(());
        }
        let patch = patch::parse_patch(&sample::operations(&operations.into()), &USER_TYPE, DialectRules::LENIENT);
        let Ok(patch) = patch else { return Ok(()) };
        let (mut after, mut work, started) = (user, budget(), Instant::now());
        let done = patch::apply_edits(&patch.edits, &mut after, &USER_TYPE, DialectRules::LENIENT, &mut work);
        prop_assert!(started.elapsed() < TIME_MAX, "{:?} for {} units", started.elapsed(), work.used());
        prop_assert!(work.used() < WORK_MAX + LATE_WORK, "{}", work.used());
        if let Err(error) = &done
            && error.reason() == Reason::RequestTooExpensive
        {
            prop_assert!(work.used() > WORK_MAX);
            prop_assert_eq!(error.status(), 400);
        }
        let memory = measure_value(&Value::Object(after), usize::MAX);
        prop_assert!(memory < 3 * RESOURCE_MAX_BYTES + (WORK_MAX / 8) as usize, "{} bytes", memory);
        Ok(())
    });
}

#[test]
fn the_work_of_the_worst_filter_is_limited() {
    check_property(120, (large_users(), long_filters(), any::<bool>()), |(user, filter, in_brackets)| {
        let text = if in_brackets {
            format!("emails[{filter}] or phoneNumbers[{filter}]")
        } else {
            filter.replace("value ", "emails.value ").replace("type ", "emails.type ").replace("display ", "title ")
        };
        let Ok(filter) = ScimFilter::parse(&text) else { return Ok(()) };
        let predicate = filter.check(&USER_TYPE).unwrap();
        let (mut work, started) = (WorkBudget::default(), Instant::now());
        let matched = matches_resource(&predicate, &user, &mut work);
        prop_assert!(started.elapsed() < TIME_MAX, "{:?} for {} units", started.elapsed(), work.used());
        prop_assert!(work.used() < WORK_MAX + LATE_WORK, "{}", work.used());
        prop_assert_eq!(matched.is_err(), work.used() > WORK_MAX);
        Ok(())
    });
}
