//! The portal, seen through a browser without scripts.

mod browser;
mod codes;
mod pages;
mod running;
mod signing_in;
