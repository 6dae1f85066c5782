//! Whose work a write or a scan is. The queues of the store divide their time between the tenants, and then between the
//! owners of each tenant.

use crate::model::audit_context::AccountScope;
use crate::model::configuration::ConfigurationKey;

/// Divisor of the share of an account: the part of it that is free for owners with little work.
const RESERVE_DIVISOR: usize = 8;

/// The owner of queued work. Each owner has its own queue, so that one owner cannot delay the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkOwner {
    /// A SCIM request of a configuration.
    Configuration(ConfigurationKey),
    /// A call of the management API or the portal that is limited to one account: the key of the account.
    Account(i64),
    /// The management API and the portal of the operator, sign-in and the command line.
    Management,
    /// Jobs that no caller waits for.
    Background,
}

/// Who shares a queue with others: all configurations and admins of an account together are one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum WorkTenant {
    Account(i64),
    Management,
    Background,
}

impl WorkOwner {
    /// Returns the owner of a management call that may access these accounts.
    pub fn from_scope(scope: &AccountScope) -> Self {
        scope.account().map_or(Self::Management, |account| Self::Account(account.key))
    }

    /// Returns the key of the account of the owner.
    pub fn account(self) -> Option<i64> {
        match self {
            Self::Configuration(key) => Some(key.account),
            Self::Account(account) => Some(account),
            Self::Management | Self::Background => None,
        }
    }

    /// Returns the tenant of the owner.
    pub(crate) fn tenant(self) -> WorkTenant {
        match self {
            Self::Configuration(key) => WorkTenant::Account(key.account),
            Self::Account(account) => WorkTenant::Account(account),
            Self::Management => WorkTenant::Management,
            Self::Background => WorkTenant::Background,
        }
    }
}

/// Returns how far an owner that uses `own` may fill a share that all owners of its account use together. The last part of
/// the share is only for owners that use little, so that one configuration does not take the share from the others.
pub(crate) fn limit_of_owner(share: usize, own: usize) -> usize {
    let reserve = share / RESERVE_DIVISOR;
    if own < reserve { share } else { share - reserve }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_leaves_a_part_of_the_share_to_the_others_of_its_account() {
        assert_eq!((limit_of_owner(256, 0), limit_of_owner(256, 31)), (256, 256));
        assert_eq!((limit_of_owner(256, 32), limit_of_owner(256, 256)), (224, 224));
        assert_eq!((limit_of_owner(1, 0), limit_of_owner(1, 1), limit_of_owner(7, 6)), (1, 1, 7));
    }
}
