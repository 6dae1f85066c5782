//! The page of an invitation, for the invited admin: choose name and password. The link is the only credential.

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::{self, TokenDigest};
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::admins::invites::{self, AdminInvite};
use crate::management::admins::{AdminDraft, find_admin_by_id};
use crate::management::{accounts, roles, sessions};
use crate::model::admin::{check_name, check_password};
use crate::scim::password;
use crate::web::password_hashing::HashingLane;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{
    NavigationEntry, PageError, PageLayout, PageResult, hide_url, redirect_to, render_page,
};
use crate::web::portal::sign_in::first_run::audit_context;
use crate::web::portal::sign_in::{login, session};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;

#[derive(Template)]
#[template(path = "portal/invitation.html")]
struct InvitationPage {
    layout: PageLayout,
    secret: String,
    email: String,
    /// Name of the role.
    role: String,
    account: Option<String>,
    fields: InvitationForm,
    problems: Vec<FormError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InvitationForm {
    name: String,
    password: String,
}

impl InvitationPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

/// An open invitation, with the names of its role and of its account.
struct OpenInvitation {
    invite: AdminInvite,
    role: String,
    account: Option<String>,
}

/// The open invitation of the path.
fn find_invitation(page_request: &PageRequest, digest: &TokenDigest) -> Result<OpenInvitation, PageError> {
    let found = page_request.read_inline(|at| {
        let invite = invites::find_open_invite(at, digest, clock::current_millis())?;
        let role = roles::find_role(at, &invite.role)?.name;
        let account = invite.account.as_ref().map(|account| accounts::find_name(at, account)).transpose()?;
        Ok(OpenInvitation { invite, role, account })
    });
    found.map_err(refuse_invite)
}

/// The page for an invitation that is not open.
fn refuse_invite(error: Error) -> PageError {
    match error.reason() {
        reason @ (Reason::LinkUnknown | Reason::LinkEnded | Reason::LinkExpired) => PageError::RefusedInvite(reason),
        _ => error.into(),
    }
}

fn form_page(
    page_request: &PageRequest,
    found: OpenInvitation,
    fields: InvitationForm,
    problems: Vec<FormError>,
) -> actix_web::HttpResponse {
    let layout = PageLayout::new(texts::sign_in::WELCOME, None, NavigationEntry::NoSection);
    let secret = page_request.path_parameter("secret");
    let status = if problems.is_empty() { 200 } else { 422 };
    let OpenInvitation { invite, role, account } = found;
    let page = InvitationPage { layout, secret, email: invite.email, role, account, fields, problems };
    hide_url(render_page(status, &page))
}

/// `GET /invite/{secret}`
pub(crate) async fn show_invitation(page_request: PageRequest) -> PageResult {
    let digest = secret::digest_text(&page_request.path_parameter("secret"));
    let found = find_invitation(&page_request, &digest)?;
    Ok(form_page(&page_request, found, InvitationForm::default(), Vec::new()))
}

/// `POST /invite/{secret}`: creates the admin and signs in.
pub(crate) async fn accept_invitation(page_request: PageRequest) -> PageResult {
    let (request, state) = (&page_request.request, &page_request.state);
    let fields: InvitationForm = page_request.form_without_session().await?;
    let digest = secret::digest_text(&page_request.path_parameter("secret"));
    // Before the password is hashed: an unauthenticated caller gets no work done.
    let found = find_invitation(&page_request, &digest)?;
    let problems = validate_form(&fields, &found.invite.email);
    if !problems.is_empty() {
        return Ok(form_page(&page_request, found, fields, problems));
    }
    let password = password::parse_password(&fields.password)?;
    let password = state.limits.hashing.hash_queued(HashingLane::NewDevice, password).await?;
    let draft = AdminDraft {
        id: clock::new_id(),
        email: found.invite.email,
        name: fields.name,
        role: found.invite.role,
        account: None,
        password_digest: Some(password.0),
    };
    let (context, id) = (audit_context(request, &draft), draft.id.clone());
    let accepted = page_request.write(move |tx| invites::accept_invite(tx, &context, &digest, &draft));
    accepted.await.map_err(refuse_invite)?;
    let created = page_request.read_inline(|at| find_admin_by_id(at, &id))?;
    if !login::may_use_password(state, &created) {
        // Single sign-on is required. It asks for the password once, to link the identity.
        return Ok(redirect_to("/login?done=joined-sso").finish());
    }
    let (cookie, session_digest, session) = session::begin_session(request, &state.server, &id)?;
    page_request.write(move |tx| sessions::start_session(tx, &session_digest, &session)).await?;
    Ok(redirect_to("/profile?done=joined").cookie(cookie).finish())
}

fn validate_form(fields: &InvitationForm, email: &str) -> Vec<FormError> {
    let checks = [("name", check_name(&fields.name).map(drop)), ("password", check_password(&fields.password, email))];
    let failed = checks.into_iter().filter_map(|(field, checked)| Some((field, checked.err()?)));
    failed.map(|(field, error)| FormError { field, sentence: render_sentence(&error) }).collect()
}
