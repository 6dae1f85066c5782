//! The first run: the one-time URL opens a form that creates the first owner.

use std::sync::Arc;

use actix_web::HttpRequest;
use askama::Template;
use serde::Deserialize;

use crate::auth::secret::{self, TokenDigest};
use crate::clock;
use crate::management::admins::{self, AdminDraft};
use crate::management::{instance, sessions};
use crate::model::admin::{OWNER, check_name, check_password, normalize_email};
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext, Authority};
use crate::scim::password;
use crate::store::Store;
use crate::web::password_hashing::HashingLane;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{
    NavigationEntry, PageError, PageLayout, PageResult, hide_url, redirect_to, render_page,
};
use crate::web::portal::settings::server;
use crate::web::portal::sign_in::session;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::request_middleware;
use crate::web::state::ServerContext;

#[derive(Template)]
#[template(path = "portal/first_run.html")]
struct FirstRunPage {
    layout: PageLayout,
    code: String,
    /// The public URL, if it is set at startup.
    fixed_url: Option<Arc<str>>,
    fields: FirstRunForm,
    problems: Vec<FormError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FirstRunForm {
    name: String,
    email: String,
    password: String,
    public_url: String,
}

impl FirstRunPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

/// `GET /setup/{code}`
pub(crate) async fn show_first_run(page_request: PageRequest) -> PageResult {
    let code = page_request.path_parameter("code");
    let digest = secret::digest_text(&code);
    check_code(&page_request.state.store, &digest)?;
    if page_request.state.server.settings.demo {
        return sign_in_demo_owner(&page_request, digest).await;
    }
    let fields = FirstRunForm {
        public_url: server::suggest_public_url(&page_request.request, &page_request.state),
        ..FirstRunForm::default()
    };
    Ok(form_page(200, &page_request.state.server, code, fields, Vec::new()))
}

/// Creates and signs in the owner of `rollcall demo`. Its data is invented and its server is not reachable from other
/// machines, so the URL leads to the home page without a form. It works once, as in the first run.
async fn sign_in_demo_owner(page_request: &PageRequest, code: TokenDigest) -> PageResult {
    let (request, state) = (&page_request.request, &page_request.state);
    let owner = AdminDraft {
        id: clock::new_id(),
        email: "owner@demo.example".to_owned(),
        name: texts::sign_in::DEMO_OWNER.to_owned(),
        role: OWNER.to_owned(),
        account: None,
        password_digest: None,
    };
    let (cookie, session_digest, session) = session::begin_session(request, &state.server, &owner.id)?;
    let context = audit_context(request, &owner);
    let saved = page_request.write(move |tx| {
        admins::create_first_owner(tx, &context, &code, &owner)?;
        sessions::start_session(tx, &session_digest, &session)
    });
    saved.await?;
    Ok(redirect_to("/").cookie(cookie).finish())
}

fn form_page(
    status: u16,
    server: &ServerContext,
    code: String,
    fields: FirstRunForm,
    problems: Vec<FormError>,
) -> actix_web::HttpResponse {
    let layout = PageLayout::new(texts::sign_in::WELCOME, None, NavigationEntry::NoSection);
    let fixed_url = server.public.is_fixed().then(|| server.public_url());
    hide_url(render_page(status, &FirstRunPage { layout, code, fixed_url, fields, problems }))
}

fn check_code(store: &Store, code: &TokenDigest) -> Result<(), PageError> {
    let is_good = store.read_inline(|at| admins::is_first_run(at, code, clock::current_millis()))?;
    if is_good { Ok(()) } else { Err(PageError::NotFound) }
}

/// `POST /setup/{code}`
pub(crate) async fn save_first_run(page_request: PageRequest) -> PageResult {
    let (code, request, state) = (page_request.path_parameter("code"), &page_request.request, &page_request.state);
    let digest = secret::digest_text(&code);
    check_code(&state.store, &digest)?;
    let fields: FirstRunForm = page_request.form_without_session().await?;
    let mut problems = validate_form(&fields);
    // An empty field keeps the current URL.
    let given = Some(&fields.public_url).filter(|url| !url.trim().is_empty() && !state.server.public.is_fixed());
    let url = given.map(|url| server::check_public_url(request, &state.server, url)).transpose();
    let url = url.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Ok(form_page(422, &state.server, code, fields, problems));
    }
    let password =
        state.limits.hashing.hash_queued(HashingLane::KnownDevice, password::parse_password(&fields.password)?).await?;
    let new_admin = AdminDraft {
        id: clock::new_id(),
        email: fields.email,
        name: fields.name,
        role: OWNER.to_owned(),
        account: None,
        password_digest: Some(password.0),
    };
    let (cookie, session_digest, session) = session::begin_session(request, &state.server, &new_admin.id)?;
    let context = audit_context(request, &new_admin);
    let saved = page_request.write(move |tx| {
        admins::create_first_owner(tx, &context, &digest, &new_admin)?;
        url.as_ref().map_or(Ok(()), |url| instance::set_public_url(tx, &context, url))?;
        sessions::start_session(tx, &session_digest, &session)
    });
    saved.await?;
    server::apply_public_url(state)?;
    Ok(redirect_to("/").cookie(session::renew_session_cookie(&state.server, cookie.value())).finish())
}

pub(super) fn audit_context(request: &HttpRequest, new_admin: &AdminDraft) -> AuditContext {
    AuditContext {
        actor: Actor { kind: ActorKind::Admin, id: new_admin.id.clone(), name: new_admin.email.clone() },
        scope: AccountScope::AllAccounts,
        authority: Authority::UNLIMITED,
        address: request_middleware::caller_address_text(request),
        request_id: None,
    }
}

fn validate_form(fields: &FirstRunForm) -> Vec<FormError> {
    let checks = [
        ("name", check_name(&fields.name).map(drop)),
        ("email", normalize_email(&fields.email).map(drop)),
        ("password", check_password(&fields.password, &fields.email)),
    ];
    let failed = checks.into_iter().filter_map(|(field, checked)| Some((field, checked.err()?)));
    failed.map(|(field, error)| FormError { field, sentence: render_sentence(&error) }).collect()
}
