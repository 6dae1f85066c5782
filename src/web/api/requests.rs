//! The request log of a configuration: what its identity provider asked and was answered.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, Refusal, WriteRefusals, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Delete, Read, Requests};
use super::cursor::{PageQuery, cursor};
use super::moments::moment;
use crate::clock;
use crate::directory::requests;
use crate::model::ids;
use crate::model::permission::Permission;
use crate::model::request::{LoggedBody, LoggedCall};
use crate::store::requests::Wanted;
use crate::web::requests::masked;

/// One call in the log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LoggedCall)]
pub(super) struct Shown {
    /// The `X-Request-Id` of the answer
    id: String,
    #[schema(format = DateTime)]
    at: String,
    #[schema(minimum = 0)]
    duration_us: i64,
    /// Network address of the caller, as far as trusted proxies tell it; null where the row stands for missed calls
    address: Option<String>,
    /// The method; `-` where the row stands for missed calls
    method: String,
    /// Path and query, without secrets
    path: String,
    /// The status of the answer; 0 where the row stands for missed calls
    status: u16,
    /// Whether something was left undone; a look-up that finds nothing is no failure
    failed: bool,
    scim_type: Option<String>,
    /// What was wrong
    detail: Option<String>,
    /// Why the token was refused: `no_token`, `malformed`, `double_bearer`, `no_scheme`, `foreign_token`, `unknown_token`,
    /// `revoked_token`, `expired_token` or `other_configuration`
    refusal: Option<String>,
    token_id: Option<String>,
    /// The last four characters of a refused token that looks like one of ours
    token_hint: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    /// What was normalised, skipped or ignored
    notes: Vec<String>,
    /// More than 0 where the row stands for so many calls that were served and could not be logged
    #[schema(minimum = 0)]
    missed: u32,
}

impl From<LoggedCall> for Shown {
    fn from(call: LoggedCall) -> Self {
        Self {
            id: call.id,
            at: clock::rfc3339(call.at),
            duration_us: call.duration_us,
            address: call.address,
            method: call.method,
            path: call.path,
            status: call.status,
            failed: call.failed,
            scim_type: call.scim_type,
            detail: call.detail,
            refusal: call.refusal,
            token_id: call.token_id,
            token_hint: call.token_hint,
            resource_type: call.resource_type,
            resource_id: call.resource_id,
            notes: call.notes,
            missed: call.missed,
        }
    }
}

/// A body of a logged call
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedBody)]
pub(super) struct ShownBody {
    /// Its text without passwords and tokens; null where there was none or it was not kept
    text: Option<String>,
    /// Its length as it was sent; null where there was no body or it was streamed
    #[schema(minimum = 0)]
    bytes: Option<u64>,
    /// Whether the text is only its beginning
    cut: bool,
}

impl From<LoggedBody> for ShownBody {
    fn from(body: LoggedBody) -> Self {
        let kept = body.text.as_ref().map(|text| text.len() as u64);
        let cut =
            kept.is_some_and(|kept| kept + 4 > crate::model::request::BODY_KEPT_MAX_BYTES as u64) && body.bytes > kept;
        Self { text: body.text, bytes: body.bytes, cut }
    }
}

/// One call with its bodies
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedCallWithBodies {
    #[serde(flatten)]
    call: Shown,
    request_body: ShownBody,
    response_body: ShownBody,
}

/// A page of the log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestPage {
    /// Newest first
    items: Vec<Shown>,
    /// Gives the next page as `cursor`; null on the last one. A page may have fewer items than asked and still a next one
    next_cursor: Option<String>,
}

/// Which calls are wanted; conditions are combined by "and"
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// `ok`, `failed`, a class such as `4xx`, or a status such as `409`
    #[param(pattern = "^(ok|failed|[1-5]xx|[1-5][0-9][0-9])$")]
    status: Option<String>,
    /// The method, in capitals
    method: Option<String>,
    /// Id of the resource
    resource: Option<String>,
    /// Text in path, detail, notes, what was sent, or ids; only in ids for callers without directory.read
    #[param(min_length = 1, max_length = 200)]
    text: Option<String>,
    /// Only calls at that moment or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only calls before that moment
    #[param(format = DateTime)]
    until: Option<String>,
}

impl Filter {
    fn wanted(self, before: Option<String>, text_everywhere: bool) -> Result<Wanted, Refusal> {
        let until = moment("until", self.until.as_deref())?.map(ids::first_at);
        let mut wanted = Wanted {
            before: before.into_iter().chain(until).min(),
            from: moment("since", self.since.as_deref())?.map(ids::first_at),
            method: self.method,
            resource: self.resource,
            text: self.text,
            text_everywhere,
            ..Wanted::default()
        };
        let text = wanted.text.as_ref().map_or(1, |text| text.chars().count());
        if !(1..=200).contains(&text) {
            return Err(Refusal::bad("text must have 1 to 200 characters"));
        }
        match self.status.as_deref() {
            None => {}
            Some("failed") => wanted.failed = Some(true),
            Some("ok") => wanted.failed = Some(false),
            Some(status) => {
                let (first, last) = statuses(status)
                    .ok_or_else(|| Refusal::bad("status must be ok, failed, a class such as 4xx, or a number"))?;
                (wanted.status_min, wanted.status_max) = (Some(first), Some(last));
            }
        }
        Ok(wanted)
    }
}

/// The first and the last status of `409` or `4xx`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let is_status = |status: u16| (100..600).contains(&status);
    if let Some(class) = text.strip_suffix("xx") {
        let first = class.parse::<u16>().ok()?.checked_mul(100)?;
        return is_status(first).then_some((first, first + 99));
    }
    let status = text.parse().ok()?;
    is_status(status).then_some((status, status))
}

/// The request log of a configuration
///
/// Every SCIM call, newest first, kept for 30 days and at most 200,000 calls. A refused token is there too, with the reason
/// why. Callers without `directory.read` see the form of calls, and `***` in place of people's values.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests",
    tag = "Request log",
    operation_id = "listRequests",
    params(
        ("id" = String, Path),
        PageQuery,
        Filter,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "Calls, newest first", body = RequestPage), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Requests>, call: Call) -> Answered {
    let (id, reach) = (call.part("id"), allowed.reach());
    let page = call.query::<PageQuery>()?;
    let is_open = allowed.permissions.allow(Permission::DirectoryRead);
    let wanted = call.query::<Filter>()?.wanted(page.place()?, is_open)?;
    let limit = page.limit()?;
    let found = read_aside(&call.state, move |at| requests::page(at, &reach, &id, &wanted, limit)).await?;
    let show = |call| Shown::from(if is_open { call } else { masked(call) });
    let items = found.calls.into_iter().map(show).collect();
    Ok(document(&RequestPage { items, next_cursor: found.next.and_then(|id| cursor(&id)) }))
}

/// One call of the request log, with its bodies
///
/// Bodies are kept without passwords and tokens, and cut after 16 KiB.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests/{requestId}",
    tag = "Request log",
    operation_id = "getRequest",
    params(
        ("id" = String, Path),
        ("requestId" = String, Path),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "The call", body = LoggedCallWithBodies), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Requests>, call: Call) -> Answered {
    let (id, request) = (call.part("id"), call.part("requestId"));
    let found = call.state.store.read_inline(|at| requests::by_id(at, &allowed.by.reach, &id, &request))?;
    let is_open = allowed.permissions.allow(Permission::DirectoryRead);
    let mut found = if is_open { found } else { masked(found) };
    let (request_body, response_body) = (std::mem::take(&mut found.request), std::mem::take(&mut found.response));
    let (request_body, response_body) = (request_body.into(), response_body.into());
    Ok(document(&LoggedCallWithBodies { call: found.into(), request_body, response_body }))
}

/// How a configuration fares
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationHealth {
    /// The last call with a right token
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// The last provisioning write that succeeded
    #[schema(format = DateTime)]
    last_sync: Option<String>,
    /// The last call that failed
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    /// Failed calls in a row, refused tokens among them
    #[schema(minimum = 0)]
    failures: u32,
    /// Refused tokens in a row
    #[schema(minimum = 0)]
    auth_failures: u32,
    /// How many of the last 20 calls there were
    #[schema(minimum = 0, maximum = 20)]
    recent_calls: u32,
    /// How many of those failed
    #[schema(minimum = 0, maximum = 20)]
    recent_failures: u32,
    /// Whether 5 of the last 20 calls failed, or the last 3 came with a token that was refused
    failing: bool,
}

/// How a configuration fares
///
/// Counted from its calls; calls without any token do not count.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/health",
    tag = "Request log",
    operation_id = "getConfigurationHealth",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Times and counters", body = ConfigurationHealth), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn health(allowed: Allowed<Read>, call: Call) -> Answered {
    let id = call.part("id");
    let (one, health) = call.state.store.read_inline(|at| requests::fares(at, &allowed.by.reach, &id))?;
    Ok(document(&ConfigurationHealth {
        last_seen: one.last_seen.map(clock::rfc3339),
        last_sync: one.last_sync.map(clock::rfc3339),
        last_failure: health.last_failure.map(clock::rfc3339),
        failures: health.failures,
        auth_failures: health.auth_failures,
        recent_calls: health.recent_calls(),
        recent_failures: health.recent_failures(),
        failing: health.is_failing(),
    }))
}

/// Empty the request log of a configuration
///
/// Calls that are on their way stay. The audit log keeps who did it and how many calls went.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/requests",
    tag = "Request log",
    operation_id = "emptyRequests",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn empty(allowed: Allowed<Delete>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    let emptying = write(&call.state, move |tx| requests::empty(tx, &by, &id)).await?;
    loop {
        let which = emptying.clone();
        if !write(&call.state, move |tx| requests::forget(tx, &which)).await? {
            return Ok(done());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_class_a_number_or_one_of_two_words() {
        let read = |status: &str| {
            let filter = Filter { status: Some(status.to_owned()), ..Filter::default() };
            filter.wanted(None, true).map(|wanted| (wanted.failed, wanted.status_min, wanted.status_max)).ok()
        };
        assert_eq!(read("failed"), Some((Some(true), None, None)));
        assert_eq!(read("ok"), Some((Some(false), None, None)));
        assert_eq!(read("4xx"), Some((None, Some(400), Some(499))));
        assert_eq!(read("409"), Some((None, Some(409), Some(409))));
        for wrong in ["", "bad", "9xx", "0xx", "99999xx", "4x", "99", "600"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
