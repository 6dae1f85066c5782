//! The portal, seen through a browser without scripts.

mod browser;
mod looking;
mod set_up;
mod signing_in;
