//! `rollcall self-service …`: turns self-service of accounts on or off.

use std::path::Path;

use clap::ValueEnum;

use super::{audit_context, open_existing_store};
use crate::cli::output;
use crate::management::instance;

/// Whether accounts may manage their own configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SelfServiceSwitch {
    /// Accounts may manage them
    On,
    /// Only the operator may manage them
    Off,
}

pub(super) fn set_self_service(folder: &Path, switch: SelfServiceSwitch) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let on = switch == SelfServiceSwitch::On;
    store.write_blocking(move |tx| instance::set_self_service(tx, &audit_context(), on))?;
    Ok(output::print_line(if on {
        "Self-service is on."
    } else {
        "Self-service is off: only the operator's credentials work."
    })?)
}
