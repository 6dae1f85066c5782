//! Until when the store accepts and acknowledges writes. A server that needs a lease extends it each time it has written the lease.
//!
//! The time is that of a clock which also counts while the machine is suspended. The writer looks in front of the commit and after
//! it, and the caller once more when it gets the result: a process that was paused does not acknowledge afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::store::Store;

/// The permit of one store. A new one does not permit anything.
#[derive(Debug, Default)]
pub struct WritePermit {
    /// Nanoseconds on [`clock::read_boot_time`].
    until: AtomicU64,
}

impl WritePermit {
    /// Accepts writes until this time, unless they are accepted for longer already.
    pub fn extend(&self, until: Duration) {
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::SeqCst);
    }

    /// Accepts no writes from now on.
    pub fn revoke(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    /// Whether writes are accepted now.
    pub fn is_valid(&self) -> bool {
        clock::read_boot_time().as_nanos() < u128::from(self.until.load(Ordering::SeqCst))
    }
}

impl Store {
    /// Accepts and acknowledges writes from now on only while this permit is valid. Only the first call has an effect.
    pub fn require_permit(&self, permit: Arc<WritePermit>) {
        // A second call would be a mistake of the program, and the first one stays valid.
        drop(self.shared.permit.set(permit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn a_permit_is_valid_until_its_end_and_can_be_revoked() {
        let permit = WritePermit::default();
        assert!(!permit.is_valid());
        permit.extend(clock::read_boot_time() + Duration::from_mins(1));
        permit.extend(Duration::from_secs(1));
        assert!(permit.is_valid());
        permit.revoke();
        assert!(!permit.is_valid());
    }

    #[test]
    fn a_store_without_its_permit_reads_but_neither_accepts_nor_commits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let permit = Arc::new(WritePermit::default());
        permit.extend(clock::read_boot_time() + Duration::from_mins(1));
        store.require_permit(Arc::clone(&permit));
        let write = |key: &'static str, inside: fn(&WritePermit)| {
            let permit = Arc::clone(&permit);
            store.write_blocking(move |tx| {
                crate::store::tables::instance::set_value(tx, key, "1")?;
                inside(&permit);
                Ok(())
            })
        };
        let read =
            |key: &'static str| store.read_inline(|at| crate::store::tables::instance::get_value(at, key)).unwrap();
        write("first", |_| {}).unwrap();
        // The time ends while the transaction runs: it is rolled back.
        assert_eq!(write("second", WritePermit::revoke).unwrap_err().reason(), Reason::LeaseLost);
        assert_eq!(write("third", |_| {}).unwrap_err().reason(), Reason::LeaseLost);
        assert_eq!((read("first"), read("second"), read("third")), (Some("1".to_owned()), None, None));
        permit.extend(clock::read_boot_time() + Duration::from_mins(1));
        write("third", |_| {}).unwrap();
    }
}
