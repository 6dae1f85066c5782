//! Limits on callers that an operator can change. The other limits are constants in `web::limits`.

use clap::Args;

use super::parse_default_args;

/// Bytes in one MiB.
const MIB: usize = 1024 * 1024;
/// Lowest limit of requests per second. A lower one would slow down normal provisioning.
const RATE_MIN: u32 = 50;
/// Default share of one address in the connections, in percent, and its least value.
const SHARE_PERCENT: usize = 5;
const SHARE_MIN: usize = 8;

/// Flags of `serve` for limits.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Requests per second that each configuration may make with a valid token while others are active, at least 50; 0
    /// for no limit. A burst of up to 20 seconds is allowed
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_RATE_LIMIT",
        default_value = "2000",
        value_parser = parse_rate_limit
    )]
    rate_limit: u32,

    /// TCP connections that may be open at the same time; fewer if the limit of open files is lower
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_MAX_CONNECTIONS",
        default_value = "2000",
        value_parser = clap::value_parser!(u32).range(8..=100_000)
    )]
    max_connections: u32,

    /// TCP connections from one address, or one IPv6 /64 network, at the same time; does not apply to trusted proxies.
    /// Default: 5 % of all connections, at least 8, without a limit for this machine (127.0.0.1)
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    max_connections_per_address: Option<u32>,

    /// Largest body of a SCIM request, in MiB
    #[arg(
        long,
        value_name = "MIB",
        env = "ROLLCALL_MAX_BODY_SIZE",
        default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    max_body_size: u16,

    /// Memory for request bodies that are being received and processed, in MiB; at least twice the largest body. One
    /// configuration or caller may use a quarter of it. Further bodies above 8 KiB are answered with 503
    #[arg(
        long,
        value_name = "MIB",
        env = "ROLLCALL_MAX_BUFFERED_BODIES",
        default_value = "128",
        value_parser = clap::value_parser!(u32).range(16..=65_536)
    )]
    max_buffered_bodies: u32,

    /// Writes that may wait for the database, a quarter of them for one configuration; further ones get 503
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_WRITE_QUEUE",
        default_value = "1024",
        value_parser = clap::value_parser!(u32).range(4..=100_000)
    )]
    write_queue: u32,
}

/// Validated limits on callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests per second of each configuration; 0 for no limit.
    pub requests_per_second: u32,
    /// TCP connections that may be open at the same time.
    pub sockets: usize,
    /// TCP connections from one address.
    pub sockets_per_address: usize,
    /// Whether the limit of one address applies to loopback addresses.
    pub limits_loopback: bool,
    /// Largest body of a SCIM request, in bytes.
    pub body_max_bytes: usize,
    /// Memory for request bodies, in bytes.
    pub buffered_bytes: usize,
    /// Writes that may wait for the database.
    pub writes_waiting: usize,
}

/// Returns the limits of a server without settings. `None` cannot occur: every flag has a default.
pub fn default_limits() -> Option<Limits> {
    Some(parse_default_args::<LimitArgs>()?.limits())
}

impl LimitArgs {
    /// Returns the limits.
    pub(super) fn limits(&self) -> Limits {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (sockets, body_max_bytes) = (count(self.max_connections), usize::from(self.max_body_size) * MIB);
        let share = (sockets * SHARE_PERCENT / 100).max(SHARE_MIN);
        Limits {
            requests_per_second: self.rate_limit,
            sockets,
            sockets_per_address: self.max_connections_per_address.map_or(share, count),
            limits_loopback: self.max_connections_per_address.is_some(),
            body_max_bytes,
            buffered_bytes: count(self.max_buffered_bodies).saturating_mul(MIB).max(2 * body_max_bytes),
            writes_waiting: count(self.write_queue),
        }
    }
}

fn parse_rate_limit(text: &str) -> Result<u32, String> {
    let fix = || format!("write a number of requests per second from {RATE_MIN} to 1000000, or 0 for no limit");
    let number: u32 = text.trim().parse().map_err(|_| fix())?;
    if number == 0 || (RATE_MIN..=1_000_000).contains(&number) { Ok(number) } else { Err(fix()) }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parse_args(args: &[&str]) -> Result<Limits, String> {
        let command = LimitArgs::augment_args(Command::new("serve").no_binary_name(true));
        let found = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        Ok(LimitArgs::from_arg_matches(&found).map_err(|error| error.to_string())?.limits())
    }

    #[test]
    fn default_limits_are_generous() {
        let limits = parse_args(&[]).unwrap();
        assert_eq!((limits.requests_per_second, limits.sockets, limits.sockets_per_address), (2_000, 2_000, 100));
        assert_eq!((limits.body_max_bytes, limits.writes_waiting), (8 << 20, 1_024));
        assert_eq!((limits.buffered_bytes, limits.limits_loopback), (128 << 20, false));
    }

    #[test]
    fn the_share_of_an_address_follows_the_number_of_connections() {
        let share = |args: &[&str]| parse_args(args).unwrap().sockets_per_address;
        assert_eq!(share(&["--max-connections", "20000"]), 1_000);
        assert_eq!(share(&["--max-connections", "8"]), 8);
        let explicit = parse_args(&["--max-connections-per-address", "5"]).unwrap();
        assert_eq!((explicit.sockets_per_address, explicit.limits_loopback), (5, true));
    }

    #[test]
    fn the_memory_for_bodies_has_room_for_two_of_the_largest() {
        let limits = parse_args(&["--max-body-size", "64", "--max-buffered-bodies", "16"]).unwrap();
        assert_eq!(limits.buffered_bytes, 128 << 20);
    }

    #[test]
    fn a_rate_limit_below_the_minimum_is_rejected() {
        for good in ["0", "50", "1000000"] {
            assert!(parse_args(&["--rate-limit", good]).is_ok(), "{good}");
        }
        for bad in ["49", "-1", "1.5", "", "many", "1000001"] {
            let error = parse_args(&[&format!("--rate-limit={bad}")]).unwrap_err();
            assert!(error.contains("--rate-limit"), "{bad}: {error}");
        }
    }
}
