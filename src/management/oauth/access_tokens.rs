//! Access tokens that OAuth clients get (RFC 6749 section 4.4, RFC 7523).

use crate::auth::secret::{BearerToken, TokenDigest, digests_match};
use crate::clock::{self, Millis};
use crate::error::{Error, Reason, Result};
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{
    ClientAuthentication, ClientSecret, LIVE_TOKENS_MAX, OauthClient, OauthClientState, TOKENS_PER_MINUTE,
};
use crate::store::tables::access_tokens::{self as rows, AccessTokenDraft};
pub use crate::store::tables::oauth_clients::LiveClient;
use crate::store::tables::{accounts, oauth_clients};
use crate::store::{Snapshot, Tx};

const MINUTE: Millis = 60_000;
/// How long an expired access token is stored, so that a request with it gets an explanation.
const EXPIRED_TOKENS_MS: Millis = 86_400_000;

/// Returns the client with this public id, if its configuration is not deleted.
///
/// # Errors
/// Errors of the store.
pub fn find_live_client(at: &Snapshot<'_>, client_id: &str) -> Result<Option<LiveClient>> {
    oauth_clients::find_live_client(at, client_id)
}

/// Returns the secret of a client with this digest. Only its text makes it known whether it has expired.
///
/// # Errors
/// `ClientSecretWrong`, or `ClientSecretExpired` for one that was valid.
pub fn check_secret(at: &Snapshot<'_>, client: &OauthClient, digest: &TokenDigest) -> Result<ClientSecret> {
    let secrets = oauth_clients::list_secrets(at, client.key)?;
    let mut found = None;
    for secret in secrets {
        if digests_match(&secret.digest, digest) {
            found = Some(secret);
        }
    }
    let found = found.ok_or(Reason::ClientSecretWrong)?;
    if found.is_live(clock::current_millis()) { Ok(found) } else { Err(Reason::ClientSecretExpired.into()) }
}

/// How a client has proved what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// With the secret that has this id.
    Secret(String),
    /// With an assertion that works once: the digest of its id, and when it expires.
    SingleAssertion(TokenDigest, Millis),
    /// With an assertion that works until it expires.
    Assertion,
}

/// A request for an access token, of a client that is authenticated.
#[derive(Debug, Clone)]
pub struct AccessTokenRequest {
    /// The client as it was when it was authenticated.
    pub client: OauthClient,
    /// How it was.
    pub proof: ClientProof,
    /// The requested scope; without one, that of the client.
    pub scope: Option<OauthScope>,
    /// Digest of the new token.
    pub digest: TokenDigest,
    /// The last four characters of the new token.
    pub hint: String,
}

impl AccessTokenRequest {
    /// Returns a request for `token`.
    pub fn new(client: OauthClient, proof: ClientProof, scope: Option<OauthScope>, token: &BearerToken) -> Self {
        Self { client, proof, scope, digest: token.digest(), hint: token.hint().to_owned() }
    }
}

/// A granted access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedToken {
    /// Its scope.
    pub scope: OauthScope,
    /// Its lifetime in seconds.
    pub lifetime: u32,
}

/// Stores an access token and returns what is granted. The client and its secret are checked again, because they may have
/// changed since they were read.
///
/// # Errors
/// `OauthClientUnknown`, `OauthClientDisabled`, `ClientSecretWrong` or `ClientSecretExpired` if it has changed. `AssertionUsed`.
/// 503 while the account moves. `OauthScopeRefused` beyond the scope of the client. `AccessTokensLimited` with the time to wait.
pub fn issue_access_token(tx: &Tx<'_>, request: &AccessTokenRequest) -> Result<GrantedToken> {
    tx.allow_on_full_disk();
    let current = oauth_clients::find_live_client(tx, &request.client.client_id)?;
    if let Some(current) = &current {
        accounts::find_state(tx, current.owner.account)?.check_active()?;
    }
    let client = current.map(|current| current.client).filter(|current| {
        (current.key, current.authentication, &current.assertions)
            == (request.client.key, request.client.authentication, &request.client.assertions)
    });
    let client = client.ok_or(Reason::OauthClientUnknown)?;
    check_state(&client)?;
    let mut expires_at = tx.now.saturating_add(Millis::from(client.token_lifetime) * 1_000);
    let secret = match &request.proof {
        ClientProof::Secret(id) => {
            let secrets = oauth_clients::list_secrets(tx, client.key)?;
            let secret = secrets.into_iter().find(|secret| secret.id == *id).ok_or(Reason::ClientSecretWrong)?;
            if !secret.is_live(tx.now) {
                return Err(Reason::ClientSecretExpired.into());
            }
            // The end of a secret is the end of what it grants.
            expires_at = expires_at.min(secret.expires_at);
            Some(secret.id)
        }
        ClientProof::SingleAssertion(digest, end) => {
            if !rows::record_assertion(tx, client.key, digest, *end)? {
                return Err(Reason::AssertionUsed.into());
            }
            None
        }
        ClientProof::Assertion => None,
    };
    let scope = request.scope.clone().unwrap_or_else(|| client.scope.clone());
    if !scope.rights().are_within(client.scope.rights()) {
        return Err(Reason::OauthScopeRefused.with("scope", client.scope.as_str()));
    }
    check_limits(tx, &client)?;
    let draft = AccessTokenDraft {
        id: clock::new_id(),
        digest: request.digest,
        hint: request.hint.clone(),
        scope: scope.as_str().to_owned(),
        expires_at,
        client: client.key,
        secret: secret.clone(),
    };
    rows::insert_access_token(tx, client.configuration, &client.label, &draft)?;
    oauth_clients::record_client_use(tx, client.key, secret.as_deref())?;
    let lifetime = u32::try_from((expires_at - tx.now) / 1_000).unwrap_or(0);
    Ok(GrantedToken { scope, lifetime })
}

/// Checks that a client gets access tokens.
///
/// # Errors
/// `OauthClientDisabled`.
pub fn check_state(client: &OauthClient) -> Result<()> {
    if client.state == OauthClientState::Active { Ok(()) } else { Err(Reason::OauthClientDisabled.into()) }
}

/// Checks that a client authenticates in this way.
///
/// # Errors
/// `ClientAuthenticationOther`.
pub fn check_authentication(client: &OauthClient, allowed: &[ClientAuthentication]) -> Result<()> {
    if allowed.contains(&client.authentication) {
        return Ok(());
    }
    Err(Reason::ClientAuthenticationOther.with("authentication", client.authentication))
}

fn check_limits(tx: &Tx<'_>, client: &OauthClient) -> Result<()> {
    let counts = rows::count_access_tokens(tx, client.key, tx.now, tx.now - MINUTE)?;
    let limited = |max: u32, until: Millis| {
        let seconds = (until.saturating_sub(tx.now) / 1_000).clamp(0, 3_600).unsigned_abs() + 1;
        Error::from(Reason::AccessTokensLimited).with("max", max).with_retry_seconds(seconds)
    };
    if counts.recent >= TOKENS_PER_MINUTE {
        return Err(limited(TOKENS_PER_MINUTE, counts.oldest_recent.unwrap_or(tx.now) + MINUTE));
    }
    if counts.live >= LIVE_TOKENS_MAX {
        return Err(limited(LIVE_TOKENS_MAX, counts.first_end.unwrap_or(tx.now)));
    }
    Ok(())
}

/// Revokes the access token with this digest, if the client got it (RFC 7009 section 2). Returns whether there was one.
///
/// # Errors
/// `AssertionUsed` for a single assertion that was used before.
pub fn revoke_access_token(
    tx: &Tx<'_>,
    client: &OauthClient,
    proof: &ClientProof,
    digest: &TokenDigest,
) -> Result<bool> {
    tx.allow_on_full_disk();
    if let ClientProof::SingleAssertion(id, end) = proof
        && !rows::record_assertion(tx, client.key, id, *end)?
    {
        return Err(Reason::AssertionUsed.into());
    }
    rows::revoke_access_token(tx, client.key, digest)
}

/// Deletes at most `limit` access tokens that expired a day ago, and as many used assertions. Returns how many.
///
/// # Errors
/// Errors of the store.
pub fn remove_expired(tx: &Tx<'_>, limit: u32) -> Result<usize> {
    rows::delete_expired(tx, tx.now.saturating_sub(EXPIRED_TOKENS_MS), limit as usize)
}
