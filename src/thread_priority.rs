//! Threads whose work can wait while event loops and the writer need the processor.

use std::cell::Cell;

/// Added to the niceness of such threads. They get a third of the processor time that the event loops and the writer get,
/// while those need all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

thread_local! {
    static HAS_LOW_PRIORITY: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of the calling thread, once. A request on an event loop takes microseconds, so it must not wait until
/// a scan or a delivery has used up its time slice. Without the permission, nothing changes.
pub(crate) fn lower_priority() {
    if HAS_LOW_PRIORITY.replace(true) {
        return;
    }
    // Only Linux has a niceness for each thread.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the priority of a thread cannot be lowered");
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn work_that_can_wait_has_a_lower_priority_than_the_event_loops() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let lowered = std::thread::spawn(move || {
            lower_priority();
            lower_priority();
            own()
        });
        assert_eq!(lowered.join().unwrap(), (before + NICENESS).min(19));
        assert_eq!(own(), before, "other threads do not change");
    }
}
