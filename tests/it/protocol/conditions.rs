//! If-Match and If-None-Match (RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2) on every method of a resource, and `version` in
//! Bulk. RFC 7644 section 3.14 sends weak tags in If-Match, so weak and strong tags are compared by their text.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::sample::{group, operation, operations, user};

/// What a header of a table means for the current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Matches,
    Differs,
    Malformed,
    /// Malformed, but accepted by lenient presets as the current version.
    MatchesLeniently,
}

/// Headers with `V` for the text of the current version. Each has one or more lines.
static HEADERS: LazyLock<Vec<(Vec<String>, Meaning)>> = LazyLock::new(list_headers);

fn list_headers() -> Vec<(Vec<String>, Meaning)> {
    use Meaning::{Differs, Malformed, Matches, MatchesLeniently};
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let many = |last: &str| {
        let mut tags: Vec<String> = (0..9_999).map(|number| format!("\"n{number}\"")).collect();
        tags.push(last.to_owned());
        vec![tags.join(",")]
    };
    vec![
        (lines(&["*"]), Matches),
        (lines(&["W/\"V\""]), Matches),
        (lines(&["\"V\""]), Matches),
        (lines(&["\"other\", W/\"V\""]), Matches),
        (lines(&["W/\"V\",\"other\""]), Matches),
        (lines(&[", \"a,b\" ,, \"V\""]), Matches),
        (lines(&["\"other\"", "W/\"V\""]), Matches),
        (lines(&["W/\"V\"", "\"other\""]), Matches),
        (many("W/\"V\""), Matches),
        (lines(&["W/\"VV\""]), Differs),
        (lines(&["\"other\""]), Differs),
        (lines(&["\"\""]), Differs),
        (lines(&["\"other\"", "W/\"another\""]), Differs),
        (lines(&["\"a,V\""]), Differs),
        (many("\"other\""), Differs),
        (lines(&["V"]), MatchesLeniently),
        (lines(&["w/\"V\""]), MatchesLeniently),
        (lines(&["W/V"]), MatchesLeniently),
        (lines(&["other, V"]), MatchesLeniently),
        (lines(&["W/"]), Malformed),
        (lines(&["\"V"]), Malformed),
        (lines(&["\"V\" \"other\""]), Malformed),
        (lines(&["\"V\", *"]), Malformed),
        (lines(&["*", "\"V\""]), Malformed),
        (lines(&["\"V\"x"]), Malformed),
        (lines(&[","]), Malformed),
    ]
}

fn call(client: &Client, (method, path): (&str, &str), body: Option<&Value>, header: (&str, &[String])) -> Reply {
    let mut request = client.request(method, path);
    for line in header.1 {
        request = request.also(header.0, line);
    }
    match body {
        Some(body) => request.json(body).send(),
        None => request.send(),
    }
}

/// Checks one condition on one method. The write must happen exactly if the condition is met.
fn check(client: &Client, endpoint: &str, method: &str, condition: (&str, usize), strict: bool) {
    let (field, number) = condition;
    let (lines, meaning) = &HEADERS[number];
    let name = format!("{method}-{field}-{number}");
    let document = |name: &str| if endpoint == "/Users" { user(name) } else { group(name, &[]) };
    let made = client.post(endpoint, &document(&name)).answered(201);
    let path = format!("{endpoint}/{}", made.id());
    let version = made.version().trim_start_matches("W/").trim_matches('"').to_owned();
    let lines: Vec<String> = lines.iter().map(|line| line.replace('V', &version)).collect();
    let body = match method {
        "PUT" => Some(document(&format!("{name}-new"))),
        "PATCH" => Some(operation("replace", "externalId", &json!("new"))),
        _ => None,
    };
    let reply = call(client, (method, &path), body.as_ref(), (field, &lines));
    let matches = match meaning {
        Meaning::Matches => Some(true),
        Meaning::MatchesLeniently => Some(true).filter(|_| !strict),
        Meaning::Differs => Some(false),
        Meaning::Malformed => None,
    };
    let about = format!(
        "{method} {endpoint}, {field}: {}, {meaning:?}",
        lines.join(" | ").chars().take(80).collect::<String>()
    );
    let done = if method == "DELETE" { 204 } else { 200 };
    let expected = match (matches, field, method) {
        (None, ..) => 400,
        (Some(true), "If-Match", _) | (Some(false), "If-None-Match", _) => done,
        (Some(true), "If-None-Match", "GET") => 304,
        _ => 412,
    };
    assert_eq!(reply.status, expected, "{about}: {}", reply.json);
    match expected {
        400 => drop(reply.refused(400, "invalidValue")),
        412 => drop(reply.refused(412, "")),
        _ => {}
    }
    if method == "GET" {
        return;
    }
    let after = client.get(&path);
    match (expected == done, method) {
        (true, "DELETE") => drop(after.answered(404)),
        (true, _) => assert_ne!(after.answered(200).version(), made.version(), "{about}"),
        (false, _) => assert_eq!(after.answered(200).json, made.json, "{about}"),
    }
}

fn check_all(endpoint: &str, method: &str) {
    for (client, strict) in
        [(App::shared().configuration("other"), false), (App::shared().configuration_with_preset("strict"), true)]
    {
        for field in ["If-Match", "If-None-Match"] {
            for number in 0..HEADERS.len() {
                check(&client, endpoint, method, (field, number), strict);
            }
        }
    }
}

#[test]
fn conditions_on_users_follow_rfc_9110() {
    //
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        check_all("/Users", method);
    }
}

#[test]
fn conditions_on_groups_follow_rfc_9110() {
    //
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        check_all("/Groups", method);
    }
}

#[test]
fn the_version_of_a_bulk_operation_is_read_like_if_match() {
    // R-273, RFC 7644 section 3.7
    let client = App::shared().configuration("other");
    let table: Vec<(Vec<String>, Meaning)> = HEADERS
        .iter()
        // A string in a body has a maximum length.
        .filter(|(lines, _)| lines.len() == 1 && lines[0].len() < 60_000)
        .cloned()
        .collect();
    for method in ["PUT", "PATCH", "DELETE"] {
        let mut jobs = Vec::new();
        for (number, (lines, _)) in table.iter().enumerate() {
            let name = format!("{method}-{number}");
            let made = client.post("/Users", &user(&name)).answered(201);
            let version = made.version().trim_start_matches("W/").trim_matches('"').to_owned();
            let mut job = json!({
                "method": method, "path": format!("/Users/{}", made.id()), "version": lines[0].replace('V', &version),
            });
            match method {
                "PUT" => job["data"] = user(&format!("{name}-new")),
                "PATCH" => job["data"] = operations(&json!([{"op": "add", "path": "title", "value": "T"}])),
                _ => {}
            }
            jobs.push(job);
        }
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": jobs});
        let done = client.post("/Bulk", &body).answered(200).json;
        for ((lines, meaning), result) in table.iter().zip(done["Operations"].as_array().unwrap()) {
            let expected = match meaning {
                Meaning::Matches | Meaning::MatchesLeniently if method == "DELETE" => "204",
                Meaning::Matches | Meaning::MatchesLeniently => "200",
                Meaning::Differs => "412",
                Meaning::Malformed => "400",
            };
            let about: String = lines[0].chars().take(60).collect();
            assert_eq!(result["status"], expected, "{method} {about} {meaning:?}: {result}");
        }
    }
}
