//! Recorded requests of identity providers, replayed. Each file under `tests/fixtures` is one transcript: the steps are
//! sent in order to a configuration with the source that the provider's administrator would choose, and every answer is
//! checked.

mod assertion;
mod pointer;
mod scope;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::app::{App, Client, Request};
use crate::http::Answer;
use crate::sample::{ERROR, LIST};
use scope::{Scope, Unbound};

macro_rules! transcripts {
    ($($name:ident: $file:literal as $source:literal;)*) => {
        $(#[test]
        fn $name() {
            replay($file, include_str!(concat!("../../fixtures/", $file)), $source);
        })*
        /// Every replayed file.
        #[cfg(test)]
        const FILES: &[(&str, &str)] = &[$(($file, include_str!(concat!("../../fixtures/", $file)))),*];
    };
}

transcripts! {
    okta_provisions_users: "okta/okta-users.json" as "okta";
    okta_pushes_groups: "okta/okta-groups.json" as "okta";
    entra_provisions_users: "entra/entra-users.json" as "azure-ad";
    entra_provisions_groups: "entra/entra-groups.json" as "azure-ad";
    onelogin_provisions: "onelogin/onelogin.json" as "other";
    jumpcloud_provisions: "jumpcloud/jumpcloud.json" as "other";
    sailpoint_provisions: "sailpoint/sailpoint.json" as "other";
    rauthy_provisions: "rauthy/rauthy.json" as "other";
    odd_spellings_on_the_wire_are_accepted: "wire/wire-tolerance.json" as "other";
}

const STEP_KEYS: &[&str] = &[
    "name",
    "source",
    "cite",
    "rules",
    "method",
    "path",
    "headers",
    "auth",
    "body",
    "body_raw",
    "expect",
    "capture",
    "optional",
    "pause_ms",
    "note",
    "keep_content_type",
];
const EXPECT_KEYS: &[&str] =
    &["status", "json", "json_if_body", "list", "error", "headers", "max_ms", "body", "content_type"];

#[test]
fn the_transcripts_use_only_keys_of_the_format() {
    for (file, text) in FILES {
        let script = load(file, text);
        for step in script["steps"].as_array().unwrap() {
            check_keys(file, &step["name"], step, STEP_KEYS);
            check_keys(file, &step["name"], &step["expect"], EXPECT_KEYS);
        }
    }
}

fn check_keys(file: &str, step: &Value, object: &Value, allowed: &[&str]) {
    for key in object.as_object().into_iter().flat_map(Map::keys) {
        assert!(allowed.contains(&key.as_str()), "{file}, step {step}: {key:?} is not a key of the format");
    }
}

fn load(file: &str, text: &str) -> Value {
    let script: Value = serde_json::from_str(text).unwrap();
    assert_eq!(script["format"], "rollcall-transcript/1", "{file}");
    let names: Vec<&str> =
        script["steps"].as_array().unwrap().iter().filter_map(|step| step["name"].as_str()).collect();
    assert!(!names.is_empty(), "{file} has no steps");
    for (position, name) in names.iter().enumerate() {
        assert!(!names[..position].contains(name), "{file}: two steps are called {name:?}");
    }
    script
}

fn replay(file: &str, text: &str, source: &str) {
    let script = load(file, text);
    let client = App::shared().configuration(source);
    let mut scope = Scope::new(&script["vars"]);
    let mut failures = Vec::new();
    for step in script["steps"].as_array().unwrap() {
        std::thread::sleep(Duration::from_millis(step["pause_ms"].as_u64().unwrap_or(0).min(5000)));
        let outcome = run(step, &script["headers"], &mut scope, &client);
        if outcome.problems.is_empty() {
            continue;
        }
        let name = step["name"].as_str().unwrap_or_default();
        let report = format!("{file}, step {name:?} {}\n{outcome}", step["rules"]);
        if step["optional"] == true {
            println!("optional: {report}");
        } else {
            failures.push(report);
        }
    }
    assert!(failures.is_empty(), "{} steps failed\n{}", failures.len(), failures.join("\n"));
}

/// The result of a step, for the developer who fixes a failure.
#[derive(Default)]
struct Outcome {
    request: String,
    answer: String,
    problems: Vec<String>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  sent {}", self.request)?;
        for problem in &self.problems {
            writeln!(f, "  - {problem}")?;
        }
        writeln!(f, "  answer {}", self.answer)
    }
}

fn run(step: &Value, file_headers: &Value, scope: &mut Scope, client: &Client) -> Outcome {
    let mut outcome = Outcome::default();
    let prepared =
        request_of(step, file_headers, scope, client).and_then(|request| Ok((request, scope.render(&step["expect"])?)));
    let (request, expect) = match prepared {
        Ok(pair) => pair,
        Err(Unbound(name)) => {
            outcome.problems.push(format!("not run: an earlier step did not supply {{{{{name}}}}}"));
            return outcome;
        }
    };
    outcome.request = format!("{request:?}");
    let begun = Instant::now();
    match request.attempt() {
        Err(why) => outcome.problems.push(format!("no answer: {why}")),
        Ok(answer) => {
            outcome.answer = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
            judge(&expect, &answer, begun.elapsed(), &mut outcome.problems);
            capture(&step["capture"], &answer, scope, &mut outcome.problems);
        }
    }
    outcome
}

fn request_of(step: &Value, file_headers: &Value, scope: &mut Scope, client: &Client) -> Result<Request, Unbound> {
    let path = scope.text(step["path"].as_str().unwrap_or_default())?;
    assert!(path.starts_with(['/', '?']), "path of {} must start with / or ?", step["name"]);
    let mut request = client.request(step["method"].as_str().unwrap(), &path);
    request = match step["auth"].as_str().unwrap_or("bearer") {
        "bearer" => request,
        "none" => request.without("Authorization"),
        "bad" => request.header("Authorization", "Bearer not-the-token-5c0ffee5"),
        "scheme-lower" => request.header("Authorization", &format!("bearer {}", client.token)),
        "bare" => request.header("Authorization", &client.token),
        // "scim:" and an invalid token, in base64: any Basic credential must be refused.
        "basic" => request.header("Authorization", "Basic c2NpbTpub3QtdGhlLXRva2Vu"),
        other => panic!("unknown auth {other:?}"),
    };
    for (name, value) in [file_headers, &step["headers"]].into_iter().filter_map(Value::as_object).flatten() {
        request = match value.as_str() {
            None => request.without(name),
            Some(text) => request.header(name, &scope.text(text)?),
        };
    }
    if let Some(raw) = step["body_raw"].as_str() {
        return Ok(request.body(scope.text(raw)?.as_bytes()));
    }
    if let Some(body) = step.get("body") {
        return Ok(request.body(scope.render(body)?.to_string().as_bytes()));
    }
    Ok(if step["keep_content_type"] == true { request } else { request.without("Content-Type") })
}

fn judge(expect: &Value, answer: &Answer, took: Duration, problems: &mut Vec<String>) {
    let statuses = expect["status"].as_array().cloned().unwrap_or_else(|| vec![expect["status"].clone()]);
    if !expect["status"].is_null() && !statuses.contains(&json!(answer.status)) {
        problems.push(format!("status: expected {}, got {}", expect["status"], answer.status));
    }
    if expect["max_ms"].as_u64().is_some_and(|limit| took > Duration::from_millis(limit)) {
        problems.push(format!("took {took:?}, more than {} ms", expect["max_ms"]));
    }
    if !answer.body.is_empty() && (answer.status == 204 || expect["body"] == "none") {
        problems.push("expected no body".to_owned());
    }
    let document = document_of(expect, answer, problems);
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
    assertion::check_headers(answer, expect["headers"].as_array().map_or(&[], Vec::as_slice), problems);
}

/// The body as JSON. Checks the rules for every answer with a body.
fn document_of(expect: &Value, answer: &Answer, problems: &mut Vec<String>) -> Option<Value> {
    if let Some(coding) = answer.header("content-encoding") {
        problems.push(format!("the answer is packed with {coding}, and Rollcall packs nothing"));
    }
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
        if let Some(want) = list.get(key) {
            tests.push(json!({"at": at, test: want}));
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

fn capture(pointers: &Value, answer: &Answer, scope: &mut Scope, problems: &mut Vec<String>) {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for (name, pointer) in pointers.as_object().into_iter().flatten() {
        let pointer = pointer.as_str().unwrap_or_default();
        let found = if pointer == "@location" {
            answer.header("location").map(Value::from)
        } else {
            scope.text(pointer).ok().and_then(|pointer| pointer::pick(&document, &pointer).cloned())
        };
        match found.filter(|value| !value.is_null()) {
            Some(value) => scope.set(name, value),
            None => problems.push(format!("nothing to capture at {pointer}")),
        }
    }
}
