//! The page of a setup link, for an IT admin of a customer without a portal login.

pub(crate) mod brand;
mod created_secret;
pub(crate) mod error_page;
mod link_credentials;
pub(super) mod link_request;
pub(crate) mod mapping;
pub(crate) mod secret_page;
pub(crate) mod setup_page;
pub(crate) mod steps;
