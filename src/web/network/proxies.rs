//! The caller's address where proxies stand between: what a proxy says is believed of the operator's own proxies only.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR};
use ipnet::IpNet;

use super::forwarded::{self, Hop};
use crate::clock::{self, Millis};

/// How often a forwarding header of a stranger is warned of, and how long one is told of.
const WARN_EVERY: Millis = 60 * 60 * 1000;

/// The proxies that are believed.
#[derive(Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    stranger: Mutex<Option<Stranger>>,
}

/// Somebody who is no trusted proxy and sent a forwarding header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// Its address.
    pub address: IpAddr,
    /// When it was written into the log; others may have come since.
    pub at: Millis,
}

impl Proxies {
    /// Believes whoever calls from those networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, stranger: Mutex::default() }
    }

    /// The caller's address: the peer's own, or the last one before the trusted proxies. Where they do not know it, or
    /// `X-Forwarded-For` and `Forwarded` speak of different callers (one of them came from the caller, and nobody can
    /// tell which), it is that of the proxy that does not know it.
    pub(in crate::web) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let is_silent = !headers.contains_key(X_FORWARDED_FOR) && !headers.contains_key(FORWARDED);
        if is_silent {
            return peer;
        }
        if !self.is_trusted(peer) {
            self.note_stranger(peer, clock::now());
            return peer;
        }
        let usual = self.nearest(peer, &hops(headers, X_FORWARDED_FOR, forwarded::x_forwarded_for));
        let standard = self.nearest(peer, &hops(headers, FORWARDED, forwarded::forwarded));
        match (usual, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    /// Somebody who sent a forwarding header within the last hours and is no trusted proxy: a proxy that nobody named, or
    /// a caller who pretends to be somebody else.
    pub fn stranger(&self) -> Option<Stranger> {
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address furthest away that can be believed; nothing where there are no hops.
    fn nearest(&self, peer: IpAddr, hops: &[Hop]) -> Option<IpAddr> {
        let mut known = peer;
        for hop in hops.iter().rev() {
            let Some(address) = hop else { return Some(known) };
            known = *address;
            if !self.is_trusted(known) {
                break;
            }
        }
        (!hops.is_empty()).then_some(known)
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        is_within(&self.trusted, address)
    }

    fn note_stranger(&self, address: IpAddr, now: Millis) {
        let mut stranger = self.stranger.lock().unwrap_or_else(PoisonError::into_inner);
        if stranger.is_some_and(|last| (now - last.at).abs() < WARN_EVERY) {
            return;
        }
        *stranger = Some(Stranger { address, at: now });
        tracing::warn!(
            %address,
            "a forwarding header came from an address that is no trusted proxy, and was not believed; \
             if it is your proxy, name it in trusted_proxies"
        );
    }
}

/// Whether one of the networks holds the address.
pub(super) fn is_within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The hops of all lines of a header, in their order.
fn hops(headers: &HeaderMap, name: HeaderName, read: fn(&str) -> Vec<Hop>) -> Vec<Hop> {
    headers.get_all(name).flat_map(|line| line.to_str().map_or_else(|_| vec![None], read)).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.5";

    /// The caller of a request from that peer with those lines of headers, where `10.0.0.0/24` and `fd00::/8` are trusted.
    fn caller(peer: &str, lines: &[(HeaderName, &str)]) -> String {
        let proxies = Proxies::new(vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies.caller(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed_and_remembered() {
        let proxies = Proxies::default();
        let mut headers = HeaderMap::new();
        let (peer, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert_eq!((proxies.caller(peer, &headers), proxies.stranger()), (peer, None));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"));
        assert_eq!(proxies.caller(peer, &headers), peer);
        assert_eq!(proxies.caller(other, &headers), other);
        assert_eq!(proxies.stranger().map(|stranger| stranger.address), Some(peer));
    }

    #[test]
    fn the_caller_is_the_last_address_before_the_trusted_proxies() {
        for (given, expected) in [
            ("198.51.100.1", "198.51.100.1"),
            ("1.1.1.1, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.9, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
            ("198.51.100.1, fd00::1, 10.0.0.7:80", "198.51.100.1"),
            ("2001:db8::1, [fd00::1]:443", "2001:db8::1"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("198.51.100.1, unknown", PROXY),
            ("198.51.100.1, unknown, 10.0.0.7", "10.0.0.7"),
            ("unknown", PROXY),
            ("x", PROXY),
            ("", PROXY),
            (",", PROXY),
        ] {
            assert_eq!(caller(PROXY, &[(X_FORWARDED_FOR, given)]), expected, "{given}");
        }
        assert_eq!(caller(PROXY, &[]), PROXY);
        assert_eq!(caller("::ffff:10.0.0.5", &[(X_FORWARDED_FOR, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(caller("10.0.1.5", &[(X_FORWARDED_FOR, "198.51.100.1")]), "10.0.1.5");
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [(X_FORWARDED_FOR, "1.1.1.1"), (X_FORWARDED_FOR, "198.51.100.1, 10.0.0.7")];
        assert_eq!(caller(PROXY, &lines), "198.51.100.1");
        let broken = [(FORWARDED, "for=\"1.1.1.1"), (FORWARDED, "for=198.51.100.1")];
        assert_eq!(caller(PROXY, &broken), "198.51.100.1");
        let latin = [(X_FORWARDED_FOR, "\u{e9}"), (X_FORWARDED_FOR, "10.0.0.7")];
        assert_eq!(caller(PROXY, &latin), "10.0.0.7");
    }

    #[test]
    fn two_headers_must_agree() {
        let both = |usual, standard| caller(PROXY, &[(X_FORWARDED_FOR, usual), (FORWARDED, standard)]);
        assert_eq!(both("198.51.100.1", "for=198.51.100.1"), "198.51.100.1");
        assert_eq!(both("1.1.1.1, 198.51.100.1", "for=\"198.51.100.1:80\""), "198.51.100.1");
        assert_eq!(both("198.51.100.1", "for=1.1.1.1"), PROXY);
        assert_eq!(both("1.1.1.1", "for=198.51.100.1"), PROXY);
        assert_eq!(both("198.51.100.1", "for=unknown"), PROXY);
        assert_eq!(both("198.51.100.1", ""), "198.51.100.1");
        assert_eq!(caller(PROXY, &[(FORWARDED, "for=198.51.100.1;proto=http")]), "198.51.100.1");
    }
}
