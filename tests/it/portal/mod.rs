//! The portal, seen through a browser without scripts.

mod browser;
mod set_up;
mod looking;
mod signing_in;
