//! `rollcall schema …`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::{by, configuration_id, existing};
use crate::directory::extensions::{self, NewExtension};
use crate::model::actor::Reach;
use crate::scim;
use crate::store::Undo;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a schema to a configuration: its attributes are accepted, stored, filtered and shown from then on
    Add(AddArgs),
    /// List the schemas that were added to a configuration
    List {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        configuration: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Remove a schema from a configuration
    Delete {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        configuration: String,
        /// URN of the schema
        urn: String,
        /// Remove the values that resources have under it
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Id of the configuration
    #[arg(value_parser = configuration_id)]
    configuration: String,
    /// File with the Schema document of RFC 7643 section 7, as JSON
    file: PathBuf,
    /// What it extends: User or Group
    #[arg(long, default_value = "User")]
    resource_type: String,
    /// Refuse resources that come without it
    #[arg(long)]
    required: bool,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    let store = existing(folder)?;
    match command {
        Command::Add(args) => {
            let text = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
            let document = scim::json::read(&text).map_err(|problem| anyhow::anyhow!(problem.detail))?;
            let new = NewExtension { resource_type: args.resource_type, required: args.required, document };
            let added =
                store.write_blocking(Undo::Savepoint, move |tx| extensions::add(tx, &by(), &args.configuration, &new));
            let added = added.map_err(plain)?;
            answer::line(&format!("{} extends {}", added.id, added.resource_type))?;
        }
        Command::List { configuration, output } => {
            let found = store.read_inline(|at| extensions::list(at, &Reach::Everywhere, &configuration))?;
            if output == Output::Json {
                let shown = found.iter().map(|row| {
                    let document: Value = serde_json::from_str(&row.document)?;
                    Ok(json!({"resourceType": row.resource_type, "required": row.required, "schema": document}))
                });
                answer::json(&shown.collect::<serde_json::Result<Value>>()?)?;
            } else {
                for row in found {
                    let required = if row.required { "required" } else { "optional" };
                    answer::line(&format!("{}  {}  {required}", row.id, row.resource_type))?;
                }
            }
        }
        Command::Delete { configuration, urn, purge } => {
            let asked = urn.clone();
            store.write_blocking(Undo::Savepoint, move |tx| {
                extensions::delete(tx, &by(), &configuration, &urn, purge)
            })?;
            answer::line(&format!("{asked} removed"))?;
        }
    }
    Ok(())
}

/// On a terminal the sentence is enough; the HTTP status says nothing there.
fn plain(error: crate::error::Error) -> anyhow::Error {
    match error {
        crate::error::Error::Scim(error) => anyhow::anyhow!(error.detail),
        other => other.into(),
    }
}
