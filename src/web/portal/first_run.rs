//! The first run: whoever holds the one-time address makes the first owner.

use std::sync::Arc;

use actix_web::HttpRequest;
use askama::Template;
use serde::Deserialize;

use super::form;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::server;
use super::session::{self, Visit};
use crate::clock;
use crate::directory::admins::{self, Person};
use crate::directory::instance;
use crate::model::actor::{Actor, ActorKind, By, Reach};
use crate::model::admin::{OWNER, check_name, check_password, email_key};
use crate::scim::password;
use crate::secret::{self, TokenDigest};
use crate::store::{Undo, sessions};
use crate::web::frame;
use crate::web::state::State;

#[derive(Template)]
#[template(path = "portal/first_run.html")]
struct FirstRunPage {
    layout: Layout,
    code: String,
    /// The public URL, where it was given at start.
    fixed_url: Option<Arc<str>>,
    fields: Fields,
    problems: Vec<Problem>,
}

/// Something that keeps a form from being taken, and the field it is about.
pub(super) struct Problem {
    pub(super) field: &'static str,
    pub(super) sentence: String,
}

/// The problem of a field, where there is one.
pub(super) fn problem_of<'p>(problems: &'p [Problem], field: &str) -> Option<&'p str> {
    problems.iter().find(|problem| problem.field == field).map(|problem| problem.sentence.as_str())
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: String,
    email: String,
    password: String,
    public_url: String,
}

impl FirstRunPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }
}

/// `GET /setup/{code}`
pub(super) async fn show(visit: Visit) -> Shown {
    let code = visit.part("code");
    check(&visit.state, &secret::digest(&code))?;
    let fields = Fields { public_url: server::suggested(&visit.request, &visit.state), ..Fields::default() };
    Ok(form_page(200, &visit.state, code, fields, Vec::new()))
}

fn form_page(
    status: u16,
    state: &State,
    code: String,
    fields: Fields,
    problems: Vec<Problem>,
) -> actix_web::HttpResponse {
    let layout = Layout::new("Welcome to Rollcall", None, Place::Elsewhere);
    let fixed_url = state.public.is_fixed().then(|| state.public_url());
    page(status, &FirstRunPage { layout, code, fixed_url, fields, problems })
}

fn check(state: &State, code: &TokenDigest) -> Result<(), Refusal> {
    let is_good = state.store.read_inline(|at| admins::is_first_run(at, code, clock::now()))?;
    if is_good { Ok(()) } else { Err(Refusal::NotFound) }
}

/// `POST /setup/{code}`
pub(super) async fn save(visit: Visit) -> Shown {
    let (code, request) = (visit.part("code"), visit.request.clone());
    let state = visit.state.clone();
    let digest = secret::digest(&code);
    check(&state, &digest)?;
    form::check_origin(&request, &state.public_url())?;
    let fields: Fields = form::fields(&request, visit.payload).await?;
    let mut problems = problems(&fields);
    // Who leaves the field empty leaves the URL as it is.
    let given = Some(&fields.public_url).filter(|url| !url.trim().is_empty() && !state.public.is_fixed());
    let url = given.map(|url| server::checked(&request, &state, url)).transpose();
    let url = url.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Ok(form_page(422, &state, code, fields, problems));
    }
    let password = state.hashing.hash_in_turn(password::read(&fields.password)?).await?;
    let person = Person {
        id: clock::new_id(),
        email: fields.email,
        name: fields.name,
        role: OWNER.to_owned(),
        account: None,
        password_digest: Some(password.0),
    };
    let (cookie, session_digest, session) = session::begin(&request, &state, &person.id)?;
    let by = by(&request, &person);
    let saved = state.store.write(Undo::Savepoint, move |tx| {
        admins::create_first(tx, &by, &digest, &person)?;
        url.map_or(Ok(()), |url| instance::set_public_url(tx, &by, &url))?;
        sessions::insert(tx, &session_digest, &session)
    });
    saved.await?;
    server::follow(&state)?;
    Ok(on_to("/").cookie(session::renamed(&state, cookie.value())).finish())
}

fn by(request: &HttpRequest, person: &Person) -> By {
    By {
        actor: Actor { kind: ActorKind::Admin, id: person.id.clone(), name: person.email.clone() },
        reach: Reach::Everywhere,
        address: frame::address_text(request),
        request_id: None,
    }
}

fn problems(fields: &Fields) -> Vec<Problem> {
    let checks = [
        ("name", check_name(&fields.name).map(drop)),
        ("email", email_key(&fields.email).map(drop)),
        ("password", check_password(&fields.password, &fields.email)),
    ];
    let failed = checks.into_iter().filter_map(|(field, checked)| Some((field, checked.err()?)));
    failed.map(|(field, sentence)| Problem { field, sentence }).collect()
}
