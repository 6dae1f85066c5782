//! Signing in with e-mail address and password, and out again. Whatever is wrong, the answer is the same and takes as long.

use actix_web::HttpResponse;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use serde::Deserialize;

use super::page::{self, Layout, Place, Refusal, Shown, on_to};
use super::session::{self, Anybody, Visit, signed_in};
use super::{codes, form};
use crate::directory;
use crate::model::admin::{Admin, OWNER, email_key};
use crate::scim::password::{self, PasswordDigest};
use crate::store::{Undo, admins, sessions};
use crate::web::frame;
use crate::web::metrics::SignIn;
use crate::web::sso;
use crate::web::state::State;

#[derive(Template)]
#[template(path = "portal/sign_in.html")]
struct SignInPage {
    layout: Layout,
    email: String,
    next: String,
    problem: Option<&'static str>,
    /// What the button of single sign-on says, where it is offered.
    sso: Option<String>,
    /// Whether passwords are for owners only, and whether one is asked for all the same.
    only: bool,
    asks_password: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    email: String,
    password: String,
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    next: Option<String>,
    with: String,
}

impl SignInPage {
    fn new(state: &State, email: String, next: Option<&str>, problem: Option<&'static str>) -> Result<Self, Refusal> {
        let offered = sso::kept(state)?.map(|kept| kept.agreement).filter(|agreement| agreement.is_on);
        let only = offered.as_ref().is_some_and(|agreement| agreement.only);
        Ok(Self {
            layout: Layout::new("Sign in", None, Place::Elsewhere),
            email,
            next: form::own_path(next).to_owned(),
            problem,
            sso: offered.map(|agreement| agreement.label),
            only,
            asks_password: !only || problem.is_some(),
        })
    }

    /// The way to the provider, and back to where one wanted to go.
    fn there(&self) -> String {
        format!("/login/sso?next={}", form::encoded(&self.next))
    }
}

fn form_page(status: u16, page: &SignInPage) -> HttpResponse {
    page::page(status, page)
}

/// `GET /login`
pub(super) async fn show(visit: Visit) -> Shown {
    let Query { next, with } = visit.query();
    if signed_in(&visit.request).is_ok() {
        return Ok(on_to(form::own_path(next.as_deref())).finish());
    }
    let mut page = SignInPage::new(&visit.state, String::new(), next.as_deref(), None)?;
    page.layout.notice = page::notice(visit.request.query_string());
    page.asks_password |= with == "password";
    Ok(form_page(200, &page))
}

/// `POST /login`
pub(super) async fn save(visit: Visit) -> Shown {
    let (request, state) = (visit.request.clone(), visit.state.clone());
    form::check_origin(&request, &state.public_url())?;
    let fields: Fields = form::fields(&request, visit.payload).await?;
    let key = email_key(&fields.email).unwrap_or_default();
    let address = frame::address(&request);
    if let Some(wait) = state.guard.note_sign_in(&key, address) {
        state.metrics.note_sign_in(SignIn::Throttled);
        let sentence = "Too many tries. Wait a little, then try again.";
        let mut response =
            form_page(429, &SignInPage::new(&state, fields.email, fields.next.as_deref(), Some(sentence))?);
        response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
        return Ok(response);
    }
    let found = state.store.read_inline(|at| admins::by_email_key(at, &key))?;
    let found = found.filter(|found| found.admin.disabled_at.is_none());
    let digest = found.as_ref().and_then(|found| found.password_digest.clone()).map(PasswordDigest);
    // Nothing at all is nobody's password, and is compared all the same.
    let (password, digest) =
        password::read(&fields.password).map_or((password::read(" ")?, None), |read| (read, digest));
    let is_right = state.hashing.is_right(password, digest).await?;
    let Some(found) = found.filter(|found| is_right && may_use_password(&state, &found.admin)) else {
        state.metrics.note_sign_in(SignIn::Refused);
        let sentence = "The e-mail address or the password is not right.";
        let page = SignInPage::new(&state, fields.email, fields.next.as_deref(), Some(sentence))?;
        return Ok(form_page(401, &page));
    };
    if found.admin.has_totp {
        return codes::ask(&state, &found, fields.next.as_deref());
    }
    let admin = found.admin;
    let (cookie, session_digest, session) = session::begin(&request, &state, &admin.id)?;
    let written = state.store.write(Undo::Savepoint, move |tx| {
        admins::note_sign_in(tx, &admin.id)?;
        sessions::insert(tx, &session_digest, &session)
    });
    written.await?;
    state.metrics.note_sign_in(SignIn::Done);
    Ok(on_to(form::own_path(fields.next.as_deref())).cookie(cookie).finish())
}

/// Whether the person may sign in with a password: where single sign-on is the rule, only owners may, lest everybody be
/// locked out with a provider that does not answer.
fn may_use_password(state: &State, admin: &Admin) -> bool {
    let is_owner = admin.role == OWNER && admin.account.is_none();
    is_owner || sso::kept(state).is_ok_and(|kept| !kept.is_some_and(|kept| kept.agreement.is_on && kept.agreement.only))
}

#[derive(Deserialize)]
struct Nothing {}

/// `POST /logout`
pub(super) async fn sign_out(person: Anybody, visit: Visit) -> Shown {
    let (_, state) = visit.form::<Nothing>(&person.signed).await?;
    let (by, admin, session) = (person.by, person.signed.admin, person.signed.session);
    state.store.write(Undo::Savepoint, move |tx| directory::sessions::end(tx, &by, &admin, &session)).await?;
    Ok(on_to("/login?done=signed-out").cookie(session::forget(&state)).finish())
}
