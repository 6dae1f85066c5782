//! Settings of the portal: how long sessions live, and what browsers are asked to remember.

use clap::Args;

use super::parse_default_args;

/// Milliseconds in a minute.
const MINUTE: i64 = 60 * 1000;

/// Flags of `serve` for the portal.
#[derive(Debug, Clone, Args)]
pub struct PortalArgs {
    /// Minutes after which a session of the portal ends if it is not used, 5 to 1440
    #[arg(
        long,
        value_name = "MINUTES",
        env = "ROLLCALL_SESSION_IDLE",
        default_value = "30",
        value_parser = clap::value_parser!(u16).range(5..=1440)
    )]
    session_idle: u16,

    /// Hours after which a session of the portal ends in any case, 1 to 168
    #[arg(
        long,
        value_name = "HOURS",
        env = "ROLLCALL_SESSION_MAX",
        default_value = "12",
        value_parser = clap::value_parser!(u16).range(1..=168)
    )]
    session_max: u16,

    /// Require HTTPS for all subdomains of the public URL too (includeSubDomains of Strict-Transport-Security)
    #[arg(long, env = "ROLLCALL_HSTS_SUBDOMAINS")]
    hsts_subdomains: bool,
}

/// How long a session of the portal lives, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLifetime {
    /// Longest time without use.
    pub idle: i64,
    /// Longest time in any case.
    pub total: i64,
}

/// Validated settings of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalSettings {
    /// Lifetime of a session.
    pub sessions: SessionLifetime,
    /// Whether `Strict-Transport-Security` includes subdomains.
    pub hsts_subdomains: bool,
}

/// Returns the settings of a server without settings. `None` cannot occur: every flag has a default.
pub fn default_portal_settings() -> Option<PortalSettings> {
    Some(parse_default_args::<PortalArgs>()?.portal())
}

impl PortalArgs {
    /// Returns the settings.
    pub(super) fn portal(&self) -> PortalSettings {
        let sessions = SessionLifetime {
            idle: i64::from(self.session_idle) * MINUTE,
            total: i64::from(self.session_max) * 60 * MINUTE,
        };
        PortalSettings { sessions, hsts_subdomains: self.hsts_subdomains }
    }
}
