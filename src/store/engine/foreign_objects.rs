//! Objects in a database file that no version of this program creates: triggers, views, tables and indexes of others.
//! They could change or copy data without a trace in the program.

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::store::engine::upgrade;

/// Tables that Litestream adds to the database that it replicates.
const REPLICATION_TABLES: [&str; 2] = ["_litestream_seq", "_litestream_lock"];
/// Prefix of the names of SQLite's own objects. SQLite refuses to create others with such a name.
const INTERNAL_PREFIX: &str = "sqlite_";

/// Returns the objects that are not part of the schema of the file's version, each as its kind and name, such as
/// `trigger copy_tokens`.
pub(crate) fn list_foreign_objects(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let expected: BTreeSet<(String, String)> =
        list_objects(&upgrade::create_reference(upgrade::read_version(connection)?)?)?.into_iter().collect();
    let foreign = list_objects(connection)?.into_iter().filter(|object| {
        let (kind, name) = object;
        let is_own = name.starts_with(INTERNAL_PREFIX) && matches!(kind.as_str(), "table" | "index");
        let is_replication = kind == "table" && REPLICATION_TABLES.contains(&name.as_str());
        !is_own && !is_replication && !expected.contains(object)
    });
    Ok(foreign.map(|(kind, name)| format!("{kind} {name}")).collect())
}

fn list_objects(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT type, name FROM sqlite_schema ORDER BY type, name")?
        .query_map([], |row| row.try_into())?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_the_schema_are_not_foreign_in_any_version() {
        for version in 1..=upgrade::newest_version() {
            let connection = upgrade::create_reference(version).unwrap();
            connection.execute_batch("ANALYZE; CREATE TABLE _litestream_seq (id INTEGER)").unwrap();
            assert_eq!(list_foreign_objects(&connection).unwrap(), [""; 0], "version {version}");
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
        let found = list_foreign_objects(&connection).unwrap();
        assert_eq!(found, ["index extra_index", "table extra", "trigger copy_tokens", "view shown", "view traffic"]);
    }
}
