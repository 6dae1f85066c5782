//! The portal, seen through a browser without scripts.

mod browser;
mod looking;
mod signing_in;
