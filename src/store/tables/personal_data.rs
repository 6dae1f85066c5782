//! Rows of `personal_data_requests`, `personal_data_subjects` and `personal_data_parts`: requests to export or to erase the
//! data of a user, how far their work is, and the files of exports.

use rusqlite::{Row, named_params, params};

use super::rows::{ACCOUNT_ID, read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::account::AccountRef;
use crate::model::audit_context::{Actor, ActorKind, AuditContext};
use crate::model::personal_data::{PersonalDataKind, PersonalDataState, SubjectSelector};
use crate::store::{Snapshot, Tx};

/// A stored request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalDataRow {
    /// Key of the row.
    pub request: i64,
    /// Public id.
    pub id: String,
    /// The account.
    pub account: AccountRef,
    /// What is done.
    pub kind: PersonalDataKind,
    /// Whether the work goes on.
    pub state: PersonalDataState,
    /// Id of the user, if the request has named it.
    pub user_id: Option<String>,
    /// E-mail address, if the request has named it and it was not erased.
    pub email: Option<String>,
    /// The caller.
    pub actor: Actor,
    /// Network address of the caller.
    pub address: Option<String>,
    /// Id of the request of the caller.
    pub request_id: Option<String>,
    /// How far the work is: JSON.
    pub progress: String,
    /// What was found: JSON.
    pub counts: String,
    /// Ids of the users: JSON.
    pub user_ids: String,
    /// Backups that still contain the data: JSON.
    pub receipt: Option<String>,
    /// Increases with each step.
    pub revision: i64,
    /// Time of the request.
    pub created_at: Millis,
    /// Time of its end.
    pub completed_at: Option<Millis>,
}

/// A new request.
#[derive(Debug)]
pub struct NewPersonalDataRow<'a> {
    /// Public id.
    pub id: &'a str,
    /// Key of the account.
    pub account: i64,
    /// What is done.
    pub kind: PersonalDataKind,
    /// The user.
    pub selector: &'a SubjectSelector,
    /// The first progress.
    pub progress: &'a str,
}

/// Inserts a request.
pub fn insert_request(tx: &Tx<'_>, context: &AuditContext, new: &NewPersonalDataRow<'_>) -> Result<()> {
    tx.run(
        "INSERT INTO personal_data_requests (id, account, kind, state, user_id, email, actor_kind, actor_id, actor_name,
             address, request_id, progress, created_at)
         VALUES (:id, :account, :kind, 'running', :user_id, :email, :actor_kind, :actor_id, :actor_name, :address,
             :request_id, :progress, :now)",
        named_params! {
            ":id": new.id,
            ":account": new.account,
            ":kind": new.kind.as_str(),
            ":user_id": new.selector.user_id(),
            ":email": new.selector.email(),
            ":actor_kind": context.actor.kind.as_str(),
            ":actor_id": context.actor.id,
            ":actor_name": context.actor.name,
            ":address": context.address,
            ":request_id": context.request_id,
            ":progress": new.progress,
            ":now": tx.now,
        },
    )
}

fn build_select(condition: &str) -> String {
    format!(
        "SELECT request, id, account, {ACCOUNT_ID}, kind, state, user_id, email, actor_kind, actor_id, actor_name, address,
             request_id, progress, counts, user_ids, receipt, revision, created_at, completed_at
         FROM personal_data_requests c WHERE {condition}"
    )
}

fn read_request(row: &Row<'_>) -> rusqlite::Result<PersonalDataRow> {
    let parse = |name: &str| -> rusqlite::Result<String> { row.get(name) };
    let kind = parse("kind")?.parse().unwrap_or(PersonalDataKind::Export);
    let state = parse("state")?.parse().unwrap_or(PersonalDataState::Running);
    let actor_kind = parse("actor_kind")?.parse().unwrap_or(ActorKind::Server);
    read_columns!(
        row,
        PersonalDataRow {
            request,
            id,
            user_id,
            email,
            address,
            request_id,
            progress,
            counts,
            user_ids,
            receipt,
            revision,
            created_at,
            completed_at;
            account: AccountRef { key: row.get("account")?, id: row.get("account_id")? },
            kind: kind,
            state: state,
            actor: Actor { kind: actor_kind, id: row.get("actor_id")?, name: row.get("actor_name")? }
        }
    )
}

/// Returns the request with this id.
pub fn find_request(at: &Snapshot<'_>, id: &str) -> Result<Option<PersonalDataRow>> {
    at.find_row(&build_select("id = ?1"), [id], read_request)
}

/// Returns at most `limit` requests before `before`, newest first, of one account or of all.
pub fn list_requests(
    at: &Snapshot<'_>,
    account: Option<i64>,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<PersonalDataRow>> {
    let before = before.unwrap_or(i64::MAX);
    match account {
        Some(account) => at.list_rows(
            &build_select("account = ?1 AND request < ?2 ORDER BY request DESC LIMIT ?3"),
            params![account, before, to_sql_limit(limit)],
            read_request,
        ),
        None => at.list_rows(
            &build_select("request < ?1 ORDER BY request DESC LIMIT ?2"),
            params![before, to_sql_limit(limit)],
            read_request,
        ),
    }
}

/// Returns the next running request after this key, or the first one after the last.
pub fn find_next_running(at: &Snapshot<'_>, after: i64) -> Result<Option<PersonalDataRow>> {
    at.find_row(&build_select("state = 'running' ORDER BY request <= ?1, request LIMIT 1"), [after], read_request)
}

/// Returns how many requests of an account run, and how many files of exports it has.
pub fn count_requests(at: &Snapshot<'_>, account: i64) -> Result<(usize, usize)> {
    let found: (i64, i64) = at.read_row(
        "SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE kind = 'export')
         FROM personal_data_requests WHERE account = ?1",
        [account],
        |row| row.try_into(),
    )?;
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok((count(found.0), count(found.1)))
}

/// The result of a step.
#[derive(Debug)]
pub struct StepResult<'a> {
    /// How far the work is.
    pub progress: &'a str,
    /// What was found so far.
    pub counts: &'a str,
}

/// Whether no other process has run a step since the request was read.
pub fn is_current(at: &Snapshot<'_>, row: &PersonalDataRow) -> Result<bool> {
    let mut statement =
        at.prepare("SELECT 1 FROM personal_data_requests WHERE request = ?1 AND revision = ?2 AND state = 'running'")?;
    Ok(statement.exists([row.request, row.revision])?)
}

/// Stores the result of a step.
pub fn save_step(tx: &Tx<'_>, request: i64, step: &StepResult<'_>) -> Result<()> {
    tx.run(
        "UPDATE personal_data_requests SET progress = ?2, counts = ?3, revision = revision + 1 WHERE request = ?1",
        params![request, step.progress, step.counts],
    )
}

/// Stores the ids of the users.
pub fn set_users(tx: &Tx<'_>, request: i64, user_ids: &str) -> Result<()> {
    tx.run("UPDATE personal_data_requests SET user_ids = ?2 WHERE request = ?1", params![request, user_ids])
}

/// Ends a request. The values that were looked for are deleted.
pub fn complete_request(tx: &Tx<'_>, row: &PersonalDataRow, receipt: Option<&str>) -> Result<()> {
    delete_subject(tx, row.request)?;
    tx.run(
        "UPDATE personal_data_requests SET state = 'done', completed_at = ?2, receipt = ?3 WHERE request = ?1",
        params![row.request, tx.now, receipt],
    )
}

/// Removes the e-mail address and what is known of the user from a request.
pub fn forget_subject(tx: &Tx<'_>, request: i64) -> Result<()> {
    delete_subject(tx, request)?;
    tx.run("UPDATE personal_data_requests SET email = NULL WHERE request = ?1", [request])
}

/// Returns the exports of an account: keys, e-mail addresses, and ids of the users.
pub fn list_exports(at: &Snapshot<'_>, account: i64) -> Result<Vec<PersonalDataRow>> {
    at.list_rows(&build_select("account = ?1 AND kind = 'export' ORDER BY request"), [account], read_request)
}

/// Returns at most `limit` exports that ended before a time.
pub fn list_exports_before(at: &Snapshot<'_>, before: Millis, limit: usize) -> Result<Vec<i64>> {
    at.list_values(
        "SELECT request FROM personal_data_requests
         WHERE kind = 'export' AND state = 'done' AND completed_at < ?1 ORDER BY completed_at LIMIT ?2",
        params![before, to_sql_limit(limit)],
    )
}

/// Deletes at most `limit` parts of the file of a request. Returns how many were deleted.
pub fn delete_parts(tx: &Tx<'_>, request: i64, limit: usize) -> Result<usize> {
    tx.execute(
        "DELETE FROM personal_data_parts WHERE part IN (SELECT part FROM personal_data_parts WHERE request = ?1 LIMIT ?2)",
        params![request, to_sql_limit(limit)],
    )
}

/// Deletes a request that has no parts any more.
pub fn delete_request(tx: &Tx<'_>, request: i64) -> Result<()> {
    delete_subject(tx, request)?;
    tx.run("DELETE FROM personal_data_requests WHERE request = ?1", [request])
}

/// Stores what is known of the user.
pub fn set_subject(tx: &Tx<'_>, request: i64, content: &str) -> Result<()> {
    tx.run(
        "INSERT INTO personal_data_subjects (request, content) VALUES (?1, ?2)
         ON CONFLICT (request) DO UPDATE SET content = excluded.content",
        params![request, content],
    )
}

/// Returns what is known of the user.
pub fn find_subject(at: &Snapshot<'_>, request: i64) -> Result<Option<String>> {
    at.find_value("SELECT content FROM personal_data_subjects WHERE request = ?1", [request])
}

fn delete_subject(tx: &Tx<'_>, request: i64) -> Result<()> {
    tx.run("DELETE FROM personal_data_subjects WHERE request = ?1", [request])
}

/// Appends a part of the file of an export.
pub fn insert_part(tx: &Tx<'_>, request: i64, section: &str, items: &str) -> Result<()> {
    tx.run(
        "INSERT INTO personal_data_parts (request, section, items) VALUES (?1, ?2, ?3)",
        params![request, section, items],
    )
}

/// Visits the parts of a section of a file, in order.
pub fn visit_parts(at: &Snapshot<'_>, request: i64, section: &str, mut visit: impl FnMut(&str)) -> Result<()> {
    let mut statement =
        at.prepare("SELECT items FROM personal_data_parts WHERE request = ?1 AND section = ?2 ORDER BY part")?;
    let mut rows = statement.query(params![request, section])?;
    while let Some(row) = rows.next()? {
        visit(row.get_ref(0)?.as_str().map_err(|problem| Error::undecodable("a part of an export", problem))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn running_requests_and_those_of_an_account_are_found_by_an_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        for (condition, index) in [
            ("state = 'running' ORDER BY request <= 1, request LIMIT 1", "personal_data_requests_running"),
            ("account = 1 AND request < 2 ORDER BY request DESC LIMIT 3", "personal_data_requests_by_account"),
            ("kind = 'export' AND state = 'done' AND completed_at < 1", "personal_data_requests_completed"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT request FROM personal_data_requests WHERE {condition}");
            let mut statement = connection.prepare(&sql).unwrap();
            let steps = statement.query_map([], |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps[0].contains(index), "{condition}: {steps:?}");
        }
    }
}
