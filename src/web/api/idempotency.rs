//! `Idempotency-Key`: a POST that is repeated because its response was lost gets the same response again and has no further
//! effect. The response may contain a secret that is returned only once. It is therefore stored encrypted, with a key
//! derived from the `Idempotency-Key`. The `Idempotency-Key` itself is not stored, so that only a client that sends it again
//! can decrypt the response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, ContentType, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, dev};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::caller::{self, ACCESS_TOKEN_HEADER, TENANT_HEADER};
use crate::auth::secret;
use crate::auth::secret::sealed::Sealer;
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::accounts::account_scope;
use crate::management::idempotency::{self, CallState};
use crate::store::{Tx, WorkOwner};
use crate::web::api::authenticate::AuthenticatedCaller;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, render_json};
use crate::web::body::{self, BodyLimit};
use crate::web::limits::API_BODY_MAX_BYTES;
use crate::web::request_owner::find_request_owner;
use crate::web::state::AppState;

/// The request header.
pub(super) const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The response header of a repeated response.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Allowed lengths of a key.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 8..=255;

/// A response, in the form that is encrypted and stored.
#[derive(Serialize, Deserialize)]
struct SealedResponse {
    status: u16,
    content_type: Option<String>,
    body: String,
}

/// Stores the response of a call with an `Idempotency-Key`.
pub(super) struct ResponseRecorder {
    /// Digest of the caller, the path and the key. It identifies the call.
    digest: [u8; 32],
    /// Digest of the request: a repeated call must be equal.
    request_digest: [u8; 32],
    sealer: Sealer,
    is_recorded: AtomicBool,
}

impl ResponseRecorder {
    /// Encrypts the response and stores it.
    fn record(&self, tx: &Tx<'_>, response: &SealedResponse) -> Result<(), Error> {
        let nonce = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
        let text = serde_json::to_vec(response).unwrap_or_default();
        let sealed = self.sealer.seal(&nonce, text).ok_or(Reason::ResponseNotEncrypted)?;
        idempotency::record_response(tx, &self.digest, &self.request_digest, &sealed)?;
        self.is_recorded.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// A call with an `Idempotency-Key`, registered until it is dropped.
struct IdempotentCall {
    state: Data<AppState>,
    owner: WorkOwner,
    recorder: Arc<ResponseRecorder>,
}

impl Drop for IdempotentCall {
    fn drop(&mut self) {
        self.state.running_calls.remove(&self.recorder.digest);
    }
}

/// Runs one operation on the writer and returns its response as JSON. With an `Idempotency-Key`, the response is stored in
/// the same transaction.
///
/// # Errors
/// Errors of the store, of `operation` and of `render`.
pub(super) async fn write_and_respond<T, B: Serialize>(
    call: &ApiRequest,
    status: StatusCode,
    mut operation: impl FnMut(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    mut render: impl FnMut(T) -> B + Send + 'static,
) -> ApiResult {
    let recorder = call.request.extensions().get::<Arc<ResponseRecorder>>().cloned();
    let text = call.write(move |tx| {
        let body = render_json(&render(operation(tx)?))?;
        if let Some(recorder) = &recorder {
            let content_type = Some("application/json".to_owned());
            let body = String::from_utf8_lossy(&body).into_owned();
            recorder.record(tx, &SealedResponse { status: status.as_u16(), content_type, body })?;
        }
        Ok(body)
    });
    let text = text.await?;
    Ok(HttpResponse::build(status).content_type(ContentType::json()).body(text))
}

/// The middleware of every route.
pub(super) async fn handle_idempotency_key<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if *request.method() != Method::POST || !request.headers().contains_key(&KEY_HEADER) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let (http, mut payload) = request.into_parts();
    match begin_call(&http, &mut payload).await {
        Ok(Some((call, body))) => {
            http.extensions_mut().insert(Arc::clone(&call.recorder));
            let request = ServiceRequest::from_parts(http, dev::Payload::from(body));
            run_first_call(call, request, next).await
        }
        Ok(None) => Ok(next.call(ServiceRequest::from_parts(http, payload)).await?.map_into_boxed_body()),
        Err(response) => Ok(ServiceResponse::new(http, response)),
    }
}

/// Runs the call and stores its response. The call completes even if the client disconnects: then the client is likely to
/// repeat it.
async fn run_first_call<B: MessageBody + 'static>(
    call: IdempotentCall,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let running = actix_web::rt::spawn(async move {
        let (request, response) = next.call(request).await?.into_parts();
        Ok(ServiceResponse::new(request, call.store_response(response.map_into_boxed_body()).await))
    });
    running.await.unwrap_or_else(|_| Err(ApiError::from(Reason::CallAborted).into()))
}

/// Checks whether the call is a repetition. Returns the call and its body if it may proceed. Returns `None` and leaves the
/// body unread if there are no credentials: then the handler rejects the request, or reads the credentials in its body.
///
/// # Errors
/// The stored response if the call is a repetition, or an error response.
async fn begin_call(
    request: &HttpRequest,
    payload: &mut dev::Payload,
) -> Result<Option<(IdempotentCall, Bytes)>, HttpResponse> {
    let response = |error: ApiError| error.error_response();
    let key = read_key(request).map_err(response)?;
    let state = request.app_data::<Data<AppState>>().cloned();
    let state = state.ok_or_else(|| response(Reason::ServerNotReady.into()))?;
    let has_credentials = [AUTHORIZATION, ACCESS_TOKEN_HEADER].iter().any(|name| request.headers().contains_key(name));
    if !has_credentials {
        return Ok(None);
    }
    let caller = caller::authenticate_caller(request, &state).await.map_err(response)?;
    let payload = web::Payload::from_request(request, payload).into_inner();
    let payload = payload.map_err(|_| response(Reason::ServerNotReady.into()))?;
    let body = body::read_body(request, payload, BodyLimit::of_caller(request, API_BODY_MAX_BYTES)).await;
    let body = body.map_err(|problem| response(problem.into()))?.freeze();
    let tenant = request.headers().get(&TENANT_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
    let scope = caller::resolve_account_scope(request, &state.store, caller.accounts.as_deref()).map_err(response)?;
    // A call for a deleted account is not repeated for a later account with the same id.
    let deleted =
        state.store.read_inline(|at| account_scope::count_deleted(at, &scope)).map_err(|e| response(e.into()))?;
    let call_digest =
        hash_parts(&[&hash_caller(&caller), request.path().as_bytes(), key.as_bytes(), &deleted.to_be_bytes()]);
    // The digest includes the key, which is not stored, so that a short body cannot be found by brute force.
    let request_digest = hash_parts(&[key.as_bytes(), request.query_string().as_bytes(), tenant, &body]);
    if let Some(running) = state.running_calls.register(call_digest, request_digest) {
        let reason = Reason::IdempotencyInProgress;
        let is_same = running == request_digest;
        let in_progress = || ApiError::from(reason).with_retry_after(1);
        return Err(response(if is_same { in_progress() } else { Reason::IdempotencyKeyReused.into() }));
    }
    let recorder = ResponseRecorder {
        digest: call_digest,
        request_digest,
        sealer: Sealer::new(&key, &call_digest),
        is_recorded: AtomicBool::new(false),
    };
    let call = IdempotentCall { state, owner: find_request_owner(request), recorder: Arc::new(recorder) };
    // Read after the registration: an earlier call has either ended, and is found, or is registered.
    match call.find_state().map_err(|problem| response(problem.into()))? {
        CallState::First => Ok(Some((call, body))),
        CallState::Completed(sealed) => {
            Err(call.replay(&sealed).unwrap_or_else(|| response(Reason::IdempotencyInterrupted.into())))
        }
        CallState::Interrupted => Err(response(Reason::IdempotencyInterrupted.into())),
        CallState::DifferentRequest => Err(response(Reason::IdempotencyKeyReused.into())),
    }
}

/// Returns the key of the request.
///
/// # Errors
/// 400 if the key is not valid or sent more than once.
fn read_key(request: &HttpRequest) -> Result<String, ApiError> {
    let mut values = request.headers().get_all(&KEY_HEADER);
    let key = values.next().and_then(|key| key.to_str().ok()).map(str::trim).unwrap_or_default();
    let is_valid = KEY_LENGTHS.contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_valid || values.next().is_some() {
        return Err(Reason::IdempotencyKeyInvalid.into());
    }
    Ok(key.to_owned())
}

/// Returns a digest of the identity of the caller, its accounts and its permissions. A caller whose accounts or permissions
/// have changed does not get the response that it was allowed to get before.
fn hash_caller(caller: &AuthenticatedCaller) -> [u8; 32] {
    let AuthenticatedCaller { actor, accounts, permissions, expires_at: _ } = caller;
    let (permissions, scope) = (permissions.key_list(), if accounts.is_some() { "accounts" } else { "operator" });
    let mut parts = vec![actor.kind.as_str().as_bytes(), actor.id.as_bytes(), permissions.as_bytes(), scope.as_bytes()];
    parts.extend(accounts.iter().flatten().map(|account| account.id.as_bytes()));
    hash_parts(&parts)
}

/// Returns the SHA-256 of the parts. Each part is prefixed with its length, so that different lists of parts have different
/// digests.
fn hash_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl IdempotentCall {
    /// Returns what is stored about the key.
    fn find_state(&self) -> Result<CallState, Error> {
        let ResponseRecorder { digest, request_digest, .. } = &*self.recorder;
        self.state
            .store
            .read_inline(|at| idempotency::find_call_state(at, digest, request_digest, clock::current_millis()))
    }

    /// Stores the response of a successful call that has stored none, because it changes nothing in the database, and
    /// returns it.
    async fn store_response(self, response: HttpResponse) -> HttpResponse {
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body).await else {
            return ApiError::from(Reason::ResponseLost).error_response();
        };
        if head.status().is_success() && !self.recorder.is_recorded.load(Ordering::SeqCst) {
            let content_type =
                head.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let text = String::from_utf8_lossy(&body).into_owned();
            let sealed = SealedResponse { status: head.status().as_u16(), content_type, body: text };
            let recorder = Arc::clone(&self.recorder);
            if let Err(problem) = self.state.store.write_as(self.owner, move |tx| recorder.record(tx, &sealed)).await {
                tracing::warn!(%problem, "cannot store the response of a call with an Idempotency-Key");
            }
        }
        head.set_body(BoxBody::new(body))
    }

    /// Decrypts a stored response and returns it with the header `Idempotent-Replayed`.
    fn replay(&self, sealed: &[u8]) -> Option<HttpResponse> {
        let stored: SealedResponse = serde_json::from_slice(&self.recorder.sealer.open(sealed)?).ok()?;
        let mut response = HttpResponse::build(StatusCode::from_u16(stored.status).ok()?);
        response.insert_header((REPLAYED_HEADER, "true"));
        if let Some(content_type) = stored.content_type {
            response.insert_header((CONTENT_TYPE, content_type));
        }
        Some(response.body(stored.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountRef;
    use crate::model::audit_context::{Actor, ActorKind};
    use crate::model::permission::{Permission, Permissions};

    fn caller(accounts: Option<&[&str]>) -> AuthenticatedCaller {
        AuthenticatedCaller {
            actor: Actor { kind: ActorKind::User, id: "ada".to_owned(), name: "Ada".to_owned() },
            accounts: accounts
                .map(|accounts| accounts.iter().map(|&account| AccountRef::unresolved(account)).collect()),
            permissions: Permissions::from_iter([Permission::AuditRead]),
            expires_at: None,
        }
    }

    #[test]
    fn the_digest_of_a_caller_consists_of_explicit_fields() {
        let expected = hash_parts(&[b"user", b"ada", b"audit.read", b"accounts", b"acme", b"zeta"]);
        assert_eq!(hash_caller(&caller(Some(&["acme", "zeta"]))), expected);
    }

    #[test]
    fn callers_with_different_accounts_or_permissions_have_different_digests() {
        let digests = [None, Some(&[][..]), Some(&["acme"]), Some(&["acme", "zeta"]), Some(&["acmezeta"])]
            .map(|accounts| hash_caller(&caller(accounts)));
        let different: std::collections::HashSet<_> = digests.into_iter().collect();
        assert_eq!(different.len(), 5);
        let more = AuthenticatedCaller { permissions: Permissions::ALL, ..caller(None) };
        assert_ne!(hash_caller(&more), hash_caller(&caller(None)));
    }
}
