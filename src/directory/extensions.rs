//! Schemas that a configuration adds to its resource types (RFC 7643 section 3.3), and the types that result.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Scope;
use super::configurations;
use super::resources::strip_extension;
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::event::{Happening, Kind};
use crate::scim::schema::{self, ResourceType, load, standard_types};
use crate::store::extensions::{self as rows, Extension};
use crate::store::resources::{self, Collection};
use crate::store::{Snapshot, Tx, configurations as configuration_rows, events};

/// Most schemas that one configuration may add.
pub const EXTENSIONS_MAX: usize = 20;
/// Longest schema document, in bytes.
const DOCUMENT_MAX_BYTES: usize = 256 * 1024;
/// Resources that a purge of values rewrites at a time.
const BATCH: u32 = 500;

/// A schema to be added.
#[derive(Debug, Clone)]
pub struct NewExtension {
    /// Name of the resource type it extends: `User` or `Group`.
    pub resource_type: String,
    /// Whether each resource must carry it from now on.
    pub required: bool,
    /// The Schema document.
    pub document: Value,
}

/// The resource types of a configuration: the standard ones with what was added to them.
///
/// # Errors
/// `Database` where a stored document is no schema any more.
pub fn types(at: &Snapshot<'_>, configuration: i64) -> Result<Arc<[Arc<ResourceType>]>> {
    let added = rows::list(at, configuration)?;
    if added.is_empty() {
        return Ok(standard_types().map(Arc::clone).into());
    }
    let extended = standard_types().map(|of| {
        let mut of = ResourceType::clone(of);
        for row in added.iter().filter(|row| row.resource_type == of.name) {
            let document = serde_json::from_str(&row.document).map_err(|problem| unreadable(row, &problem))?;
            let schema = load::read(&document).map_err(|problem| unreadable(row, &problem))?;
            of.extensions.push(schema::Extension { schema: Arc::new(schema), required: row.required });
        }
        Ok(Arc::new(of))
    });
    extended.into_iter().collect()
}

fn unreadable(row: &Extension, problem: &dyn std::fmt::Display) -> Error {
    Error::Database(format!("stored schema {}: {problem}", row.id))
}

/// The schemas that a configuration has added.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn list(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str) -> Result<Vec<Extension>> {
    rows::list(at, configurations::within(at, reach, configuration_id)?.key)
}

/// The schema of that URN that a configuration has added.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach, or no such schema.
pub fn within(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str, urn: &str) -> Result<Extension> {
    let added = list(at, reach, configuration_id)?;
    added.into_iter().find(|row| row.id.eq_ignore_ascii_case(urn)).ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::NotFound("the configuration has no schema of that URN".to_owned())
}

/// Adds a schema; requests know it from the next one on.
///
/// # Errors
/// `Scim` says what is wrong with the document, `Refused` with the rest; `Conflict` where the URN is taken. Run it with
/// `Undo::Savepoint`.
pub fn add(tx: &Tx<'_>, by: &By, configuration_id: &str, new: &NewExtension) -> Result<Extension> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    let schema = load::read(&new.document)?;
    let known = standard_types().into_iter().find(|of| of.name.eq_ignore_ascii_case(&new.resource_type));
    let Some(of) = known else {
        return Err(Error::Refused(format!("there is no resource type {:?}: use User or Group", new.resource_type)));
    };
    let before = rows::list(tx, configuration.key)?;
    if before.len() >= EXTENSIONS_MAX {
        return Err(Error::Refused(format!("a configuration may have at most {EXTENSIONS_MAX} schemas of its own")));
    }
    if before.iter().any(|row| row.id.eq_ignore_ascii_case(&schema.id)) {
        return Err(Error::Conflict(format!("the configuration has a schema {} already", schema.id)));
    }
    let document = new.document.to_string();
    if document.len() > DOCUMENT_MAX_BYTES {
        return Err(Error::Refused(format!("a schema may be at most {DOCUMENT_MAX_BYTES} bytes long")));
    }
    let row = Extension {
        id: schema.id.clone().into_owned(),
        resource_type: of.name.clone().into_owned(),
        required: new.required,
        document,
        created_at: tx.now,
    };
    rows::insert(tx, configuration.key, &row)?;
    configuration_rows::move_revision(tx, configuration.key)?;
    let payload = json!({"schemaAdded": row.id, "resourceType": row.resource_type, "required": row.required});
    tell(tx, &configuration.account, configuration.key, &payload)?;
    configurations::audited(tx, by, &configuration, "schema.added", None, Some(payload))?;
    Ok(row)
}

/// Removes a schema. Resources that have values under it keep it from going, unless the values go with it.
///
/// # Errors
/// `NotFound`, `Conflict` where values are there and `purge` is not asked. Run it with `Undo::Savepoint`.
pub fn delete(tx: &Tx<'_>, by: &By, configuration_id: &str, urn: &str, purge: bool) -> Result<()> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    let added = rows::list(tx, configuration.key)?;
    let Some(row) = added.iter().find(|row| row.id.eq_ignore_ascii_case(urn)) else {
        return Err(not_found());
    };
    let (account, key) = (configuration.account.clone(), configuration.key);
    let from = Collection { configuration: key, resource_type: &row.resource_type };
    let scope = Scope::of(tx, configuration.clone())?;
    let of = scope.types.iter().find(|of| of.name == row.resource_type);
    loop {
        let holders = resources::with_extension(tx, from, &row.id, BATCH)?;
        let (Some(of), false) = (of, holders.is_empty()) else { break };
        if !purge {
            let detail = format!("resources have values under {}; purge them with it, or remove them first", row.id);
            return Err(Error::Conflict(detail));
        }
        for stored in holders {
            strip_extension(tx, &scope, of, stored, &row.id)?;
        }
    }
    rows::delete(tx, key, &row.id)?;
    configuration_rows::move_revision(tx, key)?;
    let payload = json!({"schemaRemoved": row.id, "purged": purge});
    tell(tx, &account, key, &payload)?;
    configurations::audited(tx, by, &configuration, "schema.removed", Some(payload), None)
}

fn tell(tx: &Tx<'_>, account: &str, configuration: i64, payload: &Value) -> Result<()> {
    let kind = Kind::Configuration(Happening::Updated);
    events::append(tx, account, configuration, kind, None, &payload.to_string()).map(drop)
}
