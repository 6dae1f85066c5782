//! The assertions of transcripts, each on one value or one header.

use serde_json::{Map, Value};

use super::pointer;
use crate::http::Answer;

/// Checks each assertion on the document and adds failures to `problems`.
pub(super) fn check_body(document: &Value, assertions: &[Value], problems: &mut Vec<String>) {
    for assertion in assertions {
        let at = assertion["at"].as_str().unwrap_or_else(|| panic!("an assertion without `at`: {assertion}"));
        check(if at.is_empty() { "/" } else { at }, pointer::pick(document, at), assertion, problems);
    }
}

/// Checks each assertion on the headers and adds failures to `problems`.
pub(super) fn check_headers(answer: &Answer, assertions: &[Value], problems: &mut Vec<String>) {
    for assertion in assertions {
        let name =
            assertion["name"].as_str().unwrap_or_else(|| panic!("a header assertion without `name`: {assertion}"));
        let value = answer.header(&name.to_ascii_lowercase()).map(Value::from);
        check(&format!("header {name}"), value.as_ref(), assertion, problems);
    }
}

fn check(location: &str, got: Option<&Value>, assertion: &Value, problems: &mut Vec<String>) {
    let tests: Vec<_> = assertion
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .filter(|(test, _)| !["at", "name", "why"].contains(&test.as_str()))
        .collect();
    assert!(!tests.is_empty(), "an assertion without a test: {assertion}");
    for (test, want) in tests {
        if !holds(got, test, want) {
            let actual = got.map_or_else(|| "nothing".to_owned(), Value::to_string);
            let why = assertion["why"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
            problems.push(format!("{location}: expected {test} {want}, got {actual}{why}"));
        }
    }
}

fn holds(got: Option<&Value>, test: &str, want: &Value) -> bool {
    match test {
        "eq" => got.is_some_and(|got| same(got, want)),
        "ne" => got.is_none_or(|got| !same(got, want)),
        "ieq" => {
            got.and_then(Value::as_str).zip(want.as_str()).is_some_and(|(a, b)| a.to_lowercase() == b.to_lowercase())
        }
        "exists" => Some(got.is_some()) == want.as_bool(),
        "empty" => Some(is_empty(got)) == want.as_bool(),
        "type" => got.is_some_and(|got| is_of_type(got, want)),
        "len" => length(got).is_some_and(|length| Some(length) == want.as_u64()),
        "min_len" => length(got).is_some_and(|length| want.as_u64().is_some_and(|want| length >= want)),
        "max_len" => length(got).is_some_and(|length| want.as_u64().is_some_and(|want| length <= want)),
        "gte" => number(got).zip(want.as_f64()).is_some_and(|(a, b)| a >= b),
        "lte" => number(got).zip(want.as_f64()).is_some_and(|(a, b)| a <= b),
        "one_of" => got.is_some_and(|got| items(Some(want)).iter().any(|want| same(got, want))),
        "contains" => got.is_some_and(|got| contains(got, want)),
        "lacks" => is_empty(got) || !got.is_some_and(|got| contains(got, want)),
        "covers" => got.is_some_and(|got| covers(got, want)),
        "count_of" => {
            let found = items(got).iter().filter(|item| covers(item, &want["item"])).count();
            want["times"].as_u64() == u64::try_from(found).ok()
        }
        "matches" => {
            let pattern = regex_lite::Regex::new(want.as_str().unwrap_or_default()).unwrap();
            got.and_then(Value::as_str).is_some_and(|text| pattern.is_match(text))
        }
        other => panic!("unknown assertion {other:?}"),
    }
}

/// Equal and of the same JSON type; 1 and 1.0 are equal.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// `got` has everything that `want` has.
fn covers(got: &Value, want: &Value) -> bool {
    match want {
        Value::Object(want) => want.iter().all(|(key, want)| got.get(key).is_some_and(|got| covers(got, want))),
        _ => same(got, want),
    }
}

fn contains(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Array(items), _) => items.iter().any(|item| covers(item, want)),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => covers(got, want),
    }
}

fn is_empty(got: Option<&Value>) -> bool {
    match got {
        None | Some(Value::Null) => true,
        Some(_) => length(got) == Some(0),
    }
}

fn is_of_type(got: &Value, want: &Value) -> bool {
    let name = match got {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let one = std::slice::from_ref(want);
    let types = want.as_array().map_or(one, Vec::as_slice);
    types.iter().any(|want| *want == name || (*want == "number" && name == "integer"))
}

/// Characters of a text, elements of an array, members of an object.
fn length(got: Option<&Value>) -> Option<u64> {
    let length = match got? {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn number(got: Option<&Value>) -> Option<f64> {
    got.and_then(Value::as_f64)
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[test]
fn each_assertion_accepts_right_and_rejects_wrong_values() {
    use serde_json::json;
    let table = [
        ("eq", json!(1), json!(1), json!(true)),
        ("ne", json!("a"), json!("b"), json!("a")),
        ("ieq", json!("Ab"), json!("aB"), json!("b")),
        ("exists", json!(null), json!(true), json!(false)),
        ("empty", json!([]), json!(true), json!(false)),
        ("type", json!(3), json!(["number"]), json!("string")),
        ("len", json!("äb"), json!(2), json!(3)),
        ("min_len", json!([1]), json!(1), json!(2)),
        ("max_len", json!([1]), json!(1), json!(0)),
        ("gte", json!(2), json!(2), json!(3)),
        ("lte", json!(2), json!(2), json!(1)),
        ("one_of", json!(2), json!([1, 2]), json!([1])),
        ("contains", json!([{"a": 1, "b": 2}]), json!({"a": 1}), json!({"a": 2})),
        ("lacks", json!([{"a": 1}]), json!({"a": 2}), json!({"a": 1})),
        ("covers", json!({"a": 1, "b": 2}), json!({"a": 1}), json!({"c": 1})),
        (
            "count_of",
            json!([{"a": 1}, {"a": 1}]),
            json!({"item": {"a": 1}, "times": 2}),
            json!({"item": {}, "times": 1}),
        ),
        ("matches", json!("Bearer x"), json!("(?i)^bearer"), json!("^x")),
    ];
    for (test, got, right, wrong) in table {
        assert!(holds(Some(&got), test, &right), "{test} {right} on {got}");
        assert!(!holds(Some(&got), test, &wrong), "{test} {wrong} on {got}");
    }
}
