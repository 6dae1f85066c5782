//! The HTTP edge: SCIM for identity providers, the management API and the portal for the operator.

pub mod api;
pub mod assets;
pub(crate) mod blocking;
mod body;
mod body_budget;
pub mod call_log;
mod chunked_body;
mod context;
pub mod limits;
pub(crate) mod login_throttle;
pub mod manual_backup;
pub mod metrics;
mod navigation_badges;
pub mod network;
pub mod oauth;
pub mod password_hashing;
pub mod portal;
pub mod public_url;
pub mod request_log;
pub mod request_middleware;
mod request_owner;
pub mod required_permission;
pub mod scim;
pub mod sign_in_failures;
pub mod sso_provider;
pub mod standby;
pub mod state;
mod undeclared_log;
mod usage;
pub mod used_attempts;

// The management API and the portal do not name the SCIM endpoints.
pub(in crate::web) use self::scim::{find_replay_obstacle, replay_request};
use crate::error::Error;

/// Logs the detail of an error that a caller must not read.
fn log_failure(error: &Error) {
    if let Some(problem) = error.log_detail() {
        tracing::error!(problem, "a database statement failed");
    }
}
