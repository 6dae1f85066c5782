//! The revocation endpoint (RFC 7009): a client ends one of its own access tokens.

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::auth::secret;
use crate::error::{Error, ErrorKind, Reason};
use crate::management::oauth::access_tokens;
use crate::management::request_log::CallTarget;
use crate::model::oauth::ClientAuthentication;
use crate::store::WorkOwner;
use crate::web::oauth::REVOCATION_PATH;
use crate::web::oauth::client::{self, RequestTarget};
use crate::web::oauth::form::{self, OauthForm};
use crate::web::oauth::response::{OauthAnswer, OauthCall};
use crate::web::oauth::token::refuse_method;
use crate::web::request_middleware;
use crate::web::state::AppState;

/// Serves `POST /oauth2/revoke`.
pub(super) async fn serve_revocation(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let call = OauthCall::begin(&request, &state, REVOCATION_PATH);
    let id = call.request_id().to_owned();
    let answer = crate::log::run_for_request(&id, answer_request(&request, payload, &state)).await;
    call.respond(answer)
}

async fn answer_request(request: &HttpRequest, payload: Payload, state: &AppState) -> OauthAnswer {
    let target = match RequestTarget::parse(state, request.path(), REVOCATION_PATH) {
        Ok(target) => target,
        Err(error) => return OauthAnswer::failed(error, "invalid_request"),
    };
    if request.method() != Method::POST {
        return refuse_method(request).logged_for(target.find_log_target());
    }
    let form = match OauthForm::read(request, payload).await {
        Ok(form) => form,
        Err(error) => return OauthAnswer::failed(error, "invalid_request").logged_for(target.find_log_target()),
    };
    revoke_token(request, state, &target, &form).await.with_request(form.redact())
}

async fn revoke_token(
    request: &HttpRequest,
    state: &AppState,
    target: &RequestTarget,
    form: &OauthForm,
) -> OauthAnswer {
    let credentials = match form::read_credentials(request, form) {
        Ok(credentials) => credentials,
        Err(error) => {
            let code = if error.kind() == ErrorKind::Unauthenticated { "invalid_client" } else { "invalid_request" };
            return OauthAnswer::failed(error, code).logged_for(target.find_log_target());
        }
    };
    let allowed = [ClientAuthentication::PrivateKeyJwt, ClientAuthentication::Federated];
    let (client, proof) = match client::authenticate_client(state, target, &credentials, &allowed).await {
        Ok(found) => found,
        Err(failure) if failure.error.kind() == ErrorKind::Unauthenticated => {
            let address = request_middleware::caller_address(request);
            if let Some(wait) = state.limits.login_throttle.record_wrong_client(address, &credentials.client_id) {
                let limited = Error::from(Reason::WrongCredentialsLimited).with_retry_seconds(wait.as_secs() + 1);
                return OauthAnswer::failed(limited, "slow_down");
            }
            let known = failure.client.map(|client| CallTarget::Key(client.owner.key));
            let answer = OauthAnswer::failed(failure.error, "invalid_client");
            return answer
                .logged_for(known.or_else(|| target.find_log_target()))
                .asking_for_basic(credentials.is_basic);
        }
        Err(failure) => return OauthAnswer::failed(failure.error, "temporarily_unavailable"),
    };
    let log = Some(CallTarget::Key(client.owner.key));
    let Some(token) = form.find("token") else {
        let error = form::report_invalid("the parameter token is missing".to_owned());
        return OauthAnswer::failed(error, "invalid_request").logged_for(log);
    };
    let (digest, of) = (secret::digest_text(token), client.client.clone());
    let owner = WorkOwner::Configuration(client.owner);
    let revoke = move |tx: &crate::store::Tx<'_>| access_tokens::revoke_access_token(tx, &of, &proof, &digest);
    match state.store.write_as(owner, revoke).await {
        // RFC 7009 section 2.2: an unknown token is no error.
        Ok(_) => OauthAnswer::succeeded(None, &client),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {
            OauthAnswer::failed(error, "invalid_client").logged_for(log)
        }
        Err(error) => OauthAnswer::failed(error, "temporarily_unavailable").logged_for(log),
    }
}
