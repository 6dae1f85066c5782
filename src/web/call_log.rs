//! Logged calls, collected in memory and stored twice a second, without delay for the caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{self, Millis};
use crate::error::{Error, Reason, Result};
use crate::management::request_log::{self, CallTarget, RequestLogEntry};
use crate::model::configuration::ConfigurationKey;
use crate::model::request::{CallOutcome, LoggedCall};
use crate::store::{Store, WorkOwner};
use crate::web::request_log::{CallerIdentity, RecordedCall, build_entry};

/// Interval of storing, and the interval of the budgets below.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Most calls in memory; further calls are counted but not logged.
const CALLS_MAX: usize = 2_000;
/// From this number of calls on, they are stored before the interval ends.
const CALLS_FLUSH_EARLY: usize = 500;
/// Most bytes of bodies in memory; further calls are logged without bodies.
const BODIES_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Divisor of both: the last part of the memory is for accounts that use little of it.
const RESERVE_DIVISOR: usize = 4;
/// Divisor of both: what an account may use of that part.
const LIGHT_DIVISOR: usize = 16;
/// Account to which callers without a valid token are counted.
const NO_ACCOUNT: i64 = 0;
/// Calls of one account per interval, as a multiple of the numbers for one configuration below.
const ACCOUNT_FACTOR: usize = 4;
/// Logged reads with a valid token per configuration and interval; limits the cost of a flood of reads.
const READS_PER_INTERVAL: usize = 100;
/// Logged calls with status 429 per configuration and interval.
const RATE_LIMITED_PER_INTERVAL: usize = 10;
/// Successful calls that are logged with bodies per configuration and interval. Identity providers stay far below it.
/// Failed calls always keep their bodies.
const BODIES_PER_INTERVAL: usize = 100;
/// Further successful calls per configuration and interval that are logged with a request body of at most this length, as in a
/// fast first synchronization: the body says what was changed. The others are logged without bodies.
const SMALL_BODIES_PER_INTERVAL: usize = 400;
const SMALL_BODY_MAX_BYTES: usize = 1024;
/// Logged calls without a valid token per configuration and minute, so that they cannot displace authenticated calls;
/// and the most configurations that are counted.
pub(crate) const UNAUTHENTICATED_PER_MINUTE: u32 = 30;
const UNAUTHENTICATED_CONFIGURATIONS_MAX: usize = 1_000;
const MINUTE_MS: Millis = 60_000;
/// Most calls per write, so that no other write waits long. Other writes run between two of them, in the same transaction.
const CALLS_PER_BATCH: usize = 40;
/// Most bytes of bodies per write.
const BYTES_PER_BATCH: usize = 128 * 1024;
/// Most calls that are stored per interval while other writes wait too long.
const CALLS_UNDER_LOAD: usize = 200;
/// Most configurations whose missed calls are counted separately.
const MISSED_MAX: usize = 1_000;
/// Retries of a batch while the store is busy.
const RETRIES_MAX: u32 = 5;

/// Calls that are not stored yet. A crash loses at most the last second.
#[derive(Debug, Default)]
pub struct CallActivity {
    pending: Mutex<PendingCalls>,
    full: Notify,
}

#[derive(Debug, Default)]
struct PendingCalls {
    calls: Vec<RecordedCall>,
    body_bytes: usize,
    /// Calls and bytes of bodies in memory by account.
    accounts: HashMap<i64, [usize; 2]>,
    missed: HashMap<CallTarget, MissedCalls>,
    /// Calls since start that were not logged.
    missed_total: u64,
    budget: LogBudget,
}

/// Calls of a configuration that were not logged.
#[derive(Debug, Clone, Copy)]
struct MissedCalls {
    calls: u32,
    first: Millis,
    last: Millis,
}

/// Number of calls that may still be logged.
#[derive(Debug, Default)]
struct LogBudget {
    since: Millis,
    /// Use of each configuration in this interval.
    used: HashMap<ConfigurationKey, IntervalUse>,
    /// Use of all configurations of each account in this interval.
    used_by_account: HashMap<i64, IntervalUse>,
    minute: Millis,
    unauthenticated: HashMap<CallTarget, u32>,
}

/// Calls of a configuration or an account in this interval.
#[derive(Debug, Default)]
struct IntervalUse {
    reads: usize,
    with_bodies: usize,
    with_small_bodies: usize,
    rate_limited: usize,
}

impl CallActivity {
    /// Records a completed call.
    pub fn record(&self, call: RecordedCall) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.add(call);
        if pending.calls.len() == CALLS_FLUSH_EARLY {
            self.full.notify_one();
        }
    }

    /// Returns the number of calls in memory, the bytes of their bodies, and the calls since start that were not
    /// logged.
    pub fn figures(&self) -> [u64; 3] {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        [pending.calls.len() as u64, pending.body_bytes as u64, pending.missed_total]
    }

    /// Waits until the interval ends or enough calls are in memory.
    pub async fn wait_until_due(&self) {
        // Both outcomes mean that the calls are due.
        let _ = tokio::time::timeout(FLUSH_INTERVAL, self.full.notified()).await;
    }

    /// Stores the collected calls.
    ///
    /// # Errors
    /// Errors of the store. Calls that were not stored are lost, and counted as missed.
    pub async fn flush(&self, store: &Store) -> Result<()> {
        // The other writes have waited too long already: they are more important than the log, which gets fewer calls and none of
        // successful reads.
        let sheds_load = store.is_under_pressure();
        let (mut pending, mut missed) = self.drain();
        if sheds_load {
            let calls = std::mem::take(&mut pending.calls);
            let (reads, mut others): (Vec<_>, Vec<_>) = calls.into_iter().partition(RecordedCall::is_successful_read);
            let rest = others.split_off(others.len().min(CALLS_UNDER_LOAD));
            pending.calls = others;
            self.shed_calls(reads.into_iter().chain(rest), &mut missed);
        }
        self.flush_calls(store, pending.calls, missed).await
    }

    fn drain(&self) -> (PendingCalls, HashMap<CallTarget, MissedCalls>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = std::mem::take(&mut pending.budget);
        let missed_ever = pending.missed_total;
        let mut drained = std::mem::replace(
            &mut *pending,
            PendingCalls { missed_total: missed_ever, budget, ..PendingCalls::default() },
        );
        let missed = std::mem::take(&mut drained.missed);
        (drained, missed)
    }

    async fn flush_calls(
        &self,
        store: &Store,
        calls: Vec<RecordedCall>,
        missed: HashMap<CallTarget, MissedCalls>,
    ) -> Result<()> {
        let mut batches = LogBatches::default();
        for call in calls {
            batches.add(build_entry(call));
        }
        let total: u32 = missed.values().map(|missed| missed.calls).sum();
        if total > 0 {
            tracing::warn!(calls = total, "more calls arrived than the request log can store; they were served");
        }
        for (target, missed) in missed {
            batches.add(missed.to_entry(target));
        }
        let mut result = Ok(());
        for batch in batches.0 {
            if let Err((problem, lost)) = write_batch(store, batch.entries).await {
                self.count_missed(&lost);
                result = Err(problem);
            }
        }
        result
    }

    /// Counts calls that are not stored because other writes wait.
    fn shed_calls(&self, calls: impl Iterator<Item = RecordedCall>, missed: &mut HashMap<CallTarget, MissedCalls>) {
        let mut count = 0;
        for call in calls {
            count += 1;
            count_missed_call(missed, call.caller.configuration(), call.at, 1);
        }
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).missed_total += count;
    }

    /// Counts calls that could not be stored.
    fn count_missed(&self, lost: &[RequestLogEntry]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for RequestLogEntry { target, call, .. } in lost {
            pending.missed_total += u64::from(call.missed == 0);
            pending.count_missed(target.clone(), call.at, call.missed.max(1));
        }
    }
}

/// Stores one batch; retries after a short delay while the store is busy.
async fn write_batch(
    store: &Store,
    entries: Vec<RequestLogEntry>,
) -> std::result::Result<(), (Error, Vec<RequestLogEntry>)> {
    let entries = std::sync::Arc::new(entries);
    let mut tries = 0;
    loop {
        let batch = std::sync::Arc::clone(&entries);
        let written = store.write_as(WorkOwner::Background, move |tx| request_log::store_calls(tx, &batch)).await;
        match written {
            Ok(()) => return Ok(()),
            Err(error) if error.reason() == Reason::ServerBusy && tries < RETRIES_MAX => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20) * tries).await;
            }
            Err(problem) => return Err((problem, std::sync::Arc::unwrap_or_clone(entries))),
        }
    }
}

impl PendingCalls {
    /// Stores the call in memory, or only counts it if there is no room.
    fn add(&mut self, mut call: RecordedCall) {
        let account = find_account(&call);
        let [of_account, bytes_of_account] = self.accounts.get(&account).copied().unwrap_or_default();
        let has_room = self.budget.allows(&call) && has_share(CALLS_MAX, self.calls.len() + 1, of_account + 1);
        if !has_room {
            // Unauthenticated calls above their budget leave no trace, not even in the count of missed calls.
            if matches!(call.caller, CallerIdentity::Caller { .. }) {
                self.missed_total += 1;
                self.count_missed(call.caller.configuration(), call.at, 1);
            }
            return;
        }
        if call.status < 400 && call.replay.is_none() && !self.budget.allows_bodies(&call) {
            let is_small = self.budget.allows_small_bodies(&call);
            call.discard_large_bodies(if is_small { SMALL_BODY_MAX_BYTES } else { 0 });
        }
        let more = call.body_bytes();
        if !has_share(BODIES_MAX_BYTES, self.body_bytes + more, bytes_of_account + more) {
            call.discard_bodies();
        }
        self.body_bytes += call.body_bytes();
        self.accounts.insert(account, [of_account + 1, bytes_of_account + call.body_bytes()]);
        self.calls.push(call);
    }

    fn count_missed(&mut self, target: CallTarget, at: Millis, calls: u32) {
        count_missed_call(&mut self.missed, target, at, calls);
    }
}

fn count_missed_call(missed: &mut HashMap<CallTarget, MissedCalls>, target: CallTarget, at: Millis, calls: u32) {
    if missed.len() >= MISSED_MAX && !missed.contains_key(&target) {
        return;
    }
    let missed = missed.entry(target).or_insert(MissedCalls { calls: 0, first: at, last: at });
    missed.calls = missed.calls.saturating_add(calls);
    missed.last = at;
}

/// Returns the account of the call.
fn find_account(call: &RecordedCall) -> i64 {
    match &call.caller {
        CallerIdentity::Caller { configuration, .. } => configuration.account,
        CallerIdentity::Unauthenticated { .. } | CallerIdentity::TokenRequest { .. } => NO_ACCOUNT,
    }
}

/// Returns whether `total` may be used of `max` if an account uses `own` of it.
fn has_share(max: usize, total: usize, own: usize) -> bool {
    total <= max - max / RESERVE_DIVISOR || (own <= max / LIGHT_DIVISOR && total <= max)
}

impl LogBudget {
    fn allows(&mut self, call: &RecordedCall) -> bool {
        match &call.caller {
            // An admin waits for its entry.
            _ if call.replay.is_some() => true,
            // The number of access tokens is limited.
            CallerIdentity::TokenRequest { .. } if call.status < 400 => true,
            CallerIdentity::Unauthenticated { configuration: target, .. }
            | CallerIdentity::TokenRequest { configuration: target, .. } => {
                self.allows_unauthenticated(target, call.at)
            }
            CallerIdentity::Caller { .. } if call.status == 429 => {
                self.count_use(call, |used| &mut used.rate_limited, RATE_LIMITED_PER_INTERVAL)
            }
            CallerIdentity::Caller { .. } if call.is_successful_read() => {
                self.count_use(call, |used| &mut used.reads, READS_PER_INTERVAL)
            }
            CallerIdentity::Caller { .. } => true,
        }
    }

    fn allows_bodies(&mut self, call: &RecordedCall) -> bool {
        self.count_use(call, |used| &mut used.with_bodies, BODIES_PER_INTERVAL)
    }

    fn allows_small_bodies(&mut self, call: &RecordedCall) -> bool {
        self.count_use(call, |used| &mut used.with_small_bodies, SMALL_BODIES_PER_INTERVAL)
    }

    /// Counts a call of its configuration and its account. Returns whether it is within both budgets.
    fn count_use(&mut self, call: &RecordedCall, counter: fn(&mut IntervalUse) -> &mut usize, most: usize) -> bool {
        self.reset_if_due(call.at);
        let configuration = match &call.caller {
            CallerIdentity::Caller { configuration, .. } => *configuration,
            // All unauthenticated callers share one.
            CallerIdentity::Unauthenticated { .. } | CallerIdentity::TokenRequest { .. } => {
                ConfigurationKey { account: NO_ACCOUNT, key: 0 }
            }
        };
        let of_account = self.used_by_account.entry(configuration.account).or_default();
        count_up_to(counter(self.used.entry(configuration).or_default()), most)
            && count_up_to(counter(of_account), most * ACCOUNT_FACTOR)
    }

    /// Resets the budgets when a new interval begins.
    fn reset_if_due(&mut self, at: Millis) {
        let interval = i64::try_from(FLUSH_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        if (at - self.since).abs() >= interval {
            self.since = at;
            self.used.clear();
            self.used_by_account.clear();
        }
    }

    fn allows_unauthenticated(&mut self, target: &CallTarget, at: Millis) -> bool {
        if (at - self.minute).abs() >= MINUTE_MS {
            self.minute = at;
            self.unauthenticated.clear();
        }
        if self.unauthenticated.len() >= UNAUTHENTICATED_CONFIGURATIONS_MAX
            && !self.unauthenticated.contains_key(target)
        {
            return false;
        }
        let calls = self.unauthenticated.entry(target.clone()).or_default();
        *calls += 1;
        *calls <= UNAUTHENTICATED_PER_MINUTE
    }
}

/// Increments the count. Returns whether it is at most `most`.
fn count_up_to(count: &mut usize, most: usize) -> bool {
    *count += 1;
    *count <= most
}

impl MissedCalls {
    /// Returns the log row that counts the missed calls.
    fn to_entry(self, target: CallTarget) -> RequestLogEntry {
        let span = format!(
            "{} calls between {} and {} were served but not logged",
            self.calls,
            clock::format_rfc3339(self.first),
            clock::format_rfc3339(self.last)
        );
        let call = LoggedCall {
            id: clock::new_id(),
            at: self.last,
            method: "-".to_owned(),
            detail: Some(span),
            missed: self.calls,
            ..LoggedCall::default()
        };
        RequestLogEntry { target, verdict: CallOutcome::NotCounted, call }
    }
}

/// Log rows in batches; each batch is one transaction.
#[derive(Default)]
struct LogBatches(Vec<LogBatch>);

#[derive(Default)]
struct LogBatch {
    entries: Vec<RequestLogEntry>,
    bytes: usize,
}

impl LogBatches {
    fn add(&mut self, mut entry: RequestLogEntry) {
        entry.call.pack_bodies();
        let bytes = entry.call.packed_bodies.as_ref().map_or(0, Vec::len);
        let fits =
            |batch: &&mut LogBatch| batch.entries.len() < CALLS_PER_BATCH && batch.bytes + bytes <= BYTES_PER_BATCH;
        if let Some(batch) = self.0.last_mut().filter(fits) {
            batch.entries.push(entry);
            batch.bytes += bytes;
        } else {
            self.0.push(LogBatch { entries: vec![entry], bytes });
        }
    }
}

#[cfg(test)]
mod tests;
