//! Quotas of configurations and accounts: their usage, and limits of their own that replace the operator's defaults.

use serde_json::{Map, Value, json};

use crate::error::{Reason, Result};
use crate::management::accounts::account_scope::find_account;
use crate::management::configurations;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::quota::{LIMIT_MAX, OwnerUsage, QuotaDefaults, QuotaKind, QuotaOverrides, QuotaStatus, UsageAmounts};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{instance, usage};
use crate::store::{Snapshot, Tx};

/// Limits to set: a number, 0 for no limit, or `None` for the default. Quotas without an entry keep their limit.
pub type QuotaChanges = Vec<(QuotaKind, Option<u64>)>;

/// A quota of which at least 80 % are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaWarning {
    /// Name of the configuration or id of the account.
    pub name: String,
    /// The usage.
    pub usage: OwnerUsage,
    /// The quota.
    pub status: QuotaStatus,
}

/// Stores the limits of configurations and accounts without limits of their own, so that every command knows them.
pub fn store_defaults(tx: &Tx<'_>, defaults: &QuotaDefaults) -> Result<()> {
    tx.allow_on_full_disk();
    if instance::load_quota_defaults(tx)? == *defaults {
        return Ok(());
    }
    instance::set_quota_defaults(tx, defaults)
}

/// Checks that an account may have one more configuration.
///
/// # Errors
/// `QuotaExceeded`.
pub(super) fn check_new_configuration(tx: &Tx<'_>, account: i64) -> Result<()> {
    let growth = UsageAmounts::default().with(QuotaKind::Configurations, 1);
    usage::load_account_usage(tx, account)?.check_growth(&growth, tx.quota_defaults())
}

/// Returns the quotas of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_configuration_quotas(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Vec<QuotaStatus>> {
    let found = configurations::find_configuration(at, scope, id)?;
    let defaults = instance::load_quota_defaults(at)?;
    Ok(usage::load_usage(at, found.key)?.configuration.list_quotas(&defaults))
}

/// Returns the quotas of an account.
///
/// # Errors
/// `NotFound` if the account does not exist within the account scope.
pub fn list_account_quotas(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Vec<QuotaStatus>> {
    let found = find_account(at, scope, id)?;
    let defaults = instance::load_quota_defaults(at)?;
    Ok(usage::load_account_usage(at, found.key)?.list_quotas(&defaults))
}

/// Sets limits of a configuration. They apply to the next write. A limit below the usage stops the growth and removes
/// nothing, except the oldest calls of the request log.
///
/// # Errors
/// `NotFound`. `NumberOutOfRange` for a limit that is too large.
pub fn set_configuration_limits(tx: &Tx<'_>, context: &AuditContext, id: &str, changes: &QuotaChanges) -> Result<()> {
    let found = configurations::find_configuration(tx, &context.scope, id)?;
    let before = usage::load_usage(tx, found.key)?.configuration;
    let after = apply_changes(&before, changes)?;
    if after == before.overrides {
        return Ok(());
    }
    usage::set_configuration_limits(tx, found.key, &after)?;
    let (before, after) = (describe_limits(&before.overrides), describe_limits(&after));
    let entry = NewAuditEntry::new("configuration.quotas_changed", Some(before), Some(after));
    configurations::append_audit_entry(tx, context, &found, entry)
}

/// Sets limits of an account. They apply to the next write.
///
/// # Errors
/// `NotFound`. `NumberOutOfRange` for a limit that is too large.
pub fn set_account_limits(tx: &Tx<'_>, context: &AuditContext, id: &str, changes: &QuotaChanges) -> Result<()> {
    let found = find_account(tx, &context.scope, id)?;
    let before = usage::load_account_usage(tx, found.key)?;
    let after = apply_changes(&before, changes)?;
    if after == before.overrides {
        return Ok(());
    }
    usage::set_account_limits(tx, found.key, &after)?;
    let (before, after) = (describe_limits(&before.overrides), describe_limits(&after));
    let account = found.reference();
    let entry = NewAuditEntry {
        account: Some(&account),
        subject_id: Some(&found.id),
        ..NewAuditEntry::new("account.quotas_changed", Some(before), Some(after))
    };
    audit::append_entry(tx, context, &entry)
}

fn apply_changes(before: &OwnerUsage, changes: &QuotaChanges) -> Result<QuotaOverrides> {
    let mut after = before.overrides;
    for (kind, limit) in changes {
        if limit.is_some_and(|limit| limit > LIMIT_MAX) {
            let error = Reason::NumberOutOfRange.with("min", 0).with("max", LIMIT_MAX);
            return Err(error.on_field(kind.as_str()));
        }
        if before.owner.kinds().contains(kind) {
            after.set(*kind, *limit);
        }
    }
    Ok(after)
}

/// The limits of its own of one owner, for the audit log.
fn describe_limits(limits: &QuotaOverrides) -> Value {
    let own = QuotaKind::ALL.into_iter().filter_map(|kind| Some((kind.as_str().to_owned(), json!(limits.get(kind)?))));
    Value::Object(own.collect::<Map<_, _>>())
}

/// Returns the quotas of all configurations and accounts of which at least 80 % are used. The request log is not
/// included: it removes its oldest calls by itself.
pub fn list_warnings(at: &Snapshot<'_>) -> Result<Vec<QuotaWarning>> {
    let defaults = instance::load_quota_defaults(at)?;
    let mut found = Vec::new();
    for one in usage::list_all_usage(at)? {
        let near = one.usage.list_quotas(&defaults).into_iter();
        for status in near.filter(|status| status.kind != QuotaKind::RequestLogBytes && status.is_near_limit()) {
            found.push(QuotaWarning { name: one.name.clone(), usage: one.usage, status });
        }
    }
    Ok(found)
}
