//! Rows of `resources`, with their rows in `resource_values` and their counts.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, OptionalExtension, Row, params};

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::model::quota::QuotaKind;
use crate::scim::index::IndexKeys;
use crate::store::tables::rows::to_sql_limit;
use crate::store::tables::{counts, usage};
use crate::store::{Snapshot, Tx, find_violated_columns};

/// A stored resource.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResource {
    /// Row number. Increases in the order of creation.
    pub key: i64,
    /// Key of its configuration.
    pub configuration: i64,
    /// Public id.
    pub id: String,
    /// Version, starting at 1 and incremented by each change.
    pub version: i64,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of the last change. Never decreases.
    pub last_modified: Millis,
    /// Number of members.
    pub member_count: i64,
    /// The stored JSON text: `schemas` and the attributes.
    pub body: String,
}

pub(in crate::store) const COLUMNS: &str =
    "r.resource, r.id, r.version, r.created_at, r.last_modified, r.member_count, r.body,
     r.configuration";

pub(in crate::store) fn read_stored_resource(row: &Row<'_>) -> rusqlite::Result<StoredResource> {
    Ok(StoredResource {
        key: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        created_at: row.get(3)?,
        last_modified: row.get(4)?,
        member_count: row.get(5)?,
        body: row.get(6)?,
        configuration: row.get(7)?,
    })
}

/// A collection of resources: one resource type of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct ResourceCollection<'a> {
    /// Key of the configuration.
    pub configuration: i64,
    /// Resource type name.
    pub resource_type: &'a str,
}

/// Returns the resource of the collection with this id.
pub fn find_resource_by_id(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    id: &str,
) -> Result<Option<StoredResource>> {
    // Runs for most requests: the text is built once.
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {COLUMNS} FROM resources r WHERE r.id = ?1 AND r.configuration = ?2 AND r.type = ?3")
    });
    at.find_row(&SQL, params![id, collection.configuration, collection.resource_type], read_stored_resource)
}

/// Like [`find_resource_by_id`], with whether a large change of the resource has not ended.
pub fn find_resource_to_change(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    id: &str,
) -> Result<Option<(StoredResource, bool)>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM pending_changes p WHERE p.resource = r.resource) FROM resources r
             WHERE r.id = ?1 AND r.configuration = ?2 AND r.type = ?3"
        )
    });
    at.find_row(&SQL, params![id, collection.configuration, collection.resource_type], |row| {
        Ok((read_stored_resource(row)?, row.get(8)?))
    })
}

/// Returns the resource of the configuration with this row number.
pub fn find_resource_by_key(at: &Snapshot<'_>, configuration: i64, key: i64) -> Result<Option<StoredResource>> {
    at.find_row(
        &format!("SELECT {COLUMNS} FROM resources r WHERE r.resource = ?1 AND r.configuration = ?2"),
        [key, configuration],
        read_stored_resource,
    )
}

/// A resource, and whether it is a member of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundResource {
    /// The resource.
    pub stored: StoredResource,
    /// Whether it is a direct member of a group.
    pub is_member: bool,
}

/// The last column of [`read_found_resource`].
const IS_MEMBER: &str = "EXISTS (SELECT 1 FROM group_members m WHERE m.member_resource = r.resource)";

fn read_found_resource(row: &Row<'_>) -> rusqlite::Result<FoundResource> {
    Ok(FoundResource { stored: read_stored_resource(row)?, is_member: row.get(8)? })
}

/// Like [`find_resource_by_id`], with whether the resource is a member of a group.
pub fn find_resource_with_membership(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    id: &str,
) -> Result<Option<FoundResource>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {COLUMNS}, {IS_MEMBER} FROM resources r WHERE r.id = ?1 AND r.configuration = ?2 AND r.type = ?3"
        )
    });
    at.find_row(&SQL, params![id, collection.configuration, collection.resource_type], read_found_resource)
}

/// Reads many resources of a configuration by their row numbers.
pub struct ResourceReader<'c> {
    statement: CachedStatement<'c>,
    configuration: i64,
}

impl<'c> ResourceReader<'c> {
    /// Prepares the statement.
    pub fn new(at: &Snapshot<'c>, configuration: i64) -> Result<Self> {
        static SQL: LazyLock<String> = LazyLock::new(|| {
            format!("SELECT {COLUMNS}, {IS_MEMBER} FROM resources r WHERE r.resource = ?1 AND r.configuration = ?2")
        });
        Ok(Self { statement: at.prepare(&SQL)?, configuration })
    }

    /// Returns the resource with this row number.
    pub fn find(&mut self, key: i64) -> Result<Option<FoundResource>> {
        Ok(self.statement.query_row([key, self.configuration], read_found_resource).optional()?)
    }
}

/// Returns the resources of a collection in a range of row numbers, in the order of creation. `None` if their texts have more than
/// `bytes_max` bytes together.
pub fn list_resource_range(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    (first, last): (i64, i64),
    bytes_max: usize,
) -> Result<Option<Vec<FoundResource>>> {
    let mut statement = at.prepare(&RANGE_SQL)?;
    let mut rows = statement.query(params![collection.configuration, collection.resource_type, first, last])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let resource = read_found_resource(row)?;
        bytes += resource.stored.body.len();
        if bytes > bytes_max {
            return Ok(None);
        }
        found.push(resource);
    }
    Ok(Some(found))
}

static RANGE_SQL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS}, {IS_MEMBER} FROM resources r
         WHERE r.configuration = ?1 AND r.type = ?2 AND r.resource >= ?3 AND r.resource <= ?4 ORDER BY r.resource"
    )
});

/// The values of a resource to insert or update.
#[derive(Debug)]
pub struct ResourceValues<'a> {
    /// Public id.
    pub id: &'a str,
    /// Index keys.
    pub keys: &'a IndexKeys,
    /// Normalized display name, if it must be unique.
    pub unique_name: Option<&'a str>,
    /// The JSON text to store.
    pub body: &'a str,
}

/// The version of a resource to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsertedVersion {
    /// Its number.
    pub version: i64,
    /// When the resource was created.
    pub created_at: Millis,
    /// Time of the version.
    pub last_modified: Millis,
}

impl InsertedVersion {
    /// The first version of a new resource.
    pub fn first(now: Millis) -> Self {
        Self { version: 1, created_at: now, last_modified: now }
    }
}

/// Inserts a resource, its index values and its count. Only the first statement can violate a constraint.
///
/// # Errors
/// 409 `uniqueness` if another resource has the same name.
pub fn insert_resource(
    tx: &Tx<'_>,
    collection: ResourceCollection<'_>,
    new: &ResourceValues<'_>,
    version: InsertedVersion,
) -> Result<StoredResource> {
    let mut statement = tx.prepare(
        "INSERT INTO resources (configuration, type, id, version, created_at, last_modified, active, user_name_key,
             display_name_key, external_id, unique_name_key, label, body)
         VALUES (?1, ?2, ?3, ?12, ?13, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let keys = new.keys;
    let InsertedVersion { version, created_at, last_modified } = version;
    let inserted = statement.insert(params![
        collection.configuration,
        collection.resource_type,
        new.id,
        last_modified,
        keys.active,
        keys.user_name,
        keys.display_name,
        keys.external_id,
        new.unique_name,
        keys.label,
        new.body,
        version,
        created_at
    ]);
    let key = inserted.map_err(|problem| map_uniqueness_error(tx, collection, new, problem))?;
    insert_values(tx, collection.configuration, key, &keys.values)?;
    counts::adjust_count(tx, collection.configuration, collection.resource_type, key, 1)?;
    let active = usage::active_user_change(collection.resource_type, None, keys.active);
    let amounts = usage::resource_amounts(collection.resource_type, 1, usage::text_bytes(new.body));
    let amounts = amounts.with(QuotaKind::ActiveUsers, active);
    usage::add_usage(tx, collection.configuration, &amounts)?;
    Ok(StoredResource {
        key,
        configuration: collection.configuration,
        id: new.id.to_owned(),
        version,
        created_at,
        last_modified,
        member_count: 0,
        body: new.body.to_owned(),
    })
}

/// Replaces the text of a stored resource and increments its version. `before` are the index keys of the old text.
///
/// # Errors
/// 409 `uniqueness` if another resource has the new name.
pub fn update_resource(
    tx: &Tx<'_>,
    collection: ResourceCollection<'_>,
    stored: &mut StoredResource,
    before: &IndexKeys,
    new: &ResourceValues<'_>,
) -> Result<()> {
    increment_version(tx, stored);
    let after = new.keys;
    let same_names = before.user_name == after.user_name
        && before.display_name == after.display_name
        && before.external_id == after.external_id
        && before.label == after.label;
    // SQLite updates the index of every column in SET, even if the value is unchanged. Most changes do not affect
    // names, and many do not affect `active`.
    if same_names && before.active == after.active {
        let mut statement = tx.prepare(
            "UPDATE resources SET version = ?2, last_modified = ?3, body = ?4 WHERE resource = ?1 AND configuration = ?5",
        )?;
        statement.execute(params![stored.key, stored.version, stored.last_modified, new.body, stored.configuration])?;
    } else if same_names {
        let mut statement = tx.prepare(
            "UPDATE resources SET version = ?2, last_modified = ?3, active = ?4, body = ?5
             WHERE resource = ?1 AND configuration = ?6",
        )?;
        let row =
            params![stored.key, stored.version, stored.last_modified, after.active, new.body, stored.configuration];
        statement.execute(row)?;
    } else {
        let mut statement = tx.prepare(
            "UPDATE resources SET version = ?2, last_modified = ?3, active = ?4, body = ?5, user_name_key = ?6,
                 display_name_key = ?7, external_id = ?8, unique_name_key = ?9, label = ?10
             WHERE resource = ?1 AND configuration = ?11",
        )?;
        let updated = statement.execute(params![
            stored.key,
            stored.version,
            stored.last_modified,
            after.active,
            new.body,
            after.user_name,
            after.display_name,
            after.external_id,
            new.unique_name,
            after.label,
            stored.configuration
        ]);
        updated.map_err(|problem| map_uniqueness_error(tx, collection, new, problem))?;
    }
    if before.values != after.values {
        delete_values(tx, collection.configuration, stored.key, &before.values)?;
        insert_values(tx, collection.configuration, stored.key, &after.values)?;
    }
    let bytes = usage::text_bytes(new.body) - usage::text_bytes(&stored.body);
    let active = usage::active_user_change(collection.resource_type, before.active, after.active);
    let amounts = usage::resource_amounts(collection.resource_type, 0, bytes).with(QuotaKind::ActiveUsers, active);
    usage::add_usage(tx, collection.configuration, &amounts)?;
    new.body.clone_into(&mut stored.body);
    Ok(())
}

/// Increments the version of a resource whose members changed but whose text did not.
pub fn touch_resource(tx: &Tx<'_>, stored: &mut StoredResource) -> Result<()> {
    increment_version(tx, stored);
    tx.run(
        "UPDATE resources SET version = ?2, last_modified = ?3, member_count = ?4
         WHERE resource = ?1 AND configuration = ?5",
        params![stored.key, stored.version, stored.last_modified, stored.member_count, stored.configuration],
    )
}

/// RFC 7643 section 3.1: `lastModified` is different after each change, even for two changes within a millisecond, and
/// does not decrease if the clock is set back.
fn increment_version(tx: &Tx<'_>, stored: &mut StoredResource) {
    stored.version += 1;
    stored.last_modified = tx.now.max(stored.last_modified + 1);
}

/// Deletes a resource that has no memberships any more.
pub fn delete_resource(
    tx: &Tx<'_>,
    collection: ResourceCollection<'_>,
    stored: &StoredResource,
    keys: &IndexKeys,
) -> Result<()> {
    delete_values(tx, collection.configuration, stored.key, &keys.values)?;
    tx.run(
        "DELETE FROM resources WHERE resource = ?1 AND configuration = ?2",
        params![stored.key, stored.configuration],
    )?;
    counts::adjust_count(tx, collection.configuration, collection.resource_type, stored.key, -1)?;
    let active = usage::active_user_change(collection.resource_type, keys.active, None);
    let amounts = usage::resource_amounts(collection.resource_type, -1, -usage::text_bytes(&stored.body));
    let amounts = amounts.with(QuotaKind::ActiveUsers, active);
    usage::add_usage(tx, collection.configuration, &amounts)
}

/// Returns at most `limit` resources of the collection with this key at this attribute path, in the order of creation.
pub fn list_resources_by_value(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    (path, key): (&str, &str),
    limit: usize,
) -> Result<Vec<StoredResource>> {
    at.list_rows(
        &format!(
            "SELECT {COLUMNS} FROM resource_values v JOIN resources r ON r.resource = v.resource
         WHERE v.configuration = ?1 AND v.path = ?2 AND v.key = ?3 AND r.type = ?4 ORDER BY v.resource LIMIT ?5"
        ),
        params![collection.configuration, path, key, collection.resource_type, to_sql_limit(limit)],
        read_stored_resource,
    )
}

/// Returns at most `limit` different keys at this attribute path after a key, in ascending order.
pub fn list_value_keys(
    at: &Snapshot<'_>,
    configuration: i64,
    (path, after): (&str, &str),
    limit: usize,
) -> Result<Vec<String>> {
    at.list_values(LIST_VALUE_KEYS, params![configuration, path, after, to_sql_limit(limit)])
}

const LIST_VALUE_KEYS: &str = "SELECT DISTINCT key FROM resource_values
     WHERE configuration = ?1 AND path = ?2 AND key > ?3 ORDER BY key LIMIT ?4";

/// Returns the resource of the collection with this `userName`, normalized for comparison.
pub fn find_resource_by_user_name(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    key: &str,
) -> Result<Option<StoredResource>> {
    at.find_row(
        &format!(
            "SELECT {COLUMNS} FROM resources r WHERE r.configuration = ?1 AND r.type = ?2 AND r.user_name_key = ?3"
        ),
        params![collection.configuration, collection.resource_type, key],
        read_stored_resource,
    )
}

/// Returns the number of resources in the collection.
pub fn count_resources(at: &Snapshot<'_>, collection: ResourceCollection<'_>) -> Result<u64> {
    Ok(counts::count_resources(at, collection.configuration, collection.resource_type)?.unsigned_abs())
}

fn insert_values(tx: &Tx<'_>, configuration: i64, key: i64, values: &[(String, String)]) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let mut statement =
        tx.prepare("INSERT INTO resource_values (configuration, path, key, resource) VALUES (?1, ?2, ?3, ?4)")?;
    for (path, value) in values {
        statement.execute(params![configuration, path, value, key])?;
    }
    Ok(())
}

fn delete_values(tx: &Tx<'_>, configuration: i64, key: i64, values: &[(String, String)]) -> Result<()> {
    let mut statement = tx
        .prepare("DELETE FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4")?;
    for (path, value) in values {
        statement.execute(params![configuration, path, value, key])?;
    }
    Ok(())
}

/// Converts a failed insert or update into a uniqueness error if it violated a unique index. The error names the
/// resource that has the name.
fn map_uniqueness_error(
    tx: &Tx<'_>,
    collection: ResourceCollection<'_>,
    new: &ResourceValues<'_>,
    problem: rusqlite::Error,
) -> Error {
    let (reason, column, name) = match find_violated_columns(&problem) {
        Some(columns) if columns.contains("user_name_key") => {
            (Reason::UserNameTaken, "user_name_key", new.keys.user_name.as_deref())
        }
        Some(columns) if columns.contains("unique_name_key") => {
            (Reason::GroupNameTaken, "unique_name_key", new.unique_name)
        }
        _ => return problem.into(),
    };
    let holder = tx.find_row(
        &format!("SELECT id, active FROM resources WHERE configuration = ?1 AND type = ?2 AND {column} = ?3"),
        params![collection.configuration, collection.resource_type, name],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<bool>>(1)?)),
    );
    match holder {
        Ok(Some((id, active))) => {
            reason.with("id", id).with("state", if active == Some(false) { "inactive" } else { "active" })
        }
        Ok(None) => reason.into(),
        Err(error) => error,
    }
}

/// Stores the member count of a resource whose version was already incremented.
pub fn set_member_count(tx: &Tx<'_>, stored: &StoredResource) -> Result<()> {
    tx.run(
        "UPDATE resources SET member_count = ?2 WHERE resource = ?1 AND configuration = ?3",
        params![stored.key, stored.member_count, stored.configuration],
    )
}

/// Returns at most `limit` resources of the collection with values of the extension `urn`, in the order of creation.
pub fn list_resources_with_extension(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    urn: &str,
    limit: u32,
) -> Result<Vec<StoredResource>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM resources r
         WHERE r.configuration = ?1 AND r.type = ?2 AND json_type(r.body, ?3) IS NOT NULL
         ORDER BY r.resource LIMIT ?4"
    ))?;
    // A URN is validated to contain no quotes, so it can be quoted in a JSON path.
    let path = format!("$.\"{urn}\"");
    let rows = statement
        .query_map(params![collection.configuration, collection.resource_type, path, limit], read_stored_resource)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_in_index_order_without_sorting() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", *RANGE_SQL)).unwrap();
        let steps = statement.query_map(params![1, "User", 1, 10], |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        assert!(
            steps[0].contains("resources_in_order (configuration=? AND type=? AND rowid>? AND rowid<?)"),
            "{steps:?}"
        );
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{steps:?}");
    }

    #[test]
    fn keys_at_a_path_are_read_in_index_order_without_sorting() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {LIST_VALUE_KEYS}")).unwrap();
        let steps = statement.query_map(params![1, "emails.value", "a", 10], |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        let expected = "SEARCH resource_values USING PRIMARY KEY (configuration=? AND path=? AND key>?)";
        assert_eq!(steps, [expected]);
    }
}
