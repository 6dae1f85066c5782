//! Authorization of callers. A handler with an [`AllowedCaller`] argument only runs for callers that have the permission.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::error::Reason;
use crate::management::accounts::{self, account_scope};
use crate::management::instance;
use crate::model::account::{AccountRef, AccountState};
use crate::model::audit_context::{AccountScope, AuditContext, Authority};
use crate::model::permission::Permissions;
use crate::store::{Store, WorkOwner};
use crate::web::api::authenticate::{self, AuthenticatedCaller};
use crate::web::api::query_parameters::check_query;
use crate::web::api::response::ApiError;
use crate::web::login_throttle::LoginThrottle;
use crate::web::network;
use crate::web::request_middleware;
use crate::web::request_owner::record_request_owner;
pub(super) use crate::web::required_permission::{
    Audit, Create, Delete, Directory, ErasePersonalData, ExportPersonalData, MintTokens, OperatorOnly, Read, Requests,
    RequiredPermission, RestoreDeleted, System, Tokens, Webhooks,
};
use crate::web::sign_in_failures::log_failed_sign_in;
use crate::web::state::AppState;

/// Selects the account: any account for the operator, one of their own accounts for users.
pub(super) const TENANT_HEADER: HeaderName = HeaderName::from_static("frontegg-tenant-id");
/// Alternative header for the environment token, used by some clients.
pub(super) const ACCESS_TOKEN_HEADER: HeaderName = HeaderName::from_static("x-access-token");
/// Maximum length of a credential. User tokens carry many claims.
pub(crate) const CREDENTIAL_MAX_BYTES: usize = 16 * 1024;

/// A caller that has the permission `N`.
pub(super) struct AllowedCaller<N> {
    /// Actor, network address, request id and account scope of the call.
    pub(super) context: AuditContext,
    /// All permissions of the caller.
    pub(super) permissions: Permissions,
    /// Whether the caller belongs to no account.
    pub(super) is_operator: bool,
    needs: PhantomData<N>,
}

impl<N> AllowedCaller<N> {
    /// Returns the accounts that the call may access.
    pub(super) fn account_scope(&self) -> AccountScope {
        self.context.scope.clone()
    }
}

impl<N: RequiredPermission> FromRequest for AllowedCaller<N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authorize_request::<N>(&request).await })
    }
}

/// Returns the caller of a request that has waited. Its credential can have ended since it was authenticated.
///
/// # Errors
/// 401 without a valid credential, 403 without the permission.
pub(super) async fn authorize_again<N: RequiredPermission>(
    request: &HttpRequest,
) -> Result<AllowedCaller<N>, ApiError> {
    request.extensions_mut().remove::<AuthenticatedCaller>();
    authorize_request::<N>(request).await
}

async fn authorize_request<N: RequiredPermission>(request: &HttpRequest) -> Result<AllowedCaller<N>, ApiError> {
    let state = request.app_data::<Data<AppState>>().ok_or(Reason::ServerNotReady)?;
    let caller = authenticate_caller(request, state).await?;
    let is_operator = caller.accounts.is_none();
    if N::OPERATOR_ONLY && !is_operator {
        return Err(Reason::OperatorOnly.into());
    }
    if let Some(missing) = N::find_missing(caller.permissions) {
        let key = missing.token_key().map(|key| format!(" ({key})")).unwrap_or_default();
        return Err(Reason::PermissionMissing.with("permission", format_args!("{missing}{key}")).into());
    }
    check_query(request)?;
    let scope = resolve_account_scope(request, &state.store, caller.accounts.as_deref())?;
    check_account_state(request, &state.store, &scope, is_operator)?;
    let context = AuditContext {
        scope,
        actor: caller.actor,
        authority: Authority { permissions: caller.permissions, expires_at: caller.expires_at },
        address: request_middleware::caller_address_text(request),
        request_id: request_middleware::find_request_id(request),
    };
    Ok(AllowedCaller { context, permissions: caller.permissions, is_operator, needs: PhantomData })
}

/// Rejects users and API keys of accounts while the operator has switched self-service off.
///
/// # Errors
/// 403 while self-service is off.
pub(super) fn require_self_service(store: &Store) -> Result<(), ApiError> {
    if store.read_inline(instance::is_self_service_enabled)? {
        return Ok(());
    }
    Err(Reason::SelfServiceOff.into())
}

/// Returns the account scope of the call. The header of a user can only select one of the user's own accounts. What the
/// operator reads can be of a deleted account, like with the filter `account`.
///
/// # Errors
/// 400 for an empty header, and for two of them, which could otherwise select all accounts by mistake. 403 for an account of others.
pub(super) fn resolve_account_scope(
    request: &HttpRequest,
    store: &Store,
    accounts: Option<&[AccountRef]>,
) -> Result<AccountScope, ApiError> {
    let mut values = request.headers().get_all(&TENANT_HEADER);
    let requested = match (values.next(), values.next()) {
        (None, _) => None,
        (_, Some(_)) => return Err(Reason::AccountHeaderInvalid.into()),
        (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
            Ok(id) if !id.is_empty() => Some(id),
            _ => return Err(Reason::AccountHeaderInvalid.into()),
        },
    };
    let account = match (accounts, requested) {
        (None, None) => return Ok(AccountScope::AllAccounts),
        (None, Some(id)) => AccountRef::unresolved(id),
        (Some(own), None) => own.first().cloned().ok_or(Reason::CredentialRequired)?,
        (Some(own), Some(id)) => own.iter().find(|own| own.id == id).cloned().ok_or(Reason::AccountHeaderForbidden)?,
    };
    if account.key != AccountRef::NO_KEY {
        return Ok(AccountScope::Account(account));
    }
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if accounts.is_none() && is_reading {
        return Ok(store.read_inline(|at| account_scope::find_newest_scope(at, &account.id))?);
    }
    Ok(store.read_inline(|at| account_scope::find_scope(at, &account.id))?)
}

/// Checks that the account of a call is served here. The operator can remove what is left of an account that has moved.
///
/// # Errors
/// 503 if it has moved, or is not imported completely.
fn check_account_state(
    request: &HttpRequest,
    store: &Store,
    scope: &AccountScope,
    is_operator: bool,
) -> Result<(), ApiError> {
    let Some(account) = scope.account() else { return Ok(()) };
    let state = store.read_inline(|at| accounts::find_state(at, account))?;
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_operator || (is_reading && state == AccountState::Importing) {
        state.check_readable()?;
    }
    Ok(())
}

/// Returns the owner of the work of a call: the account of a caller that is limited to accounts.
fn find_owner(request: &HttpRequest, store: &Store, caller: &AuthenticatedCaller) -> WorkOwner {
    if caller.accounts.is_none() {
        return WorkOwner::Management;
    }
    // A call that selects no account of its own is refused later.
    let scope = resolve_account_scope(request, store, caller.accounts.as_deref());
    scope.map_or(WorkOwner::Account(AccountRef::NO_KEY), |scope| WorkOwner::from_scope(&scope))
}

/// Authenticates the caller. The result is cached for the request.
///
/// # Errors
/// 401 if the credentials are absent or not valid, 429 after too many wrong credentials from the network address, 403 for
/// users and keys of accounts while self-service is off.
pub(super) async fn authenticate_caller(
    request: &HttpRequest,
    state: &AppState,
) -> Result<AuthenticatedCaller, ApiError> {
    if let Some(caller) = request.extensions().get::<AuthenticatedCaller>() {
        return Ok(caller.clone());
    }
    let Some(credential) = read_credential(request) else { return Err(Reason::CredentialRequired.into()) };
    match authenticate::authenticate_credential(state, &credential).await? {
        Some(caller) => {
            if caller.accounts.is_some() {
                require_self_service(&state.store)?;
            }
            request.extensions_mut().insert(caller.clone());
            record_request_owner(request, find_owner(request, &state.store, &caller), &caller.actor.id);
            network::record_credential(request);
            Ok(caller)
        }
        None => Err(reject_credentials(request, &state.limits.login_throttle)),
    }
}

/// Returns the credential from the `Authorization` header, or from `x-access-token` if that header is absent. Returns
/// `None` if there is no usable credential or more than one `Authorization` header.
fn read_credential(request: &HttpRequest) -> Option<String> {
    let headers = request.headers();
    let mut values = headers.get_all(AUTHORIZATION);
    let text = match (values.next(), values.next()) {
        (Some(header), None) => {
            let (scheme, token) = header.to_str().ok()?.trim().split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            token.trim()
        }
        (None, _) => headers.get(&ACCESS_TOKEN_HEADER)?.to_str().ok()?.trim(),
        (Some(_), Some(_)) => return None,
    };
    let is_usable = !text.is_empty() && text.len() <= CREDENTIAL_MAX_BYTES && !text.contains(' ');
    is_usable.then(|| text.to_owned())
}

/// Records wrong credentials. Returns 401, or 429 with `Retry-After` after too many from the same network address.
pub(super) fn reject_credentials(request: &HttpRequest, throttle: &LoginThrottle) -> ApiError {
    let address = request_middleware::caller_address(request);
    log_failed_sign_in(throttle, address, "wrong_api_credential", "");
    let wait = address.and_then(|address| throttle.record_wrong_token(address));
    let Some(wait) = wait else { return Reason::CredentialRequired.into() };
    ApiError::from(Reason::WrongCredentialsLimited).with_retry_after(wait.as_secs() + 1)
}
