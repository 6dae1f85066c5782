//! Changes of a webhook.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{KindSelector, WebhookResponse, list_selectors};
use crate::delivery::sealing;
use crate::error::{Error, Reason};
use crate::management::webhooks::{self as management, WebhookChange};
use crate::model::field_change::FieldChange;
use crate::model::webhook::{PayloadMode, WebhookFormat, WebhookSettings};
use crate::web::api::caller::{AllowedCaller, Webhooks};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, WriteErrors, json_response};

/// Changes to a webhook; absent members keep their value. Unknown members are ignored, and members of a webhook that cannot be
/// changed are refused
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookUpdate)]
pub(super) struct UpdateWebhookBody {
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Null for all kinds
    #[serde(default)]
    #[schema(value_type = Option<Vec<KindSelector>>)]
    kinds: FieldChange<Vec<KindSelector>>,
    format: Option<WebhookFormat>,
    payload: Option<PayloadMode>,
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<u32>,
    /// Replaces all headers
    headers: Option<BTreeMap<String, String>>,
    /// Null for no limit
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    rate_limit: FieldChange<u32>,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    id: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    account_id: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    signature: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    start: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = i64)]
    start_seq: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = bool)]
    backfill: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    state: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    disabled_reason: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = Vec<Object>)]
    keys: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    secret: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    created_at: FixedMember,
    #[serde(default)]
    #[schema(read_only, value_type = String)]
    updated_at: FixedMember,
}

/// Whether a member that cannot be changed is in the body.
#[derive(Debug, Clone, Copy, Default)]
struct FixedMember(bool);

impl<'de> Deserialize<'de> for FixedMember {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// What to do instead of changing a member.
const CREATE_ANOTHER: &str = "create another webhook";
const PAUSE_OR_RESUME: &str = "use POST …/webhooks/{id}/pause and …/resume";
const ROTATE_KEY: &str = "use POST …/webhooks/{id}/secrets to get another key";
const LEAVE_OUT: &str = "leave it out";

impl UpdateWebhookBody {
    /// Refuses members that cannot be changed.
    ///
    /// # Errors
    /// `BodyFieldFixed` names the member, and what to do instead.
    fn check_fixed_members(&self) -> Result<(), Error> {
        let members = [
            ("accountId", self.account_id, CREATE_ANOTHER),
            ("signature", self.signature, CREATE_ANOTHER),
            ("start", self.start, CREATE_ANOTHER),
            ("startSeq", self.start_seq, CREATE_ANOTHER),
            ("backfill", self.backfill, CREATE_ANOTHER),
            ("state", self.state, PAUSE_OR_RESUME),
            ("disabledReason", self.disabled_reason, PAUSE_OR_RESUME),
            ("keys", self.keys, ROTATE_KEY),
            ("secret", self.secret, ROTATE_KEY),
            ("id", self.id, LEAVE_OUT),
            ("createdAt", self.created_at, LEAVE_OUT),
            ("updatedAt", self.updated_at, LEAVE_OUT),
        ];
        match members.into_iter().find(|(_, member, _)| member.0) {
            None => Ok(()),
            Some((name, _, fix)) => Err(Reason::BodyFieldFixed.on_field(name).with("name", name).with("fix", fix)),
        }
    }

    fn apply(&self, before: &WebhookSettings) -> WebhookSettings {
        WebhookSettings {
            url: self.url.clone().unwrap_or_else(|| before.url.clone()),
            description: self.description.clone().unwrap_or_else(|| before.description.clone()),
            kinds: match &self.kinds {
                FieldChange::Keep => before.kinds.clone(),
                FieldChange::Clear => None,
                FieldChange::Set(kinds) => Some(list_selectors(kinds)),
            },
            format: self.format.unwrap_or(before.format),
            payload: self.payload.unwrap_or(before.payload),
            batch_size: self.batch_size.unwrap_or(before.batch_size),
            rate_limit: match self.rate_limit {
                FieldChange::Keep => before.rate_limit,
                FieldChange::Clear => None,
                FieldChange::Set(rate) => Some(rate),
            },
        }
    }
}

/// Change a webhook
///
/// The changes apply from the next request on. If they change the content of requests, a batch that waits for a retry is
/// built again and gets another id. Events of kinds that are added are sent from the change on. A new URL makes all lanes try
/// again at once.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/webhooks/{id}",
    tag = "Webhooks",
    request_body = UpdateWebhookBody,
    responses((status = 200, description = "The webhook after the change", body = WebhookResponse), WriteErrors)
)]
pub(in crate::web::api) async fn update_webhook(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let before = call.read_inline(|at| management::find_webhook(at, &context.scope, &id))?;
    let body = call.body::<UpdateWebhookBody>().await?;
    body.check_fixed_members()?;
    sealing::check_settings(&call.state.server.outgoing, &body.apply(&before.settings))?;
    let headers = body.headers.as_ref().map(|given| {
        let given: Vec<(String, String)> = given.clone().into_iter().collect();
        sealing::seal_headers(&call.state.signing.key, &before.id, &given)
    });
    let headers = headers.transpose()?;
    let changed = call.write(move |tx| {
        // Another change can have been faster.
        let current = management::find_webhook(tx, &context.scope, &id)?;
        let change = WebhookChange { settings: Some(body.apply(&current.settings)), headers: headers.clone() };
        let changed = management::update_webhook(tx, &context, &id, &change)?;
        WebhookResponse::load(tx, changed, tx.now)
    });
    let changed = changed.await?;
    call.state.delivery.notify_change();
    Ok(json_response(&changed))
}
