//! TCP connections: limits in total and per address, and timeouts of idle connections.

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};

use crate::clock::{self, Millis};
use crate::web::network::proxies::is_within;

/// Length of the accept queue; the kernel may allow less (`net.core.somaxconn`).
const BACKLOG: i32 = 1_024;
/// How long sent data may stay unacknowledged before the kernel closes the connection (`TCP_USER_TIMEOUT`, Linux only).
#[cfg(target_os = "linux")]
const UNREAD_MAX: Duration = Duration::from_secs(20);
/// Idle time before the first keepalive probe, and the interval of further probes.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// Open files that are not incoming connections: the database, its reader pool, the log, backups, outgoing calls.
const OTHER_FILES: usize = 32;
/// Open files per worker: its event loop and its own database reader.
const FILES_PER_WORKER: usize = 8;
/// Fewest connections, even with a lower limit of open files.
const SOCKETS_MIN: usize = 4;
/// Shortest interval between warnings about addresses with too many connections.
const WARN_EVERY: Millis = 60 * 1000;
/// Response to a connection above the limit, if it is not encrypted.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Number of open connections per address.
pub struct ConnectionLimits {
    max_per_address: usize,
    /// Networks without a limit: a proxy carries the requests of many clients.
    exempt: Vec<IpNet>,
    counts: Mutex<SocketCounts>,
}

#[derive(Default)]
struct SocketCounts {
    per_address: HashMap<IpAddr, usize>,
    warned_at: Millis,
}

/// One counted connection; released on drop.
struct SocketSlot {
    sockets: Arc<ConnectionLimits>,
    holder: IpAddr,
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        self.sockets.remove(self.holder);
    }
}

impl ConnectionLimits {
    /// Allows at most `max_per_address` connections for each address outside the `exempt` networks.
    pub fn new(max_per_address: usize, exempt: Vec<IpNet>) -> Self {
        Self { max_per_address, exempt, counts: Mutex::default() }
    }

    /// Counts a new connection, or closes it if its address has reached the limit. The count is released with `data`.
    pub fn admit(self: &Arc<Self>, stream: &dyn Any, data: &mut Extensions) {
        if let Some(stream) = stream.downcast_ref::<TcpStream>() {
            if !self.register(stream, data) {
                // The response is optional: if it does not fit the send buffer, the closed connection is sufficient.
                let _ = SockRef::from(stream).send(TOO_MANY_CONNECTIONS);
                shut_down(stream);
            }
        } else if let Some(stream) = stream.downcast_ref::<TlsStream<TcpStream>>() {
            let stream = stream.get_ref().0;
            if !self.register(stream, data) {
                shut_down(stream);
            }
        }
    }

    fn register(self: &Arc<Self>, stream: &TcpStream, data: &mut Extensions) -> bool {
        // A peer that has already disconnected has no address.
        let Ok(peer) = stream.peer_addr() else { return true };
        let address = peer.ip().to_canonical();
        if is_within(&self.exempt, address) {
            return true;
        }
        let holder = limit_key(address);
        if !self.try_add(holder, clock::current_millis()) {
            return false;
        }
        data.insert(SocketSlot { sockets: Arc::clone(self), holder });
        true
    }

    fn try_add(&self, holder: IpAddr, now: Millis) -> bool {
        let mut held = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.per_address.entry(holder).or_default();
        if *count < self.max_per_address {
            *count += 1;
            return true;
        }
        if (now - held.warned_at).abs() >= WARN_EVERY {
            held.warned_at = now;
            let limit = self.max_per_address;
            tracing::warn!(address = %holder, limit, "an address has reached the limit of connections; further connections are closed");
        }
        false
    }

    fn remove(&self, holder: IpAddr) {
        let mut held = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.per_address.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                held.per_address.remove(&holder);
            }
        }
    }
}

fn shut_down(stream: &TcpStream) {
    // Fails only if the peer has already closed the connection.
    let _ = SockRef::from(stream).shutdown(Shutdown::Both);
}

/// Returns the key of an address in limits: for IPv6 its /64 network, because a client can choose any address in it.
pub(in crate::web) fn limit_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Binds a listener. Accepted connections inherit its socket options.
///
/// # Errors
/// The address cannot be bound.
pub fn bind_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    let socket = SockRef::from(&listener);
    socket.listen(BACKLOG)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNREAD_MAX))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY))?;
    Ok(listener)
}

/// Returns the number of connections, at most `requested`, that the limit of open files allows. The database and the
/// workers need some of the files.
pub fn limit_sockets(requested: usize, workers: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = open_files_max(&limits) else { return requested };
    let possible = files.saturating_sub(OTHER_FILES + workers * FILES_PER_WORKER).max(SOCKETS_MIN);
    if possible < requested {
        tracing::warn!(
            open_files_max = files,
            connections = possible,
            "fewer connections than configured: raise the limit of open files"
        );
    }
    requested.min(possible)
}

/// Returns the soft limit of open files in the text of `/proc/PID/limits`; none if it is unlimited.
fn open_files_max(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_limited_number_of_connections_and_gets_them_back() {
        let sockets = ConnectionLimits::new(2, Vec::new());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(sockets.try_add(one, 0) && sockets.try_add(one, 0) && !sockets.try_add(one, 0));
        assert!(sockets.try_add(other, 0));
        sockets.remove(one);
        assert!(sockets.try_add(one, 0) && !sockets.try_add(one, 0));
        for holder in [one, one, other] {
            sockets.remove(holder);
        }
        assert!(sockets.counts.lock().unwrap().per_address.is_empty(), "an address without connections has no entry");
    }

    #[test]
    fn a_network_of_64_bits_is_one_holder() {
        let key = |text: &str| limit_key(text.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax processes  7 7 processes\nMax open files            64                   20000                files\n";
        assert_eq!(open_files_max(limits), Some(64));
        assert_eq!(open_files_max("Max open files unlimited unlimited files"), None);
        assert_eq!(open_files_max(""), None);
    }
}
