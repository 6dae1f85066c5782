//! The loop of the delivery: notices new events and changed webhooks, and starts the lanes whose turn it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::lane_task::{LaneReport, build_attempt, build_separate_attempt, run_lane_step};
use super::pending_scans::PendingScans;
use super::scheduler::{EndpointSignal, NextStep, Scheduler};
use super::sender::{OpenEndpoint, OutgoingMessage, SendOutcome};
use super::statistics::DeliveryStatistics;
use super::{DispatchContext, SendingOrder, open_endpoint};
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::instance;
use crate::model::webhook::{Webhook, WebhookState};
use crate::provisioning::feed;
use crate::provisioning::webhook_delivery::{self as lanes, ConfigurationEnd, LaneKey, LaneRow, LaneScan};
use crate::store::{Tx, WorkOwner};

/// Interval of the check for changes by other processes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the counts of waiting events.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// Time that requests in flight have when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Rows that one read returns.
const ROWS_PER_READ: u32 = 1_000;
/// Numbers of events that one read searches for configurations with new events.
const EVENTS_PER_READ: i64 = 10_000;
/// Most lanes whose waiting events are counted.
const COUNTED_LANES_MAX: usize = 200;

/// Runs until the delivery stops.
pub(super) async fn run(context: DispatchContext, mut orders: mpsc::Receiver<SendingOrder>) {
    let mut stop = context.stop.clone();
    let mut events = context.store.subscribe_to_events();
    let context = Arc::new(context);
    let mut dispatcher = Dispatcher::new(Arc::clone(&context));
    let mut separate = JoinSet::new();
    while !*stop.borrow() {
        events.mark_unchanged();
        if let Err(problem) = dispatcher.notice_changes().await {
            tracing::warn!(%problem, "webhooks could not be read; they will be read again");
        }
        dispatcher.start_lanes();
        dispatcher.update_statistics();
        let scans = dispatcher.scans.take_due(Instant::now());
        if !scans.is_empty() {
            separate.spawn(store_scans(Arc::clone(&dispatcher.context), scans));
        }
        let wait = dispatcher.time_to_wait();
        tokio::select! {
            report = dispatcher.running.join_next(), if !dispatcher.running.is_empty() => dispatcher.finish(report),
            _ = separate.join_next(), if !separate.is_empty() => {}
            // Without a webhook that sends, events do not matter, and waking up for each commit would cost every write.
            _ = events.changed(), if dispatcher.sends_events() => {}
            () = context.changes.notified() => {}
            order = orders.recv() => {
                if let Some(order) = order {
                    separate.spawn(carry_out(Arc::clone(&context), order));
                }
            }
            _ = stop.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    orders.close();
    let end = async {
        while dispatcher.running.join_next().await.is_some() {}
        while separate.join_next().await.is_some() {}
    };
    // Requests that do not end in time are sent again after the start, with the same ids.
    drop(timeout(STOP_PATIENCE, end).await);
}

struct Dispatcher {
    context: Arc<DispatchContext>,
    scheduler: Scheduler,
    endpoints: HashMap<i64, Arc<OpenEndpoint>>,
    /// Events that are not sent, after the positions of lanes.
    scans: PendingScans,
    running: JoinSet<LaneReport>,
    /// The last change of a webhook that was noticed.
    revision: Option<i64>,
    /// The last event that was noticed.
    last_event: i64,
    /// Whether waiting lanes try at once: after the start.
    is_first: bool,
    counted_at: Option<Instant>,
}

impl Dispatcher {
    fn new(context: Arc<DispatchContext>) -> Self {
        Self {
            context,
            scheduler: Scheduler::default(),
            endpoints: HashMap::new(),
            scans: PendingScans::new(Instant::now()),
            running: JoinSet::new(),
            revision: None,
            last_event: 0,
            is_first: true,
            counted_at: None,
        }
    }

    /// Whether there is a webhook that sends. A new one is noticed by the signal of its change, or by the next check.
    fn sends_events(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Notices changed webhooks and new events.
    async fn notice_changes(&mut self) -> Result<()> {
        let revision = self.context.store.read_inline(lanes::find_revision)?;
        if self.revision != Some(revision) {
            self.load_webhooks().await?;
            self.revision = Some(revision);
            self.is_first = false;
        }
        if self.endpoints.is_empty() {
            return Ok(());
        }
        loop {
            let after = self.last_event;
            let (found, until) =
                self.context.store.read_inline(|at| lanes::list_event_sightings(at, after, EVENTS_PER_READ))?;
            for event in &found {
                for (webhook, endpoint) in &self.endpoints {
                    if endpoint.webhook.covers_account(event.account) {
                        let key = LaneKey { webhook: *webhook, configuration: event.configuration };
                        self.scheduler.notice_event(key, event.account);
                    }
                }
            }
            if until == after {
                return Ok(());
            }
            self.last_event = until;
            yield_now().await;
        }
    }

    /// Reads the webhooks again, and finds the lanes that have something to do.
    async fn load_webhooks(&mut self) -> Result<()> {
        let store = self.context.store.clone();
        // Later events are noticed one by one.
        self.last_event = store.read_inline(feed::find_end)?;
        let active: Vec<Webhook> = store
            .read_inline(lanes::list_all_webhooks)?
            .into_iter()
            .filter(|webhook| webhook.state == WebhookState::Active)
            .collect();
        for webhook in self.scheduler.endpoints() {
            if !active.iter().any(|one| one.key == webhook) {
                self.scheduler.remove_endpoint(webhook);
            }
        }
        self.endpoints.clear();
        self.scans.clear();
        if active.is_empty() {
            return Ok(());
        }
        let ends = self.list_ends().await?;
        for webhook in active {
            let id = webhook.id.clone();
            match open_endpoint(&store, &self.context.sender, webhook) {
                Ok(endpoint) => self.add_endpoint(endpoint, &ends)?,
                Err(problem) => {
                    tracing::error!(webhook = id, %problem, "a webhook cannot send: rotate its key and enter its headers again");
                }
            }
            yield_now().await;
        }
        Ok(())
    }

    async fn list_ends(&self) -> Result<Vec<ConfigurationEnd>> {
        let mut ends: Vec<ConfigurationEnd> = Vec::new();
        loop {
            let after = ends.last().map_or(0, |end| end.configuration);
            let page = self.context.store.read_inline(|at| lanes::list_configuration_ends(at, after, ROWS_PER_READ))?;
            let is_last = page.len() < usize::try_from(ROWS_PER_READ).unwrap_or(usize::MAX);
            ends.extend(page);
            if is_last {
                return Ok(ends);
            }
            yield_now().await;
        }
    }

    fn add_endpoint(&mut self, endpoint: OpenEndpoint, ends: &[ConfigurationEnd]) -> Result<()> {
        let webhook = endpoint.webhook.clone();
        self.scheduler.set_endpoint(webhook.key, webhook.settings.rate_limit);
        self.endpoints.insert(webhook.key, Arc::new(endpoint));
        let rows = self.context.store.read_inline(|at| lanes::list_lanes(at, webhook.key))?;
        let rows: HashMap<i64, LaneRow> = rows.into_iter().map(|row| (row.configuration, row)).collect();
        for end in ends.iter().filter(|end| webhook.covers_account(end.account)) {
            let row = rows.get(&end.configuration);
            let key = LaneKey { webhook: webhook.key, configuration: end.configuration };
            let step = find_first_step(&webhook, row, end, self.is_first);
            self.scheduler.set_lane(key, end.account, step);
        }
        Ok(())
    }

    fn start_lanes(&mut self) {
        while let Some(key) = self.scheduler.start_next(clock::current_millis()) {
            let Some(endpoint) = self.endpoints.get(&key.webhook).cloned() else {
                self.scheduler.finish(key, clock::current_millis(), NextStep::Rest, EndpointSignal::None);
                continue;
            };
            let scan = self.scans.find(key);
            self.running.spawn(run_lane_step(Arc::clone(&self.context), endpoint, key, scan));
        }
    }

    fn finish(&mut self, report: Option<std::result::Result<LaneReport, tokio::task::JoinError>>) {
        let Some(Ok(LaneReport { key, step, signal, scan })) = report else { return };
        self.scans.set(key, scan);
        self.scheduler.finish(key, clock::current_millis(), step, signal);
    }

    fn time_to_wait(&self) -> Duration {
        let now = clock::current_millis();
        let next = self.scheduler.next_time(now).map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
        next.map_or(CHECK_INTERVAL, |next| next.clamp(Duration::from_millis(1), CHECK_INTERVAL))
    }

    fn update_statistics(&mut self) {
        let statistics = &self.context.statistics;
        let (waiting, stopped) = self.scheduler.count_lanes();
        DeliveryStatistics::set(&statistics.in_flight, self.scheduler.in_flight());
        DeliveryStatistics::set(&statistics.waiting_lanes, waiting);
        DeliveryStatistics::set(&statistics.stopped_lanes, stopped);
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_INTERVAL) {
            return;
        }
        self.counted_at = Some(Instant::now());
        let (mut events, mut oldest) = (0, None);
        for key in self.scheduler.list_lanes(COUNTED_LANES_MAX) {
            let Some(endpoint) = self.endpoints.get(&key.webhook) else { continue };
            let counted =
                self.context.store.read_inline(|at| lanes::count_waiting(at, &endpoint.webhook, key.configuration));
            let Ok((count, since)) = counted else { continue };
            events += count as usize;
            oldest = [oldest, since].into_iter().flatten().min();
        }
        let age = oldest.map_or(0, |since| clock::current_millis() - since);
        DeliveryStatistics::set(&statistics.waiting_events, events);
        DeliveryStatistics::set(&statistics.oldest_age_ms, usize::try_from(age).unwrap_or(0));
    }
}

/// What a lane does when its webhook is loaded. After the start, and when an admin resumed it, it does not wait.
fn find_first_step(webhook: &Webhook, row: Option<&LaneRow>, end: &ConfigurationEnd, is_first: bool) -> NextStep {
    let Some(row) = row else {
        let has_backfill = webhook.backfill_until.is_some_and(|until| end.configuration <= until);
        return if has_backfill || end.end > webhook.start_seq { NextStep::Continue } else { NextStep::Rest };
    };
    if row.stopped_at.is_some() {
        return NextStep::Halt;
    }
    match row.next_attempt_at {
        Some(at) if !is_first => NextStep::RetryAt(at),
        _ if row.backfill.is_some() || row.batch_end.is_some() || end.end > row.position => NextStep::Continue,
        _ => NextStep::Rest,
    }
}

async fn store_scans(context: Arc<DispatchContext>, scans: Vec<(LaneKey, LaneScan)>) {
    let store = move |tx: &Tx<'_>| lanes::record_scans(tx, &scans);
    if let Err(problem) = context.store.write_as(WorkOwner::Background, store).await {
        tracing::warn!(%problem, "positions of webhooks were not stored; their events will be searched again");
    }
}

/// Carries out a test or a repetition.
async fn carry_out(context: Arc<DispatchContext>, order: SendingOrder) {
    match order {
        SendingOrder::Test { webhook, reply } => {
            drop(reply.send(send_test(&context, *webhook).await));
        }
        SendingOrder::Resend { webhook, configuration, batches } => {
            let id = webhook.id.clone();
            if let Err(problem) = resend(&context, *webhook, configuration, batches).await {
                tracing::warn!(webhook = id, %problem, "events could not be sent again");
            }
        }
    }
}

async fn send_test(context: &DispatchContext, webhook: Webhook) -> Result<SendOutcome> {
    let key = webhook.key;
    let endpoint = open_endpoint(&context.store, &context.sender, webhook)?;
    let issuer = context.store.read_inline(instance::get_public_url)?;
    let message = OutgoingMessage::for_test(&endpoint, &issuer)?;
    let outcome = context.sender.send(&endpoint, &message).await;
    let attempt = lanes::WebhookAttempt { webhook: key, ..build_separate_attempt(&message, &outcome) };
    context.statistics.record_attempt(outcome.is_success(), outcome.duration_ms);
    context.store.write_as(WorkOwner::Background, move |tx| lanes::record_separate_attempt(tx, &attempt)).await?;
    Ok(outcome)
}

async fn resend(
    context: &DispatchContext,
    webhook: Webhook,
    configuration: i64,
    batches: Vec<(i64, i64)>,
) -> Result<()> {
    let endpoint = open_endpoint(&context.store, &context.sender, webhook)?;
    let issuer = context.store.read_inline(instance::get_public_url)?;
    let not_found = || Error::new(Reason::ConfigurationNoLongerExists);
    let source = context.store.read_inline(|at| lanes::find_source(at, configuration))?.ok_or_else(not_found)?;
    for range in batches {
        let request = context.store.read_inline(|at| lanes::load_resend(at, &endpoint.webhook, &source, range))?;
        let Some(request) = request else { continue };
        let message = OutgoingMessage::for_request(&endpoint, &request, &issuer)?.as_resend();
        let outcome = context.sender.send(&endpoint, &message).await;
        context.statistics.record_attempt(outcome.is_success(), outcome.duration_ms);
        let is_success = outcome.is_success();
        let attempt = lanes::WebhookAttempt { resend: true, number: 1, ..build_attempt(&request, &message, &outcome) };
        context.store.write_as(WorkOwner::Background, move |tx| lanes::record_separate_attempt(tx, &attempt)).await?;
        // The attempt shows why. The next ones would fail too.
        if !is_success {
            break;
        }
    }
    Ok(())
}
