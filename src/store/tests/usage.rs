//! Usage in a batch: it is counted by the writes in their order, undone with them, and written with the commit.

use super::writing::{Queued, queue_as, stop_writer};
use super::*;
use crate::error::Reason;
use crate::model::configuration::{ConfigurationSource, InitialSync};
use crate::model::quota::{QuotaKind, QuotaOverrides, UsageAmounts};
use crate::model::switches::Switches;
use crate::store::tables::configurations::{NewConfigurationRow, insert_configuration};
use crate::store::tables::{accounts, usage};

/// Creates a configuration of the account `acme`.
fn insert_named(tx: &Tx<'_>, name: &str) -> Result<i64> {
    let (account, _) = accounts::ensure_account(tx, "acme")?;
    let new = NewConfigurationRow {
        id: name,
        account: &account,
        connection_name: name,
        source: ConfigurationSource::Other,
        provider: None,
        switches: &Switches::default(),
        sync: InitialSync::On,
    };
    insert_configuration(tx, &new)
}

fn users(count: i64) -> UsageAmounts {
    UsageAmounts::default().with(QuotaKind::Users, count)
}

fn queue_change(
    store: &Store,
    isolation: Isolation,
    mut change: impl FnMut(&Tx<'_>) -> Result<()> + Send + 'static,
) -> Queued<[i64; 2]> {
    queue_as(store, WorkOwner::Management, isolation, move |tx| {
        change(tx)?;
        read_users(tx)
    })
}

/// The users of the first configuration and of its account.
fn read_users(at: &Snapshot<'_>) -> Result<[i64; 2]> {
    let found = usage::load_usage(at, 1)?;
    let account = usage::load_account_usage(at, 1)?.used;
    assert_eq!(account.with(QuotaKind::Configurations, 0), found.account.used);
    Ok([found.configuration.used, found.account.used].map(|used| used.get(QuotaKind::Users)))
}

fn refuse(tx: &Tx<'_>) -> Result<()> {
    usage::add_usage(tx, 1, &users(1_000))?;
    Err(Reason::RoleUnknown.into())
}

#[test]
fn each_write_counts_those_in_front_of_it_and_undone_ones_do_not_count() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    assert_eq!(store.write_blocking(|tx| insert_named(tx, "one")).unwrap(), 1);
    assert_eq!(store.write_blocking(|tx| insert_named(tx, "two")).unwrap(), 2);
    let stopped = stop_writer(store);
    let first = queue_change(store, Isolation::None, |tx| usage::add_usage(tx, 1, &users(5)));
    let other = queue_change(store, Isolation::None, |tx| usage::add_usage(tx, 2, &users(7)));
    let failed = queue_change(store, Isolation::Savepoint, |tx| set("undone")(tx).and_then(|()| refuse(tx)));
    let without_rows = queue_change(store, Isolation::None, refuse);
    let in_part = queue_change(store, Isolation::None, |tx| {
        usage::add_usage(tx, 1, &users(1))?;
        assert!(tx.run_in_savepoint(|| refuse(tx)).is_err());
        usage::add_usage(tx, 1, &users(1))
    });
    // The transaction is rolled back because of it, and the others run again.
    let aborted = queue_change(store, Isolation::None, |tx| set("aborted")(tx).and_then(|()| refuse(tx)));
    let limited = queue_change(store, Isolation::Savepoint, |tx| {
        let mut limits = QuotaOverrides::default();
        limits.set(QuotaKind::Users, Some(9));
        usage::set_configuration_limits(tx, 1, &limits)?;
        assert_eq!(usage::load_usage(tx, 1)?.configuration.overrides, limits);
        usage::add_usage(tx, 1, &users(-3))
    });
    stopped.go_on();
    assert_eq!((first.answer().unwrap(), other.answer().unwrap()), ([5, 5], [5, 12]));
    for refused in [failed, without_rows, aborted] {
        assert_eq!(refused.answer().unwrap_err().reason(), Reason::RoleUnknown);
    }
    assert_eq!((in_part.answer().unwrap(), limited.answer().unwrap()), ([7, 14], [4, 11]));
    assert_eq!(store.read_inline(read_users).unwrap(), [4, 11]);
    let rows: Vec<i64> = store
        .read_inline(|at| at.list_values("SELECT users FROM configuration_usage ORDER BY configuration", []))
        .unwrap();
    assert_eq!(rows, [4, 7]);
}

#[test]
fn a_configuration_that_was_undone_does_not_lend_its_account_to_the_next_one() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.write_blocking(|tx| accounts::ensure_account(tx, "other")).unwrap();
    let stopped = stop_writer(store);
    let undone = queue_as(store, WorkOwner::Management, Isolation::Savepoint, |tx| {
        let key = insert_named(tx, "one")?;
        usage::add_usage(tx, key, &users(1))?;
        Err::<i64, _>(Reason::RoleUnknown.into())
    });
    let next = queue_as(store, WorkOwner::Management, Isolation::Savepoint, |tx| {
        let (account, _) = accounts::ensure_account(tx, "other")?;
        let key = insert_named(tx, "two")?;
        tx.run("UPDATE configurations SET account = ?2 WHERE configuration = ?1", (key, account.key))?;
        tx.run("UPDATE configuration_usage SET account = ?2 WHERE configuration = ?1", (key, account.key))?;
        usage::add_usage(tx, key, &users(3))?;
        Ok(key)
    });
    stopped.go_on();
    assert_eq!(undone.answer().unwrap_err().reason(), Reason::RoleUnknown);
    assert_eq!(next.answer().unwrap(), 1);
    let rows: Vec<i64> =
        store.read_inline(|at| at.list_values("SELECT users FROM account_usage ORDER BY account", [])).unwrap();
    assert_eq!(rows, [3, 0]);
}
