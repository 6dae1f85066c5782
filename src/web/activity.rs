//! Who called when, and what: gathered in memory, written down twice a second, never in the caller's way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::requests::{Call, Who, write_out};
use crate::clock::{self, Millis};
use crate::directory::requests::{self, Entry, Of};
use crate::error::{Error, Result};
use crate::model::request::{LoggedCall, Verdict};
use crate::store::{Store, Undo, configurations, tokens};

/// How often what was gathered is written down, and the stretch of time that the budgets below are for.
pub const WRITE_DOWN_EVERY: Duration = Duration::from_millis(500);
/// Calls that wait at most; more are counted and not kept.
const CALLS_MAX: usize = 2_000;
/// Calls from which on nobody waits for the time to be up.
const CALLS_WAKE: usize = 500;
/// Bytes of bodies that wait at most; further calls are kept without theirs.
const BODIES_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Reads with a right token that are kept of each configuration within one stretch: a flood of them must not cost more than it asks.
const READS_EACH: usize = 100;
/// Calls that were turned away for their number and are kept of each configuration within one stretch: enough to see it.
const TURNED_AWAY_EACH: usize = 10;
/// Calls that succeeded and are kept with their bodies within one stretch. Identity providers stay far below it; a flood
/// keeps its rows, and what was refused keeps its bodies.
const BODIES_EACH: usize = 100;
/// Calls without a right token that are kept of each configuration within a minute, so that strangers cannot push its
/// own calls out of the log; and the configurations for which they are.
const STRANGERS_EACH: u32 = 30;
const STRANGERS_MAX: usize = 1_000;
const MINUTE_MS: Millis = 60_000;
/// Calls that are written down in one go, so that no other write waits long for them.
const CALLS_AT_ONCE: usize = 200;
/// Bytes of bodies that are written down in one go.
const BYTES_AT_ONCE: usize = 512 * 1024;
/// Configurations whose missed calls are counted apart.
const MISSED_MAX: usize = 1_000;
/// How often a part is tried again that the store has no time for.
const TRIES: u32 = 5;

/// Calls that are not written down yet. A crash loses at most the last second of them.
#[derive(Debug, Default)]
pub struct Activity {
    pending: Mutex<Pending>,
    full: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    tokens: HashMap<String, Millis>,
    configurations: HashMap<i64, Seen>,
    calls: Vec<Call>,
    body_bytes: usize,
    missed: HashMap<Of, Missed>,
    /// Calls that were not kept since the start.
    missed_ever: u64,
    budget: Budget,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    seen: Millis,
    synced: Option<Millis>,
}

/// Calls of a configuration that could not be kept.
#[derive(Debug, Clone, Copy)]
struct Missed {
    calls: u32,
    first: Millis,
    last: Millis,
}

/// What may still be kept.
#[derive(Debug, Default)]
struct Budget {
    since: Millis,
    /// What each configuration has had in this stretch: no neighbour uses it up.
    spent: HashMap<i64, Spent>,
    minute: Millis,
    strangers: HashMap<Of, u32>,
}

/// What a configuration has had in this stretch.
#[derive(Debug, Default)]
struct Spent {
    reads: usize,
    with_bodies: usize,
    turned_away: usize,
}

impl Activity {
    /// Notes a call that was answered.
    pub fn note(&self, call: Call) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.see(&call);
        pending.take_in(call);
        if pending.calls.len() == CALLS_WAKE {
            self.full.notify_one();
        }
    }

    /// Calls that wait, the bytes of their bodies, and the calls since the start that were not kept.
    pub fn figures(&self) -> [u64; 3] {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        [pending.calls.len() as u64, pending.body_bytes as u64, pending.missed_ever]
    }

    /// Waits until there is something that should be written down.
    pub async fn due(&self) {
        // Either way it is time.
        let _ = tokio::time::timeout(WRITE_DOWN_EVERY, self.full.notified()).await;
    }

    /// Writes down what was noted since the last time.
    ///
    /// # Errors
    /// What the store says; what was not written is lost then, and counted where it was a call.
    pub async fn write_down(&self, store: &Store) -> Result<()> {
        let (pending, missed) = self.take();
        let seen = write_down_seen(store, pending.tokens, pending.configurations).await;
        let logged = self.write_down_calls(store, pending.calls, missed).await;
        seen.and(logged)
    }

    fn take(&self) -> (Pending, HashMap<Of, Missed>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = std::mem::take(&mut pending.budget);
        let missed_ever = pending.missed_ever;
        let mut taken = std::mem::replace(&mut *pending, Pending { missed_ever, budget, ..Pending::default() });
        let missed = std::mem::take(&mut taken.missed);
        (taken, missed)
    }

    async fn write_down_calls(&self, store: &Store, calls: Vec<Call>, missed: HashMap<Of, Missed>) -> Result<()> {
        let mut parts = Parts::default();
        for call in calls {
            parts.add(write_out(call));
        }
        let total: u32 = missed.values().map(|missed| missed.calls).sum();
        if total > 0 {
            tracing::warn!(calls = total, "more calls came than the request log could keep; they were answered");
        }
        for (of, missed) in missed {
            parts.add(missed.entry(of));
        }
        let mut result = Ok(());
        for part in parts.0 {
            if let Err((problem, lost)) = write_part(store, part.entries).await {
                self.miss(&lost);
                result = Err(problem);
            }
        }
        result
    }

    /// Counts calls that could not be written down.
    fn miss(&self, lost: &[Entry]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for Entry { of, call, .. } in lost {
            pending.missed_ever += u64::from(call.missed == 0);
            pending.miss(of.clone(), call.at, call.missed.max(1));
        }
    }
}

async fn write_down_seen(store: &Store, used: HashMap<String, Millis>, active: HashMap<i64, Seen>) -> Result<()> {
    if used.is_empty() && active.is_empty() {
        return Ok(());
    }
    let written = store.write(Undo::Savepoint, move |tx| {
        for (token, at) in &used {
            tokens::note_use(tx, token, *at)?;
        }
        for (configuration, seen) in &active {
            configurations::note_activity(tx, *configuration, seen.seen, seen.synced)?;
        }
        Ok(())
    });
    written.await
}

/// Writes one part; a store that is busy is asked again after a moment.
async fn write_part(store: &Store, entries: Vec<Entry>) -> std::result::Result<(), (Error, Vec<Entry>)> {
    let entries = std::sync::Arc::new(entries);
    let mut tries = 0;
    loop {
        let part = std::sync::Arc::clone(&entries);
        let written = store.write(Undo::Savepoint, move |tx| requests::keep(tx, &part)).await;
        match written {
            Ok(()) => return Ok(()),
            Err(Error::Busy) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20) * tries).await;
            }
            Err(problem) => return Err((problem, std::sync::Arc::unwrap_or_clone(entries))),
        }
    }
}

impl Pending {
    /// Notes that a token was used and a configuration was called.
    fn see(&mut self, call: &Call) {
        let Who::Caller { configuration, token } = &call.who else { return };
        match self.tokens.get_mut(token) {
            Some(last) => *last = call.at,
            None => {
                self.tokens.insert(token.clone(), call.at);
            }
        }
        let seen = self.configurations.entry(*configuration).or_insert(Seen { seen: call.at, synced: None });
        seen.seen = call.at;
        if call.wrote {
            seen.synced = Some(call.at);
        }
    }

    /// Keeps the call, or its number alone where there is no room.
    fn take_in(&mut self, mut call: Call) {
        let has_room = self.budget.grants(&call) && self.calls.len() < CALLS_MAX;
        if !has_room {
            // Strangers leave no more than their budget, not even a row that counts them.
            if matches!(call.who, Who::Caller { .. }) {
                self.missed_ever += 1;
                self.miss(call.who.of(), call.at, 1);
            }
            return;
        }
        let is_flood = call.status < 400 && !self.budget.grants_bodies(&call);
        if is_flood || self.body_bytes + call.body_bytes() > BODIES_MAX_BYTES {
            call.drop_bodies();
        }
        self.body_bytes += call.body_bytes();
        self.calls.push(call);
    }

    fn miss(&mut self, of: Of, at: Millis, calls: u32) {
        if self.missed.len() >= MISSED_MAX && !self.missed.contains_key(&of) {
            return;
        }
        let missed = self.missed.entry(of).or_insert(Missed { calls: 0, first: at, last: at });
        missed.calls = missed.calls.saturating_add(calls);
        missed.last = at;
    }
}

impl Budget {
    fn grants(&mut self, call: &Call) -> bool {
        match &call.who {
            Who::Stranger { of, .. } => self.grants_stranger(of, call.at),
            Who::Caller { .. } if call.status == 429 => spends(&mut self.spent_by(call).turned_away, TURNED_AWAY_EACH),
            Who::Caller { .. } if call.method.is_safe() && call.status < 400 => {
                spends(&mut self.spent_by(call).reads, READS_EACH)
            }
            Who::Caller { .. } => true,
        }
    }

    fn grants_bodies(&mut self, call: &Call) -> bool {
        spends(&mut self.spent_by(call).with_bodies, BODIES_EACH)
    }

    fn spent_by(&mut self, call: &Call) -> &mut Spent {
        self.begin_again(call.at);
        let configuration = match &call.who {
            Who::Caller { configuration, .. } => *configuration,
            // Who is not known shares one.
            Who::Stranger { .. } => 0,
        };
        self.spent.entry(configuration).or_default()
    }

    /// A new stretch of time has new budgets.
    fn begin_again(&mut self, at: Millis) {
        let stretch = i64::try_from(WRITE_DOWN_EVERY.as_millis()).unwrap_or(i64::MAX);
        if (at - self.since).abs() >= stretch {
            self.since = at;
            self.spent.clear();
        }
    }

    fn grants_stranger(&mut self, of: &Of, at: Millis) -> bool {
        if (at - self.minute).abs() >= MINUTE_MS {
            self.minute = at;
            self.strangers.clear();
        }
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(of) {
            return false;
        }
        let calls = self.strangers.entry(of.clone()).or_default();
        *calls += 1;
        *calls <= STRANGERS_EACH
    }
}

/// Counts one more; true while there are at most `most`.
fn spends(count: &mut usize, most: usize) -> bool {
    *count += 1;
    *count <= most
}

impl Missed {
    /// The row that stands for them.
    fn entry(self, of: Of) -> Entry {
        let span = format!(
            "{} calls between {} and {} were answered and not logged",
            self.calls,
            clock::rfc3339(self.first),
            clock::rfc3339(self.last)
        );
        let call = LoggedCall {
            id: clock::new_id(),
            at: self.last,
            method: "-".to_owned(),
            detail: Some(span),
            missed: self.calls,
            ..LoggedCall::default()
        };
        Entry { of, verdict: Verdict::Nothing, call }
    }
}

/// Rows in parts that are written down in one go each.
#[derive(Default)]
struct Parts(Vec<Part>);

#[derive(Default)]
struct Part {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Parts {
    fn add(&mut self, entry: Entry) {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let bytes = length(&entry.call.request.text) + length(&entry.call.response.text);
        let fits = |part: &&mut Part| part.entries.len() < CALLS_AT_ONCE && part.bytes + bytes <= BYTES_AT_ONCE;
        if let Some(part) = self.0.last_mut().filter(fits) {
            part.entries.push(entry);
            part.bytes += bytes;
        } else {
            self.0.push(Part { entries: vec![entry], bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::{Method, Uri};

    use super::super::requests::Kept;
    use super::*;
    use crate::directory::configurations::{NewConfiguration, create};
    use crate::directory::tokens::TokenDraft;
    use crate::model::actor::By;
    use crate::model::configuration::Source;
    use crate::model::request::Refusal;
    use crate::scim::dialect::Notes;
    use crate::secret::Token;
    use crate::store::{Access, requests as rows};

    fn call(method: Method, who: Who, at: Millis) -> Call {
        Call {
            who,
            request_id: String::new(),
            address: None,
            at,
            took: Duration::ZERO,
            method,
            uri: Uri::from_static("/Users"),
            status: 200,
            scim_type: "",
            resource_type: None,
            resource: None,
            notes: Notes::default(),
            wrote: false,
            sent: Kept::default(),
            answered: Kept::response(&[b'x'; 10_000]),
        }
    }

    fn caller() -> Who {
        Who::Caller { configuration: 1, token: "t".to_owned() }
    }

    fn stranger(id: usize) -> Who {
        let of = Of::Id(id.to_string());
        Who::Stranger { of, token: None, hint: None, refusal: Some(Refusal::UnknownToken) }
    }

    #[test]
    fn a_flood_of_reads_leaves_room_for_writes_and_is_counted() {
        let activity = Activity::default();
        for number in 0..5_000 {
            activity.note(call(Method::GET, caller(), number / 100));
        }
        for number in 0..500 {
            activity.note(call(Method::POST, caller(), number));
        }
        activity.note(Call { status: 400, ..call(Method::POST, caller(), 499) });
        let (pending, missed) = activity.take();
        assert_eq!(pending.calls.len(), READS_EACH + 501);
        assert_eq!(missed[&Of::Key(1)].calls, 5_000 - u32::try_from(READS_EACH).unwrap());
        // What was refused keeps its bodies in the midst of a flood.
        assert_eq!(pending.body_bytes, (BODIES_EACH + 1) * 10_000);
        activity.note(call(Method::GET, caller(), 1_000));
        assert_eq!(activity.take().0.calls.len(), 1);
    }

    #[test]
    fn calls_that_were_turned_away_for_their_number_do_not_fill_the_log() {
        let activity = Activity::default();
        for _ in 0..5_000 {
            activity.note(Call { status: 429, ..call(Method::POST, caller(), 1) });
        }
        let (pending, missed) = activity.take();
        assert_eq!(pending.calls.len(), TURNED_AWAY_EACH);
        assert_eq!(missed[&Of::Key(1)].calls, 5_000 - u32::try_from(TURNED_AWAY_EACH).unwrap());
    }

    #[test]
    fn the_log_says_how_many_calls_it_misses_and_when() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Serve).unwrap();
        let made = store.write_blocking(Undo::Savepoint, |tx| {
            let (token, id) = (Token::generate().unwrap(), clock::new_id());
            let new = NewConfiguration {
                token: TokenDraft::new(clock::new_id(), &token, "first"),
                account: "acme".to_owned(),
                source: Source::Okta,
                connection_name: None,
                provider: None,
                preset: None,
                sync: true,
                id,
            };
            create(tx, &By::server(), &new)
        });
        let made = made.unwrap();
        let activity = Activity::default();
        for _ in 0..READS_EACH + 7 {
            let who = Who::Caller { configuration: made.key, token: "t".to_owned() };
            activity.note(Call { request_id: clock::new_id(), ..call(Method::GET, who, 1_000) });
        }
        actix_web::rt::System::new().block_on(activity.write_down(&store)).unwrap();
        let page = store.read_inline(|at| rows::page(at, made.key, &rows::Wanted::default(), 2_000)).unwrap();
        assert_eq!((page.calls.len(), page.calls[0].missed), (READS_EACH + 1, 7));
        let detail = page.calls[0].detail.as_deref().unwrap();
        assert!(detail.starts_with("7 calls between 1970-01-01T00:00:01.000Z and"), "{detail}");
        let seen = store.read_inline(|at| configurations::by_id(at, &made.id)).unwrap().unwrap().last_seen;
        assert_eq!(seen, Some(1_000));
    }

    #[test]
    fn strangers_cannot_fill_the_log() {
        let activity = Activity::default();
        for number in 0..5_000 {
            activity.note(call(Method::GET, stranger(number % 2), 1));
            activity.note(call(Method::GET, stranger(number), 1));
        }
        let (pending, missed) = activity.take();
        assert!(missed.is_empty() && pending.calls.len() < 1_100, "{}", pending.calls.len());
        activity.note(call(Method::GET, stranger(0), MINUTE_MS + 1));
        assert_eq!(activity.take().0.calls.len(), 1);
    }

    #[test]
    fn parts_are_bounded_by_rows_and_by_bytes() {
        let mut parts = Parts::default();
        for number in 0..500 {
            parts.add(write_out(call(Method::POST, caller(), number)));
        }
        assert!(parts.0.iter().all(|part| part.bytes <= BYTES_AT_ONCE && part.entries.len() <= CALLS_AT_ONCE));
        assert_eq!(parts.0.iter().map(|part| part.entries.len()).sum::<usize>(), 500);
    }
}
