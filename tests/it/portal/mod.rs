//! The portal, seen through a browser without scripts.

mod browser;
mod signing_in;
