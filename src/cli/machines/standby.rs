//! `rollcall standby` and `rollcall promote`.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::cli::output;
use crate::jobs::standby::{StandbyMode, request_promotion, withdraw_request};
use crate::management::backups::{self, BackupError};
use crate::server::standby::{is_promoted, run_standby};
use crate::settings::{DataDir, ReplicaLocation, ServeArgs, Settings};

/// How often a command looks whether the running standby was promoted.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(in crate::cli) struct StandbyArgs {
    /// URL of the replica of the primary; default: --replica-url
    #[arg(long, value_name = "URL", value_parser = crate::settings::parse_replica_url)]
    from: Option<String>,
    /// Take over by itself when the lease of the primary has ended; needs --replica-lease
    #[arg(long)]
    auto_promote: bool,
    /// Settings of the server after a promotion.
    #[command(flatten)]
    serve: Box<ServeArgs>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PromoteArgs {
    /// URL of the replica of the primary; default: --replica-url
    #[arg(long, value_name = "URL", value_parser = crate::settings::parse_replica_url)]
    from: Option<String>,
    /// How many seconds to wait for the running standby
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// Settings of the server after the promotion.
    #[command(flatten)]
    serve: Box<ServeArgs>,
}

/// Follows the replica of a primary.
pub(in crate::cli) fn follow_primary(
    data_dir: DataDir,
    args: StandbyArgs,
    warnings: Vec<String>,
) -> anyhow::Result<()> {
    let (settings, location) = read_settings(data_dir, *args.serve, (args.from, warnings))?;
    if args.auto_promote && !location.lease {
        bail!(
            "--auto-promote needs a lease, which says that the primary is gone: set --replica-lease, with a replica at an s3:// URL"
        );
    }
    let mode = if args.auto_promote { StandbyMode::AutoPromote } else { StandbyMode::Follow };
    run_standby(&settings, &location, mode)
}

/// Promotes the running standby of the data folder. Without one, takes over in this process, and serves.
pub(in crate::cli) fn promote_standby(
    data_dir: DataDir,
    args: PromoteArgs,
    warnings: Vec<String>,
) -> anyhow::Result<()> {
    let (settings, location) = read_settings(data_dir, *args.serve, (args.from, warnings))?;
    if !location.lease && settings.replica.as_ref().is_none_or(|replica| replica.location.url == location.url) {
        bail!(
            "without a lease, the new server needs a replica of its own: name the one of the other server with --from, and another one with --replica-url. Make sure that the other server does not run any more"
        );
    }
    match backups::lock_data_folder(&settings.data_dir) {
        Ok(lock) => {
            drop(lock);
            run_standby(&settings, &location, StandbyMode::Promote)
        }
        Err(BackupError::Open(problem)) if is_held(&problem) => ask_running_standby(&settings, args.wait),
        Err(problem) => Err(problem.into()),
    }
}

fn is_held(problem: &crate::store::OpenError) -> bool {
    matches!(problem, crate::store::OpenError::Held { .. })
}

fn ask_running_standby(settings: &Settings, wait: u64) -> anyhow::Result<()> {
    let data_dir = settings.data_dir.as_path();
    if is_promoted(settings)? {
        return Ok(output::print_line("this server is the primary already")?);
    }
    request_promotion(data_dir).context("the request for the running standby cannot be written")?;
    output::print_line("the running standby takes over; it waits until the lease of the other server has ended")?;
    let begun = Instant::now();
    while !is_complete(settings, data_dir)? {
        if begun.elapsed() >= Duration::from_secs(wait) {
            withdraw_request(data_dir)?;
            bail!(
                "the standby was not promoted within {wait} s, and the request was taken back: its log says why. While the other server writes its lease, it must be stopped first"
            );
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(output::print_line("this server is the primary now")?)
}

/// Without a lease, the folder has no role after the promotion.
fn is_complete(settings: &Settings, data_dir: &Path) -> anyhow::Result<bool> {
    let needs_lease = settings.replica.as_ref().is_some_and(|replica| replica.location.lease);
    if needs_lease { is_promoted(settings) } else { Ok(!crate::jobs::standby::is_promotion_requested(data_dir)) }
}

fn read_settings(
    data_dir: DataDir,
    serve: ServeArgs,
    (from, warnings): (Option<String>, Vec<String>),
) -> anyhow::Result<(Settings, ReplicaLocation)> {
    let location = serve.replica.with_url(from.as_ref()).location();
    let mut location = location.context("name the replica of the primary with --from or --replica-url")?;
    let settings = Settings::new(data_dir, serve, warnings)?;
    if let Some(own) = settings.replica.as_ref().filter(|own| own.location.lease && own.location.url != location.url) {
        bail!(
            "with a lease, both servers use the same replica: --from is {} and --replica-url is {}",
            location.url,
            own.location.url
        );
    }
    location.lease &= location.is_object_storage();
    Ok((settings, location))
}
