//! The arithmetic of the lease, and a simulation of two servers that want it.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_holder_stops_in_front_of_the_end_counted_from_its_request() {
    let mut clock = LeaseClock::new(LeaseTerms::DEFAULT);
    assert!(!clock.may_write(Duration::ZERO));
    assert_eq!(clock.record_success(SECOND * 100), SECOND * 108);
    assert!(clock.may_write(SECOND * 107) && !clock.may_write(SECOND * 108));
    // A later one extends it; the late answer of an older one does not shorten it.
    clock.record_success(SECOND * 103);
    clock.record_success(SECOND * 101);
    assert!(clock.may_write(SECOND * 110) && !clock.may_write(SECOND * 111));
}

#[test]
fn an_observer_waits_the_whole_time_from_its_first_look_at_a_content() {
    let (mut observer, ttl) = (LeaseObserver::default(), SECOND * 10);
    assert_eq!(observer.read_left("a", ttl, SECOND), ttl);
    observer.record_look("a", SECOND * 5);
    observer.record_look("a", SECOND * 12);
    assert_eq!(observer.read_left("a", ttl, SECOND * 12), SECOND * 3);
    assert_eq!(observer.read_left("b", ttl, SECOND * 12), ttl);
    observer.record_look("b", SECOND * 14);
    assert_eq!(observer.read_left("b", ttl, SECOND * 20), SECOND * 4);
    assert_eq!(observer.read_left("b", ttl, SECOND * 24), Duration::ZERO);
}

/// One machine of the simulation. Its clock begins anywhere and runs at its own speed.
struct Machine {
    /// Speed of its clock in thousandths of the true one.
    speed: u64,
    offset: u64,
    clock: LeaseClock,
    observer: LeaseObserver,
    /// The tag that it has written last, while it believes to hold the lease.
    held: Option<u64>,
    /// Requests on their way: when the storage handles them.
    request: Option<Request>,
    next_at: u64,
    is_paused_until: u64,
}

#[derive(Clone, Copy)]
struct Request {
    asked_at: Duration,
    handled_at: u64,
    answered_at: u64,
    kind: RequestKind,
    outcome: Option<(bool, u64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum RequestKind {
    /// Writes the lease if the tag is still this one.
    Write(u64),
    Look,
}

impl Machine {
    fn local(&self, now: u64) -> Duration {
        Duration::from_millis(self.offset + now * self.speed / 1_000)
    }

    fn step(&mut self, now: u64, stored: &mut u64, delays: (u64, u64)) {
        if let Some(request) = &mut self.request
            && request.outcome.is_none()
            && now >= request.handled_at
        {
            let has_written = request.kind == RequestKind::Write(*stored);
            *stored += u64::from(has_written);
            request.outcome = Some((has_written, *stored));
        }
        if now < self.is_paused_until {
            return;
        }
        match self.request {
            Some(Request { answered_at, outcome: Some((has_written, tag)), asked_at, kind, .. })
                if now >= answered_at =>
            {
                self.request = None;
                self.handle_answer(now, asked_at, kind, (has_written, tag));
            }
            None if now >= self.next_at => {
                let asked_at = self.local(now);
                let kind = self.choose_request(asked_at);
                let (there, back) = delays;
                let handled_at = now + there;
                self.request =
                    Some(Request { asked_at, handled_at, answered_at: handled_at + back, kind, outcome: None });
            }
            _ => {}
        }
    }

    fn choose_request(&self, now: Duration) -> RequestKind {
        match (self.held, &self.observer.seen) {
            (Some(tag), _) => RequestKind::Write(tag),
            (None, Some((tag, _))) if self.observer.read_left(tag, LeaseTerms::DEFAULT.ttl, now).is_zero() => {
                RequestKind::Write(tag.parse().unwrap())
            }
            _ => RequestKind::Look,
        }
    }

    fn handle_answer(&mut self, now: u64, asked_at: Duration, kind: RequestKind, (has_written, tag): (bool, u64)) {
        match kind {
            RequestKind::Write(_) if has_written => {
                self.clock.record_success(asked_at);
                self.held = Some(tag);
                self.next_at = now + 3_000;
            }
            RequestKind::Write(_) => {
                // Another server has it. The time that was granted before still runs.
                self.held = None;
                self.observer = LeaseObserver::default();
                self.next_at = now + 200;
            }
            RequestKind::Look => {
                self.observer.record_look(&tag.to_string(), self.local(now));
                self.next_at = now + 500;
            }
        }
    }

    fn may_write(&self, now: u64) -> bool {
        now >= self.is_paused_until && self.clock.may_write(self.local(now))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Two servers want the lease all the time; messages are delayed, machines pause, and their clocks differ by up to 10 %. There
    /// are never two that may write, and a healthy one gets the lease.
    #[test]
    fn there_are_never_two_writers(
        speeds in (950_u64..1_050, 950_u64..1_050),
        offsets in (0_u64..1_000_000, 0_u64..1_000_000),
        delays in prop::collection::vec((0_u64..9_000, 0_u64..9_000), 32),
        pauses in prop::collection::vec((0_usize..2, 0_u64..120_000, 0_u64..30_000), 6),
        is_slow in prop::collection::vec(any::<bool>(), 32),
    ) {
        let machine = |speed, offset| Machine {
            speed, offset,
            clock: LeaseClock::new(LeaseTerms::DEFAULT),
            observer: LeaseObserver::default(),
            held: None, request: None, next_at: 0, is_paused_until: 0,
        };
        let mut machines = [machine(speeds.0, offsets.0), machine(speeds.1, offsets.1)];
        let (mut stored, mut has_written) = (1, [0_u32; 2]);
        for now in (0..150_000).step_by(50) {
            for (number, begin, length) in &pauses {
                if (*begin..*begin + 50).contains(&now) {
                    machines[*number].is_paused_until = now + length;
                }
            }
            for (number, machine) in machines.iter_mut().enumerate() {
                let at = (usize::try_from(now / 50).unwrap() * 7 + number) % 32;
                let delay = if is_slow[at] && now < 120_000 { delays[at] } else { (20, 20) };
                machine.step(now, &mut stored, delay);
            }
            let writers: Vec<usize> = (0..2).filter(|number| machines[*number].may_write(now)).collect();
            prop_assert!(writers.len() < 2, "two writers at {now} ms");
            for number in writers {
                has_written[number] += 1;
            }
        }
        prop_assert!(has_written.iter().sum::<u32>() > 0, "no server got the lease");
    }
}
