//! A token that was just made may be seen again for five minutes, in the same browser: a slip of the hand is no disaster.
//! It is sealed in the session's row; the key is only in a cookie, so neither of the two opens it alone.

use actix_web::cookie::Cookie;

use super::page::Refusal;
use super::session::{self, Signed, Visit};
use crate::clock;
use crate::error::Error;
use crate::secret::sealed::Sealer;
use crate::secret::{self, Token};
use crate::store::{Undo, sessions};
use crate::web::state::State;

/// How long it may be seen.
const SECONDS: i64 = 5 * 60;

const COOKIE: &str = "rc_once";

/// Keeps a secret for one configuration and gives the cookie that opens it.
pub(super) async fn keep(
    state: &State,
    signed: &Signed,
    configuration_id: &str,
    text: &str,
) -> Result<Cookie<'static>, Refusal> {
    let (key, chance) =
        Token::generate_session().and_then(|key| Ok((key, secret::random_bytes()?))).map_err(|_| Error::Busy)?;
    let sealer = Sealer::new(key.reveal(), &context(signed, configuration_id));
    let sealed = sealer.seal(&chance, text.as_bytes().to_vec()).ok_or(Error::Busy)?;
    let (session, until) = (signed.session.clone(), clock::now() + SECONDS * 1000);
    state.store.write(Undo::Savepoint, move |tx| sessions::set_shown_once(tx, &session, &sealed, until)).await?;
    Ok(session::cookie(state, COOKIE, key.reveal().to_owned(), SECONDS))
}

/// What was kept for that configuration, while it may be seen.
pub(super) fn reveal(visit: &Visit, signed: &Signed, configuration_id: &str) -> Result<Option<String>, Refusal> {
    let Some(key) = visit.request.cookie(COOKIE) else { return Ok(None) };
    let now = clock::now();
    let sealed = visit.state.store.read_inline(|at| sessions::shown_once(at, &signed.session, now))?;
    let opened = sealed.and_then(|sealed| Sealer::new(key.value(), &context(signed, configuration_id)).open(&sealed));
    Ok(opened.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn context(signed: &Signed, configuration_id: &str) -> [u8; 32] {
    secret::digest(&format!("shown once {} {configuration_id}", signed.session))
}
