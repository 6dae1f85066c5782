//! The revocation endpoint (RFC 7009): a client ends one of its own access tokens.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::auth::secret;
use crate::error::ErrorKind;
use crate::management::oauth::access_tokens;
use crate::management::request_log::CallTarget;
use crate::model::oauth::ClientAuthentication;
use crate::store::{Tx, WorkOwner};
use crate::web::oauth::REVOCATION_PATH;
use crate::web::oauth::client;
use crate::web::oauth::form;
use crate::web::oauth::request::{ClientRequest, find_credentials_code};
use crate::web::oauth::response::{OauthAnswer, OauthCall};
use crate::web::state::AppState;

/// Serves `POST /oauth2/revoke`.
pub(super) async fn serve_revocation(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let call = OauthCall::begin(&request, &state, REVOCATION_PATH);
    let id = call.request_id().to_owned();
    let answer = crate::log::run_for_request(&id, answer_request(&request, payload, &state)).await;
    call.respond(answer)
}

async fn answer_request(request: &HttpRequest, payload: Payload, state: &AppState) -> OauthAnswer {
    match ClientRequest::read(request, payload, state, REVOCATION_PATH).await {
        Ok(received) => revoke_token(&received).await.with_request(received.form.redact()),
        Err(refused) => *refused,
    }
}

async fn revoke_token(received: &ClientRequest<'_>) -> OauthAnswer {
    let ClientRequest { request, state, target, form } = received;
    let credentials = match form::read_credentials(request, form) {
        Ok(credentials) => credentials,
        Err(error) => {
            let code = find_credentials_code(&error);
            let answer = OauthAnswer::failed(error, code).logged_for(target.find_log_target());
            return answer.asking_for_basic(form::has_basic(request));
        }
    };
    let allowed = [ClientAuthentication::PrivateKeyJwt, ClientAuthentication::Federated];
    let (client, proof) = match client::authenticate_client(state, target, &credentials, &allowed).await {
        Ok(found) => found,
        Err(failure) => return received.refuse(failure, &credentials, "invalid_client"),
    };
    let log = Some(CallTarget::Key(client.owner.key));
    let Some(token) = form.find("token") else {
        let error = form::report_invalid("the parameter token is missing".to_owned());
        return OauthAnswer::failed(error, "invalid_request").logged_for(log);
    };
    let (digest, of) = (secret::digest_text(token), client.client.clone());
    let owner = WorkOwner::Configuration(client.owner);
    let revoke = move |tx: &Tx<'_>| access_tokens::revoke_access_token(tx, &of, &proof, &digest);
    match state.store.write_as(owner, revoke).await {
        // RFC 7009 section 2.2: an unknown token is no error.
        Ok(_) => OauthAnswer::succeeded(None, &client),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {
            OauthAnswer::failed(error, "invalid_client").logged_for(log)
        }
        Err(error) => OauthAnswer::failed(error, "temporarily_unavailable").logged_for(log),
    }
}
