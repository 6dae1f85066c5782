//! `rollcall backup` and `rollcall restore`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::answer;
use crate::store::backup;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// File to make
    file: PathBuf,
    /// Replace a file of that name
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Backup to put in the database's place
    file: PathBuf,
    /// Where there is a database: keep it under another name beside the restored one
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up(folder: &Path, args: &BackupArgs) -> anyhow::Result<()> {
    let written = backup::write(folder, &args.file, args.force)?;
    Ok(answer::line(&format!("{}: {} bytes, checked", written.path.display(), written.bytes))?)
}

pub(super) fn restore(folder: &Path, args: &RestoreArgs) -> anyhow::Result<()> {
    let restored = backup::restore(folder, &args.file, args.force)?;
    if let Some(kept) = restored.kept {
        answer::line(&format!("the database that was there is kept as {}", kept.display()))?;
    }
    answer::line(&format!("{} is restored: start the server", restored.database.display()))?;
    Ok(())
}
