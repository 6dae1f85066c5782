//! Settings of calls to other servers.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use super::parse_network;

/// Flags of `serve` and `webhook` for calls to other servers.
#[derive(Debug, Clone, Default, Args)]
pub struct OutgoingArgs {
    /// Private networks whose servers may be called, such as 10.0.0.0/24; may be given several times. They may be called
    /// by http, too. Others must have public addresses. Servers in settings, such as an OpenID provider, need no entry
    #[arg(
        long = "outgoing-allow-networks",
        value_name = "CIDR",
        env = "ROLLCALL_OUTGOING_ALLOW_NETWORKS",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub allowed: Vec<IpNet>,

    /// Root certificates in PEM for verifying other servers, in addition to those of the system
    #[arg(long = "outgoing-ca-file", value_name = "FILE", env = "ROLLCALL_OUTGOING_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}
