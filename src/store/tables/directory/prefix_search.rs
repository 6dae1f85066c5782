//! The search for resources by the beginning of a name, an address or an id. Each statement reads a range of one index, and no
//! document.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{OptionalExtension, params};

use crate::error::Result;
use crate::store::Snapshot;
use crate::store::tables::directory::LAST_CHAR;
use crate::store::tables::directory::user_scan::{ScannedUser, read_user};
use crate::store::tables::resources::ResourceCollection;

/// Returns the row numbers of the resources of a collection whose `userName`, `displayName`, e-mail address or `externalId` starts
/// with a text, at most `limit`: those by `userName` first, each once. `key` is the text normalized for comparison; an `externalId`
/// is compared as it is.
pub fn list_rows_by_prefix(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    (key, text): (&str, &str),
    limit: usize,
) -> Result<Vec<i64>> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for (sql, prefix) in [
        (build_prefix_sql("user_name_key"), key),
        (build_prefix_sql("display_name_key"), key),
        (EMAIL_PREFIX_SQL.to_owned(), key),
        (build_prefix_sql("external_id"), text),
    ] {
        let end = format!("{prefix}{LAST_CHAR}");
        let mut statement = at.prepare(&sql)?;
        let mut rows = statement.query(params![collection.configuration, collection.resource_type, prefix, end])?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let row = row.get(0)?;
            if seen.insert(row) {
                found.push(row);
            }
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// INDEXED BY would fail on a database that lacks the index, so a test checks the plan.
pub(super) fn build_prefix_sql(column: &str) -> String {
    format!(
        "SELECT r.resource FROM resources r
         WHERE r.configuration = ?1 AND r.type = ?2 AND r.{column} >= ?3 AND r.{column} < ?4 ORDER BY r.{column}"
    )
}

/// Only users have e-mail addresses, so the type is not compared: that would read the row of each address.
pub(super) const EMAIL_PREFIX_SQL: &str = "SELECT v.resource FROM resource_values v
     WHERE v.configuration = ?1 AND v.path = 'emails.value' AND v.key >= ?3 AND v.key < ?4 AND ?2 = 'User' ORDER BY v.key";

pub(super) const NAMED_USERS_SQL: &str = "SELECT r.resource, r.user_name_key, r.last_modified, r.active IS 1 FROM resources r
     WHERE r.configuration = ?1 AND r.type = 'User' AND r.user_name_key >= ?2 AND r.user_name_key < ?3 ORDER BY r.user_name_key";
const USER_SQL: &str = "SELECT r.resource, r.user_name_key, r.last_modified, r.active IS 1 FROM resources r
     WHERE r.resource = ?1 AND r.configuration = ?2 AND r.type = 'User'";

/// Returns the users of a configuration that [`list_rows_by_prefix`] finds and that are not in `seen`, at most `limit`, and adds
/// them to `seen`. The row of each is read once.
pub fn list_users_by_prefix(
    at: &Snapshot<'_>,
    configuration: i64,
    (key, text): (&str, &str),
    seen: &mut BTreeSet<i64>,
    limit: usize,
) -> Result<Vec<ScannedUser>> {
    let end = format!("{key}{LAST_CHAR}");
    let mut found = Vec::new();
    let mut named = at.prepare(NAMED_USERS_SQL)?;
    let mut rows = named.query(params![configuration, key, end])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let user = read_user(row)?;
        if seen.insert(user.row) {
            found.push(user);
        }
    }
    if found.len() == limit {
        return Ok(found);
    }
    let mut by_row = at.prepare(USER_SQL)?;
    let collection = ResourceCollection { configuration, resource_type: "User" };
    // The users by name are the first ones, and in `seen`.
    for row in list_rows_by_prefix(at, collection, (key, text), found.len() + limit)? {
        if found.len() == limit {
            break;
        }
        if seen.insert(row) {
            found.extend(by_row.query_row(params![row, configuration], read_user).optional()?);
        }
    }
    Ok(found)
}

pub(super) const ID_PREFIX_SQL: &str =
    "SELECT r.resource, r.user_name_key, r.last_modified, r.active IS 1, r.configuration, r.type
     FROM resources r WHERE r.id >= ?1 AND r.id < ?2 ORDER BY r.id LIMIT ?3";

/// Returns the users of all configurations whose id starts with this text, each with its configuration. Reads at most `limit`
/// resources.
pub fn list_users_by_id_prefix(at: &Snapshot<'_>, prefix: &str, limit: usize) -> Result<Vec<(i64, ScannedUser)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let end = format!("{prefix}{LAST_CHAR}");
    let rows = at.list_rows(ID_PREFIX_SQL, params![prefix, end, limit], |row| {
        let is_user = row.get::<_, String>(5)? == "User";
        if is_user { Ok(Some((row.get(4)?, read_user(row)?))) } else { Ok(None) }
    })?;
    Ok(rows.into_iter().flatten().collect())
}
