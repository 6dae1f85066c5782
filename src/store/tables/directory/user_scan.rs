//! The users of one configuration in the order of an index, for lists over many configurations: only what decides their order
//! and their state. The document is read for those that a page has.

use std::ops::ControlFlow;

use rusqlite::{Params, Row, params};

use crate::clock::Millis;
use crate::error::Result;
use crate::store::Snapshot;

/// A user as a scan returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedUser {
    /// Row number of the resource.
    pub row: i64,
    /// `userName`, normalized for comparison.
    pub name: String,
    /// Time of the last change.
    pub changed: Millis,
    /// Whether `active` is true.
    pub is_active: bool,
}

pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<ScannedUser> {
    Ok(ScannedUser { row: row.get(0)?, name: row.get(1)?, changed: row.get(2)?, is_active: row.get(3)? })
}

/// Builds the statement of a scan with this condition and order.
macro_rules! scan_sql {
    ($rest:literal) => {
        concat!(
            "SELECT r.resource, r.user_name_key, r.last_modified, r.active IS 1 FROM resources r
             WHERE r.configuration = ?1 AND r.type = 'User' AND ",
            $rest
        )
    };
}

pub(super) const BY_NAME_SQL: &str = scan_sql!("r.user_name_key >= ?2 ORDER BY r.user_name_key");
pub(super) const BY_CHANGE_SQL: &str =
    scan_sql!("(r.last_modified, r.resource) < (?2, ?3) ORDER BY r.last_modified DESC, r.resource DESC");
pub(super) const BY_STATE_SQL: &str = scan_sql!("r.active IS ?2");

/// Visits the users in the order of `userName`, from `from` on, which is normalized for comparison. A visit ends the scan with
/// `Break`.
pub fn scan_users_by_name(
    at: &Snapshot<'_>,
    configuration: i64,
    from: &str,
    visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<()> {
    visit_rows(at, BY_NAME_SQL, params![configuration, from], visit).map(|_| ())
}

/// Visits the users, the last changed first, after a time and row number. A visit ends the scan with `Break`.
pub fn scan_users_by_change(
    at: &Snapshot<'_>,
    configuration: i64,
    (changed, row): (Millis, i64),
    visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<()> {
    visit_rows(at, BY_CHANGE_SQL, params![configuration, changed, row], visit).map(|_| ())
}

/// Visits the users that are active, or those that are not, in any order. A visit ends the scan with `Break`.
pub fn scan_users_by_state(
    at: &Snapshot<'_>,
    configuration: i64,
    is_active: bool,
    mut visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<()> {
    // A user without `active` is not active.
    let states: &[Option<bool>] = if is_active { &[Some(true)] } else { &[Some(false), None] };
    for state in states {
        if visit_rows(at, BY_STATE_SQL, params![configuration, state], &mut visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Returns whether a visit has ended the scan.
fn visit_rows(
    at: &Snapshot<'_>,
    sql: &str,
    parameters: impl Params,
    mut visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut statement = at.prepare(sql)?;
    for row in statement.query_map(parameters, read_user)? {
        if visit(row?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
