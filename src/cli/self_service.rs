//! `rollcall self-service …`.

use std::path::Path;

use clap::ValueEnum;

use super::answer;
use super::{by, existing};
use crate::directory::instance;
use crate::store::Undo;

/// Whether accounts may manage their own configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// They may
    On,
    /// Only the operator may
    Off,
}

pub(super) fn run(folder: &Path, switch: Switch) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let on = switch == Switch::On;
    store.write_blocking(Undo::Savepoint, move |tx| instance::set_self_service(tx, &by(), on))?;
    Ok(answer::line(if on {
        "Self-service is on."
    } else {
        "Self-service is off: only the operator's credentials work."
    })?)
}
