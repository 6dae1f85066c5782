//! The content of a request of a webhook: its id and its body, in each format. The content depends only on the events and the
//! settings, so that a retry has the same bytes.

mod frontegg;
mod security_event;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::auth::secret;
use crate::clock::{self, Millis};
use crate::error::Result;
use crate::model::event::{Event, EventContent, REDACTED};
use crate::model::event_form::EventForm;
use crate::model::webhook::{BODY_MAX_BYTES, PayloadMode, WebhookFormat};

pub use security_event::SecurityEvent;

/// Bytes of a body that are not events: the envelope with the ids of an account and a configuration.
pub const ENVELOPE_MAX_BYTES: usize = 2_048;
/// Bytes of a token in addition to its claims: its header and its signature.
const TOKEN_MAX_BYTES: usize = 1_024;
/// Kind of the event that `test` sends.
pub const TEST_KIND: &str = "webhook.test";

/// The configuration whose events a request contains.
#[derive(Debug, Clone, Copy)]
pub struct MessageSource<'a> {
    /// Id of the account.
    pub account_id: &'a str,
    /// Id of the configuration.
    pub configuration_id: &'a str,
}

/// The events of one request, in the form in which they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// Number of the first event.
    pub first: i64,
    /// Number of the last event.
    pub last: i64,
    /// JSON text of each event.
    pub texts: Vec<String>,
    /// Time of the last event.
    pub created_at: Millis,
    /// How many events have lost their data since they were stored. The id of the request depends on it.
    pub redacted: usize,
    /// The first event, for formats with one event per request.
    pub single: Option<Box<Event>>,
    /// Id of the request that made the first change.
    pub request_id: Option<String>,
}

impl EventBatch {
    /// Returns the batch that begins with the first of these events, or `None` if there are none. It ends before the body is
    /// too large. A single event that is too large is sent without its data.
    ///
    /// # Errors
    /// An event cannot be decoded.
    pub fn from_events(events: Vec<Event>, mode: PayloadMode, format: WebhookFormat) -> Result<Option<Self>> {
        let mut batch: Option<Self> = None;
        let mut bytes = ENVELOPE_MAX_BYTES;
        for event in events {
            let (seq, created_at) = (event.seq, event.created_at);
            let is_redacted = event.payload.contains(REDACTED) && is_redacted(&event);
            let single = (format != WebhookFormat::Standard).then(|| Box::new(event.clone()));
            let request_id = event.request_id.clone();
            let text = render_form(EventForm::try_from(event)?, mode)?;
            bytes += text.len() + 1;
            if bytes > BODY_MAX_BYTES && batch.is_some() {
                break;
            }
            let batch = batch.get_or_insert_with(|| Self {
                first: seq,
                last: seq,
                texts: Vec::new(),
                created_at,
                redacted: 0,
                single,
                request_id,
            });
            batch.last = seq;
            batch.created_at = created_at;
            batch.texts.push(text);
            batch.redacted += usize::from(is_redacted);
            if format != WebhookFormat::Standard {
                break;
            }
        }
        Ok(batch)
    }
}

fn is_redacted(event: &Event) -> bool {
    EventContent::from_payload(event.payload.clone()).data == format!("{{{REDACTED}}}")
}

/// Returns the JSON text of an event. One that is too large for a request has no data.
pub fn render_form(form: EventForm, mode: PayloadMode) -> Result<String> {
    if mode == PayloadMode::Thin {
        return form.without_data().render();
    }
    let text = form.render()?;
    if text.len() + ENVELOPE_MAX_BYTES > BODY_MAX_BYTES { form.truncated().render() } else { Ok(text) }
}

/// Returns the body of a request with events, in the standard format.
pub fn build_standard_body(source: MessageSource<'_>, texts: &[String], created_at: Millis) -> String {
    format!(
        "{{\"type\":\"events\",\"timestamp\":\"{}\",\"data\":{{\"events\":[{}],\"configurationId\":{},\"accountId\":{}}}}}",
        clock::format_rfc3339(created_at),
        texts.join(","),
        json!(source.configuration_id),
        json!(source.account_id),
    )
}

/// The body of a request in a format with one event per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SingleBody {
    /// The text that is sent.
    Json(String),
    /// The claims of a token, which is sent with its signature.
    Claims(Value),
}

impl SingleBody {
    /// Builds the body for an event. One that is too large for a request has no data.
    pub fn build(format: WebhookFormat, token: SecurityEvent<'_>, event: &Event) -> Self {
        let build = |payload| match format {
            WebhookFormat::Set => {
                let claims = security_event::build_claims(SecurityEvent { payload, ..token }, event);
                Self::Claims(claims.unwrap_or(Value::Null))
            }
            WebhookFormat::Standard | WebhookFormat::Frontegg => Self::Json(frontegg::build_body(event, payload)),
        };
        let body = build(token.payload);
        if body.estimate_bytes() > BODY_MAX_BYTES { build(PayloadMode::Thin) } else { body }
    }

    /// The size of the request. Claims are encoded with 4 letters for 3 bytes.
    fn estimate_bytes(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Claims(claims) => claims.to_string().len().div_ceil(3) * 4 + TOKEN_MAX_BYTES,
        }
    }
}

/// Returns the body of a test request.
pub fn build_test_body(now: Millis) -> String {
    format!("{{\"type\":\"{TEST_KIND}\",\"timestamp\":\"{}\",\"data\":{{}}}}", clock::format_rfc3339(now))
}

/// Derives the id of a request from what identifies its content.
pub fn derive_message_id(parts: &[&str]) -> String {
    let lengths: Vec<String> = parts.iter().map(|part| part.len().to_string()).collect();
    let digest = secret::digest_text(&format!("{} {}", lengths.join(","), parts.concat()));
    format!("msg_{}", URL_SAFE_NO_PAD.encode(&digest[..18]))
}

/// Returns the name of the resource type and the data of an event.
fn parse_data(event: &Event) -> (Option<i64>, Value) {
    let content = EventContent::from_payload(event.payload.clone());
    (content.version, serde_json::from_str(&content.data).unwrap_or(Value::Null))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(seq: i64, kind: &str, data: &Value) -> Event {
        let members = data.to_string();
        Event {
            seq,
            account: "acme".to_owned(),
            configuration: 1,
            configuration_id: Some("cfg".to_owned()),
            kind: kind.to_owned(),
            resource_id: Some("res".to_owned()),
            payload: format!("{{\"version\":3,\"lastModified\":\"1970-01-01T00:00:00.000Z\",{}", &members[1..]),
            created_at: 1_500 + seq,
            request_id: None,
        }
    }

    #[test]
    fn a_batch_has_the_events_in_order_and_the_time_of_the_last() {
        let events = vec![
            event(4, "user.created", &json!({"after": {"userName": "a"}})),
            event(9, "user.updated", &json!({"redacted": true})),
        ];
        let batch = EventBatch::from_events(events, PayloadMode::Full, WebhookFormat::Standard).unwrap().unwrap();
        assert_eq!((batch.first, batch.last, batch.redacted, batch.created_at), (4, 9, 1, 1_509));
        let source = MessageSource { account_id: "a\"b", configuration_id: "cfg" };
        let body: Value = serde_json::from_str(&build_standard_body(source, &batch.texts, batch.created_at)).unwrap();
        assert_eq!(body["type"], "events");
        assert_eq!(body["timestamp"], "1970-01-01T00:00:01.509Z");
        assert_eq!(body["data"]["accountId"], "a\"b");
        assert_eq!(body["data"]["events"][0]["data"]["after"]["userName"], "a");
        assert_eq!(EventBatch::from_events(Vec::new(), PayloadMode::Full, WebhookFormat::Standard).unwrap(), None);
    }

    #[test]
    fn the_body_stays_below_its_limit_and_a_large_event_loses_its_data() {
        let large = |seq, bytes| event(seq, "user.updated", &json!({"after": {"title": "x".repeat(bytes)}}));
        let events = vec![large(1, 100_000), large(2, 100_000), large(3, 100_000)];
        let batch = EventBatch::from_events(events, PayloadMode::Full, WebhookFormat::Standard).unwrap().unwrap();
        assert_eq!((batch.first, batch.last), (1, 2));
        let events = vec![large(1, 300_000), large(2, 10)];
        let batch = EventBatch::from_events(events, PayloadMode::Full, WebhookFormat::Standard).unwrap().unwrap();
        assert_eq!((batch.first, batch.last), (1, 2));
        assert!(batch.texts[0].ends_with("\"truncated\":true}"), "{}", batch.texts[0]);
        let batch = EventBatch::from_events(vec![large(1, 9), large(2, 9)], PayloadMode::Thin, WebhookFormat::Set);
        let batch = batch.unwrap().unwrap();
        assert_eq!((batch.last, batch.texts[0].contains("data")), (1, false));
    }

    #[test]
    fn a_large_event_loses_its_data_in_each_format() {
        let token = SecurityEvent {
            issuer: "https://scim.example.com",
            audience: "https://hook.example.com/",
            id: "msg_1",
            configuration_id: "cfg",
            payload: PayloadMode::Full,
        };
        for (format, large, small) in
            [(WebhookFormat::Set, 197_000, 190_000), (WebhookFormat::Frontegg, 263_000, 190_000)]
        {
            let build = |bytes: usize, payload| {
                let event = event(1, "user.created", &json!({"after": {"userName": "x".repeat(bytes)}}));
                SingleBody::build(format, SecurityEvent { payload, ..token }, &event)
            };
            assert_eq!(build(large, PayloadMode::Full), build(large, PayloadMode::Thin));
            let body = build(small, PayloadMode::Full);
            assert!((small..BODY_MAX_BYTES).contains(&body.estimate_bytes()), "{}", body.estimate_bytes());
        }
    }

    #[test]
    fn the_id_of_a_request_depends_on_each_part() {
        let id = derive_message_id(&["webhook", "configuration", "1", "2", "0"]);
        assert!(id.len() == 28 && id.starts_with("msg_"), "{id}");
        assert_eq!(id, derive_message_id(&["webhook", "configuration", "1", "2", "0"]));
        for other in [["webhook", "configuration", "12", "", "0"], ["webhook", "configuration", "1", "2", "1"]] {
            assert_ne!(id, derive_message_id(&other));
        }
    }
}
