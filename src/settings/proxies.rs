//! Settings of trusted proxies.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

/// Flags of `serve` for trusted proxies.
#[derive(Debug, Clone, Default, Args)]
pub struct ProxyArgs {
    /// Addresses of the proxies in front of this server, such as 10.0.0.5 or 10.0.0.0/24; may be given several times.
    /// Only their forwarding headers are trusted. Requires a public URL
    #[arg(
        long = "trusted-proxies",
        value_name = "CIDR",
        env = "ROLLCALL_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub(super) trusted: Vec<IpNet>,
}

/// Parses a network or one address. A network of all addresses is rejected: any client could then forge its own
/// address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let fix = "write an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/8";
    let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())).ok();
    let network = one.or_else(|| text.parse::<IpNet>().ok()).ok_or(fix)?;
    if network.prefix_len() == 0 {
        return Err("it must not contain every address: any client could then forge its own address".into());
    }
    if network.addr() != network.network() {
        return Err(format!("it has bits beyond its prefix; write {}", network.trunc()));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (given, normalized) in [
            ("10.0.0.5", "10.0.0.5/32"),
            (" 10.0.0.0/24", "10.0.0.0/24"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.5", "10.0.0.5/32"),
        ] {
            assert_eq!(parse_network(given).map(|network| network.to_string()).as_deref(), Ok(normalized), "{given}");
        }
    }

    #[test]
    fn an_invalid_or_too_large_network_is_rejected_with_the_fix() {
        for (given, expected) in [
            ("", "10.0.0.0/24"),
            ("proxy.example.com", "10.0.0.0/24"),
            ("10.0.0.0/33", "10.0.0.0/24"),
            ("[::1]", "10.0.0.0/24"),
            ("10.0.0.5:80", "10.0.0.0/24"),
            ("0.0.0.0/0", "every address"),
            ("::/0", "every address"),
            ("10.0.0.5/24", "10.0.0.0/24"),
        ] {
            let error = parse_network(given).unwrap_err();
            assert!(error.contains(expected), "{given}: {error}");
        }
    }
}
