//! Rows of `held_resources` and `held_members`: the last published state of resources and memberships that changed
//! since their configuration was paused. Only the first change writes a row; later changes leave it unchanged.

use rusqlite::{Row, params};

use super::rows::{read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::AccountState;
use crate::scim::index::IndexKeys;
use crate::store::tables::holds::HoldFlags;
use crate::store::tables::membership_events;
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// The state of a configuration that decides whether its changes are published, held or discarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicationGate {
    /// Whether changes may be published to the operator's application.
    pub sync: bool,
    /// Whether earlier changes are still held.
    pub holds: bool,
    /// Whether the configuration is deleted.
    pub deleted: bool,
    /// Whether a purge of the configuration is running.
    pub purging: bool,
    /// Whether changes wait for the decision of an admin.
    pub held: bool,
    /// Whether removals are counted.
    pub flags: HoldFlags,
    /// Where its account is while it moves to another instance.
    pub account_state: AccountState,
}

/// Returns the gate of a configuration, or `None` if the configuration does not exist.
pub fn load_gate(at: &Snapshot<'_>, configuration: i64) -> Result<Option<PublicationGate>> {
    at.find_row(
        "SELECT sync, holds, deleted_at IS NOT NULL AS deleted, purge_seq IS NOT NULL AS purging, held,
             hold_flags AS flags, (SELECT a.state FROM accounts a WHERE a.account = c.account) AS account_state
         FROM configurations c WHERE configuration = ?1",
        [configuration],
        |row| read_columns!(row, PublicationGate { sync, holds, deleted, purging, held, flags, account_state }),
    )
}

/// Sets whether the configuration has held changes.
pub fn set_has_held_changes(tx: &Tx<'_>, configuration: i64, holds: bool) -> Result<()> {
    tx.run("UPDATE configurations SET holds = ?2 WHERE configuration = ?1", params![configuration, holds])
}

/// Holds a resource that was just created: it has no published state.
pub fn hold_new_resource(tx: &Tx<'_>, resource_type: &str, created: &StoredResource) -> Result<()> {
    tx.run(
        "INSERT OR IGNORE INTO held_resources (configuration, type, id, resource) VALUES (?1, ?2, ?3, ?4)",
        params![created.configuration, resource_type, created.id, created.key],
    )
}

/// Holds a resource that was just restored. If its deletion is held, it is published as if it had not happened: the held state and
/// the held memberships get the new row number.
pub fn hold_restored_resource(tx: &Tx<'_>, resource_type: &str, restored: &StoredResource) -> Result<()> {
    let is_held = tx.execute(
        "UPDATE held_resources SET gone = 0, resource = ?3, deleted_version = NULL, deleted_modified = NULL
         WHERE id = ?1 AND configuration = ?2",
        params![restored.id, restored.configuration, restored.key],
    )?;
    if is_held == 0 {
        // The deletion was published. Memberships that ended with it can wait for a later step.
        membership_events::delete_held_memberships(tx, restored)?;
        tx.run(
            "DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2",
            params![restored.configuration, restored.id],
        )?;
        return hold_new_resource(tx, resource_type, restored);
    }
    // Without the hint SQLite uses the primary key, of which only the configuration is given here.
    tx.run(
        "UPDATE held_members INDEXED BY held_members_by_member SET member = ?3 WHERE configuration = ?2 AND member_id = ?1",
        params![restored.id, restored.configuration, restored.key],
    )
}

/// Holds the previous state of a resource: `before` and its keys were read before the change, the row is written after
/// it.
pub fn hold_previous_state(tx: &Tx<'_>, resource_type: &str, before: &StoredResource, keys: &IndexKeys) -> Result<()> {
    let inserted = tx.execute(
        "INSERT OR IGNORE INTO held_resources (configuration, type, id, resource, version, created_at, last_modified,
             active, user_name_key, external_id, label, member_count, body, display_name_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            before.configuration,
            resource_type,
            before.id,
            before.key,
            before.version,
            before.created_at,
            before.last_modified,
            keys.active,
            keys.user_name,
            keys.external_id,
            keys.label,
            before.member_count,
            before.body,
            keys.display_name
        ],
    )?;
    if inserted > 0 { insert_emails(tx, &before.id) } else { Ok(()) }
}

/// Adds the e-mail addresses of a held resource.
fn insert_emails(tx: &Tx<'_>, id: &str) -> Result<()> {
    let sql = format!(
        "INSERT OR IGNORE INTO held_emails (configuration, key, id)
         SELECT configuration, key, ?1 FROM held_resources CROSS JOIN ({SELECT_EMAIL_KEYS}) WHERE id = ?1"
    );
    tx.run(&sql, [id])
}

/// The e-mail addresses in the body of a held resource, normalized for comparison.
const SELECT_EMAIL_KEYS: &str = "SELECT key FROM
         (SELECT scim_key(CASE e.type WHEN 'object' THEN e.value ->> 'value' END) AS key
          FROM held_resources h CROSS JOIN json_each(h.body, '$.emails') e WHERE h.id = ?1)
     WHERE key IS NOT NULL";

/// Deletes the e-mail addresses of a held resource.
pub fn delete_held_emails(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run(&build_email_deletion_sql(), [id])
}

/// Deletes the held state of a resource of any configuration.
pub fn delete_held_resource(tx: &Tx<'_>, id: &str) -> Result<()> {
    delete_held_emails(tx, id)?;
    tx.run("DELETE FROM held_resources WHERE id = ?1", [id])
}

fn build_email_deletion_sql() -> String {
    format!(
        "DELETE FROM held_emails WHERE configuration = (SELECT configuration FROM held_resources WHERE id = ?1)
             AND key IN ({SELECT_EMAIL_KEYS}) AND id = ?1"
    )
}

/// Returns the number of e-mail addresses of held resources.
#[cfg(test)]
pub fn count_emails(at: &Snapshot<'_>) -> Result<i64> {
    at.read_value("SELECT count(*) FROM held_emails", [])
}

/// Records that a password of a held resource was set.
pub fn mark_password_set(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE held_resources SET password_set = 1 WHERE id = ?1", [id])
}

/// Copies the current rows of `resources`, before they change, into `held_resources`.
const INSERT_CURRENT_ROW: &str =
    "INSERT OR IGNORE INTO held_resources (configuration, type, id, resource, version, created_at,
         last_modified, active, user_name_key, external_id, label, member_count, body, display_name_key)
     SELECT r.configuration, r.type, r.id, r.resource, r.version, r.created_at, r.last_modified, r.active,
         r.user_name_key, r.external_id, r.label, r.member_count, r.body, r.display_name_key FROM resources r";

/// Holds a resource whose row has not changed yet.
pub fn hold_current_row(tx: &Tx<'_>, stored: &StoredResource) -> Result<()> {
    let inserted = tx.execute(
        &format!("{INSERT_CURRENT_ROW} WHERE r.resource = ?1 AND r.configuration = ?2"),
        [stored.key, stored.configuration],
    )?;
    if inserted > 0 { insert_emails(tx, &stored.id) } else { Ok(()) }
}

/// Holds every group that contains the resource, before the group versions change. Groups have no e-mail addresses.
pub fn hold_member_groups(tx: &Tx<'_>, member: &StoredResource) -> Result<()> {
    tx.run(
        &format!(
        "{INSERT_CURRENT_ROW} WHERE r.resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1)
             AND +r.configuration = ?2"
    ),
        [member.key, member.configuration],
    )
}

/// The member of a membership.
#[derive(Debug, Clone, Copy)]
pub struct HeldMemberRef<'a> {
    /// Row of the resource.
    pub key: i64,
    /// Public id.
    pub id: &'a str,
    /// Resource type name.
    pub resource_type: &'a str,
}

/// Holds a membership that changes. `was` is whether it existed before.
pub fn hold_membership(
    tx: &Tx<'_>,
    configuration: i64,
    group: &str,
    member: HeldMemberRef<'_>,
    was: bool,
) -> Result<()> {
    tx.run(
        "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![configuration, group, member.key, member.id, member.resource_type, was],
    )
}

/// Holds all memberships of a resource that will be deleted: as a member of groups, and as a group with members.
pub fn hold_all_memberships(tx: &Tx<'_>, stored: &StoredResource) -> Result<()> {
    tx.run(
        "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
         SELECT m.configuration, g.id, m.resource, m.id, m.type, 1 FROM resources m, group_members e
         JOIN resources g ON g.resource = e.group_resource
         WHERE m.resource = ?1 AND m.configuration = ?2 AND e.member_resource = m.resource",
        [stored.key, stored.configuration],
    )?;
    if stored.member_count > 0 {
        tx.run(
            "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
             SELECT g.configuration, g.id, m.resource, m.id, m.type, 1 FROM resources g, group_members e
             JOIN resources m ON m.resource = e.member_resource
             WHERE g.resource = ?1 AND g.configuration = ?2 AND e.group_resource = g.resource",
            [stored.key, stored.configuration],
        )?;
    }
    Ok(())
}

/// Marks a resource as deleted. Call it after its memberships are held and before its row is deleted. A resource or
/// membership that was never published leaves no row.
pub fn mark_resource_deleted(tx: &Tx<'_>, stored: &StoredResource) -> Result<()> {
    let unpublished = tx.execute(
        "DELETE FROM held_resources WHERE id = ?1 AND configuration = ?2 AND body IS NULL",
        params![stored.id, stored.configuration],
    )?;
    if unpublished == 0 {
        hold_current_row(tx, stored)?;
        tx.run(
            "UPDATE held_resources SET gone = 1, deleted_version = ?3, deleted_modified = ?4
             WHERE id = ?1 AND configuration = ?2",
            params![stored.id, stored.configuration, stored.version, stored.last_modified],
        )?;
    }
    tx.run(
        "DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2 AND was = 0",
        params![stored.configuration, stored.id],
    )?;
    // Without the hint SQLite uses the primary key, of which only the configuration is given here.
    tx.run(
        "DELETE FROM held_members INDEXED BY held_members_by_member
         WHERE configuration = ?1 AND member_id = ?2 AND was = 0",
        params![stored.configuration, stored.id],
    )
}

/// A held resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldResource {
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Its published JSON text, or `None` if it was never published.
    pub before: Option<String>,
    /// Its current JSON text, or `None` if it is deleted.
    pub now: Option<String>,
    /// Its current version, or the last one if it is deleted.
    pub version: i64,
    /// Time of that version.
    pub last_modified: Millis,
    /// Whether a password was set since.
    pub sets_password: bool,
}

fn read_held_resource(row: &Row<'_>) -> rusqlite::Result<HeldResource> {
    read_columns!(
        row,
        HeldResource { id, resource_type: "type", before, now, version, last_modified, sets_password: "password_set" }
    )
}

/// Returns at most `limit` held resources that are deleted, groups before users.
pub fn list_deleted_resources(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<HeldResource>> {
    at.list_rows(
        "SELECT id, type, body AS before, NULL AS now, coalesce(deleted_version, version, 0) AS version,
             coalesce(deleted_modified, last_modified, 0) AS last_modified, password_set
         FROM held_resources WHERE configuration = ?1 AND gone = 1 ORDER BY type LIMIT ?2",
        params![configuration, to_sql_limit(limit)],
        read_held_resource,
    )
}

/// Returns at most `limit` held resources of a type, in the order of creation.
pub fn list_changed_resources(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &str,
    limit: usize,
) -> Result<Vec<HeldResource>> {
    at.list_rows(
        "SELECT h.id, h.type, h.body AS before, r.body AS now,
             coalesce(r.version, h.deleted_version, h.version, 0) AS version,
             coalesce(r.last_modified, h.deleted_modified, h.last_modified, 0) AS last_modified, h.password_set
         FROM held_resources h LEFT JOIN resources r ON r.id = h.id
         WHERE h.configuration = ?1 AND h.type = ?2 ORDER BY h.resource LIMIT ?3",
        params![configuration, resource_type, to_sql_limit(limit)],
        read_held_resource,
    )
}

/// A held resource with its row number, and whether it is deleted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedResource {
    /// The resource.
    pub held: HeldResource,
    /// Row number.
    pub resource: i64,
    /// Whether it is deleted.
    pub is_deleted: bool,
}

/// Returns at most `limit` held resources in the order of type and row number, after these.
pub fn list_resources_after(
    at: &Snapshot<'_>,
    configuration: i64,
    (resource_type, resource): (&str, i64),
    limit: usize,
) -> Result<Vec<ChangedResource>> {
    at.list_rows(
        "SELECT h.id, h.type, h.body AS before, r.body AS now, coalesce(r.version, h.version, 0) AS version,
             coalesce(r.last_modified, h.last_modified, 0) AS last_modified, h.password_set, h.resource, h.gone
         FROM held_resources h LEFT JOIN resources r ON r.id = h.id
         WHERE h.configuration = ?1 AND (h.type, h.resource) > (?2, ?3) ORDER BY h.type, h.resource LIMIT ?4",
        params![configuration, resource_type, resource, to_sql_limit(limit)],
        |row| {
            let held = read_held_resource(row)?;
            read_columns!(row, ChangedResource { resource, is_deleted: "gone"; held: held })
        },
    )
}

/// Returns at most `limit` held memberships in the order of group and member, after these.
pub fn list_held_members_after(
    at: &Snapshot<'_>,
    configuration: i64,
    (group, member): (&str, i64),
    limit: usize,
) -> Result<Vec<HeldMember>> {
    at.list_rows(
        &format!(
            "{} WHERE h.configuration = ?1 AND (h.group_id, h.member) > (?2, ?3) ORDER BY h.group_id, h.member LIMIT ?4",
            build_held_member_sql("held_members h")
        ),
        params![configuration, group, member, to_sql_limit(limit)],
        read_held_member,
    )
}

/// Returns the resource types that have held resources.
pub fn list_held_types(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<String>> {
    at.list_values("SELECT DISTINCT type FROM held_resources WHERE configuration = ?1", [configuration])
}

/// A held membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMember {
    /// Id of the group.
    pub group: String,
    /// Resource type name of the group, or `None` if its deletion was already published.
    pub group_type: Option<String>,
    /// Version of the group: the current one, or the published one if the group is deleted.
    pub group_version: i64,
    /// Time of that version.
    pub group_last_modified: Millis,
    /// Row of the member.
    pub member: i64,
    /// Id of the member.
    pub member_id: String,
    /// Resource type name of the member.
    pub member_type: String,
    /// Whether the membership is published.
    pub was_member: bool,
    /// Whether the membership exists now.
    pub is_member: bool,
}

fn read_held_member(row: &Row<'_>) -> rusqlite::Result<HeldMember> {
    read_columns!(
        row,
        HeldMember {
            group: "group_id",
            group_type,
            group_version,
            group_last_modified,
            member,
            member_id,
            member_type,
            was_member: "was",
            is_member
        }
    )
}

/// A row number can be reused for another resource, so the id must match too.
fn build_held_member_sql(table: &str) -> String {
    format!(
        "SELECT h.group_id, coalesce(g.type, k.type) AS group_type, coalesce(g.version, k.version, 0) AS group_version,
             coalesce(g.last_modified, k.last_modified, 0) AS group_last_modified, h.member, h.member_id, h.member_type, h.was,
             EXISTS (SELECT 1 FROM group_members e JOIN resources m ON m.resource = e.member_resource
                     WHERE e.group_resource = g.resource AND e.member_resource = h.member AND m.id = h.member_id)
                 AS is_member
         FROM {table} LEFT JOIN resources g ON g.id = h.group_id LEFT JOIN held_resources k ON k.id = h.group_id"
    )
}

/// Returns at most `limit` held memberships, ordered by group.
pub fn list_held_members(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<HeldMember>> {
    at.list_rows(
        &format!(
            "{} WHERE h.configuration = ?1 ORDER BY h.group_id, h.member LIMIT ?2",
            build_held_member_sql("held_members h")
        ),
        params![configuration, to_sql_limit(limit)],
        read_held_member,
    )
}

/// Returns the held memberships of one member.
pub fn list_memberships_of_member(at: &Snapshot<'_>, configuration: i64, member: &str) -> Result<Vec<HeldMember>> {
    let select = build_held_member_sql("held_members h INDEXED BY held_members_by_member");
    at.list_rows(
        &format!("{select} WHERE h.configuration = ?1 AND h.member_id = ?2"),
        params![configuration, member],
        read_held_member,
    )
}

/// Deletes the held state of a membership, after it was published.
pub fn release_membership(tx: &Tx<'_>, configuration: i64, membership: &HeldMember) -> Result<()> {
    tx.run(
        "DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2 AND member = ?3 AND member_id = ?4",
        params![configuration, membership.group, membership.member, membership.member_id],
    )
}

/// Returns the key and the account of a configuration whose held changes may now be published, if there is one.
pub fn find_next_catch_up(at: &Snapshot<'_>, after: i64) -> Result<Option<(i64, String)>> {
    at.find_row(
        "SELECT configuration, (SELECT a.id FROM accounts a WHERE a.account = c.account) FROM configurations c
         WHERE holds = 1 AND sync = 1 AND held = 0 AND purge_seq IS NULL
         ORDER BY configuration <= ?1, configuration LIMIT 1",
        [after],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_e_mail_addresses_of_a_resource_are_deleted_by_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        crate::store::filter_sql::register_functions(&connection).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", build_email_deletion_sql());
        let mut statement = connection.prepare(&sql).unwrap();
        let steps = statement.query_map(["x"], |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        let index = "SEARCH held_emails USING PRIMARY KEY (configuration=? AND key=? AND id=?)";
        assert_eq!(steps[0], index, "{steps:?}");
    }
}
