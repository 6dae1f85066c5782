//! What both endpoints do with a request: read it, and refuse a client that is not authenticated.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::Payload;

use crate::error::{Error, ErrorKind, Reason};
use crate::management::request_log::CallTarget;
use crate::web::oauth::client::{ClientFailure, RequestTarget};
use crate::web::oauth::form::{ClientCredentials, OauthForm};
use crate::web::oauth::response::OauthAnswer;
use crate::web::request_middleware;
use crate::web::state::AppState;

/// A request of a client.
pub(super) struct ClientRequest<'r> {
    pub(super) request: &'r HttpRequest,
    pub(super) state: &'r AppState,
    pub(super) target: RequestTarget,
    pub(super) form: OauthForm,
}

impl<'r> ClientRequest<'r> {
    /// Reads a request to the endpoint with this path.
    ///
    /// # Errors
    /// The answer to a request with another path, method or form.
    pub(super) async fn read(
        request: &'r HttpRequest,
        payload: Payload,
        state: &'r AppState,
        endpoint: &str,
    ) -> Result<Self, Box<OauthAnswer>> {
        let refused = |error: Error| OauthAnswer::failed(error, "invalid_request");
        let target = RequestTarget::parse(state, request.path(), endpoint).map_err(|error| Box::new(refused(error)))?;
        let logged = |error: Error| Box::new(refused(error).logged_for(target.find_log_target()));
        if request.method() != Method::POST {
            let method: String = request.method().as_str().chars().take(20).collect();
            return Err(logged(Reason::MethodNotAllowed.with("method", method).with("allowed", "POST")));
        }
        let form = OauthForm::read(request, payload).await.map_err(logged)?;
        Ok(Self { request, state, target, form })
    }

    /// Refuses a client that is not authenticated, with this code of RFC 6749. Beyond the limits of failed requests, the
    /// answer is 429, and the request is not in the request log.
    pub(super) fn refuse(&self, failure: ClientFailure, credentials: &ClientCredentials, code: &str) -> OauthAnswer {
        let ClientFailure { client, error } = failure;
        if error.kind() != ErrorKind::Unauthenticated {
            return OauthAnswer::failed(error, "temporarily_unavailable");
        }
        let address = request_middleware::caller_address(self.request);
        let throttle = &self.state.limits.login_throttle;
        if let Some(wait) = throttle.record_wrong_client(address, &credentials.client_id) {
            let limited = Error::from(Reason::WrongCredentialsLimited).with_retry_seconds(wait.as_secs() + 1);
            return OauthAnswer::failed(limited, "slow_down");
        }
        let target = client.map(|client| CallTarget::Key(client.owner.key)).or_else(|| self.target.find_log_target());
        OauthAnswer::failed(error, code).logged_for(target).asking_for_basic(credentials.is_basic)
    }
}

/// Returns the code of RFC 6749 for credentials that are absent or have the wrong form.
pub(super) fn find_credentials_code(error: &Error) -> &'static str {
    if error.kind() == ErrorKind::Unauthenticated { "invalid_client" } else { "invalid_request" }
}
