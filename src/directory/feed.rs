//! The event feed: what the operator's application may know, in the order of commits.

use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::Event;
use crate::store::events::{self, Wanted};
use crate::store::{Snapshot, Tx, feed_gap};

/// Places in the order that one page looks at, whatever it finds: a consumer that wants little of much still goes on.
pub const LOOKED_AT_MAX: i64 = 10_000;
/// How long events are kept, in milliseconds: 90 days.
pub const KEPT_MS: Millis = 90 * 86_400_000;
/// Events that one step of the retention removes.
pub const REMOVED_PER_STEP: u32 = 1_000;

/// Where a page of the feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest event that is kept.
    Oldest,
    /// Behind this place.
    After(i64),
    /// Behind all there is: tells where the feed stands.
    End,
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// Events, oldest first.
    Found {
        /// The events.
        events: Vec<Event>,
        /// Where the next page begins; never before this one's beginning.
        next_after: i64,
        /// Whether there is more to look at already.
        has_more: bool,
    },
    /// Events behind the place that was asked for have been removed already, or the place is one that a restore undid.
    Expired {
        /// Where the feed stands now.
        end: i64,
    },
}

/// At most `limit` events from a place on.
pub fn page(at: &Snapshot<'_>, wanted: &Wanted, from: From, limit: u32) -> Result<Page> {
    let (removed, end) = events::span(at)?;
    let after = match from {
        From::Oldest => removed,
        From::End => end,
        From::After(after) if after < removed || feed_gap::has_read_what_is_lost(at, after)? => {
            return Ok(Page::Expired { end });
        }
        From::After(after) => after,
    };
    if after >= end {
        return Ok(Page::Found { events: Vec::new(), next_after: after, has_more: false });
    }
    let until = events::end_of_stretch(at, after, LOOKED_AT_MAX)?;
    let events = events::published(at, wanted, after, until, limit)?;
    let is_full = events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_after = events.last().filter(|_| is_full).map_or(until, |event| event.seq);
    Ok(Page::Found { events, next_after, has_more: next_after < end })
}

/// Where the feed ends: moves with every event, whoever wrote it.
pub fn end(at: &Snapshot<'_>) -> Result<i64> {
    Ok(events::span(at)?.1)
}

/// Removes some of the events that were kept long enough; true where there may be more of them.
pub fn remove_expired(tx: &Tx<'_>) -> Result<bool> {
    let removed = events::remove_older(tx, tx.now - KEPT_MS, REMOVED_PER_STEP)?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Happening, Kind};
    use crate::store::{Access, Store, Undo};

    const DAY_MS: Millis = 86_400_000;

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open(folder.path(), Access::Command).unwrap(), folder)
    }

    fn append(store: &Store, account: &'static str, number: usize) {
        let job = move |tx: &Tx<'_>| {
            for _ in 0..number {
                let kind = Kind::Resource("User", Happening::Updated);
                events::append(tx, account, 1, kind, Some("x"), "{}")?;
            }
            Ok(())
        };
        store.write_blocking(Undo::Savepoint, job).unwrap();
    }

    fn read(store: &Store, account: &str, from: From, limit: u32) -> Page {
        let wanted = Wanted { account: Some(account.to_owned()), ..Wanted::default() };
        store.read_inline(|at| page(at, &wanted, from, limit)).unwrap()
    }

    #[track_caller]
    fn check(page: &Page, seqs: &[i64], next: i64, more: bool) {
        let Page::Found { events, next_after, has_more } = page else { panic!("{page:?}") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs);
        assert_eq!((*next_after, *has_more), (next, more));
    }

    #[test]
    fn pages_follow_each_other_to_the_end_and_stay_there() {
        let (store, _folder) = store();
        check(&read(&store, "a", From::Oldest, 2), &[], 0, false);
        append(&store, "a", 3);
        check(&read(&store, "a", From::Oldest, 2), &[1, 2], 2, true);
        check(&read(&store, "a", From::After(2), 2), &[3], 3, false);
        check(&read(&store, "a", From::End, 2), &[], 3, false);
        check(&read(&store, "a", From::After(99), 2), &[], 99, false);
    }

    #[test]
    fn a_consumer_of_little_gets_on_through_much() {
        let (store, _folder) = store();
        append(&store, "loud", usize::try_from(LOOKED_AT_MAX).unwrap() + 5);
        append(&store, "quiet", 1);
        check(&read(&store, "quiet", From::Oldest, 10), &[], LOOKED_AT_MAX, true);
        let last = LOOKED_AT_MAX + 6;
        check(&read(&store, "quiet", From::After(LOOKED_AT_MAX), 10), &[last], last, false);
    }

    #[test]
    fn who_comes_too_late_is_told_so_and_the_newest_event_always_stays() {
        let (store, _folder) = store();
        append(&store, "a", 3);
        let later = |tx: &Tx<'_>, days: i64| events::remove_older(tx, tx.now + days * DAY_MS, 2);
        assert_eq!(store.write_blocking(Undo::Savepoint, move |tx| later(tx, -1)).unwrap(), 0);
        assert_eq!(store.write_blocking(Undo::Savepoint, move |tx| later(tx, 1)).unwrap(), 2);
        assert_eq!(store.write_blocking(Undo::Savepoint, move |tx| later(tx, 1)).unwrap(), 0);
        assert_eq!(read(&store, "a", From::After(1), 10), Page::Expired { end: 3 });
        check(&read(&store, "a", From::After(2), 10), &[3], 3, false);
        check(&read(&store, "a", From::Oldest, 10), &[3], 3, false);
        append(&store, "a", 1);
        check(&read(&store, "a", From::After(3), 10), &[4], 4, false);
    }
}
