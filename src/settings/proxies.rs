//! Settings of trusted proxies.

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

fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = super::parse_network(text)?;
    if network.prefix_len() == 0 {
        return Err("it must not contain every address: any client could then forge its own address".into());
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
