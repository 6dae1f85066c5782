//! Signed tokens (RFC 7519): those of the operator's identity system, and our own. Whether one is right, and what it says;
//! what its bearer may do is decided where it is used.

mod id_token;
mod keys;
mod own;
mod remote;
mod token;
mod user;

pub use id_token::{IdTokenRules, IdTokens};
pub use own::{Grant, OpenKeyError, OwnToken, SigningKey, TokenKind};
pub use token::{Claims, Rejected, text, texts};
pub use user::{Denied, User, UserTokens};

#[cfg(test)]
mod tests;
