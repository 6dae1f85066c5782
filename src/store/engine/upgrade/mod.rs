//! The append-only list of schema upgrade steps. A released step never changes its tables. A new step is added at the
//! end, and `schema.sql` is the result of all steps.

use rusqlite::{Connection, TransactionBehavior, ffi};

use crate::store::filter_sql;

/// Identifies a Rollcall database (`PRAGMA application_id`): "RCLL".
pub(crate) const APPLICATION_ID: i32 = 0x5243_4C4C;

/// Step n upgrades a database from version n - 1 (`PRAGMA user_version`) to n.
///
/// Databases in use were created by these steps, so every schema change is a new step.
const STEPS: &[&str] = &[
    include_str!("1.sql"),
    include_str!("2.sql"),
    include_str!("3.sql"),
    include_str!("4.sql"),
    include_str!("5.sql"),
    include_str!("6.sql"),
    include_str!("7.sql"),
    include_str!("8.sql"),
    include_str!("9.sql"),
    include_str!("10.sql"),
    include_str!("11.sql"),
    include_str!("12.sql"),
    include_str!("13.sql"),
    include_str!("14.sql"),
    include_str!("15.sql"),
    include_str!("16.sql"),
    include_str!("17.sql"),
    include_str!("18.sql"),
    include_str!("19.sql"),
];

/// Key in `instance` of the program version that last upgraded the schema.
const WRITTEN_BY_KEY: &str = "upgraded_by";

/// Returns the schema version of this program.
pub(crate) fn newest_version() -> i32 {
    i32::try_from(STEPS.len()).unwrap_or(i32::MAX)
}

/// Returns the schema version of the database, 0 for an empty one.
pub(crate) fn read_version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Runs the pending steps, each in its own transaction together with its version number.
///
/// Two processes can upgrade concurrently, so the version is read again under the write lock.
pub(crate) fn run_upgrades(connection: &mut Connection) -> rusqlite::Result<()> {
    apply_steps(connection, STEPS)
}

/// Records which program ran the step, if the step has the table for it.
fn record_writer_version(tx: &Connection) -> rusqlite::Result<()> {
    if !tx.table_exists(None, "instance")? {
        return Ok(());
    }
    let sql =
        "INSERT INTO instance (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, (WRITTEN_BY_KEY, crate::VERSION)).map(drop)
}

/// Returns the version of the program that last upgraded the database, for the error message of an older program.
pub(crate) fn read_writer_version(connection: &Connection) -> Option<String> {
    connection.query_row("SELECT value FROM instance WHERE key = ?1", [WRITTEN_BY_KEY], |row| row.get(0)).ok()
}

/// Returns an empty database of a version, in memory.
pub(crate) fn create_reference(version: i32) -> rusqlite::Result<Connection> {
    let mut reference = Connection::open_in_memory()?;
    run_upgrades_to(&mut reference, version)?;
    Ok(reference)
}

/// Runs the pending steps up to a version.
pub(crate) fn run_upgrades_to(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    let count = usize::try_from(version).unwrap_or_default().min(STEPS.len());
    apply_steps(connection, &STEPS[..count])
}

fn apply_steps(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    filter_sql::register_functions(connection)?;
    // Off, so that a step can rebuild a table with foreign keys to it. Each step is checked before it commits.
    connection.pragma_update(None, "foreign_keys", false)?;
    for (before, step) in (0_i32..).zip(steps) {
        if read_version(connection)? > before {
            continue;
        }
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if read_version(&tx)? != before {
            continue;
        }
        tx.execute_batch(step)?;
        let dangling = tx.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if dangling {
            return Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_CONSTRAINT_FOREIGNKEY),
                Some(format!("step {} leaves rows with dangling references", before + 1)),
            ));
        }
        record_writer_version(&tx)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", before + 1)?;
        tx.commit()?;
    }
    connection.pragma_update(None, "foreign_keys", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_schema(connection: &Connection) -> Vec<(String, String, Option<String>)> {
        let mut statement =
            connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let rows: Vec<(String, String, Option<String>)> = rows.unwrap().collect::<rusqlite::Result<_>>().unwrap();
        rows.into_iter().map(|(kind, name, sql)| (kind, name, sql.map(|sql| without_comments(&sql)))).collect()
    }

    /// Removes comments and extra spaces from a statement, so that added columns compare equal to original ones.
    fn without_comments(sql: &str) -> String {
        let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        code.flat_map(str::split_whitespace)
            .collect::<Vec<_>>()
            .join(" ")
            .replace("( ", "(")
            .replace(" )", ")")
            .replace(" ,", ",")
    }

    #[test]
    fn the_steps_add_up_to_schema_sql() {
        let mut upgraded = Connection::open_in_memory().unwrap();
        run_upgrades(&mut upgraded).unwrap();
        let fresh = Connection::open_in_memory().unwrap();
        fresh.execute_batch(include_str!("../../../../schema.sql")).unwrap();
        assert_eq!(read_schema(&upgraded), read_schema(&fresh));
        assert_eq!(read_version(&upgraded).unwrap(), newest_version());
    }

    #[test]
    fn a_database_of_the_first_step_with_rows_in_every_table_is_upgraded() {
        let mut old = Connection::open_in_memory().unwrap();
        apply_steps(&mut old, &STEPS[..1]).unwrap();
        old.execute_batch(include_str!("../../../../tests/fixtures/databases/step-1.sql")).unwrap();
        let before = rows_by_table(&old);
        assert!(before.iter().all(|(_, rows)| *rows > 0), "{before:?}");
        run_upgrades(&mut old).unwrap();
        let fresh = Connection::open_in_memory().unwrap();
        fresh.execute_batch(include_str!("../../../../schema.sql")).unwrap();
        assert_eq!(read_schema(&old), read_schema(&fresh));
        let after = rows_by_table(&old);
        for (table, rows) in before.iter().filter(|(table, _)| table != "instance") {
            assert!(after.contains(&(table.clone(), *rows)), "{table} had {rows} rows: {after:?}");
        }
        assert_eq!(read_writer_version(&old).as_deref(), Some(crate::VERSION));
    }

    fn rows_by_table(connection: &Connection) -> Vec<(String, i64)> {
        let mut tables = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
            .unwrap();
        let tables: Vec<String> =
            tables.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        let count = |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        tables.iter().map(|table| (table.clone(), count(table).unwrap())).collect()
    }

    #[test]
    fn calls_logged_before_the_upgrade_are_counted_by_hour() {
        let mut old = Connection::open_in_memory().unwrap();
        apply_steps(&mut old, &STEPS[..2]).unwrap();
        for (at, status, failed, missed) in [(0, 200, 0, 0), (1, 401, 0, 0), (2, 409, 1, 0), (3_600_000, 0, 0, 5)] {
            old.execute(
                "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, notes, missed)
                 VALUES (1, ?1, ?1, 1, 'GET', '/', ?2, ?3, '[]', ?4)",
                (at, status, failed, missed),
            )
            .unwrap();
        }
        run_upgrades(&mut old).unwrap();
        let mut counted = old.prepare("SELECT hour, accepted, refused, missed FROM traffic ORDER BY hour").unwrap();
        let counted = counted.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
        assert_eq!(counted.collect::<rusqlite::Result<Vec<[i64; 4]>>>().unwrap(), [[0, 1, 2, 0], [1, 0, 0, 5]]);
    }

    #[test]
    fn calls_logged_before_the_upgrade_get_the_code_of_their_reason() {
        let mut old = Connection::open_in_memory().unwrap();
        apply_steps(&mut old, &STEPS[..3]).unwrap();
        for (id, status, detail, notes) in [
            (1, 409, Some("userName is taken by another resource of this type"), "[]"),
            (2, 400, Some("Operations[0]: active must be true or false, found a number"), "[]"),
            (3, 400, Some("title must be text, found a number"), "[]"),
            (4, 200, None, "[\"members: unknown id skipped\",\"active: text read as a boolean\"]"),
        ] {
            old.execute(
                "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, notes, detail)
                 VALUES (1, ?1, 1, 1, 'POST', '/', ?2, ?2 >= 400, ?3, ?4)",
                (id, status, notes, detail),
            )
            .unwrap();
        }
        run_upgrades(&mut old).unwrap();
        let mut rows = old.prepare("SELECT reason, notes FROM requests ORDER BY id").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(Option<String>, String)> = rows.unwrap().collect::<rusqlite::Result<_>>().unwrap();
        let reasons: Vec<Option<&str>> = rows.iter().map(|(reason, _)| reason.as_deref()).collect();
        assert_eq!(reasons, [Some("user_name_taken"), Some("boolean_wrong"), None, None]);
        assert!(reasons.into_iter().flatten().all(|code| crate::error::Reason::from_code(code).is_some()));
        assert_eq!(rows[3].1, "[\"unknown_member_skipped\",\"active: text read as a boolean\"]");
    }

    #[test]
    fn memberships_and_held_names_get_their_rows_with_the_upgrade() {
        let mut old = Connection::open_in_memory().unwrap();
        apply_steps(&mut old, &STEPS[..7]).unwrap();
        old.execute_batch(
            r#"INSERT INTO accounts (account, id, name, created_at) VALUES (1, 'a', 'a', 0);
             INSERT INTO configurations (configuration, id, account, connection_name, source, switches, created_at)
                 VALUES (1, 'c', 1, 'c', 'okta', '{}', 0);
             INSERT INTO resources (configuration, type, id, version, created_at, last_modified, body, resource) VALUES
                 (1, 'User', 'u1', 1, 0, 0, '{}', 1), (1, 'User', 'u2', 1, 0, 0, '{}', 2), (1, 'Group', 'g', 1, 0, 0, '{}', 3);
             INSERT INTO held_resources (id, configuration, type, resource, body) VALUES
                 ('u1', 1, 'User', 1, '{"displayName": "ADA", "emails": [{"value": "Ada@X.example"}, {"type": "work"}, "x"]}'),
                 ('u2', 1, 'User', 2, NULL);"#,
        )
        .unwrap();
        let members = |ids: &[&str]| {
            let members: Vec<String> = ids.iter().map(|id| format!(r#"{{"value":"{id}","type":"User"}}"#)).collect();
            format!(r#"{{"members":[{}]}}"#, members.join(","))
        };
        for (kind, published, payload) in [
            ("added", 1, members(&["u1", "u2", "gone"])),
            ("removed", 1, members(&["u2"])),
            ("removed", 0, members(&["u1"])),
            ("added", 1, r#"{"redacted":true}"#.to_owned()),
            ("added", 1, "{broken".to_owned()),
        ] {
            old.execute(
                "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at, published)
                 VALUES ('a', 1, 'group.member_' || ?1, 'g', ?3, 0, ?2)",
                (kind, published, payload),
            )
            .unwrap();
        }
        run_upgrades(&mut old).unwrap();
        let rows = |sql: &str| -> Vec<String> {
            let mut statement = old.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let newest = "SELECT member_id || ' ' || group_id || ' ' || seq FROM membership_events ORDER BY 1";
        assert_eq!(rows(newest), ["u1  1", "u1 g 1", "u2  2"]);
        assert_eq!(rows("SELECT configuration || key || id FROM held_emails"), ["1ada@x.exampleu1"]);
        assert_eq!(rows("SELECT coalesce(display_name_key, '-') FROM held_resources ORDER BY id"), ["ada", "-"]);
    }

    #[test]
    fn the_usage_before_the_upgrade_is_counted() {
        let mut old = Connection::open_in_memory().unwrap();
        apply_steps(&mut old, &STEPS[..1]).unwrap();
        old.execute_batch(include_str!("../../../../tests/fixtures/databases/step-1.sql")).unwrap();
        apply_steps(&mut old, &STEPS[..4]).unwrap();
        old.execute_batch(
            "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, notes, request_body)
             VALUES (1, 1, 1, 1, 'POST', '/Users', 201, 0, '[]', 'äx')",
        )
        .unwrap();
        run_upgrades(&mut old).unwrap();
        let read = |sql: &str| {
            let mut statement = old.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
            rows.unwrap().collect::<rusqlite::Result<Vec<[i64; 4]>>>().unwrap()
        };
        let counted = read("SELECT users, groups, members, bytes FROM configuration_usage ORDER BY configuration");
        assert_eq!(counted.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>(), [[3, 2, 4], [1, 0, 0]]);
        let bytes = read("SELECT sum(octet_length(body)), 0, 0, 0 FROM resources GROUP BY configuration");
        assert_eq!(counted.iter().map(|row| row[3]).collect::<Vec<_>>(), [bytes[0][0], bytes[1][0]]);
        let account = read("SELECT users, groups, members, bytes FROM account_usage");
        assert_eq!(account, [[4, 2, 4, bytes[0][0] + bytes[1][0]]]);
        let active = read("SELECT active_users, 0, 0, 0 FROM configuration_usage ORDER BY configuration");
        let expected =
            read("SELECT sum(type = 'User' AND ifnull(active, 0)), 0, 0, 0 FROM resources GROUP BY configuration");
        assert_eq!(active, expected);
        assert_eq!(read("SELECT active_users, 0, 0, 0 FROM account_usage"), [[active[0][0] + active[1][0], 0, 0, 0]]);
        let logged = read("SELECT request_log_bytes, 0, 0, 0 FROM configuration_usage ORDER BY configuration");
        assert_eq!(logged.iter().map(|row| row[0]).collect::<Vec<_>>(), [400 + 6 + 2 + 3, 0]);
    }

    #[test]
    fn completed_steps_do_not_run_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = "CREATE TABLE a (x INTEGER) STRICT";
        let second = "ALTER TABLE a ADD COLUMN y INTEGER";
        apply_steps(&mut connection, &[first]).unwrap();
        apply_steps(&mut connection, &[first, second]).unwrap();
        apply_steps(&mut connection, &[first, second]).unwrap();
        assert_eq!(read_version(&connection).unwrap(), 2);
    }

    #[test]
    fn a_failed_step_leaves_the_previous_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = "CREATE TABLE a (x INTEGER) STRICT";
        let broken = "CREATE TABLE b (x INTEGER) STRICT; CREATE TABLE a (x INTEGER) STRICT";
        apply_steps(&mut connection, &[first, broken]).unwrap_err();
        assert_eq!(read_version(&connection).unwrap(), 1);
        assert_eq!(read_schema(&connection).len(), 1);
    }

    #[test]
    fn every_table_is_strict() {
        let mut connection = Connection::open_in_memory().unwrap();
        run_upgrades(&mut connection).unwrap();
        let lax: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert!(lax.iter().all(|name| name.starts_with("sqlite_")), "{lax:?}");
    }
}
