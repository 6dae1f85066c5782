//! Who is in which group, as rows.

use rusqlite::params;

use super::resources::Stored;
use super::{Snapshot, Tx};
use crate::error::Result;
use crate::scim::schema::{Text, standard_type};

/// One end of a membership, as the other end shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Row of the resource.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// Resource type name; long lists hold no copies of it.
    pub resource_type: Text,
    /// What is shown for it.
    pub label: Option<String>,
}

const COLUMNS: &str = "r.resource, r.id, r.type, r.label";

fn linked(row: &rusqlite::Row<'_>) -> rusqlite::Result<Linked> {
    let name = row.get_ref(2)?.as_str()?;
    let known = standard_type(name);
    let resource_type = known.map_or_else(|| Text::Owned(name.to_owned()), |of| of.name.clone());
    Ok(Linked { key: row.get(0)?, id: row.get(1)?, resource_type, label: row.get(3)? })
}

/// The members of a group.
pub fn of_group(at: &Snapshot<'_>, group: &Stored) -> Result<Vec<Linked>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM group_members m JOIN resources r ON r.resource = m.member_resource
         WHERE m.group_resource = ?1 AND +r.configuration = ?2 ORDER BY m.member_resource"
    ))?;
    // A list of known length is not grown by doubling, which would leave its halves behind.
    let mut members = Vec::with_capacity(usize::try_from(group.member_count).unwrap_or_default());
    for member in statement.query_map(params![group.key, group.configuration], linked)? {
        members.push(member?);
    }
    Ok(members)
}

/// The groups that a resource is in, and whether directly (RFC 7643 section 4.1.2). A circle of groups ends, because
/// each group counts once.
pub fn groups_of(at: &Snapshot<'_>, member: &Stored) -> Result<Vec<(Linked, bool)>> {
    // Most are in no group, and a look at the index costs a tenth of starting the walk.
    let mut any = at.prepare("SELECT 1 FROM group_members WHERE member_resource = ?1 LIMIT 1")?;
    if !any.exists(params![member.key])? {
        return Ok(Vec::new());
    }
    let mut statement = at.prepare(&groups_of_sql())?;
    let rows = statement.query_map(params![member.key, member.configuration], |row| Ok((linked(row)?, row.get(4)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// CROSS JOIN keeps the order of the tables: left to itself SQLite walks all resources, because they come in the order
/// that GROUP BY wants.
fn groups_of_sql() -> String {
    format!(
        "WITH RECURSIVE up (holder, direct) AS (
             SELECT group_resource, 1 FROM group_members WHERE member_resource = ?1
             UNION SELECT m.group_resource, 0 FROM up JOIN group_members m ON m.member_resource = up.holder)
         SELECT {COLUMNS}, max(up.direct) FROM up CROSS JOIN resources r ON r.resource = up.holder
         WHERE +r.configuration = ?2 GROUP BY r.resource"
    )
}

/// The groups that a resource is a member of itself.
pub fn direct_groups_of(at: &Snapshot<'_>, member: &Stored) -> Result<Vec<Linked>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM group_members m JOIN resources r ON r.resource = m.group_resource
         WHERE m.member_resource = ?1 AND +r.configuration = ?2 ORDER BY m.group_resource"
    ))?;
    let rows = statement.query_map(params![member.key, member.configuration], linked)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a member; false where it is in already.
pub fn add(tx: &Tx<'_>, group: i64, member: i64) -> Result<bool> {
    let mut statement =
        tx.prepare("INSERT OR IGNORE INTO group_members (group_resource, member_resource) VALUES (?1, ?2)")?;
    Ok(statement.execute(params![group, member])? == 1)
}

/// Takes a member out; false where it is not in.
pub fn remove(tx: &Tx<'_>, group: i64, member: i64) -> Result<bool> {
    let mut statement = tx.prepare("DELETE FROM group_members WHERE group_resource = ?1 AND member_resource = ?2")?;
    Ok(statement.execute(params![group, member])? == 1)
}

/// Takes all members out of a group.
pub fn clear(tx: &Tx<'_>, group: i64) -> Result<()> {
    tx.prepare("DELETE FROM group_members WHERE group_resource = ?1")?.execute(params![group])?;
    Ok(())
}

/// Takes a resource out of every group, which changes each of them.
pub fn leave_all(tx: &Tx<'_>, member: &Stored) -> Result<()> {
    let mut groups = tx.prepare(
        "UPDATE resources SET version = version + 1, last_modified = max(?2, last_modified + 1),
             member_count = member_count - 1
         WHERE resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1) AND +configuration = ?3",
    )?;
    groups.execute(params![member.key, tx.now, member.configuration])?;
    tx.prepare("DELETE FROM group_members WHERE member_resource = ?1")?.execute(params![member.key])?;
    Ok(())
}

/// Moves the version of every group that shows this resource as a member: its label has changed.
pub fn relabelled(tx: &Tx<'_>, member: &Stored) -> Result<()> {
    let mut groups = tx.prepare(
        "UPDATE resources SET version = version + 1, last_modified = max(?2, last_modified + 1)
         WHERE resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1) AND +configuration = ?3",
    )?;
    groups.execute(params![member.key, tx.now, member.configuration])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_user_are_found_without_walking_the_resources() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", groups_of_sql())).unwrap();
        let steps: Vec<String> =
            statement.query_map([1, 1], |row| row.get(3)).unwrap().map(|step| step.unwrap()).collect();
        assert!(steps.contains(&"SEARCH r USING INTEGER PRIMARY KEY (rowid=?)".to_owned()), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN r")), "{steps:?}");
    }
}
