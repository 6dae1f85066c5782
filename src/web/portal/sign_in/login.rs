//! Sign-in with e-mail address and password, and sign-out. Every failure gives the same answer in the same time, so
//! that an answer does not reveal which addresses exist.

use actix_web::HttpResponse;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use serde::Deserialize;

use crate::management::{admins, sessions};
use crate::model::admin::{Admin, OWNER, normalize_email};
use crate::web::metrics::SignInOutcome;
use crate::web::portal::forms;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{self, NavigationEntry, PageError, PageLayout, PageResult, redirect_to};
use crate::web::portal::sign_in::known_device::add_device_cookie;
use crate::web::portal::sign_in::one_time_codes;
use crate::web::portal::sign_in::password_check::{PasswordCheck, check_sign_in_password, record_failed_sign_in};
use crate::web::portal::sign_in::session::{self, AnyAdmin, find_signed_in};
use crate::web::portal::texts;
use crate::web::sso_provider;
use crate::web::state::AppState;

#[derive(Template)]
#[template(path = "portal/sign_in.html")]
struct SignInPage {
    layout: PageLayout,
    email: String,
    next: String,
    problem: Option<&'static str>,
    /// Label of the single sign-on button, if it is offered.
    sso: Option<String>,
    /// Whether only owners may use a password, and whether the form asks for one anyway.
    owners_only: bool,
    asks_password: bool,
    /// Whether no admin exists yet.
    is_new: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SignInForm {
    email: String,
    password: String,
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SignInQuery {
    next: Option<String>,
    with: String,
}

impl SignInPage {
    fn new(
        state: &AppState,
        email: String,
        next: Option<&str>,
        problem: Option<&'static str>,
    ) -> Result<Self, PageError> {
        let offered = sso_provider::load_configuration(state)?
            .map(|stored| stored.provider_configuration)
            .filter(|configuration| configuration.is_on);
        let only = offered.as_ref().is_some_and(|configuration| configuration.passwords_for_owners_only);
        let is_new = problem.is_none() && state.store.read_inline(admins::has_no_admins)?;
        let title = if is_new { texts::sign_in::SET_UP_ROLLCALL } else { texts::errors::SIGN_IN };
        Ok(Self {
            layout: PageLayout::new(title, None, NavigationEntry::NoSection),
            email,
            next: forms::local_path(next).to_owned(),
            problem,
            sso: offered.map(|configuration| configuration.label),
            owners_only: only,
            asks_password: !only || problem.is_some(),
            is_new,
        })
    }

    /// URL that starts single sign-on and then returns to `next`.
    fn sso_url(&self) -> String {
        format!("/login/sso?next={}", forms::encode_query(&self.next))
    }
}

fn form_page(status: u16, page: &SignInPage) -> HttpResponse {
    layout::render_page(status, page)
}

/// `GET /login`
pub(crate) async fn show_sign_in(page_request: PageRequest) -> PageResult {
    let SignInQuery { next, with } = page_request.query().unwrap_or_default();
    if find_signed_in(&page_request.request).is_ok() {
        return Ok(redirect_to(forms::local_path(next.as_deref())).finish());
    }
    let problem = (with == "new-password-check").then_some(texts::sign_in::SIGN_IN_ENDED);
    let mut page = SignInPage::new(&page_request.state, String::new(), next.as_deref(), problem)?;
    page.layout.notice = layout::find_notice(page_request.request.query_string());
    page.asks_password |= with == "password";
    Ok(form_page(200, &page))
}

/// `POST /login`
pub(crate) async fn submit_sign_in(page_request: PageRequest) -> PageResult {
    let (request, state) = (&page_request.request, &page_request.state);
    let fields: SignInForm = page_request.form_without_session().await?;
    let key = normalize_email(&fields.email).unwrap_or_default();
    let found = page_request.read_inline(|at| admins::find_credentials_by_email(at, &key))?;
    let is_right = match check_sign_in_password(&page_request, &key, found.as_ref(), &fields.password).await? {
        PasswordCheck::Throttled(wait) => {
            state.metrics.record_sign_in(SignInOutcome::Throttled);
            let page =
                SignInPage::new(state, fields.email, fields.next.as_deref(), Some(texts::sign_in::TOO_MANY_TRIES))?;
            let mut response = form_page(429, &page);
            response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
            return Ok(response);
        }
        PasswordCheck::Right => true,
        PasswordCheck::Wrong => false,
    };
    let is_allowed = found.as_ref().is_some_and(|found| may_use_password(state, &found.admin));
    if is_right && !is_allowed {
        record_failed_sign_in(&page_request, found.as_ref().map(|found| &found.admin), "password_not_allowed");
    }
    let Some(found) = found.filter(|_| is_right && is_allowed) else {
        state.metrics.record_sign_in(SignInOutcome::Rejected);
        let sentence = texts::sign_in::WRONG_PASSWORD;
        let page = SignInPage::new(state, fields.email, fields.next.as_deref(), Some(sentence))?;
        return Ok(form_page(401, &page));
    };
    if found.admin.has_totp {
        return one_time_codes::ask_for_code(&page_request, &found, fields.next.as_deref(), false).await;
    }
    let (cookie, session_digest, session) = session::begin_session(request, &state.server, &found.admin.id)?;
    page_request.write(move |tx| sessions::start_session(tx, &session_digest, &session)).await?;
    state.metrics.record_sign_in(SignInOutcome::Done);
    let mut response = redirect_to(forms::local_path(fields.next.as_deref()));
    response.cookie(cookie);
    add_device_cookie(&mut response, &page_request, &found.admin.id);
    Ok(response.finish())
}

/// Whether the admin may sign in with a password. If single sign-on is required, only owners may, so that an
/// unreachable provider does not lock out every admin.
pub(super) fn may_use_password(state: &AppState, admin: &Admin) -> bool {
    let is_owner = admin.role == OWNER && admin.account.is_none();
    is_owner
        || sso_provider::load_configuration(state).is_ok_and(|stored| {
            !stored.is_some_and(|stored| {
                stored.provider_configuration.is_on && stored.provider_configuration.passwords_for_owners_only
            })
        })
}

#[derive(Deserialize)]
struct EmptySignInForm {}

/// `POST /logout`
pub(crate) async fn sign_out(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<EmptySignInForm>(&admin.signed).await?;
    let (context, admin, session) = (admin.context, admin.signed.admin, admin.signed.session);
    page_request.write(move |tx| sessions::end_session(tx, &context, &admin, &session)).await?;
    Ok(redirect_to("/login?done=signed-out").cookie(session::expired_cookie(&page_request.state.server)).finish())
}
