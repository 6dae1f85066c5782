//! The time and the ids of a simulation: a clock that moves only when it is moved, and ids from a seed. Each thread has its
//! own, so that a simulation in one thread has no input but its seed.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::Millis;

/// The time at which a simulation starts: 2026-06-01.
const START: Millis = 1_780_272_000_000;

/// The instant that corresponds to [`START`].
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// Microseconds since [`START`].
    static ELAPSED: Cell<u64> = const { Cell::new(0) };
    /// State of the generator of the ids.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Starts the time again, and the ids of this seed.
pub fn reset(seed: u64) {
    ELAPSED.set(0);
    RANDOM.set(seed);
}

/// Moves the clock.
pub fn advance(by: Duration) {
    ELAPSED.set(ELAPSED.get().saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)));
}

pub(super) fn read_system_millis() -> Millis {
    START.saturating_add_unsigned(ELAPSED.get() / 1_000)
}

pub(super) fn read_monotonic_millis() -> Millis {
    read_system_millis()
}

pub(crate) fn read_instant() -> Instant {
    *BASE + Duration::from_micros(ELAPSED.get())
}

/// Returns the next id of the seed: a UUID version 7 like those of the server.
pub fn new_id() -> String {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&next_random().to_be_bytes());
    let now = super::current_millis().max(0).unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid().to_string()
}

/// The generator `SplitMix64`.
fn next_random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
