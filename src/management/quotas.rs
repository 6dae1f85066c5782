//! Quotas of configurations and accounts: their usage, and limits of their own that replace the operator's defaults.

use serde_json::{Map, Value, json};

use crate::error::{Reason, Result};
use crate::management::accounts::account_scope::find_account;
use crate::management::configurations;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::field_change::FieldChange;
use crate::model::quota::{
    self, ActiveUserLimit, LIMIT_MAX, OwnerQuotas, OwnerUsage, QuotaDefaults, QuotaKind, QuotaOverrides, QuotaStatus,
    UsageAmounts,
};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{instance, usage};
use crate::store::{Snapshot, Tx};

/// Changes of the limits of one owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaChanges {
    /// Limits to set: a number, 0 for no limit, or `None` for the default. Quotas without an entry keep their limit.
    pub limits: Vec<(QuotaKind, Option<u64>)>,
    /// The sentence for calls above the limit of active users.
    pub message: FieldChange<String>,
}

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
pub fn list_configuration_quotas(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<OwnerQuotas> {
    let found = configurations::find_configuration(at, scope, id)?;
    let defaults = instance::load_quota_defaults(at)?;
    let quotas = usage::load_usage(at, found.key)?.configuration.list_quotas(&defaults);
    Ok(OwnerQuotas { quotas, active_users: usage::load_configuration_active_users(at, found.key)? })
}

/// Returns the quotas of an account.
///
/// # Errors
/// `NotFound` if the account does not exist within the account scope.
pub fn list_account_quotas(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<OwnerQuotas> {
    let found = find_account(at, scope, id)?;
    let defaults = instance::load_quota_defaults(at)?;
    let quotas = usage::load_account_usage(at, found.key)?.list_quotas(&defaults);
    Ok(OwnerQuotas { quotas, active_users: usage::load_account_active_users(at, found.key)? })
}

/// Sets limits of a configuration. They apply to the next write. A limit below the usage stops the growth and removes
/// nothing, except the oldest calls of the request log.
///
/// # Errors
/// `NotFound`. `NumberOutOfRange` for a limit that is too large. `QuotaMessageInvalid`.
pub fn set_configuration_limits(tx: &Tx<'_>, context: &AuditContext, id: &str, changes: &QuotaChanges) -> Result<()> {
    let found = configurations::find_configuration(tx, &context.scope, id)?;
    let usage = usage::load_usage(tx, found.key)?.configuration;
    let before = OwnLimits::new(&usage, usage::load_configuration_active_users(tx, found.key)?);
    let after = before.with_changes(&usage, changes)?;
    if after == before {
        return Ok(());
    }
    usage::set_configuration_limits(tx, found.key, &after.limits)?;
    usage::set_configuration_message(tx, found.key, after.message.as_deref())?;
    let (before, after) = (before.describe(), after.describe());
    let entry = NewAuditEntry::new("configuration.quotas_changed", Some(before), Some(after));
    configurations::append_audit_entry(tx, context, &found, entry)
}

/// Sets limits of an account. They apply to the next write.
///
/// # Errors
/// `NotFound`. `NumberOutOfRange` for a limit that is too large. `QuotaMessageInvalid`.
pub fn set_account_limits(tx: &Tx<'_>, context: &AuditContext, id: &str, changes: &QuotaChanges) -> Result<()> {
    let found = find_account(tx, &context.scope, id)?;
    let usage = usage::load_account_usage(tx, found.key)?;
    let before = OwnLimits::new(&usage, usage::load_account_active_users(tx, found.key)?);
    let after = before.with_changes(&usage, changes)?;
    if after == before {
        return Ok(());
    }
    usage::set_account_limits(tx, found.key, &after.limits)?;
    usage::set_account_message(tx, found.key, after.message.as_deref())?;
    let (before, after) = (before.describe(), after.describe());
    let account = found.reference();
    let entry = NewAuditEntry {
        account: Some(&account),
        subject_id: Some(&found.id),
        ..NewAuditEntry::new("account.quotas_changed", Some(before), Some(after))
    };
    audit::append_entry(tx, context, &entry)
}

/// The limits of its own of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnLimits {
    limits: QuotaOverrides,
    message: Option<String>,
}

impl OwnLimits {
    fn new(usage: &OwnerUsage, active_users: ActiveUserLimit) -> Self {
        Self { limits: usage.overrides, message: active_users.message }
    }

    fn with_changes(&self, usage: &OwnerUsage, changes: &QuotaChanges) -> Result<Self> {
        let mut after = self.clone();
        for (kind, limit) in &changes.limits {
            if limit.is_some_and(|limit| limit > LIMIT_MAX) {
                let error = Reason::NumberOutOfRange.with("min", 0).with("max", LIMIT_MAX);
                return Err(error.on_field(kind.as_str()));
            }
            if usage.owner.kinds().contains(kind) {
                after.limits.set(*kind, *limit);
            }
        }
        match &changes.message {
            FieldChange::Keep => {}
            FieldChange::Clear => after.message = None,
            FieldChange::Set(text) => after.message = quota::check_message(text)?.map(str::to_owned),
        }
        Ok(after)
    }

    /// The value for the audit log.
    fn describe(&self) -> Value {
        let own = |kind: QuotaKind| Some((kind.as_str().to_owned(), json!(self.limits.get(kind)?)));
        let mut described: Map<String, Value> = QuotaKind::ALL.into_iter().filter_map(own).collect();
        if let Some(message) = &self.message {
            described.insert("message".to_owned(), json!(message));
        }
        Value::Object(described)
    }
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
