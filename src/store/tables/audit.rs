//! Rows of `audit`: the audit log, written in the transaction of the change.

use rusqlite::{Row, named_params};
use serde_json::Value;

use super::accounts;
use super::rows::read_columns;
use crate::clock::{self, Millis};
use crate::error::Result;
use crate::model::account::{AccountFilter, AccountRef, AccountState};
use crate::model::audit_context::{ActorKind, AuditContext};
use crate::store::engine::sqlite_errors::undecodable_column;
use crate::store::{Snapshot, Tx};

/// A new audit entry. It must not contain secrets.
#[derive(Debug, Clone, Default)]
pub struct NewAuditEntry<'a> {
    /// The action: `subject.verb`, such as `configuration.created`.
    pub action: &'a str,
    /// Account that the change belongs to.
    pub account: Option<&'a AccountRef>,
    /// Configuration that the change belongs to.
    pub configuration_id: Option<&'a str>,
    /// Id of the changed object, if it is not the configuration itself.
    pub subject_id: Option<&'a str>,
    /// State before the change.
    pub before: Option<Value>,
    /// State after the change.
    pub after: Option<Value>,
}

impl<'a> NewAuditEntry<'a> {
    /// An entry with the states before and after the change.
    pub fn new(action: &'a str, before: Option<Value>, after: Option<Value>) -> Self {
        Self { action, before, after, ..Self::default() }
    }
}

/// Actions that are possible while an account moves: those of the move itself.
const MOVE_ACTIONS: &[&str] =
    &["account.frozen", "account.unfrozen", "account.moved", "account.exported", "account.imported"];
/// Actions that remove what is left of an account that has moved, or that was not imported completely.
const REMOVING_ACTIONS: &[&str] = &["configuration.deleted", "account.deleted"];

/// Every change by a caller has an entry, so this is where the changes of an account that moves are refused. What the server
/// completes on its own, and sign-ins, are not refused.
fn check_account(tx: &Tx<'_>, context: &AuditContext, entry: &NewAuditEntry<'_>) -> Result<()> {
    let Some(account) = entry.account.filter(|_| context.actor.kind != ActorKind::Server) else { return Ok(()) };
    let state = accounts::find_state(tx, account.key)?;
    let is_allowed = entry.action.starts_with("sign_in.")
        || MOVE_ACTIONS.contains(&entry.action)
        || (state != AccountState::Frozen && REMOVING_ACTIONS.contains(&entry.action));
    if is_allowed { Ok(()) } else { state.check_active() }
}

/// Appends an entry to the audit log.
///
/// # Errors
/// 503 if the account of the entry moves to another instance: the change must be rolled back.
pub fn append_entry(tx: &Tx<'_>, context: &AuditContext, entry: &NewAuditEntry<'_>) -> Result<()> {
    check_account(tx, context, entry)?;
    tx.run(
        "INSERT INTO audit (at, actor_kind, actor_id, actor_name, address, request_id, account_id, account,
                            configuration_id, action, subject_id, before, after)
         VALUES (:now, :kind, :id, :name, :address, :request_id, :account_id, :account, :configuration, :action,
                 :subject, :before, :after)",
        named_params! {
            ":now": tx.now,
            ":kind": context.actor.kind.as_str(),
            ":id": context.actor.id,
            ":name": context.actor.name,
            ":address": context.address,
            ":request_id": context.request_id,
            ":account_id": entry.account.map(|account| account.id.as_str()),
            ":account": entry.account.map(|account| account.key),
            ":configuration": entry.configuration_id,
            ":action": entry.action,
            ":subject": entry.subject_id,
            ":before": entry.before.as_ref().map(Value::to_string),
            ":after": entry.after.as_ref().map(Value::to_string),
        },
    )
}

/// Returns the number of the entry that the transaction has appended last.
pub fn newest_entry(tx: &Tx<'_>) -> i64 {
    tx.connection().last_insert_rowid()
}

/// A stored audit entry.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Sequence number.
    pub number: i64,
    /// Time of the change.
    pub at: Millis,
    /// Kind, id and name of the actor.
    pub actor: [String; 3],
    /// Network address of the caller.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Account that the change belongs to, with its id at that time.
    pub account: Option<AccountRef>,
    /// Configuration that the change belongs to.
    pub configuration_id: Option<String>,
    /// The action.
    pub action: String,
    /// Id of the changed object.
    pub subject_id: Option<String>,
    /// State before the change.
    pub before: Option<Value>,
    /// State after the change.
    pub after: Option<Value>,
}

/// Selects audit entries.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only entries before this number.
    pub before: Option<i64>,
    /// Only entries of these accounts.
    pub account: Option<AccountFilter>,
    /// Only entries of this configuration.
    pub configuration_id: Option<String>,
    /// Only entries of the actor with this id or name.
    pub actor: Option<String>,
    /// Only this action, or all actions on one subject: `token.created`, `token`.
    pub action: Option<String>,
    /// Only entries at this time or later.
    pub since: Option<Millis>,
    /// Only entries before this time.
    pub until: Option<Millis>,
}

/// Limits of a list of entries.
#[derive(Debug, Clone, Copy)]
pub struct AuditLimit {
    /// Most entries.
    pub count: u32,
    /// Most bytes of their values. The first entry is always included.
    pub bytes: usize,
}

/// Bytes of an entry without its values, approximately.
const ENTRY_BYTES: usize = 500;

/// Entries that are scanned in one statement, after which a scan can give up its snapshot: some 10 ms.
const SCANNED_PER_STEP: i64 = 4_096;

impl AuditQuery {
    /// Whether the scan may skip entries. Those of a configuration or an account are found by an index.
    fn skips_entries(&self) -> bool {
        self.actor.is_some() || self.action.is_some() || self.since.is_some() || self.until.is_some()
    }
}

/// Returns the entries up to the limit, newest first, and whether the bytes ended the list, so that more follow.
///
/// A scan that skips entries reads them in steps, between which it gives up a snapshot that is older than 100 ms.
pub fn list_entries(at: &Snapshot<'_>, query: &AuditQuery, limit: AuditLimit) -> Result<(Vec<AuditEntry>, bool)> {
    let mut page = AuditRows { limit, found: Vec::new(), bytes: 0 };
    if !query.skips_entries() {
        let is_cut = page.read_range(at, query, (0, query.before))?;
        return Ok((page.found, is_cut));
    }
    let newest = at.find_value::<Option<i64>>("SELECT max(entry) FROM audit", [])?.flatten().unwrap_or_default();
    let mut end = query.before.unwrap_or(i64::MAX).min(newest.saturating_add(1));
    while end > 0 && page.has_room() {
        let start = (end - SCANNED_PER_STEP).max(0);
        if page.read_range(at, query, (start, Some(end)))? {
            return Ok((page.found, true));
        }
        end = start;
        at.renew_if_due()?;
    }
    Ok((page.found, false))
}

/// The entries of a page while they are read.
struct AuditRows {
    limit: AuditLimit,
    found: Vec<AuditEntry>,
    bytes: usize,
}

impl AuditRows {
    fn has_room(&self) -> bool {
        self.missing() > 0
    }

    /// How many more entries the page may have.
    fn missing(&self) -> u32 {
        self.limit.count.saturating_sub(u32::try_from(self.found.len()).unwrap_or(u32::MAX))
    }

    /// Adds the entries of the query with numbers from `start` up to `end`. Returns whether the bytes ended the page.
    fn read_range(&mut self, at: &Snapshot<'_>, query: &AuditQuery, (start, end): (i64, Option<i64>)) -> Result<bool> {
        // The query plan depends on the filter: one index for a configuration, another for an account, otherwise the table.
        // The index has the ids of accounts, and the key excludes an earlier account with the same id.
        let scope = match (&query.configuration_id, &query.account) {
            (Some(_), _) => "configuration_id = :configuration AND (:account_id IS NULL OR account_id = :account_id)",
            (None, Some(_)) => "account_id = :account_id AND :configuration IS NULL",
            (None, None) => ":account_id IS NULL AND :configuration IS NULL",
        };
        let sql = format!(
            "SELECT entry, at, actor_kind, actor_id, actor_name, address, request_id, account_id, account, configuration_id,
                    action, subject_id, before, after
             FROM audit
             WHERE {scope} AND (:account IS NULL OR account = :account) AND entry >= :start
               AND entry < ifnull(:end, 9223372036854775807)
               AND (:actor IS NULL OR actor_id = :actor OR actor_name = :actor)
               AND (:action IS NULL OR action = :action OR substr(action, 1, length(:action) + 1) = :action || '.')
               AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
             ORDER BY entry DESC LIMIT :limit"
        );
        let parameters = named_params! {
            ":account_id": query.account.as_ref().map(AccountFilter::id),
            ":account": query.account.as_ref().and_then(AccountFilter::key),
            ":configuration": query.configuration_id,
            ":start": start,
            ":end": end,
            ":actor": query.actor,
            ":action": query.action,
            ":since": query.since,
            ":until": query.until,
            ":limit": self.missing(),
        };
        let mut statement = at.prepare(&sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            self.bytes += ENTRY_BYTES + measure_text(row, "before")? + measure_text(row, "after")?;
            if self.bytes > self.limit.bytes && !self.found.is_empty() {
                return Ok(true);
            }
            self.found.push(read_entry(row)?);
        }
        Ok(false)
    }
}

/// The length of a text column, 0 for NULL.
fn measure_text(row: &Row<'_>, column: &str) -> rusqlite::Result<usize> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map_or(0, str::len))
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let json = |name: &str| -> rusqlite::Result<Option<Value>> {
        let text: Option<String> = row.get(name)?;
        let read = text.map(|text| serde_json::from_str(&text)).transpose();
        read.map_err(|problem| undecodable_column(name, problem))
    };
    read_columns!(row, AuditEntry {
        number: "entry", at, address, request_id, configuration_id, action, subject_id;
        account: row.get::<_, Option<String>>("account_id")?.map(|id| {
            Ok::<_, rusqlite::Error>(AccountRef { key: row.get::<_, Option<i64>>("account")?.unwrap_or(AccountRef::NO_KEY), id })
        }).transpose()?,
        actor: [row.get("actor_kind")?, row.get("actor_id")?, row.get("actor_name")?],
        before: json("before")?,
        after: json("after")?
    })
}

/// Most subjects per action and hour that have entries of their own. Further ones share one entry.
pub const SUBJECTS_PER_HOUR: i64 = 200;
/// Subject of the shared entry.
const OTHER_SUBJECTS: &str = "(others)";
const HOUR_MS: Millis = 3_600_000;

/// Limits the entries that callers without credentials can cause.
#[derive(Debug, Clone, Copy)]
pub struct EntryLimit<'a> {
    /// What the entries of one action are counted by.
    pub subject: &'a str,
    /// Entries of the subject per hour. Further occurrences are counted in the last of them.
    pub entries_per_hour: i64,
    /// Number of occurrences to add.
    pub count: i64,
}

/// Appends an entry, or adds to the count of the last one if the limit of the hour is reached. The count is the member
/// `count` of `after`.
pub fn append_limited_entry(
    tx: &Tx<'_>,
    context: &AuditContext,
    entry: &NewAuditEntry<'_>,
    limit: &EntryLimit<'_>,
) -> Result<()> {
    let hour = tx.now.div_euclid(HOUR_MS);
    let find = |subject: &str| {
        tx.find_row(
            "SELECT entry, entries, total FROM audit_counts WHERE action = ?1 AND hour = ?2 AND subject = ?3",
            (entry.action, hour, subject),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        )
    };
    let mut subject = limit.subject;
    let mut found = find(subject)?;
    if found.is_none() {
        let subjects: i64 =
            tx.read_value("SELECT count(*) FROM audit_counts WHERE action = ?1 AND hour = ?2", (entry.action, hour))?;
        if subjects >= SUBJECTS_PER_HOUR {
            subject = OTHER_SUBJECTS;
            found = find(subject)?;
        } else if subjects == 0 {
            tx.run("DELETE FROM audit_counts WHERE action = ?1 AND hour < ?2", (entry.action, hour - 1))?;
        }
    }
    if let Some((number, entries, total)) = found
        && entries >= limit.entries_per_hour
    {
        tx.run(
            "UPDATE audit SET after = json_set(ifnull(after, '{}'), '$.count', ?2, '$.lastAt', ?3, '$.lastAddress', ?4)
             WHERE entry = ?1",
            (number, total + limit.count, clock::format_rfc3339(tx.now), &context.address),
        )?;
        return tx.run(
            "UPDATE audit_counts SET total = total + ?4 WHERE action = ?1 AND hour = ?2 AND subject = ?3",
            (entry.action, hour, subject, limit.count),
        );
    }
    append_entry(tx, context, entry)?;
    let entries = found.map_or(1, |(_, entries, _)| entries + 1);
    tx.run(
        "INSERT INTO audit_counts (action, hour, subject, entry, entries, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (action, hour, subject)
         DO UPDATE SET entry = excluded.entry, entries = excluded.entries, total = excluded.total",
        (entry.action, hour, subject, tx.connection().last_insert_rowid(), entries, limit.count),
    )
}
