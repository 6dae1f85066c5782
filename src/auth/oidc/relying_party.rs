//! The relying party: this server as the client of one provider.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::auth::fetch::Fetcher;
use crate::auth::jwt::{IdTokenRules, IdTokens, TokenClaims, TokenValidationError, string_claim};
use crate::auth::oidc::discovery::{self, ProviderMetadata};
use crate::auth::oidc::request::{self, Callback, SignInAttempt};
use crate::auth::oidc::{Registration, SignInFailure, claims, sanitize_code};
use crate::clock::Millis;
use crate::model::sso::SsoIdentity;
use crate::outgoing::OutgoingRules;

/// Age from which the discovery document is fetched again. The previous document is used while the provider does not
/// answer.
const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// Pause after a failed fetch: any client can cause one.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Metadata of a provider and the validator of its tokens.
struct CachedProvider {
    metadata: ProviderMetadata,
    tokens: IdTokens,
    since: Instant,
}

/// Result of a successful sign-in.
#[derive(Debug, Clone)]
pub struct SignedInUser {
    /// Identity of the user.
    pub identity: SsoIdentity,
    /// All claims of the user.
    pub claims: TokenClaims,
}

/// This server as the client of one provider.
pub struct RelyingParty {
    registration: Registration,
    rules: OutgoingRules,
    fetcher: Fetcher,
    cached: RwLock<Option<Arc<CachedProvider>>>,
    /// Locked during a fetch; contains time and reason of the last failure.
    failed: Mutex<Option<(Instant, SignInFailure)>>,
}

#[derive(Deserialize)]
struct TokenEndpointResponse {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenErrorResponse {
    error: String,
}

impl RelyingParty {
    /// Creates the client of a registration. The provider is contacted at the first sign-in.
    ///
    /// # Errors
    /// The root certificates of the system cannot be used.
    pub fn new(registration: Registration, rules: OutgoingRules) -> Result<Self, SignInFailure> {
        let fetcher = Fetcher::new(rules.clone()).map_err(|problem| SignInFailure::Provider(problem.to_string()))?;
        Ok(Self { registration, rules, fetcher, cached: RwLock::default(), failed: Mutex::default() })
    }

    /// Returns the authorization URL for the browser. The provider redirects back to `redirect_uri`.
    ///
    /// # Errors
    /// The discovery document is not available.
    pub async fn start_sign_in(&self, attempt: &SignInAttempt, redirect_uri: &str) -> Result<String, SignInFailure> {
        let provider = self.provider().await?;
        Ok(request::build_authorization_url(&provider.metadata, &self.registration, attempt, redirect_uri))
    }

    /// Completes a sign-in with the parameters of the callback.
    ///
    /// # Errors
    /// The callback belongs to another attempt, the provider denied the request, or its response is not valid.
    pub async fn complete_sign_in(
        &self,
        attempt: &SignInAttempt,
        callback: &Callback,
        redirect_uri: &str,
        now: Millis,
    ) -> Result<SignedInUser, SignInFailure> {
        let (provider, registration) = (self.provider().await?, &self.registration);
        let code = request::check_callback(callback, attempt, &registration.issuer, provider.metadata.sends_iss)?;
        let tokens = self.exchange(&provider, attempt, code, redirect_uri).await?;
        let id_token = tokens.id_token.ok_or(SignInFailure::Token("the response has none".to_owned()))?;
        let access_token = tokens.access_token.as_deref();
        let rules = IdTokenRules {
            issuer: &registration.issuer,
            client_id: &registration.client_id,
            nonce: &attempt.nonce,
            access_token,
        };
        let mut claims = provider.tokens.verify(&id_token, &rules, now).await.map_err(|denied| match denied {
            TokenValidationError::Rejected(why) => SignInFailure::Token(why.to_string()),
            TokenValidationError::NoKeys => SignInFailure::Provider("its keys could not be fetched".to_owned()),
        })?;
        // Only the signed ID token counts, not the userinfo endpoint.
        claims::check_assurance(&claims, registration)?;
        if claims::needs_userinfo(&claims, registration)
            && let (Some(url), Some(access_token)) = (&provider.metadata.userinfo, access_token)
        {
            let answer = self
                .fetcher
                .get(url, Some(access_token))
                .await
                .and_then(crate::auth::fetch::FetchResponse::into_ok_body);
            let more = answer.map_err(|why| SignInFailure::Provider(format!("its userinfo endpoint: {why}")))?;
            claims = claims::merge_claims(claims.clone(), parse_userinfo(&more, &claims)?);
        }
        Ok(SignedInUser { identity: claims::identity_from_claims(&claims, registration), claims })
    }

    async fn exchange(
        &self,
        provider: &CachedProvider,
        attempt: &SignInAttempt,
        code: &str,
        redirect_uri: &str,
    ) -> Result<TokenEndpointResponse, SignInFailure> {
        let (form, authorization) =
            request::build_token_request(&provider.metadata, &self.registration, attempt, code, redirect_uri);
        let answer = self.fetcher.post(&provider.metadata.token, form, authorization).await;
        let answer = answer.map_err(|why| SignInFailure::Provider(format!("its token endpoint: {why}")))?;
        if answer.status != 200 {
            let refusal: TokenErrorResponse = serde_json::from_slice(&answer.body).unwrap_or_default();
            let (status, code) = (answer.status, sanitize_code(&refusal.error));
            return Err(SignInFailure::Provider(format!("its token endpoint answered {status} with “{code}”")));
        }
        let unreadable = |_| SignInFailure::Provider("its token endpoint sent no valid JSON with tokens".to_owned());
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    /// Returns the cached metadata of the provider; fetches them if they are too old.
    async fn provider(&self) -> Result<Arc<CachedProvider>, SignInFailure> {
        let cached = || self.cached.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_fresh = |provider: &Arc<CachedProvider>| provider.since.elapsed() < REFRESH_AFTER;
        if let Some(provider) = cached().filter(is_fresh) {
            return Ok(provider);
        }
        let mut failed = self.failed.lock().await;
        // Another task may have fetched them in the meantime.
        let before = cached();
        if let Some(provider) = before.clone().filter(is_fresh) {
            return Ok(provider);
        }
        if let Some((_, failure)) = failed.as_ref().filter(|(at, _)| at.elapsed() < REST_AFTER_FAILURE) {
            return before.ok_or_else(|| failure.clone());
        }
        match self.fetch_provider(before.as_deref()).await {
            Ok(provider) => {
                let provider = Arc::new(provider);
                *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&provider));
                *failed = None;
                Ok(provider)
            }
            Err(failure) => {
                tracing::warn!(problem = %failure, "the discovery document of the OpenID provider cannot be fetched");
                *failed = Some((Instant::now(), failure.clone()));
                before.ok_or(failure)
            }
        }
    }

    async fn fetch_provider(&self, before: Option<&CachedProvider>) -> Result<CachedProvider, SignInFailure> {
        let issuer = &self.registration.issuer;
        let answer = self
            .fetcher
            .get(&discovery::discovery_url(issuer)?, None)
            .await
            .and_then(crate::auth::fetch::FetchResponse::into_ok_body);
        let text = answer.map_err(|why| SignInFailure::Provider(format!("its openid-configuration: {why}")))?;
        let metadata = discovery::parse_document(issuer, &text)?;
        let tokens = match before.filter(|before| before.metadata.keys == metadata.keys) {
            Some(before) => before.tokens.clone(),
            None => IdTokens::new(metadata.keys.clone(), self.rules.clone())
                .map_err(|problem| SignInFailure::Provider(problem.to_string()))?,
        };
        Ok(CachedProvider { metadata, tokens, since: Instant::now() })
    }
}

/// Parses a response of the userinfo endpoint. Its `sub` must be that of the ID token (OpenID Connect Core 1.0 section
/// 5.3.2).
fn parse_userinfo(more: &[u8], signed: &TokenClaims) -> Result<TokenClaims, SignInFailure> {
    let unreadable = |_| SignInFailure::Provider("its userinfo endpoint sent no valid JSON".to_owned());
    let more: TokenClaims = serde_json::from_slice(more).map_err(unreadable)?;
    if string_claim(&more, "sub") == string_claim(signed, "sub") {
        Ok(more)
    } else {
        Err(SignInFailure::Provider("the sub of its userinfo endpoint is not that of the ID token".to_owned()))
    }
}
