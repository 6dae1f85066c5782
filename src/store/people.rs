//! Pages of users, groups and members for the management API: as they are, or as they were published.
//!
//! The published state is what the events told so far: where something is held, its image stands in place of the row,
//! what is new is not there yet, and what is gone still is.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::Snapshot;
use super::resources::{COLUMNS, Collection, Stored, stored};
use crate::clock::Millis;
use crate::error::Result;

/// Which state is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What is true now.
    Current,
    /// What the operator's application has been told.
    Published,
}

/// A configuration whose users and groups are read, deleted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its row.
    pub configuration: i64,
    /// Its public id.
    pub id: String,
    /// Its account.
    pub account: String,
    /// Whether anything of it is held.
    pub holds: bool,
    /// When it was deleted.
    pub deleted_at: Option<Millis>,
}

const SOURCE: &str = "SELECT configuration, id, account_id, holds, deleted_at FROM configurations";

fn source(row: &Row<'_>) -> rusqlite::Result<Source> {
    Ok(Source {
        configuration: row.get(0)?,
        id: row.get(1)?,
        account: row.get(2)?,
        holds: row.get(3)?,
        deleted_at: row.get(4)?,
    })
}

/// At most `limit` configurations from a row on, of one account or of all.
pub fn sources(at: &Snapshot<'_>, account: Option<&str>, from: i64, limit: u32) -> Result<Vec<Source>> {
    let condition = if account.is_some() { "account_id = ?1" } else { "?1 IS NULL" };
    let mut statement =
        at.prepare(&format!("{SOURCE} WHERE {condition} AND configuration >= ?2 ORDER BY configuration LIMIT ?3"))?;
    let rows = statement.query_map(params![account, from, limit], source)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The configuration with that id, deleted or not.
pub fn source_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Source>> {
    Ok(at.prepare(&format!("{SOURCE} WHERE id = ?1"))?.query_row([id], source).optional()?)
}

/// The configuration of that row, deleted or not.
pub fn source_by_key(at: &Snapshot<'_>, configuration: i64) -> Result<Option<Source>> {
    Ok(at.prepare(&format!("{SOURCE} WHERE configuration = ?1"))?.query_row([configuration], source).optional()?)
}

/// What is wanted of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This `userName`, prepared for comparison.
    pub user_name_key: Option<String>,
    /// This `externalId`.
    pub external_id: Option<String>,
    /// Active, or not.
    pub active: Option<bool>,
    /// Changed at that time or later; then the order is that of the last changes.
    pub updated_since: Option<Millis>,
}

/// A place in a collection; what follows comes later in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the resource last changed, where that is the order; else 0.
    pub changed: Millis,
    /// Row of the resource.
    pub row: i64,
    /// Its id: a row number may be given again once its resource is gone.
    pub id: String,
}

impl Filter {
    /// The place of a resource in the order that this filter makes.
    pub fn place(&self, of: &Stored) -> Place {
        let changed = self.updated_since.map_or(0, |_| of.last_modified);
        Place { changed, row: of.key, id: of.id.clone() }
    }
}

/// At most `limit` resources of a collection behind a place.
pub fn page(
    at: &Snapshot<'_>,
    of: Collection<'_>,
    view: View,
    filter: &Filter,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Stored>> {
    let mut found = Vec::new();
    for table in tables(view) {
        let (sql, values) = page_sql(table, of, filter, after, limit);
        let mut statement = at.prepare(&sql)?;
        for row in statement.query_map(params_from_iter(values), stored)? {
            found.push(row?);
        }
    }
    found.sort_by_cached_key(|one| filter.place(one));
    found.truncate(limit);
    Ok(found)
}

/// Tables that make up a view, with what each leaves out.
fn tables(view: View) -> &'static [&'static str] {
    match view {
        View::Current => &["resources r WHERE"],
        View::Published => &[
            "resources r WHERE NOT EXISTS (SELECT 1 FROM held_resources h WHERE h.id = r.id) AND",
            "held_resources r WHERE r.body IS NOT NULL AND",
        ],
    }
}

fn page_sql(
    table: &str,
    of: Collection<'_>,
    filter: &Filter,
    after: Option<&Place>,
    limit: usize,
) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM {table} r.configuration = ? AND r.type = ?");
    let mut values = vec![Value::from(of.configuration), Value::from(of.resource_type.to_owned())];
    let mut also = |condition: &str, value: Vec<Value>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(value);
    };
    if let Some(name) = &filter.user_name_key {
        also("r.user_name_key = ?", vec![name.clone().into()]);
    }
    if let Some(id) = &filter.external_id {
        also("r.external_id = ?", vec![id.clone().into()]);
    }
    if let Some(active) = filter.active {
        also("r.active = ?", vec![active.into()]);
    }
    if let Some(since) = filter.updated_since {
        let changed = after.map_or(since, |place| place.changed.max(since));
        also("r.last_modified >= ?", vec![changed.into()]);
    }
    match (after, filter.updated_since) {
        (Some(Place { changed, row, id }), Some(_)) => also(
            "NOT (r.last_modified = ? AND (r.resource < ? OR r.resource = ? AND r.id <= ?))",
            vec![(*changed).into(), (*row).into(), (*row).into(), id.clone().into()],
        ),
        (Some(Place { row, id, .. }), None) => also(
            "r.resource >= ? AND NOT (r.resource = ? AND r.id <= ?)",
            vec![(*row).into(), (*row).into(), id.clone().into()],
        ),
        (None, _) => {}
    }
    let order = if filter.updated_since.is_some() { "r.last_modified, r.resource" } else { "r.resource" };
    values.push(Value::from(i64::try_from(limit).unwrap_or(i64::MAX)));
    (format!("{sql} ORDER BY {order} LIMIT ?"), values)
}

/// The resource of a type with that id, in whatever configuration, and whether its row is gone.
pub fn by_id(at: &Snapshot<'_>, view: View, resource_type: &str, id: &str) -> Result<Option<(Stored, bool)>> {
    if view == View::Published {
        let mut statement = at.prepare(&format!(
            "SELECT {COLUMNS}, r.gone, r.body IS NOT NULL FROM held_resources r WHERE r.id = ?1 AND r.type = ?2"
        ))?;
        let image = |row: &Row<'_>| {
            if row.get::<_, bool>(9)? { Ok(Some((stored(row)?, row.get(8)?))) } else { Ok(None) }
        };
        if let Some(image) = statement.query_row([id, resource_type], image).optional()? {
            return Ok(image);
        }
    }
    let mut statement = at.prepare(&format!("SELECT {COLUMNS} FROM resources r WHERE r.id = ?1 AND r.type = ?2"))?;
    let row = statement.query_row([id, resource_type], stored).optional()?;
    Ok(row.map(|row| (row, false)))
}

/// Greater than every text that begins like another one.
const LAST: char = '\u{10ffff}';

/// At most `limit` resources of a collection whose `userName`, and as many whose `displayName`, begins with a text that is
/// prepared for comparison; in the order of those names.
pub fn beginning_with(at: &Snapshot<'_>, of: Collection<'_>, key: &str, limit: usize) -> Result<Vec<Stored>> {
    let end = format!("{key}{LAST}");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for column in NAMES {
        let mut statement = at.prepare(&beginning_sql(column))?;
        let values = params![of.configuration, of.resource_type, key, end, limit];
        for row in statement.query_map(values, stored)? {
            found.push(row?);
        }
    }
    Ok(found)
}

const NAMES: [&str; 2] = ["user_name_key", "display_name_key"];

fn beginning_sql(column: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM resources r
         WHERE r.configuration = ?1 AND r.type = ?2 AND r.{column} >= ?3 AND r.{column} < ?4
         ORDER BY r.{column} LIMIT ?5"
    )
}

/// A member of a group, as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Row of the resource.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// What is shown for it.
    pub label: Option<String>,
}

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member { key: row.get(0)?, id: row.get(1)?, resource_type: row.get(2)?, label: row.get(3)? })
}

/// At most `limit` members of a group behind a row and id. `gone` tells that only the group's image is left: then its
/// row number may be another's.
pub fn members(
    at: &Snapshot<'_>,
    view: View,
    group: &Stored,
    gone: bool,
    after: (i64, &str),
    limit: usize,
) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    let limit_value = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![group.key, after.0, after.1, group.configuration, group.id, limit_value];
    let mut read = |sql: &str| -> Result<()> {
        for row in at.prepare(sql)?.query_map(values, member)? {
            found.push(row?);
        }
        Ok(())
    };
    if view == View::Current {
        read(CURRENT_MEMBERS)?;
    } else {
        if !gone {
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

/// What a deleted configuration has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The configuration.
    pub source: Source,
    /// Its name.
    pub connection_name: String,
}

/// At most `limit` configurations behind a row that were deleted and still have something, of one account or of all. One
/// that is being purged is not among them.
pub fn leftovers(at: &Snapshot<'_>, account: Option<&str>, after: i64, limit: u32) -> Result<Vec<Leftover>> {
    let mut statement = at.prepare(
        "SELECT configuration, id, account_id, holds, deleted_at, connection_name FROM configurations c
         WHERE deleted_at IS NOT NULL AND purge_seq IS NULL AND configuration > ?2
             AND (?1 IS NULL OR account_id = ?1)
             AND (holds = 1 OR EXISTS (SELECT 1 FROM resource_counts t
                                       WHERE t.configuration = c.configuration AND t.total > 0))
         ORDER BY configuration LIMIT ?3",
    )?;
    let leftover = |row: &Row<'_>| Ok(Leftover { source: source(row)?, connection_name: row.get(5)? });
    let rows = statement.query_map(params![account, after, limit], leftover)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of a page of users behind a place.
    fn plan(table: &str, filter: &Filter) -> Vec<String> {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        let of = Collection { configuration: 1, resource_type: "User" };
        let place = Place { changed: 1, row: 1, id: "x".to_owned() };
        let (sql, values) = page_sql(table, of, filter, Some(&place), 10);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        steps.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn pages_follow_an_index_and_sort_nothing() {
        let filters = [
            (Filter::default(), "resources_in_order (configuration=? AND type=? AND rowid>?)"),
            (
                Filter { active: Some(true), ..Filter::default() },
                "resources_by_active (configuration=? AND type=? AND active=?",
            ),
            (
                Filter { external_id: Some("x".into()), ..Filter::default() },
                "resources_by_external_id (configuration=? AND type=? AND external_id=?",
            ),
            (
                Filter { user_name_key: Some("x".into()), ..Filter::default() },
                "resources_by_user_name (configuration=? AND type=? AND user_name_key=?",
            ),
            (
                Filter { updated_since: Some(1), ..Filter::default() },
                "resources_by_last_modified (configuration=? AND type=? AND last_modified>?",
            ),
        ];
        for (filter, index) in filters {
            for table in [tables(View::Current)[0], tables(View::Published)[0]] {
                let steps = plan(table, &filter);
                assert!(steps[0].contains(index), "{filter:?}: {steps:?}");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{filter:?}: {steps:?}");
            }
        }
    }

    #[test]
    fn names_that_begin_alike_are_found_by_their_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        for (column, index) in NAMES.iter().zip(["resources_by_user_name", "resources_by_display_name"]) {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", beginning_sql(column))).unwrap();
            let steps = statement.query_map(params![1, "User", "a", "b", 1], |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].contains(index), "{steps:?}");
        }
    }

    #[test]
    fn held_images_are_found_in_order() {
        let steps = plan(tables(View::Published)[1], &Filter::default());
        assert!(steps[0].contains("held_resources_in_order (configuration=? AND type=? AND resource>?)"), "{steps:?}");
    }
}
