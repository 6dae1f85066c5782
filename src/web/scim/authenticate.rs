//! Authentication of SCIM callers by bearer token, before the rest of the request is processed.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;

use super::route::ScimRoute;
use crate::auth::secret;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::request_log::CallTarget;
use crate::model::ids;
use crate::model::request::TokenRefusal;
use crate::model::rights::TokenRights;
use crate::provisioning::scope::{self, Scope};
use crate::scim::schema::ResourceType;
use crate::store::Snapshot;
use crate::web::request_log::CallerIdentity;
use crate::web::state::AppState;

/// Longest accepted token.
pub(crate) const TOKEN_MAX_BYTES: usize = 512;

/// A caller with a valid token of the configuration in the path.
pub(super) struct TokenCaller {
    pub(super) scope: Scope,
    pub(super) token: String,
    pub(super) rights: TokenRights,
}

impl TokenCaller {
    /// Returns the resource types that the token may read.
    pub(super) fn visible_types(&self) -> Vec<Arc<ResourceType>> {
        self.scope.types.iter().filter(|resource_type| self.rights.covers(&resource_type.name)).cloned().collect()
    }
}

/// Content of the Authorization header.
pub(super) enum BearerCredentials {
    /// No header.
    None,
    /// A header without a usable bearer token, and the reason.
    Invalid(TokenRefusal),
    /// A bearer token.
    Token(String),
}

/// Result of the authentication.
pub(super) enum TokenAuthentication<T> {
    /// A caller with a valid token of the configuration in the path, and what was read for it.
    Caller(TokenCaller, T),
    /// Any other caller. All of them get the same response; only the request log of the configuration has the reason.
    /// None if neither path nor token identifies a configuration.
    Unauthenticated(Option<CallerIdentity>),
}

/// Reads the Authorization header. RFC 6750: the scheme is case-insensitive, followed by one token. Several headers are
/// malformed.
pub(super) fn read_credentials(request: &HttpRequest) -> BearerCredentials {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (headers.next(), headers.next());
    let Some(header) = first else { return BearerCredentials::None };
    match header.to_str().map_err(|_| TokenRefusal::Malformed).and_then(parse_bearer) {
        Ok(_) if second.is_some() => BearerCredentials::Invalid(TokenRefusal::Malformed),
        Ok(token) => BearerCredentials::Token(token.to_owned()),
        Err(refusal) => BearerCredentials::Invalid(refusal),
    }
}

/// Returns the token in the header.
fn parse_bearer(header: &str) -> std::result::Result<&str, TokenRefusal> {
    let header = header.trim();
    let Some((scheme, token)) = header.split_once(' ') else {
        let is_bare = !header.is_empty() && !header.eq_ignore_ascii_case("bearer");
        return Err(if is_bare { TokenRefusal::NoScheme } else { TokenRefusal::Malformed });
    };
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_MAX_BYTES {
        return Err(TokenRefusal::Malformed);
    }
    match token.split_once(' ') {
        None => Ok(token),
        Some((first, _)) if first.eq_ignore_ascii_case("bearer") => Err(TokenRefusal::DoubleBearer),
        Some(_) => Err(TokenRefusal::Malformed),
    }
}

/// Authenticates a caller by its token. A configuration in the path must match the token. `read` runs in the same
/// snapshot for a caller with a valid token.
///
/// # Errors
/// Errors of the store.
pub(super) fn authenticate_caller<T>(
    state: &AppState,
    credentials: &BearerCredentials,
    configuration: Option<&str>,
    read: impl FnOnce(&Snapshot<'_>, &TokenCaller) -> T,
) -> Result<TokenAuthentication<T>> {
    let token = match credentials {
        BearerCredentials::Token(token) => token,
        BearerCredentials::Invalid(refusal) => {
            return Ok(TokenAuthentication::Unauthenticated(unauthenticated_caller(
                configuration,
                None,
                Some(*refusal),
            )));
        }
        BearerCredentials::None => {
            return Ok(TokenAuthentication::Unauthenticated(unauthenticated_caller(
                configuration,
                None,
                Some(TokenRefusal::NoToken),
            )));
        }
    };
    let digest = secret::digest_text(token);
    state.store.read_inline(|at| {
        let found = scope::find_token(at, &digest)?;
        match found {
            Some(row) if configuration.is_none_or(|id| row.configuration_id == id) => {
                let Some(refusal) = scope::check_token(&row, clock::current_millis()) else {
                    let scope = state.scopes.load(at, &row)?;
                    let caller = TokenCaller { scope, token: row.token, rights: row.rights };
                    let read = read(at, &caller);
                    return Ok(TokenAuthentication::Caller(caller, read));
                };
                let (target, hint) = (CallTarget::Key(row.configuration), token_hint(token));
                let refusal = Some(refusal);
                Ok(TokenAuthentication::Unauthenticated(Some(CallerIdentity::Unauthenticated {
                    configuration: target,
                    token: Some(row.token),
                    hint,
                    refusal,
                })))
            }
            Some(_) => Ok(TokenAuthentication::Unauthenticated(unauthenticated_caller(
                configuration,
                token_hint(token),
                Some(TokenRefusal::OtherConfiguration),
            ))),
            None => {
                let hint = token_hint(token);
                let refusal = if hint.is_some() { TokenRefusal::UnknownToken } else { TokenRefusal::ForeignToken };
                Ok(TokenAuthentication::Unauthenticated(unauthenticated_caller(configuration, hint, Some(refusal))))
            }
        }
    })
}

/// Returns the last four characters of a token of our format.
fn token_hint(token: &str) -> Option<String> {
    let is_ours = token.starts_with(secret::PREFIX) && token.is_ascii() && token.len() > secret::PREFIX.len() + 8;
    is_ours.then(|| token[token.len() - 4..].to_owned())
}

/// Returns the log entry of an unauthenticated caller, if the path contains a configuration id.
pub(super) fn unauthenticated_caller(
    configuration: Option<&str>,
    hint: Option<String>,
    refusal: Option<TokenRefusal>,
) -> Option<CallerIdentity> {
    let id = configuration.filter(|id| ids::is_id(id))?;
    Some(CallerIdentity::Unauthenticated { configuration: CallTarget::Id(id.to_owned()), token: None, hint, refusal })
}

/// Checks the rights of the token (RFC 7644 section 2: an authenticated caller also needs authorization).
///
/// # Errors
/// 403 with the rights of the token.
pub(super) fn check_rights(rights: TokenRights, route: &ScimRoute, method: &Method) -> std::result::Result<(), Error> {
    if route.writes(method) && !rights.may_write() {
        return Err(Error::new(Reason::TokenReadOnly));
    }
    route.resource_type().map_or(Ok(()), |resource_type| check_type_rights(rights, resource_type))
}

/// Checks the rights of the token for one resource type.
///
/// # Errors
/// 403 with the rights of the token.
pub(super) fn check_type_rights(rights: TokenRights, resource_type: &ResourceType) -> std::result::Result<(), Error> {
    if rights.covers(&resource_type.name) {
        return Ok(());
    }
    Err(Reason::TokenTypeForbidden.with("rights", rights).with("endpoint", &resource_type.endpoint))
}

/// Returns the 401 error for every unauthenticated caller; it does not reveal the reason.
pub(super) fn unauthorized_error() -> Error {
    Error::new(Reason::ScimTokenRequired)
}
