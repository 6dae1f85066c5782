//! Schema extensions that a configuration adds to its resource types (RFC 7643 section 3.3).

pub mod undeclared;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::{Error, Reason, Result};
use crate::management::configurations;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::event::EventAction;
use crate::provisioning::Scope;
use crate::provisioning::resources::strip_extension;
use crate::scim::schema::{self, ResourceType, parse, standard_types};
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::configurations as configuration_rows;
use crate::store::tables::resources::{self, ResourceCollection};
use crate::store::tables::schema_extensions as rows;
pub use crate::store::tables::schema_extensions::StoredExtension;
use crate::store::{Snapshot, Tx};

/// Maximum number of schema extensions of one configuration.
pub const EXTENSIONS_MAX: usize = 20;
/// Maximum size of a schema document in bytes.
pub(crate) const DOCUMENT_MAX_BYTES: usize = 256 * 1024;
/// Resources that a purge of values updates at a time.
const RESOURCES_PER_BATCH: u32 = 500;

/// A schema extension to add.
#[derive(Debug, Clone)]
pub struct NewExtension {
    /// Name of the resource type it extends: `User` or `Group`.
    pub resource_type: String,
    /// Whether each resource must have it from now on.
    pub required: bool,
    /// The schema document (RFC 7643 section 7).
    pub document: Value,
}

/// Returns the resource types of a configuration: the standard types with its extensions.
///
/// # Errors
/// `DatabaseUnavailable` if a stored document is not a valid schema.
pub fn load_resource_types(at: &Snapshot<'_>, configuration: i64) -> Result<Arc<[Arc<ResourceType>]>> {
    let added = rows::list_extensions(at, configuration)?;
    if added.is_empty() {
        return Ok(standard_types().map(Arc::clone).into());
    }
    let extended = standard_types().map(|standard| {
        let mut resource_type = ResourceType::clone(standard);
        for row in added.iter().filter(|row| row.resource_type == resource_type.name) {
            let document = serde_json::from_str(&row.document).map_err(|problem| unreadable_schema(row, &problem))?;
            let schema = parse::parse_schema(&document).map_err(|problem| unreadable_schema(row, &problem))?;
            resource_type
                .extensions
                .push(schema::ResourceTypeExtension { schema: Arc::new(schema), required: row.required });
        }
        Ok(Arc::new(resource_type))
    });
    extended.into_iter().collect()
}

fn unreadable_schema(row: &StoredExtension, problem: &dyn std::fmt::Display) -> Error {
    Error::undecodable(format_args!("stored schema {}", row.id), problem)
}

/// Returns the schema extensions of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_extensions(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Vec<StoredExtension>> {
    rows::list_extensions(at, configurations::find_configuration(at, scope, id)?.key)
}

/// Returns the schema extension of a configuration with this URN.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope, or has no such schema extension.
pub fn find_extension(at: &Snapshot<'_>, scope: &AccountScope, id: &str, urn: &str) -> Result<StoredExtension> {
    let added = list_extensions(at, scope, id)?;
    added.into_iter().find(|row| row.id.eq_ignore_ascii_case(urn)).ok_or_else(extension_not_found)
}

fn extension_not_found() -> Error {
    Reason::SchemaNotFound.into()
}

/// Adds a schema extension and returns it. It is effective from the next request on.
///
/// # Errors
/// `Invalid` for an invalid document or argument. `Conflict` if the URN is in use. Run it with
/// `Store::write`.
pub fn add_extension(tx: &Tx<'_>, context: &AuditContext, id: &str, new: &NewExtension) -> Result<StoredExtension> {
    let configuration = configurations::find_configuration(tx, &context.scope, id)?;
    let schema = parse::parse_schema(&new.document)?;
    let standard = standard_types().into_iter().find(|one| one.name.eq_ignore_ascii_case(&new.resource_type));
    let Some(resource_type) = standard else {
        return Err(Reason::ResourceTypeUnknown.with("name", format_args!("{:?}", new.resource_type)));
    };
    let before = rows::list_extensions(tx, configuration.key)?;
    if before.len() >= EXTENSIONS_MAX {
        return Err(Reason::TooManySchemas.with("max", EXTENSIONS_MAX));
    }
    if before.iter().any(|row| row.id.eq_ignore_ascii_case(&schema.id)) {
        return Err(Reason::SchemaExists.with("id", &schema.id));
    }
    let document = check_size(&new.document)?;
    let row = StoredExtension {
        id: schema.id.clone().into_owned(),
        resource_type: resource_type.name.clone().into_owned(),
        required: new.required,
        document,
        created_at: tx.now,
    };
    rows::insert_extension(tx, configuration.key, &row)?;
    configuration_rows::increment_revision(tx, configuration.key)?;
    let payload = json!({"schemaAdded": row.id, "resourceType": row.resource_type, "required": row.required});
    configurations::append_event(tx, &configuration, EventAction::Updated, &payload)?;
    let entry = NewAuditEntry::new("schema.added", None, Some(payload));
    configurations::append_audit_entry(tx, context, &configuration, entry)?;
    Ok(row)
}

/// A schema extension with more attributes.
#[derive(Debug)]
pub struct ExtensionChange {
    /// The extension as it is stored.
    pub present: StoredExtension,
    /// The new schema document.
    pub document: Value,
    /// Names of the attributes that were added or got sub-attributes.
    pub attributes: Vec<String>,
}

/// Adds attributes to a schema extension and returns it.
///
/// # Errors
/// `Invalid` for an invalid or too large document. Run it with `Store::write`.
pub fn extend_extension(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    change: ExtensionChange,
) -> Result<StoredExtension> {
    let configuration = configurations::find_configuration(tx, &context.scope, id)?;
    parse::parse_schema(&change.document)?;
    let document = check_size(&change.document)?;
    let row = StoredExtension { document, ..change.present };
    rows::update_document(tx, configuration.key, &row.id, &row.document)?;
    configuration_rows::increment_revision(tx, configuration.key)?;
    let payload = json!({"schemaExtended": row.id, "attributes": change.attributes});
    configurations::append_event(tx, &configuration, EventAction::Updated, &payload)?;
    let entry = NewAuditEntry::new("schema.extended", None, Some(payload));
    configurations::append_audit_entry(tx, context, &configuration, entry)?;
    Ok(row)
}

/// Returns the text of a schema document.
fn check_size(document: &Value) -> Result<String> {
    let text = document.to_string();
    if text.len() > DOCUMENT_MAX_BYTES {
        return Err(Reason::SchemaTooLarge.with("max", DOCUMENT_MAX_BYTES));
    }
    Ok(text)
}

/// Removes a schema extension. With `purge`, its values are removed from all resources.
///
/// # Errors
/// `NotFound`. `Conflict` if resources have values of it and `purge` is false. It can fail after its first change: run it with `Store::write`.
pub fn delete_extension(tx: &Tx<'_>, context: &AuditContext, id: &str, urn: &str, purge: bool) -> Result<()> {
    tx.allow_on_full_disk();
    let configuration = configurations::find_configuration(tx, &context.scope, id)?;
    let added = rows::list_extensions(tx, configuration.key)?;
    let Some(row) = added.iter().find(|row| row.id.eq_ignore_ascii_case(urn)) else {
        return Err(extension_not_found());
    };
    let key = configuration.key;
    let collection = ResourceCollection { configuration: key, resource_type: &row.resource_type };
    let scope = Scope::load(tx, configuration.clone())?;
    let resource_type = scope.types.iter().find(|one| one.name == row.resource_type);
    loop {
        let holders = resources::list_resources_with_extension(tx, collection, &row.id, RESOURCES_PER_BATCH)?;
        let (Some(resource_type), false) = (resource_type, holders.is_empty()) else { break };
        if !purge {
            return Err(Reason::SchemaInUse.with("id", &row.id));
        }
        for stored in holders {
            strip_extension(tx, &scope, resource_type, stored, &row.id)?;
        }
    }
    rows::delete_extension(tx, key, &row.id)?;
    configuration_rows::increment_revision(tx, key)?;
    let payload = json!({"schemaRemoved": row.id, "purged": purge});
    configurations::append_event(tx, &configuration, EventAction::Updated, &payload)?;
    let entry = NewAuditEntry::new("schema.removed", Some(payload), None);
    configurations::append_audit_entry(tx, context, &configuration, entry)
}
