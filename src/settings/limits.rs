//! What callers may cost, where an operator may want it otherwise. The other limits are constants in `web::limits`.

use clap::Args;

/// Bytes of a MiB.
const MIB: usize = 1024 * 1024;
/// Smallest limit of requests a second: below it, providers would stumble in their everyday work.
const RATE_MIN: u32 = 50;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Requests a second that each configuration may make with a right token while others call too, 50 or more; 0 for no
    /// limit. Twenty seconds' worth may come at once
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_RATE_LIMIT",
        default_value = "2000",
        value_parser = rate
    )]
    rate_limit: u32,

    /// TCP connections that may be open at the same time. Fewer are taken where the process may not have as many files open
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_MAX_CONNECTIONS",
        default_value = "2000",
        value_parser = clap::value_parser!(u32).range(8..=100_000)
    )]
    max_connections: u32,

    /// The same from one address; trusted proxies have no such limit
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_MAX_CONNECTIONS_PER_ADDRESS",
        default_value = "500",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    max_connections_per_address: u32,

    /// Largest body of a SCIM request, in MiB
    #[arg(
        long,
        value_name = "MIB",
        env = "ROLLCALL_MAX_BODY_SIZE",
        default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    max_body_size: u16,

    /// Writes that may wait for the database; beyond them callers are asked to come again (503)
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ROLLCALL_WRITE_QUEUE",
        default_value = "1024",
        value_parser = clap::value_parser!(u32).range(4..=100_000)
    )]
    write_queue: u32,
}

/// The checked flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second of each configuration; 0 for no limit.
    pub requests_per_second: u32,
    /// TCP connections at the same time.
    pub sockets: usize,
    /// The same from one address.
    pub sockets_per_address: usize,
    /// Bytes of a SCIM request's body.
    pub body_max_bytes: usize,
    /// Writes that wait for the database.
    pub writes_waiting: usize,
}

impl LimitArgs {
    /// The limits.
    pub(super) fn limits(&self) -> Limits {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Limits {
            requests_per_second: self.rate_limit,
            sockets: count(self.max_connections),
            sockets_per_address: count(self.max_connections_per_address),
            body_max_bytes: usize::from(self.max_body_size) * MIB,
            writes_waiting: count(self.write_queue),
        }
    }
}

fn rate(text: &str) -> Result<u32, String> {
    let fix = || format!("write a number of requests a second from {RATE_MIN} to 1000000, or 0 for no limit");
    let number: u32 = text.trim().parse().map_err(|_| fix())?;
    if number == 0 || (RATE_MIN..=1_000_000).contains(&number) { Ok(number) } else { Err(fix()) }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parsed(words: &[&str]) -> Result<Limits, String> {
        let command = LimitArgs::augment_args(Command::new("serve").no_binary_name(true));
        let found = command.try_get_matches_from(words).map_err(|refused| refused.to_string())?;
        Ok(LimitArgs::from_arg_matches(&found).map_err(|refused| refused.to_string())?.limits())
    }

    #[test]
    fn what_nobody_sets_is_generous() {
        let limits = parsed(&[]).unwrap();
        assert_eq!((limits.requests_per_second, limits.sockets, limits.sockets_per_address), (2_000, 2_000, 500));
        assert_eq!((limits.body_max_bytes, limits.writes_waiting), (8 << 20, 1_024));
    }

    #[test]
    fn a_rate_that_would_hamper_everyday_work_is_refused() {
        for good in ["0", "50", "1000000"] {
            assert!(parsed(&["--rate-limit", good]).is_ok(), "{good}");
        }
        for bad in ["49", "-1", "1.5", "", "many", "1000001"] {
            let refused = parsed(&[&format!("--rate-limit={bad}")]).unwrap_err();
            assert!(refused.contains("--rate-limit"), "{bad}: {refused}");
        }
    }
}
