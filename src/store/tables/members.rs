//! Rows of `group_members`: the memberships of groups.

use rusqlite::{OptionalExtension, params};

use crate::clock::Millis;
use crate::error::Result;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::scim::schema::{SchemaText, find_standard_type};
use crate::store::tables::resources::StoredResource;
use crate::store::tables::rows::{read_columns, to_sql_limit};
use crate::store::tables::usage;
use crate::store::{Snapshot, Tx};

/// A resource at one end of a membership, as the other end references it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedResource {
    /// Row of the resource.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// Resource type name. Standard names are shared, so that long lists do not copy them.
    pub resource_type: SchemaText,
    /// Display name.
    pub label: Option<String>,
}

const COLUMNS: &str = "r.resource, r.id, r.type, r.label";

fn read_linked_resource(row: &rusqlite::Row<'_>) -> rusqlite::Result<LinkedResource> {
    let name = row.get_ref(2)?.as_str()?;
    let standard = find_standard_type(name);
    let resource_type = standard.map_or_else(|| SchemaText::Owned(name.to_owned()), |standard| standard.name.clone());
    Ok(LinkedResource { key: row.get(0)?, id: row.get(1)?, resource_type, label: row.get(3)? })
}

/// Returns the members of a group, in the order of their creation.
pub fn list_group_members(at: &Snapshot<'_>, group: &StoredResource) -> Result<Vec<LinkedResource>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM group_members m JOIN resources r ON r.resource = m.member_resource
         WHERE m.group_resource = ?1 AND +r.configuration = ?2 ORDER BY m.member_resource"
    ))?;
    // The length is known, so the list is allocated once instead of growing by doubling.
    let mut members = Vec::with_capacity(usize::try_from(group.member_count).unwrap_or_default());
    for member in statement.query_map(params![group.key, group.configuration], read_linked_resource)? {
        members.push(member?);
    }
    Ok(members)
}

/// Visits the row number and the id of each member of a group, in the order of their creation.
pub fn visit_member_ids(at: &Snapshot<'_>, group: &StoredResource, mut visit: impl FnMut(i64, &str)) -> Result<()> {
    let mut statement = at.prepare(
        "SELECT r.resource, r.id FROM group_members m JOIN resources r ON r.resource = m.member_resource
         WHERE m.group_resource = ?1 AND +r.configuration = ?2 ORDER BY m.member_resource",
    )?;
    let mut rows = statement.query(params![group.key, group.configuration])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(())
}

/// Visits the resource with each of these ids, of any type, in the order of `ids`. `None` for an unknown id.
///
/// # Errors
/// The first error of a visit.
pub fn visit_resources_by_id<'i>(
    at: &Snapshot<'_>,
    configuration: i64,
    ids: impl IntoIterator<Item = &'i str>,
    mut visit: impl FnMut(&str, Option<LinkedResource>) -> Result<()>,
) -> Result<()> {
    let mut statement =
        at.prepare(&format!("SELECT {COLUMNS} FROM resources r WHERE r.id = ?1 AND r.configuration = ?2"))?;
    for id in ids {
        let row = statement.query_row(params![id, configuration], read_linked_resource);
        visit(id, row.optional()?)?;
    }
    Ok(())
}

/// Returns at most `limit` members of a group, in the order of their creation.
pub fn list_first_members(at: &Snapshot<'_>, group: &StoredResource, limit: usize) -> Result<Vec<LinkedResource>> {
    at.list_rows(
        &format!(
            "SELECT {COLUMNS} FROM group_members m CROSS JOIN resources r ON r.resource = m.member_resource
             WHERE m.group_resource = ?1 ORDER BY m.member_resource LIMIT ?2"
        ),
        params![group.key, to_sql_limit(limit)],
        read_linked_resource,
    )
}

/// Returns the resource of a configuration with this row number, as groups reference it.
pub fn find_linked_resource(at: &Snapshot<'_>, configuration: i64, key: i64) -> Result<Option<LinkedResource>> {
    at.find_row(
        &format!("SELECT {COLUMNS} FROM resources r WHERE r.resource = ?1 AND r.configuration = ?2"),
        params![key, configuration],
        read_linked_resource,
    )
}

/// Returns the rows of at most `limit` groups of which the resource is a direct member.
pub fn list_first_groups(at: &Snapshot<'_>, member: i64, limit: usize) -> Result<Vec<i64>> {
    at.list_values(
        "SELECT group_resource FROM group_members WHERE member_resource = ?1 ORDER BY group_resource LIMIT ?2",
        params![member, to_sql_limit(limit)],
    )
}

/// Whether the resource is a direct member of more than `count` groups.
pub fn is_in_more_groups(at: &Snapshot<'_>, member: i64, count: usize) -> Result<bool> {
    let mut statement = at.prepare("SELECT 1 FROM group_members WHERE member_resource = ?1 LIMIT 1 OFFSET ?2")?;
    Ok(statement.exists(params![member, to_sql_limit(count)])?)
}

/// Returns the groups that contain the resource, directly or through nested groups, each with whether the membership is
/// direct (RFC 7643 section 4.1.2). The recursion ends for cyclic groups, because each group is visited once. Returns
/// `None` if the resource is a direct member of more than `direct_max` groups.
pub fn list_effective_groups(
    at: &Snapshot<'_>,
    member: &StoredResource,
    direct_max: Option<u32>,
) -> Result<Option<Vec<(LinkedResource, bool)>>> {
    // Most resources are in no group, and an index lookup costs a tenth of the recursive query.
    let mut more = at.prepare("SELECT 1 FROM group_members WHERE member_resource = ?1 LIMIT 1 OFFSET ?2")?;
    if !more.exists(params![member.key, 0])? {
        return Ok(Some(Vec::new()));
    }
    if let Some(max) = direct_max
        && more.exists(params![member.key, max])?
    {
        return Ok(None);
    }
    let groups = at.list_rows(&build_groups_sql(), params![member.key, member.configuration], |row| {
        Ok((read_linked_resource(row)?, row.get(4)?))
    })?;
    Ok(Some(groups))
}

/// CROSS JOIN fixes the join order. Otherwise SQLite scans all resources, because that provides the order of GROUP BY.
fn build_groups_sql() -> String {
    format!(
        "WITH RECURSIVE up (holder, direct) AS (
             SELECT group_resource, 1 FROM group_members WHERE member_resource = ?1
             UNION SELECT m.group_resource, 0 FROM up JOIN group_members m ON m.member_resource = up.holder)
         SELECT {COLUMNS}, max(up.direct) FROM up CROSS JOIN resources r ON r.resource = up.holder
         WHERE +r.configuration = ?2 GROUP BY r.resource"
    )
}

/// Adds a change of the number of memberships to the usage of a configuration. Call it after [`add_member`] and
/// [`remove_member`], once for all changes of a request.
pub fn count_member_changes(tx: &Tx<'_>, configuration: i64, change: i64) -> Result<()> {
    usage::add_usage(tx, configuration, &UsageAmounts::default().with(QuotaKind::Members, change))
}

fn count_removed(tx: &Tx<'_>, configuration: i64, removed: usize) -> Result<()> {
    count_member_changes(tx, configuration, -i64::try_from(removed).unwrap_or(i64::MAX))
}

/// Adds a member to a group. Returns false if it is already a member.
pub fn add_member(tx: &Tx<'_>, group: i64, member: i64) -> Result<bool> {
    Ok(tx.execute(
        "INSERT OR IGNORE INTO group_members (group_resource, member_resource) VALUES (?1, ?2)",
        params![group, member],
    )? == 1)
}

/// Whether a group has this member.
pub fn is_member(at: &Snapshot<'_>, group: i64, member: i64) -> Result<bool> {
    let mut statement = at.prepare("SELECT 1 FROM group_members WHERE group_resource = ?1 AND member_resource = ?2")?;
    Ok(statement.exists([group, member])?)
}

/// Removes a member from a group. Returns false if it is not a member.
pub fn remove_member(tx: &Tx<'_>, group: i64, member: i64) -> Result<bool> {
    Ok(tx.execute(
        "DELETE FROM group_members WHERE group_resource = ?1 AND member_resource = ?2",
        params![group, member],
    )? == 1)
}

/// Removes all members of a group.
pub fn remove_all_members(tx: &Tx<'_>, group: &StoredResource) -> Result<()> {
    let removed = tx.execute("DELETE FROM group_members WHERE group_resource = ?1", params![group.key])?;
    count_removed(tx, group.configuration, removed)
}

/// A group whose version changed because a member left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedGroup {
    /// Row of the group.
    key: i64,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Its new version.
    pub version: i64,
    /// Time of that version.
    pub last_modified: Millis,
}

/// Removes a resource from all groups, and updates the version and member count of each. Returns the groups, in the order
/// of their creation.
pub fn remove_from_all_groups(tx: &Tx<'_>, member: &StoredResource) -> Result<Vec<ChangedGroup>> {
    let mut groups: Vec<ChangedGroup> = tx.list_rows(
        "UPDATE resources SET version = version + 1, last_modified = max(?2, last_modified + 1),
             member_count = member_count - 1
         WHERE resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1)
           AND +configuration = ?3
         RETURNING resource AS key, id, type AS resource_type, version, last_modified",
        params![member.key, tx.now, member.configuration],
        |row| read_columns!(row, ChangedGroup { key, id, resource_type, version, last_modified }),
    )?;
    if !groups.is_empty() {
        let removed = tx.execute("DELETE FROM group_members WHERE member_resource = ?1", params![member.key])?;
        count_removed(tx, member.configuration, removed)?;
    }
    groups.sort_unstable_by_key(|group| group.key);
    Ok(groups)
}

/// Increments the version of every group that has this resource as a member, because its label changed.
pub fn increment_group_versions(tx: &Tx<'_>, member: &StoredResource) -> Result<()> {
    tx.run(
        "UPDATE resources SET version = version + 1, last_modified = max(?2, last_modified + 1)
         WHERE resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1)
           AND +configuration = ?3",
        params![member.key, tx.now, member.configuration],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_user_are_found_without_scanning_resources() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", build_groups_sql())).unwrap();
        let steps: Vec<String> =
            statement.query_map([1, 1], |row| row.get(3)).unwrap().map(|step| step.unwrap()).collect();
        assert!(steps.contains(&"SEARCH r USING INTEGER PRIMARY KEY (rowid=?)".to_owned()), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN r")), "{steps:?}");
    }
}
