//! The event feed: published events in commit order, for the operator's application.

use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::Event;
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::tables::events::{self, EventsLimit};
pub use crate::store::tables::events::{EventsQuery, find_newest_time as find_newest_event_time};
use crate::store::tables::feed_gap;
use crate::store::{Snapshot, Tx};

/// Maximum number of sequence positions that one page scans. A consumer with a narrow filter still makes progress.
pub const SCANNED_MAX: i64 = 10_000;
/// Retention of events in milliseconds: 90 days.
pub const RETENTION_MS: Millis = 90 * 86_400_000;
/// Maximum number of events that one retention step removes.
pub const REMOVED_PER_STEP: u32 = 1_000;

/// Start of a feed page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// At the oldest stored event.
    Oldest,
    /// After this sequence number.
    After(i64),
    /// After the last event: returns the current end of the feed.
    End,
}

/// A feed page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedPage {
    /// Events, oldest first.
    Found {
        /// The events.
        events: Vec<Event>,
        /// Sequence number after which the next page starts. Never less than the start of this page.
        next_after: i64,
        /// Whether there are more positions to scan.
        has_more: bool,
    },
    /// Events after the requested position have already been removed, or a restore discarded the position.
    Expired {
        /// Current end of the feed.
        end: i64,
    },
}

/// Returns at most `limit` published events from a position on. A page with large events ends early.
pub fn read_page(at: &Snapshot<'_>, query: &EventsQuery, from: FeedStart, limit: u32) -> Result<FeedPage> {
    let (removed, end) = events::find_event_range(at)?;
    let after = match from {
        FeedStart::Oldest => removed,
        FeedStart::End => end,
        FeedStart::After(after) if after < removed || feed_gap::has_read_lost_events(at, after)? => {
            return Ok(FeedPage::Expired { end });
        }
        FeedStart::After(after) => after,
    };
    if after >= end {
        return Ok(FeedPage::Found { events: Vec::new(), next_after: after, has_more: false });
    }
    let until = events::find_range_end(at, after, SCANNED_MAX)?;
    let limit = EventsLimit { count: limit, bytes: ANSWER_MAX_BYTES };
    let (events, is_full) = events::list_published_events(at, query, after, until, limit)?;
    let next_after = events.last().filter(|_| is_full).map_or(until, |event| event.seq);
    Ok(FeedPage::Found { events, next_after, has_more: next_after < end })
}

/// Returns the sequence number of the last event. It changes with every event, also with events of other processes.
pub fn find_end(at: &Snapshot<'_>) -> Result<i64> {
    Ok(events::find_event_range(at)?.1)
}

/// Removes a batch of events that are older than the retention. Returns true if there may be more.
pub fn remove_expired_events(tx: &Tx<'_>) -> Result<bool> {
    tx.allow_on_full_disk();
    let removed = events::delete_events_before(tx, tx.now - RETENTION_MS, REMOVED_PER_STEP)?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountFilter;
    use crate::model::event::{EventAction, EventKind};
    use crate::store::Store;
    use crate::store::tables::events::NewEvent;

    const DAY_MS: Millis = 86_400_000;

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn append(store: &Store, account: &'static str, number: usize) {
        let job = move |tx: &Tx<'_>| {
            for _ in 0..number {
                let event = NewEvent {
                    account,
                    configuration: 1,
                    kind: EventKind::Resource("User", EventAction::Updated),
                    resource_id: Some("x"),
                    payload: "{}",
                    is_published: true,
                };
                events::append_event(tx, &event)?;
            }
            Ok(())
        };
        store.write_blocking(job).unwrap();
    }

    fn read(store: &Store, account: &str, from: FeedStart, limit: u32) -> FeedPage {
        let query = EventsQuery { account: Some(AccountFilter::WithId(account.to_owned())), ..EventsQuery::default() };
        store.read_inline(|at| read_page(at, &query, from, limit)).unwrap()
    }

    #[track_caller]
    fn check(page: &FeedPage, seqs: &[i64], next: i64, more: bool) {
        let FeedPage::Found { events, next_after, has_more } = page else { panic!("{page:?}") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs);
        assert_eq!((*next_after, *has_more), (next, more));
    }

    #[test]
    fn pages_follow_each_other_to_the_end_and_stay_there() {
        let (store, _folder) = store();
        check(&read(&store, "a", FeedStart::Oldest, 2), &[], 0, false);
        append(&store, "a", 3);
        check(&read(&store, "a", FeedStart::Oldest, 2), &[1, 2], 2, true);
        check(&read(&store, "a", FeedStart::After(2), 2), &[3], 3, false);
        check(&read(&store, "a", FeedStart::End, 2), &[], 3, false);
        check(&read(&store, "a", FeedStart::After(99), 2), &[], 99, false);
    }

    #[test]
    fn a_consumer_with_a_narrow_filter_makes_progress() {
        let (store, _folder) = store();
        append(&store, "loud", usize::try_from(SCANNED_MAX).unwrap() + 5);
        append(&store, "quiet", 1);
        check(&read(&store, "quiet", FeedStart::Oldest, 10), &[], SCANNED_MAX, true);
        let last = SCANNED_MAX + 6;
        check(&read(&store, "quiet", FeedStart::After(SCANNED_MAX), 10), &[last], last, false);
    }

    #[test]
    fn a_late_consumer_gets_expired_and_the_newest_event_is_never_removed() {
        let (store, _folder) = store();
        append(&store, "a", 3);
        let later = |tx: &Tx<'_>, days: i64| events::delete_events_before(tx, tx.now + days * DAY_MS, 2);
        assert_eq!(store.write_blocking(move |tx| later(tx, -1)).unwrap(), 0);
        assert_eq!(store.write_blocking(move |tx| later(tx, 1)).unwrap(), 2);
        assert_eq!(store.write_blocking(move |tx| later(tx, 1)).unwrap(), 0);
        assert_eq!(read(&store, "a", FeedStart::After(1), 10), FeedPage::Expired { end: 3 });
        check(&read(&store, "a", FeedStart::After(2), 10), &[3], 3, false);
        check(&read(&store, "a", FeedStart::Oldest, 10), &[3], 3, false);
        append(&store, "a", 1);
        check(&read(&store, "a", FeedStart::After(3), 10), &[4], 4, false);
    }
}
