//! Settings of log and metrics.

use std::io::{IsTerminal as _, stderr};
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::settings::SettingsError;

/// Shortest bearer token for metrics, in bytes.
const TOKEN_MIN_BYTES: usize = 16;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object
    Json,
    /// Plain text
    Text,
}

/// Flags of `serve` for log and metrics.
#[derive(Debug, Clone, Args)]
pub struct ObservabilityArgs {
    /// How much to log: off, error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ROLLCALL_LOG_LEVEL",
        default_value = "info",
        value_parser = parse_log_level
    )]
    pub(super) log_level: LevelFilter,

    /// Format of log lines: json or text; default: text on a terminal, else json
    #[arg(long, value_name = "FORMAT", env = "ROLLCALL_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,

    /// Address and port for metrics in the Prometheus format, such as 127.0.0.1:9090; without it, there are no metrics
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_METRICS_LISTEN", value_parser = crate::settings::parse_address)]
    metrics_listen: Option<SocketAddr>,

    /// Bearer token that is required to read the metrics; mandatory if other machines can reach them
    #[arg(
        long,
        value_name = "TEXT",
        env = "ROLLCALL_METRICS_TOKEN",
        hide_env_values = true,
        value_parser = parse_token,
        requires = "metrics_listen"
    )]
    metrics_token: Option<String>,
}

/// Listener for metrics and its bearer token.
#[derive(Clone)]
pub struct MetricsSettings {
    /// Address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// Bearer token that a request must send; always set if other machines can reach the listener.
    pub token: Option<String>,
}

impl std::fmt::Debug for MetricsSettings {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("MetricsSettings").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl ObservabilityArgs {
    /// Returns the format of log lines: if it is not set, text for a terminal and JSON for programs.
    pub(super) fn log_format(&self) -> LogFormat {
        let default = || if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
        self.log_format.unwrap_or_else(default)
    }

    /// Returns the listener for metrics, or `None` if it is not set.
    ///
    /// # Errors
    /// Other machines can reach the listener and no token is set.
    pub(super) fn metrics(&self) -> Result<Option<MetricsSettings>, SettingsError> {
        let Some(listen) = self.metrics_listen else { return Ok(None) };
        if !listen.ip().is_loopback() && self.metrics_token.is_none() {
            return Err(SettingsError::InvalidCombination(format!(
                "--metrics-listen {listen}: other machines can reach this address; listen on 127.0.0.1, or require a \
                 bearer token with --metrics-token (ROLLCALL_METRICS_TOKEN_FILE names a file with it)"
            )));
        }
        Ok(Some(MetricsSettings { listen, token: self.metrics_token.clone() }))
    }
}

fn parse_log_level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "use off, error, warn, info, debug or trace".into())
}

fn parse_token(text: &str) -> Result<String, String> {
    let fits = text.len() >= TOKEN_MIN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("it must have at least {TOKEN_MIN_BYTES} printable ASCII characters and no spaces"))
    }
}
