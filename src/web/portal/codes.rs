//! One-time codes: switched on and off in one's profile, and asked for on a second page when somebody signs in.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{self, Anybody, Visit};
use super::{form, profile};
use crate::clock::{self, Millis};
use crate::directory::codes;
use crate::error::Error;
use crate::secret::{self, TokenDigest, totp};
use crate::store::admins::Credentials;
use crate::store::{Undo, admins as rows, sessions};
use crate::web::frame;
use crate::web::metrics::SignIn;
use crate::web::state::State;

/// How long somebody may take to type the code.
const PATIENCE_SECONDS: i64 = 5 * 60;
/// Bytes of a secret (RFC 4226 section 4, requirement 6).
const SECRET_BYTES: usize = 20;
/// Bytes of a recovery code: nobody guesses it, and it can be typed.
const RECOVERY_BYTES: usize = 10;
const RECOVERY_CODES: usize = 10;
/// Says which person has given the right password, until the code is given too.
const COOKIE: &str = "rc_code";

#[derive(Template)]
#[template(path = "portal/codes.html")]
struct CodesPage {
    layout: Layout,
    /// The secret in base32, and the same as the address that apps read.
    secret: String,
    address: String,
    /// The secret as the next form brings it back.
    sealed: String,
    problems: Vec<Problem>,
}

impl CodesPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn of(person: &Anybody, key: &[u8], sealed: String, problems: Vec<Problem>) -> Self {
        let layout = Layout::new("Set up one-time codes", Some(&person.signed), Place::Elsewhere);
        let secret = totp::base32(key);
        let name = form::encoded(&person.signed.email);
        let address = format!("otpauth://totp/Rollcall:{name}?secret={secret}&issuer=Rollcall");
        Self { layout, secret, address, sealed, problems }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    present: String,
    sealed: String,
    code: String,
}

fn sealed(state: &State, kind: &str, about: &str, text: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let chance = secret::random_bytes().map_err(|_| Error::Busy)?;
    let sealed = state.callers.signing_key.sealer(kind, about).seal(&chance, text);
    sealed.ok_or_else(|| Error::Busy.into())
}

fn opened(state: &State, kind: &str, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    state.callers.signing_key.sealer(kind, about).open(sealed)
}

/// `POST /profile/codes`: a new secret, which counts only once a code of it was given.
pub(super) async fn begin(person: Anybody, visit: Visit) -> Shown {
    let address = frame::address(&visit.request);
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    if let Err(sentence) = profile::is_own(&person, &state, &fields.present, address).await? {
        return profile::profile_page(&person, &state, vec![Problem { field: "own", sentence }]);
    }
    let chance = secret::random_bytes().map_err(|_| Error::Busy)?;
    let key = &chance[..SECRET_BYTES];
    let sealed = sealed(&state, "new one-time codes", &person.signed.session, key.to_vec())?;
    Ok(page(200, &CodesPage::of(&person, key, URL_SAFE_NO_PAD.encode(sealed), Vec::new())))
}

#[derive(Template)]
#[template(path = "portal/recovery.html")]
struct RecoveryPage {
    layout: Layout,
    codes: Vec<String>,
}

/// `POST /profile/codes/confirm`: the first code; from here on signing in asks for one.
pub(super) async fn confirm(person: Anybody, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let bytes = URL_SAFE_NO_PAD.decode(&fields.sealed).unwrap_or_default();
    let Some(key) = opened(&state, "new one-time codes", &person.signed.session, &bytes) else {
        return Err(Refusal::ForeignForm);
    };
    let Some(step) = totp::step_of(&key, &fields.code, clock::now()) else {
        let sentence = "This is not the present code. Look whether the clock of the device is right.".to_owned();
        let problems = vec![Problem { field: "code", sentence }];
        return Ok(page(422, &CodesPage::of(&person, &key, fields.sealed, problems)));
    };
    let kept = sealed(&state, "one-time codes", &person.signed.admin, key)?;
    let mut shown = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let chance = secret::random_bytes().map_err(|_| Error::Busy)?;
        shown.push(totp::base32(&chance[..RECOVERY_BYTES]));
    }
    let (by, id) = (person.by, person.signed.admin.clone());
    let digests: Vec<TokenDigest> = shown.iter().map(|code| recovery_digest(&id, code)).collect();
    let written =
        state.store.write(Undo::Savepoint, move |tx| codes::switch_on(tx, &by, &id, &kept, step, &digests)).await;
    written?;
    let layout = Layout::new("Keep your recovery codes", Some(&person.signed), Place::Elsewhere);
    Ok(page(200, &RecoveryPage { layout, codes: shown }))
}

/// What is kept of a recovery code. Case, blanks and dashes do not count.
fn recovery_digest(admin: &str, typed: &str) -> TokenDigest {
    let plain: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    secret::digest(&format!("recovery {admin} {}", plain.to_ascii_uppercase()))
}

/// `POST /profile/codes/off`
pub(super) async fn switch_off(person: Anybody, visit: Visit) -> Shown {
    let address = frame::address(&visit.request);
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    if let Err(sentence) = profile::is_own(&person, &state, &fields.present, address).await? {
        return profile::profile_page(&person, &state, vec![Problem { field: "own", sentence }]);
    }
    let (by, id) = (person.by, person.signed.admin);
    state.store.write(Undo::Savepoint, move |tx| codes::switch_off(tx, &by, &id)).await?;
    Ok(on_to("/profile?done=codes-off").finish())
}

/// On to the page that asks for the code of somebody whose password was right. The cookie dies with another password.
pub(super) fn ask(state: &State, found: &Credentials, next: Option<&str>) -> Result<HttpResponse, Refusal> {
    let claim = format!("{} {} {}", clock::now(), found.admin.id, fingerprint(found));
    let sealed = sealed(state, "signing in", "", claim.into_bytes())?;
    let cookie: Cookie<'static> = session::cookie(state, COOKIE, URL_SAFE_NO_PAD.encode(sealed), PATIENCE_SECONDS);
    let next = form::encoded(form::own_path(next));
    Ok(on_to(&format!("/login/code?next={next}")).cookie(cookie).finish())
}

fn fingerprint(found: &Credentials) -> String {
    URL_SAFE_NO_PAD.encode(secret::digest(found.password_digest.as_deref().unwrap_or_default()))
}

/// Whose password was right a short while ago, in this browser.
fn claimed(visit: &Visit) -> Result<Option<Credentials>, Refusal> {
    let Some(cookie) = visit.request.cookie(COOKIE) else { return Ok(None) };
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).unwrap_or_default();
    let claim = opened(&visit.state, "signing in", "", &sealed).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(claim) = claim else { return Ok(None) };
    let mut parts = claim.split(' ');
    let (Some(at), Some(id), Some(print)) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
    let is_fresh = at.parse::<Millis>().is_ok_and(|at| clock::now() - at <= PATIENCE_SECONDS * 1000);
    let found = visit.state.store.read_inline(|at| rows::credentials_by_id(at, id))?;
    Ok(found.filter(|found| is_fresh && found.admin.disabled_at.is_none() && fingerprint(found) == print))
}

#[derive(Template)]
#[template(path = "portal/sign_in_code.html")]
struct CodePage {
    layout: Layout,
    next: String,
    problem: Option<&'static str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed {
    code: String,
    next: Option<String>,
}

fn code_page(status: u16, next: Option<&str>, problem: Option<&'static str>) -> HttpResponse {
    let layout = Layout::new("Your one-time code", None, Place::Elsewhere);
    page(status, &CodePage { layout, next: form::own_path(next).to_owned(), problem })
}

/// `GET /login/code`
pub(super) async fn show(visit: Visit) -> Shown {
    let next = visit.query::<Typed>().next;
    Ok(match claimed(&visit)? {
        Some(_) => code_page(200, next.as_deref(), None),
        None => on_to("/login").finish(),
    })
}

/// `POST /login/code`
pub(super) async fn save(visit: Visit) -> Shown {
    form::check_origin(&visit.request, &visit.state.public_url())?;
    let (claimed, request, state) = (claimed(&visit)?, visit.request.clone(), visit.state.clone());
    let typed: Typed = form::fields(&request, visit.payload).await?;
    let Some(found) = claimed else { return Ok(on_to("/login").finish()) };
    let (next, id) = (typed.next.as_deref(), found.admin.id);
    let address = frame::address(&request);
    if state.guard.note_sign_in(&format!("code of {id}"), address).is_some() {
        state.metrics.note_sign_in(SignIn::Throttled);
        return Ok(code_page(429, next, Some("Too many tries. Wait a little, then try again.")));
    }
    let key = found.totp_secret.and_then(|sealed| opened(&state, "one-time codes", &id, &sealed));
    let step = key.and_then(|key| totp::step_of(&key, &typed.code, clock::now()));
    let recovery = recovery_digest(&id, &typed.code);
    let (cookie, digest, session) = session::begin(&request, &state, &id)?;
    let written = state.store.write(Undo::Savepoint, move |tx| {
        let is_right = codes::spend(tx, &id, step, &recovery)?;
        if is_right {
            rows::note_sign_in(tx, &id)?;
            sessions::insert(tx, &digest, &session)?;
        }
        Ok(is_right)
    });
    if !written.await? {
        state.metrics.note_sign_in(SignIn::Refused);
        return Ok(code_page(
            401,
            next,
            Some("This code is not right, or it was used already. Wait for the next one."),
        ));
    }
    state.metrics.note_sign_in(SignIn::Done);
    let spent = session::cookie(&state, COOKIE, String::new(), 0);
    Ok(on_to(form::own_path(next)).cookie(cookie).cookie(spent).finish())
}
