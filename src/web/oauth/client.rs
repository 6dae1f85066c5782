//! Authentication of OAuth clients: by a secret, or by an assertion.

use std::sync::Arc;

use crate::auth::jwt::AssertionRules;
use crate::auth::secret;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::oauth::access_tokens::{self, ClientProof, LiveClient};
use crate::management::request_log::CallTarget;
use crate::model::configuration::provisioning_url;
use crate::model::ids;
use crate::model::oauth::ClientAuthentication;
use crate::web::oauth::form::{ClientCredentials, PresentedProof};
use crate::web::oauth::{TOKEN_PATH, find_url_path};
use crate::web::scim::SCIM_PREFIXES;
use crate::web::state::AppState;

/// Which configuration a request names, and the URL of the server.
pub(super) struct RequestTarget {
    /// Public id of the configuration in the path.
    configuration_id: Option<String>,
    /// Path in front of the endpoint.
    base: String,
    /// Public URL of the server.
    public_url: Arc<str>,
}

impl RequestTarget {
    /// Reads the target from the path of a request to one of the endpoints.
    ///
    /// # Errors
    /// `RouteNotFound` if the path in front of the endpoint is neither that of the server nor a provisioning URL.
    pub(super) fn parse(state: &AppState, path: &str, endpoint: &str) -> Result<Self> {
        let public_url = state.server.public_url();
        let path = path.trim_end_matches('/');
        let base = path.strip_suffix(endpoint).unwrap_or_default().trim_end_matches('/').to_owned();
        let is_provisioning = SCIM_PREFIXES.iter().any(|prefix| base.starts_with(prefix));
        if !base.is_empty() && !is_provisioning && base != find_url_path(&public_url) {
            return Err(Reason::RouteNotFound.into());
        }
        let last = base.rsplit('/').next().unwrap_or_default();
        let configuration_id = ids::is_id(last).then(|| last.to_owned());
        Ok(Self { configuration_id, base, public_url })
    }

    /// Returns the configuration for the request log, if the path names one.
    pub(super) fn find_log_target(&self) -> Option<CallTarget> {
        self.configuration_id.clone().map(CallTarget::Id)
    }

    /// Returns whether the client may use this URL: that of the server, or that of its configuration.
    fn fits(&self, found: &LiveClient) -> bool {
        self.configuration_id.as_deref().is_none_or(|id| id == found.configuration_id)
    }

    /// Returns the values of `aud` for this server: both token URLs, the one that was called, and the issuer.
    fn list_audiences(&self, found: &LiveClient) -> Vec<String> {
        let public = &self.public_url;
        vec![
            format!("{public}{TOKEN_PATH}"),
            format!("{}{TOKEN_PATH}", provisioning_url(public, &found.configuration_id)),
            format!("{public}{}{TOKEN_PATH}", self.base),
            public.to_string(),
        ]
    }
}

/// A client that could not be authenticated.
pub(super) struct ClientFailure {
    /// The client that the request names, if it exists at this URL.
    pub(super) client: Option<Box<LiveClient>>,
    /// Why it is not authenticated.
    pub(super) error: Error,
}

impl From<Error> for ClientFailure {
    fn from(error: Error) -> Self {
        Self { client: None, error }
    }
}

/// Returns the client that the credentials name, if it exists at this URL.
///
/// # Errors
/// `OauthClientUnknown`; errors of the store.
pub(super) fn find_client(state: &AppState, target: &RequestTarget, client_id: &str) -> Result<LiveClient> {
    let found = state.store.read_inline(|at| access_tokens::find_live_client(at, client_id))?;
    found.filter(|found| target.fits(found)).ok_or_else(|| Reason::OauthClientUnknown.into())
}

/// Authenticates the client of a request. `allowed` are the ways of authentication for an assertion.
///
/// # Errors
/// The reason for the request log. The response to the client does not contain it.
pub(super) async fn authenticate_client(
    state: &AppState,
    target: &RequestTarget,
    credentials: &ClientCredentials,
    allowed: &[ClientAuthentication],
) -> std::result::Result<(LiveClient, ClientProof), ClientFailure> {
    let found = find_client(state, target, &credentials.client_id)?;
    match check_proof(state, target, &found, &credentials.proof, allowed).await {
        Ok(proof) => Ok((found, proof)),
        Err(error) => Err(ClientFailure { client: Some(Box::new(found)), error }),
    }
}

async fn check_proof(
    state: &AppState,
    target: &RequestTarget,
    found: &LiveClient,
    proof: &PresentedProof,
    allowed: &[ClientAuthentication],
) -> Result<ClientProof> {
    let client = &found.client;
    match proof {
        PresentedProof::Secret(forms) => {
            access_tokens::check_authentication(client, &[ClientAuthentication::Secret])?;
            let checked = state.store.read_inline(|at| {
                let mut result = Err(Error::from(Reason::ClientSecretWrong));
                for form in forms {
                    result = access_tokens::check_secret(at, client, &secret::digest_text(form));
                    if !result.as_ref().is_err_and(|error| error.reason() == Reason::ClientSecretWrong) {
                        break;
                    }
                }
                result
            })?;
            access_tokens::check_state(client)?;
            Ok(ClientProof::Secret(checked.id))
        }
        PresentedProof::Assertion(assertion) => {
            access_tokens::check_authentication(client, allowed)?;
            access_tokens::check_state(client)?;
            let audiences = target.list_audiences(found);
            let rules = AssertionRules { client, own_audiences: &audiences, now: clock::current_millis() };
            let verified = state.client_keys.verify_assertion(assertion, &rules).await?;
            Ok(match verified.id {
                Some(id) if client.authentication == ClientAuthentication::PrivateKeyJwt => {
                    ClientProof::SingleAssertion(id, verified.expires_at)
                }
                _ => ClientProof::Assertion,
            })
        }
    }
}
