//! From a call in memory to the row of the log that is kept of it.

use serde_json::Value;

use super::redact::{self, Redacted, cut, scrub};
use super::{Call, Kept, Who};
use crate::directory::requests::Entry;
use crate::model::ids;
use crate::model::request::{BODY_KEPT_MAX_BYTES, LoggedBody, LoggedCall, Verdict};

/// Longest sentence that is kept.
const DETAIL_MAX_BYTES: usize = 1024;

/// The row of a call, without secrets.
pub(in crate::web) fn write_out(call: Call) -> Entry {
    let (sent, mut passwords) = text_of_request(&call.sent);
    passwords.extend(call.sent.passwords.iter().cloned());
    let clean = |text: String| scrub(redact::without(&passwords, text));
    let answered = (!call.answered.is_dropped).then(|| String::from_utf8_lossy(&call.answered.bytes).into_owned());
    let answered = answered.map(&clean);
    let detail = answered.as_deref().filter(|_| call.status >= 400).and_then(detail_of);
    let (of, method) = (call.who.of(), call.method.to_string());
    let (verdict, token_id, token_hint, refusal) = match call.who {
        Who::Caller { token, .. } => (Verdict::of(&method, call.status), Some(token), None, None),
        Who::Stranger { token, hint, refusal, .. } => (Verdict::of_stranger(refusal), token, hint, refusal),
    };
    let logged = LoggedCall {
        // The order of ids is the order of times, to the millisecond.
        at: ids::made_at(&call.request_id).unwrap_or(call.at),
        id: call.request_id,
        duration_us: i64::try_from(call.took.as_micros()).unwrap_or(i64::MAX),
        path: redact::path(call.uri.path(), call.uri.query()),
        address: call.address.map(|address| address.to_string()),
        method: cut(method, 32),
        status: call.status,
        failed: matches!(verdict, Verdict::Failed | Verdict::Stranger),
        scim_type: Some(call.scim_type).filter(|word| !word.is_empty()).map(str::to_owned),
        detail: detail.map(|detail| cut(detail, DETAIL_MAX_BYTES)),
        refusal: refusal.map(|refusal| refusal.as_str().to_owned()),
        token_hint,
        token_id,
        resource_type: call.resource_type.map(|of| of.name.clone().into_owned()),
        resource_id: call.resource.as_deref().and_then(id_in),
        notes: call.notes.as_slice().iter().map(|note| clean(note.clone())).collect(),
        missed: 0,
        request: kept(&call.sent, sent.map(scrub)),
        response: kept(&call.answered, answered),
    };
    Entry { of, verdict, call: logged }
}

fn kept(body: &Kept, text: Option<String>) -> LoggedBody {
    let text = text.filter(|text| !text.is_empty()).map(|text| cut(text, BODY_KEPT_MAX_BYTES));
    LoggedBody { bytes: body.length, text }
}

/// The text without passwords, and the passwords; nothing where one may be in it and cannot be found.
fn text_of_request(body: &Kept) -> (Option<String>, Vec<String>) {
    if body.is_dropped {
        return (None, Vec::new());
    }
    if body.is_clean || !redact::needs_reading(&body.bytes) {
        return (Some(String::from_utf8_lossy(&body.bytes).into_owned()), Vec::new());
    }
    match serde_json::from_slice::<Value>(&body.bytes) {
        Ok(value) => {
            let Redacted { text, passwords } = redact::json(&value, BODY_KEPT_MAX_BYTES);
            (Some(text), passwords)
        }
        Err(_) => (None, Vec::new()),
    }
}

/// The sentence of a SCIM error.
fn detail_of(answer: &str) -> Option<String> {
    let error: Value = serde_json::from_str(answer).ok()?;
    Some(error.get("detail")?.as_str()?.to_owned())
}

/// The id of a resource, from itself or from the end of its URL. What is no id is in the path already.
fn id_in(resource: &str) -> Option<String> {
    let id = resource.rsplit('/').next()?;
    ids::is_id(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::http::{Method, Uri};
    use serde_json::json;

    use super::*;
    use crate::directory::requests::Of;
    use crate::scim::dialect::Notes;

    fn call(body: &[u8]) -> Call {
        Call {
            who: Who::Caller { configuration: 1, token: "t".to_owned() },
            request_id: "r".to_owned(),
            address: None,
            at: 0,
            took: Duration::from_micros(5),
            method: Method::POST,
            uri: Uri::from_static("/Users"),
            status: 201,
            scim_type: "",
            resource_type: None,
            resource: Some("https://x/Users/01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
            notes: Notes::default(),
            wrote: true,
            sent: Kept::request(body.to_vec().into(), serde_json::from_slice(body).ok().as_ref()),
            answered: Kept::response(b"{}"),
        }
    }

    #[test]
    fn a_body_is_kept_as_it_came_unless_it_holds_a_password() {
        let body = br#"{ "userName" :"bob"}"#;
        let row = write_out(call(body)).call;
        assert_eq!(row.request.text.as_deref().map(str::as_bytes), Some(&body[..]));
        assert_eq!(row.resource_id.as_deref(), Some("01890a5d-ac96-774b-bcce-b302099a8057"));
        let row = write_out(call(br#"{ "password" :"hunter2"}"#)).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(24), text: Some(r#"{"password":"***"}"#.to_owned()) });
    }

    #[test]
    fn what_cannot_be_read_and_speaks_of_a_password_is_not_kept() {
        let row = write_out(call(b"{password: 'hunter2'")).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(20), text: None });
        let row = write_out(call(b"{userName: 'bob'")).call;
        assert_eq!(row.request.text.as_deref(), Some("{userName: 'bob'"));
    }

    #[test]
    fn a_large_body_is_cut_and_says_how_long_it_was() {
        let body = json!({"a": "é".repeat(20_000), "password": "hunter2"}).to_string();
        let row = write_out(call(body.as_bytes())).call;
        let text = row.request.text.unwrap();
        assert!(text.len() <= BODY_KEPT_MAX_BYTES && text.len() > BODY_KEPT_MAX_BYTES - 4);
        assert_eq!(row.request.bytes, Some(body.len() as u64));
    }

    #[test]
    fn a_password_is_out_of_the_refusal_that_names_it() {
        let mut refused = call(br#"{"password":"hunter2"}"#);
        refused.status = 400;
        refused.answered = Kept::response(br#"{"detail":"hunter2 is too short"}"#);
        let row = write_out(refused).call;
        assert_eq!(row.detail.as_deref(), Some("*** is too short"));
        assert!(row.failed && !row.response.text.unwrap().contains("hunter2"));
        assert_eq!(write_out(Call { who: stranger(), ..call(b"") }).of, Of::Key(3));
    }

    fn stranger() -> Who {
        Who::Stranger { of: Of::Key(3), token: None, hint: None, refusal: None }
    }

    #[test]
    fn bodies_that_were_let_go_leave_their_length() {
        let mut call = call(b"{}");
        call.drop_bodies();
        let row = write_out(call).call;
        assert_eq!(row.request, LoggedBody { bytes: Some(2), text: None });
        assert_eq!(row.response, LoggedBody { bytes: Some(2), text: None });
    }
}
