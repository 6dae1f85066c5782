//! Replays: a logged request runs again for an admin, in the same way as a request of the identity provider. Only the
//! authentication is left out.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::http::{Method, Uri};
use actix_web::test::TestRequest;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpRequest};
use serde::de::IgnoredAny;

use super::authenticate::TokenCaller;
use super::provisioning_path::ProvisioningPath;
use super::route::ScimRoute;
use super::{ScimCall, TrackedRequest};
use crate::clock;
use crate::error::{Reason, Result};
use crate::management::{configurations, request_log};
use crate::model::audit_context::AuditContext;
use crate::model::permission::Permission;
use crate::model::request::{LOGGED_BODY_MAX_BYTES, LoggedBody, LoggedCall};
use crate::model::rights::AccessRights;
use crate::provisioning::Scope;
use crate::store::Tx;
use crate::web::request_log::{ReplayOrigin, is_path_complete, is_redacted};
use crate::web::state::AppState;

/// Methods of SCIM requests.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
/// Methods of requests with a body.
const METHODS_WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// A request that was sent again.
pub(in crate::web) struct ReplayResult {
    /// Id of the new request.
    pub(in crate::web) request_id: String,
    /// The status of its response.
    pub(in crate::web) status: u16,
}

/// Returns why a logged request cannot be sent again, or `None` if it can.
pub(in crate::web) fn find_replay_obstacle(call: &LoggedCall) -> Option<Reason> {
    if call.missed > 0 || !METHODS.contains(&&*call.method) || call.path.parse::<Uri>().is_err() {
        return Some(Reason::ReplayUnsupported);
    }
    // Any client can send a request without a valid token.
    if call.token_id.is_none() || call.refusal.is_some() {
        return Some(Reason::ReplayUnauthenticated);
    }
    if is_redacted(&call.path) {
        return Some(Reason::ReplayRedacted);
    }
    if !is_path_complete(&call.path) {
        return Some(Reason::ReplayCut);
    }
    find_body_obstacle(&call.method, &call.request)
}

fn find_body_obstacle(method: &str, body: &LoggedBody) -> Option<Reason> {
    let (Some(bytes), text) = (body.bytes, body.text.as_deref()) else {
        // A request that was rejected because of its headers or its rate: the body was not read.
        return METHODS_WITH_BODY.contains(&method).then_some(Reason::ReplayBodyNotStored);
    };
    let Some(text) = text else { return (bytes > 0).then_some(Reason::ReplayBodyNotStored) };
    // Bytes that are not UTF-8 are stored as U+FFFD.
    if is_redacted(text) || text.contains(char::REPLACEMENT_CHARACTER) {
        return Some(Reason::ReplayRedacted);
    }
    // A body with escaped characters is stored in another spelling of the same JSON. A truncated one is not valid JSON.
    let is_whole = bytes == text.len() as u64 || serde_json::from_str::<IgnoredAny>(text).is_ok();
    let obstacle = if bytes > LOGGED_BODY_MAX_BYTES as u64 { Reason::ReplayCut } else { Reason::ReplayRedacted };
    (!is_whole).then_some(obstacle)
}

/// Sends a logged request again as the identity provider of its configuration would, and appends an audit entry. It
/// continues if the client does not wait for it.
///
/// # Errors
/// 403 without permission to read the request log; `NotFound` if the configuration does not exist within the account
/// scope, or has no such call; 409 if the call cannot be sent again; errors of the store.
pub(in crate::web) async fn replay_request(
    state: &Data<AppState>,
    context: AuditContext,
    configuration_id: String,
    request_id: String,
) -> Result<ReplayResult> {
    if !context.authority.permissions.contains(Permission::RequestsRead) {
        return Err(Reason::PermissionMissing.with("permission", Permission::RequestsRead));
    }
    let (call, scope) = state.store.read_inline(|at| {
        let found = configurations::find_configuration(at, &context.scope, &configuration_id)?;
        let call = request_log::find_call(at, &context.scope, &configuration_id, &request_id)?;
        Ok((call, Scope::load(at, found)?))
    })?;
    if let Some(obstacle) = find_replay_obstacle(&call) {
        return Err(obstacle.into());
    }
    let (Ok(method), Ok(uri)) = (call.method.parse::<Method>(), call.path.parse::<Uri>()) else {
        return Err(Reason::ReplayUnsupported.into());
    };
    let id = clock::new_id();
    let replay = ReplayedRequest {
        id: id.clone(),
        token: call.token_id.unwrap_or_default(),
        method,
        uri,
        body: call.request.text,
        origin: ReplayOrigin { request_id: call.id.clone(), actor: context.actor.name.clone() },
        scope,
    };
    let (owner, new_id) = (replay.scope.work_owner(), id.clone());
    let record = move |tx: &Tx<'_>| request_log::record_replay(tx, &context, &configuration_id, (&call.id, &new_id));
    state.store.write_as(owner, record).await?;
    let running = Data::clone(state);
    let work = actix_web::rt::spawn(async move {
        let status = run_replay(&running, replay).await;
        // The page of the new request can be read at once.
        if let Err(problem) = running.usage.calls.flush(&running.store).await {
            tracing::warn!(%problem, "activity was not stored");
        }
        status
    });
    let status = work.await.map_err(|_| Reason::ServerNotReady)??;
    Ok(ReplayResult { request_id: id, status })
}

/// A logged request that runs again.
struct ReplayedRequest {
    /// Id of the new request.
    id: String,
    /// The configuration. The rights of the token that sent the request do not count: the admin has all of them.
    scope: Scope,
    /// Id of the token that sent the request.
    token: String,
    method: Method,
    uri: Uri,
    body: Option<String>,
    origin: ReplayOrigin,
}

/// Runs the request, and records it in the request log. Returns the status of the response.
///
/// # Errors
/// The path is not the path of a SCIM request of this configuration.
async fn run_replay(state: &Data<AppState>, replay: ReplayedRequest) -> Result<u16> {
    let ReplayedRequest { id, scope, token, method, uri, body, origin } = replay;
    let address = ProvisioningPath::parse(uri.path()).map_err(|_| Reason::ReplayUnsupported)?;
    if address.configuration.is_some_and(|named| *named != *scope.configuration_id) {
        return Err(Reason::ReplayUnsupported.into());
    }
    let (request, payload) = build_request(state, &method, &uri, body).await?;
    let route = ScimRoute::parse(address.relative_path);
    let tracked = TrackedRequest { id, replay: Some(origin), ..TrackedRequest::begin(&request, state, route) };
    let base = format!("{}{}", state.server.public_url(), address.base);
    let call = ScimCall { request: &request, state, base: &base, route: &tracked.route };
    let rights = AccessRights::of_type("User").with(AccessRights::of_type("Group"));
    let caller = TokenCaller { scope, token, rights };
    let work = async {
        let begun = state.store.read_inline(|at| call.begin(at, &caller));
        call.answer_begun(begun, payload, caller).await
    };
    let mut answer = crate::log::run_for_request(&tracked.id, work).await;
    tracked.record_answer(&mut answer);
    Ok(answer.status)
}

/// Builds the request as the server receives it. The log does not have its headers.
async fn build_request(
    state: &Data<AppState>,
    method: &Method,
    uri: &Uri,
    body: Option<String>,
) -> Result<(HttpRequest, Payload)> {
    let request = TestRequest::default().method(method.clone()).uri(&uri.to_string()).app_data(state.clone());
    let request = match body {
        Some(body) => request.insert_header((CONTENT_TYPE, "application/scim+json")).set_payload(body),
        None => request,
    };
    let (request, mut payload) = request.to_http_parts();
    let payload = Payload::from_request(&request, &mut payload).await.map_err(|_| Reason::ReplayUnsupported)?;
    Ok((request, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str, body: Option<(&str, u64)>) -> LoggedCall {
        LoggedCall {
            method: method.to_owned(),
            path: path.to_owned(),
            token_id: Some("t".to_owned()),
            request: LoggedBody { text: body.map(|(text, _)| text.to_owned()), bytes: body.map(|(_, bytes)| bytes) },
            ..LoggedCall::default()
        }
    }

    #[test]
    fn only_a_request_that_was_stored_whole_can_be_sent_again() {
        let long = "x".repeat(LOGGED_BODY_MAX_BYTES);
        for (call, obstacle) in [
            (call("GET", "/scim/v2/Users?filter=a", None), None),
            (call("DELETE", "/scim/v2/Users/7", None), None),
            (call("POST", "/scim/v2/Users", Some(("{}", 2))), None),
            (call("POST", "/scim/v2/Users", None), Some(Reason::ReplayBodyNotStored)),
            (call("POST", "/scim/v2/Users", Some((&long, 90_000))), Some(Reason::ReplayCut)),
            (call("POST", "/scim/v2/Users", Some(("{\"a\":\"***\"}", 11))), Some(Reason::ReplayRedacted)),
            (call("POST", "/scim/v2/Users", Some(("{\"a\":1}", 30))), None),
            (call("POST", "/scim/v2/Users", Some(("{\"a\":1}", 90_000))), None),
            (call("POST", "/scim/v2/Users", Some(("{\"a\":", 30))), Some(Reason::ReplayRedacted)),
            (call("POST", "/scim/v2/Users", Some(("\u{fffd}", 3))), Some(Reason::ReplayRedacted)),
            (call("GET", "/scim/v2/Users?token=***", None), Some(Reason::ReplayRedacted)),
            (call("BREW", "/scim/v2/Users", None), Some(Reason::ReplayUnsupported)),
            (call("-", "", None), Some(Reason::ReplayUnsupported)),
            (LoggedCall { missed: 3, ..call("GET", "/x", None) }, Some(Reason::ReplayUnsupported)),
            (LoggedCall { token_id: None, ..call("DELETE", "/x", None) }, Some(Reason::ReplayUnauthenticated)),
        ] {
            assert_eq!(find_replay_obstacle(&call), obstacle, "{call:?}");
        }
        let discarded = LoggedBody { text: None, bytes: Some(9) };
        assert_eq!(find_body_obstacle("PATCH", &discarded), Some(Reason::ReplayBodyNotStored));
    }
}
