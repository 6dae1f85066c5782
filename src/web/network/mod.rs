//! What stands between a caller and a request: proxies, TCP connections, and how many requests a configuration may make.

mod forwarded;
mod proxies;
mod rates;
mod sockets;

use std::sync::Arc;

pub use self::proxies::{Proxies, Stranger};
pub use self::rates::Rates;
pub(in crate::web) use self::sockets::holder;
pub use self::sockets::{Sockets, listen, most_sockets};
use crate::settings::Settings;

/// Shared by all workers.
pub struct Network {
    /// The proxies that are believed.
    pub proxies: Proxies,
    /// Budgets of configurations.
    pub rates: Rates,
    /// Who holds how many TCP connections.
    pub sockets: Arc<Sockets>,
    /// Largest body of a SCIM request, in bytes.
    pub body_max_bytes: usize,
}

impl Network {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Self {
        let limits = settings.limits;
        Self {
            proxies: Proxies::new(settings.trusted_proxies.clone()),
            rates: Rates::new(limits.requests_per_second),
            sockets: Arc::new(Sockets::new(limits.sockets_per_address, settings.trusted_proxies.clone())),
            body_max_bytes: limits.body_max_bytes,
        }
    }
}
