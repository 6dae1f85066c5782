//! Attempts of a webhook, and repetitions.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::check_range;
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::webhooks::lanes::find_lane_source;
use crate::management::webhooks::{self as management, AttemptsQuery, RESEND_BATCHES_MAX, WebhookAttempt};
use crate::provisioning::directory::DirectorySource;
use crate::web::api::caller::{AllowedCaller, Webhooks};
use crate::web::api::cursor::{CursorPage, PageQuery};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// Result of an attempt
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookAttemptOutcome)]
pub(crate) enum AttemptOutcome {
    /// The endpoint answered with a status of success
    Success,
    /// It did not
    Failure,
}

/// An attempt to send
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAttempt)]
pub(crate) struct AttemptResponse {
    id: String,
    webhook_id: String,
    /// Null for a test
    #[schema(required)]
    configuration_id: Option<String>,
    /// First event; null for a test and for current resources
    #[schema(required)]
    from_seq: Option<i64>,
    /// Last event
    #[schema(required)]
    to_seq: Option<i64>,
    /// `webhook-id` of the request
    message_id: String,
    /// How often the batch was tried, with this attempt
    attempt: u32,
    outcome: AttemptOutcome,
    /// HTTP status; null if there was no response
    #[schema(required)]
    status: Option<u16>,
    /// Why there was no response
    #[schema(required)]
    error: Option<String>,
    duration_ms: i64,
    /// Start of the body of the response, at most 1 KiB
    #[schema(required)]
    response: Option<String>,
    #[schema(format = DateTime)]
    at: String,
    /// Whether the batch was sent again on request
    resend: bool,
}

impl AttemptResponse {
    fn new(webhook: &str, configuration_id: Option<String>, attempt: WebhookAttempt) -> Self {
        Self {
            id: attempt.attempt.to_string(),
            webhook_id: webhook.to_owned(),
            configuration_id,
            from_seq: attempt.from_seq,
            to_seq: attempt.to_seq,
            message_id: attempt.message_id,
            attempt: attempt.number,
            outcome: if attempt.succeeded { AttemptOutcome::Success } else { AttemptOutcome::Failure },
            status: attempt.status,
            error: attempt.error,
            duration_ms: attempt.duration_ms,
            response: attempt.response,
            at: clock::format_rfc3339(attempt.at),
            resend: attempt.resend,
        }
    }
}

/// Filters for attempts; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttemptsFilter {
    /// Id of a configuration: only attempts of its lane
    lane: Option<String>,
    /// Only successes or only failures
    #[param(inline)]
    outcome: Option<AttemptOutcome>,
}

/// List the attempts of a webhook
///
/// Newest first. Attempts are stored for 30 days, at most 100,000 of all webhooks.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/webhooks/{id}/attempts",
    tag = "Webhooks",
    params(PageQuery, AttemptsFilter),
    responses((status = 200, description = "One page", body = CursorPage<AttemptResponse>), ReadErrors)
)]
pub(crate) async fn list_webhook_attempts(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let (query, filter) = (call.query::<PageQuery>()?, call.query::<AttemptsFilter>()?);
    let (limit, before) = (query.limit()?, query.position::<i64>()?);
    let page = call.read(move |at| {
        let webhook = management::find_webhook(at, &scope, &id)?;
        let lane = filter.lane.as_deref().map(|lane| find_lane_source(at, &scope, &id, lane)).transpose()?;
        let selection = AttemptsQuery {
            webhook: webhook.key,
            configuration: lane.map(|(_, source)| source.configuration),
            succeeded: filter.outcome.map(|outcome| outcome == AttemptOutcome::Success),
            before,
        };
        let found = management::list_attempts(at, selection, limit + 1)?;
        let describe = |attempt: WebhookAttempt| {
            let source = management::find_attempt_source(at, &attempt)?;
            let key = attempt.attempt;
            Ok((key, AttemptResponse::new(&webhook.id, source.map(|source: DirectorySource| source.id), attempt)))
        };
        found.into_iter().map(describe).collect::<Result<Vec<_>, Error>>()
    });
    Ok(json_response(&CursorPage::from_rows(page.await?, limit, |(key, _)| *key, |(_, attempt)| attempt)))
}

/// Events to send again
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookResend)]
pub(crate) struct ResendBody {
    /// First event
    #[schema(minimum = 1)]
    from_seq: i64,
    /// Last event
    #[schema(minimum = 1)]
    to_seq: i64,
    /// Id of the configuration
    configuration: String,
}

/// A repetition that was begun
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookResendStarted)]
pub(crate) struct ResendResponse {
    /// Number of requests
    batches: usize,
    /// First event of the first request
    from_seq: i64,
    /// Last event of the last request
    to_seq: i64,
}

/// Send events again
///
/// Sends the requests that contained events of the range again, with the same ids and the header `webhook-resend: true`,
/// without changing the lane. At most 1,000 requests at a time; those that were sent more than 30 days ago are not known. A
/// request that fails ends the repetition.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/webhooks/{id}/resend",
    tag = "Webhooks",
    request_body = ResendBody,
    responses((status = 202, description = "It was begun; the attempts show the results", body = ResendResponse), WriteErrors)
)]
pub(crate) async fn resend_events(allowed: AllowedCaller<Webhooks>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.read_inline(|at| management::find_webhook(at, &context.scope, &id))?;
    let body = call.body::<ResendBody>().await?;
    check_range(body.from_seq, body.to_seq)?;
    let (scope, webhook) = (context.scope.clone(), id.clone());
    let range = (body.from_seq, body.to_seq);
    let found = call.read(move |at| {
        let (webhook, source) = find_lane_source(at, &scope, &webhook, &body.configuration)?;
        let batches = management::list_delivered_batches(at, &webhook, source.configuration, range)?;
        Ok((webhook, source, batches))
    });
    let (webhook, source, batches) = found.await?;
    let (Some(first), Some(last)) = (batches.first().copied(), batches.last().copied()) else {
        return Err(Reason::WebhookRangeEmpty.into());
    };
    let after = json!({"configurationId": source.id, "fromSeq": first.0, "toSeq": last.1, "requests": batches.len()});
    let record = move |tx: &crate::store::Tx<'_>| {
        management::record_request(tx, &context, &id, "webhook.resent", Some(after.clone()))
    };
    call.write(record).await?;
    let answer = ResendResponse { batches: batches.len(), from_seq: first.0, to_seq: last.1 };
    debug_assert!(answer.batches <= RESEND_BATCHES_MAX);
    call.state.delivery.resend(webhook, source.configuration, batches)?;
    Ok(HttpResponse::Accepted().json(answer))
}
