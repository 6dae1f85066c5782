//! The caller address behind proxies. Forwarding headers are accepted only from the trusted proxies of the operator.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR};
use ipnet::IpNet;

use super::forwarded::{self, ForwardedHop};
use crate::clock::{self, Millis};

/// Shortest interval between warnings about forwarding headers from untrusted addresses.
const WARN_EVERY: Millis = 60 * 60 * 1000;

/// Trusted proxies.
#[derive(Default)]
pub struct TrustedProxies {
    trusted: Vec<IpNet>,
    untrusted_forwarder: Mutex<Option<UntrustedForwarder>>,
}

/// An address that is not a trusted proxy and sent a forwarding header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntrustedForwarder {
    /// Network address.
    pub address: IpAddr,
    /// Time of the log entry; later ones within the interval are not recorded.
    pub at: Millis,
}

impl TrustedProxies {
    /// Trusts the forwarding headers of these networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, untrusted_forwarder: Mutex::default() }
    }

    /// Returns the address of the caller: the peer itself, or the last address before the trusted proxies. If that
    /// address is unknown, it is the address of the proxy that reported it as unknown. If `X-Forwarded-For` and
    /// `Forwarded` differ, it is the peer, because one of the headers was sent by the caller and it is not known which.
    pub(in crate::web) fn caller_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let is_silent = !headers.contains_key(X_FORWARDED_FOR) && !headers.contains_key(FORWARDED);
        if is_silent {
            return peer;
        }
        if !self.is_trusted(peer) {
            self.record_untrusted_forwarder(peer, clock::current_millis());
            return peer;
        }
        let usual = self.furthest_trusted(peer, &read_hops(headers, X_FORWARDED_FOR, forwarded::parse_x_forwarded_for));
        let standard = self.furthest_trusted(peer, &read_hops(headers, FORWARDED, forwarded::parse_forwarded));
        match (usual, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    /// Returns the last recorded address that sent a forwarding header without being a trusted proxy: a proxy that is
    /// not configured, or a caller that forges its address.
    pub fn untrusted_forwarder(&self) -> Option<UntrustedForwarder> {
        *self.untrusted_forwarder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the furthest address that a trusted proxy reported; none if there are no hops.
    fn furthest_trusted(&self, peer: IpAddr, hops: &[ForwardedHop]) -> Option<IpAddr> {
        let mut nearest = peer;
        for hop in hops.iter().rev() {
            let Some(address) = hop else { return Some(nearest) };
            nearest = *address;
            if !self.is_trusted(nearest) {
                break;
            }
        }
        (!hops.is_empty()).then_some(nearest)
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        is_within(&self.trusted, address)
    }

    fn record_untrusted_forwarder(&self, address: IpAddr, now: Millis) {
        let mut recorded = self.untrusted_forwarder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.is_some_and(|last| (now - last.at).abs() < WARN_EVERY) {
            return;
        }
        *recorded = Some(UntrustedForwarder { address, at: now });
        tracing::warn!(
            %address,
            "ignored a forwarding header from an address that is not a trusted proxy; \
             if it is your proxy, add it to trusted_proxies"
        );
    }
}

/// Returns whether one of the networks contains the address.
pub(super) fn is_within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the hops of all lines of a header, in order.
fn read_hops(headers: &HeaderMap, name: HeaderName, read: fn(&str) -> Vec<ForwardedHop>) -> Vec<ForwardedHop> {
    headers.get_all(name).flat_map(|line| line.to_str().map_or_else(|_| vec![None], read)).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.5";

    /// Returns the caller of a request from `peer` with these header lines; `10.0.0.0/24` and `fd00::/8` are trusted.
    fn caller(peer: &str, lines: &[(HeaderName, &str)]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies.caller_address(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn an_untrusted_address_is_ignored_and_recorded() {
        let proxies = TrustedProxies::default();
        let mut headers = HeaderMap::new();
        let (peer, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert_eq!((proxies.caller_address(peer, &headers), proxies.untrusted_forwarder()), (peer, None));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"));
        assert_eq!(proxies.caller_address(peer, &headers), peer);
        assert_eq!(proxies.caller_address(other, &headers), other);
        assert_eq!(proxies.untrusted_forwarder().map(|recorded| recorded.address), Some(peer));
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
