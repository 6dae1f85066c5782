//! Changes of usage in the open transaction that are not in their rows yet. A batch has many writes of one configuration:
//! their sum is written once, in front of the commit. Reads of the transaction add the changes to the rows.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::model::quota::{QuotaUsage, UsageAmounts};

/// A point of the transaction: the changes after it can be undone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageMark(usize);

/// The changes of usage in one transaction, and the rows that it has read.
#[derive(Debug, Default)]
pub(crate) struct PendingUsage(RefCell<PendingTables>);

// Ordered maps, so that the rows are written in the same order each time.
#[derive(Debug, Default)]
struct PendingTables {
    /// The changes in their order, by key of the configuration. Those between two marks are added up.
    changes: Vec<(i64, UsageAmounts)>,
    /// Number of changes at the last mark.
    marked: usize,
    configurations: BTreeMap<i64, PendingConfiguration>,
    /// The sums of the changes by key of the account.
    accounts: BTreeMap<i64, UsageAmounts>,
}

#[derive(Debug)]
struct PendingConfiguration {
    account: i64,
    /// The usage in the rows, until they change.
    stored: Option<QuotaUsage>,
    /// The sum of the changes.
    change: UsageAmounts,
    /// How many entries of the list belong to it. Their sum can be zero.
    entries: usize,
}

/// The sums that are to be added to the rows, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UsageSums {
    pub(crate) configurations: Vec<(i64, UsageAmounts)>,
    pub(crate) accounts: Vec<(i64, UsageAmounts)>,
}

impl PendingUsage {
    /// Returns the usage with the changes, if the rows are known.
    pub(crate) fn find_usage(&self, configuration: i64) -> Option<QuotaUsage> {
        let tables = self.0.borrow();
        let found = tables.configurations.get(&configuration)?;
        let mut usage = found.stored?;
        usage.configuration.used = usage.configuration.used.plus(&found.change);
        if let Some(change) = tables.accounts.get(&found.account) {
            usage.account.used = usage.account.used.plus(change);
        }
        Some(usage)
    }

    /// Remembers the usage in the rows of a configuration and its account.
    pub(crate) fn remember_rows(&self, configuration: i64, account: i64, stored: &QuotaUsage) {
        let mut tables = self.0.borrow_mut();
        let new = PendingConfiguration { account, stored: None, change: UsageAmounts::default(), entries: 0 };
        tables.configurations.entry(configuration).or_insert(new).stored = Some(*stored);
    }

    /// Forgets what was read from the rows, because they change.
    pub(crate) fn forget_rows(&self) {
        self.0.borrow_mut().configurations.values_mut().for_each(|found| found.stored = None);
    }

    /// Adds a change. Returns false if the account of the configuration is not known.
    pub(crate) fn add_change(&self, configuration: i64, change: &UsageAmounts) -> bool {
        let tables = &mut *self.0.borrow_mut();
        let Some(found) = tables.configurations.get_mut(&configuration) else { return false };
        found.change = found.change.plus(change);
        let account = tables.accounts.entry(found.account).or_default();
        *account = account.plus(change);
        let can_merge = tables.changes.len() > tables.marked;
        if let Some(last) = tables.changes.last_mut().filter(|last| can_merge && last.0 == configuration) {
            last.1 = last.1.plus(change);
        } else {
            tables.changes.push((configuration, *change));
            found.entries += 1;
        }
        true
    }

    /// The sum of the changes of an account.
    pub(crate) fn account_change(&self, account: i64) -> UsageAmounts {
        self.0.borrow().accounts.get(&account).copied().unwrap_or_default()
    }

    /// Marks the start of a part that can be undone.
    pub(crate) fn set_mark(&self) -> UsageMark {
        let mut tables = self.0.borrow_mut();
        tables.marked = tables.changes.len();
        UsageMark(tables.marked)
    }

    /// Removes the changes after the mark, because those of the rows that they count are rolled back.
    pub(crate) fn roll_back_to(&self, mark: UsageMark) {
        let tables = &mut *self.0.borrow_mut();
        for (configuration, change) in tables.changes.drain(mark.0.min(tables.changes.len())..) {
            if let Some(found) = tables.configurations.get_mut(&configuration) {
                found.change = found.change.minus(&change);
                found.entries -= 1;
                let account = tables.accounts.entry(found.account).or_default();
                *account = account.minus(&change);
            }
        }
        // What was read may be undone, too, and so may a configuration: the next one can get its key. One with changes in
        // front of the mark stays, also if their sum is zero: an outer part may undo some of them.
        tables.configurations.retain(|_, found| found.entries > 0);
        tables.configurations.values_mut().for_each(|found| found.stored = None);
    }

    /// The sums of all changes that are not zero.
    pub(crate) fn list_sums(&self) -> UsageSums {
        let tables = self.0.borrow();
        let configurations = tables.configurations.iter().map(|(key, found)| (*key, found.change));
        let accounts = tables.accounts.iter().map(|(key, change)| (*key, *change));
        UsageSums {
            configurations: configurations.filter(|(_, change)| !change.is_zero()).collect(),
            accounts: accounts.filter(|(_, change)| !change.is_zero()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::quota::{OwnerUsage, QuotaKind, QuotaOverrides, QuotaOwner};

    fn users(count: i64) -> UsageAmounts {
        UsageAmounts::default().with(QuotaKind::Users, count)
    }

    fn stored(configuration: i64, account: i64) -> QuotaUsage {
        let of = |owner, count| OwnerUsage { owner, used: users(count), overrides: QuotaOverrides::default() };
        QuotaUsage {
            configuration: of(QuotaOwner::Configuration, configuration),
            account: of(QuotaOwner::Account, account),
        }
    }

    /// Configurations 1 and 2 of account 7, and 3 of account 8.
    fn new_pending() -> PendingUsage {
        let pending = PendingUsage::default();
        for (configuration, account) in [(1, 7), (2, 7), (3, 8)] {
            pending.remember_rows(configuration, account, &stored(10, 20));
        }
        pending
    }

    #[test]
    fn a_change_counts_for_the_configuration_and_its_account() {
        let pending = new_pending();
        assert!(pending.add_change(1, &users(2)) && pending.add_change(2, &users(3)));
        assert!(!pending.add_change(4, &users(1)));
        assert_eq!(pending.find_usage(1), Some(stored(12, 25)));
        assert_eq!(pending.find_usage(2), Some(stored(13, 25)));
        assert_eq!(pending.find_usage(3), Some(stored(10, 20)));
        assert_eq!(pending.account_change(7), users(5));
        let expected = UsageSums { configurations: vec![(1, users(2)), (2, users(3))], accounts: vec![(7, users(5))] };
        assert_eq!(pending.list_sums(), expected);
    }

    #[test]
    fn an_undone_part_leaves_the_earlier_changes() {
        let pending = new_pending();
        assert!(pending.add_change(1, &users(1)));
        let outer = pending.set_mark();
        assert!(pending.add_change(1, &users(2)) && pending.add_change(1, &users(4)));
        let inner = pending.set_mark();
        assert!(pending.add_change(1, &users(8)) && pending.add_change(3, &users(16)));
        pending.roll_back_to(inner);
        assert_eq!((pending.account_change(7), pending.account_change(8)), (users(7), users(0)));
        assert!(pending.add_change(1, &users(32)));
        pending.roll_back_to(outer);
        assert_eq!(
            pending.list_sums(),
            UsageSums { configurations: vec![(1, users(1))], accounts: vec![(7, users(1))] }
        );
    }

    #[test]
    fn changes_whose_sum_is_zero_can_be_undone_later() {
        let pending = new_pending();
        assert!(pending.add_change(1, &users(1)));
        let outer = pending.set_mark();
        assert!(pending.add_change(1, &users(-1)));
        let inner = pending.set_mark();
        pending.roll_back_to(inner);
        pending.roll_back_to(outer);
        assert_eq!(
            pending.list_sums(),
            UsageSums { configurations: vec![(1, users(1))], accounts: vec![(7, users(1))] }
        );
    }

    #[test]
    fn an_undone_configuration_is_forgotten() {
        let pending = PendingUsage::default();
        let mark = pending.set_mark();
        pending.remember_rows(1, 7, &stored(0, 0));
        assert!(pending.add_change(1, &users(1)));
        pending.roll_back_to(mark);
        assert!(!pending.add_change(1, &users(1)));
        // The next configuration with this key is of another account.
        pending.remember_rows(1, 8, &stored(0, 0));
        assert!(pending.add_change(1, &users(1)));
        assert_eq!(pending.list_sums().accounts, [(8, users(1))]);
    }

    #[test]
    fn changes_remain_when_the_rows_are_forgotten() {
        let pending = new_pending();
        assert!(pending.add_change(1, &users(1)));
        pending.forget_rows();
        assert_eq!(pending.find_usage(1), None);
        pending.remember_rows(1, 7, &stored(5, 6));
        assert_eq!(pending.find_usage(1), Some(stored(6, 7)));
    }

    /// A step of a transaction.
    #[derive(Debug, Clone)]
    enum Step {
        /// Of a configuration: users, and active users.
        Change(i64, i64, i64),
        Begin,
        Release,
        RollBack,
    }

    fn draw_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..4_i64, -1..=1_i64, -1..=1_i64).prop_map(|(of, count, active)| Step::Change(of, count, active)),
            2 => Just(Step::Begin),
            1 => Just(Step::Release),
            2 => Just(Step::RollBack),
        ]
    }

    proptest! {
        /// Small amounts, so that many sums are zero in between.
        #[test]
        fn the_sums_are_those_of_the_changes_that_are_not_undone(steps in vec(draw_step(), 0..60)) {
            let pending = PendingUsage::default();
            let mut counted: Vec<(i64, UsageAmounts)> = Vec::new();
            let mut open: Vec<(UsageMark, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Change(configuration, count, active) => {
                        let change = users(count).with(QuotaKind::ActiveUsers, active);
                        counted.push((configuration, change));
                        if !pending.add_change(configuration, &change) {
                            pending.remember_rows(configuration, configuration / 2, &stored(10, 20));
                            prop_assert!(pending.add_change(configuration, &change));
                        }
                    }
                    Step::Begin => open.push((pending.set_mark(), counted.len())),
                    Step::Release => drop(open.pop()),
                    Step::RollBack => {
                        if let Some((mark, count)) = open.pop() {
                            pending.roll_back_to(mark);
                            counted.truncate(count);
                        }
                    }
                }
            }
            let sums = |key: fn(i64) -> i64| -> Vec<(i64, UsageAmounts)> {
                let mut sums: BTreeMap<i64, UsageAmounts> = BTreeMap::new();
                for (configuration, change) in &counted {
                    let sum = sums.entry(key(*configuration)).or_default();
                    *sum = sum.plus(change);
                }
                sums.into_iter().filter(|(_, sum)| !sum.is_zero()).collect()
            };
            let expected = UsageSums { configurations: sums(|configuration| configuration), accounts: sums(|configuration| configuration / 2) };
            prop_assert_eq!(pending.list_sums(), expected);
        }
    }
}
