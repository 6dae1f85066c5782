//! Rows of `audit`: who changed what, written in the transaction of the change.

use rusqlite::{Row, named_params};
use serde_json::Value;

use super::{Snapshot, Tx};
use crate::clock::Millis;
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

/// A change as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its place in the order of changes.
    pub number: i64,
    /// When.
    pub at: Millis,
    /// Kind of the actor, its id and its name.
    pub actor: [String; 3],
    /// Network address it came from.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Account it belongs to.
    pub account: Option<String>,
    /// Configuration it belongs to.
    pub configuration_id: Option<String>,
    /// What was done.
    pub action: String,
    /// Id of what was changed.
    pub subject_id: Option<String>,
    /// What was true before.
    pub before: Option<Value>,
    /// What was true after it.
    pub after: Option<Value>,
}

/// Which changes are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only those before this number.
    pub before: Option<i64>,
    /// Only those of this account.
    pub account: Option<String>,
    /// Only those of this configuration.
    pub configuration_id: Option<String>,
    /// Only those by the actor with this id or name.
    pub actor: Option<String>,
    /// Only this action, or all on one subject: `token.created`, `token`.
    pub action: Option<String>,
    /// Only those at this time or later.
    pub since: Option<Millis>,
    /// Only those before this time.
    pub until: Option<Millis>,
}

/// At most `limit` changes, newest first.
pub fn page(at: &Snapshot<'_>, wanted: &Wanted, limit: u32) -> Result<Vec<Kept>> {
    // The plan differs with what is given: one index serves a configuration, another an account, the table the rest.
    let by = match (&wanted.configuration_id, &wanted.account) {
        (Some(_), _) => "configuration_id = :configuration AND (:account IS NULL OR account_id = :account)",
        (None, Some(_)) => "account_id = :account AND :configuration IS NULL",
        (None, None) => ":account IS NULL AND :configuration IS NULL",
    };
    let sql = format!(
        "SELECT entry, at, actor_kind, actor_id, actor_name, address, request_id, account_id, configuration_id,
                action, subject_id, before, after
         FROM audit
         WHERE {by} AND entry < ifnull(:before, 9223372036854775807)
           AND (:actor IS NULL OR actor_id = :actor OR actor_name = :actor)
           AND (:action IS NULL OR action = :action OR substr(action, 1, length(:action) + 1) = :action || '.')
           AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
         ORDER BY entry DESC LIMIT :limit"
    );
    let mut statement = at.prepare(&sql)?;
    let parameters = named_params! {
        ":account": wanted.account,
        ":configuration": wanted.configuration_id,
        ":before": wanted.before,
        ":actor": wanted.actor,
        ":action": wanted.action,
        ":since": wanted.since,
        ":until": wanted.until,
        ":limit": limit,
    };
    let found = statement.query_map(parameters, kept)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let json = |name: &str| -> rusqlite::Result<Option<Value>> {
        let text: Option<String> = row.get(name)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    Ok(Kept {
        number: row.get("entry")?,
        at: row.get("at")?,
        actor: [row.get("actor_kind")?, row.get("actor_id")?, row.get("actor_name")?],
        address: row.get("address")?,
        request_id: row.get("request_id")?,
        account: row.get("account_id")?,
        configuration_id: row.get("configuration_id")?,
        action: row.get("action")?,
        subject_id: row.get("subject_id")?,
        before: json("before")?,
        after: json("after")?,
    })
}
