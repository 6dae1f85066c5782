//! Conversion of a recorded call to an entry of the request log.

use serde_json::Value;

use crate::diagnosis::has_endpoint_twice;
use crate::error::{Error, Reason};
use crate::management::request_log::RequestLogEntry;
use crate::messages::render_message;
use crate::model::ids;
use crate::model::request::{CallOutcome, LOGGED_BODY_MAX_BYTES, LoggedBody, LoggedCall};
use crate::web::request_log::redact::{self, RedactedText, remove_tokens, truncate_text};
use crate::web::request_log::{CallerIdentity, RecordedBody, RecordedCall};

/// Maximum length of a stored error message.
const DETAIL_MAX_BYTES: usize = 1024;
/// Maximum length of a stored field name.
const FIELD_MAX_BYTES: usize = 200;

/// Returns the log entry of a call, without secrets.
pub(in crate::web) fn build_entry(call: RecordedCall) -> RequestLogEntry {
    let (request, mut passwords) = redact_request_text(&call.request_body);
    passwords.extend(call.request_body.passwords.iter().cloned());
    let clean = |text: String| remove_tokens(redact::remove_passwords(&passwords, text));
    let response = (!call.response_body.is_discarded).then(|| read_text(&call.response_body.bytes));
    let response = response.map(&clean);
    let is_token_request = matches!(call.caller, CallerIdentity::TokenRequest { .. });
    let detail = if is_token_request {
        // The response does not say what is wrong.
        call.error.as_ref().map(|error| clean(render_message(error)))
    } else {
        response.as_deref().filter(|_| call.status >= 400).and_then(read_error_detail)
    };
    let (configuration, method) = (call.caller.configuration(), call.method.to_string());
    let is_wrong_url = has_wrong_url(&call);
    let (verdict, token_id, token_hint, refusal) = match call.caller {
        CallerIdentity::Caller { token, .. } => {
            (CallOutcome::from_status(&method, call.status, is_wrong_url), Some(token), None, None)
        }
        CallerIdentity::Unauthenticated { token, hint, refusal, .. } => {
            (CallOutcome::from_refusal(refusal), token, hint, refusal)
        }
        CallerIdentity::TokenRequest { refusal, .. } => (CallOutcome::from_refusal(refusal), None, None, refusal),
    };
    let failed = verdict == CallOutcome::Failed || refusal.is_some() || (is_token_request && call.status >= 400);
    // A replay reveals nothing about the identity provider.
    let verdict = if call.replay.is_some() { CallOutcome::NotCounted } else { verdict };
    let (replay_of, replayed_by) = call.replay.map(|replay| (replay.request_id, replay.actor)).unzip();
    let logged = LoggedCall {
        // Ids contain their time in milliseconds, so that the order of ids is the order of times.
        at: ids::parse_created_at(&call.request_id).unwrap_or(call.at),
        id: call.request_id,
        duration_us: i64::try_from(call.duration.as_micros()).unwrap_or(i64::MAX),
        path: redact::redact_path(call.uri.path(), call.uri.query()),
        address: call.address.map(|address| address.to_string()),
        method: truncate_text(method, 32),
        status: call.status,
        failed,
        scim_type: Some(call.scim_type).filter(|scim_type| !scim_type.is_empty()).map(str::to_owned),
        reason: call.error.as_ref().map(Error::reason),
        reason_field: call.error.as_ref().and_then(Error::field).map(field_name),
        detail: detail.map(|detail| truncate_text(detail, DETAIL_MAX_BYTES)),
        refusal: refusal.map(|refusal| refusal.as_str().to_owned()),
        token_hint,
        token_id,
        resource_type: call.resource_type.map(|resource_type| resource_type.name.clone().into_owned()),
        resource_id: call.resource.as_deref().and_then(extract_resource_id),
        notes: call.notes.as_slice().iter().map(|note| clean(note.to_string())).collect(),
        missed: 0,
        replay_of,
        replayed_by,
        request: build_logged_body(&call.request_body, request.map(remove_tokens)),
        response: build_logged_body(&call.response_body, response),
        packed_bodies: None,
    };
    RequestLogEntry { target: configuration, verdict, call: logged }
}

/// Whether the URL of the call is wrong: there is no such path, or it has the name of an endpoint instead of an id.
fn has_wrong_url(call: &RecordedCall) -> bool {
    let reason = call.error.as_ref().map(Error::reason);
    let path = call.uri.path();
    let has_endpoint =
        || ["/Users/", "/Groups/"].iter().filter_map(|name| path.find(name)).any(|at| has_endpoint_twice(&path[at..]));
    match reason {
        Some(Reason::ScimPathUnknown | Reason::ProvisioningUrlUnknown) => true,
        Some(Reason::ScimResourceNotFound) => has_endpoint(),
        _ => false,
    }
}

/// Returns the name of a field without its filter, which can contain a value.
fn field_name(field: &str) -> String {
    truncate_text(field.split('[').next().unwrap_or_default().to_owned(), FIELD_MAX_BYTES)
}

/// Returns the stored form of a body.
fn build_logged_body(body: &RecordedBody, text: Option<String>) -> LoggedBody {
    let text = text.filter(|text| !text.is_empty()).map(|text| truncate_text(text, LOGGED_BODY_MAX_BYTES));
    LoggedBody { bytes: body.length, text }
}

/// Returns the text without passwords, and the passwords. Returns no text if it may contain a password but is not valid
/// JSON.
fn redact_request_text(body: &RecordedBody) -> (Option<String>, Vec<String>) {
    if body.is_discarded {
        return (None, Vec::new());
    }
    if body.is_redacted || !redact::needs_parsing(&body.bytes) {
        return (Some(read_text(&body.bytes)), Vec::new());
    }
    match serde_json::from_slice::<Value>(&body.bytes) {
        Ok(value) => {
            let RedactedText { text, passwords } = redact::redact_json(&value, LOGGED_BODY_MAX_BYTES);
            (Some(text), passwords)
        }
        Err(_) => (None, Vec::new()),
    }
}

/// Returns a body as text. A character that is cut or invalid is replaced.
fn read_text(body: &[u8]) -> String {
    // Most bodies are valid, and a check costs less than a search for the characters to replace.
    str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

/// Returns the `detail` of a SCIM error (RFC 7644 section 3.12).
fn read_error_detail(response: &str) -> Option<String> {
    let error: Value = serde_json::from_str(response).ok()?;
    Some(error.get("detail")?.as_str()?.to_owned())
}

/// Returns the id of a resource, from an id or from a URL that ends with one. Other text is ignored: the log entry contains
/// it in the path.
fn extract_resource_id(resource: &str) -> Option<String> {
    let id = resource.rsplit('/').next()?;
    ids::is_id(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::model::configuration::ConfigurationKey;
    use std::time::Duration;

    use actix_web::http::{Method, Uri};
    use serde_json::json;

    use super::*;
    use crate::management::request_log::CallTarget;
    use crate::scim::dialect::DialectNotes;

    fn call(body: &[u8]) -> RecordedCall {
        RecordedCall {
            caller: CallerIdentity::Caller {
                configuration: ConfigurationKey { account: 1, key: 1 },
                token: "t".to_owned(),
            },
            request_id: "r".to_owned(),
            address: None,
            at: 0,
            duration: Duration::from_micros(5),
            method: Method::POST,
            uri: Uri::from_static("/Users"),
            status: 201,
            scim_type: "",
            error: None,
            resource_type: None,
            resource: Some("https://x/Users/01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
            notes: DialectNotes::default(),
            is_successful_write: true,
            request_body: RecordedBody::from_request(body.to_vec().into(), serde_json::from_slice(body).ok().as_ref()),
            response_body: RecordedBody::from_response(b"{}"),
            replay: None,
        }
    }

    #[test]
    fn a_body_is_stored_unchanged_unless_it_contains_a_password() {
        let body = br#"{ "userName" :"bob"}"#;
        let row = build_entry(call(body)).call;
        assert_eq!(row.request.text.as_deref().map(str::as_bytes), Some(&body[..]));
        assert_eq!(row.resource_id.as_deref(), Some("01890a5d-ac96-774b-bcce-b302099a8057"));
        let row = build_entry(call(br#"{ "password" :"hunter2"}"#)).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(24), text: Some(r#"{"password":"***"}"#.to_owned()) });
    }

    #[test]
    fn invalid_json_that_mentions_a_password_is_not_stored() {
        let row = build_entry(call(b"{password: 'hunter2'")).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(20), text: None });
        let row = build_entry(call(b"{userName: 'bob'")).call;
        assert_eq!(row.request.text.as_deref(), Some("{userName: 'bob'"));
    }

    #[test]
    fn a_large_body_is_truncated_and_its_length_recorded() {
        let body = json!({"a": "é".repeat(20_000), "password": "hunter2"}).to_string();
        let row = build_entry(call(body.as_bytes())).call;
        let text = row.request.text.unwrap();
        assert!(text.len() <= LOGGED_BODY_MAX_BYTES && text.len() > LOGGED_BODY_MAX_BYTES - 4);
        assert_eq!(row.request.bytes, Some(body.len() as u64));
    }

    #[test]
    fn a_password_is_removed_from_the_error_that_repeats_it() {
        let mut rejected = call(br#"{"password":"hunter2"}"#);
        rejected.status = 400;
        rejected.response_body = RecordedBody::from_response(br#"{"detail":"hunter2 is too short"}"#);
        let row = build_entry(rejected).call;
        assert_eq!(row.detail.as_deref(), Some("*** is too short"));
        assert!(row.failed && !row.response.text.unwrap().contains("hunter2"));
        assert_eq!(build_entry(RecordedCall { caller: unauthenticated(), ..call(b"") }).target, CallTarget::Key(3));
    }

    fn unauthenticated() -> CallerIdentity {
        CallerIdentity::Unauthenticated { configuration: CallTarget::Key(3), token: None, hint: None, refusal: None }
    }

    #[test]
    fn a_url_that_does_not_exist_is_a_failure_and_a_missing_user_is_not() {
        for (path, reason, failed) in [
            ("/x/NoSuch", Reason::ScimPathUnknown, true),
            ("/x/Users/Users", Reason::ScimResourceNotFound, true),
            ("/x/Groups/ServiceProviderConfig", Reason::ScimResourceNotFound, true),
            ("/x/Users/7", Reason::ScimResourceNotFound, false),
        ] {
            let mut asked = call(b"");
            (asked.method, asked.uri, asked.status) = (Method::GET, Uri::from_static(path), 404);
            asked.error = Some(Error::new(reason));
            assert_eq!(build_entry(asked).call.failed, failed, "{path}");
        }
    }

    #[test]
    fn discarded_bodies_leave_their_length() {
        let mut call = call(b"{}");
        call.discard_bodies();
        let row = build_entry(call).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(2), text: None });
        assert_eq!(row.response, LoggedBody { bytes: Some(2), text: None });
    }
}
