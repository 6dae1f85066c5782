//! Objects in a database file that no version of this program creates, such as triggers and views, which could change or
//! copy data without a trace in the program; and own tables and indexes that are missing or changed.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::Result;
use crate::store::engine::snapshot::Tx;
use crate::store::engine::upgrade;
use crate::store::tables::instance;

/// Key in `instance` that says that this program has created these tables.
const OWN_TABLES: &str = "replication_tables";
/// Tables that Litestream adds to the database that it replicates.
const REPLICATION_TABLES: [&str; 2] = ["_litestream_seq", "_litestream_lock"];
/// Prefix of the names of SQLite's own objects. SQLite refuses to create others with such a name.
const INTERNAL_PREFIX: &str = "sqlite_";

/// How the schema of a file differs from the schema of its version. Each object is given as its kind and name, such as
/// `trigger copy_tokens`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaDifference {
    /// Objects that are not part of the schema.
    pub(crate) foreign: Vec<String>,
    /// Objects of the schema that the file lacks.
    pub(crate) missing: Vec<String>,
    /// Objects with another definition: a column, a constraint or an indexed column was added, removed or changed.
    pub(crate) changed: Vec<String>,
}

impl SchemaDifference {
    /// Returns a finding for each missing and changed object, and for a table before its indexes.
    pub(crate) fn describe_damage(&self) -> Vec<String> {
        let (tables, others): (Vec<_>, Vec<_>) = self.missing.iter().partition(|object| object.starts_with("table "));
        let missing = tables.into_iter().chain(others).map(|object| format!("the {object} is missing"));
        missing.chain(self.changed.iter().map(|object| format!("the {object} was changed"))).collect()
    }

    /// Returns a finding for each object.
    pub(crate) fn describe(&self) -> Vec<String> {
        let foreign = self.foreign.iter().map(|object| format!("the {object} is not part of a Rollcall database"));
        foreign.chain(self.describe_damage()).collect()
    }
}

/// Compares the schema of a file with that of an empty database of the same version.
pub(crate) fn compare_schema(connection: &Connection) -> rusqlite::Result<SchemaDifference> {
    let expected = list_objects(&upgrade::create_reference(upgrade::read_version(connection)?)?)?;
    Ok(compare_objects(&expected, &list_objects(connection)?))
}

fn compare_objects(expected: &SchemaObjects, found: &SchemaObjects) -> SchemaDifference {
    let mut difference = SchemaDifference::default();
    for ((kind, name), definition) in found {
        let is_own = name.starts_with(INTERNAL_PREFIX) && matches!(kind.as_str(), "table" | "index");
        let is_replication = kind == "table" && REPLICATION_TABLES.contains(&name.as_str());
        match expected.get(&(kind.clone(), name.clone())) {
            Some(other) if other != definition => difference.changed.push(format!("{kind} {name}")),
            None if !is_own && !is_replication => difference.foreign.push(format!("{kind} {name}")),
            _ => {}
        }
    }
    let missing = expected.keys().filter(|object| !found.contains_key(object));
    difference.missing = missing.map(|(kind, name)| format!("{kind} {name}")).collect();
    difference
}

/// Whether Litestream replicates the database. It writes pages without checksums.
pub(crate) fn is_replicated(connection: &Connection) -> rusqlite::Result<bool> {
    let [sequence, lock] = REPLICATION_TABLES;
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name IN (?1, ?2))";
    connection.query_row(sql, [sequence, lock], |row| row.get(0))
}

/// Which pages Litestream writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicatedPages {
    /// None: it does not replicate the database.
    None,
    /// Only this one: this program has created its tables, so that the pages of the schema have checksums. It is the one page of
    /// the table with one row that Litestream changes.
    One(u64),
    /// Any: it has created its tables itself.
    Unknown,
}

/// Finds the pages without checksums.
pub(crate) fn find_replicated_pages(connection: &Connection) -> rusqlite::Result<ReplicatedPages> {
    if !is_replicated(connection)? {
        return Ok(ReplicatedPages::None);
    }
    let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1
               AND EXISTS (SELECT 1 FROM instance WHERE key = ?2)";
    let page: Option<u32> =
        connection.query_row(sql, [REPLICATION_TABLES[0], OWN_TABLES], |row| row.get(0)).optional()?;
    Ok(page.map_or(ReplicatedPages::Unknown, |page| ReplicatedPages::One(page.into())))
}

/// Creates the tables that Litestream would create, with the same definitions, if there are none. What this program writes has
/// page checksums.
pub(crate) fn create_replication_tables(tx: &Tx<'_>) -> Result<()> {
    if tx.find_value::<i64>("SELECT 1 FROM sqlite_schema WHERE name IN (?1, ?2)", REPLICATION_TABLES)?.is_some() {
        return Ok(());
    }
    instance::set_value(tx, OWN_TABLES, "1")?;
    tx.run("CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)", [])?;
    tx.run("CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER)", [])
}

/// Removes the tables of Litestream from a restored file: it replicates the new database from its beginning.
pub(crate) fn remove_replication_tables(restored: &Connection) -> rusqlite::Result<()> {
    restored.execute_batch("DROP TABLE IF EXISTS _litestream_seq; DROP TABLE IF EXISTS _litestream_lock;")?;
    restored.execute("DELETE FROM instance WHERE key = ?1", [OWN_TABLES]).map(drop)
}

/// Normalized definitions by kind and name.
type SchemaObjects = BTreeMap<(String, String), String>;

/// The objects of a database.
fn list_objects(connection: &Connection) -> rusqlite::Result<SchemaObjects> {
    connection
        .prepare("SELECT type, name, ifnull(sql, '') FROM sqlite_schema WHERE name <> 'sqlite_stat1'")?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), normalize_sql(&row.get::<_, String>(2)?))))?
        .collect()
}

/// Removes comments, spaces and the quotes of names from a definition, so that a renamed table and an added column
/// compare equal in every version of SQLite.
fn normalize_sql(sql: &str) -> String {
    let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(str::chars).filter(|c| !c.is_whitespace() && *c != '"').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_the_schema_are_not_foreign_in_any_version() {
        for version in 1..=upgrade::newest_version() {
            let connection = upgrade::create_reference(version).unwrap();
            connection.execute_batch("ANALYZE; CREATE TABLE _litestream_seq (id INTEGER)").unwrap();
            assert_eq!(compare_schema(&connection).unwrap(), SchemaDifference::default(), "version {version}");
        }
    }

    #[test]
    fn every_other_object_is_foreign() {
        let connection = upgrade::create_reference(upgrade::newest_version()).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE extra (x); CREATE INDEX extra_index ON extra (x); CREATE VIEW shown AS SELECT 1;
                 CREATE TRIGGER copy_tokens AFTER INSERT ON tokens BEGIN INSERT INTO extra VALUES (1); END;
                 DROP TABLE traffic; CREATE VIEW traffic AS SELECT 1;",
            )
            .unwrap();
        let found = compare_schema(&connection).unwrap();
        let foreign = ["index extra_index", "table extra", "trigger copy_tokens", "view shown", "view traffic"];
        assert_eq!(found.foreign, foreign);
        assert_eq!(found.missing, ["table traffic"]);
        assert_eq!(found.changed, [""; 0]);
    }

    #[test]
    fn every_missing_object_and_every_missing_column_is_found() {
        let connection = upgrade::create_reference(upgrade::newest_version()).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let objects = list_objects(&connection).unwrap();
        let mut dropped_columns = 0;
        for (kind, name) in objects.keys().filter(|(_, name)| !name.starts_with(INTERNAL_PREFIX)) {
            connection.execute_batch(&format!("SAVEPOINT sound; DROP {kind} {name}")).unwrap();
            let found = compare_objects(&objects, &list_objects(&connection).unwrap());
            assert!(found.missing.contains(&format!("{kind} {name}")), "{kind} {name}: {found:?}");
            connection.execute_batch("ROLLBACK TO sound; RELEASE sound").unwrap();
            if kind != "table" {
                continue;
            }
            connection.execute_batch("SAVEPOINT sound").unwrap();
            let columns: Vec<String> = connection
                .prepare(&format!("SELECT name FROM pragma_table_info('{name}')"))
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            for column in columns {
                // SQLite refuses to drop columns of keys and indexes.
                if connection.execute_batch(&format!("ALTER TABLE {name} DROP COLUMN {column}")).is_ok() {
                    dropped_columns += 1;
                    let found = compare_objects(&objects, &list_objects(&connection).unwrap());
                    assert_eq!(found.changed, [format!("table {name}")], "{column}");
                }
            }
            connection.execute_batch("ROLLBACK TO sound; RELEASE sound").unwrap();
        }
        assert_eq!(compare_schema(&connection).unwrap(), SchemaDifference::default());
        assert!(dropped_columns > 50, "{dropped_columns}");
    }

    #[test]
    fn a_changed_constraint_is_found() {
        let connection = upgrade::create_reference(upgrade::newest_version()).unwrap();
        let (from, to) = ("email_key       TEXT NOT NULL UNIQUE", "email_key TEXT NOT NULL");
        connection.pragma_update(None, "writable_schema", true).unwrap();
        let changed = connection
            .execute("UPDATE sqlite_schema SET sql = replace(sql, ?1, ?2) WHERE name = 'admins'", [from, to])
            .unwrap();
        assert_eq!(changed, 1);
        connection
            .execute_batch("DROP INDEX audit_by_account; CREATE INDEX audit_by_account ON audit (account)")
            .unwrap();
        let found = compare_schema(&connection).unwrap();
        assert_eq!(found.changed, ["index audit_by_account", "table admins"]);
        assert!(found.describe()[0].ends_with("was changed"));
    }
}
