//! Rows of `undeclared_attributes`: what identity providers send and no schema declares.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{named_params, params};

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::Result;
use crate::scim::schema::DataType;
use crate::store::{Snapshot, Tx};

/// An undeclared attribute of a configuration, with the calls that contained it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeclaredUse {
    /// Name of the resource type.
    pub resource_type: String,
    /// Full path; case-insensitive.
    pub name: String,
    /// Type of a value. `None` if only null was sent.
    pub kind: Option<DataType>,
    /// Whether a value was a list.
    pub multi_valued: bool,
    /// Number of calls.
    pub calls: i64,
    /// Number of these calls that were refused.
    pub refused: i64,
    /// Time of the first call.
    pub first_seen: Millis,
    /// Time of the last call.
    pub last_seen: Millis,
}

impl UndeclaredUse {
    /// Adds later or earlier calls with the same attribute.
    pub fn add(&mut self, other: &Self) {
        self.kind = if other.last_seen >= self.last_seen { other.kind.or(self.kind) } else { self.kind.or(other.kind) };
        self.multi_valued |= other.multi_valued;
        self.calls += other.calls;
        self.refused += other.refused;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }

    /// Whether it is the same attribute.
    pub fn has_name(&self, resource_type: &str, name: &str) -> bool {
        self.resource_type == resource_type && self.name.eq_ignore_ascii_case(name)
    }
}

impl FromSql for DataType {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

/// Returns the undeclared attributes of a configuration, ordered by resource type and name.
pub fn list_undeclared(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<UndeclaredUse>> {
    at.list_rows(
        "SELECT resource_type, name, kind, multi_valued, calls, refused, first_seen, last_seen
         FROM undeclared_attributes WHERE configuration = ?1 ORDER BY resource_type, name",
        [configuration],
        |row| {
            read_columns!(
                row,
                UndeclaredUse { resource_type, name, kind, multi_valued, calls, refused, first_seen, last_seen }
            )
        },
    )
}

/// Adds calls to the row of an attribute, or inserts it.
pub fn add_undeclared_use(tx: &Tx<'_>, configuration: i64, used: &UndeclaredUse) -> Result<()> {
    tx.run(
        "INSERT INTO undeclared_attributes
             (configuration, resource_type, name, kind, multi_valued, calls, refused, first_seen, last_seen)
         VALUES (:configuration, :resource_type, :name, :kind, :multi_valued, :calls, :refused, :first, :last)
         ON CONFLICT (configuration, resource_type, name) DO UPDATE SET
             name = excluded.name, kind = coalesce(excluded.kind, kind),
             multi_valued = max(multi_valued, excluded.multi_valued),
             calls = calls + excluded.calls, refused = refused + excluded.refused,
             first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
        named_params! {
            ":configuration": configuration,
            ":resource_type": used.resource_type,
            ":name": used.name,
            ":kind": used.kind.map(DataType::as_str),
            ":multi_valued": used.multi_valued,
            ":calls": used.calls,
            ":refused": used.refused,
            ":first": used.first_seen,
            ":last": used.last_seen,
        },
    )
}

/// Deletes the rows of a configuration beyond the `most` that were seen last. Returns how many were deleted.
pub fn delete_least_recent(tx: &Tx<'_>, configuration: i64, most: usize) -> Result<usize> {
    let mut found = list_undeclared(tx, configuration)?;
    if found.len() <= most {
        return Ok(0);
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.last_seen));
    let excess = found.split_off(most);
    excess.iter().try_for_each(|one| delete_undeclared(tx, configuration, &one.resource_type, &one.name))?;
    Ok(excess.len())
}

/// Deletes the row of an attribute.
pub fn delete_undeclared(tx: &Tx<'_>, configuration: i64, resource_type: &str, name: &str) -> Result<()> {
    tx.run(
        "DELETE FROM undeclared_attributes WHERE configuration = ?1 AND resource_type = ?2 AND name = ?3",
        params![configuration, resource_type, name],
    )
}
