//! Signed tokens (RFC 7519): those of the operator's identity system, those of this server, and ID tokens. This module
//! validates them and reads their claims; authorization is decided by the callers.

mod client_assertion;
mod client_keys;
mod id_token;
mod key_location;
mod keys;
mod own_tokens;
mod remote_keys;
mod token;
mod user_tokens;

pub use crate::auth::jwt::client_assertion::{AssertionRules, VerifiedAssertion, accepted_audiences};
pub use crate::auth::jwt::client_keys::ClientKeys;
pub use crate::auth::jwt::id_token::{IdTokenRules, IdTokens};
pub use crate::auth::jwt::keys::check_key_set;
pub use crate::auth::jwt::own_tokens::{OpenKeyError, OwnToken, SIGNING_KEY_FILE, SigningKey, TokenGrant, TokenKind};
pub use crate::auth::jwt::token::{TokenClaims, TokenRejection, string_claim, string_values};
pub use crate::auth::jwt::user_tokens::{TokenUser, TokenValidationError, UserTokens};

#[cfg(test)]
mod tests;
