//! The assertions of conversations, each on one value or one header.

use serde_json::{Map, Value};

use super::pointer::pick_value;

/// Start of a problem that the provider does not mind.
pub(super) const RECOMMENDATION: &str = "recommended: ";

/// The tests of an assertion.
const TESTS: &[&str] = &[
    "eq", "ne", "ieq", "exists", "empty", "type", "len", "min_len", "max_len", "gte", "lte", "one_of", "contains",
    "lacks", "covers", "count_of", "matches",
];

/// Checks that an assertion can be evaluated. `position` is the key of what it is about: `at` or `name`.
///
/// # Errors
/// A sentence with the fault.
pub(super) fn validate_assertion(assertion: &Value, position: &str) -> Result<(), String> {
    let at = assertion[position].as_str().ok_or_else(|| format!("an assertion without {position:?}: {assertion}"))?;
    if position == "at" && !at.is_empty() && !at.starts_with('/') {
        return Err(format!("the pointer {at:?} does not start with /"));
    }
    let tests: Vec<(&String, &Value)> = list_tests(assertion).collect();
    if tests.is_empty() {
        return Err(format!("an assertion without a test: {assertion}"));
    }
    for (test, value) in tests {
        if !TESTS.contains(&test.as_str()) {
            return Err(format!("{test:?} is not a test of an assertion"));
        }
        if test == "matches" && regex_lite::Regex::new(value.as_str().unwrap_or_default()).is_err() {
            return Err(format!("{value} is not a regular expression"));
        }
    }
    Ok(())
}

fn list_tests(assertion: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let members = assertion.as_object().into_iter().flat_map(Map::iter);
    members.filter(|(test, _)| !["at", "name", "why", "recommended"].contains(&test.as_str()))
}

/// Checks each assertion on the document and adds failures to `problems`.
pub(super) fn check_body(document: &Value, assertions: &[Value], problems: &mut Vec<String>) {
    for assertion in assertions {
        let at = assertion["at"].as_str().unwrap_or_default();
        check_value(if at.is_empty() { "/" } else { at }, pick_value(document, at), assertion, problems);
    }
}

/// Checks each assertion on a header and adds failures to `problems`.
pub(super) fn check_headers(headers: &[(String, String)], assertions: &[Value], problems: &mut Vec<String>) {
    for assertion in assertions {
        let name = assertion["name"].as_str().unwrap_or_default();
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.map(|(_, value)| Value::from(value.as_str()));
        check_value(&format!("header {name}"), value.as_ref(), assertion, problems);
    }
}

fn check_value(location: &str, got: Option<&Value>, assertion: &Value, problems: &mut Vec<String>) {
    for (test, expected) in list_tests(assertion) {
        if !holds_for(got, test, expected) {
            let actual = got.map_or_else(|| "nothing".to_owned(), Value::to_string);
            let why = assertion["why"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
            let mark = if assertion["recommended"] == true { RECOMMENDATION } else { "" };
            problems.push(format!("{mark}{location}: expected {test} {expected}, got {actual}{why}"));
        }
    }
}

fn holds_for(got: Option<&Value>, test: &str, expected: &Value) -> bool {
    match test {
        "eq" => got.is_some_and(|got| is_same(got, expected)),
        "ne" => got.is_none_or(|got| !is_same(got, expected)),
        "ieq" => got
            .and_then(Value::as_str)
            .zip(expected.as_str())
            .is_some_and(|(a, b)| a.to_lowercase() == b.to_lowercase()),
        "exists" => Some(got.is_some()) == expected.as_bool(),
        "empty" => Some(is_empty(got)) == expected.as_bool(),
        "type" => got.is_some_and(|got| is_of_type(got, expected)),
        "len" => measure_length(got).is_some_and(|length| Some(length) == expected.as_u64()),
        "min_len" => {
            measure_length(got).is_some_and(|length| expected.as_u64().is_some_and(|expected| length >= expected))
        }
        "max_len" => {
            measure_length(got).is_some_and(|length| expected.as_u64().is_some_and(|expected| length <= expected))
        }
        "gte" => read_number(got).zip(expected.as_f64()).is_some_and(|(a, b)| a >= b),
        "lte" => read_number(got).zip(expected.as_f64()).is_some_and(|(a, b)| a <= b),
        "one_of" => got.is_some_and(|got| list_items(Some(expected)).iter().any(|expected| is_same(got, expected))),
        "contains" => got.is_some_and(|got| contains_item(got, expected)),
        "lacks" => is_empty(got) || !got.is_some_and(|got| contains_item(got, expected)),
        "covers" => got.is_some_and(|got| covers_all(got, expected)),
        "count_of" => {
            let found = list_items(got).iter().filter(|item| covers_all(item, &expected["item"])).count();
            expected["times"].as_u64() == u64::try_from(found).ok()
        }
        "matches" => {
            let pattern = regex_lite::Regex::new(expected.as_str().unwrap_or_default());
            got.and_then(Value::as_str).zip(pattern.ok()).is_some_and(|(text, pattern)| pattern.is_match(text))
        }
        _ => false,
    }
}

/// Equal and of the same JSON type; 1 and 1.0 are equal.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        _ => a == b,
    }
}

/// `got` has everything that `expected` has.
fn covers_all(got: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(expected) => {
            expected.iter().all(|(key, expected)| got.get(key).is_some_and(|got| covers_all(got, expected)))
        }
        _ => is_same(got, expected),
    }
}

fn contains_item(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Array(items), _) => items.iter().any(|item| covers_all(item, expected)),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => covers_all(got, expected),
    }
}

fn is_empty(got: Option<&Value>) -> bool {
    match got {
        None | Some(Value::Null) => true,
        Some(_) => measure_length(got) == Some(0),
    }
}

fn is_of_type(got: &Value, expected: &Value) -> bool {
    let name = match got {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let one = std::slice::from_ref(expected);
    let types = expected.as_array().map_or(one, Vec::as_slice);
    types.iter().any(|expected| *expected == name || (*expected == "number" && name == "integer"))
}

/// Characters of a text, elements of an array, members of an object.
fn measure_length(got: Option<&Value>) -> Option<u64> {
    let length = match got? {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn read_number(got: Option<&Value>) -> Option<f64> {
    got.and_then(Value::as_f64)
}

fn list_items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(holds_for(Some(&got), test, &right), "{test} {right} on {got}");
            assert!(!holds_for(Some(&got), test, &wrong), "{test} {wrong} on {got}");
        }
    }
}
