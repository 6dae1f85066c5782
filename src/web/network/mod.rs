//! Trusted proxies, limits of TCP connections, and rate limits of configurations.

mod client_stream;
pub(crate) mod connections;
mod forwarded;
mod open_files;
mod proxies;
pub(crate) mod rate_limits;
mod recent_credentials;

use std::sync::Arc;

pub use self::client_stream::ClientStream;
pub use self::proxies::{TrustedProxies, UntrustedForwarder};
use crate::settings::Settings;
use crate::web::body_budget::BodyBudget;
pub use crate::web::network::connections::{
    ActiveRequest, ConnectionLimits, bind_listener, close_incomplete_connections, close_stalled_connections,
    read_peer_address,
};
pub(in crate::web) use crate::web::network::connections::{
    IncomingBody, limit_key, record_credential, run_while_connected,
};
pub use crate::web::network::open_files::{SocketCapacity, limit_sockets};
pub use crate::web::network::rate_limits::RateLimits;

/// Network state shared by all workers.
pub struct Network {
    /// Trusted proxies.
    pub proxies: TrustedProxies,
    /// Rate limits of configurations.
    pub rates: RateLimits,
    /// Open TCP connections.
    pub sockets: Arc<ConnectionLimits>,
    /// Memory for request bodies.
    pub bodies: Arc<BodyBudget>,
    /// Largest body of a SCIM request, in bytes.
    pub body_max_bytes: usize,
}

impl Network {
    /// Creates the state from the settings.
    pub fn new(settings: &Settings) -> Self {
        let limits = settings.limits;
        Self {
            proxies: TrustedProxies::new(settings.trusted_proxies.clone()),
            rates: RateLimits::new(limits.requests_per_second),
            sockets: Arc::new(ConnectionLimits::new(settings)),
            bodies: Arc::new(BodyBudget::new(limits.buffered_bytes)),
            body_max_bytes: limits.body_max_bytes,
        }
    }
}
