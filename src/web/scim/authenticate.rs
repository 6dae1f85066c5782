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
use crate::model::rights::{AccessRights, ResourceAction};
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
    pub(super) rights: AccessRights,
}

impl TokenCaller {
    /// Returns the resource types in the discovery documents of the token. Access tokens can always read these.
    pub(super) fn visible_types(&self) -> Vec<Arc<ResourceType>> {
        self.list_types(|name| self.rights.covers(name) || self.rights.are_from_scope())
    }

    /// Returns the resource types that the token may search together.
    ///
    /// # Errors
    /// 403 if there is none.
    pub(super) fn readable_types(&self) -> Result<Vec<Arc<ResourceType>>> {
        let types = self.list_types(|name| self.rights.allows(name, ResourceAction::Read));
        if types.is_empty() {
            return Err(report_scope(ResourceAction::Read, "/"));
        }
        Ok(types)
    }

    fn list_types(&self, is_listed: impl Fn(&str) -> bool) -> Vec<Arc<ResourceType>> {
        self.scope.types.iter().filter(|resource_type| is_listed(&resource_type.name)).cloned().collect()
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
                    let scope = Scope { token: Some(Arc::from(&*row.token)), ..state.scopes.load(at, &row)? };
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
    let is_ours = [secret::PREFIX, secret::ACCESS_PREFIX]
        .iter()
        .any(|prefix| token.starts_with(prefix) && token.is_ascii() && token.len() > prefix.len() + 8);
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
pub(super) fn check_rights(rights: AccessRights, route: &ScimRoute, method: &Method) -> std::result::Result<(), Error> {
    if rights.are_from_scope() {
        let action = route.action(method);
        // Each type of a common search, and each operation of a bulk request, is checked later.
        return route.resource_type().map_or(Ok(()), |resource_type| check_action(rights, resource_type, action));
    }
    if route.writes(method) && !rights.may_write() {
        return Err(Error::new(Reason::TokenReadOnly));
    }
    route.resource_type().map_or(Ok(()), |resource_type| check_type_rights(rights, resource_type))
}

/// Checks the rights of the token for one resource type.
///
/// # Errors
/// 403 with the rights of the token.
fn check_type_rights(rights: AccessRights, resource_type: &ResourceType) -> std::result::Result<(), Error> {
    if rights.covers(&resource_type.name) {
        return Ok(());
    }
    let rights = if rights.covers("User") { "users" } else { "groups" };
    Err(Reason::TokenTypeForbidden.with("rights", rights).with("endpoint", &resource_type.endpoint))
}

/// Checks the rights of the token for one action on a resource type.
///
/// # Errors
/// 403 with the rights of the token, or `insufficient_scope`.
pub(super) fn check_action(
    rights: AccessRights,
    resource_type: &ResourceType,
    action: ResourceAction,
) -> std::result::Result<(), Error> {
    if !rights.are_from_scope() {
        return check_type_rights(rights, resource_type);
    }
    if rights.allows(&resource_type.name, action) {
        return Ok(());
    }
    Err(report_scope(action, &resource_type.endpoint))
}

/// The error of an access token whose scope does not include an action (RFC 6750 section 3.1).
fn report_scope(action: ResourceAction, endpoint: &str) -> Error {
    Reason::ScopeInsufficient.with("action", action.as_str()).with("endpoint", endpoint)
}

/// Returns the 401 error for every unauthenticated caller; it does not reveal the reason.
pub(super) fn unauthorized_error() -> Error {
    Error::new(Reason::ScimTokenRequired)
}
