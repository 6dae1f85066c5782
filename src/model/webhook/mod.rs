//! Webhooks: endpoints of the operator's application, to which events are sent in order.

pub mod headers;
pub mod message;
pub mod retry;
pub mod sent_kinds;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::account::AccountRef;
use crate::model::event::{CONFIGURATION_HELD, PUBLISHED_KINDS, parse_kinds};
use crate::model::webhook::sent_kinds::{KindsSince, SentKinds};
use crate::named_enum::named_enum;

/// Maximum number of webhooks of a server.
pub const WEBHOOKS_MAX: u32 = 100;
/// Maximum number of events in one request.
pub const BATCH_MAX: u32 = 100;
/// Maximum size of the body of a request, in bytes.
pub const BODY_MAX_BYTES: usize = 256 * 1024;
/// Maximum length of the URL of an endpoint, in bytes.
pub const URL_MAX_BYTES: usize = 2_048;
/// Maximum length of a description, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 200;
/// Maximum number of requests per second to an endpoint that can be set.
pub const RATE_LIMIT_MAX: u32 = 1_000;
/// Maximum time for which an earlier key stays valid after a rotation, in milliseconds.
pub const OVERLAP_MAX_MS: Millis = 7 * 86_400_000;
/// Maximum number of keys of one webhook that are valid at the same time.
pub const KEYS_MAX: usize = 2;
/// Time of failing from which a lane needs an admin, in milliseconds.
pub const FAILING_ALERT_MS: Millis = 3_600_000;
/// Reason of a webhook that is paused because the operator does not allow webhooks of accounts.
pub const PAUSED_ACCOUNT_WEBHOOKS_OFF: &str = "account_webhooks_off";
/// Reason of a webhook that is disabled because it was not active any more when the database was restored.
pub const DISABLED_RESTORED: &str = "restored";
/// Replaces parts of a URL that may contain secrets.
const MASK: &str = "***";

named_enum! {
    /// The form of the requests of a webhook.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum WebhookFormat {
        /// Batches of events of the feed, signed as in the Standard Webhooks specification.
        Standard = "standard",
        /// One event per request, with the names of Frontegg.
        Frontegg = "frontegg",
        /// One Security Event Token per request (RFC 9967, RFC 8935).
        Set = "set",
    }
}

named_enum! {
    /// How much of an event is sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum PayloadMode {
        /// The event as in the feed.
        Full = "full",
        /// The event without its data.
        Thin = "thin",
    }
}

named_enum! {
    /// How requests are signed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum SignatureKind {
        /// With a secret that both sides have: HMAC with SHA-256.
        Hmac = "hmac",
        /// With a private key: Ed25519. The receiver has the public key.
        Ed25519 = "ed25519",
    }
}

named_enum! {
    /// Whether a webhook sends.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum WebhookState {
        /// It sends.
        Active = "active",
        /// An admin has paused it. Its events wait.
        Paused = "paused",
        /// It does not send until an admin resumes it. Its events expire.
        Disabled = "disabled",
    }
}

named_enum! {
    /// State of a lane: the events of one configuration for one webhook.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum LaneState {
        /// Nothing waits.
        Idle = "idle",
        /// A batch was begun, or waits for its turn.
        Sending = "sending",
        /// The last attempt failed; there will be another one.
        Retrying = "retrying",
        /// The webhook is paused or disabled.
        Paused = "paused",
        /// The last retry failed: nothing is sent until an admin resumes the lane.
        Stopped = "stopped",
    }
}

/// The settings of a webhook that an admin chooses. The values of its headers are stored apart, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The URL of the endpoint. It may contain a user name, a password or a query: see [`mask_url`].
    pub url: String,
    /// What the webhook is for.
    pub description: String,
    /// Kinds of events as the admin wrote them, such as `user.*`. `None`: all.
    pub kinds: Option<Vec<String>>,
    /// Form of the requests.
    pub format: WebhookFormat,
    /// How much of an event is sent.
    pub payload: PayloadMode,
    /// Maximum number of events in a request.
    pub batch_size: u32,
    /// Maximum number of requests per second. `None`: no limit.
    pub rate_limit: Option<u32>,
}

impl WebhookSettings {
    /// Settings with the defaults.
    pub fn new(url: String) -> Self {
        Self {
            url,
            description: String::new(),
            kinds: None,
            format: WebhookFormat::Standard,
            payload: PayloadMode::Full,
            batch_size: BATCH_MAX,
            rate_limit: None,
        }
    }

    /// Checks everything but whether the address may be called.
    ///
    /// # Errors
    /// `Invalid` names the field.
    pub fn check(&self) -> Result<()> {
        if self.url.len() > URL_MAX_BYTES || !self.url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Reason::WebhookUrlInvalid.with("max", URL_MAX_BYTES));
        }
        let parsed = self.parse_url().ok_or_else(|| Reason::WebhookUrlInvalid.with("max", URL_MAX_BYTES))?;
        // A masked part of a response is no value.
        let is_masked = parsed.username() == MASK || parsed.query() == Some(MASK);
        if parsed.fragment().is_some() || is_masked {
            return Err(Reason::WebhookUrlInvalid.with("max", URL_MAX_BYTES));
        }
        let description = &self.description;
        if description.chars().count() > DESCRIPTION_MAX_CHARS || description.chars().any(char::is_control) {
            return Err(Reason::WebhookDescriptionInvalid.with("max", DESCRIPTION_MAX_CHARS));
        }
        if self.list_sent_kinds()?.is_some_and(|kinds| kinds.is_empty()) {
            return Err(Reason::EventKindUnknown.on_field("kinds").with("kinds", "user.*, group.* in the format set"));
        }
        if !(1..=BATCH_MAX).contains(&self.batch_size) {
            return Err(Reason::NumberOutOfRange.on_field("batchSize").with("min", 1).with("max", BATCH_MAX));
        }
        if self.rate_limit.is_some_and(|rate| !(1..=RATE_LIMIT_MAX).contains(&rate)) {
            return Err(Reason::NumberOutOfRange.on_field("rateLimit").with("min", 1).with("max", RATE_LIMIT_MAX));
        }
        Ok(())
    }

    /// Returns the kinds of events that are sent. `None`: all.
    ///
    /// # Errors
    /// `Invalid` if an item selects nothing.
    pub fn list_kinds(&self) -> Result<Option<Vec<&'static str>>> {
        let Some(selected) = &self.kinds else { return Ok(None) };
        let kinds = parse_kinds(&selected.join(","))
            .map_err(|_| Reason::EventKindUnknown.on_field("kinds").with("kinds", PUBLISHED_KINDS.join(", ")))?;
        Ok(Some(kinds))
    }

    /// Returns the kinds of events that are sent in the format. `None`: all.
    ///
    /// # Errors
    /// `Invalid` if an item selects nothing.
    pub fn list_sent_kinds(&self) -> Result<Option<Vec<&'static str>>> {
        let kinds = self.list_kinds()?;
        if self.format != WebhookFormat::Set {
            return Ok(kinds);
        }
        // Security Event Tokens are about resources.
        let mut sent = kinds.unwrap_or_else(|| PUBLISHED_KINDS.to_vec());
        sent.retain(|kind| !kind.starts_with("configuration."));
        Ok(Some(sent))
    }

    /// Returns the URL, or `None` if it is none with a host and a port that can be called.
    pub fn parse_url(&self) -> Option<Url> {
        // The parser skips more slashes, so that a path would become the host.
        let (_, after_scheme) = self.url.split_once("://")?;
        let url = Url::parse(&self.url).ok()?;
        let has_host = url.has_host() && !after_scheme.starts_with(['/', '\\']);
        (matches!(url.scheme(), "https" | "http") && has_host && url.port() != Some(0)).then_some(url)
    }

    /// Number of events in one request. Some formats have one.
    pub fn events_per_request(&self) -> u32 {
        if self.format == WebhookFormat::Standard { self.batch_size } else { 1 }
    }

    /// Whether both have the same content of requests, so that a batch that was begun stays the same.
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.kinds == other.kinds
            && self.format == other.format
            && self.payload == other.payload
            && self.batch_size == other.batch_size
    }
}

/// A webhook without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Key of the row.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// The account whose events are sent. `None`: those of all accounts.
    pub account: Option<AccountRef>,
    /// Whether a caller of the account created it.
    pub by_account: bool,
    /// The settings.
    pub settings: WebhookSettings,
    /// Names of the headers that are added to each request, with their encrypted values.
    pub headers: Vec<headers::SealedHeader>,
    /// How requests are signed.
    pub signature: SignatureKind,
    /// Whether it sends.
    pub state: WebhookState,
    /// Why it is disabled, or paused by the server: a code.
    pub disabled_reason: Option<String>,
    /// Lanes without a row begin after this number.
    pub start_seq: i64,
    /// Lanes of configurations up to this key begin with the current users, groups and memberships.
    pub backfill_until: Option<i64>,
    /// Kinds of events that were added later.
    pub kinds_since: KindsSince,
    /// Increases when the content of the requests changes. Ids of requests depend on it.
    pub content_revision: i64,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl Webhook {
    /// Whether the events of this account are sent.
    pub fn covers_account(&self, account: i64) -> bool {
        self.account.as_ref().is_none_or(|own| own.key == account)
    }

    /// Returns the kinds of events that are sent. Those for the operator are not sent to a webhook of an account.
    ///
    /// # Errors
    /// `Invalid` if an item of the settings selects nothing.
    pub fn list_sent_kinds(&self) -> Result<SentKinds> {
        let kinds = self.settings.list_sent_kinds()?;
        if !self.by_account {
            return Ok(SentKinds::new(kinds, &self.kinds_since));
        }
        let mut kinds = kinds.unwrap_or_else(|| PUBLISHED_KINDS.to_vec());
        kinds.retain(|kind| *kind != CONFIGURATION_HELD);
        Ok(SentKinds::new(Some(kinds), &self.kinds_since))
    }
}

/// Health of the deliveries of a configuration: the webhooks that have not accepted its events for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryHealth {
    /// Number of webhooks that are retried.
    pub retrying: u32,
    /// Number of webhooks that get nothing until an admin resumes them: the last retry has failed.
    pub stopped: u32,
    /// Time of the first failure.
    pub since: Option<Millis>,
}

impl DeliveryHealth {
    /// Returns whether a webhook needs an admin.
    pub fn is_failing(&self) -> bool {
        self.retrying + self.stopped > 0
    }
}

/// A key that signs the requests of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookKey {
    /// Public id.
    pub id: String,
    /// The secret, encrypted with a key outside of the database.
    pub sealed: Vec<u8>,
    /// The public key, `whpk_…`, of an asymmetric one.
    pub public: Option<String>,
    /// When it was created.
    pub created_at: Millis,
    /// When it ends. `None` for the current key.
    pub expires_at: Option<Millis>,
}

/// Returns a URL without the parts that may contain secrets: user name, password and query.
pub fn mask_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user && (url.set_username(MASK).is_err() || url.set_password(None).is_err()) {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_url_that_may_be_secret_are_masked() {
        for (url, masked) in [
            ("https://hook.example.com/a", "https://hook.example.com/a"),
            ("https://u:p@hook.example.com/a?key=s3cret", "https://***@hook.example.com/a?***"),
            ("https://u@hook.example.com/", "https://***@hook.example.com/"),
            ("https://:p@hook.example.com/", "https://***@hook.example.com/"),
            ("not a url", "***"),
        ] {
            assert_eq!(mask_url(url), masked);
        }
    }

    #[test]
    fn invalid_settings_are_refused_with_the_field() {
        let valid = || WebhookSettings::new("https://hook.example.com/a?b=c".to_owned());
        valid().check().unwrap();
        let check = |change: fn(&mut WebhookSettings)| {
            let mut settings = valid();
            change(&mut settings);
            settings.check().unwrap_err().field().map(str::to_owned)
        };
        for url in [
            "",
            "hook.example.com",
            "ftp://hook.example.com/",
            "https://",
            "https://a/#b",
            "https://a/\n",
            "https:///a",
            "https://\\a",
            "https:a.example.com/",
            "https:/a.example.com/",
            "https://:443/a",
            "https://u:p@/a",
            "https://a.example.com:0/",
            "https://a.example.com:65536/",
            "https://a b.example.com/",
            "https://a%20b.example.com/",
            " https://a.example.com/",
        ] {
            assert_eq!(
                WebhookSettings::new(url.to_owned()).check().unwrap_err().reason(),
                Reason::WebhookUrlInvalid,
                "{url:?}"
            );
        }
        assert_eq!(check(|one| one.batch_size = 0).as_deref(), Some("batchSize"));
        assert_eq!(check(|one| one.batch_size = 101).as_deref(), Some("batchSize"));
        assert_eq!(check(|one| one.rate_limit = Some(0)).as_deref(), Some("rateLimit"));
        assert_eq!(check(|one| one.kinds = Some(vec!["user".to_owned()])).as_deref(), Some("kinds"));
        assert_eq!(check(|one| one.kinds = Some(Vec::new())).as_deref(), Some("kinds"));
        assert_eq!(check(|one| one.description = "a\nb".to_owned()).as_deref(), Some("description"));
    }
}
