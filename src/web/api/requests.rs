//! The request log of a configuration: the requests of its identity provider and the responses.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Delete, MintTokens, Read, Requests};
use super::cursor::{PageQuery, encode_cursor};
use crate::clock;
use crate::error::Reason;
use crate::management::request_log::{self, RequestLogQuery};
use crate::management::webhooks::lanes;
use crate::messages::render_note;
use crate::model::ids;
use crate::model::permission::Permission;
use crate::model::request::{FailureCause, LoggedBody, LoggedCall};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};
use crate::web::api::timestamps::parse_timestamp;
use crate::web::request_log::mask_call;

/// Maximum number of characters of a text filter.
const TEXT_MAX_CHARS: usize = 200;

/// A call in the request log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LoggedCall)]
pub(super) struct LoggedCallResponse {
    /// The `X-Request-Id` of the response
    id: String,
    #[schema(format = DateTime)]
    at: String,
    #[schema(minimum = 0)]
    duration_us: i64,
    /// Network address of the caller, as reported by trusted proxies; null if the entry represents calls that were not
    /// logged
    address: Option<String>,
    /// The method; `-` if the entry represents calls that were not logged
    method: String,
    /// Path and query, without secrets
    path: String,
    /// The status of the response; 0 if the entry represents calls that were not logged
    status: u16,
    /// Whether the call failed. A search without results is not a failure
    failed: bool,
    scim_type: Option<String>,
    /// Why the call failed: a code of `docs/errors.md`
    reason: Option<&'static str>,
    /// The attribute or parameter that the reason is about
    reason_field: Option<String>,
    /// The error message
    detail: Option<String>,
    /// Why the token was rejected: `no_token`, `malformed`, `double_bearer`, `no_scheme`, `foreign_token`, `unknown_token`,
    /// `revoked_token`, `expired_token`, `other_configuration` or `expired_secret`
    refusal: Option<String>,
    token_id: Option<String>,
    /// The last four characters of a rejected token that has the format of this server's tokens
    token_hint: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    /// What was normalized, skipped or ignored
    notes: Vec<String>,
    /// If greater than 0, the entry represents this number of calls that were served but could not be logged
    #[schema(minimum = 0)]
    missed: u32,
    /// Id of the call that this one repeats, because an admin or a client of this API sent it again; else null
    replay_of: Option<String>,
    /// Name of that admin or API key
    replayed_by: Option<String>,
}

impl From<LoggedCall> for LoggedCallResponse {
    fn from(call: LoggedCall) -> Self {
        Self {
            id: call.id,
            at: clock::format_rfc3339(call.at),
            duration_us: call.duration_us,
            address: call.address,
            method: call.method,
            path: call.path,
            status: call.status,
            failed: call.failed,
            scim_type: call.scim_type,
            reason: call.reason.map(Reason::code),
            reason_field: call.reason_field,
            detail: call.detail,
            refusal: call.refusal,
            token_id: call.token_id,
            token_hint: call.token_hint,
            resource_type: call.resource_type,
            resource_id: call.resource_id,
            notes: call.notes.iter().map(|note| render_note(note)).collect(),
            missed: call.missed,
            replay_of: call.replay_of,
            replayed_by: call.replayed_by,
        }
    }
}

/// The body of a logged request or response
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedBody)]
pub(super) struct LoggedBodyResponse {
    /// Its text without passwords and tokens; null if there was no body or it was not stored
    text: Option<String>,
    /// Its original length; null if there was no body or it was streamed
    #[schema(minimum = 0)]
    bytes: Option<u64>,
    /// Whether the text is truncated
    cut: bool,
}

impl From<LoggedBody> for LoggedBodyResponse {
    fn from(body: LoggedBody) -> Self {
        let stored = body.text.as_ref().map(|text| text.len() as u64);
        // A truncated text ends at a character boundary, up to 3 bytes before the limit.
        let is_full = stored.is_some_and(|length| length + 4 > crate::model::request::LOGGED_BODY_MAX_BYTES as u64);
        let cut = is_full && body.bytes > stored;
        Self { text: body.text, bytes: body.bytes, cut }
    }
}

/// A call with its bodies
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedCallWithBodies {
    #[serde(flatten)]
    call: LoggedCallResponse,
    request_body: LoggedBodyResponse,
    response_body: LoggedBodyResponse,
}

/// A page of the request log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestPage {
    /// Newest first
    items: Vec<LoggedCallResponse>,
    /// The `cursor` of the next page; null on the last page. A page may have fewer items than `limit` although it is not
    /// the last one
    next_cursor: Option<String>,
}

/// Filters; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRequestsQuery {
    /// `ok`, `failed`, a class such as `4xx`, or a status such as `409`
    #[param(pattern = "^(ok|failed|[1-5]xx|[1-5][0-9][0-9])$")]
    status: Option<String>,
    /// The method, in upper case
    method: Option<String>,
    /// Id of the resource
    resource: Option<String>,
    /// Text in the path, detail, notes, request body or ids. For callers without `directory.read`, only ids are searched
    #[param(min_length = 1, max_length = 200)]
    text: Option<String>,
    /// Only calls at this time or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only calls before this time
    #[param(format = DateTime)]
    until: Option<String>,
}

impl ListRequestsQuery {
    fn into_query(self, before: Option<String>, text_everywhere: bool) -> Result<RequestLogQuery, ApiError> {
        let until = parse_timestamp("until", self.until.as_deref())?.map(ids::first_id_at);
        let mut query = RequestLogQuery {
            before: before.into_iter().chain(until).min(),
            from: parse_timestamp("since", self.since.as_deref())?.map(ids::first_id_at),
            method: self.method,
            resource: self.resource,
            text: self.text,
            search_content: text_everywhere,
            ..RequestLogQuery::default()
        };
        let text = query.text.as_ref().map_or(1, |text| text.chars().count());
        if !(1..=TEXT_MAX_CHARS).contains(&text) {
            return Err(Reason::SearchTextLength.with("max", TEXT_MAX_CHARS).into());
        }
        match self.status.as_deref() {
            None => {}
            Some("failed") => query.failed = Some(true),
            Some("ok") => query.failed = Some(false),
            Some(status) => {
                let (first, last) = parse_status_range(status).ok_or(Reason::StatusFilterInvalid)?;
                (query.status_min, query.status_max) = (Some(first), Some(last));
            }
        }
        Ok(query)
    }
}

/// Returns the first and the last status that `409` or `4xx` matches, or `None` if the text is invalid.
fn parse_status_range(text: &str) -> Option<(u16, u16)> {
    let is_status = |status: u16| (100..600).contains(&status);
    if let Some(class) = text.strip_suffix("xx") {
        let first = class.parse::<u16>().ok()?.checked_mul(100)?;
        return is_status(first).then_some((first, first + 99));
    }
    let status = text.parse().ok()?;
    is_status(status).then_some((status, status))
}

/// List the calls in the request log of a configuration
///
/// All SCIM calls of the last 30 days, at most 200,000, newest first. Calls with a rejected token are included, with the
/// reason. For callers without `directory.read`, personal data is replaced with `***`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests",
    tag = "Request log",
    params(PageQuery, ListRequestsQuery),
    responses((status = 200, description = "Calls, newest first", body = RequestPage), ReadErrors)
)]
pub(super) async fn list_requests(allowed: AllowedCaller<Requests>, call: ApiRequest) -> ApiResult {
    let (id, scope) = (call.path_parameter("id"), allowed.account_scope());
    let page = call.query::<PageQuery>()?;
    let is_unmasked = allowed.permissions.contains(Permission::DirectoryRead);
    let query = call.query::<ListRequestsQuery>()?.into_query(page.position()?, is_unmasked)?;
    let limit = page.limit()?;
    let found = call.read(move |at| request_log::list_calls(at, &scope, &id, &query, limit)).await?;
    let convert = |call| LoggedCallResponse::from(if is_unmasked { call } else { mask_call(call) });
    let items = found.calls.into_iter().map(convert).collect();
    Ok(json_response(&RequestPage { items, next_cursor: found.next.and_then(|id| encode_cursor(&id)) }))
}

/// Get a call from the request log, with its bodies
///
/// Bodies are stored without passwords and tokens, and truncated after 16 KiB.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests/{requestId}",
    tag = "Request log",
    responses((status = 200, description = "The call", body = LoggedCallWithBodies), ReadErrors)
)]
pub(super) async fn get_request(allowed: AllowedCaller<Requests>, call: ApiRequest) -> ApiResult {
    let (id, request) = (call.path_parameter("id"), call.path_parameter("requestId"));
    let found = call.read_inline(|at| request_log::find_call(at, &allowed.context.scope, &id, &request))?;
    let is_unmasked = allowed.permissions.contains(Permission::DirectoryRead);
    let mut found = if is_unmasked { found } else { mask_call(found) };
    let (request_body, response_body) = (std::mem::take(&mut found.request), std::mem::take(&mut found.response));
    let (request_body, response_body) = (request_body.into(), response_body.into());
    Ok(json_response(&LoggedCallWithBodies { call: found.into(), request_body, response_body }))
}

/// The result of a call that was sent again
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestReplay {
    /// Id of the new call in the request log
    request_id: String,
    /// Id of the call that it repeats
    replay_of: String,
    /// The status of the response to the new call
    status: u16,
}

/// Send a call from the request log again
///
/// The server runs the method, the path and the body again, as if the identity provider had sent them. The call gets an entry
/// of its own in the request log. It has the rights of a token with all rights, and no conditions such as `If-Match`, because
/// the log has no headers. A call that had no valid token, or whose body was not stored completely, is refused with 409. Also
/// needs the permission `requests.read`.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests/{requestId}/replay",
    tag = "Request log",
    responses((status = 200, description = "The call was sent again", body = RequestReplay), WriteErrors)
)]
pub(super) async fn replay_request(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    let (id, replay_of) = (call.path_parameter("id"), call.path_parameter("requestId"));
    let replayed = crate::web::replay_request(&call.state, allowed.context, id, replay_of.clone()).await?;
    Ok(json_response(&RequestReplay { request_id: replayed.request_id, replay_of, status: replayed.status }))
}

/// The health of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationHealth {
    /// Time of the last call with a valid token
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// Time of the last successful provisioning write
    #[schema(format = DateTime)]
    last_sync: Option<String>,
    /// Time of the last failed call
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    /// Cause of the last failed call: a `refusal` or a `reason`, as in the request log
    last_cause: Option<&'static str>,
    /// Consecutive failed calls, including those with a rejected token
    #[schema(minimum = 0)]
    failures: u32,
    /// Consecutive calls with a rejected token
    #[schema(minimum = 0)]
    auth_failures: u32,
    /// Number of recent calls, at most 20
    #[schema(minimum = 0, maximum = 20)]
    recent_calls: u32,
    /// Number of failed calls among them
    #[schema(minimum = 0, maximum = 20)]
    recent_failures: u32,
    /// Whether at least 5 of the last 20 calls failed, the last 3 calls had a rejected token, or a webhook needs an admin
    failing: bool,
    /// Whether changes are not published until an admin decides, because the identity provider removed much at once
    held: bool,
    /// Number of webhooks that have not accepted its events for an hour and are retried
    #[schema(minimum = 0)]
    retrying_webhooks: u32,
    /// Number of webhooks that get none of its events until they are resumed, because all retries have failed
    #[schema(minimum = 0)]
    stopped_webhooks: u32,
    /// Time of the first failure of these webhooks
    #[schema(format = DateTime)]
    undelivered_since: Option<String>,
}

/// Get the health of a configuration
///
/// Derived from its calls, and from the deliveries of its events to webhooks. Calls without a token do not count. A caller of an
/// account sees the webhooks of the account only.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/health",
    tag = "Request log",
    operation_id = "getConfigurationHealth",
    responses((status = 200, description = "Times and counters", body = ConfigurationHealth), ReadErrors)
)]
pub(super) async fn get_health(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let id = call.path_parameter("id");
    let now = clock::current_millis();
    let (configuration, health, deliveries) = call.read_inline(|at| {
        let (configuration, health) = request_log::find_configuration_health(at, &allowed.context.scope, &id)?;
        let deliveries = lanes::find_delivery_health(at, &allowed.context.scope, configuration.key, now)?;
        Ok((configuration, health, deliveries))
    })?;
    Ok(json_response(&ConfigurationHealth {
        last_seen: configuration.last_seen.map(clock::format_rfc3339),
        last_sync: configuration.last_sync.map(clock::format_rfc3339),
        last_failure: health.last_failure.map(clock::format_rfc3339),
        last_cause: health.last_cause.map(FailureCause::code),
        failures: health.failures,
        auth_failures: health.auth_failures,
        recent_calls: health.recent_calls(),
        recent_failures: health.recent_failures(),
        failing: health.is_failing() || deliveries.is_failing(),
        held: configuration.held,
        retrying_webhooks: deliveries.retrying,
        stopped_webhooks: deliveries.stopped,
        undelivered_since: deliveries.since.map(clock::format_rfc3339),
    }))
}

/// Clear the request log of a configuration
///
/// Calls that are not written to the log yet are not removed. The audit log records the actor and the number of removed
/// calls.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests",
    tag = "Request log",
    operation_id = "emptyRequests",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn clear_requests(allowed: AllowedCaller<Delete>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let emptying = call.write(move |tx| request_log::start_emptying_log(tx, &context, &id)).await?;
    loop {
        let step = emptying.clone();
        if !call.write(move |tx| request_log::remove_calls(tx, &step)).await? {
            return Ok(no_content_response());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_filter_is_a_class_a_number_ok_or_failed() {
        let parse = |status: &str| {
            let filter = ListRequestsQuery { status: Some(status.to_owned()), ..ListRequestsQuery::default() };
            filter.into_query(None, true).map(|query| (query.failed, query.status_min, query.status_max)).ok()
        };
        assert_eq!(parse("failed"), Some((Some(true), None, None)));
        assert_eq!(parse("ok"), Some((Some(false), None, None)));
        assert_eq!(parse("4xx"), Some((None, Some(400), Some(499))));
        assert_eq!(parse("409"), Some((None, Some(409), Some(409))));
        for invalid in ["", "bad", "9xx", "0xx", "99999xx", "4x", "99", "600"] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }
}
