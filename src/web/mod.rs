//! The HTTP edge: SCIM for identity providers, health for the operator's monitoring.

pub mod activity;
pub mod api;
mod guard;
pub mod limits;
mod log;
pub mod requests;
pub mod scim;
pub mod state;
