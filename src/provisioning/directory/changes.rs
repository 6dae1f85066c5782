//! Users and groups that changed after a position of the event feed.

use std::collections::HashSet;

use serde::Deserialize;

use crate::error::{Error, Reason, Result};
use crate::model::account::AccountRef;
use crate::model::event::{Event, EventContent};
use crate::provisioning::directory::{self, DirectoryResource};
use crate::provisioning::feed::{self, EventsQuery, FeedPage, FeedPosition, FeedStart};
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::Snapshot;
use crate::store::tables::events;

/// Kinds of events that move a user: its own, and those of its memberships.
const USER_KINDS: [&str; 6] = [
    "user.created",
    "user.updated",
    "user.deactivated",
    "user.reactivated",
    "group.member_added",
    "group.member_removed",
];
/// Kinds of events that move a group.
const GROUP_KINDS: [&str; 4] = ["group.created", "group.updated", "group.member_added", "group.member_removed"];

/// Position after which a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesCursor {
    /// Position in the feed.
    pub position: FeedPosition,
    /// Resources of the next event that are already listed: an event can be about 1,000 members.
    pub skipped: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangesPage {
    /// Resources in their published state, in the order of their last change.
    Found {
        /// The resources.
        items: Vec<DirectoryResource>,
        /// Cursor of the next page. `None` on the last page.
        next: Option<ChangesCursor>,
    },
    /// The position cannot be continued.
    Refused {
        /// Why.
        reason: Reason,
        /// Position of the oldest stored event.
        restart_from: FeedPosition,
    },
}

/// Selects changed resources.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    /// Name of the resource type: `User` or `Group`.
    pub resource_type: &'static str,
    /// Accounts and configurations.
    pub events: EventsQuery,
    /// Account of the caller.
    pub account: Option<AccountRef>,
    /// Position after which the page starts.
    pub cursor: ChangesCursor,
    /// Most resources of the page.
    pub limit: u32,
}

/// Returns resources that changed after a position. A resource appears once, after its last change; only a user whose
/// memberships changed several times can appear more than once.
///
/// # Errors
/// Errors of the store.
pub fn list_changed(at: &Snapshot<'_>, query: &ChangesQuery) -> Result<ChangesPage> {
    let is_user = query.resource_type == "User";
    let kinds = if is_user { USER_KINDS.to_vec() } else { GROUP_KINDS.to_vec() };
    let selected = EventsQuery { kinds: Some(kinds), ..query.events.clone() };
    let start = FeedStart::After(query.cursor.position);
    let (events, next_after, has_more) = match feed::read_page(at, &selected, start, query.limit)? {
        FeedPage::Found { events, next_after, has_more } => (events, next_after, has_more),
        FeedPage::Refused { reason, restart_from } => return Ok(ChangesPage::Refused { reason, restart_from }),
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let (mut items, mut bytes, mut listed) = (Vec::new(), 0, HashSet::new());
    let (mut position, mut skipped) = (query.cursor.position, query.cursor.skipped);
    for event in events {
        let seq = event.seq;
        for (number, id) in list_moved_resources(event, is_user)?.into_iter().enumerate().skip(skipped) {
            if items.len() >= limit || bytes > ANSWER_MAX_BYTES {
                return Ok(ChangesPage::Found { items, next: Some(ChangesCursor { position, skipped: number }) });
            }
            // A later change lists it later, and a later deletion not at all.
            if listed.contains(&id) || events::has_later_event(at, &id, seq)? {
                continue;
            }
            match directory::find_published(at, query.account.as_ref(), query.resource_type, &id) {
                Ok(found) => {
                    bytes += found.stored.body.len();
                    items.push(found);
                    listed.insert(id);
                }
                Err(error) if error.reason() == Reason::ResourceNotFound => {}
                Err(error) => return Err(error),
            }
        }
        (position, skipped) = (next_after.at_event(seq), 0);
    }
    let next = has_more.then_some(ChangesCursor { position: next_after, skipped: 0 });
    Ok(ChangesPage::Found { items, next })
}

/// The members in the data of an event.
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
    let seq = event.seq;
    let data: MovedMembers = serde_json::from_str(&EventContent::from_payload(event.payload).data)
        .map_err(|problem| Error::undecodable(format_args!("event {seq}"), problem))?;
    let users = data.members.into_iter().filter(|member| member.resource_type == "User");
    Ok(users.map(|member| member.value).collect())
}
