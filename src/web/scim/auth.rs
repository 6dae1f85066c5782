//! Who is calling: the bearer token decides, before anything else of the request is looked at.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use crate::clock;
use crate::directory::Scope;
use crate::error::{Error, Result};
use crate::scim;
use crate::secret;
use crate::store::tokens;
use crate::web::state::State;

/// Longest token that is looked up.
const TOKEN_MAX_BYTES: usize = 512;

/// A caller with a live token of the configuration in the path.
pub(super) struct Caller {
    pub(super) scope: Scope,
    pub(super) token: String,
}

/// What the Authorization header holds.
pub(super) enum Credentials {
    /// No header at all.
    None,
    /// A header that is no bearer token.
    Unusable,
    /// A token.
    Token(String),
}

/// Reads the header. RFC 6750: the scheme in any letter case, one token; two headers are no answer to who is calling.
pub(super) fn credentials(request: &HttpRequest) -> Credentials {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (headers.next(), headers.next());
    let Some(header) = first else { return Credentials::None };
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.trim().split_once(' ')?;
        let token = token.trim();
        let usable = !token.is_empty() && token.len() <= TOKEN_MAX_BYTES && !token.contains(' ');
        (scheme.eq_ignore_ascii_case("bearer") && usable).then(|| token.to_owned())
    });
    match token {
        Some(token) if second.is_none() => Credentials::Token(token),
        _ => Credentials::Unusable,
    }
}

/// Finds out who is calling. The token decides; a configuration in the path must agree.
///
/// # Errors
/// The one 401, whether there is no token, a wrong, revoked or expired one, one of another configuration, or no
/// such configuration.
pub(super) fn authenticate(state: &State, credentials: &Credentials, configuration: Option<&str>) -> Result<Caller> {
    let Credentials::Token(token) = credentials else { return Err(unauthorized().into()) };
    let digest = secret::digest(token);
    state.store.read_inline(|at| {
        let found = tokens::authenticate(at, &digest)?;
        let live =
            found.filter(|row| row.is_live(clock::now()) && configuration.is_none_or(|id| row.configuration_id == id));
        let row = live.ok_or_else(|| Error::from(unauthorized()))?;
        Ok(Caller { scope: state.scope(at, &row)?, token: row.token })
    })
}

/// The answer to everybody who cannot be told apart from a stranger.
pub(super) fn unauthorized() -> scim::Error {
    scim::Error::plain(401, "the request needs the bearer token of this provisioning URL")
}
