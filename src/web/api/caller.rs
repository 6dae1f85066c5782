//! Who calls the management API, and whether they may: a handler that takes an [`Allowed`] cannot be reached without.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::answer::Refusal;
use super::known::{self, Known};
use crate::model::actor::{By, Reach};
use crate::model::permission::Permissions;
use crate::store::instance;
pub(super) use crate::web::access::{
    Audit, Create, Delete, Directory, Needs, Operator, Read, Requests, System, Tokens,
};
use crate::web::frame;
use crate::web::state::State;

/// The account that an environment caller speaks for, and which of a user's accounts is meant.
pub(super) const TENANT: HeaderName = HeaderName::from_static("frontegg-tenant-id");
/// Where some clients put the environment token.
pub(super) const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
/// Longest credential that is looked at: a user token carries many claims.
const CREDENTIAL_MAX_BYTES: usize = 16 * 1024;

/// A caller who may do what the route is for.
pub(super) struct Allowed<N> {
    /// Who, from where, within which reach.
    pub(super) by: By,
    /// Everything the caller may do.
    pub(super) permissions: Permissions,
    needs: PhantomData<N>,
}

impl<N> Allowed<N> {
    /// What the call may touch.
    pub(super) fn reach(&self) -> Reach {
        self.by.reach.clone()
    }
}

impl<N: Needs> FromRequest for Allowed<N> {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { allow::<N>(&request).await })
    }
}

async fn allow<N: Needs>(request: &HttpRequest) -> Result<Allowed<N>, Refusal> {
    let state = request.app_data::<Data<State>>().ok_or_else(|| Refusal::new(503, "the server is not ready"))?;
    let known = authenticate(request, state).await?;
    let is_operator = known.accounts.is_none();
    if N::OPERATOR_ONLY && !is_operator {
        return Err(Refusal::forbidden("only the operator's own credentials may do this"));
    }
    if !known.permissions.allow(N::PERMISSION) {
        let key = N::PERMISSION.token_key().map(|key| format!(" ({key})")).unwrap_or_default();
        return Err(Refusal::forbidden(format!("the caller lacks the permission {}{key}", N::PERMISSION)));
    }
    let reach = reach(request, known.accounts.as_deref())?;
    let by =
        By { actor: known.actor, reach, address: frame::address_text(request), request_id: frame::request_id(request) };
    Ok(Allowed { by, permissions: known.permissions, needs: PhantomData })
}

/// Accounts have no business here while the operator has switched self-service off.
pub(super) fn self_service(state: &State) -> Result<(), Refusal> {
    if state.store.read_inline(instance::self_service)? {
        return Ok(());
    }
    Err(Refusal::forbidden("self-service is switched off; ask the operator"))
}

/// The account that the call is about. A user's header can only choose among the user's own accounts.
fn reach(request: &HttpRequest, accounts: Option<&[String]>) -> Result<Reach, Refusal> {
    let wanted = match request.headers().get(&TENANT) {
        None => None,
        Some(value) => Some(
            std::str::from_utf8(value.as_bytes())
                .map_err(|_| Refusal::bad("frontegg-tenant-id must be the id of an account, in UTF-8"))?,
        ),
    };
    match (accounts, wanted.filter(|wanted| !wanted.is_empty())) {
        (None, None) => Ok(Reach::Everywhere),
        (None, Some(wanted)) => Ok(Reach::Account(wanted.to_owned())),
        (Some(own), None) => own.first().cloned().map(Reach::Account).ok_or_else(Refusal::unauthorized),
        (Some(own), Some(wanted)) if own.iter().any(|own| own == wanted) => Ok(Reach::Account(wanted.to_owned())),
        (Some(_), Some(_)) => Err(Refusal::forbidden("the account in frontegg-tenant-id is not the caller's")),
    }
}

/// Finds out who is calling.
///
/// # Errors
/// The one 401; 429 where the address has come with too many wrong credentials; 403 where self-service is off.
pub(super) async fn authenticate(request: &HttpRequest, state: &State) -> Result<Known, Refusal> {
    if let Some(known) = request.extensions().get::<Known>() {
        return Ok(known.clone());
    }
    let Some(credential) = credential(request) else { return Err(Refusal::unauthorized()) };
    match known::by_credential(state, &credential).await? {
        Some(known) => {
            if known.accounts.is_some() {
                self_service(state)?;
            }
            request.extensions_mut().insert(known.clone());
            Ok(known)
        }
        None => Err(stranger(request, state)),
    }
}

/// The bearer token, or what stands where one client of this API puts it. Two answers to who is calling are none.
fn credential(request: &HttpRequest) -> Option<String> {
    let headers = request.headers();
    let mut given = headers.get_all(AUTHORIZATION);
    let text = match (given.next(), given.next()) {
        (Some(header), None) => {
            let (scheme, token) = header.to_str().ok()?.trim().split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            token.trim()
        }
        (None, _) => headers.get(&ACCESS_TOKEN)?.to_str().ok()?.trim(),
        (Some(_), Some(_)) => return None,
    };
    let usable = !text.is_empty() && text.len() <= CREDENTIAL_MAX_BYTES && !text.contains(' ');
    usable.then(|| text.to_owned())
}

/// The answer to wrong credentials; who sends one after the other has to wait.
pub(super) fn stranger(request: &HttpRequest, state: &State) -> Refusal {
    let wait = frame::address(request).and_then(|address| state.guard.note_wrong_token(address));
    let Some(wait) = wait else { return Refusal::unauthorized() };
    let refused = Refusal::new(429, "too many requests with wrong credentials came from this address");
    Refusal { retry_after: Some(wait.as_secs() + 1), ..refused }
}
