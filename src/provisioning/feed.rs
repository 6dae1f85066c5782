//! The event feed: published events in commit order, for the operator's application.

mod position;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::account::AccountFilter;
use crate::model::event::Event;
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::provisioning::webhook_delivery::retention;
use crate::store::tables::account_move::import;
use crate::store::tables::account_move::numbers::NumberKind;
use crate::store::tables::events::{self, EventsLimit};
pub use crate::store::tables::events::{EventsQuery, find_newest_time as find_newest_event_time};
use crate::store::tables::feed_gap::{self, FeedId};
use crate::store::tables::{accounts, configurations};
use crate::store::{Snapshot, Tx};
pub use position::FeedPosition;

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
    /// After this position.
    After(FeedPosition),
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
        /// Position at which the next page starts. Never before the start of this page.
        next_after: FeedPosition,
        /// Whether there are more positions to scan.
        has_more: bool,
    },
    /// The requested position cannot be continued.
    Refused {
        /// `EventsExpired`, `EventPositionUnknown` or `AccountReplaced`.
        reason: Reason,
        /// Position to continue with after the lists were read again.
        restart_from: FeedPosition,
    },
}

/// The feed as one snapshot has it.
#[derive(Debug, Clone, Copy)]
struct FeedState {
    id: FeedId,
    /// Number before the oldest stored event.
    removed: i64,
    /// Number of the newest event.
    end: i64,
}

impl FeedState {
    fn load(at: &Snapshot<'_>) -> Result<Self> {
        let (removed, end) = events::find_event_range(at)?;
        Ok(Self { id: feed_gap::find_feed_id(at)?, removed, end })
    }

    fn position(&self, seq: i64) -> FeedPosition {
        FeedPosition { feed: Some(self.id), seq }
    }

    /// Returns why a position cannot be continued with this query, and where to restart, or `None` if it can be continued.
    fn find_refusal(
        &self,
        at: &Snapshot<'_>,
        query: &EventsQuery,
        position: FeedPosition,
    ) -> Result<Option<(Reason, FeedPosition)>> {
        if let Some(reason) = self.find_loss(at, position)? {
            return Ok(Some((reason, self.position(self.removed))));
        }
        // The events of the earlier account with the same id are not in the selection, so its deletions would be missing.
        let account = query.account.as_ref().and_then(AccountFilter::key);
        let created = account.map_or(Ok(0), |key| accounts::find_created_seq(at, key))?;
        Ok((position.seq < created).then(|| (Reason::AccountReplaced, self.position(self.end))))
    }

    /// Returns why events after a position are not stored, or `None` if all are.
    fn find_loss(&self, at: &Snapshot<'_>, position: FeedPosition) -> Result<Option<Reason>> {
        let FeedPosition { feed, seq } = position;
        if let Some(other) = feed.filter(|feed| *feed != self.id) {
            match feed_gap::find_end_of_earlier_id(at, other)? {
                None => return Ok(Some(Reason::EventPositionUnknown)),
                Some(last) if seq > last => return Ok(Some(Reason::EventsExpired)),
                Some(_) => {}
            }
        }
        if seq > self.end {
            return Ok(Some(Reason::EventPositionUnknown));
        }
        // The oldest position is valid, although after a restore it can be the last number of a gap.
        let is_lost = seq < self.removed || (seq > self.removed && feed_gap::has_read_lost_events(at, seq)?);
        Ok(is_lost.then_some(Reason::EventsExpired))
    }
}

/// Returns the position in this feed for a position that the feed of another instance has issued, if the selected account was imported
/// from there. Every other position is returned as it is: it is refused if it is of no feed of this instance. A position without the
/// id of a feed, of an earlier version, could be of any instance, so it is not one of an imported account.
pub fn translate_position(at: &Snapshot<'_>, query: &EventsQuery, position: FeedPosition) -> Result<FeedPosition> {
    let account = find_selected_account(at, query)?;
    let Some(import) = account.map_or(Ok(None), |key| import::find_import(at, key))? else { return Ok(position) };
    let Some(feed) = position.feed else {
        return Ok(FeedPosition { feed: Some(FeedId::default()), ..position });
    };
    // Earlier events were not stored any more when the account was exported.
    if feed_gap::format_feed_id(feed) != import.feed_id || position.seq < import.feed_removed {
        return Ok(position);
    }
    // The account did not change after its last export, so a later position is after all of its events.
    let found = import::load_numbers(at, import.account)?.find_position(NumberKind::Event, position.seq);
    let seq = found.map_or_else(|| find_end(at), Ok)?;
    Ok(FeedPosition { feed: Some(feed_gap::find_feed_id(at)?), seq })
}

/// Returns the key of the one account that a query selects, by its id or by a configuration.
fn find_selected_account(at: &Snapshot<'_>, query: &EventsQuery) -> Result<Option<i64>> {
    let account = query.account.as_ref().and_then(AccountFilter::key);
    match (account, &query.configuration) {
        (None, Some(id)) => {
            let found = configurations::find_configuration_including_deleted(at, id)?;
            Ok(found.map(|found| found.account.key))
        }
        (account, _) => Ok(account),
    }
}

/// Checks that this instance serves the one account that a query selects.
///
/// # Errors
/// `AccountMoved`, `AccountImporting`.
pub fn check_readable(at: &Snapshot<'_>, query: &EventsQuery) -> Result<()> {
    match find_selected_account(at, query)? {
        Some(key) => accounts::find_state(at, key)?.check_readable(),
        None => Ok(()),
    }
}

/// Whether a consumer can continue at this position.
pub fn is_valid_position(at: &Snapshot<'_>, query: &EventsQuery, position: FeedPosition) -> Result<bool> {
    Ok(FeedState::load(at)?.find_refusal(at, query, position)?.is_none())
}

/// Returns at most `limit` published events from a position on. A page with large events ends early.
pub fn read_page(at: &Snapshot<'_>, query: &EventsQuery, from: FeedStart, limit: u32) -> Result<FeedPage> {
    let feed = FeedState::load(at)?;
    let after = match from {
        FeedStart::Oldest => feed.removed,
        FeedStart::End => feed.end,
        FeedStart::After(position) => {
            let position = translate_position(at, query, position)?;
            match feed.find_refusal(at, query, position)? {
                Some((reason, restart_from)) => return Ok(FeedPage::Refused { reason, restart_from }),
                None => position.seq,
            }
        }
    };
    if after >= feed.end {
        return Ok(FeedPage::Found { events: Vec::new(), next_after: feed.position(after), has_more: false });
    }
    let until = events::find_range_end(at, after, SCANNED_MAX)?;
    let limit = EventsLimit { count: limit, bytes: ANSWER_MAX_BYTES };
    let (events, is_full) = events::list_published_events(at, query, after, until, limit)?;
    let next_after = events.last().filter(|_| is_full).map_or(until, |event| event.seq);
    Ok(FeedPage::Found { events, next_after: feed.position(next_after), has_more: next_after < feed.end })
}

/// Removes deletions of resources that were restored since: there is a later event about them.
pub fn remove_reversed_deletions(at: &Snapshot<'_>, deletions: Vec<Event>) -> Result<Vec<Event>> {
    let mut effective = Vec::with_capacity(deletions.len());
    for event in deletions {
        let id = event.resource_id.as_deref().unwrap_or_default();
        if !events::has_later_event(at, id, event.seq)? {
            effective.push(event);
        }
    }
    Ok(effective)
}

/// Returns the published event with this number, if the query matches it.
pub fn find_event(at: &Snapshot<'_>, query: &EventsQuery, seq: i64) -> Result<Option<Event>> {
    let limit = EventsLimit { count: 1, bytes: ANSWER_MAX_BYTES };
    let (mut events, _) = events::list_published_events(at, query, seq.saturating_sub(1), seq, limit)?;
    Ok(events.pop())
}

/// Returns the sequence number of the last event. It changes with every event, also with events of other processes.
pub fn find_end(at: &Snapshot<'_>) -> Result<i64> {
    Ok(events::find_event_range(at)?.1)
}

/// Removes a batch of events that are older than the retention. Returns true if there may be more.
pub fn remove_expired_events(tx: &Tx<'_>) -> Result<bool> {
    tx.allow_on_full_disk();
    let removed = retention::remove_delivered_events(tx, tx.now - RETENTION_MS, REMOVED_PER_STEP)?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// A position of an earlier version.
    fn after(seq: i64) -> FeedStart {
        FeedStart::After(FeedPosition { feed: None, seq })
    }

    #[track_caller]
    fn check_refused(page: &FeedPage, expected: Reason, oldest: i64) {
        let FeedPage::Refused { reason, restart_from } = page else { panic!("{page:?}") };
        assert_eq!((*reason, restart_from.seq()), (expected, oldest));
    }

    #[track_caller]
    fn check(page: &FeedPage, seqs: &[i64], next: i64, more: bool) {
        let FeedPage::Found { events, next_after, has_more } = page else { panic!("{page:?}") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs);
        assert_eq!((next_after.seq(), *has_more), (next, more));
    }

    #[test]
    fn pages_follow_each_other_to_the_end_and_stay_there() {
        let (store, _folder) = store();
        check(&read(&store, "a", FeedStart::Oldest, 2), &[], 0, false);
        append(&store, "a", 3);
        check(&read(&store, "a", FeedStart::Oldest, 2), &[1, 2], 2, true);
        check(&read(&store, "a", after(2), 2), &[3], 3, false);
        check(&read(&store, "a", FeedStart::End, 2), &[], 3, false);
        check(&read(&store, "a", after(3), 2), &[], 3, false);
    }

    #[test]
    fn a_position_ahead_of_the_feed_or_of_another_feed_is_refused() {
        let (store, _folder) = store();
        append(&store, "a", 3);
        let FeedPage::Found { next_after, .. } = read(&store, "a", FeedStart::End, 2) else { panic!() };
        assert_eq!(FeedPosition::parse(&next_after.to_string()), Some(next_after));
        check(&read(&store, "a", FeedStart::After(next_after), 2), &[], 3, false);
        let (other, _other_folder) = self::store();
        append(&other, "a", 3);
        check_refused(&read(&other, "a", FeedStart::After(next_after), 2), Reason::EventPositionUnknown, 0);
        for seq in [4, i64::MAX] {
            check_refused(&read(&store, "a", after(seq), 2), Reason::EventPositionUnknown, 0);
            let ahead = FeedStart::After(FeedPosition { seq, ..next_after });
            check_refused(&read(&store, "a", ahead, 2), Reason::EventPositionUnknown, 0);
        }
    }

    #[test]
    fn a_consumer_with_a_narrow_filter_makes_progress() {
        let (store, _folder) = store();
        append(&store, "loud", usize::try_from(SCANNED_MAX).unwrap() + 5);
        append(&store, "quiet", 1);
        check(&read(&store, "quiet", FeedStart::Oldest, 10), &[], SCANNED_MAX, true);
        let last = SCANNED_MAX + 6;
        check(&read(&store, "quiet", after(SCANNED_MAX), 10), &[last], last, false);
    }

    #[test]
    fn a_late_consumer_gets_expired_and_the_newest_event_is_never_removed() {
        let (store, _folder) = store();
        append(&store, "a", 3);
        let later = |tx: &Tx<'_>, days: i64| events::delete_events_before(tx, tx.now + days * DAY_MS, 2);
        assert_eq!(store.write_blocking(move |tx| later(tx, -1)).unwrap(), 0);
        assert_eq!(store.write_blocking(move |tx| later(tx, 1)).unwrap(), 2);
        assert_eq!(store.write_blocking(move |tx| later(tx, 1)).unwrap(), 0);
        check_refused(&read(&store, "a", after(1), 10), Reason::EventsExpired, 2);
        check(&read(&store, "a", after(2), 10), &[3], 3, false);
        check(&read(&store, "a", FeedStart::Oldest, 10), &[3], 3, false);
        append(&store, "a", 1);
        check(&read(&store, "a", after(3), 10), &[4], 4, false);
    }
}
