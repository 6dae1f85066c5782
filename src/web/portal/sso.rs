//! Signing in through the operator's provider: the browser goes there, and comes back with a code. Whatever goes wrong,
//! who signs in is told the same; why, is for the log, the audit and who runs the server.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::admins::Runner;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{self, Visit};
use super::{form, sso_test};
use crate::clock::{self, Millis};
use crate::directory::sso as people;
use crate::error::Error;
use crate::oidc::{Attempt, Callback, Came, Failure};
use crate::secret::{self, Token};
use crate::store::{Undo, admins, sessions};
use crate::web::frame;
use crate::web::metrics::SignIn;
use crate::web::sso::{self, Provider};
use crate::web::state::State;

/// Where the provider sends browsers back to, below the public URL.
pub(super) const BACK: &str = "/login/sso/callback";
/// How long somebody may take to sign in there.
const PATIENCE_SECONDS: i64 = 10 * 60;
/// Longest address to go on to: a browser drops a cookie of more than 4 KB.
const NEXT_MAX_BYTES: usize = 1_000;
/// What was begun in this browser, under lock.
const COOKIE: &str = "rc_sso";
/// What the cookie is sealed as.
const SEALED: &str = "signing in by single sign-on";

/// What was begun, until the browser comes back.
#[derive(Serialize, Deserialize)]
struct Begun {
    at: Millis,
    attempt: Attempt,
    /// Where to go on to.
    next: String,
    /// What was agreed with the provider then.
    revision: i64,
    /// The session in which somebody only tries it.
    tries: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    next: Option<String>,
}

/// Where providers send browsers back to.
pub(super) fn redirect_uri(state: &State) -> String {
    format!("{}{BACK}", state.public_url())
}

/// `GET /login/sso`
pub(super) async fn begin(visit: Visit) -> Shown {
    let next = visit.query::<Query>().next;
    let provider = match sso::provider(&visit.state) {
        Ok(Some(provider)) if provider.agreement.is_on => provider,
        Ok(_) => return Err(Refusal::NotFound),
        Err(error) => {
            return match too_often(&visit) {
                Some(response) => Ok(response),
                None => broken(&visit, error).await,
            };
        }
    };
    let next = Some(form::own_path(next.as_deref())).filter(|next| next.len() <= NEXT_MAX_BYTES).unwrap_or("/");
    match send_there(&visit.state, &provider, next, None).await? {
        Ok(response) => Ok(response),
        Err(failure) => match too_often(&visit) {
            Some(response) => Ok(response),
            None => failed(&visit, failure.as_str(), &failure.to_string()).await,
        },
    }
}

/// Says to wait where too many attempts come from one address: each may cost a call to the provider and a row of the audit.
fn too_often(visit: &Visit) -> Option<HttpResponse> {
    let wait = visit.state.guard.note_single_sign_on(frame::address(&visit.request))?;
    visit.state.metrics.note_sign_in(SignIn::Throttled);
    let mut response = failure_page(429);
    response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
    Some(response)
}

/// `GET /settings/sso/test`: the same way, at whose end nobody is signed in and everything is told.
pub(super) async fn test(person: Runner, visit: Visit) -> Shown {
    super::sso_settings::check_may(&person)?;
    let Some(provider) = sso::provider(&visit.state)? else { return Err(Refusal::NotFound) };
    let session = person.signed.session.clone();
    match send_there(&visit.state, &provider, "/settings/sso", Some(session)).await? {
        Ok(response) => Ok(response),
        Err(failure) => Ok(sso_test::shown(&person, &provider, Err(failure.to_string()))),
    }
}

async fn send_there(
    state: &State,
    provider: &Provider,
    next: &str,
    tries: Option<String>,
) -> Result<Result<HttpResponse, Failure>, Refusal> {
    let chance = || Token::generate_session().map(|token| token.reveal().to_owned()).map_err(|_| Error::Busy);
    let attempt = Attempt { state: chance()?, nonce: chance()?, verifier: chance()? };
    let there = match provider.party.begin(&attempt, &redirect_uri(state)).await {
        Ok(there) => there,
        Err(failure) => return Ok(Err(failure)),
    };
    let begun = Begun { at: clock::now(), attempt, next: next.to_owned(), revision: provider.revision, tries };
    let text = serde_json::to_vec(&begun).map_err(|_| Error::Busy)?;
    let random = secret::random_bytes().map_err(|_| Error::Busy)?;
    let sealed = state.callers.signing_key.sealer(SEALED, "").seal(&random, text).ok_or(Error::Busy)?;
    let cookie = session::cookie(state, COOKIE, URL_SAFE_NO_PAD.encode(sealed), PATIENCE_SECONDS);
    Ok(Ok(on_to(&there).cookie(cookie).finish()))
}

/// What was begun in this browser a short while ago.
fn begun(visit: &Visit) -> Option<Begun> {
    let cookie = visit.request.cookie(COOKIE)?;
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).ok()?;
    let opened = visit.state.callers.signing_key.sealer(SEALED, "").open(&sealed)?;
    let begun: Begun = serde_json::from_slice(&opened).ok()?;
    let is_fresh = clock::now() - begun.at <= PATIENCE_SECONDS * 1000;
    is_fresh.then_some(begun)
}

/// The cookie has done its work.
fn done(state: &State) -> Cookie<'static> {
    session::cookie(state, COOKIE, String::new(), 0)
}

/// `GET /login/sso/callback`
pub(super) async fn back(runner: Option<Runner>, visit: Visit) -> Shown {
    if let Some(response) = too_often(&visit) {
        return Ok(response);
    }
    let Some(begun) = begun(&visit) else {
        return failed(&visit, "no_such_attempt", "nothing was begun in this browser").await;
    };
    let provider = match sso::provider(&visit.state) {
        Ok(Some(provider)) if provider.revision == begun.revision => provider,
        Ok(_) => return failed(&visit, "no_such_attempt", "something else was agreed meanwhile").await,
        Err(error) => return broken(&visit, error).await,
    };
    let tester = runner.filter(|person| begun.tries.as_ref() == Some(&person.signed.session));
    if begun.tries.is_some() != tester.is_some() || !(provider.agreement.is_on || tester.is_some()) {
        return failed(&visit, "no_such_attempt", "it was begun for something else").await;
    }
    let callback: Callback = visit.query();
    let uri = redirect_uri(&visit.state);
    let came = provider.party.finish(&begun.attempt, &callback, &uri, clock::now()).await;
    match (tester, came) {
        (Some(person), came) => tested(&visit.state, &person, &provider, came),
        (None, Ok(came)) => enter(&visit, &provider, came, &begun.next).await,
        (None, Err(failure)) => failed(&visit, failure.as_str(), &failure.to_string()).await,
    }
}

fn tested(state: &State, person: &Runner, provider: &Provider, came: Result<Came, Failure>) -> Shown {
    let outcome = match came {
        Ok(came) => {
            let decision = state.store.read_inline(|at| people::outlook(at, &provider.agreement, &came.identity))?;
            Ok((came, decision))
        }
        Err(failure) => Err(failure.to_string()),
    };
    let mut response = sso_test::shown(person, provider, outcome);
    // A cookie that cannot be written stays, and opens nothing twice: the provider takes a code once.
    let _ = response.add_cookie(&done(state));
    Ok(response)
}

/// Signs in whom the provider vouches for, in a new session.
async fn enter(visit: &Visit, provider: &Provider, came: Came, next: &str) -> Shown {
    let (cookie, digest, mut session) = session::begin(&visit.request, &visit.state, "")?;
    let (from, agreement, fresh) = (origin(visit), provider.agreement.clone(), clock::new_id());
    let entered = visit.state.store.write(Undo::Savepoint, move |tx| {
        let entered = people::enter(tx, &from, &agreement, &came.identity, &fresh)?;
        if let Ok(admin) = &entered {
            session.admin.clone_from(&admin.id);
            admins::note_sign_in(tx, &admin.id)?;
            sessions::insert(tx, &digest, &session)?;
        }
        Ok(entered)
    });
    match entered.await {
        Ok(Ok(_)) => {
            visit.state.metrics.note_sign_in(SignIn::Done);
            Ok(on_to(next).cookie(cookie).cookie(done(&visit.state)).finish())
        }
        // It is in the audit already.
        Ok(Err(refused)) => {
            visit.state.metrics.note_sign_in(SignIn::Refused);
            tracing::warn!(reason = refused.as_str(), "signing in by single sign-on was refused");
            Ok(finished(&visit.state, failure_page(403)))
        }
        Err(error) => broken(visit, error).await,
    }
}

fn origin(visit: &Visit) -> people::Origin {
    people::Origin {
        address: frame::address(&visit.request).map(|address| address.to_string()),
        request_id: frame::request_id(&visit.request),
    }
}

#[derive(Template)]
#[template(path = "portal/sso_failed.html")]
struct FailedPage {
    layout: Layout,
}

fn failure_page(status: u16) -> HttpResponse {
    page(status, &FailedPage { layout: Layout::new("Single sign-on did not work", None, Place::Elsewhere) })
}

fn finished(state: &State, mut response: HttpResponse) -> HttpResponse {
    let _ = response.add_cookie(&done(state));
    response
}

/// Notes why it did not work, and says that it did not.
async fn failed(visit: &Visit, reason: &'static str, problem: &str) -> Shown {
    visit.state.metrics.note_sign_in(SignIn::Refused);
    tracing::warn!(reason, problem, "signing in by single sign-on did not work");
    let from = origin(visit);
    visit.state.store.write(Undo::Savepoint, move |tx| people::note_failed_attempt(tx, &from, reason)).await?;
    Ok(finished(&visit.state, failure_page(403)))
}

/// What cannot be used as it was agreed on is a failure like any other; what the database says is not.
async fn broken(visit: &Visit, error: Error) -> Shown {
    match error {
        Error::Refused(why) | Error::Conflict(why) | Error::NotFound(why) => failed(visit, "not_usable", &why).await,
        error => Err(error.into()),
    }
}
