//! The SCIM endpoints. They have one entry point, so that authentication and routing use the same parsed path.

pub(crate) mod authenticate;
mod body;
mod bulk;
mod discovery;
mod document;
mod lists;
mod provisioning_path;
mod reads;
mod replays;
mod resource_body;
mod resources;
mod response;
mod route;
mod write_request;
mod writes;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::guard::GuardContext;
use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use self::authenticate::{BearerCredentials, TokenAuthentication, TokenCaller};
use self::bulk::BulkHandler;
use self::discovery::DiscoverySource;
use self::lists::ListHandler;
use self::reads::CheckedRead;
use self::resources::ResourceRequest;
use self::route::ScimRoute;
use super::limits::{BULK_RETRY_SECONDS, QUERY_MAX_BYTES};
use super::metrics::{CompletedRequest, Surface};
use super::state::AppState;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::oauth;
use crate::model::request::TokenRefusal;
use crate::model::rights::ResourceAction;
use crate::provisioning::Scope;
use crate::scim::dialect::DialectNote;
use crate::scim::percent;
use crate::scim::query::QueryParameters;
use crate::scim::schema::ResourceType;
use crate::store::Snapshot;
use crate::web::body::release_text;
use crate::web::network;
use crate::web::request_log::{CallerIdentity, RecordedCall, ReplayOrigin};
use crate::web::request_middleware;
use crate::web::scim::provisioning_path::ProvisioningPath;
pub use crate::web::scim::provisioning_path::SCIM_PREFIXES;
pub(in crate::web) use crate::web::scim::replays::{find_replay_obstacle, replay_request};
use crate::web::scim::response::{BulkCounts, ScimResponse};

/// Returns whether a path with a SCIM prefix is a SCIM path. The exception is one counter of the management API.
pub fn is_scim_path(context: &GuardContext<'_>) -> bool {
    !context.head().uri.path().contains("/scim/temp/")
}

/// Serves every request under a SCIM path.
pub async fn serve_request(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let address = ProvisioningPath::parse(request.uri().path());
    let route = address.as_ref().map_or(ScimRoute::NotFound, |address| ScimRoute::parse(address.relative_path));
    let tracked = TrackedRequest::begin(&request, &state, route);
    let mut answer = match &address {
        Ok(address) => {
            let work = handle_request(&request, payload, &state, address, &tracked.route);
            crate::log::run_for_request(&tracked.id, work).await.unwrap_or_else(ScimResponse::from)
        }
        Err(refused) => ScimResponse::from(refused.clone()),
    };
    let id = tracked.record_answer(&mut answer);
    answer.into_http(&request, &id)
}

/// A request, with what its entries in the logs need.
struct TrackedRequest<'r> {
    request: &'r HttpRequest,
    state: &'r AppState,
    id: String,
    route: ScimRoute,
    started: Instant,
    /// The call that the request repeats.
    replay: Option<ReplayOrigin>,
}

impl<'r> TrackedRequest<'r> {
    fn begin(request: &'r HttpRequest, state: &'r AppState, route: ScimRoute) -> Self {
        Self { request, state, id: clock::new_id(), route, started: Instant::now(), replay: None }
    }

    /// Counts the request, and writes the log line and the entry of the request log. Returns the id of the request.
    fn record_answer(self, answer: &mut ScimResponse) -> String {
        let Self { request, state, id, route, started, replay } = self;
        let (took, template) = (started.elapsed(), route.template());
        let address = request_middleware::caller_address(request);
        state.metrics.record_request(&CompletedRequest {
            surface: Surface::Scim,
            route: &template,
            method: request.method(),
            status: answer.status,
            took,
        });
        let (requested_configuration, refusal) =
            answer.caller.as_ref().map_or((None, None), CallerIdentity::unauthenticated);
        write_log_line(&LoggedRequest {
            request_id: &id,
            method: request.method().as_str(),
            route: &template,
            configuration: answer.configuration.as_deref().or(requested_configuration).unwrap_or("-"),
            address,
            status: answer.status,
            refusal: refusal.map(TokenRefusal::as_str),
            scim_type: answer.scim_type,
            reason: answer.error.as_ref().map(|error| error.reason().code()),
            took,
            bytes: answer.length(),
            notes: answer.notes.as_slice(),
            bulk: answer.bulk,
        });
        let Some(caller) = answer.caller.take() else { return id };
        let call = answer.take_call(caller, request, route, took);
        // A replay is not a use of the token.
        if let (CallerIdentity::Caller { configuration, token }, None) = (&call.caller, &replay) {
            state.store.recent_use().record_call(configuration.key, token, call.at, call.is_successful_write);
            if call.error.as_ref().is_some_and(is_user_refused) {
                state.store.recent_use().record_refused_user(configuration.key, call.at);
            }
        }
        state.usage.calls.record(RecordedCall { request_id: id.clone(), address, replay, ..call });
        id
    }
}

/// Whether a limit of active users refused the write.
fn is_user_refused(error: &Error) -> bool {
    error.reason() == Reason::ActiveUserLimitReached
}

/// Fields of the log line of a request: ids, numbers and network addresses; never user data, bodies, queries or secrets.
struct LoggedRequest<'a> {
    request_id: &'a str,
    method: &'a str,
    route: &'a str,
    configuration: &'a str,
    /// Network address of the caller.
    address: Option<IpAddr>,
    status: u16,
    /// Why the caller could not be authenticated.
    refusal: Option<&'static str>,
    scim_type: &'a str,
    /// Why the request failed.
    reason: Option<&'static str>,
    took: Duration,
    bytes: u64,
    notes: &'a [DialectNote],
    /// Operations of a bulk request.
    bulk: Option<BulkCounts>,
}

/// Writes the line.
fn write_log_line(call: &LoggedRequest<'_>) {
    crate::log::write_request_line(call.request_id, |line| {
        line.text("method", call.method);
        line.text("route", call.route);
        line.text("configuration", call.configuration);
        line.address("address", call.address);
        line.number("status", call.status.into());
        line.optional_text("auth_failed", call.refusal);
        line.text("scim_type", call.scim_type);
        line.optional_text("reason", call.reason);
        line.duration(call.took);
        line.number("bytes", call.bytes);
        if let Some(counts) = call.bulk {
            line.number("bulk_operations", counts.operations as u64);
            line.number("bulk_succeeded", counts.succeeded as u64);
            line.number("bulk_failed", counts.failed as u64);
        }
        let notes: Vec<String> = call.notes.iter().map(DialectNote::to_string).collect();
        line.text("normalised", &notes.join("; "));
    });
}

async fn handle_request(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<AppState>,
    address: &ProvisioningPath<'_>,
    route: &ScimRoute,
) -> Result<ScimResponse> {
    let credentials = authenticate::read_credentials(request);
    let base = format!("{}{}", state.server.public_url(), address.base);
    if let (true, BearerCredentials::None) = (route.is_discovery(), &credentials) {
        let answer = discovery::serve_anonymous(request, &state.store, address.configuration, &base, route);
        let answer = answer.unwrap_or_else(ScimResponse::from);
        let refusal = (answer.status == 401).then_some(TokenRefusal::NoToken);
        return Ok(ScimResponse {
            caller: authenticate::unauthenticated_caller(address.configuration, None, refusal),
            ..answer
        });
    }
    let call = ScimCall { request, state, base: &base, route };
    let begin = |at: &Snapshot<'_>, caller: &TokenCaller| call.begin(at, caller);
    let (caller, begun) = match authenticate::authenticate_caller(state, &credentials, address.configuration, begin)? {
        TokenAuthentication::Caller(caller, begun) => (caller, begun),
        TokenAuthentication::Unauthenticated(caller) => {
            return Ok(reject_unauthenticated(request, state, &credentials, caller));
        }
    };
    network::record_credential(request);
    Ok(call.answer_begun(begun, payload, caller).await)
}

/// Response to an unauthenticated caller. An address with too many wrong tokens gets 429 and is not logged any more.
fn reject_unauthenticated(
    request: &HttpRequest,
    state: &AppState,
    credentials: &BearerCredentials,
    caller: Option<CallerIdentity>,
) -> ScimResponse {
    let address =
        request_middleware::caller_address(request).filter(|_| !matches!(credentials, BearerCredentials::None));
    let Some(wait) = address.and_then(|address| state.limits.login_throttle.record_wrong_token(address)) else {
        return ScimResponse { caller, ..authenticate::unauthorized_error().into() };
    };
    let refused = Error::new(Reason::WrongTokensLimited);
    ScimResponse { retry_after: Some(wait.as_secs() + 1), ..ScimResponse::from(refused) }
}

/// Response to a valid token above the rate limit of its configuration; the rest of the request is ignored.
fn rate_limited_response(wait: Duration) -> ScimResponse {
    let refused = Error::new(Reason::RequestsLimited);
    ScimResponse { retry_after: Some(wait.as_secs() + 1), ..ScimResponse::from(refused) }
}

/// Response to a bulk request of a configuration that already has many; the rest of the request is ignored.
fn bulk_limited_response(refused: Error) -> ScimResponse {
    ScimResponse { retry_after: Some(BULK_RETRY_SECONDS), ..ScimResponse::from(refused) }
}

/// A request with its route and the URL that its resources start with.
struct ScimCall<'r> {
    request: &'r HttpRequest,
    state: &'r Data<AppState>,
    base: &'r str,
    route: &'r ScimRoute,
}

/// A request of an authenticated caller, after everything that needs few rows and no body.
enum BegunCall {
    Answered(ScimResponse),
    Read(CheckedRead),
    Later,
}

impl ScimCall<'_> {
    /// Checks the request, and answers it if that needs few rows of the snapshot.
    fn begin(&self, at: &Snapshot<'_>, caller: &TokenCaller) -> Result<BegunCall> {
        if let Some(wait) = self.state.network.rates.count_request(caller.scope.configuration_key()) {
            return Ok(BegunCall::Answered(rate_limited_response(wait)));
        }
        caller.scope.account_state.check_active()?;
        if let Some(answer) = self.answer_without_data(at, caller)? {
            return Ok(BegunCall::Answered(answer));
        }
        let Some(read) = self.check_read(caller)? else { return Ok(BegunCall::Later) };
        let answer = read.answer_few(at, &caller.scope)?;
        Ok(answer.map_or(BegunCall::Read(read), BegunCall::Answered))
    }

    /// Answers a request of an authenticated caller that was begun.
    async fn answer_begun(&self, begun: Result<BegunCall>, payload: Payload, caller: TokenCaller) -> ScimResponse {
        let answered = match begun {
            Ok(BegunCall::Answered(answer)) => Ok(answer),
            // Boxed, so that the future of a request that needs neither stays small.
            Ok(BegunCall::Read(read)) => Box::pin(self.answer_read(read, &caller.scope)).await,
            Ok(BegunCall::Later) => Box::pin(self.answer_later(payload, &caller)).await,
            Err(refused) => Err(refused),
        };
        let mut answer = answered.unwrap_or_else(ScimResponse::from);
        answer.media_type = caller.scope.switches.response_media_type;
        answer.caller =
            Some(CallerIdentity::Caller { configuration: caller.scope.configuration_key(), token: caller.token });
        answer.configuration = Some(caller.scope.configuration_id);
        answer
    }

    /// Answers a request that needs no data, and checks the rights for any other one.
    fn answer_without_data(&self, at: &Snapshot<'_>, caller: &TokenCaller) -> Result<Option<ScimResponse>> {
        let ScimCall { request, base, route, .. } = *self;
        let switches = &caller.scope.switches;
        if let Some(refusal) = route.route_error() {
            return Err(refusal);
        }
        if matches!(route, ScimRoute::Bulk) && !switches.bulk {
            return Err(Error::new(Reason::BulkNotSupported));
        }
        if request.method() == Method::OPTIONS {
            return Ok(Some(ScimResponse { allow: Some(route.allowed_methods()), ..ScimResponse::empty(204) }));
        }
        if route.is_discovery() {
            let has_oauth_client = oauth::has_client(at, caller.scope.configuration)?;
            let types = &caller.visible_types();
            let source = DiscoverySource { base, switches, types, has_oauth_client };
            return discovery::serve_cached(&self.state.discovery, request, caller, &source, route).map(Some);
        }
        authenticate::check_rights(caller.rights, route, request.method())?;
        Ok(None)
    }

    /// Returns the read that a GET or HEAD request asks for.
    fn check_read(&self, caller: &TokenCaller) -> Result<Option<CheckedRead>> {
        if !matches!(*self.request.method(), Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let scope = &caller.scope;
        Ok(Some(match &self.route.for_types(&scope.types) {
            ScimRoute::Root => self.check_list(scope, &caller.readable_types()?, parse_query(self.request)?)?,
            ScimRoute::Collection(resource_type) => {
                self.check_list(scope, std::slice::from_ref(resource_type), parse_query(self.request)?)?
            }
            ScimRoute::Resource(resource_type, id) => {
                CheckedRead::Resource(self.address_resource(scope, resource_type, true)?.prepare_read(id)?)
            }
            _ => return Ok(None),
        }))
    }

    fn check_list(&self, scope: &Scope, types: &[Arc<ResourceType>], query: QueryParameters) -> Result<CheckedRead> {
        let list = ListHandler { state: self.state, scope, base: self.base, types, query };
        list.prepare().map(CheckedRead::List)
    }

    fn address_resource<'c>(
        &'c self,
        scope: &'c Scope,
        resource_type: &'c Arc<ResourceType>,
        may_read: bool,
    ) -> Result<ResourceRequest<'c>> {
        let Self { request, state, base, .. } = *self;
        Ok(ResourceRequest { request, state, scope, base, resource_type, query: parse_query(request)?, may_read })
    }

    /// Addresses a resource that the caller changes.
    fn address_change<'c>(
        &'c self,
        caller: &'c TokenCaller,
        resource_type: &'c Arc<ResourceType>,
    ) -> Result<ResourceRequest<'c>> {
        let may_read = caller.rights.allows(&resource_type.name, ResourceAction::Read);
        self.address_resource(&caller.scope, resource_type, may_read)
    }

    /// Answers a read off the event loop. A query that its client no longer waits for ends.
    async fn answer_read(&self, read: CheckedRead, scope: &Scope) -> Result<ScimResponse> {
        network::run_while_connected(self.request, read.answer(&self.state.store, scope)).await
    }

    /// Answers a search in a body (RFC 7644 section 3.4.3).
    async fn answer_search(
        &self,
        payload: Payload,
        scope: &Scope,
        types: &[Arc<ResourceType>],
    ) -> Result<ScimResponse> {
        let query = read_search(self.request, payload, scope).await?;
        let read = self.check_list(scope, types, query)?;
        match self.state.store.read_inline(|at| read.answer_few(at, scope))? {
            Some(answer) => Ok(answer),
            None => self.answer_read(read, scope).await,
        }
    }

    async fn answer_bulk(&self, payload: Payload, caller: &TokenCaller) -> Result<ScimResponse> {
        let ScimCall { request, state, base, .. } = *self;
        let scope = &caller.scope;
        // The body of a request that waits is not read.
        let turn = match state.store.admit_bulk_job(scope.work_owner()).await {
            Ok(turn) => turn,
            Err(refused) => return Ok(bulk_limited_response(refused)),
        };
        let job = body::read_json(request, payload, scope).await?;
        release_text(request);
        let answer = BulkHandler { state, scope, base, rights: caller.rights }.run(job).await;
        drop(turn);
        answer
    }

    async fn answer_later(&self, payload: Payload, caller: &TokenCaller) -> Result<ScimResponse> {
        let scope = &caller.scope;
        let route = &self.route.for_types(&scope.types);
        match (route, self.request.method()) {
            (ScimRoute::RootSearch, &Method::POST) => {
                self.answer_search(payload, scope, &caller.readable_types()?).await
            }
            (ScimRoute::Search(resource_type), &Method::POST) => {
                self.answer_search(payload, scope, std::slice::from_ref(resource_type)).await
            }
            (ScimRoute::Bulk, &Method::POST) => self.answer_bulk(payload, caller).await,
            (ScimRoute::Collection(resource_type), &Method::POST) => {
                self.address_change(caller, resource_type)?.create(payload).await
            }
            (ScimRoute::Resource(resource_type, id), &Method::PUT) => {
                self.address_change(caller, resource_type)?.replace(id, payload).await
            }
            (ScimRoute::Resource(resource_type, id), &Method::PATCH) => {
                self.address_change(caller, resource_type)?.patch(id, payload).await
            }
            (ScimRoute::Resource(resource_type, id), &Method::DELETE) => {
                self.address_change(caller, resource_type)?.delete(id).await
            }
            _ => Ok(reject_method(self.request, route)),
        }
    }
}

/// Returns the query in the body of a search request. The query in its URL is ignored.
async fn read_search(request: &HttpRequest, payload: Payload, scope: &Scope) -> Result<QueryParameters> {
    QueryParameters::from_search(&body::read_json(request, payload, scope).await?)
}

/// RFC 9110 section 15.5.6: the response lists the allowed methods.
fn reject_method(request: &HttpRequest, route: &ScimRoute) -> ScimResponse {
    let method: String = request.method().as_str().chars().take(20).collect();
    let refused = Reason::MethodNotAllowed.with("method", method).with("allowed", route.allowed_methods());
    ScimResponse { allow: Some(route.allowed_methods()), ..ScimResponse::from(refused) }
}

fn parse_query(request: &HttpRequest) -> Result<QueryParameters> {
    let text = request.query_string();
    if text.len() > QUERY_MAX_BYTES {
        return Err(Reason::QueryStringTooLong.with("max", QUERY_MAX_BYTES));
    }
    let pairs = percent::parse_query_string(text);
    QueryParameters::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
