//! `rollcall schema …`: manages the schema extensions of a configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::management::schema_extensions::undeclared::{self, AttributeDeclaration, Declarability};
use crate::management::schema_extensions::{self, NewExtension};
use crate::model::audit_context::AccountScope;
use crate::scim;
use crate::scim::schema::DataType;
use crate::store::Store;

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
    /// List the attributes that the identity provider sends and no schema declares
    Undeclared {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Declare attributes that the identity provider sends, so that their values are stored
    Declare(DeclareArgs),
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
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct DeclareArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Full paths of the attributes as listed, each with an optional type: PATH or PATH=TYPE
    #[arg(required = true)]
    attributes: Vec<String>,
    /// Resource type of the attributes: User or Group
    #[arg(long, default_value = "User")]
    resource_type: String,
    /// URN of the schema, for attributes that are sent without one
    #[arg(long)]
    schema: Option<String>,
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
        SchemaCommand::Undeclared { configuration, output } => list_undeclared(&store, &configuration, output)?,
        SchemaCommand::Declare(args) => {
            let chosen = args.attributes.iter().map(|text| parse_declaration(text, &args));
            let chosen = chosen.collect::<anyhow::Result<Vec<_>>>()?;
            let declared = store.write_blocking(move |tx| {
                undeclared::declare_attributes(tx, &audit_context(), &args.configuration, (&chosen, &[]))
            })?;
            for row in declared {
                output::print_line(&format!("{} extends {}", row.id, row.resource_type))?;
            }
        }
        SchemaCommand::Delete { configuration, urn, purge, confirmation } => {
            if purge {
                confirmation.confirm(&format!("delete the schema {urn} with all its values"))?;
            }
            let removed = urn.clone();
            store.write_blocking(move |tx| {
                schema_extensions::delete_extension(tx, &audit_context(), &configuration, &urn, purge)
            })?;
            output::print_line(&format!("{removed} removed"))?;
        }
    }
    Ok(())
}

/// Parses `PATH` or `PATH=TYPE`.
fn parse_declaration(text: &str, args: &DeclareArgs) -> anyhow::Result<AttributeDeclaration> {
    let (name, kind) = text.split_once('=').map_or((text, None), |(name, kind)| (name, Some(kind)));
    let kind = kind.map(str::parse::<DataType>).transpose().map_err(anyhow::Error::msg)?;
    Ok(AttributeDeclaration {
        resource_type: args.resource_type.clone(),
        name: name.to_owned(),
        kind,
        multi_valued: None,
        schema: args.schema.clone(),
    })
}

fn list_undeclared(store: &Store, configuration: &str, output: OutputFormat) -> anyhow::Result<()> {
    let scope = AccountScope::AllAccounts;
    // Calls that a running server has not stored yet are not listed.
    let found = store.read_inline(|at| undeclared::list_undeclared(at, &scope, configuration, |_| Vec::new()))?;
    let mut documents = Vec::new();
    for entry in found {
        let (schema, obstacle) = match &entry.declarability {
            Declarability::InSchema(schema) => (Some(schema.as_str()), None),
            Declarability::AnySchema => (None, None),
            Declarability::Impossible(obstacle) => (None, Some(obstacle.as_str())),
        };
        let used = &entry.used;
        if output == OutputFormat::Json {
            documents.push(json!({
                "name": used.name,
                "resourceType": used.resource_type,
                "type": used.kind.map(DataType::as_str),
                "multiValued": used.multi_valued,
                "calls": used.calls,
                "refusedCalls": used.refused,
                "firstSeen": clock::format_rfc3339(used.first_seen),
                "lastSeen": clock::format_rfc3339(used.last_seen),
                "schema": schema,
                "obstacle": obstacle,
            }));
            continue;
        }
        let list = if used.multi_valued { "[]" } else { "" };
        let kind = used.kind.map_or("null", DataType::as_str);
        let remark = obstacle.map(|obstacle| format!("  cannot be declared: {obstacle}")).unwrap_or_default();
        let (calls, seen) = (used.calls, clock::format_rfc3339(used.last_seen));
        output::print_line(&format!("{}  {}  {kind}{list}  {calls}  {seen}{remark}", used.resource_type, used.name))?;
    }
    if output == OutputFormat::Json {
        output::print_json(&Value::Array(documents))?;
    }
    Ok(())
}
