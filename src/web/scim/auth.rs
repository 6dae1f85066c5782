//! Who is calling: the bearer token decides, before anything else of the request is looked at.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;

use super::route::Route;
use crate::clock;
use crate::directory::Scope;
use crate::error::{Error, Result};
use crate::model::rights::Rights;
use crate::scim;
use crate::scim::schema::ResourceType;
use crate::secret;
use crate::store::tokens;
use crate::web::state::State;

/// Longest token that is looked up.
const TOKEN_MAX_BYTES: usize = 512;

/// A caller with a live token of the configuration in the path.
pub(super) struct Caller {
    pub(super) scope: Scope,
    pub(super) token: String,
    pub(super) rights: Rights,
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
        Ok(Caller { scope: state.scope(at, &row)?, token: row.token, rights: row.rights })
    })
}

/// Whether the token may do this (RFC 7644 section 2: who is known still needs the right).
///
/// # Errors
/// 403, in words that say what the token is for.
pub(super) fn check_rights(rights: Rights, route: &Route, method: &Method) -> std::result::Result<(), scim::Error> {
    if route.writes(method) && !rights.may_write() {
        return Err(scim::Error::plain(403, "this token may only read; use one with the right to write"));
    }
    route.of().map_or(Ok(()), |of| check_type(rights, of))
}

/// The same for one type of resource.
pub(super) fn check_type(rights: Rights, of: &ResourceType) -> std::result::Result<(), scim::Error> {
    if rights.covers(&of.name) {
        return Ok(());
    }
    Err(scim::Error::plain(403, format!("this token is for {rights} only and may not touch {}", of.endpoint)))
}

/// The answer to everybody who cannot be told apart from a stranger.
pub(super) fn unauthorized() -> scim::Error {
    scim::Error::plain(401, "the request needs the bearer token of this provisioning URL")
}
