//! Random users and random PATCH operations on them, from a small vocabulary, so that operations match existing values.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::sample::ENTERPRISE;

const TEXTS: &[&str] = &["a", "b", "C d"];
const SINGLES: &[&str] = &["title", "nickName", "displayName", "locale", "externalId"];
const NAME_PARTS: &[&str] = &["givenName", "familyName", "middleName"];
const LISTS: &[&str] = &["emails", "phoneNumbers"];
const WORK_PARTS: &[&str] = &["department", "costCenter"];

fn text() -> impl Strategy<Value = Value> {
    select(TEXTS).prop_map(Value::from)
}

/// Some of these names, each with a text.
fn parts(names: &'static [&'static str]) -> BoxedStrategy<Map<String, Value>> {
    vec(option::of(text()), names.len())
        .prop_map(|values| {
            let pairs = names.iter().zip(values);
            pairs.filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect()
        })
        .boxed()
}

/// An element of a list: always a value, often a type, rarely `primary`.
fn element() -> BoxedStrategy<Value> {
    let parts = (text(), option::of(select(&["work", "home"][..])), option::of(text()), prop::bool::weighted(0.2));
    parts
        .prop_map(|(value, kind, display, primary)| {
            let mut element = json!({"value": value});
            if let Some(kind) = kind {
                element["type"] = kind.into();
            }
            if let Some(display) = display {
                element["display"] = display;
            }
            if primary {
                element["primary"] = true.into();
            }
            element
        })
        .boxed()
}

/// Well-formed lists: no duplicate element (by value and type), at most one primary element.
fn elements(most: usize) -> BoxedStrategy<Vec<Value>> {
    vec(element(), 1..=most)
        .prop_map(|mut list| {
            let mut seen = Vec::new();
            list.retain(|element| {
                let same = (element["value"].clone(), element.get("type").cloned());
                let fresh = !seen.contains(&same);
                seen.push(same);
                fresh
            });
            for element in list.iter_mut().filter(|element| element.get("primary").is_some()).skip(1) {
                element.as_object_mut().unwrap().shift_remove("primary");
            }
            list
        })
        .boxed()
}

fn work() -> BoxedStrategy<Value> {
    (parts(WORK_PARTS), option::of(text()))
        .prop_map(|(mut parts, manager)| {
            if let Some(manager) = manager {
                parts.insert("manager".into(), json!({"value": manager}));
            }
            Value::Object(parts)
        })
        .boxed()
}

/// The attributes of a user except its name, without empty ones.
pub(super) fn users() -> BoxedStrategy<Map<String, Value>> {
    let lists = (option::of(elements(3)), option::of(elements(2)));
    (parts(SINGLES), parts(NAME_PARTS), lists, option::of(work()), any::<bool>())
        .prop_map(|(mut user, name, (emails, phones), work, active)| {
            let optional =
                [("emails", emails.map(Value::from)), ("phoneNumbers", phones.map(Value::from)), (ENTERPRISE, work)];
            for (key, value) in optional.into_iter().chain([("name", Some(Value::Object(name)))]) {
                if let Some(value) = value.filter(|value| *value != json!({})) {
                    user.insert(key.into(), value);
                }
            }
            user.insert("active".into(), active.into());
            user
        })
        .boxed()
}

/// A filter for elements, as text.
fn filters() -> BoxedStrategy<String> {
    let term = prop_oneof![
        4 => select(&["work", "HOME", "other"][..]).prop_map(|kind| format!("type eq \"{kind}\"")),
        3 => select(&["a", "B", "c D"][..]).prop_map(|value| format!("value eq \"{value}\"")),
        1 => Just("primary eq true".to_owned()),
        1 => Just("primary eq false".to_owned()),
        1 => Just("display pr".to_owned()),
        1 => Just("type ne \"work\"".to_owned()),
    ];
    prop_oneof![
        5 => term.clone(),
        2 => (term.clone(), term.clone()).prop_map(|(left, right)| format!("{left} and {right}")),
        1 => (term.clone(), term.clone()).prop_map(|(left, right)| format!("{left} or {right}")),
        1 => term.prop_map(|term| format!("not ({term})")),
    ]
    .boxed()
}

fn op_of(verbs: &'static [&'static str], path: String, value: Value) -> BoxedStrategy<Value> {
    select(verbs).prop_map(move |op| json!({"op": op, "path": path, "value": value})).boxed()
}

fn setting(path: String, value: Value) -> BoxedStrategy<Value> {
    op_of(&["add", "replace"], path, value).boxed()
}

fn removal(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

/// A path to a single value.
fn single_paths() -> BoxedStrategy<String> {
    prop_oneof![
        select(SINGLES).prop_map(str::to_owned),
        select(NAME_PARTS).prop_map(|part| format!("name.{part}")),
        select(WORK_PARTS).prop_map(|part| format!("{ENTERPRISE}:{part}")),
        Just(format!("{ENTERPRISE}:manager.value")),
    ]
    .boxed()
}

fn single_operations() -> BoxedStrategy<Value> {
    prop_oneof![
        4 => (single_paths(), text()).prop_flat_map(|(path, value)| setting(path, value)),
        1 => any::<bool>().prop_flat_map(|active| setting("active".into(), active.into())),
        2 => single_paths().prop_map(|path| removal(&path)),
        1 => single_paths().prop_map(|path| json!({"op": "replace", "path": path, "value": null})),
        1 => select(&["name", "active", ENTERPRISE, "userName"][..]).prop_map(removal),
        2 => parts(NAME_PARTS).prop_filter("some part", |parts| !parts.is_empty())
            .prop_flat_map(|parts| setting("name".into(), Value::Object(parts))),
        1 => work().prop_filter("some part", |work| *work != json!({}))
            .prop_flat_map(|work| setting(ENTERPRISE.into(), work)),
        1 => (parts(SINGLES), elements(2)).prop_flat_map(|(mut parts, emails)| {
            parts.insert("emails".into(), emails.into());
            select(&["add", "replace"][..]).prop_map(move |op| json!({"op": op, "value": parts}))
        }),
    ]
    .boxed()
}

fn list_operations() -> BoxedStrategy<Value> {
    let list = || select(LISTS).prop_map(str::to_owned);
    let filtered = || (list(), filters()).prop_map(|(list, filter)| format!("{list}[{filter}]"));
    let part = (select(&["value", "display", "type"][..]), text());
    let primary = Just(("primary", Value::Bool(true)));
    prop_oneof![
        4 => (list(), elements(3)).prop_flat_map(|(path, elements)| setting(path, elements.into())),
        1 => list().prop_map(|path| removal(&path)),
        1 => list().prop_map(|path| json!({"op": "add", "path": path, "value": []})),
        1 => list().prop_map(|path| json!({"op": "replace", "path": path, "value": []})),
        3 => filtered().prop_map(|path| removal(&path)),
        4 => (filtered(), prop_oneof![4 => part, 1 => primary])
            .prop_flat_map(|(path, (part, value))| setting(format!("{path}.{part}"), value)),
        2 => (filtered(), select(&["value", "display", "type", "primary"][..]))
            .prop_map(|(path, part)| removal(&format!("{path}.{part}"))),
        2 => (filtered(), element()).prop_flat_map(|(path, element)| setting(path, element)),
    ]
    .boxed()
}

/// One well-formed operation.
pub(super) fn operations() -> BoxedStrategy<Value> {
    prop_oneof![single_operations(), list_operations()].boxed()
}

/// An operation that a client may repeat: its path does not filter on the value it changes.
pub(super) fn repeatable() -> BoxedStrategy<Value> {
    operations()
        .prop_filter("replace or remove, and no filter on what changes", |operation| {
            let path = operation["path"].as_str().unwrap_or_default();
            let part = path.rsplit_once("].").map_or("", |(_, part)| part);
            let names_what_it_changes = path.split_once('[').is_some_and(|(_, filter)| {
                let filter = filter.rsplit_once(']').map_or("", |(filter, _)| filter);
                part.is_empty() && operation["op"] != "remove" || !part.is_empty() && filter.contains(part)
            });
            operation["op"] != "add" && !names_what_it_changes
        })
        .boxed()
}
