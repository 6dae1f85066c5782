//! Memory for request bodies, shared by all requests. A body reserves memory as it arrives and releases it when its request
//! ends. The first bytes of each body are not counted: the number of connections limits them, and so a small body never
//! waits for large ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Reason, Result};

/// Bytes of each body that are not counted.
pub(super) const UNCOUNTED_BYTES: usize = 8 * 1024;
/// Bodies from this size on also reserve memory for the parsed document.
const DOCUMENT_COUNTED_FROM: usize = 64 * 1024;
/// Memory that is reserved for one value of a parsed document.
const BYTES_PER_VALUE: usize = 128;
/// Share of one owner, as a part of the budget.
const SHARE_DIVISOR: usize = 4;

/// Who a body is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum BodyOwner {
    /// The configuration with this key.
    Configuration(i64),
    /// The API key, user or admin with this id.
    Caller(String),
}

/// The memory for request bodies.
pub struct BodyBudget {
    max: usize,
    used: Mutex<BudgetUse>,
}

#[derive(Default)]
struct BudgetUse {
    total: usize,
    owners: HashMap<BodyOwner, usize>,
}

/// Reserved memory of one request; released on drop.
pub(super) struct BodyReservation {
    budget: Arc<BodyBudget>,
    owner: BodyOwner,
    bytes: usize,
}

impl BodyBudget {
    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, used: Mutex::default() }
    }

    /// Starts an empty reservation.
    pub(super) fn start_reservation(self: &Arc<Self>, owner: BodyOwner) -> BodyReservation {
        BodyReservation { budget: Arc::clone(self), owner, bytes: 0 }
    }

    /// Returns whether an owner with `of_owner` reserved bytes may reserve more. An owner has a share of the budget. Its only
    /// request may exceed the share, but leaves one share to the others.
    fn allows(&self, used: &BudgetUse, of_owner: usize, more: usize, is_only: bool) -> bool {
        let share = self.max / SHARE_DIVISOR;
        let total = used.total.saturating_add(more);
        let is_within_share = of_owner.saturating_add(more) <= share;
        if is_within_share { total <= self.max } else { is_only && total <= self.max - share }
    }
}

impl BodyReservation {
    /// Extends the reservation to `bytes`.
    ///
    /// # Errors
    /// 503 if the share of the owner or the budget is used up. The reservation stays as it was.
    pub(super) fn extend_to(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        let of_owner = used.owners.get(&self.owner).copied().unwrap_or_default();
        if !self.budget.allows(&used, of_owner, more, of_owner == self.bytes) {
            return Err(Reason::BodyMemoryExhausted.into());
        }
        used.total += more;
        *used.owners.entry(self.owner.clone()).or_default() += more;
        self.bytes += more;
        Ok(())
    }

    /// Extends the reservation by the memory of the parsed document.
    ///
    /// # Errors
    /// Those of [`Self::extend_to`].
    pub(super) fn extend_for_document(&mut self, text: &[u8]) -> Result<()> {
        self.extend_to(self.bytes.saturating_add(estimate_document_bytes(text)))
    }

    /// Merges another reservation of the same request.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.total = used.total.saturating_sub(self.bytes);
        if let Some(of_owner) = used.owners.get_mut(&self.owner) {
            *of_owner = of_owner.saturating_sub(self.bytes);
            if *of_owner == 0 {
                used.owners.remove(&self.owner);
            }
        }
    }
}

/// Returns the memory for the values of a JSON text: a comma or an opening bracket precedes each of them. 0 for a short
/// text.
fn estimate_document_bytes(text: &[u8]) -> usize {
    if text.len() < DOCUMENT_COUNTED_FROM {
        return 0;
    }
    let values = text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    values.min(crate::scim::json::VALUES_MAX) * BYTES_PER_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn reserve(budget: &Arc<BodyBudget>, configuration: i64, bytes: usize) -> Result<BodyReservation> {
        let mut reservation = budget.start_reservation(BodyOwner::Configuration(configuration));
        reservation.extend_to(bytes).map(|()| reservation)
    }

    #[test]
    fn one_owner_uses_a_quarter_and_the_others_find_room() {
        let budget = Arc::new(BodyBudget::new(128 * MIB));
        let held: Vec<_> = (0..20).map_while(|_| reserve(&budget, 1, 8 * MIB).ok()).collect();
        assert_eq!(held.len(), 4);
        let others: Vec<_> = (2..100).map_while(|owner| reserve(&budget, owner, 8 * MIB).ok()).collect();
        assert_eq!(others.len(), 12);
        drop(held);
        assert!(reserve(&budget, 1, 8 * MIB).is_ok());
        drop(others);
        let used = budget.used.lock().unwrap();
        assert!(used.total == 0 && used.owners.is_empty(), "the memory is released");
    }

    #[test]
    fn a_single_large_request_passes_and_leaves_a_share() {
        let budget = Arc::new(BodyBudget::new(128 * MIB));
        let large = reserve(&budget, 1, 96 * MIB).unwrap();
        assert!(reserve(&budget, 1, 1).is_err() && reserve(&budget, 2, 33 * MIB).is_err());
        assert!(reserve(&budget, 2, 32 * MIB).is_ok());
        drop(large);
        assert!(reserve(&budget, 1, 97 * MIB).is_err());
    }

    #[test]
    fn a_failed_extension_leaves_the_reservation() {
        let budget = Arc::new(BodyBudget::new(16 * MIB));
        let mut first = reserve(&budget, 1, 4 * MIB).unwrap();
        assert_eq!(first.extend_to(13 * MIB).unwrap_err().status(), 503);
        assert_eq!(budget.used.lock().unwrap().total, 4 * MIB);
        first.absorb(reserve(&budget, 1, 0).unwrap());
        drop(first);
        assert_eq!(budget.used.lock().unwrap().total, 0);
    }

    #[test]
    fn a_document_of_many_values_reserves_their_memory() {
        assert_eq!(estimate_document_bytes(b"[1,2,3]"), 0);
        let text = format!("[{}0]", "0,".repeat(100_000));
        assert_eq!(estimate_document_bytes(text.as_bytes()), 100_001 * BYTES_PER_VALUE);
        assert!(estimate_document_bytes(&b",".repeat(8 * MIB)) < 96 * MIB, "the largest document passes alone");
    }
}
