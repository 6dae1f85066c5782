//! Lanes of webhooks as admins see them, and alerts about those that fail.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::management::webhooks::find_webhook;
use crate::model::account::AccountRef;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::ids;
use crate::model::webhook::{DeliveryHealth, FAILING_ALERT_MS, LaneState, Webhook, WebhookState, retry};
use crate::named_enum::named_enum;
use crate::provisioning::webhook_delivery;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::directory::{self, DirectorySource};
use crate::store::tables::webhook_lanes::{self as rows, LaneEvents, LaneRow};
use crate::store::tables::webhook_progress::{self, FailingDeliveries};
use crate::store::tables::{events, webhooks};
use crate::store::{Snapshot, Tx};

/// Most failing lanes that are checked for alerts.
const ALERTS_MAX: u32 = 1_000;

/// A lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookLane {
    /// Id of the configuration.
    pub configuration_id: String,
    /// Its account.
    pub account: AccountRef,
    /// Its state.
    pub state: LaneState,
    /// Number of the last event that was delivered or skipped.
    pub position: i64,
    /// Whether current resources are sent first.
    pub is_backfilling: bool,
    /// Number of waiting events, at most 10,000.
    pub waiting: u32,
    /// Time of the first waiting event.
    pub waiting_since: Option<Millis>,
    /// Failed attempts of the current batch.
    pub failures: u32,
    /// Time of the next attempt.
    pub next_attempt_at: Option<Millis>,
    /// When the last retry failed.
    pub stopped_at: Option<Millis>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Where a lane goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// With the batch that was not delivered.
    Next,
    /// After the newest event: what waits is skipped.
    Latest,
    /// After the event with this number.
    After(i64),
}

named_enum! {
    /// How serious the failures of a lane are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum LaneAlertLevel {
        /// For at least an hour.
        FailingForAnHour = "failing_for_an_hour",
        /// Half of the retry schedule has passed.
        HalfOfRetries = "half_of_retries",
        /// 70 % have passed.
        MostRetries = "most_retries",
        /// 90 % have passed.
        LastRetries = "last_retries",
        /// Nothing is sent until an admin resumes the lane.
        Stopped = "stopped",
    }
}

/// A lane that needs an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneAlert {
    /// The webhook.
    pub webhook: Webhook,
    /// Id of the configuration.
    pub configuration_id: String,
    /// Its account.
    pub account: AccountRef,
    /// How serious it is.
    pub level: LaneAlertLevel,
    /// Time of the first failure.
    pub since: Millis,
    /// Why the last attempt failed.
    pub last_error: String,
}

/// Returns at most `limit` lanes of a webhook, for configurations with keys after `after`, and the key of each.
pub fn list_lanes(at: &Snapshot<'_>, webhook: &Webhook, after: i64, limit: u32) -> Result<Vec<(i64, WebhookLane)>> {
    let account = webhook.account.clone().map(crate::model::account::AccountFilter::Only);
    let sources = directory::list_sources(at, account.as_ref(), after + 1, limit)?;
    sources.into_iter().map(|source| Ok((source.configuration, load_lane_view(at, webhook, &source)?))).collect()
}

fn load_lane_view(at: &Snapshot<'_>, webhook: &Webhook, source: &DirectorySource) -> Result<WebhookLane> {
    let lane = webhook_delivery::load_lane(at, webhook, source.configuration)?;
    let (waiting, waiting_since) = webhook_delivery::count_waiting(at, webhook, source.configuration)?;
    let state = match webhook.state {
        _ if lane.stopped_at.is_some() => LaneState::Stopped,
        WebhookState::Paused | WebhookState::Disabled => LaneState::Paused,
        WebhookState::Active if lane.failures > 0 => LaneState::Retrying,
        WebhookState::Active if lane.batch_end.is_some() || lane.backfill_end.is_some() || waiting > 0 => {
            LaneState::Sending
        }
        WebhookState::Active => LaneState::Idle,
    };
    Ok(WebhookLane {
        configuration_id: source.id.clone(),
        account: source.account.clone(),
        state,
        position: lane.position,
        is_backfilling: lane.backfill.is_some(),
        waiting,
        waiting_since,
        failures: lane.failures,
        next_attempt_at: lane.next_attempt_at,
        stopped_at: lane.stopped_at,
        last_error: lane.last_error,
    })
}

/// Resumes a lane that waits for a retry or has stopped, and returns it. What it skips is counted in the audit log.
///
/// # Errors
/// `NotFound`. `Invalid` if the number is not in the range of the stored events.
pub fn resume_lane(
    tx: &Tx<'_>,
    context: &AuditContext,
    (id, configuration): (&str, &str),
    from: ResumeFrom,
) -> Result<WebhookLane> {
    let (webhook, source) = find_lane_source(tx, &context.scope, id, configuration)?;
    let mut lane = webhook_delivery::load_lane(tx, &webhook, source.configuration)?;
    let (oldest, newest) = events::find_event_range(tx)?;
    let before = lane.position;
    match from {
        ResumeFrom::Next => {}
        ResumeFrom::Latest => lane.position = newest,
        ResumeFrom::After(seq) if (oldest..=newest).contains(&seq) => lane.position = seq,
        ResumeFrom::After(_) => {
            return Err(Reason::NumberOutOfRange.on_field("from").with("min", oldest).with("max", newest));
        }
    }
    let mut skipped = 0;
    if from != ResumeFrom::Next {
        (lane.batch_end, lane.backfill, lane.backfill_end) = (None, None, None);
        let kinds = webhook.list_sent_kinds()?;
        let skipping = LaneEvents {
            configuration: source.configuration,
            after: before,
            until: Some(lane.position),
            kinds: &kinds,
        };
        skipped = rows::count_waiting(tx, skipping, u32::MAX)?.0;
    }
    lane.failures = 0;
    (lane.failing_since, lane.next_attempt_at, lane.stopped_at) = (None, None, None);
    rows::save_lane(tx, &lane)?;
    webhooks::mark_changed(tx)?;
    let entry = NewAuditEntry {
        action: "webhook.lane_resumed",
        account: Some(&source.account),
        configuration_id: Some(&source.id),
        subject_id: Some(&webhook.id),
        before: Some(serde_json::json!({"position": before})),
        after: Some(serde_json::json!({"position": lane.position, "skippedEvents": skipped})),
    };
    audit::append_entry(tx, context, &entry)?;
    load_lane_view(tx, &webhook, &source)
}

/// Returns a webhook and a configuration whose events it sends.
///
/// # Errors
/// `NotFound`.
pub fn find_lane_source(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    id: &str,
    configuration: &str,
) -> Result<(Webhook, DirectorySource)> {
    let webhook = find_webhook(at, scope, id)?;
    let source = directory::find_source_by_id(at, configuration)?
        .filter(|source| webhook.covers_account(source.account.key))
        .ok_or_else(|| Reason::ConfigurationNotFound.with("id", ids::name_in_message(configuration)))?;
    Ok((webhook, source))
}

/// Returns the lanes that need an admin, most serious first.
pub fn list_alerts(at: &Snapshot<'_>, scope: &AccountScope, now: Millis) -> Result<Vec<LaneAlert>> {
    let mut alerts = Vec::new();
    for lane in rows::list_failing_lanes(at, ALERTS_MAX)? {
        let Some(level) = rate_lane(&lane, now) else { continue };
        let Some(webhook) = webhooks::find_webhook_by_key(at, lane.webhook)? else { continue };
        let Some(source) = directory::find_source_by_key(at, lane.configuration)? else { continue };
        let is_covered = match (scope.account(), &webhook.account) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(account)) => scope.covers(account) && scope.covers(&source.account),
        };
        if webhook.state != WebhookState::Active || !is_covered {
            continue;
        }
        alerts.push(LaneAlert {
            webhook,
            configuration_id: source.id,
            account: source.account,
            level,
            since: lane.failing_since.unwrap_or(now),
            last_error: lane.last_error.unwrap_or_default(),
        });
    }
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.level), alert.since));
    Ok(alerts)
}

/// Returns the health of the deliveries of a configuration, to the webhooks that the account scope covers.
pub fn find_delivery_health(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration: i64,
    now: Millis,
) -> Result<DeliveryHealth> {
    webhook_progress::find_delivery_health(at, configuration, select_failing(scope, now))
}

/// The same for all configurations with failing deliveries, by key.
pub fn list_delivery_health(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    now: Millis,
) -> Result<HashMap<i64, DeliveryHealth>> {
    webhook_progress::list_delivery_health(at, select_failing(scope, now))
}

fn select_failing(scope: &AccountScope, now: Millis) -> FailingDeliveries {
    FailingDeliveries { account: scope.account().map(|account| account.key), since: now - FAILING_ALERT_MS }
}

fn rate_lane(lane: &LaneRow, now: Millis) -> Option<LaneAlertLevel> {
    if lane.stopped_at.is_some() {
        return Some(LaneAlertLevel::Stopped);
    }
    match retry::elapsed_percent(lane.failures.saturating_sub(1)) {
        90.. => Some(LaneAlertLevel::LastRetries),
        70.. => Some(LaneAlertLevel::MostRetries),
        50.. => Some(LaneAlertLevel::HalfOfRetries),
        _ if lane.failing_since.is_some_and(|since| now - since >= FAILING_ALERT_MS) => {
            Some(LaneAlertLevel::FailingForAnHour)
        }
        _ => None,
    }
}
