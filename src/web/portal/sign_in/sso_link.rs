//! Linking an identity of the OpenID provider to an existing admin: confirmed with the password during single sign-on, or
//! started by the signed-in admin on the profile page.

use actix_web::HttpResponse;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use serde::Deserialize;

use crate::auth::oidc::SignedInUser;
use crate::management::admins::{self, AdminCredentials};
use crate::management::{sessions, sso as identities};
use crate::model::admin::normalize_email;
use crate::web::metrics::SignInOutcome;
use crate::web::portal::forms::{FormError, PageRequest};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::profile;
use crate::web::portal::sign_in::known_device::add_device_cookie;
use crate::web::portal::sign_in::one_time_codes;
use crate::web::portal::sign_in::password_check::{PasswordCheck, check_sign_in_password};
use crate::web::portal::sign_in::pending_link::{LinkRequest, expired_link_cookie, find_link_request};
use crate::web::portal::sign_in::session::{self, AnyAdmin};
use crate::web::portal::texts;
use crate::web::request_middleware;
use crate::web::sso_provider::SsoProvider;

#[derive(Template)]
#[template(path = "portal/sso_link.html")]
struct LinkPage {
    layout: PageLayout,
    email: String,
    issuer: String,
    subject: String,
    has_codes: bool,
    problem: Option<&'static str>,
}

fn link_page(
    status: u16,
    request: &LinkRequest,
    found: &AdminCredentials,
    problem: Option<&'static str>,
) -> HttpResponse {
    let layout = PageLayout::new(texts::sign_in::CONFIRM_IDENTITY, None, NavigationEntry::NoSection);
    let (issuer, subject) = (request.link.issuer.clone(), request.link.subject.clone());
    let (email, has_codes) = (found.admin.email.clone(), found.admin.has_totp);
    render_page(status, &LinkPage { layout, email, issuer, subject, has_codes, problem })
}

/// The link to confirm, and the credentials of its admin; `None` if there is nothing to confirm.
fn find_request(page_request: &PageRequest) -> Result<Option<(LinkRequest, AdminCredentials)>, PageError> {
    let Some(request) = find_link_request(page_request) else { return Ok(None) };
    let found = page_request.read_inline(|at| admins::find_credentials_by_id(at, &request.link.admin))?;
    Ok(found.map(|found| (request, found)))
}

/// `GET /login/link`
pub(crate) async fn show_link_form(page_request: PageRequest) -> PageResult {
    Ok(match find_request(&page_request)? {
        Some((request, found)) => link_page(200, &request, &found, None),
        None => redirect_to("/login").finish(),
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LinkForm {
    password: String,
}

/// `POST /login/link`: checks the password, then asks for the code, or links the identity and signs in.
pub(crate) async fn submit_link(page_request: PageRequest) -> PageResult {
    let pending = find_request(&page_request)?;
    let form: LinkForm = page_request.form_without_session().await?;
    let state = &page_request.state;
    let Some((request, found)) = pending else { return Ok(redirect_to("/login").finish()) };
    let key = normalize_email(&found.admin.email).unwrap_or_default();
    match check_sign_in_password(&page_request, &key, Some(&found), &form.password).await? {
        PasswordCheck::Right => {}
        PasswordCheck::Wrong => {
            state.metrics.record_sign_in(SignInOutcome::Rejected);
            return Ok(link_page(401, &request, &found, Some(texts::sign_in::NOT_THIS_PASSWORD)));
        }
        PasswordCheck::Throttled(wait) => {
            state.metrics.record_sign_in(SignInOutcome::Throttled);
            let mut response = link_page(429, &request, &found, Some(texts::sign_in::TOO_MANY_TRIES));
            response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
            return Ok(response);
        }
    }
    if found.admin.has_totp {
        return one_time_codes::ask_for_code(&page_request, &found, Some(&request.next), true).await;
    }
    let (cookie, digest, session) = session::begin_session(&page_request.request, &state.server, &found.admin.id)?;
    let from = session::sign_in_origin(&page_request.request);
    let LinkRequest { link, next, .. } = request;
    let written = page_request.write(move |tx| {
        identities::confirm_link(tx, &from, &link)?;
        sessions::start_session(tx, &digest, &session)
    });
    written.await?;
    state.metrics.record_sign_in(SignInOutcome::Done);
    let mut response = redirect_to(&next);
    response.cookie(cookie).cookie(expired_link_cookie(&state.server));
    add_device_cookie(&mut response, &page_request, &found.admin.id);
    Ok(response.finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnLinkForm {
    present: String,
}

/// Checks the form of `POST /profile/sso`: the password of the admin, if there is one. Returns the page with the error of
/// the form.
pub(super) async fn check_own_link_form(
    admin: &AnyAdmin,
    page_request: &PageRequest,
) -> Result<Option<HttpResponse>, PageError> {
    let address = request_middleware::caller_address(&page_request.request);
    let form = page_request.form::<OwnLinkForm>(&admin.signed).await?;
    let own = page_request.read_inline(|at| admins::find_credentials_by_id(at, &admin.signed.admin))?;
    if own.is_none_or(|own| own.password_digest.is_none()) {
        return Ok(None);
    }
    match profile::check_own_password(admin, &page_request.state, &form.present, address).await? {
        Ok(()) => Ok(None),
        Err(sentence) => {
            let problems = vec![FormError { field: "link", sentence }];
            profile::profile_page(admin, &page_request.state, problems).map(Some)
        }
    }
}

#[derive(Template)]
#[template(path = "portal/sso_start.html")]
struct LinkStartPage {
    layout: PageLayout,
    issuer: String,
    address: String,
}

/// The page that leads to the provider. A form may not redirect to another site (`form-action`), a link may.
pub(super) fn start_page(admin: &AnyAdmin, provider: &SsoProvider, address: String) -> HttpResponse {
    let layout = PageLayout::new(texts::sign_in::LINK_IDENTITY, Some(&admin.signed), NavigationEntry::NoSection);
    render_page(200, &LinkStartPage { layout, issuer: provider.provider_configuration.issuer.clone(), address })
}

/// Links the identity that the signed-in admin has authenticated with.
pub(super) async fn link_own_identity(
    admin: &AnyAdmin,
    page_request: &PageRequest,
    provider: &SsoProvider,
    came: SignedInUser,
) -> PageResult {
    let (context, id) = (admin.context.clone(), admin.signed.admin.clone());
    let provider_configuration = provider.provider_configuration.clone();
    let linked = page_request
        .write(move |tx| identities::link_own_identity(tx, &context, &provider_configuration, &came.identity, &id))
        .await?;
    match linked {
        Ok(()) => Ok(redirect_to("/profile?done=identity-linked").finish()),
        Err(refused) => show_own_link_failure(admin, page_request, refused.sentence().to_owned()),
    }
}

/// The profile page with the reason why an identity could not be linked.
pub(super) fn show_own_link_failure(admin: &AnyAdmin, page_request: &PageRequest, sentence: String) -> PageResult {
    profile::profile_page(admin, &page_request.state, vec![FormError { field: "link", sentence }])
}
