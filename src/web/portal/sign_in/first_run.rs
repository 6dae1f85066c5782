//! The first run: the one-time URL opens a form that creates the first owner.

use std::sync::Arc;

use actix_web::HttpRequest;
use askama::Template;
use serde::Deserialize;

use crate::auth::secret::{self, TokenDigest};
use crate::clock;
use crate::management::admins::{self, AdminDraft};
use crate::management::{instance, sessions};
use crate::messages::render_message;
use crate::model::admin::{OWNER, check_name, check_password, normalize_email};
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext};
use crate::scim::password;
use crate::web::portal::forms::{self, FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::server;
use crate::web::portal::sign_in::session::{self, PageRequest};
use crate::web::request_middleware;
use crate::web::state::AppState;

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
    let code = page_request.path_param("code");
    check_code(&page_request.state, &secret::digest_text(&code))?;
    let fields = FirstRunForm {
        public_url: server::suggest_public_url(&page_request.request, &page_request.state),
        ..FirstRunForm::default()
    };
    Ok(form_page(200, &page_request.state, code, fields, Vec::new()))
}

fn form_page(
    status: u16,
    state: &AppState,
    code: String,
    fields: FirstRunForm,
    problems: Vec<FormError>,
) -> actix_web::HttpResponse {
    let layout = PageLayout::new("Welcome to Rollcall", None, NavigationEntry::NoSection);
    let fixed_url = state.public.is_fixed().then(|| state.public_url());
    render_page(status, &FirstRunPage { layout, code, fixed_url, fields, problems })
}

fn check_code(state: &AppState, code: &TokenDigest) -> Result<(), PageError> {
    let is_good = state.store.read_inline(|at| admins::is_first_run(at, code, clock::current_millis()))?;
    if is_good { Ok(()) } else { Err(PageError::NotFound) }
}

/// `POST /setup/{code}`
pub(crate) async fn save_first_run(page_request: PageRequest) -> PageResult {
    let (code, request) = (page_request.path_param("code"), page_request.request.clone());
    let state = page_request.state.clone();
    let digest = secret::digest_text(&code);
    check_code(&state, &digest)?;
    forms::check_origin(&request, &state.public_url())?;
    let fields: FirstRunForm = forms::read_fields(&request, page_request.payload).await?;
    let mut problems = validate_form(&fields);
    // An empty field keeps the current URL.
    let given = Some(&fields.public_url).filter(|url| !url.trim().is_empty() && !state.public.is_fixed());
    let url = given.map(|url| server::check_public_url(&request, &state, url)).transpose();
    let url = url.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Ok(form_page(422, &state, code, fields, problems));
    }
    let password = state.hashing.hash_queued(password::parse_password(&fields.password)?).await?;
    let new_admin = AdminDraft {
        id: clock::new_id(),
        email: fields.email,
        name: fields.name,
        role: OWNER.to_owned(),
        account: None,
        password_digest: Some(password.0),
    };
    let (cookie, session_digest, session) = session::begin_session(&request, &state, &new_admin.id)?;
    let context = audit_context(&request, &new_admin);
    let saved = state.store.write(move |tx| {
        admins::create_first_owner(tx, &context, &digest, &new_admin)?;
        url.map_or(Ok(()), |url| instance::set_public_url(tx, &context, &url))?;
        sessions::start_session(tx, &session_digest, &session)
    });
    saved.await?;
    server::apply_public_url(&state)?;
    Ok(redirect_to("/").cookie(session::renew_session_cookie(&state, cookie.value())).finish())
}

fn audit_context(request: &HttpRequest, new_admin: &AdminDraft) -> AuditContext {
    AuditContext {
        actor: Actor { kind: ActorKind::Admin, id: new_admin.id.clone(), name: new_admin.email.clone() },
        scope: AccountScope::AllAccounts,
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
    failed.map(|(field, error)| FormError { field, sentence: render_message(&error) }).collect()
}
