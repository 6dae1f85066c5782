//! The SCIM endpoints: one entry, so that who is calling is settled on the very path that is then served.

mod address;
mod answer;
mod auth;
mod body;
mod bulk;
mod discovery;
mod document;
mod lists;
mod resources;
mod route;
mod sliced;
mod writes;

use std::time::{Duration, Instant};

use actix_web::guard::GuardContext;
use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use self::address::Address;
pub use self::address::FAMILIES;
use self::answer::Answer;
use self::auth::{Caller, Credentials, Known};
use self::bulk::Bulk;
use self::lists::Listing;
use self::resources::Call;
use self::route::Route;
use super::frame;
use super::limits::QUERY_MAX_BYTES;
use super::log;
use super::metrics::Surface;
use super::requests::{self, Who};
use super::state::State;
use crate::clock;
use crate::directory::Scope;
use crate::directory::resources::rules;
use crate::error::{Error, Result};
use crate::model::request::Refusal;
use crate::scim::query::Query;
use crate::scim::{self, percent};
use crate::web::aside::read_aside;

/// Whether a path that begins like a family is answered in SCIM. One counter of the management API lies among them.
pub fn is_address(context: &GuardContext<'_>) -> bool {
    !context.head().uri.path().contains("/scim/temp/")
}

/// Serves every request under an address of SCIM.
pub async fn serve(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let started = Instant::now();
    let request_id = clock::new_id();
    let address = Address::read(request.uri().path());
    let route = address.as_ref().map_or(Route::Nothing, |address| Route::read(address.below));
    let from = frame::address(&request);
    let mut answer = match &address {
        Ok(address) => {
            let work = answer(&request, payload, &state, address, &route);
            crate::log::during(&request_id, work).await.unwrap_or_else(Answer::from)
        }
        Err(refused) => Answer::from(refused.clone()),
    };
    let took = started.elapsed();
    let template = route.template();
    state.metrics.note(Surface::Scim, &template, request.method(), answer.status, took);
    let (door, refusal) = answer.who.as_ref().map_or((None, None), Who::stranger);
    log::write(&log::Line {
        request_id: &request_id,
        method: request.method().as_str(),
        route: &template,
        configuration: answer.configuration.as_deref().or(door).unwrap_or("-"),
        address: from,
        status: answer.status,
        refusal: refusal.map(Refusal::as_str),
        scim_type: answer.scim_type,
        took,
        bytes: answer.length(),
        notes: answer.notes.as_slice(),
        bulk: answer.bulk.map(|counts| [counts.operations, counts.succeeded, counts.failed]),
    });
    let call = answer.who.take().map(|who| answer.call(who, &request, route, took));
    let response = answer.respond(&request, &request_id);
    if let Some(call) = call {
        state.activity.note(requests::Call { request_id, address: from, ..call });
    }
    response
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    address: &Address<'_>,
    route: &Route,
) -> Result<Answer> {
    let credentials = auth::credentials(request);
    let base = format!("{}{}", state.public_url(), address.base);
    if let (true, Credentials::None) = (route.is_discovery(), &credentials) {
        let answer = discovery::anonymous(request, state, address.configuration, &base, route);
        let answer = answer.unwrap_or_else(Answer::from);
        let refusal = (answer.status == 401).then_some(Refusal::NoToken);
        return Ok(Answer { who: auth::at_door(address.configuration, None, refusal), ..answer });
    }
    let caller = match auth::authenticate(state, &credentials, address.configuration)? {
        Known::Caller(caller) => caller,
        Known::Stranger(who) => return Ok(stranger(request, state, &credentials, who)),
    };
    let answered = match state.network.rates.spend(caller.scope.configuration) {
        None => authenticated(request, payload, state, &caller, &base, route).await,
        Some(wait) => Ok(too_fast(wait)),
    };
    let mut answer = answered.unwrap_or_else(Answer::from);
    answer.configuration = Some(caller.scope.configuration_id);
    answer.who = Some(Who::Caller { configuration: caller.scope.configuration, token: caller.token });
    Ok(answer)
}

/// The answer to a caller nobody knows; who sends one wrong token after the other has to wait, and is logged no more.
fn stranger(request: &HttpRequest, state: &State, credentials: &Credentials, who: Option<Who>) -> Answer {
    let address = frame::address(request).filter(|_| !matches!(credentials, Credentials::None));
    let Some(wait) = address.and_then(|address| state.guard.note_wrong_token(address)) else {
        return Answer { who, ..auth::unauthorized().into() };
    };
    let refused = scim::Error::plain(429, "too many requests with a wrong token came from this address");
    Answer { retry_after: Some(wait.as_secs() + 1), ..Answer::from(refused) }
}

/// The answer to a right token that comes more often than its configuration may; nothing else of the request is looked at.
fn too_fast(wait: Duration) -> Answer {
    let refused = scim::Error::plain(429, "this provisioning URL is called more often than it may be; slow down");
    Answer { retry_after: Some(wait.as_secs() + 1), ..Answer::from(refused) }
}

async fn authenticated(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    caller: &Caller,
    base: &str,
    route: &Route,
) -> Result<Answer> {
    if let Some(refusal) = route.refusal() {
        return Err(refusal.into());
    }
    if matches!(route, Route::Bulk) && !caller.scope.switches.bulk {
        return Err(scim::Error::plain(501, "Bulk is not served; see ServiceProviderConfig").into());
    }
    if request.method() == Method::OPTIONS {
        return Ok(Answer { allow: Some(route.allow()), ..Answer::empty(204) });
    }
    if route.is_discovery() {
        return discovery::document(request, base, &caller.scope.switches, &caller.scope.types, route);
    }
    auth::check_rights(caller.rights, route, request.method())?;
    let scope = &caller.scope;
    let call = |of| -> Result<Call> { Ok(Call { request, state, scope, base, of, query: query(request)? }) };
    let listing = |types, query| Listing { state, scope, base, types, query };
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let route = &route.on(&scope.types);
    let in_sight = || scope.types.iter().filter(|of| caller.rights.covers(&of.name)).cloned().collect::<Vec<_>>();
    match (route, request.method()) {
        (Route::Root, _) if is_get => listing(&in_sight(), query(request)?).page().await,
        (Route::Collection(of), _) if is_get => listing(std::slice::from_ref(of), query(request)?).page().await,
        (Route::Resource(of, id), _) if is_get => call(of)?.read(id).await,
        (Route::RootSearch, &Method::POST) => listing(&in_sight(), search(request, payload, scope).await?).page().await,
        (Route::Search(of), &Method::POST) => {
            listing(std::slice::from_ref(of), search(request, payload, scope).await?).page().await
        }
        (Route::Bulk, &Method::POST) => {
            let job = body::read(request, payload, rules(scope).strict).await?;
            Bulk { state, scope, base, rights: caller.rights }.run(job).await
        }
        (Route::Collection(of), &Method::POST) => call(of)?.create(payload).await,
        (Route::Resource(of, id), &Method::PUT) => call(of)?.replace(id, payload).await,
        (Route::Resource(of, id), &Method::PATCH) => call(of)?.patch(id, payload).await,
        (Route::Resource(of, id), &Method::DELETE) => call(of)?.delete(id).await,
        _ => Ok(method_not_allowed(request, route)),
    }
}

/// The query in the body of a search request; what stands in its URL says nothing.
async fn search(request: &HttpRequest, payload: Payload, scope: &Scope) -> Result<Query> {
    Ok(Query::from_search(&body::read(request, payload, rules(scope).strict).await?)?)
}

/// RFC 9110 section 15.5.6: the answer says which methods there are.
fn method_not_allowed(request: &HttpRequest, route: &Route) -> Answer {
    let shown: String = request.method().as_str().chars().take(20).collect();
    let refused = scim::Error::plain(405, format!("{shown} is not served here; use {}", route.allow()));
    Answer { allow: Some(route.allow()), ..Answer::from(refused) }
}

fn query(request: &HttpRequest) -> Result<Query> {
    let text = request.query_string();
    if text.len() > QUERY_MAX_BYTES {
        return Err(Error::Scim(scim::Error::plain(414, format!("the query is longer than {QUERY_MAX_BYTES} bytes"))));
    }
    let pairs = percent::pairs(text);
    Ok(Query::read(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?)
}
