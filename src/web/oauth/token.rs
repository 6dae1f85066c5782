//! The token endpoint (RFC 6749 section 3.2): access tokens by client credentials, and for the assertion of an identity provider
//! (RFC 7523 section 2.1).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::auth::secret::BearerToken;
use crate::error::{Error, ErrorKind, Reason};
use crate::management::oauth::access_tokens::{self, AccessTokenRequest, ClientProof, LiveClient};
use crate::management::request_log::CallTarget;
use crate::model::oauth::ClientAuthentication;
use crate::model::oauth::scope::OauthScope;
use crate::store::WorkOwner;
use crate::web::oauth::TOKEN_PATH;
use crate::web::oauth::client;
use crate::web::oauth::form;
use crate::web::oauth::request::{ClientRequest, find_credentials_code};
use crate::web::oauth::response::{OauthAnswer, OauthCall};
use crate::web::state::AppState;

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The grants that the endpoint serves.
pub(super) const GRANT_TYPES: [&str; 2] = [CLIENT_CREDENTIALS, JWT_BEARER];

/// Serves `POST /oauth2/token`.
pub(super) async fn serve_token_request(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let call = OauthCall::begin(&request, &state, TOKEN_PATH);
    let id = call.request_id().to_owned();
    let answer = crate::log::run_for_request(&id, answer_request(&request, payload, &state)).await;
    call.respond(answer)
}

async fn answer_request(request: &HttpRequest, payload: Payload, state: &AppState) -> OauthAnswer {
    match ClientRequest::read(request, payload, state, TOKEN_PATH).await {
        Ok(received) => {
            let redacted = received.form.redact();
            TokenExchange(received).answer().await.with_request(redacted)
        }
        Err(refused) => *refused,
    }
}

/// A request for an access token.
struct TokenExchange<'r>(ClientRequest<'r>);

impl TokenExchange<'_> {
    async fn answer(&self) -> OauthAnswer {
        let grant = self.0.form.find("grant_type").unwrap_or_default();
        if !GRANT_TYPES.contains(&grant) {
            let error = Reason::GrantTypeUnsupported.with("grants", GRANT_TYPES.join(", "));
            let code = if grant.is_empty() { "invalid_request" } else { "unsupported_grant_type" };
            return OauthAnswer::failed(error, code).logged_for(self.find_named_client());
        }
        let (credentials, allowed): (_, &[ClientAuthentication]) = if grant == JWT_BEARER {
            (form::read_grant(self.0.request, &self.0.form), &[ClientAuthentication::Federated])
        } else {
            let both: &[_] = &[ClientAuthentication::PrivateKeyJwt, ClientAuthentication::Federated];
            (form::read_credentials(self.0.request, &self.0.form), both)
        };
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err(error) => {
                let code = find_credentials_code(&error);
                let answer = OauthAnswer::failed(error, code).logged_for(self.find_named_client());
                return answer.asking_for_basic(form::has_basic(self.0.request));
            }
        };
        match client::authenticate_client(self.0.state, &self.0.target, &credentials, allowed).await {
            Ok((client, proof)) => self.issue(&client, proof, credentials.is_basic).await,
            Err(failure) => {
                let code = if grant == JWT_BEARER { "invalid_grant" } else { "invalid_client" };
                self.0.refuse(failure, &credentials, code)
            }
        }
    }

    /// Returns the request log of the client that the form names, although it is not authenticated.
    fn find_named_client(&self) -> Option<CallTarget> {
        let named = self.0.form.find("client_id");
        let found = named.and_then(|id| client::find_client(self.0.state, &self.0.target, id).ok());
        found.map(|found| CallTarget::Key(found.owner.key)).or_else(|| self.0.target.find_log_target())
    }

    /// Issues an access token to a client that is authenticated.
    async fn issue(&self, client: &LiveClient, proof: ClientProof, is_basic: bool) -> OauthAnswer {
        let target = Some(CallTarget::Key(client.owner.key));
        let scope = match self.0.form.find("scope").map(OauthScope::parse).transpose() {
            Ok(scope) => scope,
            Err(error) => return OauthAnswer::failed(error, "invalid_scope").logged_for(target),
        };
        let token = match BearerToken::generate_access_token() {
            Ok(token) => token,
            Err(problem) => {
                tracing::error!(%problem, "the operating system provided no random numbers");
                return OauthAnswer::failed(Reason::RandomnessUnavailable.into(), "temporarily_unavailable");
            }
        };
        let new = AccessTokenRequest::new(client.client.clone(), proof, scope, &token);
        let owner = WorkOwner::Configuration(client.owner);
        let issued = self.0.state.store.write_as(owner, move |tx| access_tokens::issue_access_token(tx, &new)).await;
        match issued {
            Ok(granted) => {
                let body = json!({
                    "access_token": token.reveal(),
                    "token_type": "Bearer",
                    "expires_in": granted.lifetime,
                    "scope": granted.scope.as_str(),
                });
                crate::web::network::record_credential(self.0.request);
                OauthAnswer::succeeded(Some(body), client)
            }
            Err(error) => {
                let code = find_error_code(&error);
                OauthAnswer::failed(error, code).logged_for(target).asking_for_basic(is_basic)
            }
        }
    }
}

/// Returns the code of RFC 6749 section 5.2 for an error while a token is issued.
fn find_error_code(error: &Error) -> &'static str {
    match (error.reason(), error.kind()) {
        (Reason::OauthScopeRefused, _) => "invalid_scope",
        (Reason::AccessTokensLimited, _) => "slow_down",
        (_, ErrorKind::Unauthenticated) => "invalid_client",
        (_, ErrorKind::Invalid) => "invalid_request",
        _ => "temporarily_unavailable",
    }
}
