//! What the server tells about itself: its log, and its metrics.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

use super::SettingsError;

/// The shortest token that metrics are guarded with, in bytes.
const TOKEN_MIN_BYTES: usize = 16;

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object
    Json,
    /// Text for people
    Text,
}

/// The flags of `serve` about what it tells.
#[derive(Debug, Clone, Args)]
pub struct ObservingArgs {
    /// How much to log: off, error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ROLLCALL_LOG_LEVEL",
        default_value = "info",
        value_parser = log_level
    )]
    pub(super) log_level: LevelFilter,

    /// Form of the log's lines: json, or text for people
    #[arg(long, value_name = "FORM", env = "ROLLCALL_LOG_FORMAT", default_value = "json", value_enum)]
    pub(super) log_format: LogFormat,

    /// Address and port for metrics in Prometheus' format, such as 127.0.0.1:9090; none without it
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_METRICS_LISTEN", value_parser = super::address)]
    metrics_listen: Option<SocketAddr>,

    /// Bearer token that the metrics ask for; needed where other machines can reach them
    #[arg(
        long,
        value_name = "TEXT",
        env = "ROLLCALL_METRICS_TOKEN",
        hide_env_values = true,
        value_parser = token,
        requires = "metrics_listen"
    )]
    metrics_token: Option<String>,
}

/// Where metrics are told, and to whom.
#[derive(Clone)]
pub struct MetricsSettings {
    /// The listener's address; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Who asks must show it; always there where other machines can ask.
    pub token: Option<String>,
}

impl std::fmt::Debug for MetricsSettings {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("MetricsSettings").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl ObservingArgs {
    /// The listener for metrics, where somebody wants one.
    ///
    /// # Errors
    /// Other machines could read them and no token is asked for.
    pub(super) fn metrics(&self) -> Result<Option<MetricsSettings>, SettingsError> {
        let Some(listen) = self.metrics_listen else { return Ok(None) };
        if !listen.ip().is_loopback() && self.metrics_token.is_none() {
            return Err(SettingsError::Together(format!(
                "--metrics-listen {listen}: other machines can reach this address; listen on 127.0.0.1, or set a \
                 --metrics-token that who asks must send (ROLLCALL_METRICS_TOKEN_FILE names a file with it)"
            )));
        }
        Ok(Some(MetricsSettings { listen, token: self.metrics_token.clone() }))
    }
}

fn log_level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "use off, error, warn, info, debug or trace".into())
}

fn token(text: &str) -> Result<String, String> {
    let fits = text.len() >= TOKEN_MIN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("it must have at least {TOKEN_MIN_BYTES} printable ASCII characters and no spaces"))
    }
}
