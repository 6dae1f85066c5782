//! One step of a lane: read what it sends next, store the end of the batch, send it, store the result.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::DispatchContext;
use super::scheduler::{EndpointSignal, NextStep, SLOW_MS};
use super::sender::{OpenEndpoint, OutgoingMessage, SendOutcome};
use crate::auth::secret;
use crate::clock;
use crate::error::Result;
use crate::log;
use crate::management::instance;
use crate::model::webhook::WebhookFormat;
use crate::provisioning::webhook_delivery::{
    self as lanes, AfterFailure, FailedAttempt, LaneContent, LaneKey, LaneRequest, LaneScan, LaneWork, WebhookAttempt,
};
use crate::store::WorkOwner;

/// Interval of the checks whether a purge has ended.
const PURGE_CHECK_MS: i64 = 500;
/// Delay after an error of the store.
const STORE_RETRY_MS: i64 = 1_000;

/// Mean time from the start of a request to the next one of the same lane, while events arrive all the time: they are sent
/// together, so that a busy identity provider does not cause a request for each of its changes.
const PACE_MS: u32 = 200;

/// The end of a step.
#[derive(Debug)]
pub(super) struct LaneReport {
    pub(super) key: LaneKey,
    pub(super) step: NextStep,
    pub(super) signal: EndpointSignal,
    /// What need not be searched again.
    pub(super) scan: Option<LaneScan>,
}

/// Runs one step of a lane.
pub(super) async fn run_lane_step(
    context: Arc<DispatchContext>,
    endpoint: Arc<OpenEndpoint>,
    key: LaneKey,
    scan: Option<LaneScan>,
) -> LaneReport {
    let failed = |problem: crate::error::Error| {
        tracing::warn!(webhook = %endpoint.webhook.id, %problem, "a step of a webhook failed and will be retried");
        let step = NextStep::RetryAt(clock::current_millis() + STORE_RETRY_MS);
        LaneReport { key, step, signal: EndpointSignal::None, scan: None }
    };
    run_step(&context, &endpoint, key, scan).await.unwrap_or_else(failed)
}

async fn run_step(
    context: &DispatchContext,
    endpoint: &OpenEndpoint,
    key: LaneKey,
    scan: Option<LaneScan>,
) -> Result<LaneReport> {
    let report = |step, scan| LaneReport { key, step, signal: EndpointSignal::None, scan };
    let work = context.store.read_inline(|at| lanes::load_lane_work(at, &endpoint.webhook, key.configuration, scan))?;
    match work {
        LaneWork::Halted => Ok(report(NextStep::Halt, None)),
        LaneWork::Postponed => Ok(report(NextStep::RetryAt(clock::current_millis() + PURGE_CHECK_MS), None)),
        LaneWork::BackfillMoved(change) => {
            context.store.write_as(WorkOwner::Background, move |tx| lanes::move_backfill(tx, key, &change)).await?;
            Ok(report(NextStep::Continue, None))
        }
        LaneWork::Nothing { scan, .. } if scan.is_urgent() => {
            context.store.write_as(WorkOwner::Background, move |tx| lanes::record_scans(tx, &[(key, scan)])).await?;
            Ok(report(NextStep::Continue, None))
        }
        LaneWork::Nothing { scan, has_more } => {
            Ok(report(if has_more { NextStep::Continue } else { NextStep::Rest }, Some(scan)))
        }
        LaneWork::Request(request) => send_request(context, endpoint, key, *request).await,
    }
}

async fn send_request(
    context: &DispatchContext,
    endpoint: &OpenEndpoint,
    key: LaneKey,
    request: LaneRequest,
) -> Result<LaneReport> {
    let issuer = match endpoint.webhook.settings.format {
        WebhookFormat::Set => context.store.read_inline(instance::get_public_url)?,
        _ => String::new(),
    };
    let message = OutgoingMessage::for_request(endpoint, &request, &issuer)?;
    let request = Arc::new(request);
    let begun = Arc::clone(&request);
    let is_begun = context.store.write_as(WorkOwner::Background, move |tx| lanes::begin_request(tx, &begun)).await?;
    if !is_begun {
        // An admin has changed the lane or the webhook.
        return Ok(LaneReport { key, step: NextStep::Continue, signal: EndpointSignal::None, scan: None });
    }
    let begun_at = clock::current_millis();
    let outcome = context.sender.send(endpoint, &message).await;
    let attempt = build_attempt(&request, &message, &outcome);
    let cause = request.request_id().map(Arc::from);
    log::resume_request(cause, || log_attempt(endpoint, &request, &attempt));
    context.statistics.record_attempt(outcome.is_success(), outcome.duration_ms);
    if outcome.is_success() {
        let events = request.texts().0.len() as u64;
        let step = find_step_after_success(endpoint, &request, begun_at);
        context.statistics.events.fetch_add(events, Ordering::Relaxed);
        context.store.write_as(WorkOwner::Background, move |tx| lanes::record_success(tx, &request, &attempt)).await?;
        let signal = if outcome.duration_ms > SLOW_MS { EndpointSignal::Slow } else { EndpointSignal::Fast };
        return Ok(LaneReport { key, step, signal, scan: None });
    }
    let failure =
        FailedAttempt { chance: draw_chance(), retry_after: outcome.retry_after, is_gone: outcome.status == Some(410) };
    let next = context
        .store
        .write_as(WorkOwner::Background, move |tx| lanes::record_failure(tx, &request, &attempt, failure))
        .await?;
    let signal = match outcome.status {
        Some(429 | 502 | 503 | 504) => EndpointSignal::Throttled,
        _ => EndpointSignal::Slow,
    };
    let step = match next {
        AfterFailure::RetryAt(at) => NextStep::RetryAt(at),
        AfterFailure::Stopped => NextStep::Halt,
        AfterFailure::Moved => NextStep::Continue,
    };
    Ok(LaneReport { key, step, signal, scan: None })
}

/// A lane that has sent everything waits a little for more. One that has more to send goes on at once.
fn find_step_after_success(endpoint: &OpenEndpoint, request: &LaneRequest, begun_at: i64) -> NextStep {
    let (texts, newest_at) = request.texts();
    let is_full = texts.len() >= usize::try_from(endpoint.webhook.settings.events_per_request()).unwrap_or(usize::MAX);
    let has_old_events = newest_at + i64::from(PACE_MS) <= begun_at;
    if request.event_range().is_none() || is_full || has_old_events {
        return NextStep::Continue;
    }
    // Lanes that began with the same event must not send at the same time for ever.
    let pause = PACE_MS / 2 + draw_chance() % PACE_MS;
    NextStep::RetryAt(begun_at + i64::from(pause))
}

fn draw_chance() -> u32 {
    secret::random_bytes().map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Describes an attempt for the database.
pub(super) fn build_attempt(request: &LaneRequest, message: &OutgoingMessage, outcome: &SendOutcome) -> WebhookAttempt {
    let range = request.event_range();
    WebhookAttempt {
        webhook: request.lane.webhook,
        configuration: request.lane.configuration,
        from_seq: range.map(|(first, _)| first),
        to_seq: range.map(|(_, last)| last),
        number: request.lane.failures + 1,
        ..build_separate_attempt(message, outcome)
    }
}

/// The same without a lane.
pub(super) fn build_separate_attempt(message: &OutgoingMessage, outcome: &SendOutcome) -> WebhookAttempt {
    WebhookAttempt {
        message_id: message.id().to_owned(),
        number: 1,
        succeeded: outcome.is_success(),
        status: outcome.status,
        error: outcome.error.clone(),
        response: outcome.response.clone(),
        duration_ms: outcome.duration_ms,
        at: outcome.at,
        ..WebhookAttempt::default()
    }
}

/// The line has the id of the request that made the first change.
fn log_attempt(endpoint: &OpenEndpoint, request: &LaneRequest, attempt: &WebhookAttempt) {
    let (first, last) = request.event_range().unwrap_or_default();
    let backfill = matches!(request.content, LaneContent::Backfill(_));
    let (status, duration) = (attempt.status.unwrap_or_default(), attempt.duration_ms);
    let (webhook, configuration) = (endpoint.webhook.id.as_str(), request.source.id.as_str());
    if attempt.succeeded {
        tracing::info!(
            webhook,
            configuration,
            message_id = attempt.message_id,
            first,
            last,
            backfill,
            status,
            duration_ms = duration,
            "events were delivered"
        );
    } else {
        tracing::warn!(
            webhook,
            configuration,
            message_id = attempt.message_id,
            first,
            last,
            backfill,
            status,
            duration_ms = duration,
            attempt = attempt.number,
            error = lanes::describe_attempt(attempt),
            "events were not delivered and will be sent again"
        );
    }
}
