//! Rows of `audit`: who changed what, written in the transaction of the change.

use rusqlite::named_params;
use serde_json::Value;

use super::Tx;
use crate::error::Result;
use crate::model::actor::By;

/// A change as it is kept. Secrets never come here.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// What was done: `subject.what`, such as `configuration.created`.
    pub action: &'a str,
    /// Account it belongs to.
    pub account: Option<&'a str>,
    /// Configuration it belongs to.
    pub configuration_id: Option<&'a str>,
    /// Id of what was changed, where that is not the configuration itself.
    pub subject_id: Option<&'a str>,
    /// What was true before.
    pub before: Option<Value>,
    /// What is true now.
    pub after: Option<Value>,
}

/// Appends a change.
pub fn append(tx: &Tx<'_>, by: &By, entry: &Entry<'_>) -> Result<()> {
    tx.prepare(
        "INSERT INTO audit (at, actor_kind, actor_id, actor_name, address, request_id, account_id, configuration_id,
                            action, subject_id, before, after)
         VALUES (:now, :kind, :id, :name, :address, :request_id, :account, :configuration, :action, :subject, :before,
                 :after)",
    )?
    .execute(named_params! {
        ":now": tx.now,
        ":kind": by.actor.kind.as_str(),
        ":id": by.actor.id,
        ":name": by.actor.name,
        ":address": by.address,
        ":request_id": by.request_id,
        ":account": entry.account,
        ":configuration": entry.configuration_id,
        ":action": entry.action,
        ":subject": entry.subject_id,
        ":before": entry.before.as_ref().map(Value::to_string),
        ":after": entry.after.as_ref().map(Value::to_string),
    })?;
    Ok(())
}
