//! Sends events of the feed to an application, in the same requests as a webhook in the standard format.

use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::auth::secret::webhook_key::WebhookSecret;
use crate::cli::output;
use crate::clock::{self, Millis};
use crate::model::webhook::message::{self, ENVELOPE_MAX_BYTES, MessageSource};
use crate::model::webhook::{BATCH_MAX, BODY_MAX_BYTES, mask_url};
use crate::outgoing::{OutgoingClient, OutgoingRules, describe_failure};

/// Time limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Delay until a request that failed is sent again.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// An event of the feed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForwardedEvent<'a> {
    seq: i64,
    kind: String,
    account_id: String,
    configuration_id: Option<String>,
    resource_id: Option<String>,
    created_at: String,
    /// The JSON text, unchanged.
    #[serde(skip)]
    text: &'a str,
}

impl<'a> ForwardedEvent<'a> {
    /// Parses the JSON text of an event.
    pub(super) fn parse(text: &'a str) -> anyhow::Result<Self> {
        let event: Self = serde_json::from_str(text).context("the server sent an event that cannot be read")?;
        Ok(Self { text, ..event })
    }

    /// The line about the event: time, kind, resource and configuration.
    pub(super) fn describe(&self) -> String {
        let id = |id: &Option<String>| id.as_deref().unwrap_or("-").to_owned();
        let (resource, configuration) = (id(&self.resource_id), id(&self.configuration_id));
        format!("{}  {:<21}  {resource:<36}  {configuration}", self.created_at, self.kind)
    }

    fn created_millis(&self) -> anyhow::Result<Millis> {
        let parsed: jiff::Timestamp =
            self.created_at.parse().context("the server sent an event without a valid time")?;
        Ok(parsed.as_millisecond())
    }

    /// The text to send. An event that is too large for a request is sent without its data.
    fn render(&self) -> anyhow::Result<String> {
        if self.text.len() + ENVELOPE_MAX_BYTES <= BODY_MAX_BYTES {
            return Ok(self.text.to_owned());
        }
        let mut members: Map<String, Value> = serde_json::from_str(self.text)?;
        members.shift_remove("data");
        members.insert("truncated".to_owned(), json!(true));
        Ok(Value::Object(members).to_string())
    }
}

/// The events of one request.
#[derive(Debug)]
pub(super) struct ForwardedBatch {
    account_id: String,
    configuration_id: String,
    first: i64,
    last: i64,
    texts: Vec<String>,
    bytes: usize,
    created_at: Millis,
}

impl ForwardedBatch {
    fn has_room_for(&self, text: &str) -> bool {
        self.texts.len() < BATCH_MAX as usize && self.bytes + text.len() < BODY_MAX_BYTES
    }
}

/// Splits events into requests: one for each configuration, and more if they are too large for one. Events of a
/// configuration stay in order.
pub(super) fn split_batches(events: &[ForwardedEvent<'_>]) -> anyhow::Result<Vec<ForwardedBatch>> {
    let mut batches: Vec<ForwardedBatch> = Vec::new();
    for event in events {
        let (text, created_at) = (event.render()?, event.created_millis()?);
        let configuration = event.configuration_id.as_deref().unwrap_or_default();
        let of_same_source = |batch: &&mut ForwardedBatch| {
            batch.configuration_id == configuration && batch.account_id == event.account_id
        };
        // The last one: an earlier one is full.
        let open = batches.iter_mut().rev().find(of_same_source).filter(|batch| batch.has_room_for(&text));
        if let Some(batch) = open {
            batch.bytes += text.len() + 1;
            (batch.last, batch.created_at) = (event.seq, created_at);
            batch.texts.push(text);
            continue;
        }
        batches.push(ForwardedBatch {
            account_id: event.account_id.clone(),
            configuration_id: configuration.to_owned(),
            first: event.seq,
            last: event.seq,
            bytes: ENVELOPE_MAX_BYTES + text.len(),
            texts: vec![text],
            created_at,
        });
    }
    Ok(batches)
}

/// Sends events to an application.
pub(super) struct EventForwarder {
    client: OutgoingClient,
    url: Url,
    secret: WebhookSecret,
}

impl EventForwarder {
    /// Creates a forwarder with a new secret. The developer may name any URL.
    pub(super) fn new(rules: &OutgoingRules, url: Url) -> anyhow::Result<Self> {
        let options = || {
            Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(REQUEST_TIMEOUT)
                .user_agent(concat!("Rollcall/", env!("PROGRAM_VERSION")))
        };
        let client = OutgoingClient::new(rules.with_trusted_host(&url), options)?;
        let secret = WebhookSecret::generate_hmac().context("the operating system provided no random numbers")?;
        Ok(Self { client, url, secret })
    }

    /// Prints the URL and the secret that verifies the requests.
    pub(super) fn print_start(&self) -> std::io::Result<()> {
        let secret = self.secret.reveal().unwrap_or_default();
        output::print_line(&format!("Forwarding to {}\nSecret  {secret}", mask_url(self.url.as_str())))
    }

    /// Sends a batch until the application accepts it, and prints each attempt.
    pub(super) async fn deliver_batch(&self, batch: &ForwardedBatch) -> anyhow::Result<()> {
        let source = MessageSource { account_id: &batch.account_id, configuration_id: &batch.configuration_id };
        let body = message::build_standard_body(source, &batch.texts, batch.created_at);
        let (first, last) = (batch.first.to_string(), batch.last.to_string());
        let id = message::derive_message_id(&["listen", &batch.configuration_id, &first, &last]);
        let range = if first == last { format!("event {first}") } else { format!("events {first} to {last}") };
        loop {
            let begun = Instant::now();
            let answer = self.send_request(&id, &body).await;
            let duration = format!("{} ms", begun.elapsed().as_millis());
            let again = RETRY_DELAY.as_secs();
            match answer {
                Ok(status) if (200..300).contains(&status) => {
                    return Ok(output::print_line(&format!("  {status} in {duration} for {range}"))?);
                }
                Ok(status) => {
                    output::print_line(&format!("  {status} in {duration} for {range}; sent again in {again} s"))?;
                }
                Err(problem) => {
                    output::print_line(&format!("  {problem} after {duration} for {range}; sent again in {again} s"))?;
                }
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Sends one request and returns the status of the response.
    async fn send_request(&self, id: &str, body: &str) -> Result<u16, String> {
        let seconds = clock::current_millis() / 1_000;
        let signature = self.secret.sign_request(id, seconds, body.as_bytes()).unwrap_or_default();
        let client = self.client.client_for(&self.url).map_err(|refused| refused.to_string())?;
        let request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(body.to_owned());
        let answer = request.send().await;
        answer.map(|answer| answer.status().as_u16()).map_err(|problem| describe_failure(&problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_text(seq: i64, configuration: &str, data: &str) -> String {
        format!(
            "{{\"seq\":{seq},\"kind\":\"user.created\",\"accountId\":\"acme\",\"configurationId\":\"{configuration}\",\
             \"resourceType\":\"User\",\"resourceId\":\"u\",\"createdAt\":\"1970-01-01T00:00:00.00{seq}Z\",\
             \"data\":{{\"a\":\"{data}\"}}}}"
        )
    }

    fn batches_of(texts: &[String]) -> Vec<ForwardedBatch> {
        let events: Vec<_> = texts.iter().map(|text| ForwardedEvent::parse(text).unwrap()).collect();
        split_batches(&events).unwrap()
    }

    #[test]
    fn a_request_has_the_events_of_one_configuration_in_order() {
        let texts = [event_text(1, "c1", "x"), event_text(2, "c2", "x"), event_text(3, "c1", "x")];
        let batches = batches_of(&texts);
        let ranges: Vec<_> = batches.iter().map(|one| (&*one.configuration_id, one.first, one.last)).collect();
        assert_eq!(ranges, [("c1", 1, 3), ("c2", 2, 2)]);
        assert_eq!(batches[0].texts, [texts[0].clone(), texts[2].clone()]);
        assert_eq!(batches[0].created_at, 3);
    }

    #[test]
    fn a_request_stays_below_its_limit_and_a_large_event_loses_its_data() {
        let texts = [1, 2, 3].map(|seq| event_text(seq, "c1", &"x".repeat(100_000)));
        let ranges: Vec<_> = batches_of(&texts).iter().map(|one| (one.first, one.last)).collect();
        assert_eq!(ranges, [(1, 2), (3, 3)]);
        let batches = batches_of(&[event_text(1, "c1", &"x".repeat(300_000))]);
        assert!(batches[0].texts[0].ends_with("Z\",\"truncated\":true}"), "{}", batches[0].texts[0]);
    }

    #[test]
    fn the_line_about_an_event_has_its_time_kind_and_ids() {
        let text = event_text(7, "c1", "x");
        let line = ForwardedEvent::parse(&text).unwrap().describe();
        let parts: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(parts, ["1970-01-01T00:00:00.007Z", "user.created", "u", "c1"]);
    }
}
