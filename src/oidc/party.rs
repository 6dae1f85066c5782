//! The relying party: this server, as one provider knows it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use super::discovery::{self, Metadata};
use super::request::{self, Attempt, Callback};
use super::{Failure, Registration, claims, word};
use crate::clock::Millis;
use crate::fetch::Fetcher;
use crate::jwt::{Claims, Denied, IdTokenRules, IdTokens, text};
use crate::model::sso::Identity;

/// From this age on the provider is asked again where its places are; what it said before serves while it does not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_mins(10);
/// After a failure it is left alone for so long: anybody can make the server ask.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// A provider's places, and what takes its tokens.
struct Known {
    metadata: Metadata,
    tokens: IdTokens,
    since: Instant,
}

/// Whom the provider vouches for.
#[derive(Debug, Clone)]
pub struct Came {
    /// Who it is.
    pub identity: Identity,
    /// All that was said of them.
    pub claims: Claims,
}

/// This server, as one provider knows it.
pub struct RelyingParty {
    registration: Registration,
    fetcher: Fetcher,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while somebody asks the provider; when that last failed, and how.
    failed: Mutex<Option<(Instant, Failure)>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
}

impl RelyingParty {
    /// Under that registration. The provider is asked when somebody signs in.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub fn new(registration: Registration) -> Result<Self, Failure> {
        let is_plain = !registration.issuer.starts_with("https://");
        let fetcher = Fetcher::new(is_plain).map_err(|problem| Failure::Provider(problem.to_string()))?;
        Ok(Self { registration, fetcher, known: RwLock::default(), failed: Mutex::default() })
    }

    /// The address to which a browser goes to sign in; it comes back to `redirect_uri`.
    ///
    /// # Errors
    /// The provider does not say where.
    pub async fn begin(&self, attempt: &Attempt, redirect_uri: &str) -> Result<String, Failure> {
        let known = self.known().await?;
        Ok(request::authorization_url(&known.metadata, &self.registration, attempt, redirect_uri))
    }

    /// Who has signed in, by what the browser came back with.
    ///
    /// # Errors
    /// It belongs to another attempt, the provider said no, or what it says is not right.
    pub async fn finish(
        &self,
        attempt: &Attempt,
        callback: &Callback,
        redirect_uri: &str,
        now: Millis,
    ) -> Result<Came, Failure> {
        let (known, by) = (self.known().await?, &self.registration);
        let code = request::check(callback, attempt, &by.issuer, known.metadata.names_itself)?;
        let tokens = self.exchange(&known, attempt, code, redirect_uri).await?;
        let id_token = tokens.id_token.ok_or(Failure::Token("there is none".to_owned()))?;
        let access_token = tokens.access_token.as_deref();
        let rules = IdTokenRules { issuer: &by.issuer, client_id: &by.client_id, nonce: &attempt.nonce, access_token };
        let mut claims = known.tokens.verified(&id_token, &rules, now).await.map_err(|denied| match denied {
            Denied::Rejected(why) => Failure::Token(why.to_string()),
            Denied::NoKeys => Failure::Provider("its keys could not be fetched".to_owned()),
        })?;
        if claims::asks_for_more(&claims, by)
            && let (Some(url), Some(access_token)) = (&known.metadata.userinfo, access_token)
        {
            let answer = self.fetcher.get(url, Some(access_token)).await.and_then(crate::fetch::Answer::ok);
            let more = answer.map_err(|why| Failure::Provider(format!("its userinfo endpoint: {why}")))?;
            claims = claims::joined(claims.clone(), userinfo(&more, &claims)?);
        }
        Ok(Came { identity: claims::identity(&claims, by), claims })
    }

    async fn exchange(
        &self,
        known: &Known,
        attempt: &Attempt,
        code: &str,
        redirect_uri: &str,
    ) -> Result<Tokens, Failure> {
        let (form, authorization) = request::exchange(&known.metadata, &self.registration, attempt, code, redirect_uri);
        let answer = self.fetcher.post(&known.metadata.token, form, authorization).await;
        let answer = answer.map_err(|why| Failure::Provider(format!("its token endpoint: {why}")))?;
        if answer.status != 200 {
            let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
            let (status, why) = (answer.status, word(&refusal.error));
            return Err(Failure::Provider(format!("its token endpoint answered {status} with “{why}”")));
        }
        let unreadable = |_| Failure::Provider("its token endpoint sent no JSON with tokens".to_owned());
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    /// What is known of the provider; asked for where that is old.
    async fn known(&self) -> Result<Arc<Known>, Failure> {
        let present = || self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_fresh = |known: &Arc<Known>| known.since.elapsed() < ASK_AGAIN_AFTER;
        if let Some(known) = present().filter(is_fresh) {
            return Ok(known);
        }
        let mut failed = self.failed.lock().await;
        // Somebody else may have asked meanwhile.
        let before = present();
        if let Some(known) = before.clone().filter(is_fresh) {
            return Ok(known);
        }
        if let Some((_, failure)) = failed.as_ref().filter(|(at, _)| at.elapsed() < REST_AFTER_FAILURE) {
            return before.ok_or_else(|| failure.clone());
        }
        match self.ask(before.as_deref()).await {
            Ok(known) => {
                let known = Arc::new(known);
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
                *failed = None;
                Ok(known)
            }
            Err(failure) => {
                tracing::warn!(problem = %failure, "the OpenID provider does not say where its places are");
                *failed = Some((Instant::now(), failure.clone()));
                before.ok_or(failure)
            }
        }
    }

    async fn ask(&self, before: Option<&Known>) -> Result<Known, Failure> {
        let issuer = &self.registration.issuer;
        let answer = self.fetcher.get(&discovery::address(issuer)?, None).await.and_then(crate::fetch::Answer::ok);
        let text = answer.map_err(|why| Failure::Provider(format!("its openid-configuration: {why}")))?;
        let metadata = discovery::read(issuer, &text)?;
        let tokens = match before.filter(|before| before.metadata.keys == metadata.keys) {
            Some(before) => before.tokens.clone(),
            None => IdTokens::new(metadata.keys.clone()).map_err(|problem| Failure::Provider(problem.to_string()))?,
        };
        Ok(Known { metadata, tokens, since: Instant::now() })
    }
}

/// Reads what the userinfo endpoint says, which must be about the same person (OpenID Connect Core 1.0 section 5.3.2).
fn userinfo(more: &[u8], signed: &Claims) -> Result<Claims, Failure> {
    let unreadable = |_| Failure::Provider("its userinfo endpoint sent no JSON".to_owned());
    let more: Claims = serde_json::from_slice(more).map_err(unreadable)?;
    if text(&more, "sub") == text(signed, "sub") {
        Ok(more)
    } else {
        Err(Failure::Provider("its userinfo endpoint speaks of somebody else".to_owned()))
    }
}
