//! Who is calling: the bearer token decides, before anything else of the request is looked at.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;

use super::route::Route;
use crate::clock::{self, Millis};
use crate::directory::Scope;
use crate::directory::requests::Of;
use crate::error::Result;
use crate::model::ids;
use crate::model::request::Refusal;
use crate::model::rights::Rights;
use crate::scim;
use crate::scim::schema::ResourceType;
use crate::secret;
use crate::store::tokens::{self, TokenRow};
use crate::web::requests::Who;
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
    /// A header that is no bearer token, and what is wrong with it.
    Unusable(Refusal),
    /// A token.
    Token(String),
}

/// Who is calling.
pub(super) enum Known {
    /// Somebody with a live token of the configuration in the path.
    Caller(Caller),
    /// Somebody else. All of them get the same answer; the log of the configuration tells them apart. There is none
    /// where neither path nor token leads to one.
    Stranger(Option<Who>),
}

/// Reads the header. RFC 6750: the scheme in any letter case, one token; two headers are no answer to who is calling.
pub(super) fn credentials(request: &HttpRequest) -> Credentials {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (headers.next(), headers.next());
    let Some(header) = first else { return Credentials::None };
    match header.to_str().map_err(|_| Refusal::Malformed).and_then(bearer) {
        Ok(_) if second.is_some() => Credentials::Unusable(Refusal::Malformed),
        Ok(token) => Credentials::Token(token.to_owned()),
        Err(refusal) => Credentials::Unusable(refusal),
    }
}

/// The token in the header.
fn bearer(header: &str) -> std::result::Result<&str, Refusal> {
    let header = header.trim();
    let Some((scheme, token)) = header.split_once(' ') else {
        let is_bare = !header.is_empty() && !header.eq_ignore_ascii_case("bearer");
        return Err(if is_bare { Refusal::NoScheme } else { Refusal::Malformed });
    };
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_MAX_BYTES {
        return Err(Refusal::Malformed);
    }
    match token.split_once(' ') {
        None => Ok(token),
        Some((first, _)) if first.eq_ignore_ascii_case("bearer") => Err(Refusal::DoubleBearer),
        Some(_) => Err(Refusal::Malformed),
    }
}

/// Finds out who is calling. The token decides; a configuration in the path must agree.
pub(super) fn authenticate(state: &State, credentials: &Credentials, configuration: Option<&str>) -> Result<Known> {
    let token = match credentials {
        Credentials::Token(token) => token,
        Credentials::Unusable(refusal) => return Ok(Known::Stranger(at_door(configuration, None, Some(*refusal)))),
        Credentials::None => return Ok(Known::Stranger(at_door(configuration, None, Some(Refusal::NoToken)))),
    };
    let digest = secret::digest(token);
    state.store.read_inline(|at| {
        let found = tokens::authenticate(at, &digest)?;
        match found {
            Some(row) if configuration.is_none_or(|id| row.configuration_id == id) => {
                let Some(refusal) = refusal(&row, clock::now()) else {
                    return Ok(Known::Caller(Caller {
                        scope: state.scope(at, &row)?,
                        token: row.token,
                        rights: row.rights,
                    }));
                };
                let (of, hint) = (Of::Key(row.configuration), hint(token));
                let refusal = Some(refusal);
                Ok(Known::Stranger(Some(Who::Stranger { of, token: Some(row.token), hint, refusal })))
            }
            Some(_) => Ok(Known::Stranger(at_door(configuration, hint(token), Some(Refusal::OtherConfiguration)))),
            None => {
                let hint = hint(token);
                let refusal = if hint.is_some() { Refusal::UnknownToken } else { Refusal::ForeignToken };
                Ok(Known::Stranger(at_door(configuration, hint, Some(refusal))))
            }
        }
    })
}

/// Why a token of the configuration in the path does not open it.
fn refusal(row: &TokenRow, now: Millis) -> Option<Refusal> {
    if row.is_live(now) {
        return None;
    }
    Some(if row.revoked_at.is_some() { Refusal::RevokedToken } else { Refusal::ExpiredToken })
}

/// The last characters of a token of our form.
fn hint(token: &str) -> Option<String> {
    let is_ours = token.starts_with(secret::PREFIX) && token.is_ascii() && token.len() > secret::PREFIX.len() + 8;
    is_ours.then(|| token[token.len() - 4..].to_owned())
}

/// Somebody without a right token at the configuration that the path names.
pub(super) fn at_door(configuration: Option<&str>, hint: Option<String>, refusal: Option<Refusal>) -> Option<Who> {
    let id = configuration.filter(|id| ids::is_id(id))?;
    Some(Who::Stranger { of: Of::Id(id.to_owned()), token: None, hint, refusal })
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
