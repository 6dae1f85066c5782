//! The first load of a webhook: the published users, groups and memberships of a configuration as synthetic events. Live events
//! follow from the number at which the webhook was created, so nothing is missed. The events have the versions of the
//! resources, so that a receiver skips a live event that it already has.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::{Event, EventAction, EventKind, EventSubject};
use crate::model::event_form::EventForm;
use crate::model::webhook::message::ENVELOPE_MAX_BYTES;
use crate::model::webhook::{BODY_MAX_BYTES, PayloadMode, Webhook, WebhookFormat};
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryPosition, DirectoryQuery, DirectoryResource, DirectoryScope,
    StoredResource,
};
use crate::provisioning::events::{EventMember, MemberNames};
use crate::store::Snapshot;
use crate::store::tables::directory::DirectorySource;
use crate::store::tables::webhook_lanes::LaneRow;

/// Maximum number of members in one event.
const MEMBERS_PER_EVENT: usize = 100;

/// Position after which a page begins, and up to which it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillCursor {
    stage: BackfillStage,
    /// Row number and id of the last user or group.
    last: Option<(i64, String)>,
    /// In the stage of memberships: row number and id of the last member of the next group after `last`.
    member: Option<(i64, String)>,
}

/// The resources are sent in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BackfillStage {
    Users,
    Groups,
    Memberships,
}

impl BackfillStage {
    fn next(self) -> Option<Self> {
        match self {
            Self::Users => Some(Self::Groups),
            Self::Groups => Some(Self::Memberships),
            Self::Memberships => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Users => "user.created",
            Self::Groups => "group.created",
            Self::Memberships => "group.member_added",
        }
    }

    fn resource_type(self) -> &'static str {
        if self == Self::Users { "User" } else { "Group" }
    }
}

impl BackfillCursor {
    fn at_stage(stage: BackfillStage) -> Self {
        Self { stage, last: None, member: None }
    }

    /// The text of the first position.
    pub(super) fn start_text() -> String {
        Self::at_stage(BackfillStage::Users).to_text()
    }

    /// The stored text.
    pub(super) fn to_text(&self) -> String {
        json!(self).to_string()
    }

    fn parse(text: &str) -> Self {
        // A text of another version starts again: the receiver applies versions, so that repetitions have no effect.
        serde_json::from_str(text).unwrap_or_else(|_| Self::at_stage(BackfillStage::Users))
    }

    fn directory_cursor(&self, configuration: i64) -> Option<DirectoryCursor> {
        let (row, id) = self.last.clone()?;
        Some(DirectoryCursor { configuration, position: Some(DirectoryPosition { changed: 0, row, id }) })
    }

    /// Whether this position is after the end of a page.
    fn is_after(&self, end: &Self) -> bool {
        (&self.last, &self.member) > (&end.last, &end.member)
    }
}

/// One request with current resources.
#[derive(Debug)]
pub struct BackfillPage {
    /// JSON text of each event.
    pub texts: Vec<String>,
    /// Time of the last event.
    pub created_at: Millis,
    /// The first event, for formats with one event per request.
    pub single: Option<Box<Event>>,
    /// Position of the last event.
    pub end: BackfillCursor,
    /// Position of the next page. `None`: live events follow.
    pub next: Option<BackfillCursor>,
}

/// A page that is being read.
struct PageReader<'p> {
    at: &'p Snapshot<'p>,
    webhook: &'p Webhook,
    source: &'p DirectorySource,
    /// Number of the events.
    seq: i64,
    /// A page that was begun ends here.
    end: Option<BackfillCursor>,
    texts: Vec<String>,
    bytes: usize,
    created_at: Millis,
    single: Option<Box<Event>>,
}

/// Reads the next page of current resources. Returns `None` if there are no more.
pub(super) fn read_page(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    source: &DirectorySource,
    lane: &LaneRow,
    cursor: &str,
) -> Result<Option<BackfillPage>> {
    let mut start = BackfillCursor::parse(cursor);
    let kinds = webhook.settings.list_sent_kinds()?;
    let end = lane.backfill_end.as_deref().map(BackfillCursor::parse);
    let mut reader = PageReader {
        at,
        webhook,
        source,
        seq: lane.position,
        end,
        texts: Vec::new(),
        bytes: ENVELOPE_MAX_BYTES,
        created_at: 0,
        single: None,
    };
    loop {
        let is_sent = kinds.as_ref().is_none_or(|kinds| kinds.contains(&start.stage.kind()));
        let reached = match start.stage {
            _ if !is_sent => None,
            BackfillStage::Memberships => reader.read_memberships(&start)?,
            BackfillStage::Users | BackfillStage::Groups => reader.read_resources(&start)?,
        };
        if let Some(last) = reached {
            let PageReader { texts, created_at, single, .. } = reader;
            return Ok(Some(BackfillPage { texts, created_at, single, end: last.clone(), next: Some(last) }));
        }
        let Some(stage) = start.stage.next() else { return Ok(None) };
        start = BackfillCursor::at_stage(stage);
    }
}

impl PageReader<'_> {
    fn scope(&self) -> DirectoryScope {
        DirectoryScope { account: None, configuration: Some(self.source.id.clone()) }
    }

    fn list_resources(&self, start: &BackfillCursor, limit: usize) -> Result<Vec<DirectoryResource>> {
        let filter = DirectoryFilter::default();
        let cursor = start.directory_cursor(self.source.configuration);
        let query = DirectoryQuery {
            resource_type: start.stage.resource_type(),
            filter: &filter,
            cursor: cursor.as_ref(),
            limit,
        };
        Ok(directory::list_published(self.at, &self.scope(), &query)?.items)
    }

    fn events_max(&self) -> usize {
        usize::try_from(self.webhook.settings.events_per_request()).unwrap_or(usize::MAX)
    }

    /// Adds users or groups. Returns the position of the last one, or `None` if there was none.
    fn read_resources(&mut self, start: &BackfillCursor) -> Result<Option<BackfillCursor>> {
        let mut reached = None;
        for found in self.list_resources(start, self.events_max())? {
            let position = BackfillCursor {
                stage: start.stage,
                last: Some((found.stored.key, found.stored.id.clone())),
                member: None,
            };
            let is_beyond = self.end.as_ref().is_some_and(|end| end.stage == start.stage && position.is_after(end));
            let members = format!("\"after\":{}", found.stored.body);
            if is_beyond || !self.add_event(start.stage, &found.stored, &members)? {
                break;
            }
            reached = Some(position);
        }
        Ok(reached)
    }

    /// Adds memberships, at most one event for a group and page. Returns the position of the last one.
    fn read_memberships(&mut self, start: &BackfillCursor) -> Result<Option<BackfillCursor>> {
        let mut start = start.clone();
        loop {
            let reached = self.read_groups_of_members(&start)?;
            match reached {
                // Groups without members have no events: the search goes on after them.
                Some(position) if self.texts.is_empty() => start = position,
                reached => return Ok(reached),
            }
        }
    }

    fn read_groups_of_members(&mut self, start: &BackfillCursor) -> Result<Option<BackfillCursor>> {
        let mut reached: Option<BackfillCursor> = None;
        let mut member = start.member.clone();
        for group in self.list_resources(start, self.events_max())? {
            let cursor = member.take().map(|(row, id)| DirectoryCursor {
                configuration: self.source.configuration,
                position: Some(DirectoryPosition { changed: 0, row, id }),
            });
            let page =
                directory::list_published_members(self.at, None, &group.stored.id, cursor.as_ref(), MEMBERS_PER_EVENT)?;
            let own = (group.stored.key, group.stored.id.clone());
            let last = page.items.last().map(|last| (last.key, last.id.clone()));
            // The group is complete, or the next page goes on in it.
            let position = if page.next.is_none() {
                BackfillCursor { stage: start.stage, last: Some(own), member: None }
            } else {
                let before = reached.as_ref().map_or_else(|| start.last.clone(), |reached| reached.last.clone());
                BackfillCursor { stage: start.stage, last: before, member: last }
            };
            let is_beyond = self.end.as_ref().is_some_and(|end| end.stage == start.stage && position.is_after(end));
            if is_beyond {
                break;
            }
            if !page.items.is_empty() {
                let members = page.items.iter().map(|one| self.describe_member(one)).collect::<Result<Vec<_>>>()?;
                if !self.add_event(start.stage, &group.stored, &format!("\"members\":{}", json!(members)))? {
                    break;
                }
            }
            let is_split = page.next.is_some();
            reached = Some(position);
            if is_split {
                break;
            }
        }
        Ok(reached)
    }

    fn describe_member(&self, member: &directory::DirectoryMember) -> Result<EventMember> {
        let names = MemberNames::load(self.at, self.source.configuration, (member.key, &member.id))?;
        Ok(EventMember { value: member.id.clone(), resource_type: member.resource_type.clone(), names })
    }

    /// Adds an event. Returns false if the page is full.
    fn add_event(&mut self, stage: BackfillStage, stored: &StoredResource, members: &str) -> Result<bool> {
        if self.texts.len() >= self.events_max() {
            return Ok(false);
        }
        let resource_type = stage.resource_type();
        let subject = EventSubject {
            resource_type,
            id: &stored.id,
            version: stored.version,
            last_modified: stored.last_modified,
        };
        let action = if stage == BackfillStage::Memberships { EventAction::MemberAdded } else { EventAction::Created };
        let event = Event {
            seq: self.seq,
            account: self.source.account.id.clone(),
            configuration: self.source.configuration,
            configuration_id: Some(self.source.id.clone()),
            kind: EventKind::Resource(resource_type, action).to_string(),
            resource_id: Some(stored.id.clone()),
            payload: subject.build_payload(members),
            created_at: stored.last_modified,
            request_id: None,
        };
        let settings = &self.webhook.settings;
        let form = EventForm::try_from(event.clone())?.of_backfill();
        let text = if settings.payload == PayloadMode::Thin { form.without_data().render()? } else { form.render()? };
        let text = if text.len() + ENVELOPE_MAX_BYTES > BODY_MAX_BYTES {
            EventForm::try_from(event.clone())?.of_backfill().truncated().render()?
        } else {
            text
        };
        if self.bytes + text.len() + 1 > BODY_MAX_BYTES {
            return Ok(false);
        }
        self.bytes += text.len() + 1;
        self.created_at = stored.last_modified;
        if settings.format != WebhookFormat::Standard {
            self.single.get_or_insert_with(|| Box::new(event));
        }
        self.texts.push(text);
        Ok(true)
    }
}
