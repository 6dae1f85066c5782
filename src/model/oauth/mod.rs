//! OAuth clients of a configuration (RFC 6749 section 2): how an identity provider gets access tokens.

pub mod scope;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::model::oauth::scope::OauthScope;
use crate::named_enum::named_enum;

/// Most clients of a configuration.
pub const CLIENTS_MAX: u32 = 5;
/// Most secrets of a client that have not expired.
pub const LIVE_SECRETS_MAX: usize = 2;
/// Default lifetime of an access token, in seconds.
pub const TOKEN_LIFETIME_DEFAULT: u32 = 3_600;
/// Shortest lifetime of an access token, in seconds.
pub const TOKEN_LIFETIME_MIN: u32 = 3_600;
/// Longest lifetime of an access token, in seconds.
pub const TOKEN_LIFETIME_MAX: u32 = 21_600;
/// Default lifetime of a secret, in seconds: a year.
pub const SECRET_LIFETIME_DEFAULT: u32 = 365 * 86_400;
/// Shortest lifetime of a secret, in seconds: a day.
pub const SECRET_LIFETIME_MIN: u32 = 86_400;
/// Longest lifetime of a secret, in seconds: three years.
pub const SECRET_LIFETIME_MAX: u32 = 3 * 365 * 86_400;
/// Days before the end of the last secret of a client, at each of which the warning becomes more serious.
pub const SECRET_WARNING_DAYS: [u32; 4] = [30, 14, 3, 1];
/// Most access tokens that a client gets in a minute.
pub const TOKENS_PER_MINUTE: u32 = 60;
/// Most access tokens of a client that are valid at the same time.
pub const LIVE_TOKENS_MAX: u32 = 1_000;
/// Longest URL, issuer, subject or audience, in bytes.
pub const TEXT_MAX_BYTES: usize = 2_000;
/// Longest JWK set, in bytes.
pub const KEYS_MAX_BYTES: usize = 16 * 1024;

named_enum! {
    /// How a client proves what it is
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum ClientAuthentication {
        /// A secret.
        Secret = "secret",
        /// A signed assertion with a key of the client (RFC 7523 section 2.2).
        PrivateKeyJwt = "private_key_jwt",
        /// A token of the identity provider itself: workload identity federation.
        Federated = "federated",
    }
}

impl ClientAuthentication {
    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Secret => "Client secret",
            Self::PrivateKeyJwt => "Signed assertion",
            Self::Federated => "Workload identity federation",
        }
    }
}

named_enum! {
    /// Whether a client gets access tokens
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum OauthClientState {
        /// It gets access tokens.
        Active = "active",
        /// It gets none, and those that it had are revoked.
        Disabled = "disabled",
    }
}

/// Returns the smallest number of [`SECRET_WARNING_DAYS`] within which a secret ends, 0 if it has ended, and `None` if it is
/// too early for a warning.
pub fn find_warning_days(expires_at: Millis, now: Millis) -> Option<u32> {
    let left = expires_at - now;
    if left <= 0 {
        return Some(0);
    }
    SECRET_WARNING_DAYS.into_iter().rev().find(|days| left <= Millis::from(*days) * 86_400_000)
}

/// Where the keys are that verify the assertions of a client, and what the assertions must contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssertionSource {
    /// The keys themselves: a JWK set.
    pub jwks: Option<String>,
    /// URL of the keys.
    pub jwks_url: Option<String>,
    /// Required `iss` of a federated client. Without a URL, the keys are found from it.
    pub issuer: Option<String>,
    /// Required `sub` of a federated client.
    pub subject: Option<String>,
    /// Required `aud` of a federated client.
    pub audience: Option<String>,
}

/// An OAuth client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    /// Key of its row.
    pub key: i64,
    /// Its public id.
    pub client_id: String,
    /// Key of its configuration.
    pub configuration: i64,
    /// Name chosen by the admin.
    pub label: String,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// The most that its access tokens may do.
    pub scope: OauthScope,
    /// Lifetime of its access tokens, in seconds.
    pub token_lifetime: u32,
    /// How its assertions are verified.
    pub assertions: AssertionSource,
    /// Whether it gets access tokens.
    pub state: OauthClientState,
    /// Time of creation.
    pub created_at: Millis,
    /// When it got the last access token.
    pub last_used_at: Option<Millis>,
}

/// A secret of a client, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// Its id.
    pub id: String,
    /// Digest of its text.
    pub digest: TokenDigest,
    /// Name chosen by the admin.
    pub label: String,
    /// The last four characters of its text.
    pub hint: String,
    /// Time of creation.
    pub created_at: Millis,
    /// When it was last used.
    pub last_used_at: Option<Millis>,
    /// When it ends.
    pub expires_at: Millis,
}

impl ClientSecret {
    /// Whether the secret is valid at this time.
    pub fn is_live(&self, now: Millis) -> bool {
        now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_begin_thirty_days_before_the_end() {
        const DAY: Millis = 86_400_000;
        for (left, days) in [
            (30 * DAY + 1, None),
            (30 * DAY, Some(30)),
            (14 * DAY, Some(14)),
            (4 * DAY, Some(14)),
            (3 * DAY, Some(3)),
            (DAY, Some(1)),
            (1, Some(1)),
            (0, Some(0)),
            (-DAY, Some(0)),
        ] {
            assert_eq!(find_warning_days(left + 7, 7), days, "{left}");
        }
    }
}
