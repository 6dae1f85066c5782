//! `rollcall schema …`: manages the schema extensions of a configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::{self, OutputFormat};
use crate::management::schema_extensions::{self, NewExtension};
use crate::model::audit_context::AccountScope;
use crate::scim;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Add a schema to a configuration; its attributes can then be written, read and filtered
    Add(AddArgs),
    /// List the schemas of a configuration that were added
    List {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Remove a schema from a configuration
    Delete {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// URN of the schema
        urn: String,
        /// Also delete the values of its attributes in all resources
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// JSON file with the schema (RFC 7643 section 7)
    file: PathBuf,
    /// Resource type that it extends: User or Group
    #[arg(long, default_value = "User")]
    resource_type: String,
    /// Reject resources without this schema
    #[arg(long)]
    required: bool,
}

pub(super) fn run_schema_command(folder: &Path, command: SchemaCommand) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    match command {
        SchemaCommand::Add(args) => {
            let text = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
            let document = scim::json::parse_json(&text)?;
            let new = NewExtension { resource_type: args.resource_type, required: args.required, document };
            let added = store.write_blocking(move |tx| {
                schema_extensions::add_extension(tx, &audit_context(), &args.configuration, &new)
            });
            let added = added?;
            output::print_line(&format!("{} extends {}", added.id, added.resource_type))?;
        }
        SchemaCommand::List { configuration, output } => {
            let found = store
                .read_inline(|at| schema_extensions::list_extensions(at, &AccountScope::AllAccounts, &configuration))?;
            if output == OutputFormat::Json {
                let documents = found.iter().map(|row| {
                    let document: Value = serde_json::from_str(&row.document)?;
                    Ok(json!({"resourceType": row.resource_type, "required": row.required, "schema": document}))
                });
                output::print_json(&documents.collect::<serde_json::Result<Value>>()?)?;
            } else {
                for row in found {
                    let required = if row.required { "required" } else { "optional" };
                    output::print_line(&format!("{}  {}  {required}", row.id, row.resource_type))?;
                }
            }
        }
        SchemaCommand::Delete { configuration, urn, purge } => {
            let removed = urn.clone();
            store.write_blocking(move |tx| {
                schema_extensions::delete_extension(tx, &audit_context(), &configuration, &urn, purge)
            })?;
            output::print_line(&format!("{removed} removed"))?;
        }
    }
    Ok(())
}
