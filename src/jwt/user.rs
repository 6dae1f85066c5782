//! Tokens of the operator's own identity system: who their users are, of which accounts, and what they may do.

use std::fs;
use std::sync::Arc;

use super::keys::KeySet;
use super::remote::Remote;
use super::token::{self, Claims, Rejected, Rules, text, texts};
use crate::clock::Millis;
use crate::model::account;
use crate::model::permission::Permissions;
use crate::settings::{ClaimNames, KeySource, UserTokenSettings};

/// The claims that people are called by, best first.
const NAMES: [&str; 4] = ["email", "name", "preferred_username", "sub"];

const JWKS_FLAG: &str = "--user-token-jwks-url";

/// A user whose token is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `sub`.
    pub id: String,
    /// What people call them.
    pub name: String,
    /// Their accounts, the one of the token first.
    pub accounts: Vec<String>,
    /// What the keys in the token stand for.
    pub permissions: Permissions,
}

/// Why nobody is known by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It is not right.
    Rejected(Rejected),
    /// The identity system's keys could not be fetched yet.
    NoKeys,
}

impl From<Rejected> for Denied {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

enum Keys {
    Fixed(KeySet),
    Remote(Arc<Remote>),
}

/// What takes tokens of one identity system.
pub struct UserTokens {
    settings: UserTokenSettings,
    keys: Keys,
}

impl UserTokens {
    /// Reads the key file, where there is one; a JWK set is fetched when the first token comes.
    ///
    /// # Errors
    /// The keys cannot be used; the text begins with the flag.
    pub fn new(settings: UserTokenSettings) -> Result<Self, String> {
        let keys = match &settings.keys {
            KeySource::File(path) => {
                let flag = |problem: String| format!("--user-token-key-file {}: {problem}", path.display());
                let text = fs::read(path).map_err(|problem| flag(problem.to_string()))?;
                Keys::Fixed(KeySet::from_file(&text).map_err(flag)?)
            }
            KeySource::Url(url) => {
                let remote =
                    Remote::new(url.clone(), JWKS_FLAG).map_err(|problem| format!("{JWKS_FLAG}: {problem}"))?;
                Keys::Remote(Arc::new(remote))
            }
        };
        Ok(Self { settings, keys })
    }

    /// What it was told.
    pub fn settings(&self) -> &UserTokenSettings {
        &self.settings
    }

    /// The user with that token.
    ///
    /// # Errors
    /// The token is not right, or cannot be judged yet.
    pub async fn user(&self, token: &str, now: Millis) -> Result<User, Denied> {
        let settings = &self.settings;
        let header = token::header(token)?;
        if !settings.algorithms.contains(&header.alg) {
            return Err(Rejected("its algorithm is not among the allowed ones").into());
        }
        let rules =
            Rules { issuer: &settings.issuer, audiences: &settings.audiences, algorithms: &settings.algorithms };
        let claims = match &self.keys {
            Keys::Fixed(keys) => token::verified(token, keys, &rules, now)?,
            Keys::Remote(remote) => {
                let keys = remote.keys(header.kid.as_deref(), header.alg).await.map_err(|_| Denied::NoKeys)?;
                token::verified(token, &keys, &rules, now)?
            }
        };
        Ok(user(&claims, &settings.claims)?)
    }
}

/// Who the bearer of these claims is.
pub(super) fn user(claims: &Claims, names: &ClaimNames) -> Result<User, Rejected> {
    let id = text(claims, "sub").ok_or(Rejected("it has no sub"))?;
    let first = text(claims, &names.account).ok_or(Rejected("it names no account"))?;
    if account::check_id(first).is_err() {
        return Err(Rejected("its account cannot be an account's id"));
    }
    let mut accounts = vec![first.to_owned()];
    for other in texts(claims.get(&names.accounts)) {
        if account::check_id(other).is_ok() && accounts.iter().all(|known| known != other) {
            accounts.push(other.to_owned());
        }
    }
    let name = NAMES.iter().find_map(|name| text(claims, name)).unwrap_or(id);
    // A text may hold several keys, as `scope` does.
    let keys = texts(claims.get(&names.permissions));
    let permissions = Permissions::from_keys(keys.iter().flat_map(|keys| keys.split_whitespace()));
    Ok(User { id: id.to_owned(), name: name.to_owned(), accounts, permissions })
}
