//! The HTTP edge: SCIM for identity providers, the management API for the operator.

pub mod access;
pub mod activity;
pub mod api;
mod aside;
pub mod assets;
mod body;
pub mod by_hand;
mod feed_use;
mod frame;
mod guard;
pub mod hashing;
mod key_use;
pub mod limits;
mod log;
pub mod metrics;
pub mod network;
pub mod portal;
pub mod public_url;
pub mod requests;
pub mod scim;
pub mod sso;
pub mod state;
pub mod strict_transport;
