//! Quotas of a configuration and of its account. The writer runs one write at a time, so concurrent writes cannot exceed
//! a quota together.

use crate::error::{Error, Reason, Result};
use crate::model::quota::{QuotaOwner, UsageAmounts};
use crate::provisioning::Scope;
use crate::store::Tx;
use crate::store::tables::usage;

/// Runs a write whose usage grows by at most `growth`. If that fits into all quotas, the write needs no further check.
/// Otherwise it runs in a savepoint, and is undone if a usage that exceeds its quota really grew. So a write that does
/// not increase a usage always succeeds.
///
/// # Errors
/// `QuotaExceeded`, `ActiveUserLimitReached` with the sentence of the operator, and the errors of `write`.
pub(crate) fn write_within_quotas<T>(
    tx: &Tx<'_>,
    scope: &Scope,
    growth: &UsageAmounts,
    write: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let before = usage::load_usage(tx, scope.configuration)?;
    if before.allows_growth(growth, tx.quota_defaults()) {
        return write();
    }
    let done = tx.run_in_savepoint(|| {
        let done = write()?;
        usage::load_usage(tx, scope.configuration)?.check_since(&before, tx.quota_defaults())?;
        Ok(done)
    });
    done.map_err(|error| add_own_message(tx, scope.configuration, error))
}

/// Replaces the sentence of a reached limit of active users by that of the operator, if there is one.
fn add_own_message(tx: &Tx<'_>, configuration: i64, error: Error) -> Error {
    if error.reason() != Reason::ActiveUserLimitReached || error.sentence().is_some() {
        return error;
    }
    let is_account = error.param("owner") == Some(QuotaOwner::Account.label());
    let owner = if is_account { QuotaOwner::Account } else { QuotaOwner::Configuration };
    match usage::find_limit_message(tx, configuration, owner) {
        Ok(Some(message)) => error.with_sentence(message),
        Ok(None) => error,
        Err(problem) => problem,
    }
}

/// Counts a growth before the rows that it counts are written.
///
/// # Errors
/// `QuotaExceeded`, without a change.
pub(crate) fn reserve_growth(tx: &Tx<'_>, configuration: i64, growth: &UsageAmounts) -> Result<()> {
    let before = usage::load_usage(tx, configuration)?;
    before.configuration.check_growth(growth, tx.quota_defaults())?;
    before.account.check_growth(growth, tx.quota_defaults())?;
    usage::add_usage(tx, configuration, growth)
}
