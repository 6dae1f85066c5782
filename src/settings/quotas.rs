//! Default quotas of configurations and accounts. An operator can override them for a single configuration or account.

use clap::Args;

/// Bytes in one MiB.
const MIB: u64 = 1024 * 1024;
/// Largest quota of bytes, in MiB: one PiB.
const MIB_MAX: u64 = 1 << 30;

/// Flags of `serve` for quotas.
#[derive(Debug, Clone, Args)]
pub struct QuotaArgs {
    /// Users of one configuration; 0 for no limit, here and in the other quotas
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_QUOTA_USERS", default_value = "1000000", value_parser = parse_count())]
    quota_users: u64,

    /// Groups of one configuration
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_QUOTA_GROUPS", default_value = "200000", value_parser = parse_count())]
    quota_groups: u64,

    /// Group memberships of one configuration
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_QUOTA_MEMBERS", default_value = "10000000", value_parser = parse_count())]
    quota_members: u64,

    /// Bytes of the stored users and groups of one configuration, in MiB
    #[arg(long, value_name = "MIB", env = "ROLLCALL_QUOTA_STORAGE", default_value = "4096", value_parser = parse_mebibytes())]
    quota_storage: u64,

    /// Bytes of the request log of one configuration, in MiB; the oldest calls are removed first
    #[arg(long, value_name = "MIB", env = "ROLLCALL_QUOTA_REQUEST_LOG", default_value = "128", value_parser = parse_mebibytes())]
    quota_request_log: u64,

    /// Bytes of the request logs of all configurations, in MiB; the largest log is shortened first
    #[arg(long, value_name = "MIB", env = "ROLLCALL_REQUEST_LOG_TOTAL", default_value = "256", value_parser = parse_mebibytes())]
    request_log_total: u64,

    /// Configurations of one account
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_ACCOUNT_QUOTA_CONFIGURATIONS", default_value = "1000", value_parser = parse_count())]
    account_quota_configurations: u64,

    /// Users of all configurations of one account
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_ACCOUNT_QUOTA_USERS", default_value = "2000000", value_parser = parse_count())]
    account_quota_users: u64,

    /// Groups of all configurations of one account
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_ACCOUNT_QUOTA_GROUPS", default_value = "400000", value_parser = parse_count())]
    account_quota_groups: u64,

    /// Group memberships of all configurations of one account
    #[arg(long, value_name = "NUMBER", env = "ROLLCALL_ACCOUNT_QUOTA_MEMBERS", default_value = "20000000", value_parser = parse_count())]
    account_quota_members: u64,

    /// Bytes of the stored users and groups of all configurations of one account, in MiB
    #[arg(long, value_name = "MIB", env = "ROLLCALL_ACCOUNT_QUOTA_STORAGE", default_value = "8192", value_parser = parse_mebibytes())]
    account_quota_storage: u64,
}

/// Validated default quotas. 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaSettings {
    /// Users of one configuration.
    pub users: u64,
    /// Groups of one configuration.
    pub groups: u64,
    /// Memberships of one configuration.
    pub members: u64,
    /// Bytes of the users and groups of one configuration.
    pub bytes: u64,
    /// Bytes of the request log of one configuration.
    pub request_log_bytes: u64,
    /// Bytes of all request logs.
    pub request_log_total_bytes: u64,
    /// Configurations of one account.
    pub account_configurations: u64,
    /// Users of one account.
    pub account_users: u64,
    /// Groups of one account.
    pub account_groups: u64,
    /// Memberships of one account.
    pub account_members: u64,
    /// Bytes of the users and groups of one account.
    pub account_bytes: u64,
}

impl QuotaArgs {
    /// Returns the quotas.
    pub(super) fn quotas(&self) -> QuotaSettings {
        QuotaSettings {
            users: self.quota_users,
            groups: self.quota_groups,
            members: self.quota_members,
            bytes: self.quota_storage * MIB,
            request_log_bytes: self.quota_request_log * MIB,
            request_log_total_bytes: self.request_log_total * MIB,
            account_configurations: self.account_quota_configurations,
            account_users: self.account_quota_users,
            account_groups: self.account_quota_groups,
            account_members: self.account_quota_members,
            account_bytes: self.account_quota_storage * MIB,
        }
    }
}

/// A number of rows: small enough that sums never overflow.
fn parse_count() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(0..=1_000_000_000_000)
}

fn parse_mebibytes() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(0..=MIB_MAX)
}
