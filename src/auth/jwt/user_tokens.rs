//! Tokens of the operator's identity system: they identify a user, with accounts and permissions.

use std::fs;
use std::sync::Arc;

use crate::auth::jwt::keys::KeySet;
use crate::auth::jwt::remote_keys::RemoteKeySet;
use crate::auth::jwt::token::{self, TokenClaims, TokenRejection, TokenRules, string_claim, string_values};
use crate::clock::Millis;
use crate::model::account;
use crate::model::permission::Permissions;
use crate::outgoing::OutgoingRules;
use crate::settings::{ClaimNames, KeySource, UserTokenSettings};

/// Claims for the display name, in order of preference.
const NAMES: [&str; 4] = ["email", "name", "preferred_username", "sub"];

const JWKS_FLAG: &str = "--user-token-jwks-url";

/// A user with a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUser {
    /// `sub`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Accounts of the user; that of the token is the first.
    pub accounts: Vec<String>,
    /// Permissions of the token.
    pub permissions: Permissions,
}

/// Why a token does not authenticate a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenValidationError {
    /// The token is not valid.
    Rejected(TokenRejection),
    /// The identity system's keys could not be fetched yet.
    NoKeys,
}

impl From<TokenRejection> for TokenValidationError {
    fn from(rejected: TokenRejection) -> Self {
        Self::Rejected(rejected)
    }
}

enum UserTokenKeys {
    Fixed(KeySet),
    Remote(Arc<RemoteKeySet>),
}

/// Validates user tokens of one identity system.
pub struct UserTokens {
    settings: UserTokenSettings,
    keys: UserTokenKeys,
}

impl UserTokens {
    /// Reads the key file, if one is configured. A JWK set is fetched for the first token.
    ///
    /// # Errors
    /// The keys cannot be used; the sentence begins with the flag.
    pub fn new(settings: UserTokenSettings, rules: &OutgoingRules) -> Result<Self, String> {
        let keys = match &settings.keys {
            KeySource::File(path) => {
                let flag = |problem: String| format!("--user-token-key-file {}: {problem}", path.display());
                let text = fs::read(path).map_err(|problem| flag(problem.to_string()))?;
                UserTokenKeys::Fixed(KeySet::from_file(&text).map_err(flag)?)
            }
            KeySource::Url(url) => {
                let remote = RemoteKeySet::new(url.clone(), JWKS_FLAG, rules.with_trusted_host(url));
                UserTokenKeys::Remote(Arc::new(remote.map_err(|problem| format!("{JWKS_FLAG}: {problem}"))?))
            }
        };
        Ok(Self { settings, keys })
    }

    /// Returns its settings.
    pub fn settings(&self) -> &UserTokenSettings {
        &self.settings
    }

    /// Validates a token at time `now` and returns its user.
    ///
    /// # Errors
    /// The token is not valid, or no keys are available.
    pub async fn authenticate(&self, token: &str, now: Millis) -> Result<TokenUser, TokenValidationError> {
        let settings = &self.settings;
        let header = token::decode_unverified_header(token)?;
        if !settings.algorithms.contains(&header.alg) {
            return Err(TokenRejection("its algorithm is not among the allowed ones").into());
        }
        let rules =
            TokenRules { issuer: &settings.issuer, audiences: &settings.audiences, algorithms: &settings.algorithms };
        let claims = match &self.keys {
            UserTokenKeys::Fixed(keys) => token::verify_token(token, keys, &rules, now)?,
            UserTokenKeys::Remote(remote) => {
                let keys =
                    remote.keys(header.kid.as_deref(), header.alg).await.map_err(|_| TokenValidationError::NoKeys)?;
                token::verify_token(token, &keys, &rules, now)?
            }
        };
        Ok(user_from_claims(&claims, &settings.claims)?)
    }
}

/// Returns the user that the claims describe.
pub(crate) fn user_from_claims(claims: &TokenClaims, names: &ClaimNames) -> Result<TokenUser, TokenRejection> {
    let id = string_claim(claims, "sub").ok_or(TokenRejection("it has no sub"))?;
    let first = string_claim(claims, &names.account).ok_or(TokenRejection("it names no account"))?;
    if account::check_id(first).is_err() {
        return Err(TokenRejection("its account is not a valid account ID"));
    }
    let mut accounts = vec![first.to_owned()];
    for other in string_values(claims.get(&names.accounts)) {
        if account::check_id(other).is_ok() && accounts.iter().all(|account| account != other) {
            accounts.push(other.to_owned());
        }
    }
    let name = NAMES.iter().find_map(|name| string_claim(claims, name)).unwrap_or(id);
    // A string may contain several keys, as `scope` does.
    let keys = string_values(claims.get(&names.permissions));
    let permissions = Permissions::from_keys(keys.iter().flat_map(|keys| keys.split_whitespace()));
    Ok(TokenUser { id: id.to_owned(), name: name.to_owned(), accounts, permissions })
}
