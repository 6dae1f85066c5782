//! A new secret can be shown again for five minutes in the same browser, so that a reload does not lose it. It is
//! encrypted in the session's row and the key is only in a cookie: neither of the two reveals the secret alone.

use actix_web::cookie::Cookie;

use crate::auth::secret::sealed::Sealer;
use crate::auth::secret::{self, BearerToken};
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::sessions::{self, OneTimeSecret};
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::timestamps::PageTime;
use crate::web::state::ServerContext;

/// How long the secret can be shown, in seconds.
const SHOW_SECONDS: i64 = 5 * 60;

const COOKIE: &str = "rc_once";

/// Encrypts a secret for one context, such as a configuration id. Returns it for the transaction that creates the
/// credential, and the cookie with the key.
///
/// # Errors
/// `Unavailable` if there are no random numbers.
pub(super) fn seal_secret(
    server: &ServerContext,
    signed: &SignedIn,
    configuration_id: &str,
    text: &str,
) -> Result<(OneTimeSecret, Cookie<'static>), PageError> {
    let (key, chance) = BearerToken::generate_session()
        .and_then(|key| Ok((key, secret::random_bytes()?)))
        .map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let sealer = Sealer::new(key.reveal(), &secret_context(signed, configuration_id));
    let sealed = sealer.seal(&chance, text.as_bytes().to_vec()).ok_or(Error::new(Reason::ServerBusy))?;
    let until = clock::current_millis() + SHOW_SECONDS * 1000;
    let secret = OneTimeSecret { session: signed.session.clone(), sealed, until };
    Ok((secret, cookies::new_cookie(server, COOKIE, key.reveal().to_owned(), SHOW_SECONDS)))
}

/// Returns the secret stored for that context, or `None` after five minutes or without the cookie.
///
/// # Errors
/// The errors of the database.
pub(super) fn reveal_secret(
    page_request: &PageRequest,
    signed: &SignedIn,
    configuration_id: &str,
) -> Result<Option<String>, PageError> {
    let Some(key) = cookies::find_cookie(&page_request.request, COOKIE) else { return Ok(None) };
    let now = clock::current_millis();
    let sealed = page_request.read_inline(|at| sessions::find_one_time_secret(at, &signed.session, now))?;
    let opened =
        sealed.and_then(|sealed| Sealer::new(key.value(), &secret_context(signed, configuration_id)).open(&sealed));
    Ok(opened.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// Returns until when the secret of the session can be shown.
///
/// # Errors
/// The errors of the database.
pub(super) fn find_end(page_request: &PageRequest, signed: &SignedIn) -> Result<Option<PageTime>, PageError> {
    let now = clock::current_millis();
    let end = page_request.read_inline(|at| sessions::find_one_time_secret_end(at, &signed.session, now))?;
    Ok(end.map(PageTime::from_millis))
}

fn secret_context(signed: &SignedIn, configuration_id: &str) -> [u8; 32] {
    secret::digest_text(&format!("shown once {} {configuration_id}", signed.session))
}
