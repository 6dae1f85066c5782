//! The portal, tested with a browser without scripts.

pub(crate) mod browser;
mod codes;
mod looking;
mod not_found;
mod overview;
mod pages;
mod public_url;
mod running;
mod set_up;
mod signing_in;
mod sso;
