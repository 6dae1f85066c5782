//! Sign-in through the operator's OpenID provider (authorization code flow). Every failure shows the same page; the
//! reason is in the log, in the audit log and in the test for server admins.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::auth::oidc::{Callback, SignInAttempt, SignInFailure, SignedInUser};
use crate::auth::secret::{self, BearerToken};
use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::management::sessions;
use crate::management::sso::{self as identities, SsoOutcome};
use crate::messages::render_message;
use crate::model::sso::{PendingLink, SignInDecision, SsoIdentity};
use crate::web::metrics::SignInOutcome;
use crate::web::portal::cookies;
use crate::web::portal::forms;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::sign_in::known_device::add_device_cookie;
use crate::web::portal::sign_in::pending_link::LinkRequest;
use crate::web::portal::sign_in::session::{self, AnyAdmin};
use crate::web::portal::sign_in::sso_link;
use crate::web::portal::texts;
use crate::web::request_middleware;
use crate::web::sign_in_failures::log_failed_sign_in;
use crate::web::sso_provider::{self, SsoProvider, redirect_uri};
use crate::web::state::AppState;
use crate::web::state::ServerContext;

/// Longest time to sign in at the provider, in seconds. Short, because it is also the time in which an attempt can be
/// misused.
const ATTEMPT_SECONDS_MAX: i64 = 5 * 60;
/// Longest path to return to, in bytes: a browser drops a cookie of more than 4 KB.
const NEXT_MAX_BYTES: usize = 1_000;
/// Cookie with the encrypted attempt.
const COOKIE: &str = "rc_sso";
/// Purpose of the encryption key of the cookie.
const SEAL_PURPOSE: &str = "signing in by single sign-on";

/// A sign-in attempt, until the browser returns.
#[derive(Serialize, Deserialize)]
struct SsoAttempt {
    at: Millis,
    attempt: SignInAttempt,
    /// Path to redirect to after sign-in.
    next: String,
    /// Revision of the provider settings at the start.
    revision: i64,
    purpose: AttemptPurpose,
}

/// What an attempt is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum AttemptPurpose {
    /// Signing in.
    SignIn,
    /// A test by the admin of this session, which changes nothing.
    Test(String),
    /// Linking the identity to the admin of this session.
    Link(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SsoQuery {
    next: Option<String>,
}

/// `GET /login/sso`
pub(crate) async fn begin_sso(page_request: PageRequest) -> PageResult {
    let next = page_request.query::<SsoQuery>().unwrap_or_default().next;
    let provider = match sso_provider::load_provider(&page_request.state) {
        Ok(Some(provider)) if provider.provider_configuration.is_on => provider,
        Ok(_) => return Err(PageError::NotFound),
        Err(error) => {
            return match reject_too_many_attempts(&page_request) {
                Some(response) => Ok(response),
                None => show_broken(&page_request, error).await,
            };
        }
    };
    let next = Some(forms::local_path(next.as_deref())).filter(|next| next.len() <= NEXT_MAX_BYTES).unwrap_or("/");
    match start_attempt(&page_request.state, &provider, next, AttemptPurpose::SignIn).await? {
        Ok(started) => Ok(started.redirect()),
        Err(failure) => match reject_too_many_attempts(&page_request) {
            Some(response) => Ok(response),
            None => show_failure(&page_request, failure.as_str(), &failure.to_string()).await,
        },
    }
}

/// Answers 429 if too many attempts come from one address: each may cost a call to the provider and a row of the audit
/// log.
fn reject_too_many_attempts(page_request: &PageRequest) -> Option<HttpResponse> {
    let wait = page_request
        .state
        .limits
        .login_throttle
        .record_single_sign_on(request_middleware::caller_address(&page_request.request))?;
    page_request.state.metrics.record_sign_in(SignInOutcome::Throttled);
    let mut response = failure_page(429);
    response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
    Some(response)
}

/// `GET /settings/sso/test`: the same flow, which ends with a report of the claims instead of a session.
pub(crate) async fn begin_test(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    crate::web::portal::settings::sso::check_all_permissions(&admin)?;
    let Some(provider) = sso_provider::load_provider(&page_request.state)? else { return Err(PageError::NotFound) };
    let purpose = AttemptPurpose::Test(admin.signed.session.clone());
    match start_attempt(&page_request.state, &provider, "/settings/sso", purpose).await? {
        Ok(started) => Ok(started.redirect()),
        Err(failure) => Ok(render_test_page(&admin, &provider, Err(failure.to_string()))),
    }
}

/// `POST /profile/sso`: the same flow, which links the identity to the signed-in admin.
pub(crate) async fn begin_own_link(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    if let Some(refused) = sso_link::check_own_link_form(&admin, &page_request).await? {
        return Ok(refused);
    }
    let provider = sso_provider::load_provider(&page_request.state)?;
    let provider = provider.filter(|provider| provider.provider_configuration.is_on).ok_or(PageError::NotFound)?;
    let purpose = AttemptPurpose::Link(admin.signed.session.clone());
    match start_attempt(&page_request.state, &provider, "/profile", purpose).await? {
        Ok(started) => {
            let mut response = sso_link::start_page(&admin, &provider, started.address);
            response.add_cookie(&started.cookie).map_err(|_| Error::new(Reason::ServerBusy))?;
            Ok(response)
        }
        Err(failure) => {
            sso_link::show_own_link_failure(&admin, &page_request, texts::sign_in::say_link_failed(failure))
        }
    }
}

/// An attempt that was started: the URL at the provider, and the cookie with the attempt.
struct StartedAttempt {
    address: String,
    cookie: Cookie<'static>,
}

impl StartedAttempt {
    fn redirect(self) -> HttpResponse {
        redirect_to(&self.address).cookie(self.cookie).finish()
    }
}

async fn start_attempt(
    state: &AppState,
    provider: &SsoProvider,
    next: &str,
    purpose: AttemptPurpose,
) -> Result<Result<StartedAttempt, SignInFailure>, PageError> {
    let chance = || {
        BearerToken::generate_session()
            .map(|token| token.reveal().to_owned())
            .map_err(|_| Error::new(Reason::RandomnessUnavailable))
    };
    let attempt = SignInAttempt { state: chance()?, nonce: chance()?, verifier: chance()? };
    let address = match provider.party.start_sign_in(&attempt, &redirect_uri(&state.server)).await {
        Ok(address) => address,
        Err(failure) => return Ok(Err(failure)),
    };
    let begun = SsoAttempt {
        at: clock::current_millis(),
        attempt,
        next: next.to_owned(),
        revision: provider.revision,
        purpose,
    };
    let text = serde_json::to_vec(&begun).map_err(|_| Error::new(Reason::ServerBusy))?;
    let random = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let sealed =
        state.signing.key.sealer(SEAL_PURPOSE, "").seal(&random, text).ok_or(Error::new(Reason::ServerBusy))?;
    let cookie = cookies::new_cookie(&state.server, COOKIE, URL_SAFE_NO_PAD.encode(sealed), ATTEMPT_SECONDS_MAX);
    Ok(Ok(StartedAttempt { address, cookie }))
}

/// The attempt that this browser started within the time limit, or `None`.
fn read_attempt(page_request: &PageRequest) -> Option<SsoAttempt> {
    let cookie = cookies::find_cookie(&page_request.request, COOKIE)?;
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).ok()?;
    let opened = page_request.state.signing.key.sealer(SEAL_PURPOSE, "").open(&sealed)?;
    let begun: SsoAttempt = serde_json::from_slice(&opened).ok()?;
    let is_fresh = clock::current_millis() - begun.at <= ATTEMPT_SECONDS_MAX * 1000;
    is_fresh.then_some(begun)
}

/// An expired cookie, which removes the attempt from the browser.
fn expired_attempt_cookie(server: &ServerContext) -> Cookie<'static> {
    cookies::expired_cookie(server, COOKIE)
}

/// `GET /login/sso/callback`
pub(crate) async fn finish_sso(
    runner: Option<SystemAdmin>,
    signed: Option<AnyAdmin>,
    page_request: PageRequest,
) -> PageResult {
    if let Some(response) = reject_too_many_attempts(&page_request) {
        return Ok(response);
    }
    let Some(begun) = read_attempt(&page_request) else {
        return show_failure(&page_request, "no_such_attempt", texts::sign_in::NO_ATTEMPT).await;
    };
    let provider = match sso_provider::load_provider(&page_request.state) {
        Ok(Some(provider)) if provider.revision == begun.revision => provider,
        Ok(_) => {
            return show_failure(&page_request, "no_such_attempt", texts::sign_in::SETTINGS_CHANGED).await;
        }
        Err(error) => return show_broken(&page_request, error).await,
    };
    // A test and a link belong to the session that started them.
    let tester = runner.filter(|admin| begun.purpose == AttemptPurpose::Test(admin.signed.session.clone()));
    let linker = signed.filter(|admin| begun.purpose == AttemptPurpose::Link(admin.signed.session.clone()));
    let is_own = begun.purpose == AttemptPurpose::SignIn || tester.is_some() || linker.is_some();
    if !is_own || !(provider.provider_configuration.is_on || tester.is_some()) {
        return show_failure(&page_request, "no_such_attempt", texts::sign_in::OTHER_PURPOSE).await;
    }
    let callback: Callback = page_request.query().unwrap_or_default();
    if callback.state == begun.attempt.state && !use_attempt(&page_request.state, &begun) {
        return show_failure(&page_request, "no_such_attempt", texts::sign_in::ATTEMPT_USED).await;
    }
    let uri = redirect_uri(&page_request.state.server);
    let came = provider.party.complete_sign_in(&begun.attempt, &callback, &uri, clock::current_millis()).await;
    match (tester, linker, came) {
        (Some(admin), _, came) => show_test_result(&page_request.state, &admin, &provider, came),
        (None, Some(admin), came) => {
            let response = match came {
                Ok(came) => sso_link::link_own_identity(&admin, &page_request, &provider, came).await?,
                Err(failure) => {
                    tracing::warn!(reason = failure.as_str(), problem = %failure, "an identity could not be linked");
                    sso_link::show_own_link_failure(&admin, &page_request, texts::sign_in::say_link_failed(failure))?
                }
            };
            Ok(end_attempt(&page_request.state.server, response))
        }
        (None, None, Ok(came)) => sign_in_identity(&page_request, &provider, came, &begun.next).await,
        (None, None, Err(failure)) => show_failure(&page_request, failure.as_str(), &failure.to_string()).await,
    }
}

/// Uses up an attempt. Returns false if it was used before.
fn use_attempt(state: &AppState, begun: &SsoAttempt) -> bool {
    let until = begun.at + ATTEMPT_SECONDS_MAX * 1000 + 1;
    let digest = secret::digest_text(&begun.attempt.state);
    state.limits.used_attempts.use_attempt(digest, clock::current_millis(), until)
}

fn show_test_result(
    state: &AppState,
    admin: &SystemAdmin,
    provider: &SsoProvider,
    came: Result<SignedInUser, SignInFailure>,
) -> PageResult {
    let outcome = match came {
        Ok(came) => {
            let decision = state
                .store
                .read_inline(|at| identities::evaluate_sign_in(at, &provider.provider_configuration, &came.identity))?;
            Ok((came, decision))
        }
        Err(failure) => Err(failure.to_string()),
    };
    let mut response = render_test_page(admin, provider, outcome);
    // If the cookie cannot be removed it has no use: the provider accepts a code only once.
    let _ = response.add_cookie(&expired_attempt_cookie(&state.server));
    Ok(response)
}

/// Signs in the admin with the identity that the provider confirmed, in a new session.
async fn sign_in_identity(
    page_request: &PageRequest,
    provider: &SsoProvider,
    came: SignedInUser,
    next: &str,
) -> PageResult {
    let (cookie, digest, mut session) = session::begin_session(&page_request.request, &page_request.state.server, "")?;
    let (from, provider_configuration, fresh) =
        (session::sign_in_origin(&page_request.request), provider.provider_configuration.clone(), clock::new_id());
    let (issuer, subject) = (came.identity.issuer.clone(), came.identity.subject.clone());
    let entered = page_request.write(move |tx| {
        let entered = identities::sign_in(tx, &from, &provider_configuration, &came.identity, &fresh)?;
        if let SsoOutcome::SignedIn(admin) = &entered {
            session.admin.clone_from(&admin.id);
            sessions::start_session(tx, &digest, &session)?;
        }
        Ok(entered)
    });
    let server = &page_request.state.server;
    match entered.await {
        Ok(SsoOutcome::SignedIn(admin)) => {
            page_request.state.metrics.record_sign_in(SignInOutcome::Done);
            let mut response = redirect_to(next);
            response.cookie(cookie).cookie(expired_attempt_cookie(server));
            add_device_cookie(&mut response, page_request, &admin.id);
            Ok(response.finish())
        }
        Ok(SsoOutcome::Confirm { admin, role }) => {
            let link = PendingLink { admin, issuer, subject, role, revision: provider.revision };
            let cookie = LinkRequest::new(link, next).seal(&page_request.state);
            let cookie = cookie.ok_or(Error::new(Reason::ServerBusy))?;
            Ok(redirect_to("/login/link").cookie(cookie).cookie(expired_attempt_cookie(server)).finish())
        }
        // `management::sso::sign_in` has recorded it in the audit log.
        Ok(SsoOutcome::Refused(refused)) => {
            page_request.state.metrics.record_sign_in(SignInOutcome::Rejected);
            log_failed_attempt(page_request, refused.as_str(), texts::sign_in::IDENTITY_NOT_ACCEPTED);
            Ok(end_attempt(server, failure_page(403)))
        }
        Err(error) => show_broken(page_request, error).await,
    }
}

#[derive(Template)]
#[template(path = "portal/sso_failed.html")]
struct SsoFailedPage {
    layout: PageLayout,
}

fn failure_page(status: u16) -> HttpResponse {
    render_page(
        status,
        &SsoFailedPage { layout: PageLayout::new(texts::sign_in::SSO_FAILED, None, NavigationEntry::NoSection) },
    )
}

fn end_attempt(server: &ServerContext, mut response: HttpResponse) -> HttpResponse {
    let _ = response.add_cookie(&expired_attempt_cookie(server));
    response
}

fn log_failed_attempt(page_request: &PageRequest, reason: &str, problem: &str) {
    let address = request_middleware::caller_address(&page_request.request);
    log_failed_sign_in(&page_request.state.limits.login_throttle, address, reason, problem);
}

/// Records the reason in the log and in the audit log, and shows the page for a failed sign-in.
async fn show_failure(page_request: &PageRequest, reason: &'static str, problem: &str) -> PageResult {
    page_request.state.metrics.record_sign_in(SignInOutcome::Rejected);
    log_failed_attempt(page_request, reason, problem);
    let from = session::sign_in_origin(&page_request.request);
    page_request.write(move |tx| identities::record_failed_attempt(tx, &from, reason)).await?;
    Ok(end_attempt(&page_request.state.server, failure_page(403)))
}

/// Treats unusable provider settings like any other failure. Errors of the database are returned.
async fn show_broken(page_request: &PageRequest, error: Error) -> PageResult {
    if error.status() >= 500 {
        return Err(error.into());
    }
    show_failure(page_request, "not_usable", &render_message(&error)).await
}

#[derive(Template)]
#[template(path = "portal/sso_test.html")]
struct SsoTestPage {
    layout: PageLayout,
    tab: &'static str,
    /// Why the provider returned no identity.
    problem: Option<String>,
    result: Option<SsoTestResult>,
    is_on: bool,
}

/// The returned identity, and what a sign-in with it would do.
struct SsoTestResult {
    identity: SsoIdentity,
    would_enter: bool,
    sentence: String,
    claims: String,
}

/// The page with the returned identity, or the reason of the failure.
fn render_test_page(
    admin: &SystemAdmin,
    provider: &SsoProvider,
    outcome: Result<(SignedInUser, SignInDecision), String>,
) -> HttpResponse {
    let title = if outcome.is_ok() { texts::sign_in::PROVIDER_ANSWERS } else { texts::sign_in::TEST_FAILED };
    let layout = PageLayout::new(title, Some(&admin.signed), NavigationEntry::Settings);
    let (problem, came) = match outcome {
        Ok((came, decision)) => (None, Some(describe_result(came, &decision))),
        Err(problem) => (Some(problem), None),
    };
    render_page(
        200,
        &SsoTestPage { layout, tab: "sso", problem, result: came, is_on: provider.provider_configuration.is_on },
    )
}

fn describe_result(came: SignedInUser, decision: &SignInDecision) -> SsoTestResult {
    let (would_enter, sentence) = match decision {
        SignInDecision::SignIn { role, .. } => (true, texts::sign_in::say_is_linked(role.as_deref())),
        SignInDecision::ConfirmLink { role, .. } => (true, texts::sign_in::say_must_confirm(role.as_deref())),
        SignInDecision::Add { role, .. } => (true, texts::sign_in::say_would_be_added(role)),
        SignInDecision::Refuse(why) => (false, texts::sign_in::say_not_let_in(why.sentence())),
    };
    let claims = serde_json::to_string_pretty(&came.claims).unwrap_or_default();
    SsoTestResult { identity: came.identity, would_enter, sentence, claims }
}
