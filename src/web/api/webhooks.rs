//! Webhooks: endpoints of the operator's application, to which events are sent.

pub(super) mod attempts;
pub(super) mod changes;
pub(super) mod lanes;

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::caller::{AllowedCaller, Webhooks};
use crate::clock::{self, Millis};
use crate::delivery::sealing;
use crate::error::{Error, Reason};
use crate::management::webhooks::{self as management, NewWebhook, OVERLAP_DEFAULT_MS, WebhookStart};
use crate::model::event::PUBLISHED_KINDS;
use crate::model::webhook::{
    PayloadMode, SignatureKind, Webhook, WebhookFormat, WebhookKey, WebhookSettings, WebhookState, mask_url,
};
use crate::store::{Snapshot, Tx};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// Replaces the value of a header in responses.
const MASKED_VALUE: &str = "***";

/// A webhook, without its secrets
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub(super) struct WebhookResponse {
    id: String,
    /// The URL, with `***` in place of a user name, a password and a query
    url: String,
    description: String,
    /// The account whose events are sent; null for all accounts
    #[schema(required)]
    account_id: Option<String>,
    /// Kinds of events that are sent; null for all
    #[schema(required)]
    kinds: Option<Vec<String>>,
    format: WebhookFormat,
    payload: PayloadMode,
    batch_size: u32,
    /// Names of the additional headers; the values are not returned
    headers: BTreeMap<String, &'static str>,
    /// Requests per second; null for no limit
    #[schema(required)]
    rate_limit: Option<u32>,
    signature: SignatureKind,
    state: WebhookState,
    /// Why the webhook is disabled: `gone` if the endpoint answered 410, `events_not_delivered` if it has kept events from
    /// expiring for 90 days, or `restored` if it did not send any more when the database was restored. `account_webhooks_off`
    /// if it is paused because the operator does not allow webhooks of accounts
    #[schema(required)]
    disabled_reason: Option<String>,
    /// Lanes of configurations that were not used yet begin after this event
    start_seq: i64,
    /// The keys that sign at present, newest first
    keys: Vec<WebhookKeyResponse>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A key that signs requests
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookKey)]
pub(super) struct WebhookKeyResponse {
    id: String,
    /// The public key of an asymmetric signature, `whpk_` and base64
    #[schema(required)]
    public_key: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// When an earlier key ends; null for the current one
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

impl From<&WebhookKey> for WebhookKeyResponse {
    fn from(key: &WebhookKey) -> Self {
        Self {
            id: key.id.clone(),
            public_key: key.public.clone(),
            created_at: clock::format_rfc3339(key.created_at),
            expires_at: key.expires_at.map(clock::format_rfc3339),
        }
    }
}

impl WebhookResponse {
    /// Reads the keys of a webhook and describes both.
    fn load(at: &Snapshot<'_>, webhook: Webhook, now: Millis) -> Result<Self, Error> {
        let keys = management::list_keys(at, &webhook, now)?;
        let settings = webhook.settings;
        Ok(Self {
            id: webhook.id,
            url: mask_url(&settings.url),
            description: settings.description,
            account_id: webhook.account.map(|account| account.id),
            kinds: settings.kinds,
            format: settings.format,
            payload: settings.payload,
            batch_size: settings.batch_size,
            headers: webhook.headers.into_iter().map(|header| (header.name, MASKED_VALUE)).collect(),
            rate_limit: settings.rate_limit,
            signature: webhook.signature,
            state: webhook.state,
            disabled_reason: webhook.disabled_reason,
            start_seq: webhook.start_seq,
            keys: keys.iter().map(WebhookKeyResponse::from).collect(),
            created_at: clock::format_rfc3339(webhook.created_at),
            updated_at: clock::format_rfc3339(webhook.updated_at),
        })
    }
}

/// A webhook with the secret that verifies its requests, which cannot be read again
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedWebhook {
    #[serde(flatten)]
    #[schema(inline)]
    webhook: WebhookResponse,
    /// The secret, `whsec_` and base64; null for an asymmetric signature, whose public key is in `keys`
    #[schema(required)]
    secret: Option<String>,
}

/// All webhooks
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookList {
    /// Oldest first
    items: Vec<WebhookResponse>,
}

/// Where the events of a webhook begin: `latest`, or the number of an event
#[derive(Debug, Clone, Copy)]
pub(super) struct StartValue(WebhookStart);

impl<'de> Deserialize<'de> for StartValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let start = match (&value, value.as_i64()) {
            (_, Some(seq)) => WebhookStart::After(seq),
            (serde_json::Value::String(text), None) if text == "latest" => WebhookStart::Latest,
            _ => return Err(serde::de::Error::custom("it must be \"latest\" or the number of an event")),
        };
        Ok(Self(start))
    }
}

impl PartialSchema for StartValue {
    fn schema() -> RefOr<Schema> {
        let latest: Object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["latest"])).build();
        let number: Object = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(latest).item(number).build()))
    }
}

impl ToSchema for StartValue {}

/// A kind of events, or all kinds of a subject: `user.created`, `group.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct KindSelector(String);

impl PartialSchema for KindSelector {
    fn schema() -> RefOr<Schema> {
        let subjects = ["user.*", "group.*", "configuration.*"];
        let values: Vec<&str> = PUBLISHED_KINDS.into_iter().chain(subjects).collect();
        let description = Some("A kind of events, or all kinds of a subject: `user.created`, `group.*`");
        let schema =
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).description(description).build();
        RefOr::T(Schema::Object(schema))
    }
}

impl ToSchema for KindSelector {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventKindSelector".into()
    }
}

/// A webhook to create. Unknown members are ignored
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewWebhook)]
pub(super) struct CreateWebhookBody {
    /// `https` URL of the endpoint. Private addresses and `http` need `--outgoing-allow-networks`
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Only events of this account; default: the account in `frontegg-tenant-id`, otherwise all accounts
    account_id: Option<String>,
    /// Kinds of events that are sent; default: all
    #[schema(min_items = 1)]
    kinds: Option<Vec<KindSelector>>,
    /// Default `standard`
    format: Option<WebhookFormat>,
    /// Default `full`
    payload: Option<PayloadMode>,
    /// Maximum number of events in a request; default 100. `frontegg` and `set` have one
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<u32>,
    /// Headers that are added to each request, at most 10
    headers: Option<BTreeMap<String, String>>,
    /// Maximum number of requests per second; default: no limit
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
    /// Where the events begin; default `latest`
    #[schema(inline)]
    start: Option<StartValue>,
    /// Whether the current users, groups and memberships are sent first
    backfill: Option<bool>,
    /// Default `hmac`
    signature: Option<SignatureKind>,
}

impl CreateWebhookBody {
    fn settings(&self) -> WebhookSettings {
        let default = WebhookSettings::new(self.url.clone());
        WebhookSettings {
            description: self.description.clone().unwrap_or_default(),
            kinds: self.kinds.as_ref().map(|kinds| list_selectors(kinds)),
            format: self.format.unwrap_or(default.format),
            payload: self.payload.unwrap_or(default.payload),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            rate_limit: self.rate_limit,
            ..default
        }
    }
}

fn list_selectors(kinds: &[KindSelector]) -> Vec<String> {
    kinds.iter().map(|kind| kind.0.clone()).collect()
}

/// List webhooks
#[utoipa::path(
    get,
    path = "/directory/resources/v1/webhooks",
    tag = "Webhooks",
    responses((status = 200, description = "The webhooks, at most 100", body = WebhookList), ReadErrors)
)]
pub(super) async fn list_webhooks(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (scope, now) = (allowed.account_scope(), clock::current_millis());
    let items = call.read(move |at| {
        let found = management::list_webhooks(at, &scope)?;
        found.into_iter().map(|webhook| WebhookResponse::load(at, webhook, now)).collect::<Result<Vec<_>, Error>>()
    });
    Ok(json_response(&WebhookList { items: items.await? }))
}

/// Create a webhook
///
/// Events are sent in the order of commits, separately for each configuration, with at most one request in flight for each.
/// A batch that was not accepted is sent again after 5 seconds, 5 and 30 minutes, 2, 5, 10, 14, 20 and 24 hours; then the
/// lane of its configuration stops until it is resumed. No event is skipped.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks",
    tag = "Webhooks",
    request_body = CreateWebhookBody,
    responses((status = 201, description = "The webhook, with its secret", body = CreatedWebhook), WriteErrors)
)]
pub(super) async fn create_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let context = allowed.context;
    call.read_inline(|at| management::require_access(at, &context.scope))?;
    let body = call.body::<CreateWebhookBody>().await?;
    if body.account_id.as_deref().is_some_and(|account| !context.scope.covers_id(account)) {
        return Err(Reason::AccountMismatch.into());
    }
    let settings = body.settings();
    sealing::check_settings(&call.state.server.outgoing, &settings)?;
    let (id, key) = (clock::new_id(), &call.state.signing.key);
    let signature = body.signature.unwrap_or(SignatureKind::Hmac);
    let new_key = sealing::create_key(key, &id, signature)?;
    let given: Vec<(String, String)> = body.headers.unwrap_or_default().into_iter().collect();
    let new = NewWebhook {
        headers: sealing::seal_headers(key, &id, &given)?,
        id,
        account: body.account_id,
        settings,
        signature,
        key: new_key.key,
        start: body.start.map_or(WebhookStart::Latest, |start| start.0),
        has_backfill: body.backfill.unwrap_or(false),
    };
    let secret = new_key.secret;
    let create = move |tx: &Tx<'_>| {
        let created = management::create_webhook(tx, &context, &new)?;
        WebhookResponse::load(tx, created, tx.now)
    };
    let render = move |webhook| CreatedWebhook { webhook, secret: secret.clone() };
    let response = write_and_respond(&call, StatusCode::CREATED, create, render).await?;
    call.state.delivery.notify_change();
    Ok(response)
}

/// Get a webhook
#[utoipa::path(
    get,
    path = "/directory/resources/v1/webhooks/{id}",
    tag = "Webhooks",
    responses((status = 200, description = "The webhook", body = WebhookResponse), ReadErrors)
)]
pub(super) async fn get_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (scope, id, now) = (allowed.account_scope(), call.path_parameter("id"), clock::current_millis());
    let found = call.read_inline(|at| WebhookResponse::load(at, management::find_webhook(at, &scope, &id)?, now))?;
    Ok(json_response(&found))
}

/// Delete a webhook
///
/// Nothing more is sent. A request in flight ends by itself.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/webhooks/{id}",
    tag = "Webhooks",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.write(move |tx| management::delete_webhook(tx, &context, &id)).await?;
    call.state.delivery.notify_change();
    Ok(no_content_response())
}

/// Pause a webhook
///
/// Its events wait until it is resumed.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/pause",
    tag = "Webhooks",
    responses((status = 200, description = "The webhook", body = WebhookResponse), WriteErrors)
)]
pub(super) async fn pause_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    change_state(allowed, call, management::pause_webhook).await
}

/// Resume a webhook
///
/// It may be paused or disabled. All lanes that wait for a retry or have stopped try again at once.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/resume",
    tag = "Webhooks",
    responses((status = 200, description = "The webhook", body = WebhookResponse), WriteErrors)
)]
pub(super) async fn resume_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    change_state(allowed, call, management::resume_webhook).await
}

type ChangeState = fn(&Tx<'_>, &crate::model::audit_context::AuditContext, &str) -> Result<Webhook, Error>;

async fn change_state(allowed: AllowedCaller<Webhooks>, call: ApiRequest, change: ChangeState) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let operation = move |tx: &Tx<'_>| WebhookResponse::load(tx, change(tx, &context, &id)?, tx.now);
    let response = write_and_respond(&call, StatusCode::OK, operation, |webhook| webhook).await?;
    call.state.delivery.notify_change();
    Ok(response)
}

/// A rotation
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewWebhookKey)]
pub(super) struct RotateKeyBody {
    /// How long the earlier key signs too: a number with `d`, `h`, `m` or `s`, at most `7d`, or `0`; default `24h`
    #[schema(pattern = "^(0|[0-9]{1,6}[dhms])$")]
    overlap: Option<String>,
}

/// A new key with its secret, which cannot be read again
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedWebhookKey {
    #[serde(flatten)]
    #[schema(inline)]
    key: WebhookKeyResponse,
    /// The secret, `whsec_` and base64; null for an asymmetric signature
    #[schema(required)]
    secret: Option<String>,
}

/// Rotate the key of a webhook
///
/// During the overlap each request has the signatures of both keys, the newest first. Stopped lanes try again at once.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/secrets",
    tag = "Webhooks",
    request_body = Option<RotateKeyBody>,
    responses((status = 201, description = "The new key", body = CreatedWebhookKey), WriteErrors)
)]
pub(super) async fn rotate_webhook_key(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let webhook = call.read_inline(|at| management::find_webhook(at, &context.scope, &id))?;
    let body = call.optional_body::<RotateKeyBody>().await?;
    let overlap = body.overlap.as_deref().map_or(Ok(OVERLAP_DEFAULT_MS), sealing::parse_overlap)?;
    let new = sealing::create_key(&call.state.signing.key, &webhook.id, webhook.signature)?;
    let (key, secret) = (new.key, new.secret);
    let rotate = move |tx: &Tx<'_>| {
        management::rotate_key(tx, &context, &id, (&key, overlap))?;
        Ok(WebhookKeyResponse::from(&WebhookKey { created_at: tx.now, ..key.clone() }))
    };
    let render = move |key| CreatedWebhookKey { key, secret: secret.clone() };
    let response = write_and_respond(&call, StatusCode::CREATED, rotate, render).await?;
    call.state.delivery.notify_change();
    Ok(response)
}

/// Delete a key of a webhook
///
/// It signs no more requests. 409 for the current key.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/webhooks/{id}/secrets/{secret}",
    tag = "Webhooks",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_webhook_key(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id, key) = (allowed.context, call.path_parameter("id"), call.path_parameter("secret"));
    call.write(move |tx| management::delete_key(tx, &context, &id, &key)).await?;
    call.state.delivery.notify_change();
    Ok(no_content_response())
}

/// Result of a test
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookTestResult {
    /// Whether the status is one of success
    success: bool,
    /// HTTP status; null if there was no response
    #[schema(required)]
    status: Option<u16>,
    duration_ms: i64,
    /// Start of the body of the response
    #[schema(required)]
    response: Option<String>,
    /// Why there was no response
    #[schema(required)]
    error: Option<String>,
}

/// Send a test event
///
/// Sends a signed event of type `webhook.test` at once, also if the webhook is paused, and returns what the endpoint answered.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/test",
    tag = "Webhooks",
    responses((status = 200, description = "The result", body = WebhookTestResult), WriteErrors)
)]
pub(super) async fn test_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let webhook = call.read_inline(|at| management::find_webhook(at, &context.scope, &id))?;
    call.write(move |tx| management::record_request(tx, &context, &id, "webhook.tested", None)).await?;
    let outcome = call.state.delivery.send_test(webhook).await?;
    Ok(json_response(&WebhookTestResult {
        success: outcome.is_success(),
        status: outcome.status,
        duration_ms: outcome.duration_ms,
        response: outcome.response,
        error: outcome.error,
    }))
}

/// Reads a number of an event in a body.
fn check_range(from: i64, to: i64) -> Result<(), ApiError> {
    if from < 1 || to < from { Err(Reason::WebhookRangeInvalid.into()) } else { Ok(()) }
}
