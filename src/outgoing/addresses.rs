//! Ranges of addresses that are not public: the IANA special-purpose registries (RFC 6890), multicast, and the ranges that
//! translate to IPv4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

const IPV4_RANGES: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 8), "private"),
    (v4(100, 64, 0, 10), "shared by carriers"),
    (v4(127, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 16), "link-local"),
    (v4(172, 16, 0, 12), "private"),
    (v4(192, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 24), "documentation"),
    (v4(192, 88, 99, 24), "6to4 relay"),
    (v4(192, 168, 0, 16), "private"),
    (v4(198, 18, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 24), "documentation"),
    (v4(203, 0, 113, 24), "documentation"),
    (v4(224, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 4), "reserved"),
];

/// Ranges within `2000::/3`. No other IPv6 address is a public unicast address.
const IPV6_RANGES: &[(Ipv6Net, &str)] = &[
    // Contains Teredo, benchmarking and ORCHIDv2.
    (v6(0x2001, 0, 23), "protocol assignments"),
    (v6(0x2001, 0xdb8, 32), "documentation"),
    (v6(0x2002, 0, 16), "6to4"),
    (v6(0x3fff, 0, 20), "documentation"),
];

const IPV6_PUBLIC: Ipv6Net = v6(0x2000, 0, 3);

/// Names of the ranges outside of `2000::/3`, for the message.
const IPV6_OTHER: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "an IPv4 address in IPv6"),
    (v6(0, 0, 96), "an IPv4 address in IPv6"),
    (v6(0x64, 0xff9b, 32), "NAT64"),
    (v6(0x100, 0, 16), "discard"),
    (v6(0x5f00, 0, 16), "segment routing"),
    (v6(0xfc00, 0, 7), "private"),
    (v6(0xfe80, 0, 10), "link-local"),
    (v6(0xfec0, 0, 10), "site-local"),
    (v6(0xff00, 0, 8), "multicast"),
];

/// Returns the name of the range if the address is not public.
pub(super) fn name_of_special_range(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => find_range(IPV4_RANGES, |network| network.contains(&address)),
        IpAddr::V6(address) if IPV6_PUBLIC.contains(&address) => {
            find_range(IPV6_RANGES, |network| network.contains(&address))
        }
        IpAddr::V6(address) => find_range(IPV6_OTHER, |network| network.contains(&address)).or(Some("not assigned")),
    }
}

fn find_range<N>(ranges: &[(N, &'static str)], contains: impl Fn(&N) -> bool) -> Option<&'static str> {
    ranges.iter().find(|(network, _)| contains(network)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edges_of_each_range_are_special_and_adjacent_addresses_are_public() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
        ] {
            let (first, last): (Ipv4Addr, Ipv4Addr) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(name_of_special_range(first.into()).is_some(), "{first}");
            assert!(name_of_special_range(last.into()).is_some(), "{last}");
            let next = Ipv4Addr::from(u32::from(last) + 1);
            assert_eq!(name_of_special_range(next.into()), None, "{next}");
            if first != Ipv4Addr::UNSPECIFIED {
                let before = Ipv4Addr::from(u32::from(first) - 1);
                assert_eq!(name_of_special_range(before.into()), None, "{before}");
            }
        }
        assert!(name_of_special_range(Ipv4Addr::BROADCAST.into()).is_some());
    }

    #[test]
    fn ipv6_ranges_have_names() {
        for (address, name) in [
            ("::1", "loopback"),
            ("::", "an IPv4 address in IPv6"),
            ("::8.8.8.8", "an IPv4 address in IPv6"),
            ("::ffff:8.8.8.8", "an IPv4 address in IPv6"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "discard"),
            ("2001::1", "protocol assignments"),
            ("2001:20::1", "protocol assignments"),
            ("2001:2::1", "protocol assignments"),
            ("2001:db8::1", "documentation"),
            ("2002:808:808::", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "segment routing"),
            ("fd12::1", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("4000::1", "not assigned"),
        ] {
            assert_eq!(name_of_special_range(address.parse().unwrap()), Some(name), "{address}");
        }
        for public in ["2001:200::1", "2606:4700::1111", "2a00:1450:4001::1", "2003::1"] {
            assert_eq!(name_of_special_range(public.parse().unwrap()), None, "{public}");
        }
    }

    proptest! {
        #[test]
        fn what_the_standard_library_calls_private_is_special(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let is_private = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified() || address.is_multicast();
            prop_assert!(!is_private || name_of_special_range(address.into()).is_some());
            // Addresses that contain an IPv4 address are never public, whatever they contain.
            prop_assert!(name_of_special_range(address.to_ipv6_mapped().into()).is_some());
            prop_assert!(name_of_special_range(address.to_ipv6_compatible().into()).is_some());
        }
    }
}
