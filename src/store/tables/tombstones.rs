//! Rows of `tombstones` and `tombstone_members`: deleted users and groups that can be restored, and their memberships.

use rusqlite::{Row, named_params, params};
use uuid::Uuid;

use super::rows::{read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::named_enum::named_enum;
use crate::store::tables::resources::{ResourceCollection, StoredResource};
use crate::store::{Snapshot, Tx};

/// Length of a stored id.
const ID_BYTES: usize = 16;

named_enum! {
    /// The other end of a stored membership.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MembershipRole {
        /// A group of which the resource was a member.
        Group = "group",
        /// A member of the resource.
        Member = "member",
    }
}

impl MembershipRole {
    /// The role of this end, as the other end sees it.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Group => Self::Member,
            Self::Member => Self::Group,
        }
    }
}

named_enum! {
    /// The state of a tombstone that is written by a deletion.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DeletionState {
        /// The deletion runs in steps.
        Deleting = "deleting",
        /// The resource is deleted.
        Deleted = "deleted",
    }
}

/// The tombstone of a resource that is being deleted.
#[derive(Debug)]
pub struct NewTombstone<'a> {
    /// Resource type name.
    pub resource_type: &'a str,
    /// The resource.
    pub stored: &'a StoredResource,
    /// Whether the deletion is complete.
    pub state: DeletionState,
    /// Id of the request.
    pub request_id: Option<&'a str>,
    /// Id of the token of the request.
    pub token_id: Option<&'a str>,
    /// Normalized name: `userName` of a user, `displayName` of a group.
    pub name_key: Option<&'a str>,
    /// `externalId`.
    pub external_id: Option<&'a str>,
    /// Display name.
    pub label: Option<&'a str>,
    /// Digest of its password.
    pub digest: Option<&'a str>,
}

/// Stores a tombstone. The one that a deletion in steps has begun still has its request afterwards, and the one whose memberships
/// were returning still has those that are left.
pub fn store_tombstone(tx: &Tx<'_>, new: &NewTombstone<'_>) -> Result<()> {
    let NewTombstone { stored, .. } = new;
    tx.run(
        "INSERT INTO tombstones (configuration, type, id, state, deleted_at, request_id, token_id, token_label, version,
             created_at, last_modified, name, name_key, external_id, label, digest, body)
         VALUES (:configuration, :type, :id, :state, :now, :request, :token, (SELECT label FROM tokens WHERE id = :token),
             :version, :created_at, :last_modified, :body ->> iif(:type = 'User', 'userName', 'displayName'), :name_key,
             :external_id, :label, :digest, :body)
         ON CONFLICT (id) DO UPDATE SET
             request_id = CASE state WHEN 'deleting' THEN request_id ELSE excluded.request_id END,
             token_id = CASE state WHEN 'deleting' THEN token_id ELSE excluded.token_id END,
             token_label = CASE state WHEN 'deleting' THEN token_label ELSE excluded.token_label END,
             state = excluded.state, deleted_at = excluded.deleted_at, version = excluded.version,
             last_modified = excluded.last_modified, name = excluded.name, name_key = excluded.name_key,
             external_id = excluded.external_id, label = excluded.label, digest = excluded.digest, body = excluded.body",
        named_params! {
            ":configuration": stored.configuration,
            ":type": new.resource_type,
            ":id": stored.id,
            ":state": new.state.as_str(),
            ":now": tx.now,
            ":request": new.request_id,
            ":token": new.token_id,
            ":version": stored.version,
            ":created_at": stored.created_at,
            ":last_modified": stored.last_modified,
            ":name_key": new.name_key,
            ":external_id": new.external_id,
            ":label": new.label,
            ":digest": new.digest,
            ":body": stored.body,
        },
    )
}

/// Adds memberships to the tombstone of a resource. Does nothing if it has none, or if the resource was restored.
pub fn add_memberships<'i>(
    tx: &Tx<'_>,
    configuration: i64,
    id: &str,
    role: MembershipRole,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<()> {
    let ids = encode_ids(ids);
    if ids.is_empty() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO tombstone_members (tombstone, role, ids)
         SELECT tombstone, ?3, ?4 FROM tombstones WHERE id = ?1 AND configuration = ?2 AND state <> 'restoring'",
        params![id, configuration, role.as_str(), ids],
    )
}

fn encode_ids<'i>(ids: impl IntoIterator<Item = &'i str>) -> Vec<u8> {
    // All ids are UUIDs that the server has created.
    ids.into_iter().filter_map(|id| Uuid::parse_str(id).ok()).flat_map(Uuid::into_bytes).collect()
}

pub(super) fn decode_ids(bytes: &[u8]) -> Vec<String> {
    let (ids, _) = bytes.as_chunks::<ID_BYTES>();
    ids.iter().map(|id| Uuid::from_bytes(*id).to_string()).collect()
}

/// A deleted resource with everything that its restore needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTombstone {
    /// Row of the tombstone.
    pub tombstone: i64,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Its last version.
    pub version: i64,
    /// Time of its creation.
    pub created_at: Millis,
    /// Time of its last version.
    pub last_modified: Millis,
    /// Digest of its password.
    pub digest: Option<String>,
    /// Its stored text.
    pub body: String,
}

const SELECT: &str = "SELECT tombstone, id, type AS resource_type, version, created_at, last_modified, digest, body
     FROM tombstones WHERE state = 'deleted' AND deleted_at >= ?2 AND configuration = ?1";

fn read_tombstone(row: &Row<'_>) -> rusqlite::Result<StoredTombstone> {
    read_columns!(
        row,
        StoredTombstone { tombstone, id, resource_type, version, created_at, last_modified, digest, body }
    )
}

/// Returns the tombstone of a resource that was deleted at `since` or later.
pub fn find_tombstone(
    at: &Snapshot<'_>,
    configuration: i64,
    id: &str,
    since: Millis,
) -> Result<Option<StoredTombstone>> {
    at.find_row(&format!("{SELECT} AND id = ?3"), params![configuration, since, id], read_tombstone)
}

/// Returns the newest tombstone of a type with this normalized name, deleted at `since` or later.
pub fn find_tombstone_by_name(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    name_key: &str,
    since: Millis,
) -> Result<Option<StoredTombstone>> {
    let sql = format!("{SELECT} AND name_key = ?3 AND type = ?4 ORDER BY deleted_at DESC LIMIT 1");
    let parameters = params![collection.configuration, since, name_key, collection.resource_type];
    at.find_row(&sql, parameters, read_tombstone)
}

/// Returns the newest tombstone of a type with this `externalId`, deleted at `since` or later.
pub fn find_tombstone_by_external_id(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    external_id: &str,
    since: Millis,
) -> Result<Option<StoredTombstone>> {
    let sql = format!("{SELECT} AND external_id = ?3 AND type = ?4 ORDER BY deleted_at DESC LIMIT 1");
    let parameters = params![collection.configuration, since, external_id, collection.resource_type];
    at.find_row(&sql, parameters, read_tombstone)
}

/// Returns the id and the time of the last deletion of a resource with this normalized name, this `externalId` or this id.
pub fn find_deletion(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    name_key: &str,
    text: &str,
) -> Result<Option<(String, Millis)>> {
    let of = |condition: &str| {
        format!(
            "SELECT id, deleted_at FROM tombstones
             WHERE {condition} AND configuration = ?1 AND type = ?2 AND state = 'deleted'"
        )
    };
    let [name, external_id, id] = ["name_key = ?3", "external_id = ?4", "id = ?4"].map(of);
    let sql = format!("{name} UNION ALL {external_id} UNION ALL {id} ORDER BY deleted_at DESC LIMIT 1");
    let parameters = params![collection.configuration, collection.resource_type, name_key, text];
    at.find_row(&sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns the number of memberships of a tombstone.
pub fn count_memberships(at: &Snapshot<'_>, tombstone: i64) -> Result<i64> {
    at.read_value("SELECT coalesce(sum(length(ids) / 16), 0) FROM tombstone_members WHERE tombstone = ?1", [tombstone])
}

/// A deleted resource in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedResource {
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Time of the deletion.
    pub deleted_at: Millis,
    /// Id of the request that deleted it.
    pub request_id: Option<String>,
    /// Id of the token of that request.
    pub token_id: Option<String>,
    /// Label of the token at that time.
    pub token_label: Option<String>,
    /// `userName` of a user, `displayName` of a group.
    pub name: Option<String>,
    /// `displayName`.
    pub display_name: Option<String>,
    /// `externalId`.
    pub external_id: Option<String>,
    /// The name, normalized for comparison.
    pub name_key: Option<String>,
}

/// A position in a list: the time of a deletion, and the id.
pub type DeletedPosition = (Millis, String);

/// Selects deleted resources.
#[derive(Debug, Clone, Default)]
pub struct DeletedQuery {
    /// Only of this resource type.
    pub resource_type: Option<String>,
    /// Only deleted at this time or later.
    pub since: Option<Millis>,
    /// Only deleted before this time.
    pub until: Option<Millis>,
    /// Only those after this position: deleted earlier.
    pub after: Option<DeletedPosition>,
}

const LIST: &str = "SELECT id, type AS resource_type, deleted_at, request_id, token_id, token_label, name,
         label AS display_name, external_id, name_key
     FROM tombstones
     WHERE configuration = ?1 AND state = 'deleted' AND (?2 IS NULL OR type = ?2) AND deleted_at >= ?3 AND deleted_at <= ?4
         AND (deleted_at, id) < (?4, ?5)
     ORDER BY deleted_at DESC, id DESC LIMIT ?6";

/// Greater than every id.
const AFTER_ALL_IDS: &str = "~";

/// Returns at most `limit` deleted resources of a configuration, newest deletion first.
pub fn list_deleted(
    at: &Snapshot<'_>,
    configuration: i64,
    query: &DeletedQuery,
    limit: usize,
) -> Result<Vec<DeletedResource>> {
    let until = query.until.map(|until| (until.saturating_sub(1), AFTER_ALL_IDS));
    let after = query.after.as_ref().map(|(time, id)| (*time, id.as_str()));
    let (newest, id) = [until, after].into_iter().flatten().min().unwrap_or((Millis::MAX, AFTER_ALL_IDS));
    let since = query.since.unwrap_or(0);
    let parameters = params![configuration, query.resource_type, since, newest, id, to_sql_limit(limit)];
    at.list_rows(LIST, parameters, |row| {
        read_columns!(
            row,
            DeletedResource {
                id,
                resource_type,
                deleted_at,
                request_id,
                token_id,
                token_label,
                name,
                display_name,
                external_id,
                name_key
            }
        )
    })
}

/// Marks that the memberships of a restored resource are returning.
pub fn begin_restore(tx: &Tx<'_>, tombstone: i64) -> Result<()> {
    tx.run("UPDATE tombstones SET state = 'restoring' WHERE tombstone = ?1", [tombstone])
}

/// Returns the tombstone of a restored resource whose memberships are returning.
pub fn find_restoring(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<i64>> {
    at.find_value(
        "SELECT tombstone FROM tombstones WHERE id = ?1 AND configuration = ?2 AND state = 'restoring'",
        params![id, configuration],
    )
}

/// Some of the memberships of a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipSlice {
    /// Row of the slice.
    pub slice: i64,
    /// The other end of these memberships.
    pub role: MembershipRole,
    /// Ids of the other ends.
    pub ids: Vec<String>,
}

/// Returns the first memberships of a tombstone, and whether there are more.
pub fn find_next_slice(at: &Snapshot<'_>, tombstone: i64) -> Result<Option<(MembershipSlice, bool)>> {
    let found: Vec<(i64, String, Vec<u8>)> = at.list_rows(
        "SELECT slice, role, ids FROM tombstone_members WHERE tombstone = ?1 ORDER BY slice LIMIT 2",
        [tombstone],
        |row| row.try_into(),
    )?;
    let has_more = found.len() > 1;
    let Some((slice, role, ids)) = found.into_iter().next() else { return Ok(None) };
    let role = role
        .parse::<MembershipRole>()
        .map_err(|problem| Error::undecodable(format_args!("tombstone {tombstone}"), problem))?;
    Ok(Some((MembershipSlice { slice, role, ids: decode_ids(&ids) }, has_more)))
}

/// Returns the ids of the groups and members of a deleted resource that can be restored, or `None` if it cannot.
pub fn list_membership_ids(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<Vec<String>>> {
    let found: Option<i64> = at.find_value(
        "SELECT tombstone FROM tombstones WHERE id = ?1 AND configuration = ?2 AND state = 'deleted'",
        params![id, configuration],
    )?;
    let Some(tombstone) = found else { return Ok(None) };
    let slices: Vec<Vec<u8>> = at.list_values("SELECT ids FROM tombstone_members WHERE tombstone = ?1", [tombstone])?;
    Ok(Some(slices.iter().flat_map(|ids| decode_ids(ids)).collect()))
}

/// Deletes some of the memberships of a tombstone.
pub fn delete_slice(tx: &Tx<'_>, slice: i64) -> Result<()> {
    tx.run("DELETE FROM tombstone_members WHERE slice = ?1", [slice])
}

/// Deletes a tombstone with its memberships.
pub fn delete_tombstone(tx: &Tx<'_>, tombstone: i64) -> Result<()> {
    tx.run("DELETE FROM tombstone_members WHERE tombstone = ?1", [tombstone])?;
    tx.run("DELETE FROM tombstones WHERE tombstone = ?1", [tombstone])
}

/// Returns the tombstone of a resource that exists: one that a deletion in steps has begun, or whose memberships are returning.
pub fn find_unfinished(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<i64>> {
    at.find_value(
        "SELECT tombstone FROM tombstones WHERE id = ?1 AND configuration = ?2 AND state <> 'deleted'",
        params![id, configuration],
    )
}

/// Removes the password digests from the tombstones of a configuration.
pub fn forget_digests(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run("UPDATE tombstones SET digest = NULL WHERE configuration = ?1 AND digest IS NOT NULL", [configuration])
}

/// Whether a configuration has tombstones.
pub fn has_tombstones(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    Ok(at.prepare("SELECT 1 FROM tombstones WHERE configuration = ?1 LIMIT 1")?.exists([configuration])?)
}

/// Returns the first configuration with a key after `after` that has tombstones.
pub fn find_next_configuration(at: &Snapshot<'_>, after: i64) -> Result<Option<i64>> {
    at.read_value("SELECT min(configuration) FROM tombstones WHERE configuration > ?1", [after])
}

/// Deletes tombstones of a configuration from before a time, or all, and their memberships, at most `limit` rows together. Returns
/// how many rows were deleted. Tombstones whose memberships are returning stay, unless all are deleted.
pub fn delete_tombstones(tx: &Tx<'_>, configuration: i64, before: Option<Millis>, limit: usize) -> Result<usize> {
    let (before, all) = (before.unwrap_or(Millis::MAX), before.is_none());
    let found: Vec<i64> = tx.list_values(
        "SELECT tombstone FROM tombstones
         WHERE configuration = ?1 AND deleted_at < ?2 AND (?3 OR state <> 'restoring') ORDER BY deleted_at LIMIT ?4",
        params![configuration, before, all, to_sql_limit(limit)],
    )?;
    let mut left = limit;
    for tombstone in found {
        let slices: Vec<i64> = tx.list_values(
            "SELECT slice FROM tombstone_members WHERE tombstone = ?1 LIMIT ?2",
            params![tombstone, to_sql_limit(left)],
        )?;
        slices.iter().try_for_each(|slice| delete_slice(tx, *slice))?;
        left -= slices.len();
        if left == 0 {
            break;
        }
        tx.run("DELETE FROM tombstones WHERE tombstone = ?1", [tombstone])?;
        left -= 1;
    }
    Ok(limit - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stored_in_16_bytes() {
        let ids = ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"];
        let bytes = encode_ids(ids);
        assert_eq!((bytes.len(), decode_ids(&bytes)), (32, ids.map(str::to_owned).to_vec()));
        assert!(encode_ids(["not an id"]).is_empty());
    }

    #[test]
    fn lists_and_look_ups_use_an_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let by_name = format!("{SELECT} AND name_key = ?3 AND type = ?4 ORDER BY deleted_at DESC LIMIT 1");
        let by_external_id = format!("{SELECT} AND external_id = ?3 AND type = ?4 ORDER BY deleted_at DESC LIMIT 1");
        for (sql, index) in [
            (LIST, "tombstones_by_time (configuration=? AND deleted_at>? AND deleted_at<?)"),
            (&by_name, "tombstones_by_name (configuration=? AND name_key=? AND deleted_at>?)"),
            (&by_external_id, "tombstones_by_external_id (configuration=? AND external_id=? AND deleted_at>?)"),
            (&format!("{SELECT} AND id = ?3"), "sqlite_autoindex_tombstones_1 (id=?)"),
        ] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = rusqlite::params_from_iter(std::iter::repeat_n(1, statement.parameter_count()));
            let steps = statement.query_map(parameters, |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].contains(index), "{steps:?}");
        }
    }
}
