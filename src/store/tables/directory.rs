//! Pages of users, groups and members for the management API, in their current or their published state.
//!
//! The published state is the result of all published events: a held resource has its held state instead of its row, a
//! new resource is not included yet, and a deleted one is still included.

pub mod prefix_search;
pub mod user_scan;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::{AccountFilter, AccountRef};
use crate::store::Snapshot;
use crate::store::tables::resources::{self, COLUMNS, ResourceCollection, StoredResource, read_stored_resource};
use crate::store::tables::rows::build_account_condition;

/// The state that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryView {
    /// The current state.
    Current,
    /// The state published to the operator's application.
    Published,
}

/// A configuration whose users and groups are read. It can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySource {
    /// Key of the configuration.
    pub configuration: i64,
    /// Public id.
    pub id: String,
    /// Its account.
    pub account: AccountRef,
    /// Whether it has held changes.
    pub holds: bool,
    /// Time of deletion.
    pub deleted_at: Option<Millis>,
}

const SOURCE_COLUMNS: &str = "c.configuration, c.id, c.account,
     (SELECT a.id FROM accounts a WHERE a.account = c.account), c.holds, c.deleted_at";

fn read_source(row: &Row<'_>) -> rusqlite::Result<DirectorySource> {
    Ok(DirectorySource {
        configuration: row.get(0)?,
        id: row.get(1)?,
        account: AccountRef { key: row.get(2)?, id: row.get(3)? },
        holds: row.get(4)?,
        deleted_at: row.get(5)?,
    })
}

/// Returns at most `limit` configurations with keys from `from` on, of one account or of all, deleted or not.
pub fn list_sources(
    at: &Snapshot<'_>,
    filter: Option<&AccountFilter>,
    from: i64,
    limit: u32,
) -> Result<Vec<DirectorySource>> {
    let (condition, account) = build_account_condition(filter);
    let mut statement = at.prepare(&format!(
        "SELECT {SOURCE_COLUMNS} FROM configurations c WHERE {condition} AND configuration >= ?2 ORDER BY configuration LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![account, from, limit], read_source)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the configuration with this id, deleted or not.
pub fn find_source_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<DirectorySource>> {
    Ok(at
        .prepare(&format!("SELECT {SOURCE_COLUMNS} FROM configurations c WHERE id = ?1"))?
        .query_row([id], read_source)
        .optional()?)
}

/// Returns the configuration with this key, deleted or not.
pub fn find_source_by_key(at: &Snapshot<'_>, configuration: i64) -> Result<Option<DirectorySource>> {
    Ok(at
        .prepare(&format!("SELECT {SOURCE_COLUMNS} FROM configurations c WHERE configuration = ?1"))?
        .query_row([configuration], read_source)
        .optional()?)
}

/// Selects resources of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryFilter {
    /// Only the resource with this id.
    pub id: Option<String>,
    /// Only the user with this `userName`, normalized for comparison.
    pub user_name_key: Option<String>,
    /// Only resources with this `externalId`.
    pub external_id: Option<String>,
    /// Only active or only inactive users.
    pub active: Option<bool>,
    /// Only users with this e-mail address, normalized for comparison.
    pub email_key: Option<String>,
    /// Only groups with this name, normalized for comparison.
    pub display_name_key: Option<String>,
    /// Only groups with this direct member.
    pub member_id: Option<String>,
    /// Only resources changed at this time or later. The result is then ordered by the time of the last change.
    pub updated_since: Option<Millis>,
}

/// A position in the order of a collection. The next page starts after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryPosition {
    /// Time of the last change of the resource, if that is the order. Otherwise 0.
    pub changed: Millis,
    /// Row number of the resource.
    pub row: i64,
    /// Id of the resource, because the row number of a deleted resource can be reused.
    pub id: String,
}

impl DirectoryFilter {
    /// Returns the position of a resource in the order of this filter.
    pub fn position(&self, resource: &StoredResource) -> DirectoryPosition {
        let changed = self.updated_since.map_or(0, |_| resource.last_modified);
        DirectoryPosition { changed, row: resource.key, id: resource.id.clone() }
    }
}

/// Selects a page of a collection.
#[derive(Debug, Clone, Copy)]
pub struct CollectionPage<'q> {
    /// The collection.
    pub collection: ResourceCollection<'q>,
    /// Current or published resources.
    pub view: DirectoryView,
    /// Only resources that match.
    pub filter: &'q DirectoryFilter,
    /// Position after which the page starts.
    pub after: Option<&'q DirectoryPosition>,
    /// Most resources of the page.
    pub limit: usize,
    /// Most bytes of their texts. A page that would be larger ends early. The first resource is always included.
    pub bytes_max: usize,
}

/// Resources of a page.
#[derive(Debug)]
pub struct CollectionRows {
    /// The resources.
    pub rows: Vec<StoredResource>,
    /// Whether more resources follow, because the page was full of bytes.
    pub is_cut: bool,
}

/// Returns the resources of a page.
pub fn list_resources(at: &Snapshot<'_>, page: &CollectionPage<'_>) -> Result<CollectionRows> {
    let mut found = Vec::new();
    let mut is_cut = false;
    for table in get_view_tables(page.view) {
        let (sql, values) = build_page_sql(table, page);
        let mut statement = at.prepare(&sql)?;
        let mut bytes = 0;
        for row in statement.query_map(params_from_iter(values), read_stored_resource)? {
            let row = row?;
            bytes += row.body.len();
            found.push(row);
            // A row beyond the limit, which is removed below. So no row of the other table is skipped.
            if bytes > page.bytes_max {
                is_cut = true;
                break;
            }
        }
    }
    found.sort_by_cached_key(|one| page.filter.position(one));
    found.truncate(page.limit);
    let fitting = count_fitting(found.iter().map(|row| row.body.len()), page.bytes_max);
    is_cut |= fitting < found.len();
    found.truncate(fitting);
    Ok(CollectionRows { rows: found, is_cut })
}

/// Returns how many of the items fit into this number of bytes, at least one.
pub fn count_fitting(lengths: impl Iterator<Item = usize>, bytes_max: usize) -> usize {
    let mut bytes = 0_usize;
    let is_fitting = |(index, length): &(usize, usize)| {
        bytes += length;
        *index == 0 || bytes <= bytes_max
    };
    lengths.enumerate().take_while(is_fitting).count()
}

/// Returns the tables of a view, each with its condition.
fn get_view_tables(view: DirectoryView) -> &'static [&'static str] {
    match view {
        DirectoryView::Current => &["resources r WHERE"],
        DirectoryView::Published => &[
            "resources r WHERE NOT EXISTS (SELECT 1 FROM held_resources h WHERE h.id = r.id) AND",
            "held_resources r WHERE r.body IS NOT NULL AND",
        ],
    }
}

fn build_page_sql(table: &str, page: &CollectionPage<'_>) -> (String, Vec<Value>) {
    let CollectionPage { collection, filter, after, limit, .. } = *page;
    // These filters find few resources by an index of their own.
    let has_own_index = filter.id.is_some() || filter.email_key.is_some() || filter.member_id.is_some();
    let hint = if has_own_index { "+" } else { "" };
    let mut sql = format!("SELECT {COLUMNS} FROM {table} {hint}r.configuration = ? AND {hint}r.type = ?");
    let mut values = vec![Value::from(collection.configuration), Value::from(collection.resource_type.to_owned())];
    let mut add = |condition: &str, value: Vec<Value>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(value);
    };
    if let Some(name) = &filter.user_name_key {
        add("r.user_name_key = ?", vec![name.clone().into()]);
    }
    if let Some(id) = &filter.external_id {
        add("r.external_id = ?", vec![id.clone().into()]);
    }
    if let Some(active) = filter.active {
        add("r.active = ?", vec![active.into()]);
    }
    add_value_filters(page, table.starts_with("held_resources"), &mut add);
    if let Some(since) = filter.updated_since {
        let changed = after.map_or(since, |position| position.changed.max(since));
        add("r.last_modified >= ?", vec![changed.into()]);
    }
    match (after, filter.updated_since) {
        (Some(DirectoryPosition { changed, row, id }), Some(_)) => add(
            "NOT (r.last_modified = ? AND (r.resource < ? OR r.resource = ? AND r.id <= ?))",
            vec![(*changed).into(), (*row).into(), (*row).into(), id.clone().into()],
        ),
        (Some(DirectoryPosition { row, id, .. }), None) => add(
            "r.resource >= ? AND NOT (r.resource = ? AND r.id <= ?)",
            vec![(*row).into(), (*row).into(), id.clone().into()],
        ),
        (None, _) => {}
    }
    let order = if filter.updated_since.is_some() { "r.last_modified, r.resource" } else { "r.resource" };
    values.push(Value::from(i64::try_from(limit).unwrap_or(i64::MAX)));
    (format!("{sql} ORDER BY {order} LIMIT ?"), values)
}

/// Adds the filters on the id, on names of groups, and on values that are in other tables.
fn add_value_filters(page: &CollectionPage<'_>, is_held: bool, add: &mut impl FnMut(&str, Vec<Value>)) {
    let configuration = Value::from(page.collection.configuration);
    let DirectoryFilter { id, email_key, display_name_key, member_id, .. } = page.filter;
    if let Some(id) = id {
        add("r.id = ?", vec![id.clone().into()]);
    }
    match email_key {
        Some(key) if is_held => add(HELD_EMAIL, vec![configuration.clone(), key.clone().into()]),
        Some(key) => add(EMAIL, vec![configuration.clone(), key.clone().into()]),
        None => {}
    }
    if let Some(key) = display_name_key {
        add("r.display_name_key = ?", vec![key.clone().into()]);
    }
    match member_id {
        Some(id) if page.view == DirectoryView::Current => add(CURRENT_GROUPS_OF_MEMBER, vec![id.clone().into()]),
        Some(id) => {
            add(PUBLISHED_GROUPS_OF_MEMBER, vec![id.clone().into(), configuration, id.clone().into()]);
        }
        None => {}
    }
}

const EMAIL: &str = "r.resource IN (SELECT v.resource FROM resource_values v
     WHERE v.configuration = ? AND v.path = 'emails.value' AND v.key = ?)";

const HELD_EMAIL: &str = "r.id IN (SELECT e.id FROM held_emails e WHERE e.configuration = ? AND e.key = ?)";

const CURRENT_GROUPS_OF_MEMBER: &str = "r.resource IN (SELECT e.group_resource FROM resources m
     CROSS JOIN group_members e ON e.member_resource = m.resource WHERE m.id = ?)";

const PUBLISHED_GROUPS_OF_MEMBER: &str = "r.id IN (SELECT g.id FROM resources m
     CROSS JOIN group_members e ON e.member_resource = m.resource CROSS JOIN resources g ON g.resource = e.group_resource
     WHERE m.id = ? AND NOT EXISTS (SELECT 1 FROM held_members k WHERE k.configuration = g.configuration
         AND k.group_id = g.id AND k.member = m.resource AND k.member_id = m.id)
     UNION ALL SELECT k.group_id FROM held_members k INDEXED BY held_members_by_member
     WHERE k.configuration = ? AND k.member_id = ? AND k.was = 1)";

/// Returns the resource of a type with this id, in any configuration, and whether its row was deleted.
pub fn find_resource_by_id(
    at: &Snapshot<'_>,
    view: DirectoryView,
    resource_type: &str,
    id: &str,
) -> Result<Option<(StoredResource, bool)>> {
    if view == DirectoryView::Published {
        let mut statement = at.prepare(&format!(
            "SELECT {COLUMNS}, r.gone, r.body IS NOT NULL FROM held_resources r WHERE r.id = ?1 AND r.type = ?2"
        ))?;
        let image = |row: &Row<'_>| {
            if row.get::<_, bool>(9)? { Ok(Some((read_stored_resource(row)?, row.get(8)?))) } else { Ok(None) }
        };
        if let Some(image) = statement.query_row([id, resource_type], image).optional()? {
            return Ok(image);
        }
    }
    let mut statement = at.prepare(&format!("SELECT {COLUMNS} FROM resources r WHERE r.id = ?1 AND r.type = ?2"))?;
    let row = statement.query_row([id, resource_type], read_stored_resource).optional()?;
    Ok(row.map(|row| (row, false)))
}

/// The last character: appended to a prefix, it is greater than every text with that prefix.
const LAST_CHAR: char = '\u{10ffff}';

/// Returns the resources of a collection whose `userName`, `displayName`, e-mail address or `externalId` starts with a text, at
/// most `limit`: those by `userName` first, each once. `key` is the text normalized for comparison; an `externalId` is compared
/// as it is.
pub fn list_resources_by_prefix(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    (key, text): (&str, &str),
    limit: usize,
) -> Result<Vec<StoredResource>> {
    let rows = prefix_search::list_rows_by_prefix(at, collection, (key, text), limit)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.extend(resources::find_resource_by_key(at, collection.configuration, row)?);
    }
    Ok(found)
}

/// A member of a group in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryMember {
    /// Row number of the resource.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Display name.
    pub label: Option<String>,
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<DirectoryMember> {
    Ok(DirectoryMember { key: row.get(0)?, id: row.get(1)?, resource_type: row.get(2)?, label: row.get(3)? })
}

/// A group whose members are listed.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryGroup<'q> {
    /// Current or published members.
    pub view: DirectoryView,
    /// The row of the group, or its published image.
    pub stored: &'q StoredResource,
    /// Whether only the published image is left. Its row number may then belong to another resource.
    pub is_deleted: bool,
}

/// Returns at most `limit` members of a group after a row number and id.
pub fn list_members(
    at: &Snapshot<'_>,
    group: DirectoryGroup<'_>,
    after: (i64, &str),
    limit: usize,
) -> Result<Vec<DirectoryMember>> {
    let DirectoryGroup { view, stored, is_deleted } = group;
    let mut found = Vec::new();
    let limit_value = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![stored.key, after.0, after.1, stored.configuration, stored.id, limit_value];
    let mut read = |sql: &str| -> Result<()> {
        for row in at.prepare(sql)?.query_map(values, read_member)? {
            found.push(row?);
        }
        Ok(())
    };
    if view == DirectoryView::Current {
        read(CURRENT_MEMBERS)?;
    } else {
        if !is_deleted {
            read(PUBLISHED_MEMBERS)?;
        }
        read(HELD_MEMBERS)?;
    }
    found.sort_by(|one, other| (one.key, &one.id).cmp(&(other.key, &other.id)));
    found.truncate(limit);
    Ok(found)
}

const CURRENT_MEMBERS: &str = "SELECT r.resource, r.id, r.type, r.label
     FROM group_members m JOIN resources r ON r.resource = m.member_resource
     WHERE m.group_resource = ?1 AND m.member_resource >= ?2 AND NOT (m.member_resource = ?2 AND r.id <= ?3)
         AND +r.configuration = ?4 AND ?5 IS NOT NULL
     ORDER BY m.member_resource LIMIT ?6";

const PUBLISHED_MEMBERS: &str = "SELECT r.resource, r.id, r.type, CASE WHEN h.id IS NULL THEN r.label ELSE h.label END
     FROM group_members m JOIN resources r ON r.resource = m.member_resource
     LEFT JOIN held_resources h ON h.id = r.id
     WHERE m.group_resource = ?1 AND m.member_resource >= ?2 AND NOT (m.member_resource = ?2 AND r.id <= ?3)
         AND NOT EXISTS (SELECT 1 FROM held_members k WHERE k.configuration = ?4 AND k.group_id = ?5
                         AND k.member = m.member_resource AND k.member_id = r.id)
     ORDER BY m.member_resource LIMIT ?6";

const HELD_MEMBERS: &str = "SELECT k.member, k.member_id, k.member_type,
         CASE WHEN h.id IS NULL THEN r.label ELSE h.label END
     FROM held_members k LEFT JOIN held_resources h ON h.id = k.member_id LEFT JOIN resources r ON r.id = k.member_id
     WHERE k.configuration = ?4 AND k.group_id = ?5 AND k.was = 1 AND ?1 IS NOT NULL
         AND k.member >= ?2 AND NOT (k.member = ?2 AND k.member_id <= ?3)
     ORDER BY k.member LIMIT ?6";

/// A deleted configuration that still has resources, or tombstones of deleted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedConfiguration {
    /// The configuration.
    pub source: DirectorySource,
    /// Name of the connection.
    pub connection_name: String,
}

/// Returns at most `limit` deleted configurations with keys after `after` that still have resources or tombstones, of one account
/// or of all, except those with a running purge.
pub fn list_leftovers(
    at: &Snapshot<'_>,
    filter: Option<&AccountFilter>,
    after: i64,
    limit: u32,
) -> Result<Vec<DeletedConfiguration>> {
    let (condition, account) = build_account_condition(filter);
    let mut statement = at.prepare(&format!(
        "SELECT {SOURCE_COLUMNS}, connection_name FROM configurations c
         WHERE deleted_at IS NOT NULL AND purge_seq IS NULL AND configuration > ?2 AND {condition}
             AND (holds = 1
                  OR EXISTS (SELECT 1 FROM resource_counts t WHERE t.configuration = c.configuration AND t.total > 0)
                  OR EXISTS (SELECT 1 FROM tombstones d WHERE d.configuration = c.configuration))
         ORDER BY configuration LIMIT ?3"
    ))?;
    let leftover = |row: &Row<'_>| Ok(DeletedConfiguration { source: read_source(row)?, connection_name: row.get(6)? });
    let rows = statement.query_map(params![account, after, limit], leftover)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests;
