//! Memory for request bodies, shared by all requests. A body reserves memory as it arrives and releases it when its request
//! ends. The memory is divided between accounts, and the share of an account between its configurations and admins. The first bytes of each body are not counted: the number of connections limits them, and so a small body never
//! waits for large ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Reason, Result};
use crate::scim::json::JsonLayout;
use crate::store::WorkOwner;

/// Bytes of each body that are not counted.
pub(super) const UNCOUNTED_BYTES: usize = 8 * 1024;
/// Share of one account, key or admin, as a part of the budget.
const SHARE_DIVISOR: usize = 4;

/// Divisor of the share of an account: the part of it that is free for owners that use little.
const RESERVE_DIVISOR: usize = 8;

/// Who a body is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum BodyOwner {
    /// A configuration or an account.
    Tenant(WorkOwner),
    /// The API key or admin of the operator with this id.
    Caller(String),
}

/// Who shares the budget with others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum BodyTenant {
    Account(i64),
    Caller(String),
}

impl BodyOwner {
    /// The owner of the bodies of a management call: the account to which the caller is limited, else the caller.
    pub(super) fn from_caller(owner: WorkOwner, caller: &str) -> Self {
        match owner.account() {
            Some(_) => Self::Tenant(owner),
            None => Self::Caller(caller.to_owned()),
        }
    }

    fn tenant(&self) -> BodyTenant {
        match self {
            Self::Tenant(owner) => BodyTenant::Account(owner.account().unwrap_or_default()),
            Self::Caller(id) => BodyTenant::Caller(id.clone()),
        }
    }
}

/// The memory for request bodies.
pub struct BodyBudget {
    max: usize,
    used: Mutex<BudgetUse>,
}

#[derive(Default)]
struct BudgetUse {
    total: usize,
    tenants: HashMap<BodyTenant, TenantUse>,
}

/// Reserved bytes of a tenant.
#[derive(Default)]
struct TenantUse {
    total: usize,
    owners: HashMap<BodyOwner, usize>,
}

/// Reserved memory of one request; released on drop.
pub(super) struct BodyReservation {
    budget: Arc<BodyBudget>,
    owner: BodyOwner,
    bytes: usize,
    /// The part of the bytes that is for the parsed document.
    document: usize,
}

impl BodyBudget {
    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, used: Mutex::default() }
    }

    /// Starts an empty reservation.
    pub(super) fn start_reservation(self: &Arc<Self>, owner: BodyOwner) -> BodyReservation {
        BodyReservation { budget: Arc::clone(self), owner, bytes: 0, document: 0 }
    }

    /// Returns whether a request may reserve `more` bytes. A tenant has a share of the budget, which its owners divide. Its
    /// only request may exceed the share, but leaves one share to the others.
    fn allows(&self, total: usize, of_tenant: &TenantUse, request: &BodyReservation, more: usize) -> bool {
        let share = self.max / SHARE_DIVISOR;
        let total = total.saturating_add(more);
        let of_owner = of_tenant.owners.get(&request.owner).copied().unwrap_or_default();
        let is_only = of_tenant.total == request.bytes;
        let limit = match request.owner {
            BodyOwner::Tenant(_) if !is_only => share_of_owner(share, of_owner.saturating_add(more)),
            _ => share,
        };
        let is_within_share = of_tenant.total.saturating_add(more) <= limit;
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
        if more == 0 {
            return Ok(());
        }
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        let BudgetUse { total, tenants } = &mut *used;
        let of_tenant = tenants.entry(self.owner.tenant()).or_default();
        if !self.budget.allows(*total, of_tenant, self, more) {
            if of_tenant.total == 0 {
                tenants.remove(&self.owner.tenant());
            }
            return Err(Reason::BodyMemoryExhausted.into());
        }
        *total += more;
        of_tenant.total += more;
        *of_tenant.owners.entry(self.owner.clone()).or_default() += more;
        drop(used);
        self.bytes += more;
        Ok(())
    }

    /// Extends the reservation by the memory of the parsed document.
    ///
    /// # Errors
    /// 413 if the document would not fit even if it were the only one; those of [`Self::extend_to`].
    pub(super) fn extend_for_document(&mut self, layout: &JsonLayout) -> Result<()> {
        let bytes = self.bytes.saturating_add(layout.memory());
        if bytes > self.budget.max - self.budget.max / SHARE_DIVISOR {
            return Err(Reason::DocumentTooLarge.into());
        }
        self.extend_to(bytes)?;
        self.document += layout.memory();
        Ok(())
    }

    /// Releases the memory of the text after its document was parsed.
    pub(super) fn release_text(&mut self) {
        if self.document > 0 {
            self.release(self.bytes - self.document);
        }
    }

    fn release(&mut self, bytes: usize) {
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.release(&self.owner, bytes);
        drop(used);
        self.bytes -= bytes;
    }

    /// Merges another reservation of the same request.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.document += other.document;
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.release(self.bytes);
        }
    }
}

impl BudgetUse {
    fn release(&mut self, owner: &BodyOwner, bytes: usize) {
        self.total = self.total.saturating_sub(bytes);
        let tenant = owner.tenant();
        let Some(of_tenant) = self.tenants.get_mut(&tenant) else { return };
        of_tenant.total = of_tenant.total.saturating_sub(bytes);
        if let Some(of_owner) = of_tenant.owners.get_mut(owner) {
            *of_owner = of_owner.saturating_sub(bytes);
            if *of_owner == 0 {
                of_tenant.owners.remove(owner);
            }
        }
        if of_tenant.total == 0 {
            self.tenants.remove(&tenant);
        }
    }
}

/// Returns how far an owner that would use `own` bytes may fill the share of its account. The last part of the share is for
/// owners that use little.
fn share_of_owner(share: usize, own: usize) -> usize {
    let reserve = share / RESERVE_DIVISOR;
    if own <= reserve { share } else { share - reserve }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::configuration::ConfigurationKey;

    const MIB: usize = 1024 * 1024;

    fn reserve(budget: &Arc<BodyBudget>, account: i64, bytes: usize) -> Result<BodyReservation> {
        reserve_for(budget, ConfigurationKey { account, key: account }, bytes)
    }

    fn reserve_for(budget: &Arc<BodyBudget>, key: ConfigurationKey, bytes: usize) -> Result<BodyReservation> {
        let mut reservation = budget.start_reservation(BodyOwner::Tenant(WorkOwner::Configuration(key)));
        reservation.extend_to(bytes).map(|()| reservation)
    }

    #[test]
    fn one_account_uses_a_quarter_and_the_others_find_room() {
        for configurations in [1, 48] {
            let budget = Arc::new(BodyBudget::new(128 * MIB));
            let key = |number: i64| ConfigurationKey { account: 1, key: 10 + number % configurations };
            let held: Vec<_> = (0..200).filter_map(|number| reserve_for(&budget, key(number), 8 * MIB).ok()).collect();
            // The last part of the quarter is for configurations that use little.
            assert_eq!(held.len(), 3);
            let small: Vec<_> = (0..200)
                .filter_map(|number| {
                    reserve_for(&budget, ConfigurationKey { account: 1, key: 1_000 + number }, MIB).ok()
                })
                .collect();
            assert_eq!(small.len(), 8);
            let others: Vec<_> = (2..100).map_while(|account| reserve(&budget, account, 8 * MIB).ok()).collect();
            assert_eq!(others.len(), 12);
            drop((held, small));
            assert!(reserve(&budget, 1, 8 * MIB).is_ok());
            drop(others);
            let used = budget.used.lock().unwrap();
            assert!(used.total == 0 && used.tenants.is_empty(), "the memory is released");
        }
    }

    #[test]
    fn the_admins_and_keys_of_an_account_use_its_share() {
        let budget = Arc::new(BodyBudget::new(128 * MIB));
        let of_admin = BodyOwner::from_caller(WorkOwner::Account(1), "admin");
        let mut admin = budget.start_reservation(of_admin);
        admin.extend_to(20 * MIB).unwrap();
        assert!(reserve(&budget, 1, 20 * MIB).is_err());
        let mut operator = budget.start_reservation(BodyOwner::from_caller(WorkOwner::Management, "key"));
        operator.extend_to(32 * MIB).unwrap();
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
    fn a_document_reserves_the_memory_of_its_values() {
        let budget = Arc::new(BodyBudget::new(128 * MIB));
        let text = format!("[{}0]", "0,".repeat(100_000));
        let layout = JsonLayout::measure(text.as_bytes()).unwrap();
        let mut reservation = reserve(&budget, 1, text.len()).unwrap();
        reservation.extend_for_document(&layout).unwrap();
        assert_eq!(budget.used.lock().unwrap().total, text.len() + layout.memory());
        reservation.release_text();
        reservation.release_text();
        assert_eq!(budget.used.lock().unwrap().total, layout.memory());
        // The largest group passes alone, and a document that can never fit is refused for good.
        let member = r#"{"value":"0123456789012345","type":"User","display":"abc","$ref":"/U/1"}"#;
        let group = format!("[{}]", vec![member; 100_000].join(","));
        let mut alone = reserve(&budget, 2, group.len()).unwrap();
        alone.extend_for_document(&JsonLayout::measure(group.as_bytes()).unwrap()).unwrap();
        let nested = format!("{}1{}", r#"{"a":"#.repeat(61), "}".repeat(61));
        let hostile = format!("[{}]", vec![nested; 9_500].join(","));
        let mut refused = reserve(&budget, 3, 1).unwrap();
        let error = refused.extend_for_document(&JsonLayout::measure(hostile.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.status(), 413);
    }
}
