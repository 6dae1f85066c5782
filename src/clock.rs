//! Wall-clock time: milliseconds, RFC 3339 text and time-ordered IDs.
//! Only the edges read the clock; all other modules receive times and IDs as arguments.
//!
//! The process believes an anchor plus the monotonic clock. It follows small corrections of the system clock, but not a
//! leap of more than five minutes until it was confirmed or has lasted for an hour; see [`follow_system_clock`].

mod leap;
#[cfg(feature = "simulation")]
pub mod simulated;
mod start_doubt;

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{self, DateTime};

use self::leap::LeapFilter;
pub use self::leap::{CORRECTION_MAX, ClockChange, EARLIEST_TIME, HeldLeap};
#[cfg(not(feature = "simulation"))]
use self::machine as source;
#[cfg(feature = "simulation")]
use self::simulated as source;
pub use self::start_doubt::StartDoubt;

pub use self::source::new_id;
pub(crate) use self::source::read_instant;
use self::source::{read_monotonic_millis, read_system_millis};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can represent.
const LAST: Millis = 253_402_300_799_999;

/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can represent.
const FIRST: Millis = -62_167_219_200_000;

const DAY_MS: Millis = 86_400_000;

/// The clock of this process.
struct BelievedClock {
    /// Believed time minus monotonic time, in milliseconds.
    offset: AtomicI64,
    filter: Mutex<LeapFilter>,
}

static CLOCK: LazyLock<BelievedClock> = LazyLock::new(|| {
    let filter = LeapFilter::new(read_system_millis(), read_monotonic_millis());
    BelievedClock { offset: AtomicI64::new(filter.offset()), filter: Mutex::new(filter) }
});

impl BelievedClock {
    fn lock(&self) -> MutexGuard<'_, LeapFilter> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut LeapFilter, Millis, Millis) -> ClockChange) -> ClockChange {
        let mut filter = self.lock();
        let result = change(&mut filter, read_system_millis(), read_monotonic_millis());
        self.offset.store(filter.offset(), Ordering::Relaxed);
        result
    }
}

/// Returns the current time, as this process believes it.
pub fn current_millis() -> Millis {
    read_monotonic_millis().saturating_add(CLOCK.offset.load(Ordering::Relaxed))
}

/// Compares the believed time with the system clock and returns what changed. The server calls it every second.
pub fn follow_system_clock() -> ClockChange {
    CLOCK.change(LeapFilter::observe)
}

/// Believes the system clock, because an operator confirmed it. Returns [`ClockChange::None`] if no leap was held.
pub fn confirm_system_clock() -> ClockChange {
    CLOCK.change(LeapFilter::confirm)
}

/// Believed time minus the time of the monotonic clock of the machine, while a leap is held: what a command of the same machine
/// must know to have the same time.
pub fn find_held_offset() -> Option<Millis> {
    let filter = CLOCK.lock();
    filter.held().map(|_| filter.offset())
}

/// Uses the time of a running server, which holds a leap: see [`find_held_offset`].
pub fn follow_server(offset: Millis) {
    CLOCK.change(|filter, _, monotonic| {
        *filter = LeapFilter::new(offset.saturating_add(monotonic), monotonic);
        ClockChange::None
    });
}

/// Returns the leap of the system clock that is not believed.
pub fn find_held_leap() -> Option<HeldLeap> {
    CLOCK.lock().held()
}

/// Compares the clock at the start of the server with the last time in its database.
pub fn compare_start(recorded_at: Millis) -> Option<StartDoubt> {
    CLOCK.lock().compare_start(recorded_at, read_monotonic_millis())
}

/// Returns the doubt about the clock at the start, while it lasts. Expired data is not deleted meanwhile.
pub fn find_start_doubt() -> Option<StartDoubt> {
    CLOCK.lock().doubt(read_monotonic_millis())
}

/// Reads the time since the start of the machine, with the time in which it was suspended. It never leaps.
pub fn read_boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(id);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default()) + Duration::from_nanos(nanoseconds)
}

/// Reads how long this thread has used a processor.
pub(crate) fn read_thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default()) + Duration::from_nanos(nanoseconds)
}

/// The clocks of the machine, and ids from its randomness.
#[cfg(not(feature = "simulation"))]
mod machine {
    use std::sync::{LazyLock, Mutex};
    use std::time::{Instant, SystemTime};

    use jiff::Timestamp;
    use uuid::ContextV7;

    use super::{LAST, Millis};

    pub(super) fn read_system_millis() -> Millis {
        Timestamp::try_from(SystemTime::now()).map_or(LAST, Timestamp::as_millisecond)
    }

    /// Reads a clock that never leaps. On Linux it also counts the time in which the machine was suspended.
    pub(super) fn read_monotonic_millis() -> Millis {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
    }

    /// Reads the clock of the writer's measurements and limits.
    pub(crate) fn read_instant() -> Instant {
        Instant::now()
    }

    /// Returns a new ID: a UUID version 7 in lower case with hyphens. Later IDs sort after earlier ones, so that inserts
    /// append to an index. An ID is not a secret and grants no access.
    pub fn new_id() -> String {
        static CONTEXT: LazyLock<Mutex<ContextV7>> = LazyLock::new(|| Mutex::new(ContextV7::new()));
        let now = super::current_millis().max(0).unsigned_abs();
        let nanos = u32::try_from(now % 1000 * 1_000_000).unwrap_or_default();
        uuid::Uuid::new_v7(uuid::Timestamp::from_unix(&*CONTEXT, now / 1000, nanos)).to_string()
    }
}

thread_local! {
    /// A day since 1970, and its date. A response has two times for each resource, and most of them are of few days.
    static LAST_DATE: Cell<(i64, [u8; 10])> = const { Cell::new((i64::MIN, *b"0000-00-00")) };
}

/// Formats a time as RFC 3339 in UTC with milliseconds, such as `2026-07-14T09:30:00.000Z` (RFC 7643 section 2.3.5).
///
/// A time outside the years 0000 to 9999 becomes the first or last instant that RFC 3339 can represent.
pub fn format_rfc3339(ms: Millis) -> String {
    let mut text = Vec::with_capacity(24);
    append_rfc3339(&mut text, ms);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends what [`format_rfc3339`] returns.
pub fn append_rfc3339(out: &mut Vec<u8>, ms: Millis) {
    // The last day of the year 9999 is outside the range of `Timestamp`.
    let ms = ms.clamp(FIRST, LAST);
    let (day, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (last_day, mut date) = LAST_DATE.get();
    if last_day != day {
        let text = EPOCH.saturating_add(SignedDuration::from_millis(ms)).date().to_string();
        date = text.as_bytes().try_into().unwrap_or(date);
        LAST_DATE.set((day, date));
    }
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[..10].copy_from_slice(&date);
    for (at, digit) in [
        (11, of_day / 36_000_000),
        (12, of_day / 3_600_000 % 10),
        (14, of_day / 600_000 % 6),
        (15, of_day / 60_000 % 10),
        (17, of_day / 10_000 % 6),
        (18, of_day / 1_000 % 10),
        (20, of_day / 100 % 10),
        (21, of_day / 10 % 10),
        (22, of_day % 10),
    ] {
        text[at] += u8::try_from(digit).unwrap_or_default();
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (FIRST, "0000-01-01T00:00:00.000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(format_rfc3339(ms), text);
        }
    }

    #[test]
    fn formatted_times_parse_to_the_same_instant() {
        let step = 13 * 86_400_000 + 3_661_007;
        let mut ms = FIRST;
        while ms <= LAST {
            let text = format_rfc3339(ms);
            let parsed: DateTime = text.strip_suffix('Z').unwrap().parse().unwrap();
            assert_eq!((parsed.duration_since(EPOCH).as_millis(), text.len()), (i128::from(ms), 24));
            ms += step;
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<String> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
    }
}
