//! Users and groups of configurations that were deleted: what is left, and its removal.

use super::configurations::{self, Content};
use crate::error::{Error, Result};
use crate::model::actor::By;
use crate::model::event::{Happening, Kind};
use crate::store::people::{self, Leftover};
use crate::store::purge::{self, Leaving, Purging};
use crate::store::{Snapshot, Tx, configurations as rows, counts, events};

/// Rows that the call which purges removes itself.
pub(super) const AT_ONCE_MAX: usize = 2_000;
/// Rows that one later step removes, so that other writes never wait long.
pub const PER_STEP: usize = 1_000;
/// Events that one step redacts or passes over.
const REDACTED_PER_STEP: i64 = 5_000;

/// What a deleted configuration has left, by type.
pub type Left = (Leftover, Vec<(String, i64)>);

/// At most `limit` deleted configurations with what they have left, behind a row, of one account or of all.
pub fn list(at: &Snapshot<'_>, account: Option<&str>, after: i64, limit: u32) -> Result<Vec<Left>> {
    let found = people::leftovers(at, account, after, limit)?;
    found.into_iter().map(|left| Ok((left.clone(), counts::all(at, left.source.configuration)?))).collect()
}

/// Removes what a deleted configuration has left. What does not go at once goes in steps of [`step`].
///
/// Errors: `NotFound` where there is no such configuration, it is not deleted, or nothing is left of it.
pub fn purge(tx: &Tx<'_>, by: &By, configuration_id: &str) -> Result<()> {
    let live = rows::by_id(tx, configuration_id)?;
    if live.is_some() {
        return Err(Error::NotFound(format!("{configuration_id} is not deleted: it has no leftovers")));
    }
    configurations::delete(tx, by, configuration_id, Content::Purge).map(drop)
}

/// The next configuration that is being emptied, if there is one.
pub fn next(at: &Snapshot<'_>) -> Result<Option<Purging>> {
    purge::next(at)
}

/// Removes at most `limit` rows of a configuration that is being emptied, tells which users and groups are gone, and
/// takes what is said about people out of its events.
pub fn step(tx: &Tx<'_>, purging: &Purging, limit: usize) -> Result<()> {
    purge::overwriting(tx, || {
        let mut left = limit;
        left = left.saturating_sub(purge::remove_values(tx, purging.configuration, left)?);
        while left > 0 {
            let leaving = purge::remaining(tx, purging.configuration, left)?;
            if leaving.is_empty() {
                purge::remove_rest(tx, purging.configuration)?;
                return redact(tx, purging);
            }
            for one in &leaving {
                remove(tx, purging, one)?;
            }
            left = left.saturating_sub(leaving.len());
        }
        Ok(())
    })
}

/// Ids only: the event outlives the people it is about. What nobody outside knew is not told.
fn remove(tx: &Tx<'_>, purging: &Purging, leaving: &Leaving) -> Result<()> {
    purge::remove(tx, purging.configuration, leaving)?;
    let kind = Kind::Resource(&leaving.resource_type, Happening::Deleted);
    let append = if leaving.is_known { events::append } else { events::append_held };
    append(tx, &purging.account, purging.configuration, kind, Some(&leaving.id), events::PURGED).map(drop)
}

fn redact(tx: &Tx<'_>, purging: &Purging) -> Result<()> {
    let (removed, end) = events::span(tx)?;
    let from = purging.redacted.max(removed);
    let until = events::end_of_stretch(tx, from, REDACTED_PER_STEP)?;
    events::redact(tx, purging.configuration, from, until)?;
    purge::set_redacted(tx, purging.configuration, Some(until).filter(|until| *until < end))
}
