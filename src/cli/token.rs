//! `rollcall token …`.

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;

use super::answer::Output;
use super::configuration::print_token;
use super::{by, configuration_id, existing};
use crate::clock;
use crate::directory::tokens::{self, TokenDraft};
use crate::secret::Token;
use crate::store::{Undo, instance};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new token and print it, once. The one before keeps working until the next rotation
    Rotate {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        configuration: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    let Command::Rotate { configuration, output } = command;
    let store = existing(folder)?;
    let token = Token::generate().context("the operating system gave no random numbers")?;
    let draft = TokenDraft::new(clock::new_id(), &token, "rotated token");
    let (configuration, public_url) = store.write_blocking(Undo::Savepoint, move |tx| {
        Ok((tokens::rotate(tx, &by(), &configuration, &draft)?, instance::public_url(tx)?))
    })?;
    print_token(&configuration, &token, &public_url, output)?;
    Ok(())
}
