//! Users, groups and memberships that changed after a position of the event feed, in the order of their last change. The
//! events are scanned; what a later event changes again is left to that event, so each is listed once.

use serde::Deserialize;

use crate::error::{Error, Reason, Result};
use crate::model::event::{Event, EventContent};
use crate::provisioning::directory::memberships::DirectoryMembership;
use crate::provisioning::directory::{self, DirectoryFilter, DirectoryResource};
use crate::provisioning::feed::{self, EventsQuery, FeedPage, FeedPosition, FeedStart};
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::Snapshot;
use crate::store::tables::events;
use crate::store::tables::membership_events;

/// Kinds of events that move a user: its own, and those of its memberships.
const USER_KINDS: [&str; 7] = [
    "user.created",
    "user.restored",
    "user.updated",
    "user.deactivated",
    "user.reactivated",
    "group.member_added",
    "group.member_removed",
];
/// Kinds of events that move a group.
const GROUP_KINDS: [&str; 5] =
    ["group.created", "group.restored", "group.updated", "group.member_added", "group.member_removed"];
/// Kinds of events that move a membership. One that ended is not in the list.
const MEMBERSHIP_KINDS: [&str; 1] = ["group.member_added"];
/// Events that one page reads.
const EVENTS_PER_PAGE: u32 = 1_000;
/// Resources and memberships of events that one page examines. A page ends early with a cursor: one event can be about 1,000
/// members, all of which later events change again.
const EXAMINED_MAX: usize = 10_000;

/// Position after which a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesCursor {
    /// Position in the feed.
    pub position: FeedPosition,
    /// Resources of the next event that are already examined: an event can be about 1,000 members.
    pub skipped: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangesPage<T> {
    /// Items in their published state, in the order of their last change.
    Found {
        /// The items.
        items: Vec<T>,
        /// Cursor of the next page. `None` on the last page.
        next: Option<ChangesCursor>,
        /// Everything that changed up to this position is on this page or an earlier one.
        position: FeedPosition,
    },
    /// The position cannot be continued.
    Refused {
        /// Why.
        reason: Reason,
        /// Position to continue with after the lists were read again.
        restart_from: FeedPosition,
    },
}

/// Selects changes.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    /// Accounts and configurations.
    pub events: EventsQuery,
    /// Position after which the page starts.
    pub cursor: ChangesCursor,
    /// Most items of the page.
    pub limit: usize,
}

/// Returns the users or groups that changed after a position and match the filter. A resource that changes while the pages are
/// read moves to a later page.
///
/// # Errors
/// Errors of the store.
pub fn list_changed_resources(
    at: &Snapshot<'_>,
    resource_type: &'static str,
    filter: &DirectoryFilter,
    query: &ChangesQuery,
) -> Result<ChangesPage<DirectoryResource>> {
    let is_user = resource_type == "User";
    let kinds = if is_user { USER_KINDS.to_vec() } else { GROUP_KINDS.to_vec() };
    let list_moved = |event: Event| list_moved_resources(event, is_user);
    scan_changes(at, query, kinds, list_moved, |seq, id| {
        let changes_later =
            events::has_later_event(at, &id, seq)? || (is_user && membership_events::has_later_event(at, &id, seq)?);
        let found = if changes_later { None } else { directory::find_matching(at, resource_type, &id, filter)? };
        Ok(found.map(|found| (found.stored.body.len(), found)))
    })
}

/// Returns the memberships of the group and the member, if given, that began after a position and did not end. The end of a
/// membership is a change of its group and its user.
///
/// # Errors
/// Errors of the store.
pub fn list_changed_memberships(
    at: &Snapshot<'_>,
    group: Option<&str>,
    member: Option<&str>,
    query: &ChangesQuery,
) -> Result<ChangesPage<DirectoryMembership>> {
    let list_moved = |event: Event| {
        let group_id = event.resource_id.clone().unwrap_or_default();
        let configuration_id = event.configuration_id.clone().unwrap_or_default();
        let is_selected = group.is_none_or(|group| group == group_id)
            && directory::find_matching(at, "Group", &group_id, &DirectoryFilter::default())?.is_some();
        let members = if is_selected { read_members(event)? } else { Vec::new() };
        let describe = |MovedMember { value, resource_type }| DirectoryMembership {
            group_id: group_id.clone(),
            configuration_id: configuration_id.clone(),
            member_id: value,
            member_type: resource_type,
        };
        Ok(members.into_iter().map(describe).collect())
    };
    scan_changes(at, query, MEMBERSHIP_KINDS.to_vec(), list_moved, |seq, found: DirectoryMembership| {
        let is_selected = member.is_none_or(|member| member == found.member_id)
            && membership_events::is_newest_event(at, &found.member_id, &found.group_id, seq)?;
        Ok(is_selected.then(|| (found.group_id.len() + found.member_id.len(), found)))
    })
}

/// Reads a page of events, and collects what `find` returns for the resources that `list_moved` finds in them, with their
/// length in bytes.
fn scan_changes<M, T>(
    at: &Snapshot<'_>,
    query: &ChangesQuery,
    kinds: Vec<&'static str>,
    list_moved: impl Fn(Event) -> Result<Vec<M>>,
    mut find: impl FnMut(i64, M) -> Result<Option<(usize, T)>>,
) -> Result<ChangesPage<T>> {
    let selected = EventsQuery { kinds: Some(kinds), ..query.events.clone() };
    let start = FeedStart::After(query.cursor.position);
    let (events, next_after, has_more) = match feed::read_page(at, &selected, start, EVENTS_PER_PAGE)? {
        FeedPage::Found { events, next_after, has_more } => (events, next_after, has_more),
        FeedPage::Refused { reason, restart_from } => return Ok(ChangesPage::Refused { reason, restart_from }),
    };
    let (mut items, mut bytes, mut examined) = (Vec::new(), 0, 0);
    // A number of an earlier version gets the id of the feed with the first event.
    let ChangesCursor { mut position, mut skipped } = query.cursor;
    for event in events {
        let seq = event.seq;
        for (number, moved) in list_moved(event)?.into_iter().enumerate().skip(skipped) {
            if items.len() >= query.limit || bytes > ANSWER_MAX_BYTES || examined >= EXAMINED_MAX {
                return Ok(ChangesPage::Found {
                    items,
                    next: Some(ChangesCursor { position, skipped: number }),
                    position,
                });
            }
            examined += 1;
            if let Some((length, found)) = find(seq, moved)? {
                bytes += length;
                items.push(found);
            }
        }
        (position, skipped) = (next_after.at_event(seq), 0);
    }
    let next = has_more.then_some(ChangesCursor { position: next_after, skipped: 0 });
    Ok(ChangesPage::Found { items, next, position: next_after })
}

/// The members in the data of an event. A redacted event has none.
#[derive(Deserialize)]
struct MovedMembers {
    #[serde(default)]
    members: Vec<MovedMember>,
}

#[derive(Deserialize)]
struct MovedMember {
    value: String,
    #[serde(rename = "type")]
    resource_type: String,
}

/// Returns the ids of the resources that an event moves.
fn list_moved_resources(event: Event, is_user: bool) -> Result<Vec<String>> {
    if !is_user || event.kind.starts_with("user.") {
        return Ok(event.resource_id.into_iter().collect());
    }
    let users = read_members(event)?.into_iter().filter(|member| member.resource_type == "User");
    Ok(users.map(|member| member.value).collect())
}

fn read_members(event: Event) -> Result<Vec<MovedMember>> {
    let seq = event.seq;
    let data: MovedMembers = serde_json::from_str(&EventContent::from_payload(event.payload).data)
        .map_err(|problem| Error::undecodable(format_args!("event {seq}"), problem))?;
    Ok(data.members)
}
