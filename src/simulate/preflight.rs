//! One request in front of the conversations. If URL, token or network are wrong, every check would fail for the same reason;
//! this finds the reason.

use serde_json::Value;

use super::exchange::{ServerAnswer, SimulatedRequest, TargetServer};

/// Longest text of a server in a message, in characters.
const DETAIL_MAX: usize = 200;

/// Requests one user, and the configuration of the server if there is no list of users.
///
/// # Errors
/// A sentence that names what is wrong (address, URL or token) and the fix. Other faults of the server are found by the
/// checks.
pub fn check_target(server: &TargetServer) -> Result<(), String> {
    let users = ask(server, "/Users?startIndex=1&count=1")?;
    let mut problem = match users.status {
        401 | 403 => Some(format!(
            "the server refuses the token ({}{}): give the token of this URL, unchanged and not expired",
            users.status,
            detail_of(&users),
        )),
        300..=399 => Some(format!(
            "the server redirects to {:?}, and redirects are not followed: give the URL that it redirects to",
            shorten(users.header("location").unwrap_or_default()),
        )),
        // A server without a list of users is one that the checks report on.
        404 | 405 if is_document(&ask(server, "/ServiceProviderConfig")?) => None,
        404 | 405 => Some(describe_wrong_url(&users)),
        200..=299 if !is_document(&users) => Some(describe_wrong_url(&users)),
        _ => None,
    };
    if let Some(text) = &mut problem {
        server.redact_token(text);
    }
    problem.map_or(Ok(()), Err)
}

fn ask(server: &TargetServer, path: &str) -> Result<ServerAnswer, String> {
    let request = SimulatedRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: vec![
            ("Authorization".to_owned(), format!("Bearer {}", server.token)),
            ("Accept".to_owned(), "application/scim+json, application/json".to_owned()),
        ],
        body: None,
    };
    server
        .send(&request)
        .map_err(|problem| format!("no answer: {problem}. Check host and port of the URL, and that the server runs"))
}

/// Whether the answer is a JSON object with a successful status.
fn is_document(answer: &ServerAnswer) -> bool {
    let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
    (200..300).contains(&answer.status) && document.is_some_and(|document| document.is_object())
}

fn describe_wrong_url(answer: &ServerAnswer) -> String {
    let kind = answer.header("content-type").map_or_else(String::new, |kind| format!(" with {}", shorten(kind)));
    format!(
        "GET /Users below this URL answers {}{kind}, so it is not the base URL of a SCIM server: give the URL that is entered in the provider, such as https://host/scim/v2",
        answer.status
    )
}

/// What the server says about an error, as a part of a sentence.
fn detail_of(answer: &ServerAnswer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let detail = document["detail"].as_str().filter(|detail| !detail.is_empty());
    detail.map_or_else(String::new, |detail| format!(", {:?}", shorten(detail)))
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(DETAIL_MAX).collect()
}
