//! TCP connections: how many there may be in all and from one address, and when one that stands still is given up.

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

use super::proxies::is_within;
use crate::clock::{self, Millis};

/// Connections that wait to be taken up; the kernel may keep fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 1_024;
/// How long somebody may leave unread what was sent: then the kernel gives the connection up (`TCP_USER_TIMEOUT`, which
/// only Linux has).
#[cfg(target_os = "linux")]
const UNREAD_MAX: Duration = Duration::from_secs(20);
/// After so much silence the kernel asks whether the other end is still there, and how often again.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// Open files that are not connections: the database, its pool of readers, the log, backups, calls to others.
const OTHER_FILES: usize = 32;
/// The same for each worker: its event loop, and a reader of its own.
const FILES_PER_WORKER: usize = 8;
/// Fewest connections that are taken, however few files may be open.
const SOCKETS_MIN: usize = 4;
/// How often it is told that an address has too many.
const WARN_EVERY: Millis = 60 * 1000;
/// The answer to a connection too many, where it can be told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Who holds how many connections.
pub struct Sockets {
    each_max: usize,
    /// Networks that are free of the limit: proxies carry the requests of many.
    free: Vec<IpNet>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by: HashMap<IpAddr, usize>,
    warned_at: Millis,
}

/// The place of one connection; given back when it goes.
struct Place {
    sockets: Arc<Sockets>,
    holder: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sockets.leave(self.holder);
    }
}

impl Sockets {
    /// At most that many for each address outside the networks that are free of it.
    pub fn new(each_max: usize, free: Vec<IpNet>) -> Self {
        Self { each_max, free, held: Mutex::default() }
    }

    /// Takes a new connection in, or ends it where its address has enough of them.
    pub fn welcome(self: &Arc<Self>, stream: &dyn Any, kept: &mut Extensions) {
        if let Some(stream) = stream.downcast_ref::<TcpStream>() {
            if !self.seat(stream, kept) {
                // Should it not fit into the buffer of a fresh connection, the end says enough.
                let _ = SockRef::from(stream).send(TOO_MANY);
                end(stream);
            }
        } else if let Some(stream) = stream.downcast_ref::<TlsStream<TcpStream>>() {
            let stream = stream.get_ref().0;
            if !self.seat(stream, kept) {
                end(stream);
            }
        }
    }

    fn seat(self: &Arc<Self>, stream: &TcpStream, kept: &mut Extensions) -> bool {
        // Who is gone already has no address.
        let Ok(peer) = stream.peer_addr() else { return true };
        let address = peer.ip().to_canonical();
        if is_within(&self.free, address) {
            return true;
        }
        let holder = holder(address);
        if !self.enter(holder, clock::now()) {
            return false;
        }
        kept.insert(Place { sockets: Arc::clone(self), holder });
        true
    }

    fn enter(&self, holder: IpAddr, now: Millis) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.by.entry(holder).or_default();
        if *count < self.each_max {
            *count += 1;
            return true;
        }
        if (now - held.warned_at).abs() >= WARN_EVERY {
            held.warned_at = now;
            let most = self.each_max;
            tracing::warn!(address = %holder, most, "an address has as many connections as one may have; more are ended");
        }
        false
    }

    fn leave(&self, holder: IpAddr) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.by.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                held.by.remove(&holder);
            }
        }
    }
}

fn end(stream: &TcpStream) {
    // Fails only where the other end was faster.
    let _ = SockRef::from(stream).shutdown(Shutdown::Both);
}

/// Who counts as one: with IPv6 everybody has a network of 64 bits to choose addresses from.
pub(in crate::web) fn holder(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Listens there. What is set here holds for every connection that is taken up.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    let socket = SockRef::from(&listener);
    socket.listen(BACKLOG)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNREAD_MAX))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY))?;
    Ok(listener)
}

/// How many connections can be taken, of so many that are wanted: the process may have only so many files open, and the
/// database and the workers need some of them.
pub fn most_sockets(wanted: usize, workers: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = open_files_max(&limits) else { return wanted };
    let possible = files.saturating_sub(OTHER_FILES + workers * FILES_PER_WORKER).max(SOCKETS_MIN);
    if possible < wanted {
        tracing::warn!(
            open_files_max = files,
            connections = possible,
            "fewer connections than wanted: raise the limit of open files"
        );
    }
    wanted.min(possible)
}

/// The soft limit in a `/proc/PID/limits`; none where there is none.
fn open_files_max(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let sockets = Sockets::new(2, Vec::new());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(sockets.enter(one, 0) && sockets.enter(one, 0) && !sockets.enter(one, 0));
        assert!(sockets.enter(other, 0));
        sockets.leave(one);
        assert!(sockets.enter(one, 0) && !sockets.enter(one, 0));
        for holder in [one, one, other] {
            sockets.leave(holder);
        }
        assert!(sockets.held.lock().unwrap().by.is_empty(), "nobody is remembered who holds none");
    }

    #[test]
    fn a_network_of_64_bits_is_one_holder() {
        let of = |text: &str| holder(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax processes  7 7 processes\nMax open files            64                   20000                files\n";
        assert_eq!(open_files_max(limits), Some(64));
        assert_eq!(open_files_max("Max open files unlimited unlimited files"), None);
        assert_eq!(open_files_max(""), None);
    }
}
