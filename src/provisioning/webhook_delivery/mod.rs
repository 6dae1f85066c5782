//! Delivery of events to webhooks: what each lane sends next, and what an attempt changes. A lane is one configuration of one
//! webhook. Its events are sent strictly in order, and the position in the event log is the only queue.

pub mod backfill;
pub mod retention;
#[cfg(test)]
mod tests;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::AccountState;
use crate::model::audit_context::AuditContext;
use crate::model::webhook::message::{self, EventBatch};
use crate::model::webhook::{BODY_MAX_BYTES, Webhook, WebhookSettings, WebhookState, retry};
use crate::provisioning::webhook_delivery::backfill::{BackfillCursor, BackfillPage, BackfillStep};
use crate::store::tables::accounts;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::directory::{self, DirectorySource};
use crate::store::tables::held_changes;
use crate::store::tables::webhook_attempts as attempts;
pub use crate::store::tables::webhook_attempts::WebhookAttempt;
use crate::store::tables::webhook_lanes::{self as lanes, LaneEvents, LaneLimit};
pub use crate::store::tables::webhook_lanes::{
    ConfigurationEnd, EventSighting, LaneRow, list_configuration_ends, list_event_sightings,
};
use crate::store::tables::webhooks;
pub use crate::store::tables::webhooks::{find_revision, list_webhook_keys as list_signing_keys};
use crate::store::{Snapshot, Tx};

/// Maximum number of events of a configuration that one step searches for those of rare kinds.
const SEARCHED_MAX: u32 = 10_000;
/// Reason of a webhook that was disabled because its receiver answered 410.
pub const DISABLED_GONE: &str = "gone";

/// Names a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    /// Key of the webhook.
    pub webhook: i64,
    /// Key of the configuration.
    pub configuration: i64,
}

/// The events after the position of a lane that were searched and are not sent. It is valid while the position of the lane and
/// the settings of its webhook are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneScan {
    /// Position of the lane.
    position: i64,
    /// End of a batch that was begun and whose events are not stored any more.
    batch_end: Option<i64>,
    /// Whether the lane has failed with events that are not sent any more.
    has_failed: bool,
    /// The settings of the webhook.
    content_revision: i64,
    /// Number of the last event that was searched.
    until: i64,
    /// How many events were searched.
    pub events: u32,
}

impl LaneScan {
    fn start(lane: &LaneRow, webhook: &Webhook) -> Self {
        let LaneRow { position, batch_end, .. } = *lane;
        let has_failed = lane.failing_since.is_some();
        let content_revision = webhook.content_revision;
        Self { position, batch_end, has_failed, content_revision, until: position, events: 0 }
    }

    fn has_same_start(&self, other: &Self) -> bool {
        let key = |scan: &Self| (scan.position, scan.batch_end, scan.has_failed, scan.content_revision);
        key(self) == key(other)
    }

    /// Whether the state of the lane is wrong until the scan is stored.
    pub fn is_urgent(&self) -> bool {
        self.batch_end.is_some() || self.has_failed
    }
}

/// What a lane has to do.
#[derive(Debug)]
pub enum LaneWork {
    /// Nothing waits up to the end of the scan; `has_more` means that later events may be sent.
    Nothing {
        /// What was searched.
        scan: LaneScan,
        /// Whether there are more events to search.
        has_more: bool,
    },
    /// It does not send: it was stopped, or its webhook does not include the configuration.
    Halted,
    /// A purge of the configuration runs: what it redacts is not sent any more.
    Postponed,
    /// There is nothing to send at this position in the current resources: see [`move_backfill`].
    BackfillMoved(BackfillMove),
    /// A request to send.
    Request(Box<LaneRequest>),
}

/// The next request of a lane.
#[derive(Debug)]
pub struct LaneRequest {
    /// The lane as stored, or at its start.
    pub lane: LaneRow,
    /// Events up to this number were searched and are not sent.
    searched: i64,
    /// The settings of the webhook with which the request was built.
    content_revision: i64,
    /// The configuration.
    pub source: DirectorySource,
    /// Id of the request.
    pub message_id: String,
    /// What is sent.
    pub content: LaneContent,
}

/// The content of a request.
#[derive(Debug)]
pub enum LaneContent {
    /// Events.
    Events(EventBatch),
    /// Current resources.
    Backfill(BackfillPage),
}

impl LaneRequest {
    fn new(
        (webhook, lane): (&Webhook, LaneRow),
        source: DirectorySource,
        message_id: String,
        content: LaneContent,
    ) -> Self {
        let (searched, content_revision) = (lane.position, webhook.content_revision);
        Self { lane, searched, content_revision, source, message_id, content }
    }

    /// First and last event, if it has events.
    pub fn event_range(&self) -> Option<(i64, i64)> {
        match &self.content {
            LaneContent::Events(batch) => Some((batch.first, batch.last)),
            LaneContent::Backfill(_) => None,
        }
    }

    /// Id of the request of the identity provider that made the first change.
    pub fn request_id(&self) -> Option<&str> {
        match &self.content {
            LaneContent::Events(batch) => batch.request_id.as_deref(),
            LaneContent::Backfill(_) => None,
        }
    }

    /// The events as JSON texts, and the time of the last one.
    pub fn texts(&self) -> (&[String], Millis) {
        match &self.content {
            LaneContent::Events(batch) => (&batch.texts, batch.created_at),
            LaneContent::Backfill(page) => (&page.texts, page.created_at),
        }
    }

    /// The event of a format with one event per request.
    pub fn single(&self) -> Option<&crate::model::event::Event> {
        match &self.content {
            LaneContent::Events(batch) => batch.single.as_deref(),
            LaneContent::Backfill(page) => page.single.as_deref(),
        }
    }
}

/// Returns the lane of a configuration: its row, or its start.
pub(crate) fn load_lane(at: &Snapshot<'_>, webhook: &Webhook, configuration: i64) -> Result<LaneRow> {
    let start = || LaneRow {
        webhook: webhook.key,
        configuration,
        position: webhook.start_seq,
        backfill: webhook.backfill_until.filter(|until| configuration <= *until).map(|_| BackfillCursor::start_text()),
        ..LaneRow::default()
    };
    Ok(lanes::find_lane(at, webhook.key, configuration)?.unwrap_or_else(start))
}

/// Returns what a lane has to do. `scan` is what was already searched.
pub fn load_lane_work(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    configuration: i64,
    scan: Option<LaneScan>,
) -> Result<LaneWork> {
    let Some(source) = directory::find_source_by_key(at, configuration)? else { return Ok(LaneWork::Halted) };
    let lane = load_lane(at, webhook, configuration)?;
    let is_halted = !webhook.covers_account(source.account.key) || lane.stopped_at.is_some();
    if is_halted || !may_send(at, webhook, source.account.key)? {
        return Ok(LaneWork::Halted);
    }
    if held_changes::load_gate(at, configuration)?.is_some_and(|gate| gate.purging) {
        return Ok(LaneWork::Postponed);
    }
    if let Some(cursor) = lane.backfill.as_deref() {
        let page = match backfill::read_page(at, webhook, &source, &lane, cursor)? {
            BackfillStep::Page(page) => page,
            BackfillStep::Moved(to) => {
                let to = to.as_ref().map(BackfillCursor::to_text);
                return Ok(LaneWork::BackfillMoved(BackfillMove { from: cursor.to_owned(), to }));
            }
        };
        let number = lane.backfill_page.to_string();
        // Resources can change until the page is accepted: then it is another request.
        let message_id =
            message::derive_message_id(&[&webhook.id, &source.id, "backfill", &number, &page.texts.concat()]);
        let content = LaneContent::Backfill(page);
        return Ok(LaneWork::Request(Box::new(LaneRequest::new((webhook, lane), source, message_id, content))));
    }
    load_live_work(at, webhook, source, (lane, scan))
}

/// Whether a webhook sends events of an account that may be moving. The lanes of its own webhooks stay where they are, because they
/// continue on the other instance. Those of the operator send what happened here, and nothing of an import.
fn may_send(at: &Snapshot<'_>, webhook: &Webhook, account: i64) -> Result<bool> {
    Ok(match accounts::find_state(at, account)? {
        AccountState::Active => true,
        AccountState::Frozen | AccountState::Moved => webhook.account.is_none(),
        AccountState::Importing => false,
    })
}

fn load_live_work(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    source: DirectorySource,
    (lane, scan): (LaneRow, Option<LaneScan>),
) -> Result<LaneWork> {
    let settings = &webhook.settings;
    let kinds = webhook.list_sent_kinds()?;
    let start = LaneScan::start(&lane, webhook);
    let before = scan.filter(|scan| !scan.is_urgent() && scan.has_same_start(&start)).unwrap_or(start);
    let selection =
        LaneEvents { configuration: source.configuration, after: before.until, until: lane.batch_end, kinds: &kinds };
    let events = lanes::list_lane_events(at, selection, limit_request(settings))?;
    let Some(batch) = EventBatch::from_events(events, settings.payload, settings.format)? else {
        let (until, events) = lanes::find_scan_end(at, selection, SEARCHED_MAX)?;
        let until = lane.batch_end.unwrap_or(until);
        let scan = LaneScan { until, events: before.events.saturating_add(events), ..start };
        return Ok(LaneWork::Nothing { scan, has_more: until > before.until });
    };
    let message_id = derive_batch_id(webhook, &source, &batch);
    let request = LaneRequest::new((webhook, lane), source, message_id, LaneContent::Events(batch));
    Ok(LaneWork::Request(Box::new(LaneRequest { searched: before.until, ..request })))
}

/// Limits of the events of one request.
fn limit_request(settings: &WebhookSettings) -> LaneLimit {
    LaneLimit { events: settings.events_per_request(), bytes: BODY_MAX_BYTES, searched: SEARCHED_MAX }
}

/// The id of a request with events. Removed data and other settings make it another request.
fn derive_batch_id(webhook: &Webhook, source: &DirectorySource, batch: &EventBatch) -> String {
    let numbers =
        [batch.first, batch.last, webhook.content_revision, i64::try_from(batch.redacted).unwrap_or(i64::MAX)];
    let [first, last, revision, redacted] = numbers.map(|number| number.to_string());
    message::derive_message_id(&[&webhook.id, &source.id, &first, &last, &revision, &redacted])
}

/// Stores the end of a batch before it is sent, so that a restart sends the same batch. The lane moves past the events before the
/// batch that are not sent: then a retry finds the batch without a long search. Returns false if the lane or its
/// webhook was changed in between: the request must not be sent.
pub fn begin_request(tx: &Tx<'_>, request: &LaneRequest) -> Result<bool> {
    tx.allow_on_full_disk();
    let Some(webhook) = webhooks::find_webhook_by_key(tx, request.lane.webhook)? else { return Ok(false) };
    let mut lane = load_lane(tx, &webhook, request.lane.configuration)?;
    let is_changed = webhook.content_revision != request.content_revision || lane != request.lane;
    let may_send = may_send(tx, &webhook, request.source.account.key)?;
    if webhook.state != WebhookState::Active || is_changed || !may_send {
        return Ok(false);
    }
    lane.position = request.searched;
    let is_begun = match &request.content {
        LaneContent::Events(batch) => lane.batch_end.replace(batch.last) == Some(batch.last),
        LaneContent::Backfill(page) => {
            let end = page.end.to_text();
            lane.backfill_end.replace(end.clone()) == Some(end)
        }
    };
    if !is_begun {
        lanes::save_lane(tx, &lane)?;
    }
    Ok(true)
}

/// Records an attempt whose response has a status of success, and moves the lane.
pub fn record_success(tx: &Tx<'_>, request: &LaneRequest, attempt: &WebhookAttempt) -> Result<()> {
    tx.allow_on_full_disk();
    attempts::insert_attempt(tx, attempt)?;
    let Some(mut lane) = find_begun_lane(tx, request)? else { return Ok(()) };
    match &request.content {
        LaneContent::Events(batch) => {
            lane.position = batch.last;
            lane.batch_end = None;
        }
        LaneContent::Backfill(page) => {
            lane.backfill = Some(page.end.to_text());
            lane.backfill_end = None;
            lane.backfill_page += 1;
        }
    }
    lane.clear_failures();
    lanes::save_lane(tx, &lane)
}

/// What a lane does after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It tries again at this time.
    RetryAt(Millis),
    /// The last retry has failed.
    Stopped,
    /// An admin has moved it in the meantime: it goes on from there.
    Moved,
}

/// Records an attempt that failed.
pub fn record_failure(
    tx: &Tx<'_>,
    request: &LaneRequest,
    attempt: &WebhookAttempt,
    failure: FailedAttempt,
) -> Result<AfterFailure> {
    tx.allow_on_full_disk();
    attempts::insert_attempt(tx, attempt)?;
    if failure.is_gone {
        disable_webhook(tx, request.lane.webhook, DISABLED_GONE)?;
    }
    let Some(mut lane) = find_begun_lane(tx, request)? else { return Ok(AfterFailure::Moved) };
    lane.failures += 1;
    lane.failing_since.get_or_insert(tx.now);
    lane.last_error = Some(describe_attempt(attempt));
    let delay = retry::compute_delay(lane.failures, failure.chance, failure.retry_after);
    lane.next_attempt_at = delay.map(|delay| tx.now + delay);
    if delay.is_none() {
        lane.stopped_at = Some(tx.now);
        let entry = NewAuditEntry {
            action: "webhook.lane_stopped",
            account: Some(&request.source.account),
            configuration_id: Some(&request.source.id),
            after: lane.last_error.clone().map(serde_json::Value::String),
            ..NewAuditEntry::default()
        };
        audit::append_entry(tx, &AuditContext::server(), &entry)?;
    }
    lanes::save_lane(tx, &lane)?;
    Ok(lane.next_attempt_at.map_or(AfterFailure::Stopped, AfterFailure::RetryAt))
}

/// What is known of an attempt that failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailedAttempt {
    /// A random number for the time of the next attempt.
    pub chance: u32,
    /// The delay that the receiver asked for.
    pub retry_after: Option<Millis>,
    /// Whether the receiver answered 410: it wants no more requests.
    pub is_gone: bool,
}

/// The result of an attempt in one line.
pub fn describe_attempt(attempt: &WebhookAttempt) -> String {
    match (attempt.status, &attempt.error) {
        (_, Some(error)) => error.clone(),
        (Some(status), None) => format!("status {status}"),
        (None, None) => "no response".to_owned(),
    }
}

/// Returns the lane if it is where this request began: an admin may have moved it, or deleted the webhook. A change of the
/// settings clears the end of the batch, but not what the request has delivered.
fn find_begun_lane(tx: &Tx<'_>, request: &LaneRequest) -> Result<Option<LaneRow>> {
    let found = lanes::find_lane(tx, request.lane.webhook, request.lane.configuration)?;
    Ok(found.filter(|lane| match &request.content {
        LaneContent::Events(batch) => {
            lane.position == request.searched && lane.batch_end.is_none_or(|end| end == batch.last)
        }
        LaneContent::Backfill(page) => {
            let end = page.end.to_text();
            lane.backfill == request.lane.backfill && lane.backfill_end.as_ref().is_none_or(|stored| *stored == end)
        }
    }))
}

/// Records an attempt that belongs to no lane: a test or a repetition.
pub fn record_separate_attempt(tx: &Tx<'_>, attempt: &WebhookAttempt) -> Result<()> {
    tx.allow_on_full_disk();
    attempts::insert_attempt(tx, attempt)
}

/// Moves lanes past events that are not sent. A lane stays as it is if it was moved or has begun a batch in the meantime, or if
/// the settings of its webhook were changed.
pub fn record_scans(tx: &Tx<'_>, scans: &[(LaneKey, LaneScan)]) -> Result<()> {
    tx.allow_on_full_disk();
    for (key, scan) in scans {
        let Some(webhook) = webhooks::find_webhook_by_key(tx, key.webhook)? else { continue };
        let mut lane = load_lane(tx, &webhook, key.configuration)?;
        let is_same = LaneScan::start(&lane, &webhook).has_same_start(scan);
        if is_same && lane.backfill.is_none() && (lane.position < scan.until || scan.is_urgent()) {
            (lane.position, lane.batch_end) = (scan.until, None);
            // What has failed is not sent any more.
            lane.clear_failures();
            lanes::save_lane(tx, &lane)?;
        }
    }
    Ok(())
}

/// A change of the position in the current resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillMove {
    from: String,
    /// `None`: live events follow.
    to: Option<String>,
}

/// Moves a lane past current resources that are not sent.
pub fn move_backfill(tx: &Tx<'_>, key: LaneKey, change: &BackfillMove) -> Result<()> {
    let Some(webhook) = webhooks::find_webhook_by_key(tx, key.webhook)? else { return Ok(()) };
    let mut lane = load_lane(tx, &webhook, key.configuration)?;
    if lane.backfill.as_ref() == Some(&change.from) {
        lane.backfill.clone_from(&change.to);
        lane.backfill_end = None;
        lanes::save_lane(tx, &lane)?;
    }
    Ok(())
}

fn disable_webhook(tx: &Tx<'_>, key: i64, reason: &str) -> Result<()> {
    let Some(mut webhook) = webhooks::find_webhook_by_key(tx, key)? else { return Ok(()) };
    if webhook.state == WebhookState::Disabled {
        return Ok(());
    }
    webhook.state = WebhookState::Disabled;
    webhook.disabled_reason = Some(reason.to_owned());
    webhooks::save_webhook(tx, &webhook)?;
    webhooks::mark_changed(tx)?;
    let entry = NewAuditEntry {
        action: "webhook.disabled",
        account: webhook.account.as_ref(),
        subject_id: Some(&webhook.id),
        after: Some(serde_json::json!({"reason": reason})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, &AuditContext::server(), &entry)
}

/// Returns all webhooks.
pub fn list_all_webhooks(at: &Snapshot<'_>) -> Result<Vec<Webhook>> {
    webhooks::list_webhooks(at, None)
}

/// Returns the configuration with this key.
pub fn find_source(at: &Snapshot<'_>, configuration: i64) -> Result<Option<DirectorySource>> {
    directory::find_source_by_key(at, configuration)
}

/// Returns how many events of a lane wait, and since when. For rare kinds, the next events are searched.
pub fn count_waiting(at: &Snapshot<'_>, webhook: &Webhook, configuration: i64) -> Result<(u32, Option<Millis>)> {
    let lane = load_lane(at, webhook, configuration)?;
    let kinds = webhook.list_sent_kinds()?;
    let selection = LaneEvents { configuration, after: lane.position, until: None, kinds: &kinds };
    lanes::count_waiting(at, selection, SEARCHED_MAX)
}

/// Returns the lanes of a webhook that have a row.
pub fn list_lanes(at: &Snapshot<'_>, webhook: i64) -> Result<Vec<LaneRow>> {
    lanes::list_lanes(at, webhook)
}

/// A batch that was delivered before, to be sent again with the same content and id.
pub fn load_resend(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    source: &DirectorySource,
    (first, last): (i64, i64),
) -> Result<Option<LaneRequest>> {
    let kinds = webhook.list_sent_kinds()?;
    let selection =
        LaneEvents { configuration: source.configuration, after: first - 1, until: Some(last), kinds: &kinds };
    let settings = &webhook.settings;
    // A batch was found within as many events.
    let events = lanes::list_lane_events(at, selection, limit_request(settings))?;
    let Some(batch) = EventBatch::from_events(events, settings.payload, settings.format)? else { return Ok(None) };
    let message_id = derive_batch_id(webhook, source, &batch);
    let lane = load_lane(at, webhook, source.configuration)?;
    Ok(Some(LaneRequest::new((webhook, lane), source.clone(), message_id, LaneContent::Events(batch))))
}
