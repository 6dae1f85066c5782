//! The portal, seen through a browser without scripts.

pub(crate) mod browser;
mod codes;
mod looking;
mod missing;
mod overview;
mod pages;
mod public_url;
mod running;
mod set_up;
mod signing_in;
mod sso;
