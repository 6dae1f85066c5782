//! OpenID Connect relying party (OpenID Connect Core 1.0): authorization code flow with PKCE. Secrets are sent only
//! from server to server.
//!
//! Why not the crate `openidconnect`: version 4.1 always depends on `rsa` 0.9, which has an open advisory without a
//! patched version (RUSTSEC-2023-0071). Signatures of ID tokens are verified by `jsonwebtoken` with
//! aws-lc-rs, so only the requests and the checks of the claims are our own code.

mod claims;
mod discovery;
mod relying_party;
mod request;

use std::fmt;

pub use crate::auth::oidc::claims::read_groups;
pub use crate::auth::oidc::relying_party::{RelyingParty, SignedInUser};
pub use crate::auth::oidc::request::{Callback, SignInAttempt};

/// Registration of this client at the provider.
#[derive(Clone)]
pub struct Registration {
    /// `issuer` of the provider, compared as an exact string.
    pub issuer: String,
    /// Client ID.
    pub client_id: String,
    /// Client secret; `None` for a public client.
    pub client_secret: Option<String>,
    /// Requested scopes in addition to `openid`, separated by spaces.
    pub scopes: String,
    /// Claim that groups are read from; empty if groups are not read.
    pub role_claim: String,
    /// Accepted values of the `acr` claim; empty if any is accepted.
    pub required_acr: Vec<String>,
    /// Values that the `amr` claim must contain; empty if none is required.
    pub required_amr: Vec<String>,
}

/// Why signing in failed. The message is for the log and the operator; it is not shown to the user who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInFailure {
    /// The callback does not belong to an attempt of this browser.
    Attempt(&'static str),
    /// The provider denied the request; contains its error code.
    Declined(String),
    /// The provider cannot be reached or sent an unusable response.
    Provider(String),
    /// The ID token is not valid.
    Token(String),
    /// The user did not sign in at the provider as the settings require; contains the name of the claim.
    Assurance(&'static str),
}

impl SignInFailure {
    /// Returns the kind of failure as a code for the logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Attempt(_) => "no_such_attempt",
            Self::Declined(_) => "declined_by_provider",
            Self::Provider(_) => "provider_failed",
            Self::Token(_) => "bad_id_token",
            Self::Assurance(_) => "authentication_too_weak",
        }
    }
}

impl fmt::Display for SignInFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(why) => f.write_str(why),
            Self::Declined(code) => write!(f, "the provider answered “{code}”"),
            Self::Provider(why) => write!(f, "the provider: {why}"),
            Self::Token(why) => write!(f, "the ID token: {why}"),
            Self::Assurance(claim) => write!(f, "the ID token: its {claim} has no value that the settings require"),
        }
    }
}

/// Reduces an error code of the provider to characters that are safe to show and log: codes are short ASCII strings
/// (RFC 6749 section 4.1.2.1).
fn sanitize_code(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let code: String = text.chars().filter(|&c| is_plain(c)).take(64).collect();
    if code.is_empty() { "an error".to_owned() } else { code }
}
