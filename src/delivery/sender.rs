//! Sends one request to an endpoint: headers, signature, time limits, and what is stored of the response.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use url::Url;

use crate::auth::jwt::SigningKey;
use crate::auth::secret::sealed::{WEBHOOK_HEADER_PURPOSE, WEBHOOK_KEY_PURPOSE};
use crate::auth::secret::webhook_key::WebhookSecret;
use crate::clock::{self, Millis};
use crate::delivery::DeliverySettings;
use crate::error::{Error, Reason, Result};
use crate::model::event::Event;
use crate::model::webhook::message::{self, MessageSource, SecurityEvent, SingleBody, TEST_KIND};
use crate::model::webhook::{SignatureKind, Webhook, WebhookFormat, WebhookKey, mask_url};
use crate::outgoing::{OutgoingClient, OutgoingRules, describe_failure};
use crate::provisioning::webhook_delivery::LaneRequest;

/// Time limit of the connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of a request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of the body of a response that are read.
const RESPONSE_READ_MAX_BYTES: usize = 4_096;
/// Bytes of them that are stored.
const RESPONSE_STORED_MAX_BYTES: usize = 1_024;
/// Longest description of a failure that is stored, in characters.
const ERROR_MAX_CHARS: usize = 300;
/// Purpose of the encryption of keys.
pub const KEY_PURPOSE: &str = WEBHOOK_KEY_PURPOSE;
/// Purpose of the encryption of headers.
pub const HEADER_PURPOSE: &str = WEBHOOK_HEADER_PURPOSE;

const MESSAGE_ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const RESEND: HeaderName = HeaderName::from_static("webhook-resend");
const TOKEN: HeaderName = HeaderName::from_static("x-webhook-secret");

/// A webhook with its keys and headers in plain text.
pub struct OpenEndpoint {
    /// The webhook.
    pub webhook: Webhook,
    url: Url,
    headers: HeaderMap,
    /// Newest first, each with its end.
    keys: Vec<(String, WebhookSecret, Option<Millis>)>,
}

impl OpenEndpoint {
    /// Decrypts the keys and headers of a webhook.
    ///
    /// # Errors
    /// `WebhookKeySealed` if they were encrypted with another key.
    pub fn open(webhook: Webhook, keys: &[WebhookKey], signing_key: &SigningKey) -> Result<Self> {
        let sealed = || Error::new(Reason::WebhookKeySealed);
        let keys = keys.iter().map(|key| {
            let sealer = signing_key.sealer(KEY_PURPOSE, &webhook.id);
            let bytes: [u8; 32] =
                sealer.open(&key.sealed).and_then(|bytes| bytes.try_into().ok()).ok_or_else(sealed)?;
            let secret = match webhook.signature {
                SignatureKind::Hmac => WebhookSecret::Hmac(bytes),
                SignatureKind::Ed25519 => WebhookSecret::Ed25519(bytes),
            };
            Ok((key.id.clone(), secret, key.expires_at))
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            // A restore can have removed the last one.
            return Err(sealed());
        }
        let mut headers = HeaderMap::new();
        for header in &webhook.headers {
            let sealer = signing_key.sealer(HEADER_PURPOSE, &webhook.id);
            let value = sealer.open(&header.sealed).ok_or_else(sealed)?;
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| sealed())?;
            let mut value = HeaderValue::from_bytes(&value).map_err(|_| sealed())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = webhook.settings.parse_url().ok_or_else(sealed)?;
        Ok(Self { webhook, url, headers, keys })
    }

    /// Keys that sign now, newest first.
    fn live_keys(&self, now: Millis) -> impl Iterator<Item = &(String, WebhookSecret, Option<Millis>)> {
        self.keys.iter().filter(move |(_, _, end)| end.is_none_or(|end| now < end))
    }
}

/// A request that is ready to be sent.
pub struct OutgoingMessage {
    id: String,
    content_type: &'static str,
    body: Vec<u8>,
    /// A token that authenticates the request in the format of Frontegg.
    token: Option<String>,
    is_resend: bool,
}

impl OutgoingMessage {
    /// Builds the message for a request of a lane. `issuer` is the public URL of this server.
    ///
    /// # Errors
    /// The token cannot be signed.
    pub fn for_request(endpoint: &OpenEndpoint, request: &LaneRequest, issuer: &str) -> Result<Self> {
        let settings = &endpoint.webhook.settings;
        let (texts, created_at) = request.texts();
        let source = MessageSource { account_id: &request.source.account.id, configuration_id: &request.source.id };
        let standard = || message::build_standard_body(source, texts, created_at).into_bytes();
        let body = match request.single().filter(|_| settings.format != WebhookFormat::Standard) {
            Some(event) => Self::build_single(endpoint, (request, event), issuer)?,
            None => standard(),
        };
        Self::with_body(endpoint, request.message_id.clone(), body)
    }

    /// Builds the body of a format with one event per request.
    fn build_single(
        endpoint: &OpenEndpoint,
        (request, event): (&LaneRequest, &Event),
        issuer: &str,
    ) -> Result<Vec<u8>> {
        let settings = &endpoint.webhook.settings;
        let audience = mask_url(&settings.url);
        let token = SecurityEvent {
            issuer,
            audience: &audience,
            id: &request.message_id,
            configuration_id: &request.source.id,
            payload: settings.payload,
        };
        match SingleBody::build(settings.format, token, event) {
            SingleBody::Json(text) => Ok(text.into_bytes()),
            SingleBody::Claims(claims) => Ok(sign_token(endpoint, Some("secevent+jwt"), &claims)?.into_bytes()),
        }
    }

    /// Builds the message of a test.
    ///
    /// # Errors
    /// The token cannot be signed.
    pub fn for_test(endpoint: &OpenEndpoint, issuer: &str) -> Result<Self> {
        let now = clock::current_millis();
        let id = message::derive_message_id(&[&endpoint.webhook.id, TEST_KIND, &clock::new_id()]);
        let body = match endpoint.webhook.settings.format {
            WebhookFormat::Standard => message::build_test_body(now),
            WebhookFormat::Frontegg => json!({"eventKey": TEST_KIND, "eventContext": {}, "data": {}}).to_string(),
            WebhookFormat::Set => {
                let audience = mask_url(&endpoint.webhook.settings.url);
                let events = json!({"urn:ietf:params:scim:event:misc:test": {}});
                let claims =
                    json!({"iss": issuer, "aud": audience, "iat": now / 1_000, "jti": id, "txn": id, "events": events});
                sign_token(endpoint, Some("secevent+jwt"), &claims)?
            }
        };
        Self::with_body(endpoint, id, body.into_bytes())
    }

    fn with_body(endpoint: &OpenEndpoint, id: String, body: Vec<u8>) -> Result<Self> {
        let format = endpoint.webhook.settings.format;
        let token = if format == WebhookFormat::Frontegg {
            let now = clock::current_millis() / 1_000;
            Some(sign_token(endpoint, None, &json!({"iat": now, "exp": now + 300, "jti": id}))?)
        } else {
            None
        };
        let content_type = if format == WebhookFormat::Set { "application/secevent+jwt" } else { "application/json" };
        Ok(Self { id, content_type, body, token, is_resend: false })
    }

    /// Marks a repetition that an admin asked for.
    #[must_use]
    pub fn as_resend(self) -> Self {
        Self { is_resend: true, ..self }
    }

    /// Id of the request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The headers of an attempt. The signature includes its time.
    fn build_headers(&self, endpoint: &OpenEndpoint, now: Millis) -> Option<HeaderMap> {
        let seconds = now / 1_000;
        let signatures: Vec<String> = endpoint
            .live_keys(now)
            .filter_map(|(_, secret, _)| secret.sign_request(&self.id, seconds, &self.body))
            .collect();
        if signatures.is_empty() {
            return None;
        }
        let mut headers = endpoint.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(MESSAGE_ID, HeaderValue::from_str(&self.id).ok()?);
        headers.insert(TIMESTAMP, HeaderValue::from(seconds));
        headers.insert(SIGNATURE, HeaderValue::from_str(&signatures.join(" ")).ok()?);
        if let Some(token) = &self.token {
            headers.insert(TOKEN, HeaderValue::from_str(token).ok()?);
        }
        if self.is_resend {
            headers.insert(RESEND, HeaderValue::from_static("true"));
        }
        Some(headers)
    }
}

/// Signs a token with the newest key. A receiver verifies it with the secret as it was shown, or with the public key.
fn sign_token(endpoint: &OpenEndpoint, kind: Option<&str>, claims: &Value) -> Result<String> {
    let failed = || Error::new(Reason::SigningUnavailable);
    let (id, secret, _) = endpoint.live_keys(clock::current_millis()).next().ok_or_else(failed)?;
    let (algorithm, key) = match secret {
        WebhookSecret::Hmac(_) => {
            let text = secret.reveal().ok_or_else(failed)?;
            (Algorithm::HS256, EncodingKey::from_secret(text.as_bytes()))
        }
        WebhookSecret::Ed25519(_) => {
            (Algorithm::EdDSA, EncodingKey::from_ed_der(&secret.to_pkcs8().ok_or_else(failed)?))
        }
    };
    let mut header = Header::new(algorithm);
    header.kid = Some(id.clone());
    if let Some(kind) = kind {
        header.typ = Some(kind.to_owned());
    }
    jsonwebtoken::encode(&header, claims, &key).map_err(|_| failed())
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendOutcome {
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Why there was none, or why it was not read.
    pub error: Option<String>,
    /// Start of the body of the response.
    pub response: Option<String>,
    /// Time until the response.
    pub duration_ms: i64,
    /// The delay that the receiver asked for.
    pub retry_after: Option<Millis>,
    /// When the attempt began.
    pub at: Millis,
}

impl SendOutcome {
    /// Whether the receiver has accepted the request.
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends requests over connections that it keeps open.
pub struct Sender {
    rules: OutgoingRules,
    /// Created for the first request: it reads the root certificates of the system.
    client: OnceLock<std::result::Result<OutgoingClient, String>>,
    signing_key: Arc<SigningKey>,
}

impl Sender {
    /// Creates a sender.
    pub fn new(settings: DeliverySettings) -> Self {
        Self { rules: settings.rules, client: OnceLock::new(), signing_key: settings.signing_key }
    }

    fn client(&self) -> std::result::Result<&OutgoingClient, String> {
        let create = || {
            OutgoingClient::new(self.rules.clone(), Self::client_options).map_err(|problem| describe_failure(&problem))
        };
        self.client.get_or_init(create).as_ref().map_err(Clone::clone)
    }

    fn client_options() -> reqwest::ClientBuilder {
        Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(16)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("Rollcall/", env!("PROGRAM_VERSION")))
    }

    /// The key that encrypts the keys of webhooks.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Sends a message once.
    pub async fn send(&self, endpoint: &OpenEndpoint, message: &OutgoingMessage) -> SendOutcome {
        let (at, begun) = (clock::current_millis(), Instant::now());
        let mut outcome = self.send_once(endpoint, message, at).await;
        outcome.at = at;
        outcome.duration_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        outcome.error = outcome.error.map(|error| error.chars().take(ERROR_MAX_CHARS).collect());
        outcome
    }

    async fn send_once(&self, endpoint: &OpenEndpoint, message: &OutgoingMessage, at: Millis) -> SendOutcome {
        let failed = |error: String| SendOutcome { error: Some(error), ..SendOutcome::default() };
        let client =
            self.client().and_then(|client| client.client_for(&endpoint.url).map_err(|refused| refused.to_string()));
        let client = match client {
            Ok(client) => client,
            Err(refused) => return failed(format!("not called: {refused}")),
        };
        let Some(headers) = message.build_headers(endpoint, at) else {
            return failed("not called: there is no valid key".to_owned());
        };
        let request = client.post(endpoint.url.clone()).headers(headers).body(message.body.clone());
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(problem) => return failed(describe_send_failure(&problem)),
        };
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let mut outcome = SendOutcome {
            status: Some(response.status().as_u16()),
            retry_after: retry_after.and_then(|text| parse_retry_after(text, at)),
            ..SendOutcome::default()
        };
        let mut body = Vec::new();
        while body.len() < RESPONSE_READ_MAX_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                // The status has arrived, so the receiver has decided.
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(RESPONSE_STORED_MAX_BYTES);
        if !body.is_empty() {
            outcome.response = Some(String::from_utf8_lossy(&body).replace('\0', "\u{fffd}"));
        }
        outcome
    }
}

fn describe_send_failure(problem: &reqwest::Error) -> String {
    if problem.is_timeout() {
        let part = if problem.is_connect() { "connection" } else { "response" };
        return format!("no {part} in time");
    }
    describe_failure(problem)
}

/// Reads `Retry-After`: seconds or a date (RFC 9110 section 10.2.3).
fn parse_retry_after(text: &str, now: Millis) -> Option<Millis> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Millis::from(seconds) * 1_000);
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some((date.as_millisecond() - now).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after("120", 0), Some(120_000));
        assert_eq!(parse_retry_after(" Thu, 01 Jan 1970 00:02:00 GMT", 30_000), Some(90_000));
        assert_eq!(parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", 30_000), Some(0));
        assert_eq!(parse_retry_after("soon", 0), None);
        assert_eq!(parse_retry_after("-5", 0), None);
    }
}
