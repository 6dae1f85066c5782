//! Signing in with e-mail address and password, and out again. Whatever is wrong, the answer is the same and takes as long.

use actix_web::HttpResponse;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use serde::Deserialize;

use super::page::{self, Layout, Place, Shown, on_to, page};
use super::session::{self, Anybody, Visit, signed_in};
use super::{codes, form};
use crate::model::admin::email_key;
use crate::scim::password::{self, PasswordDigest};
use crate::store::{Undo, admins, sessions};

#[derive(Template)]
#[template(path = "portal/sign_in.html")]
struct SignInPage {
    layout: Layout,
    email: String,
    next: String,
    problem: Option<&'static str>,
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
}

fn form_page(status: u16, email: String, next: Option<&str>, problem: Option<&'static str>) -> HttpResponse {
    let layout = Layout::new("Sign in", None, Place::Elsewhere);
    page(status, &SignInPage { layout, email, next: form::own_path(next).to_owned(), problem })
}

/// `GET /login`
pub(super) async fn show(visit: Visit) -> Shown {
    let next = visit.query::<Query>().next;
    if signed_in(&visit.request).is_ok() {
        return Ok(on_to(form::own_path(next.as_deref())).finish());
    }
    let notice = page::notice(visit.request.query_string());
    let layout = Layout { notice, ..Layout::new("Sign in", None, Place::Elsewhere) };
    let next = form::own_path(next.as_deref()).to_owned();
    Ok(page(200, &SignInPage { layout, email: String::new(), next, problem: None }))
}

/// `POST /login`
pub(super) async fn save(visit: Visit) -> Shown {
    let (request, state) = (visit.request.clone(), visit.state.clone());
    form::check_origin(&request, &state.public_url())?;
    let fields: Fields = form::fields(&request, visit.payload).await?;
    let key = email_key(&fields.email).unwrap_or_default();
    let address = request.peer_addr().map(|peer| peer.ip());
    if let Some(wait) = state.guard.note_sign_in(&key, address) {
        let sentence = "Too many tries. Wait a little, then try again.";
        let mut response = form_page(429, fields.email, fields.next.as_deref(), Some(sentence));
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
    let Some(found) = found.filter(|_| is_right) else {
        let sentence = "The e-mail address or the password is not right.";
        return Ok(form_page(401, fields.email, fields.next.as_deref(), Some(sentence)));
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
    Ok(on_to(form::own_path(fields.next.as_deref())).cookie(cookie).finish())
}

#[derive(Deserialize)]
struct Nothing {}

/// `POST /logout`
pub(super) async fn sign_out(person: Anybody, visit: Visit) -> Shown {
    let (_, state) = visit.form::<Nothing>(&person.signed).await?;
    let (admin, session) = (person.signed.admin, person.signed.session);
    state.store.write(Undo::Savepoint, move |tx| sessions::end(tx, &admin, &session)).await?;
    Ok(on_to("/login?done=signed-out").cookie(session::forget(&state)).finish())
}
