//! Credentials: signed tokens, OpenID Connect, passwords, one-time codes and sealed secrets.

pub mod fetch;
pub mod jwt;
pub mod oidc;
pub mod secret;
