//! Trusted proxies, limits of TCP connections, and rate limits of configurations.

mod connections;
mod forwarded;
mod proxies;
mod rate_limits;

use std::sync::Arc;

pub use self::proxies::{TrustedProxies, UntrustedForwarder};
use crate::settings::Settings;
pub(in crate::web) use crate::web::network::connections::limit_key;
pub use crate::web::network::connections::{ConnectionLimits, bind_listener, limit_sockets};
pub use crate::web::network::rate_limits::RateLimits;

/// Network state shared by all workers.
pub struct Network {
    /// Trusted proxies.
    pub proxies: TrustedProxies,
    /// Rate limits of configurations.
    pub rates: RateLimits,
    /// Number of TCP connections per address.
    pub sockets: Arc<ConnectionLimits>,
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
            sockets: Arc::new(ConnectionLimits::new(limits.sockets_per_address, settings.trusted_proxies.clone())),
            body_max_bytes: limits.body_max_bytes,
        }
    }
}
