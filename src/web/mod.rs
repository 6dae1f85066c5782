//! The HTTP edge: SCIM for identity providers, the management API for the operator.

pub mod activity;
pub mod api;
pub mod assets;
mod body;
mod guard;
pub mod hashing;
mod key_use;
pub mod limits;
mod log;
pub mod requests;
pub mod scim;
pub mod state;
