//! The first load of a webhook: the published users, groups and memberships of a configuration as synthetic events. Live events
//! follow from the number at which the webhook was created, so nothing is missed. What was created after it is left out, because
//! its live events follow. The events have the versions of the resources, so that a receiver skips a live event that it already
//! has.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::{Event, EventAction, EventKind, EventSubject};
use crate::model::event_form::EventForm;
use crate::model::webhook::message::{self, ENVELOPE_MAX_BYTES};
use crate::model::webhook::{BODY_MAX_BYTES, Webhook, WebhookFormat};
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryPosition, DirectoryQuery, DirectoryResource, DirectoryScope,
    StoredResource,
};
use crate::provisioning::events::{EventMember, MemberNames};
use crate::store::Snapshot;
use crate::store::tables::directory::DirectorySource;
use crate::store::tables::events;
use crate::store::tables::webhook_lanes::LaneRow;

/// Maximum number of members in one event.
const MEMBERS_PER_EVENT: usize = 100;
/// Most reads of resources for one page. Without anything to send by then, the position is stored.
const READS_PER_PAGE: usize = 50;

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
    /// Position of the last event, after which the next page begins.
    pub end: BackfillCursor,
}

/// What follows a position in the current resources.
#[derive(Debug)]
pub(super) enum BackfillStep {
    /// A page to send.
    Page(BackfillPage),
    /// Nothing is sent up to this position. `None`: there are no more resources.
    Moved(Option<BackfillCursor>),
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
    /// Whether a resource after that end was found.
    is_at_end: bool,
    texts: Vec<String>,
    bytes: usize,
    created_at: Millis,
    single: Option<Box<Event>>,
}

/// Reads the next page of current resources.
pub(super) fn read_page(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    source: &DirectorySource,
    lane: &LaneRow,
    cursor: &str,
) -> Result<BackfillStep> {
    let mut start = BackfillCursor::parse(cursor);
    let kinds = webhook.list_sent_kinds()?;
    let mut reader = PageReader {
        at,
        webhook,
        source,
        seq: lane.position,
        end: lane.backfill_end.as_deref().map(BackfillCursor::parse),
        is_at_end: false,
        texts: Vec::new(),
        bytes: ENVELOPE_MAX_BYTES,
        created_at: 0,
        single: None,
    };
    for _ in 0..READS_PER_PAGE {
        let reached = match start.stage {
            stage if !kinds.includes(stage.kind(), lane.position.saturating_add(1)) => None,
            BackfillStage::Memberships => reader.read_memberships(&start)?,
            BackfillStage::Users | BackfillStage::Groups => reader.read_resources(&start)?,
        };
        start = match reached {
            Some(end) if !reader.texts.is_empty() => {
                let PageReader { texts, created_at, single, .. } = reader;
                return Ok(BackfillStep::Page(BackfillPage { texts, created_at, single, end }));
            }
            // These resources were created later, or are groups without members.
            Some(end) => end,
            // The resources of the page that was begun do not exist any more: it is replaced by the next ones.
            None if reader.is_at_end => {
                (reader.end, reader.is_at_end) = (None, false);
                start
            }
            None => match start.stage.next() {
                Some(stage) => BackfillCursor::at_stage(stage),
                None => return Ok(BackfillStep::Moved(None)),
            },
        };
    }
    Ok(BackfillStep::Moved(Some(start)))
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

    /// Whether this position is after the end of the page that was begun.
    fn is_after_end(&mut self, position: &BackfillCursor) -> bool {
        let is_after = |end: &BackfillCursor| end.stage == position.stage && position.is_after(end);
        self.is_at_end |= self.end.as_ref().is_some_and(is_after);
        self.is_at_end
    }

    /// Whether a resource was created or restored after the start, so that its live events follow.
    fn is_created_later(&self, resource_type: &str, id: &str) -> Result<bool> {
        for action in [EventAction::Created, EventAction::Restored] {
            let kind = EventKind::Resource(resource_type, action);
            if events::has_later_event_of_kind(self.at, id, kind, self.seq)? {
                return Ok(true);
            }
        }
        Ok(false)
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
            if self.is_after_end(&position) {
                break;
            }
            let is_left_out = self.is_created_later(start.stage.resource_type(), &found.stored.id)?;
            let members = format!("\"after\":{}", found.stored.body);
            if !is_left_out && !self.add_event(start.stage, &found.stored, &members)? {
                break;
            }
            reached = Some(position);
        }
        Ok(reached)
    }

    /// Adds memberships, at most one event for a group and page. Returns the position of the last one.
    fn read_memberships(&mut self, start: &BackfillCursor) -> Result<Option<BackfillCursor>> {
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
            if self.is_after_end(&position) {
                break;
            }
            let members = self.describe_members(&group.stored.id, page.items)?;
            if !members.is_empty()
                && !self.add_event(start.stage, &group.stored, &format!("\"members\":{}", json!(members)))?
            {
                break;
            }
            let is_split = page.next.is_some();
            reached = Some(position);
            if is_split {
                break;
            }
        }
        Ok(reached)
    }

    /// The members of a group that are sent: none if the group was created later.
    fn describe_members(&self, group: &str, members: Vec<directory::DirectoryMember>) -> Result<Vec<EventMember>> {
        let mut sent = Vec::new();
        if members.is_empty() || self.is_created_later("Group", group)? {
            return Ok(sent);
        }
        for member in members {
            if !self.is_created_later(&member.resource_type, &member.id)? {
                sent.push(self.describe_member(&member)?);
            }
        }
        Ok(sent)
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
        let text = message::render_form(EventForm::try_from(event.clone())?.of_backfill(), settings.payload)?;
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::clock;
    use crate::management::webhooks::{NewWebhook, WebhookStart, create_webhook};
    use crate::model::audit_context::AuditContext;
    use crate::model::webhook::{SignatureKind, WebhookKey, WebhookSettings};
    use crate::provisioning::Scope;
    use crate::provisioning::deletion::delete_resource;
    use crate::provisioning::resources::ResourceWrite;
    use crate::provisioning::tests::{create_in_store, open_store_with_configuration};
    use crate::provisioning::webhook_delivery::load_lane;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
    use crate::store::Store;

    struct Fixture {
        store: Store,
        scope: Scope,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let (folder, store, scope) = open_store_with_configuration();
            Self { store, scope, _folder: folder }
        }

        fn add_user(&self, name: &str) -> String {
            let body = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
            create_in_store(&self.store, &self.scope, &USER_TYPE, &body).unwrap()
        }

        fn add_group(&self, name: &str, members: &[&str]) -> String {
            let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
            let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": name, "members": members});
            create_in_store(&self.store, &self.scope, &GROUP_TYPE, &body).unwrap()
        }

        fn delete_user(&self, id: String) {
            let scope = self.scope.clone();
            let delete = move |tx: &crate::store::Tx<'_>| {
                delete_resource(tx, &ResourceWrite::new(&scope, &USER_TYPE, &id)).map(drop)
            };
            self.store.write_blocking(delete).unwrap();
        }

        fn add_webhook(&self, batch_size: u32) -> Webhook {
            let url = "https://hook.example.com/".to_owned();
            let key =
                WebhookKey { id: clock::new_id(), sealed: Vec::new(), public: None, created_at: 0, expires_at: None };
            let new = NewWebhook {
                id: clock::new_id(),
                account: None,
                settings: WebhookSettings { batch_size, ..WebhookSettings::new(url) },
                headers: Vec::new(),
                signature: SignatureKind::Hmac,
                key,
                start: WebhookStart::Latest,
                has_backfill: true,
            };
            self.store.write_blocking(move |tx| create_webhook(tx, &AuditContext::server(), &new)).unwrap()
        }

        /// What follows a position. The end of a page that was begun limits it.
        fn read(&self, webhook: &Webhook, cursor: &str, end: Option<String>) -> BackfillStep {
            let read = |at: &Snapshot<'_>| {
                let lane = load_lane(at, webhook, self.scope.configuration)?;
                let source = crate::store::tables::directory::find_source_by_key(at, lane.configuration)?.unwrap();
                read_page(at, webhook, &source, &LaneRow { backfill_end: end.clone(), ..lane }, cursor)
            };
            self.store.read_inline(read).unwrap()
        }

        /// Kind, resource and members of the events of all pages.
        fn read_all(&self, webhook: &Webhook) -> Vec<(String, String, Vec<String>)> {
            let (mut cursor, mut found) = (BackfillCursor::start_text(), Vec::new());
            loop {
                match self.read(webhook, &cursor, None) {
                    BackfillStep::Page(page) => {
                        found.extend(page.texts.iter().map(|text| describe(text)));
                        cursor = page.end.to_text();
                    }
                    BackfillStep::Moved(Some(to)) => cursor = to.to_text(),
                    BackfillStep::Moved(None) => return found,
                }
            }
        }
    }

    fn describe(text: &str) -> (String, String, Vec<String>) {
        let event: Value = serde_json::from_str(text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let members = event["data"]["members"].as_array().cloned().unwrap_or_default();
        (text(&event["kind"]), text(&event["resourceId"]), members.iter().map(|one| text(&one["value"])).collect())
    }

    #[test]
    fn what_was_created_after_the_start_is_left_out() {
        let fixture = Fixture::new();
        let ada = fixture.add_user("ada");
        let team = fixture.add_group("Team", &[&ada]);
        for batch_size in [1, 100] {
            let webhook = fixture.add_webhook(batch_size);
            let before = fixture.read_all(&webhook);
            let later: Vec<String> = (0..60).map(|i| fixture.add_user(&format!("later{i}-{batch_size}"))).collect();
            let late = fixture.add_group(&format!("Late {batch_size}"), &[&ada, &later[0]]);
            let loaded = fixture.read_all(&webhook);
            assert_eq!(loaded, before);
            assert!(loaded.iter().all(|(_, id, members)| *id != late && !members.contains(&later[0])));
        }
        let kinds = fixture.read_all(&fixture.add_webhook(100));
        assert!(kinds.contains(&("group.member_added".to_owned(), team, vec![ada])));
    }

    #[test]
    fn a_page_whose_resources_were_deleted_is_replaced_by_the_next_ones() {
        let fixture = Fixture::new();
        let users = ["ada", "bob", "cyd"].map(|name| fixture.add_user(name));
        let webhook = fixture.add_webhook(1);
        let start = BackfillCursor::start_text();
        let BackfillStep::Page(page) = fixture.read(&webhook, &start, None) else { panic!() };
        assert_eq!(describe(&page.texts[0]).1, users[0]);
        fixture.delete_user(users[0].clone());
        let BackfillStep::Page(next) = fixture.read(&webhook, &start, Some(page.end.to_text())) else { panic!() };
        assert_eq!(describe(&next.texts[0]).1, users[1]);
    }
}
