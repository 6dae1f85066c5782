//! One-time codes (TOTP): enabled and disabled in the profile, and requested on a second page at sign-in.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::auth::jwt::SigningKey;
use crate::auth::secret::{self, TokenDigest, totp};
use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::management::admins::{self, AdminCredentials};
use crate::management::one_time_codes::{self, CodesSetup};
use crate::store::Tx;
use crate::web::metrics::SignInOutcome;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{self, FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::profile;
use crate::web::portal::sign_in::session::{self, AnyAdmin};
use crate::web::request_middleware;
use crate::web::state::AppState;

/// Longest time between the password and the code, in seconds.
const CODE_SECONDS_MAX: i64 = 5 * 60;
/// Bytes of a secret (RFC 4226 section 4, requirement 6).
const SECRET_BYTES: usize = 20;
/// Bytes of a recovery code: too many to guess, few enough to type.
const RECOVERY_BYTES: usize = 10;
const RECOVERY_CODES: usize = 10;
/// Cookie that names the admin who gave the right password, until the code is given too.
const COOKIE: &str = "rc_code";

#[derive(Template)]
#[template(path = "portal/one_time_codes.html")]
struct TotpSetupPage {
    layout: PageLayout,
    /// The secret in base32, and as an `otpauth` URI that apps read.
    secret: String,
    address: String,
    /// The encrypted secret, which the next form sends back.
    sealed: String,
    problems: Vec<FormError>,
}

impl TotpSetupPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn new(admin: &AnyAdmin, key: &[u8], sealed: String, problems: Vec<FormError>) -> Self {
        let layout = PageLayout::new("Set up one-time codes", Some(&admin.signed), NavigationEntry::NoSection);
        let secret = totp::encode_base32(key);
        let name = forms::encode_query(&admin.signed.email);
        let address = format!("otpauth://totp/Rollcall:{name}?secret={secret}&issuer=Rollcall");
        Self { layout, secret, address, sealed, problems }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CodeForm {
    present: String,
    sealed: String,
    code: String,
}

fn seal_text(key: &SigningKey, kind: &str, about: &str, text: Vec<u8>) -> Result<Vec<u8>, PageError> {
    let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let sealed = key.sealer(kind, about).seal(&chance, text);
    sealed.ok_or_else(|| Error::new(Reason::ServerBusy).into())
}

fn open_sealed(key: &SigningKey, kind: &str, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    key.sealer(kind, about).open(sealed)
}

/// `POST /profile/codes`: shows a new secret. It takes effect once a code of it is confirmed.
pub(crate) async fn begin_setup(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let address = request_middleware::caller_address(&page_request.request);
    let fields = page_request.form::<CodeForm>(&admin.signed).await?;
    if let Err(sentence) = profile::check_own_password(&admin, &page_request.state, &fields.present, address).await? {
        return profile::profile_page(&admin, &page_request.state.store, vec![FormError { field: "own", sentence }]);
    }
    let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let key = &chance[..SECRET_BYTES];
    let sealed = seal_text(&page_request.state.signing.key, "new one-time codes", &admin.signed.session, key.to_vec())?;
    Ok(render_page(200, &TotpSetupPage::new(&admin, key, URL_SAFE_NO_PAD.encode(sealed), Vec::new())))
}

#[derive(Template)]
#[template(path = "portal/recovery_codes.html")]
struct RecoveryPage {
    layout: PageLayout,
    codes: Vec<String>,
}

/// `POST /profile/codes/confirm`: checks the first code and enables one-time codes.
pub(crate) async fn confirm_setup(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<CodeForm>(&admin.signed).await?;
    let bytes = URL_SAFE_NO_PAD.decode(&fields.sealed).unwrap_or_default();
    let Some(key) = open_sealed(&page_request.state.signing.key, "new one-time codes", &admin.signed.session, &bytes)
    else {
        return Err(PageError::ForeignForm);
    };
    let Some(step) = totp::find_time_step(&key, &fields.code, clock::current_millis()) else {
        let sentence = "This is not the present code. Look whether the clock of the device is right.".to_owned();
        let problems = vec![FormError { field: "code", sentence }];
        return Ok(render_page(422, &TotpSetupPage::new(&admin, &key, fields.sealed, problems)));
    };
    let sealed_key = seal_text(&page_request.state.signing.key, "one-time codes", &admin.signed.admin, key)?;
    let mut recovery_codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
        recovery_codes.push(totp::encode_base32(&chance[..RECOVERY_BYTES]));
    }
    let (context, id) = (admin.context, admin.signed.admin.clone());
    let digests: Vec<TokenDigest> = recovery_codes.iter().map(|code| recovery_digest(&id, code)).collect();
    let enable = move |tx: &Tx<'_>| {
        let setup = CodesSetup { sealed_secret: &sealed_key, confirmed_step: step, recovery: &digests };
        one_time_codes::enable_codes(tx, &context, &id, &setup)
    };
    page_request.write(enable).await?;
    let layout = PageLayout::new("Keep your recovery codes", Some(&admin.signed), NavigationEntry::NoSection);
    Ok(render_page(200, &RecoveryPage { layout, codes: recovery_codes }))
}

/// Digest of a recovery code, as stored. Case, blanks and dashes are ignored.
fn recovery_digest(admin: &str, typed: &str) -> TokenDigest {
    let plain: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    secret::digest_text(&format!("recovery {admin} {}", plain.to_ascii_uppercase()))
}

/// `POST /profile/codes/off`
pub(crate) async fn disable_codes(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let address = request_middleware::caller_address(&page_request.request);
    let fields = page_request.form::<CodeForm>(&admin.signed).await?;
    if let Err(sentence) = profile::check_own_password(&admin, &page_request.state, &fields.present, address).await? {
        return profile::profile_page(&admin, &page_request.state.store, vec![FormError { field: "own", sentence }]);
    }
    let (context, id) = (admin.context, admin.signed.admin);
    page_request.write(move |tx| one_time_codes::disable_codes(tx, &context, &id)).await?;
    Ok(redirect_to("/profile?done=codes-off").finish())
}

/// Redirects to the page that asks for the code, after the right password. The cookie is bound to the password, so it
/// becomes invalid when the password changes.
pub(crate) fn ask_for_code(
    state: &AppState,
    found: &AdminCredentials,
    next: Option<&str>,
) -> Result<HttpResponse, PageError> {
    let claim = format!("{} {} {}", clock::current_millis(), found.admin.id, credentials_fingerprint(found));
    let sealed = seal_text(&state.signing.key, "signing in", "", claim.into_bytes())?;
    let cookie: Cookie<'static> =
        session::new_cookie(&state.server, COOKIE, URL_SAFE_NO_PAD.encode(sealed), CODE_SECONDS_MAX);
    let next = forms::encode_query(forms::local_path(next));
    Ok(redirect_to(&format!("/login/code?next={next}")).cookie(cookie).finish())
}

fn credentials_fingerprint(found: &AdminCredentials) -> String {
    URL_SAFE_NO_PAD.encode(secret::digest_text(found.password_digest.as_deref().unwrap_or_default()))
}

/// The admin whose password was right within the time limit in this browser, or `None`.
fn find_pending_sign_in(page_request: &PageRequest) -> Result<Option<AdminCredentials>, PageError> {
    let Some(cookie) = page_request.request.cookie(COOKIE) else { return Ok(None) };
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).unwrap_or_default();
    let claim = open_sealed(&page_request.state.signing.key, "signing in", "", &sealed)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(claim) = claim else { return Ok(None) };
    let mut parts = claim.split(' ');
    let (Some(at), Some(id), Some(print)) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
    let is_fresh = at.parse::<Millis>().is_ok_and(|at| clock::current_millis() - at <= CODE_SECONDS_MAX * 1000);
    let found = page_request.read_inline(|at| admins::find_credentials_by_id(at, id))?;
    Ok(found.filter(|found| is_fresh && credentials_fingerprint(found) == print))
}

#[derive(Template)]
#[template(path = "portal/sign_in_code.html")]
struct SignInCodePage {
    layout: PageLayout,
    next: String,
    problem: Option<&'static str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TypedCode {
    code: String,
    next: Option<String>,
}

fn code_page(status: u16, next: Option<&str>, problem: Option<&'static str>) -> HttpResponse {
    let layout = PageLayout::new("Your one-time code", None, NavigationEntry::NoSection);
    render_page(status, &SignInCodePage { layout, next: forms::local_path(next).to_owned(), problem })
}

/// `GET /login/code`
pub(crate) async fn show_code_form(page_request: PageRequest) -> PageResult {
    let next = page_request.query::<TypedCode>().unwrap_or_default().next;
    Ok(match find_pending_sign_in(&page_request)? {
        Some(_) => code_page(200, next.as_deref(), None),
        None => redirect_to("/login").finish(),
    })
}

/// `POST /login/code`
pub(crate) async fn submit_code(page_request: PageRequest) -> PageResult {
    let claimed = find_pending_sign_in(&page_request)?;
    let typed: TypedCode = page_request.form_without_session().await?;
    let (request, state) = (&page_request.request, &page_request.state);
    let Some(found) = claimed else { return Ok(redirect_to("/login").finish()) };
    let (next, id) = (typed.next.as_deref(), found.admin.id);
    let address = request_middleware::caller_address(request);
    if state.limits.login_throttle.record_sign_in(&format!("code of {id}"), address).is_some() {
        state.metrics.record_sign_in(SignInOutcome::Throttled);
        return Ok(code_page(429, next, Some("Too many tries. Wait a little, then try again.")));
    }
    let key = found.totp_secret.and_then(|sealed| open_sealed(&state.signing.key, "one-time codes", &id, &sealed));
    let step = key.and_then(|key| totp::find_time_step(&key, &typed.code, clock::current_millis()));
    let recovery = recovery_digest(&id, &typed.code);
    let (cookie, digest, session) = session::begin_session(request, &state.server, &id)?;
    let written =
        page_request.write(move |tx| one_time_codes::sign_in_with_code(tx, step, &recovery, &digest, &session));
    if !written.await? {
        state.metrics.record_sign_in(SignInOutcome::Rejected);
        return Ok(code_page(
            401,
            next,
            Some("This code is not right, or it was used already. Wait for the next one."),
        ));
    }
    state.metrics.record_sign_in(SignInOutcome::Done);
    let spent = session::new_cookie(&state.server, COOKIE, String::new(), 0);
    Ok(redirect_to(forms::local_path(next)).cookie(cookie).cookie(spent).finish())
}
