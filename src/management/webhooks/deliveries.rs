//! What webhooks have delivered, for the pages of admins: summaries, the events of a request, the events of a call.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::error::Result;
use crate::management::webhooks::{count_recent_attempts, list_webhooks};
use crate::model::audit_context::AccountScope;
use crate::model::event::Event;
use crate::model::webhook::{BATCH_MAX, Webhook};
use crate::provisioning::directory::DirectorySource;
use crate::store::Snapshot;
use crate::store::tables::events;
use crate::store::tables::webhook_lanes::{self, LaneEvents, LaneLimit};
use crate::store::tables::webhook_progress::{self, WaitingLimit, WebhookLanes};
pub use crate::store::tables::webhook_progress::{DeliveredEvent, find_first_delivery};

/// What is searched for the oldest event that waits for a webhook.
const SEARCHED: WaitingLimit = WaitingLimit { lanes: 2_000, lane_events: 10_000, events: 50_000 };
/// Failing lanes that are counted.
const FAILING_LANES_MAX: u32 = 1_000;
/// Newest attempts of a webhook that are counted.
const COUNTED_ATTEMPTS: u32 = 10_000;
/// Period of the counted attempts.
const COUNTED_PERIOD_MS: Millis = 86_400_000;
/// Most bytes of the payloads of a request. An event that is larger is returned alone.
const PAYLOADS_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Newest events of a resource among which those of a call are searched.
const SEARCHED_EVENTS: u32 = 200;
/// Events after the arrival of a call among which its own are searched.
const SEARCHED_AFTER_START: u32 = 5_000;
/// Time between the arrival of a call and its events, in addition to its duration.
const CALL_TOLERANCE_MS: Millis = 50;

/// What a list shows of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookSummary {
    /// The webhook.
    pub webhook: Webhook,
    /// Time of the oldest event that waits.
    pub oldest_waiting: Option<Millis>,
    /// Attempts of the last 24 hours, at most 10,000.
    pub attempts: u32,
    /// How many of them succeeded.
    pub succeeded: u32,
    /// Lanes whose last attempt failed, without those that have stopped.
    pub retrying_lanes: u32,
    /// Lanes that have stopped.
    pub stopped_lanes: u32,
}

/// Returns a summary of a webhook.
pub fn load_summary(at: &Snapshot<'_>, webhook: Webhook, now: Millis) -> Result<WebhookSummary> {
    let failing = count_failing_lanes(at)?;
    summarize_webhook(at, webhook, &failing, now)
}

/// Returns summaries of the webhooks of the account scope, oldest first.
///
/// # Errors
/// 403 while webhooks of accounts are off.
pub fn list_summaries(at: &Snapshot<'_>, scope: &AccountScope, now: Millis) -> Result<Vec<WebhookSummary>> {
    let failing = count_failing_lanes(at)?;
    list_webhooks(at, scope)?.into_iter().map(|webhook| summarize_webhook(at, webhook, &failing, now)).collect()
}

/// Numbers of lanes that retry and that have stopped, by the key of their webhook.
type FailingLanes = HashMap<i64, (u32, u32)>;

fn count_failing_lanes(at: &Snapshot<'_>) -> Result<FailingLanes> {
    let mut counts = FailingLanes::new();
    for lane in webhook_lanes::list_failing_lanes(at, FAILING_LANES_MAX)? {
        let (retrying, stopped) = counts.entry(lane.webhook).or_default();
        *(if lane.stopped_at.is_some() { stopped } else { retrying }) += 1;
    }
    Ok(counts)
}

fn summarize_webhook(
    at: &Snapshot<'_>,
    webhook: Webhook,
    failing: &FailingLanes,
    now: Millis,
) -> Result<WebhookSummary> {
    let kinds = webhook.list_sent_kinds()?;
    let lanes = WebhookLanes {
        webhook: webhook.key,
        account: webhook.account.as_ref().map(|account| account.key),
        start_seq: webhook.start_seq,
        kinds: &kinds,
    };
    let oldest_waiting = webhook_progress::find_oldest_waiting(at, lanes, SEARCHED)?;
    let (succeeded, attempts) = count_recent_attempts(at, webhook.key, now - COUNTED_PERIOD_MS, COUNTED_ATTEMPTS)?;
    let (retrying_lanes, stopped_lanes) = failing.get(&webhook.key).copied().unwrap_or_default();
    Ok(WebhookSummary { webhook, oldest_waiting, attempts, succeeded, retrying_lanes, stopped_lanes })
}

/// Returns the events that a webhook sends for a range of a configuration, in order: those of a request, as far as they are
/// stored.
pub fn list_request_events(
    at: &Snapshot<'_>,
    webhook: &Webhook,
    source: &DirectorySource,
    (first, last): (i64, i64),
) -> Result<Vec<Event>> {
    let kinds = webhook.list_sent_kinds()?;
    let selection = LaneEvents {
        configuration: source.configuration,
        after: first.saturating_sub(1),
        until: Some(last),
        kinds: &kinds,
    };
    let limit = LaneLimit { events: BATCH_MAX, bytes: PAYLOADS_MAX_BYTES, searched: SEARCHED.lane_events };
    webhook_lanes::list_lane_events(at, selection, limit)
}

/// Returns the event of a configuration with this number, also one that waits to be published.
pub fn find_configuration_event(at: &Snapshot<'_>, configuration: i64, seq: i64) -> Result<Option<Event>> {
    let found = events::list_events_after(at, seq.saturating_sub(1), 1)?.pop();
    Ok(found.filter(|event| event.seq == seq && event.configuration == configuration))
}

/// The call of an identity provider whose events are searched.
#[derive(Debug, Clone)]
pub struct CallOrigin {
    /// Id of the request.
    pub request_id: String,
    /// Key of the configuration.
    pub configuration: i64,
    /// Id of the resource, if the call was about one.
    pub resource_id: Option<String>,
    /// When the call arrived.
    pub at: Millis,
    /// How long it took.
    pub duration: Millis,
}

/// Returns the events that a call caused, in order. Events of earlier versions have no id of a request: then these are the
/// events of its resource that were stored while it was served.
pub fn list_call_events(at: &Snapshot<'_>, call: &CallOrigin) -> Result<Vec<Event>> {
    let start = events::find_seq_at_time(at, call.at - CALL_TOLERANCE_MS)?;
    let caused = events::list_events_of_request(at, start, &call.request_id, SEARCHED_AFTER_START)?;
    if !caused.is_empty() {
        return Ok(caused);
    }
    let Some(resource_id) = &call.resource_id else { return Ok(caused) };
    let newest = events::list_resource_events(at, call.configuration, resource_id, i64::MAX, SEARCHED_EVENTS)?;
    let period = call.at - CALL_TOLERANCE_MS..=call.at + call.duration + CALL_TOLERANCE_MS;
    // An event with the id of another request is of that one.
    let is_own = |event: &Event| event.request_id.is_none() && period.contains(&event.created_at);
    let mut found: Vec<Event> = newest.into_iter().filter(is_own).collect();
    found.reverse();
    Ok(found)
}
