//! Rows of `configurations`.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, named_params};

use super::failure::violated;
use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::configuration::{Configuration, Source};
use crate::model::switches::Switches;

/// A configuration to be made. Everything is checked already.
#[derive(Debug, Clone)]
pub struct NewRow<'a> {
    /// Its id, made by the caller.
    pub id: &'a str,
    /// An account that exists.
    pub account: &'a str,
    /// A name that keeps the rules.
    pub connection_name: &'a str,
    /// Kind of identity provider.
    pub source: Source,
    /// The provider's own name.
    pub provider: Option<&'a str>,
    /// Its switches.
    pub switches: &'a Switches,
    /// Whether its changes reach the operator's application.
    pub sync: bool,
}

/// Adds a configuration and returns its key. `Conflict` where the account has one of that name.
pub fn insert(tx: &Tx<'_>, new: &NewRow<'_>) -> Result<i64> {
    let inserted = tx
        .connection()
        .prepare_cached(
            "INSERT INTO configurations (id, account_id, connection_name, source, provider, switches, sync, created_at)
             VALUES (:id, :account, :name, :source, :provider, :switches, :sync, :now)",
        )?
        .insert(named_params! {
            ":id": new.id,
            ":account": new.account,
            ":name": new.connection_name,
            ":source": new.source.as_str(),
            ":provider": new.provider,
            ":switches": switches_text(new.switches)?,
            ":sync": new.sync,
            ":now": tx.now,
        });
    inserted.map_err(|error| taken(error, new.connection_name))
}

fn taken(error: rusqlite::Error, name: &str) -> Error {
    match violated(&error) {
        Some(columns) if columns.ends_with("connection_name") => {
            Error::Conflict(format!("connectionName {name:?} is taken in this account: choose another"))
        }
        _ => error.into(),
    }
}

/// Writes the name, the provider and the switches of a configuration, and tells everybody who remembers them to read
/// them again. `Conflict` where the account has another one of that name.
pub fn save_settings(tx: &Tx<'_>, changed: &Configuration) -> Result<()> {
    let mut statement = tx.prepare(
        "UPDATE configurations SET connection_name = :name, provider = :provider, switches = :switches,
                revision = revision + 1 WHERE configuration = :key",
    )?;
    let updated = statement.execute(named_params! {
        ":key": changed.key,
        ":name": changed.connection_name,
        ":provider": changed.provider,
        ":switches": switches_text(&changed.switches)?,
    });
    updated.map(drop).map_err(|error| taken(error, &changed.connection_name))
}

/// The configuration with that id, unless it is deleted.
pub fn by_id(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Configuration>> {
    Ok(by_id_even_deleted(snapshot, id)?.filter(|found| found.deleted_at.is_none()))
}

/// The configuration with that id, also where it is deleted and only its leftovers are there.
pub fn by_id_even_deleted(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Configuration>> {
    let found = snapshot
        .connection()
        .prepare_cached(
            "SELECT configuration, id, account_id, connection_name, source, provider, switches, revision, sync,
                    created_at, last_sync, last_seen, deleted_at
             FROM configurations WHERE id = ?1",
        )?
        .query_row([id], configuration)
        .optional()?;
    Ok(found)
}

/// The configuration with that key, unless it is deleted.
pub fn by_key(snapshot: &Snapshot<'_>, key: i64) -> Result<Option<Configuration>> {
    let mut statement = snapshot.prepare("SELECT id FROM configurations WHERE configuration = ?1")?;
    let id: Option<String> = statement.query_row([key], |row| row.get(0)).optional()?;
    id.map_or(Ok(None), |id| by_id(snapshot, &id))
}

/// What the configuration's switches say at this moment; the defaults where it is gone.
pub fn switches(at: &Snapshot<'_>, key: i64) -> Result<Switches> {
    let mut statement = at.prepare("SELECT switches FROM configurations WHERE configuration = ?1")?;
    Ok(statement.query_row([key], read_switches).optional()?.unwrap_or_default())
}

/// Configurations that are not deleted, of one account or of all, oldest first.
pub fn list(snapshot: &Snapshot<'_>, account: Option<&str>) -> Result<Vec<Configuration>> {
    let found = snapshot
        .connection()
        .prepare_cached(
            "SELECT configuration, id, account_id, connection_name, source, provider, switches, revision, sync,
                    created_at, last_sync, last_seen, deleted_at
             FROM configurations
             WHERE deleted_at IS NULL AND (?1 IS NULL OR account_id = ?1) ORDER BY configuration",
        )?
        .query_map([account], configuration)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// Tells everybody who remembers the configuration to read it again.
pub fn move_revision(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.prepare("UPDATE configurations SET revision = revision + 1 WHERE configuration = ?1")?.execute([key])?;
    Ok(())
}

/// Lets changes reach the operator's application, or stops them.
pub fn set_sync(tx: &Tx<'_>, key: i64, sync: bool) -> Result<()> {
    tx.connection()
        .prepare_cached("UPDATE configurations SET sync = :sync WHERE configuration = :key")?
        .execute(named_params! {":key": key, ":sync": sync})?;
    Ok(())
}

/// Notes the last authenticated call, and the last write that succeeded where there was one. Neither runs back.
pub fn note_activity(tx: &Tx<'_>, key: i64, seen: Millis, synced: Option<Millis>) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "UPDATE configurations SET last_seen = max(coalesce(last_seen, :seen), :seen),
                    last_sync = CASE WHEN :synced IS NULL THEN last_sync
                                     ELSE max(coalesce(last_sync, :synced), :synced) END
             WHERE configuration = :key",
        )?
        .execute(named_params! {":key": key, ":seen": seen, ":synced": synced})?;
    Ok(())
}

/// Marks a configuration as deleted; its row stays, because events and leftovers name it.
pub fn mark_deleted(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.connection()
        .prepare_cached("UPDATE configurations SET deleted_at = :now WHERE configuration = :key")?
        .execute(named_params! {":key": key, ":now": tx.now})?;
    Ok(())
}

fn configuration(row: &Row<'_>) -> rusqlite::Result<Configuration> {
    Ok(Configuration {
        key: row.get("configuration")?,
        id: row.get("id")?,
        account: row.get("account_id")?,
        connection_name: row.get("connection_name")?,
        source: read_source(row)?,
        provider: row.get("provider")?,
        switches: read_switches(row)?,
        revision: row.get("revision")?,
        sync: row.get("sync")?,
        created_at: row.get("created_at")?,
        last_sync: row.get("last_sync")?,
        last_seen: row.get("last_seen")?,
        deleted_at: row.get("deleted_at")?,
    })
}

fn read_source(row: &Row<'_>) -> rusqlite::Result<Source> {
    let at = row.as_ref().column_index("source")?;
    let word: String = row.get(at)?;
    word.parse().map_err(|refused: String| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, refused.into()))
}

fn read_switches(row: &Row<'_>) -> rusqlite::Result<Switches> {
    let at = row.as_ref().column_index("switches")?;
    let text: String = row.get(at)?;
    serde_json::from_str(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into()))
}

fn switches_text(switches: &Switches) -> Result<String> {
    serde_json::to_string(switches).map_err(|error| Error::Database(format!("switches cannot be written: {error}")))
}
