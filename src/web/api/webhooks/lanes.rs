//! The lanes of a webhook: one for each configuration.

use serde::{Deserialize, Serialize};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};

use crate::clock;
use crate::management::webhooks::find_webhook;
use crate::management::webhooks::lanes::{self as management, ResumeFrom, WebhookLane};
use crate::model::webhook::LaneState;
use crate::store::Tx;
use crate::web::api::caller::{AllowedCaller, Webhooks};
use crate::web::api::cursor::{CursorPage, PageQuery};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// The events of one configuration for one webhook
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookLane)]
pub(crate) struct LaneResponse {
    configuration_id: String,
    account_id: String,
    state: LaneState,
    /// Number of the last event that was delivered or skipped
    position: i64,
    /// Whether current users, groups and memberships are sent first
    backfilling: bool,
    /// Number of waiting events, at most 10,000
    waiting: u32,
    /// Time of the first waiting event
    #[schema(format = DateTime, required)]
    oldest_undelivered_at: Option<String>,
    /// Failed attempts of the current batch
    failures: u32,
    #[schema(format = DateTime, required)]
    next_attempt_at: Option<String>,
    /// When the last retry failed
    #[schema(format = DateTime, required)]
    stopped_at: Option<String>,
    /// Why the last attempt failed
    #[schema(required)]
    last_error: Option<String>,
}

impl From<WebhookLane> for LaneResponse {
    fn from(lane: WebhookLane) -> Self {
        Self {
            configuration_id: lane.configuration_id,
            account_id: lane.account.id,
            state: lane.state,
            position: lane.position,
            backfilling: lane.is_backfilling,
            waiting: lane.waiting,
            oldest_undelivered_at: lane.waiting_since.map(clock::format_rfc3339),
            failures: lane.failures,
            next_attempt_at: lane.next_attempt_at.map(clock::format_rfc3339),
            stopped_at: lane.stopped_at.map(clock::format_rfc3339),
            last_error: lane.last_error,
        }
    }
}

/// List the lanes of a webhook
#[utoipa::path(
    get,
    path = "/directory/resources/v1/webhooks/{id}/lanes",
    tag = "Webhooks",
    params(PageQuery),
    responses((status = 200, description = "One page, in the order of creation of the configurations", body = CursorPage<LaneResponse>), ReadErrors)
)]
pub(crate) async fn list_webhook_lanes(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let query = call.query::<PageQuery>()?;
    let (limit, after) = (query.limit()?, query.position::<i64>()?.unwrap_or(0));
    let found = call.read(move |at| {
        let webhook = find_webhook(at, &scope, &id)?;
        management::list_lanes(at, &webhook, after, limit + 1)
    });
    let page = CursorPage::from_rows(found.await?, limit, |(key, _)| *key, |(_, lane)| LaneResponse::from(lane));
    Ok(json_response(&page))
}

/// Where a lane goes on: `next`, `latest`, or the number of an event
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromValue(ResumeFrom);

impl<'de> Deserialize<'de> for FromValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let from = match (value.as_str(), value.as_i64()) {
            (Some("next"), _) => ResumeFrom::Next,
            (Some("latest"), _) => ResumeFrom::Latest,
            (None, Some(seq)) => ResumeFrom::After(seq),
            _ => return Err(serde::de::Error::custom("it must be \"next\", \"latest\" or the number of an event")),
        };
        Ok(Self(from))
    }
}

impl PartialSchema for FromValue {
    fn schema() -> RefOr<Schema> {
        let names: Object =
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["next", "latest"])).build();
        let number: Object = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(names).item(number).build()))
    }
}

impl ToSchema for FromValue {}

/// Where a lane goes on
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = LaneResumption)]
pub(crate) struct ResumeLaneBody {
    /// `next` (default): with the batch that was not delivered. `latest`: after the newest event, so that what waits is
    /// skipped. A number: after that event
    #[schema(inline)]
    from: Option<FromValue>,
}

/// Resume a lane
///
/// A lane that waits for a retry tries again at once; a stopped one goes on. The audit log has the number of skipped events.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/lanes/{configuration}/resume",
    tag = "Webhooks",
    request_body = Option<ResumeLaneBody>,
    responses((status = 200, description = "The lane after the change", body = LaneResponse), WriteErrors)
)]
pub(crate) async fn resume_webhook_lane(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id, configuration) =
        (allowed.context, call.path_parameter("id"), call.path_parameter("configuration"));
    call.read_inline(|at| management::find_lane_source(at, &context.scope, &id, &configuration))?;
    let body = call.optional_body::<ResumeLaneBody>().await?;
    let from = body.from.map_or(ResumeFrom::Next, |from| from.0);
    let resume = move |tx: &Tx<'_>| management::resume_lane(tx, &context, (&id, &configuration), from);
    let response = write_and_respond(&call, actix_web::http::StatusCode::OK, resume, LaneResponse::from).await?;
    call.state.delivery.notify_change();
    Ok(response)
}
