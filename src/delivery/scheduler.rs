//! Which lane may send next. Pure: no clock and no tasks, so that its rules are tested as properties.
//!
//! Endpoints take turns, the accounts of an endpoint take turns, and the lanes of an account too. A lane has one request in
//! flight. An endpoint that is slow, fails or has not answered yet has one slot, and such endpoints together do not use up all
//! slots.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::clock::Millis;
use crate::provisioning::webhook_delivery::LaneKey;

/// Maximum number of requests in flight.
pub const IN_FLIGHT_MAX: usize = 64;
/// Maximum number of requests in flight to one endpoint.
pub const IN_FLIGHT_PER_ENDPOINT_MAX: usize = 16;
/// Maximum number of requests in flight to slow endpoints.
pub const SLOW_IN_FLIGHT_MAX: usize = 32;
/// Maximum number of requests in flight to slow endpoints and to those that have not answered yet.
const UNPROVEN_IN_FLIGHT_MAX: usize = 56;
/// Time for which an endpoint that asked for it has half of its slots.
const HALVED_MS: Millis = 60_000;
/// Duration of a request from which its endpoint is slow.
pub const SLOW_MS: Millis = 1_000;

/// How much an endpoint is trusted to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndpointSpeed {
    /// It has not answered since the start.
    Unproven,
    /// Its last answer was fast and successful.
    Fast,
    /// Its last request failed or took long, or one in flight takes long.
    Slow,
}

/// What a lane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LanePhase {
    /// It waits for its turn.
    Ready,
    /// It has a request in flight. `again`: there are new events.
    Sending { again: bool },
    /// It waits for the time of its retry.
    Waiting(Millis),
    /// It was stopped.
    Halted,
}

/// What a lane does after a request, or at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing waits.
    Rest,
    /// There may be more to send.
    Continue,
    /// It tries again at this time.
    RetryAt(Millis),
    /// An admin must resume it.
    Halt,
}

/// What a request says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointSignal {
    /// No request was sent.
    None,
    /// A fast success.
    Fast,
    /// A failure, or a slow success.
    Slow,
    /// A status with which the endpoint asks for fewer requests.
    Throttled,
}

#[derive(Debug)]
struct EndpointState {
    rate_limit: Option<u32>,
    /// Earliest time of the next request, in microseconds, if there is a rate limit.
    next_allowed_us: i64,
    speed: EndpointSpeed,
    halved_until: Millis,
    in_flight: usize,
    /// Accounts with lanes that are ready, in the order of their turns.
    accounts: VecDeque<i64>,
    ready: HashMap<i64, VecDeque<LaneKey>>,
}

impl EndpointState {
    fn slots(&self, now: Millis) -> usize {
        match self.speed {
            EndpointSpeed::Fast if now < self.halved_until => IN_FLIGHT_PER_ENDPOINT_MAX / 2,
            EndpointSpeed::Fast => IN_FLIGHT_PER_ENDPOINT_MAX,
            EndpointSpeed::Slow | EndpointSpeed::Unproven => 1,
        }
    }

    /// Whether it may start a request, apart from the limits of all endpoints together.
    fn has_slot(&self, now: Millis) -> bool {
        !self.accounts.is_empty() && self.in_flight < self.slots(now) && self.next_allowed_us <= now * 1_000
    }

    fn push(&mut self, key: LaneKey, account: i64) {
        let lanes = self.ready.entry(account).or_default();
        if lanes.is_empty() {
            self.accounts.push_back(account);
        }
        lanes.push_back(key);
    }

    fn pop(&mut self) -> Option<LaneKey> {
        let account = self.accounts.pop_front()?;
        let lanes = self.ready.get_mut(&account)?;
        let key = lanes.pop_front();
        if lanes.is_empty() {
            self.ready.remove(&account);
        } else {
            self.accounts.push_back(account);
        }
        key
    }
}

/// The lanes that have something to do.
#[derive(Debug, Default)]
pub struct Scheduler {
    endpoints: BTreeMap<i64, EndpointState>,
    /// The endpoint that was served last.
    last_endpoint: i64,
    lanes: HashMap<LaneKey, (i64, LanePhase)>,
    waiting: BTreeSet<(Millis, LaneKey)>,
    /// Requests in flight, with the times of their starts.
    sending: BTreeMap<LaneKey, Millis>,
}

impl Scheduler {
    /// Adds an endpoint, or changes its rate limit.
    pub fn set_endpoint(&mut self, webhook: i64, rate_limit: Option<u32>) {
        let endpoint = self.endpoints.entry(webhook).or_insert_with(|| EndpointState {
            rate_limit,
            next_allowed_us: 0,
            speed: EndpointSpeed::Unproven,
            halved_until: 0,
            in_flight: 0,
            accounts: VecDeque::new(),
            ready: HashMap::new(),
        });
        endpoint.rate_limit = rate_limit;
        if rate_limit.is_none() {
            endpoint.next_allowed_us = 0;
        }
    }

    /// Removes an endpoint with its lanes. Requests in flight end by themselves: until then, their lanes start no others, even
    /// if the endpoint is added again.
    pub fn remove_endpoint(&mut self, webhook: i64) {
        self.lanes.retain(|key, (_, phase)| key.webhook != webhook || matches!(phase, LanePhase::Sending { .. }));
        self.waiting.retain(|(_, key)| key.webhook != webhook);
        if let Some(endpoint) = self.endpoints.get_mut(&webhook) {
            endpoint.accounts.clear();
            endpoint.ready.clear();
            if endpoint.in_flight == 0 {
                self.endpoints.remove(&webhook);
            }
        }
    }

    /// Keys of the endpoints.
    pub fn endpoints(&self) -> Vec<i64> {
        self.endpoints.keys().copied().collect()
    }

    /// Reports a new event of a lane. A lane that waits for a retry or has stopped is not changed.
    pub fn notice_event(&mut self, key: LaneKey, account: i64) {
        match self.lanes.get_mut(&key) {
            None => self.set_lane(key, account, NextStep::Continue),
            Some((_, LanePhase::Sending { again })) => *again = true,
            Some(_) => {}
        }
    }

    /// Sets what a lane does, unless it has a request in flight: then it continues after that.
    pub fn set_lane(&mut self, key: LaneKey, account: i64, step: NextStep) {
        if let Some((_, LanePhase::Sending { again })) = self.lanes.get_mut(&key) {
            *again |= step == NextStep::Continue;
            return;
        }
        let before = self.lanes.remove(&key).map(|(_, phase)| phase);
        if let Some(LanePhase::Waiting(until)) = before {
            self.waiting.remove(&(until, key));
        }
        let is_queued = before == Some(LanePhase::Ready);
        let phase = match step {
            NextStep::Rest if !is_queued => return,
            // A lane that is queued finds that nothing waits when it is its turn.
            NextStep::Rest | NextStep::Continue => LanePhase::Ready,
            NextStep::RetryAt(_) | NextStep::Halt if is_queued => LanePhase::Ready,
            NextStep::RetryAt(until) => LanePhase::Waiting(until),
            NextStep::Halt => LanePhase::Halted,
        };
        let Some(endpoint) = self.endpoints.get_mut(&key.webhook) else { return };
        match phase {
            LanePhase::Ready if !is_queued => endpoint.push(key, account),
            LanePhase::Waiting(until) => drop(self.waiting.insert((until, key))),
            _ => {}
        }
        self.lanes.insert(key, (account, phase));
    }

    /// Returns the next lane that may send, and counts its request as in flight.
    pub fn start_next(&mut self, now: Millis) -> Option<LaneKey> {
        self.end_waits(now);
        self.mark_slow_endpoints(now);
        let in_flight: usize = self.endpoints.values().map(|endpoint| endpoint.in_flight).sum();
        if in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        let count = |speed: EndpointSpeed| -> usize {
            let endpoints = self.endpoints.values().filter(|endpoint| endpoint.speed == speed);
            endpoints.map(|endpoint| endpoint.in_flight).sum()
        };
        let slow = count(EndpointSpeed::Slow);
        let unproven = slow + count(EndpointSpeed::Unproven);
        let may_start = |endpoint: &EndpointState| match endpoint.speed {
            _ if !endpoint.has_slot(now) => false,
            EndpointSpeed::Fast => true,
            EndpointSpeed::Slow => slow < SLOW_IN_FLIGHT_MAX && unproven < UNPROVEN_IN_FLIGHT_MAX,
            EndpointSpeed::Unproven => unproven < UNPROVEN_IN_FLIGHT_MAX,
        };
        let after = self.endpoints.range(self.last_endpoint + 1..);
        let found = after.chain(self.endpoints.range(..=self.last_endpoint)).find(|(_, endpoint)| may_start(endpoint));
        let webhook = *found?.0;
        self.last_endpoint = webhook;
        let endpoint = self.endpoints.get_mut(&webhook)?;
        let key = endpoint.pop()?;
        endpoint.in_flight += 1;
        if let Some(rate) = endpoint.rate_limit {
            endpoint.next_allowed_us = endpoint.next_allowed_us.max(now * 1_000) + 1_000_000 / i64::from(rate.max(1));
        }
        if let Some((_, phase)) = self.lanes.get_mut(&key) {
            *phase = LanePhase::Sending { again: false };
        }
        self.sending.insert(key, now);
        Some(key)
    }

    /// Ends the request of a lane.
    pub fn finish(&mut self, key: LaneKey, now: Millis, step: NextStep, signal: EndpointSignal) {
        self.sending.remove(&key);
        if let Some(endpoint) = self.endpoints.get_mut(&key.webhook) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
            match signal {
                EndpointSignal::None => {}
                EndpointSignal::Fast => endpoint.speed = EndpointSpeed::Fast,
                EndpointSignal::Slow => endpoint.speed = EndpointSpeed::Slow,
                EndpointSignal::Throttled => {
                    endpoint.speed = EndpointSpeed::Slow;
                    endpoint.halved_until = now + HALVED_MS;
                }
            }
        }
        let Some((account, LanePhase::Sending { again })) = self.lanes.get(&key).copied() else { return };
        self.lanes.remove(&key);
        let step = if step == NextStep::Rest && again { NextStep::Continue } else { step };
        self.set_lane(key, account, step);
    }

    /// Returns when a lane or an endpoint that waits for a time may go on.
    pub fn next_time(&self, now: Millis) -> Option<Millis> {
        let retry = self.waiting.first().map(|(until, _)| *until);
        let limited = self.endpoints.values().filter(|endpoint| !endpoint.accounts.is_empty());
        let limited =
            limited.map(|endpoint| endpoint.next_allowed_us.div_euclid(1_000) + 1).filter(|at| *at > now).min();
        retry.into_iter().chain(limited).min()
    }

    /// Number of requests in flight.
    pub fn in_flight(&self) -> usize {
        self.endpoints.values().map(|endpoint| endpoint.in_flight).sum()
    }

    /// Numbers of lanes that have something to do, and of those that have stopped.
    pub fn count_lanes(&self) -> (usize, usize) {
        let halted = self.lanes.values().filter(|(_, phase)| *phase == LanePhase::Halted).count();
        (self.lanes.len() - halted, halted)
    }

    /// At most `limit` lanes that have something to do or have stopped.
    pub fn list_lanes(&self, limit: usize) -> Vec<LaneKey> {
        self.lanes.keys().take(limit).copied().collect()
    }

    fn end_waits(&mut self, now: Millis) {
        while let Some((until, key)) = self.waiting.first().copied() {
            if until > now {
                return;
            }
            self.waiting.remove(&(until, key));
            let Some((account, _)) = self.lanes.remove(&key) else { continue };
            self.set_lane(key, account, NextStep::Continue);
        }
    }

    /// An endpoint with a request that takes long loses its other slots before the request ends.
    fn mark_slow_endpoints(&mut self, now: Millis) {
        if self.in_flight() < IN_FLIGHT_MAX / 2 {
            return;
        }
        for (key, since) in &self.sending {
            if now - since > SLOW_MS
                && let Some(endpoint) = self.endpoints.get_mut(&key.webhook)
            {
                endpoint.speed = EndpointSpeed::Slow;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn lane(webhook: i64, configuration: i64) -> LaneKey {
        LaneKey { webhook, configuration }
    }

    fn start_all(scheduler: &mut Scheduler, now: Millis) -> Vec<LaneKey> {
        std::iter::from_fn(|| scheduler.start_next(now)).collect()
    }

    /// An endpoint that has answered.
    fn add_proven(scheduler: &mut Scheduler, webhook: i64) {
        scheduler.set_endpoint(webhook, None);
        scheduler.notice_event(lane(webhook, 0), 0);
        for key in start_all(scheduler, 0) {
            scheduler.finish(key, 0, NextStep::Rest, EndpointSignal::Fast);
        }
    }

    #[test]
    fn an_endpoint_has_16_slots_and_accounts_take_turns() {
        let mut scheduler = Scheduler::default();
        add_proven(&mut scheduler, 1);
        (1..=40).for_each(|configuration| scheduler.notice_event(lane(1, configuration), 7));
        scheduler.notice_event(lane(1, 99), 8);
        let started = start_all(&mut scheduler, 0);
        assert_eq!((started.len(), started[0], started[1]), (16, lane(1, 1), lane(1, 99)));
    }

    #[test]
    fn an_endpoint_without_an_answer_has_one_slot_and_hanging_ones_leave_slots_for_others() {
        let mut scheduler = Scheduler::default();
        for webhook in 1..=100 {
            scheduler.set_endpoint(webhook, None);
            (1..=3).for_each(|configuration| scheduler.notice_event(lane(webhook, configuration), 1));
        }
        let started = start_all(&mut scheduler, 0);
        assert_eq!(started.len(), 56);
        assert_eq!(started.iter().map(|key| key.webhook).collect::<HashSet<_>>().len(), 56);
        // One answers; the others hang.
        scheduler.finish(started[0], 100, NextStep::Continue, EndpointSignal::Fast);
        let more = start_all(&mut scheduler, 100);
        assert!(more.iter().filter(|key| key.webhook == started[0].webhook).count() >= 3, "{more:?}");
        assert!(scheduler.in_flight() <= IN_FLIGHT_MAX);
        // After a second, the hanging ones are slow and get no new slots.
        let more = start_all(&mut scheduler, 2_000);
        assert!(more.iter().all(|key| key.webhook == started[0].webhook), "{more:?}");
    }

    #[test]
    fn a_lane_that_waits_for_a_retry_delays_no_other_and_starts_in_time() {
        let mut scheduler = Scheduler::default();
        add_proven(&mut scheduler, 1);
        scheduler.notice_event(lane(1, 1), 1);
        assert_eq!(start_all(&mut scheduler, 0), [lane(1, 1)]);
        scheduler.finish(lane(1, 1), 0, NextStep::RetryAt(5_000), EndpointSignal::Slow);
        scheduler.notice_event(lane(1, 1), 1);
        scheduler.notice_event(lane(1, 2), 1);
        assert_eq!(start_all(&mut scheduler, 10), [lane(1, 2)]);
        assert_eq!(scheduler.next_time(10), Some(5_000));
        scheduler.finish(lane(1, 2), 20, NextStep::Rest, EndpointSignal::Fast);
        assert_eq!(start_all(&mut scheduler, 4_999), []);
        assert_eq!(start_all(&mut scheduler, 5_000), [lane(1, 1)]);
        scheduler.finish(lane(1, 1), 5_000, NextStep::Halt, EndpointSignal::Slow);
        scheduler.notice_event(lane(1, 1), 1);
        assert_eq!((start_all(&mut scheduler, 9_000), scheduler.count_lanes()), (Vec::new(), (0, 1)));
        scheduler.set_lane(lane(1, 1), 1, NextStep::Continue);
        assert_eq!(start_all(&mut scheduler, 9_000), [lane(1, 1)]);
    }

    #[test]
    fn a_rate_limit_spreads_requests() {
        let mut scheduler = Scheduler::default();
        add_proven(&mut scheduler, 1);
        scheduler.set_endpoint(1, Some(10));
        (1..=3).for_each(|configuration| scheduler.notice_event(lane(1, configuration), 1));
        assert_eq!(start_all(&mut scheduler, 1_000).len(), 1);
        let next = scheduler.next_time(1_000).unwrap();
        assert!((1_100..=1_101).contains(&next), "{next}");
        assert_eq!(start_all(&mut scheduler, next).len(), 1);
    }

    #[test]
    fn an_event_during_a_request_is_sent_after_it() {
        let mut scheduler = Scheduler::default();
        add_proven(&mut scheduler, 1);
        scheduler.notice_event(lane(1, 1), 1);
        assert_eq!(start_all(&mut scheduler, 0).len(), 1);
        scheduler.notice_event(lane(1, 1), 1);
        assert_eq!(start_all(&mut scheduler, 0), []);
        scheduler.finish(lane(1, 1), 0, NextStep::Rest, EndpointSignal::Fast);
        assert_eq!(start_all(&mut scheduler, 0), [lane(1, 1)]);
    }

    #[test]
    fn a_lane_whose_requests_are_slow_takes_the_only_slot_for_one_request_per_turn() {
        let mut scheduler = Scheduler::default();
        add_proven(&mut scheduler, 1);
        // One account with a slow lane and others, and an account with one lane.
        let account_of = |configuration| if configuration == 9 { 2 } else { 1 };
        for configuration in [1, 2, 3, 9] {
            scheduler.notice_event(lane(1, configuration), account_of(configuration));
        }
        let mut running = start_all(&mut scheduler, 0);
        assert_eq!(running.len(), 4);
        // All always have more to send. The requests of lane 1 take 15 seconds, and make the endpoint slow.
        let mut now = 15_000;
        for key in running.drain(..) {
            scheduler.finish(key, now, NextStep::Continue, EndpointSignal::Slow);
        }
        let mut order = Vec::new();
        for _ in 0..24 {
            let started = start_all(&mut scheduler, now);
            assert_eq!(started.len(), 1, "a slow endpoint has one slot");
            now += if started[0] == lane(1, 1) { 15_000 } else { 1_500 };
            scheduler.notice_event(started[0], account_of(started[0].configuration));
            scheduler.finish(started[0], now, NextStep::Continue, EndpointSignal::Slow);
            order.push(started[0].configuration);
        }
        // Each account gets every second request, and each lane of an account every third of those.
        assert!(order.windows(2).all(|pair| (pair[0] == 9) != (pair[1] == 9)), "{order:?}");
        for configuration in [1, 2, 3] {
            let turns: Vec<usize> = (0..order.len()).filter(|at| order[*at] == configuration).collect();
            assert!(turns.windows(2).all(|pair| pair[1] - pair[0] == 6), "{order:?}");
        }
    }

    #[derive(Debug, Clone)]
    enum Action {
        Notice(i64, i64),
        Start,
        Finish(usize, u8, u8),
        Set(i64, i64, u8),
        Remove(i64),
        Advance(i64),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0..6_i64, 0..30_i64).prop_map(|(webhook, configuration)| Action::Notice(webhook, configuration)),
            Just(Action::Start),
            Just(Action::Start),
            (0..64_usize, 0..4_u8, 0..4_u8).prop_map(|(index, step, signal)| Action::Finish(index, step, signal)),
            (0..6_i64, 0..30_i64, 0..4_u8)
                .prop_map(|(webhook, configuration, step)| { Action::Set(webhook, configuration, step) }),
            (0..6_i64).prop_map(Action::Remove),
            (1..3_000_i64).prop_map(Action::Advance),
        ]
    }

    fn step_of(number: u8, now: Millis) -> NextStep {
        [NextStep::Rest, NextStep::Continue, NextStep::RetryAt(now + 500), NextStep::Halt][usize::from(number)]
    }

    proptest! {
        #[test]
        fn limits_hold_and_no_lane_is_lost(actions in proptest::collection::vec(action(), 1..200)) {
            let mut scheduler = Scheduler::default();
            let mut now = 0;
            let mut flying: Vec<LaneKey> = Vec::new();
            for action in actions {
                match action {
                    Action::Notice(webhook, configuration) => {
                        scheduler.set_endpoint(webhook, None);
                        scheduler.notice_event(lane(webhook, configuration), configuration % 3);
                    }
                    Action::Start => flying.extend(scheduler.start_next(now)),
                    Action::Finish(index, step, signal) => {
                        if !flying.is_empty() {
                            let key = flying.swap_remove(index % flying.len());
                            let signals = [EndpointSignal::None, EndpointSignal::Fast, EndpointSignal::Slow, EndpointSignal::Throttled];
                            scheduler.finish(key, now, step_of(step, now), signals[usize::from(signal)]);
                        }
                    }
                    Action::Set(webhook, configuration, step) => {
                        scheduler.set_endpoint(webhook, None);
                        scheduler.set_lane(lane(webhook, configuration), configuration % 3, step_of(step, now));
                    }
                    Action::Remove(webhook) => {
                        scheduler.remove_endpoint(webhook);
                        // The requests in flight end.
                        for key in flying.extract_if(.., |key| key.webhook == webhook).collect::<Vec<_>>() {
                            scheduler.finish(key, now, NextStep::Rest, EndpointSignal::None);
                        }
                    }
                    Action::Advance(time) => now += time,
                }
                let unique: HashSet<_> = flying.iter().collect();
                prop_assert_eq!(unique.len(), flying.len(), "one request for each lane");
                prop_assert!(flying.len() <= IN_FLIGHT_MAX);
                prop_assert_eq!(scheduler.in_flight(), flying.len());
                for webhook in 0..6 {
                    let own = flying.iter().filter(|key| key.webhook == webhook).count();
                    prop_assert!(own <= IN_FLIGHT_PER_ENDPOINT_MAX);
                }
            }
            // In the end, everything that is ready is sent.
            for key in flying {
                scheduler.finish(key, now, NextStep::Rest, EndpointSignal::Fast);
            }
            for _ in 0..2_000 {
                now += 1_000;
                let Some(key) = scheduler.start_next(now) else { continue };
                scheduler.finish(key, now, NextStep::Rest, EndpointSignal::Fast);
            }
            prop_assert_eq!(scheduler.count_lanes().0, 0);
        }
    }
}
