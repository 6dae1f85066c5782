//! Which proxies stand before the server.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

/// The flags.
#[derive(Debug, Clone, Default, Args)]
pub struct ProxyArgs {
    /// Addresses of the proxies before this server, as 10.0.0.5 or 10.0.0.0/24; may be given several times. Only they are
    /// believed about whose requests they pass on. Needs a public URL
    #[arg(
        long = "trusted-proxies",
        value_name = "CIDR",
        env = "ROLLCALL_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(super) trusted: Vec<IpNet>,
}

/// A network, or one address. A network that holds everybody would let everybody say who they are.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let fix = "write an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/8";
    let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())).ok();
    let network = one.or_else(|| text.parse::<IpNet>().ok()).ok_or(fix)?;
    if network.prefix_len() == 0 {
        return Err("it must not hold every address: then everybody could say to be somebody else".into());
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
        for (given, kept) in [
            ("10.0.0.5", "10.0.0.5/32"),
            (" 10.0.0.0/24", "10.0.0.0/24"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.5", "10.0.0.5/32"),
        ] {
            assert_eq!(network(given).map(|network| network.to_string()).as_deref(), Ok(kept), "{given}");
        }
    }

    #[test]
    fn what_is_no_network_or_too_large_a_one_is_refused_with_the_fix() {
        for (given, word) in [
            ("", "10.0.0.0/24"),
            ("proxy.example.com", "10.0.0.0/24"),
            ("10.0.0.0/33", "10.0.0.0/24"),
            ("[::1]", "10.0.0.0/24"),
            ("10.0.0.5:80", "10.0.0.0/24"),
            ("0.0.0.0/0", "every address"),
            ("::/0", "every address"),
            ("10.0.0.5/24", "10.0.0.0/24"),
        ] {
            let refused = network(given).unwrap_err();
            assert!(refused.contains(word), "{given}: {refused}");
        }
    }
}
