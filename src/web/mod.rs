//! The HTTP edge: SCIM for identity providers, the management API and the portal for the operator.

pub mod api;
pub mod assets;
mod blocking;
mod body;
pub mod call_log;
mod context;
pub mod limits;
mod login_throttle;
pub mod manual_backup;
pub mod metrics;
pub mod network;
pub mod password_hashing;
pub mod portal;
pub mod public_url;
pub mod request_log;
pub mod request_middleware;
pub mod required_permission;
pub mod scim;
pub mod sso_provider;
pub mod state;
mod usage;

use crate::error::Error;

/// Logs the detail of an error that a caller must not read.
fn log_failure(error: &Error) {
    if let Some(problem) = error.log_detail() {
        tracing::error!(problem, "a database statement failed");
    }
}
