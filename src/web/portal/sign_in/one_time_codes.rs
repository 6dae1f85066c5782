//! One-time codes (TOTP): enabled and disabled in the profile, and requested on a second page at sign-in.

use actix_web::HttpResponse;
use actix_web::http::header::RETRY_AFTER;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use qrcode::{Color, QrCode};
use serde::Deserialize;

use crate::auth::jwt::SigningKey;
use crate::auth::secret::sealed::ONE_TIME_CODES_PURPOSE;
use crate::auth::secret::{self, BearerToken, TokenDigest, totp};
use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::management::admins::{self, AdminCredentials};
use crate::management::one_time_codes::{self, CodeAttempt, CodeOutcome, CodesSetup};
use crate::management::{sessions, sso};
use crate::store::Tx;
use crate::web::metrics::SignInOutcome;
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{self, FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::profile;
use crate::web::portal::sign_in::known_device::add_device_cookie;
use crate::web::portal::sign_in::password_check::record_failed_sign_in;
use crate::web::portal::sign_in::pending_link::{expired_link_cookie, find_link_request};
use crate::web::portal::sign_in::session::{self, AnyAdmin};
use crate::web::portal::texts;
use crate::web::request_middleware;

/// Bytes of a secret (RFC 4226 section 4, requirement 6).
const SECRET_BYTES: usize = 20;
/// Bytes of a recovery code: too many to guess, few enough to type.
const RECOVERY_BYTES: usize = 10;
const RECOVERY_CODES: usize = 10;
/// Cookie that names the admin who gave the right password, until the code is given too.
const COOKIE: &str = "rc_code";
/// Kind of a sealed setup.
const SETUP: &str = "new one-time codes";
/// Longest time between the start of a setup and its confirmation, in milliseconds.
const SETUP_AGE_MAX: Millis = 15 * 60 * 1000;
/// Light modules around a QR code (ISO/IEC 18004 section 9.1).
const QUIET_ZONE: usize = 4;
/// What the code is for.
const SIGNS_IN: &str = "sign-in";
const LINKS: &str = "link";

#[derive(Template)]
#[template(path = "portal/one_time_codes.html")]
struct TotpSetupPage {
    layout: PageLayout,
    /// The secret in base32, and as an `otpauth` URI that apps read.
    secret: String,
    address: String,
    /// The address as a QR code.
    image: Option<QrImage>,
    /// The encrypted secret, which the next form sends back.
    sealed: String,
    problems: Vec<FormError>,
}

impl TotpSetupPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn new(admin: &AnyAdmin, key: &[u8], sealed: String, problems: Vec<FormError>) -> Self {
        let layout = PageLayout::new(texts::sign_in::SET_UP_CODES, Some(&admin.signed), NavigationEntry::NoSection);
        let secret = totp::encode_base32(key);
        let name = forms::encode_query(&admin.signed.email);
        let address = format!("otpauth://totp/Rollcall:{name}?secret={secret}&issuer=Rollcall");
        let image = QrImage::from_text(&address);
        Self { layout, secret, address, image, sealed, problems }
    }
}

/// A QR code as the path of an SVG image, one unit for each module.
struct QrImage {
    /// Width and height, with the quiet zone.
    size: usize,
    path: String,
}

impl QrImage {
    /// The code of a text; `None` if the text is too long for one.
    fn from_text(text: &str) -> Option<Self> {
        use std::fmt::Write as _;
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let colors = code.into_colors();
        let mut path = String::new();
        for (row, modules) in colors.chunks(width).enumerate() {
            let mut column = 0;
            for run in modules.chunk_by(|one, next| one == next) {
                if run.first() == Some(&Color::Dark) {
                    let (x, y, length) = (column + QUIET_ZONE, row + QUIET_ZONE, run.len());
                    let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
                }
                column += run.len();
            }
        }
        Some(Self { size: width + 2 * QUIET_ZONE, path })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CodeForm {
    present: String,
    sealed: String,
    code: String,
}

/// A setup of one-time codes that is not confirmed yet. The form carries it, encrypted for the session.
struct PendingSetup {
    /// The new secret.
    key: Vec<u8>,
    expires_at: Millis,
    /// Fingerprint of the codes that the setup replaces, so that it is confirmed at most once.
    replaces: TokenDigest,
}

impl PendingSetup {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.expires_at.to_be_bytes()[..], &self.replaces, &self.key].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (expires_at, rest) = bytes.split_first_chunk()?;
        let (replaces, key) = rest.split_first_chunk()?;
        Some(Self { key: key.to_vec(), expires_at: Millis::from_be_bytes(*expires_at), replaces: *replaces })
    }
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
        return profile::profile_page(&admin, &page_request.state, vec![FormError { field: "own", sentence }]);
    }
    let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let key = &chance[..SECRET_BYTES];
    let id = &admin.signed.admin;
    let replaces = page_request.read_inline(|at| one_time_codes::fingerprint_codes(at, id))?;
    let setup = PendingSetup { key: key.to_vec(), expires_at: clock::current_millis() + SETUP_AGE_MAX, replaces };
    let sealed = seal_text(&page_request.state.signing.key, SETUP, &admin.signed.session, setup.to_bytes())?;
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
    let opened = open_sealed(&page_request.state.signing.key, SETUP, &admin.signed.session, &bytes);
    let Some(PendingSetup { key, expires_at, replaces }) = opened.as_deref().and_then(PendingSetup::from_bytes) else {
        return Err(PageError::ForeignForm);
    };
    let now = clock::current_millis();
    if expires_at <= now {
        return Err(Error::new(Reason::CodesSetupUsed).into());
    }
    let Some(step) = totp::find_time_step(&key, &fields.code, now) else {
        let sentence = texts::sign_in::CODE_NOT_PRESENT.to_owned();
        let problems = vec![FormError { field: "code", sentence }];
        return Ok(render_page(422, &TotpSetupPage::new(&admin, &key, fields.sealed, problems)));
    };
    if !page_request.state.limits.used_attempts.use_attempt(
        secret::digest_text(&URL_SAFE_NO_PAD.encode(&bytes)),
        now,
        expires_at,
    ) {
        return Err(Error::new(Reason::CodesSetupUsed).into());
    }
    let sealed_key = seal_text(&page_request.state.signing.key, ONE_TIME_CODES_PURPOSE, &admin.signed.admin, key)?;
    let mut recovery_codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
        recovery_codes.push(totp::encode_base32(&chance[..RECOVERY_BYTES]));
    }
    let (context, id) = (admin.context, admin.signed.admin.clone());
    let digests: Vec<TokenDigest> = recovery_codes.iter().map(|code| recovery_digest(&id, code)).collect();
    let enable = move |tx: &Tx<'_>| {
        let setup = CodesSetup { sealed_secret: &sealed_key, confirmed_step: step, recovery: &digests, replaces };
        one_time_codes::enable_codes(tx, &context, &id, &setup)
    };
    page_request.write(enable).await?;
    let layout = PageLayout::new(texts::sign_in::STORE_RECOVERY_CODES, Some(&admin.signed), NavigationEntry::NoSection);
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
        return profile::profile_page(&admin, &page_request.state, vec![FormError { field: "own", sentence }]);
    }
    let (context, id) = (admin.context, admin.signed.admin);
    page_request.write(move |tx| one_time_codes::disable_codes(tx, &context, &id)).await?;
    Ok(redirect_to("/profile?done=codes-off").finish())
}

/// `POST /profile/wrong-codes`: the admin has seen the notice of wrong codes.
pub(crate) async fn confirm_wrong_codes(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<CodeForm>(&admin.signed).await?;
    let id = admin.signed.admin;
    page_request.write(move |tx| one_time_codes::confirm_wrong_codes(tx, &id)).await?;
    Ok(redirect_to("/profile").finish())
}

/// Redirects to the page that asks for the code, after the right password. The cookie is bound to the password, so it
/// becomes invalid when the password changes. `links` is whether the code confirms the link of an identity too. Answers
/// 429 if codes of the admin are refused at the time.
pub(super) async fn ask_for_code(
    page_request: &PageRequest,
    found: &AdminCredentials,
    next: Option<&str>,
    links: bool,
) -> PageResult {
    let state = &page_request.state;
    let secret = BearerToken::generate_session().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let (digest, admin) = (secret.digest(), found.admin.id.clone());
    if let Some(until) = page_request.write(move |tx| one_time_codes::start_claim(tx, &digest, &admin)).await? {
        state.metrics.record_sign_in(SignInOutcome::Throttled);
        record_failed_sign_in(page_request, Some(&found.admin), "throttled");
        return Ok(blocked_page(until - clock::current_millis()));
    }
    let purpose = if links { LINKS } else { SIGNS_IN };
    let claim = format!("{} {} {} {purpose}", found.admin.id, credentials_fingerprint(found), secret.reveal());
    let sealed = seal_text(&state.signing.key, "signing in", "", claim.into_bytes())?;
    let seconds = one_time_codes::CLAIM_AGE_MAX / 1000;
    let cookie = cookies::new_cookie(&state.server, COOKIE, URL_SAFE_NO_PAD.encode(sealed), seconds);
    let next = forms::encode_query(forms::local_path(next));
    Ok(redirect_to(&format!("/login/code?next={next}")).cookie(cookie).finish())
}

#[derive(Template)]
#[template(path = "portal/codes_blocked.html")]
struct CodesBlockedPage {
    layout: PageLayout,
    minutes: i64,
}

/// The page for an admin whose codes are refused for the given time, in milliseconds.
fn blocked_page(wait: Millis) -> HttpResponse {
    let layout = PageLayout::new(texts::sign_in::TOO_MANY_WRONG_CODES, None, NavigationEntry::NoSection);
    let mut response = render_page(429, &CodesBlockedPage { layout, minutes: (wait / 60_000 + 1).max(1) });
    response.headers_mut().insert(RETRY_AFTER, (wait / 1000 + 1).max(1).into());
    response
}

fn credentials_fingerprint(found: &AdminCredentials) -> String {
    URL_SAFE_NO_PAD.encode(secret::digest_text(found.password_digest.as_deref().unwrap_or_default()))
}

/// A sign-in whose password was right.
struct PendingSignIn {
    found: AdminCredentials,
    /// Digest of the claim.
    claim: TokenDigest,
    /// Whether the code confirms the link of an identity too.
    links: bool,
}

/// The sign-in of this browser whose password was right within the time limit, or `None`.
fn find_pending_sign_in(page_request: &PageRequest) -> Result<Option<PendingSignIn>, PageError> {
    let Some(cookie) = cookies::find_cookie(&page_request.request, COOKIE) else { return Ok(None) };
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).unwrap_or_default();
    let claim = open_sealed(&page_request.state.signing.key, "signing in", "", &sealed)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(claim) = claim else { return Ok(None) };
    let parts: Vec<&str> = claim.split(' ').collect();
    let [id, print, secret, purpose] = parts[..] else { return Ok(None) };
    let (claim, now) = (secret::digest_text(secret), clock::current_millis());
    let (found, is_live) = page_request.read_inline(|at| {
        Ok((admins::find_credentials_by_id(at, id)?, one_time_codes::is_live_claim(at, &claim, id, now)?))
    })?;
    let found = found.filter(|found| is_live && credentials_fingerprint(found) == print);
    Ok(found.map(|found| PendingSignIn { found, claim, links: purpose == LINKS }))
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
    let layout = PageLayout::new(texts::sign_in::YOUR_CODE, None, NavigationEntry::NoSection);
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
    let pending = find_pending_sign_in(&page_request)?;
    let typed: TypedCode = page_request.form_without_session().await?;
    let (request, state) = (&page_request.request, &page_request.state);
    let Some(PendingSignIn { found, claim, links }) = pending else { return Ok(redirect_to("/login").finish()) };
    let id = found.admin.id.clone();
    let request_link = find_link_request(&page_request).filter(|request| links && request.link.admin == id);
    if links && request_link.is_none() {
        return Ok(redirect_to("/login").finish());
    }
    let key =
        found.totp_secret.and_then(|sealed| open_sealed(&state.signing.key, ONE_TIME_CODES_PURPOSE, &id, &sealed));
    let step = key.and_then(|key| totp::find_time_step(&key, &typed.code, clock::current_millis()));
    let attempt = CodeAttempt { admin: id.clone(), claim, step, recovery: recovery_digest(&id, &typed.code) };
    let (cookie, digest, session) = session::begin_session(request, &state.server, &id)?;
    let from = session::sign_in_origin(request);
    let context = from.audit_context(&id, &found.admin.email);
    let link = request_link.map(|request| request.link);
    let written = page_request.write(move |tx| {
        let outcome = one_time_codes::redeem_code(tx, &context, &attempt)?;
        if outcome == CodeOutcome::Right {
            link.iter().try_for_each(|link| sso::confirm_link(tx, &from, link))?;
            sessions::start_session(tx, &digest, &session)?;
        }
        Ok(outcome)
    });
    let next = typed.next.as_deref();
    let spent = cookies::expired_cookie(&state.server, COOKIE);
    match written.await? {
        CodeOutcome::Right => {
            state.metrics.record_sign_in(SignInOutcome::Done);
            let mut response = redirect_to(forms::local_path(next));
            response.cookie(cookie).cookie(spent).cookie(expired_link_cookie(&state.server));
            add_device_cookie(&mut response, &page_request, &id);
            Ok(response.finish())
        }
        CodeOutcome::Wrong => {
            record_failed_sign_in(&page_request, Some(&found.admin), "wrong_code");
            state.metrics.record_sign_in(SignInOutcome::Rejected);
            let sentence = texts::sign_in::WRONG_CODE;
            Ok(code_page(401, next, Some(sentence)))
        }
        CodeOutcome::PasswordRequired => {
            record_failed_sign_in(&page_request, Some(&found.admin), "wrong_code");
            state.metrics.record_sign_in(SignInOutcome::Rejected);
            Ok(redirect_to("/login?with=new-password-check").cookie(spent).finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_has_a_quiet_zone_and_its_finder_patterns() {
        let image = QrImage::from_text("otpauth://totp/Rollcall:ada%40example.com?secret=JBSWY3DPEHPK3PXP").unwrap();
        let width = image.size - 2 * QUIET_ZONE;
        assert!(width >= 21 && (width - 21).is_multiple_of(4), "{width}");
        // The first row begins and ends with a finder pattern of seven modules.
        let right = QUIET_ZONE + width - 7;
        assert!(image.path.starts_with("M4 4h7v1h-7z") && image.path.contains(&format!("M{right} 4h7v1h-7z")));
        assert!(QrImage::from_text(&"x".repeat(10_000)).is_none());
    }
}
