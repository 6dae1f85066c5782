//! The SCIM endpoints: one entry, so that who is calling is settled on the very path that is then served.

mod answer;
mod auth;
mod body;
mod discovery;
mod document;
mod lists;
mod resources;
mod route;

use std::time::Instant;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use self::answer::Answer;
use self::auth::{Caller, Credentials};
use self::lists::Listing;
use self::resources::Call;
use self::route::Route;
use super::limits::QUERY_MAX_BYTES;
use super::log;
use super::state::State;
use crate::clock;
use crate::error::{Error, Result};
use crate::model::configuration::PROVISIONING_PATH;
use crate::scim;
use crate::scim::query::Query;
use crate::scim::schema::standard_types;
use crate::store::Snapshot;

/// Serves every request below a provisioning URL.
pub async fn serve(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let started = Instant::now();
    let request_id = clock::new_id();
    let below = request.uri().path().strip_prefix(PROVISIONING_PATH).unwrap_or_default();
    let (configuration, path) = below.split_once('/').unwrap_or((below, ""));
    let route = Route::read(path);
    let answer = answer(&request, payload, &state, configuration, &route).await.unwrap_or_else(Answer::from);
    log::write(&log::Line {
        request_id: &request_id,
        method: request.method().as_str(),
        route: &route.template(),
        configuration: if crate::model::ids::is_id(configuration) { configuration } else { "-" },
        status: answer.status,
        scim_type: answer.scim_type,
        took: started.elapsed(),
        bytes: answer.length(),
        notes: answer.notes.as_slice(),
    });
    answer.respond(&request, &request_id)
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    configuration: &str,
    route: &Route,
) -> Result<Answer> {
    let credentials = auth::credentials(request);
    if let (true, Credentials::None) = (route.is_discovery(), &credentials) {
        return discovery::anonymous(request, state, configuration, route);
    }
    let caller = auth::authenticate(state, &credentials, configuration)?;
    let answered = authenticated(request, payload, state, &caller, route).await;
    let wrote = answered.as_ref().is_ok_and(|answer| answer.status < 300) && !request.method().is_safe();
    state.activity.note(&caller.token, caller.scope.configuration, clock::now(), wrote);
    answered
}

async fn authenticated(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    caller: &Caller,
    route: &Route,
) -> Result<Answer> {
    if let Some(refusal) = route.refusal() {
        return Err(refusal.into());
    }
    if request.method() == Method::OPTIONS {
        return Ok(Answer { allow: Some(route.allow()), ..Answer::empty(204) });
    }
    if route.is_discovery() {
        let switches = &caller.scope.switches;
        return discovery::document(request, &state.base(&caller.scope.configuration_id), switches, route);
    }
    let base = state.base(&caller.scope.configuration_id);
    let scope = &caller.scope;
    let call = |of| -> Result<Call> { Ok(Call { request, state, scope, base: &base, of, query: query(request)? }) };
    let listing = |types, query| Listing { state, scope, base: &base, types, query };
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match (route, request.method()) {
        (Route::Root, _) if is_get => listing(&standard_types(), query(request)?).page().await,
        (Route::Collection(of), _) if is_get => listing(&[of], query(request)?).page().await,
        (Route::Resource(of, id), _) if is_get => call(of)?.read(id).await,
        (Route::RootSearch, &Method::POST) => listing(&standard_types(), search(request, payload).await?).page().await,
        (Route::Search(of), &Method::POST) => listing(&[of], search(request, payload).await?).page().await,
        (Route::Collection(of), &Method::POST) => call(of)?.create(payload).await,
        (Route::Resource(of, id), &Method::PUT) => call(of)?.replace(id, payload).await,
        (Route::Resource(of, id), &Method::PATCH) => call(of)?.patch(id, payload).await,
        (Route::Resource(of, id), &Method::DELETE) => call(of)?.delete(id).await,
        _ => Ok(method_not_allowed(request, route)),
    }
}

/// The query in the body of a search request; what stands in its URL says nothing.
async fn search(request: &HttpRequest, payload: Payload) -> Result<Query> {
    Ok(Query::from_search(&body::read(request, payload).await?)?)
}

/// Reads off the event loop, with a limit in time.
async fn read_aside<T: Send + 'static>(
    state: &State,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = state.store.clone();
    web::block(move || store.read_pooled(read)).await.map_err(|_| Error::Busy)?
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
    let pairs = route::query_pairs(text);
    Ok(Query::read(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?)
}
