//! Compares an answer with what a step expects.

use std::time::Duration;

use serde_json::{Value, json};

use super::assertion;
use super::exchange::ServerAnswer;
use super::pointer::pick_value;
use super::scope::VariableScope;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Adds to `problems` what is wrong with an answer.
pub(super) fn judge_answer(expect: &Value, answer: &ServerAnswer, took: Duration, problems: &mut Vec<String>) {
    let statuses = expect["status"].as_array().cloned().unwrap_or_else(|| vec![expect["status"].clone()]);
    if !expect["status"].is_null() && !statuses.contains(&json!(answer.status)) {
        let allowed: Vec<String> = statuses.iter().map(Value::to_string).collect();
        problems.push(format!("status: expected {}, got {}", allowed.join(" or "), answer.status));
    }
    if expect["max_ms"].as_u64().is_some_and(|limit| took > Duration::from_millis(limit)) {
        problems.push(format!("it took {} ms, more than {} ms", took.as_millis(), expect["max_ms"]));
    }
    if !answer.body.is_empty() && (answer.status == 204 || expect["body"] == "none") {
        problems.push("expected no body".to_owned());
    }
    let document = read_document(expect, answer, problems);
    let mut tests: Vec<Value> = expect["json"].as_array().cloned().unwrap_or_default();
    if let Some(list) = expect.get("list") {
        tests.extend(list_tests(list));
    }
    if let Some(error) = expect.get("error") {
        tests.extend(error_tests(error, answer.status));
    }
    match &document {
        Some(document) => {
            tests.extend(expect["json_if_body"].as_array().cloned().unwrap_or_default());
            assertion::check_body(document, &tests, problems);
        }
        None if !tests.is_empty() => problems.push("expected a JSON body, got none".to_owned()),
        None => {}
    }
    let headers = expect["headers"].as_array().map_or(&[][..], Vec::as_slice);
    assertion::check_headers(&answer.headers, headers, problems);
}

/// The body as JSON. Checks the rules for every answer with a body.
fn read_document(expect: &Value, answer: &ServerAnswer, problems: &mut Vec<String>) -> Option<Value> {
    let document = serde_json::from_slice(&answer.body).ok();
    if document.is_none() && !answer.body.is_empty() && expect["body"].is_null() {
        problems.push("the body is not JSON".to_owned());
    }
    if document.is_some() && expect["content_type"] != false && answer.status != 204 {
        let given = answer.header("content-type").unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !["application/scim+json", "application/json"].contains(&kind.as_str()) {
            problems.push(format!("content type is {given:?}, expected application/scim+json"));
        }
    }
    document
}

/// The rules for a `ListResponse`: schema, three integers and an array (RFC 7644 section 3.4.2).
fn list_tests(list: &Value) -> Vec<Value> {
    let mut tests = vec![json!({"at": "/schemas", "contains": LIST}), json!({"at": "/Resources", "type": "array"})];
    for count in ["/totalResults", "/startIndex", "/itemsPerPage"] {
        tests.push(json!({"at": count, "type": "integer"}));
    }
    for (key, at, test) in [
        ("total", "/totalResults", "eq"),
        ("min_total", "/totalResults", "gte"),
        ("size", "/Resources", "len"),
        ("max_size", "/Resources", "max_len"),
        ("start", "/startIndex", "eq"),
    ] {
        if let Some(expected) = list.get(key) {
            tests.push(json!({"at": at, test: expected}));
        }
    }
    tests
}

/// The rules for an error: schema and status as string (RFC 7644 section 3.12).
fn error_tests(error: &Value, status: u16) -> Vec<Value> {
    let mut tests =
        vec![json!({"at": "/schemas", "contains": ERROR}), json!({"at": "/status", "eq": status.to_string()})];
    if let Some(scim_type) = error["scimType"].as_str() {
        tests.push(json!({"at": "/scimType", "eq": scim_type}));
    }
    if error["detail"] == true {
        tests.push(json!({"at": "/detail", "type": "string", "min_len": 1}));
    }
    tests
}

/// Stores values of the answer for later steps. `pointers` are pairs of a variable and a pointer; `@location` is the
/// header Location.
pub(super) fn capture_values<'p>(
    pointers: impl Iterator<Item = (&'p String, &'p String)>,
    answer: &ServerAnswer,
    scope: &mut VariableScope,
    problems: &mut Vec<String>,
) {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for (name, pointer) in pointers {
        let found = if pointer == "@location" {
            answer.header("location").map(Value::from)
        } else {
            scope.render_text(pointer).ok().and_then(|pointer| pick_value(&document, &pointer).cloned())
        };
        match found.filter(|value| !value.is_null()) {
            Some(value) => scope.set(name, value),
            None => problems.push(format!("the answer has no value at {pointer}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(expect: &Value, status: u16, body: &Value) -> Vec<String> {
        let headers = vec![("content-type".to_owned(), "application/scim+json".to_owned())];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut problems = Vec::new();
        judge_answer(expect, &ServerAnswer { status, headers, body: bytes }, Duration::from_millis(5), &mut problems);
        problems
    }

    #[test]
    fn each_fault_of_an_answer_is_one_problem() {
        let list = json!({"schemas": [LIST], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []});
        let expect = json!({"status": 200, "list": {"total": 0}});
        assert_eq!(problems_of(&expect, 200, &list), Vec::<String>::new());
        assert_eq!(problems_of(&expect, 404, &list), ["status: expected 200, got 404"]);
        let mut without = list.clone();
        without.as_object_mut().unwrap().remove("totalResults");
        assert_eq!(problems_of(&expect, 200, &without).len(), 2, "its type and its value");
        assert_eq!(problems_of(&expect, 200, &Value::Null), ["expected a JSON body, got none"]);
        let expect = json!({"status": [200, 204], "max_ms": 1});
        assert_eq!(problems_of(&expect, 204, &Value::Null).len(), 1);
        assert_eq!(problems_of(&json!({"status": 204}), 204, &list), ["expected no body"]);
        let error = json!({"schemas": [ERROR], "status": "409", "scimType": "uniqueness", "detail": "x"});
        let expect = json!({"status": 409, "error": {"scimType": "uniqueness", "detail": true}});
        assert_eq!(problems_of(&expect, 409, &error), Vec::<String>::new());
        assert_eq!(problems_of(&expect, 409, &json!({"schemas": [ERROR], "status": 409})).len(), 4);
    }
}
