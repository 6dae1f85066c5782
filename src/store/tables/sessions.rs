//! Rows of `sessions`: signed-in browsers. Only the digest of the cookie is stored, never the cookie itself.

use rusqlite::{Row, named_params};

use super::rows::{find_by_digest, read_columns};
use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Id of the session in lists.
    pub id: String,
    /// Id of the admin.
    pub admin: String,
    /// Network address of the sign-in.
    pub address: Option<String>,
    /// `User-Agent` of the browser.
    pub user_agent: String,
    /// Time of the sign-in.
    pub created_at: Millis,
    /// Time of the last use, with a precision of one minute.
    pub last_seen_at: Millis,
}

/// Inserts a session.
pub fn insert_session(tx: &Tx<'_>, digest: &TokenDigest, session: &Session) -> Result<()> {
    tx.run(
        "INSERT INTO sessions (digest, id, admin_id, address, user_agent, created_at, last_seen_at)
         VALUES (:digest, :id, :admin, :address, :user_agent, :created_at, :last_seen_at)",
        named_params! {
            ":digest": digest.as_slice(),
            ":id": session.id,
            ":admin": session.admin,
            ":address": session.address,
            ":user_agent": session.user_agent,
            ":created_at": session.created_at,
            ":last_seen_at": session.last_seen_at,
        },
    )
}

/// Returns the session with this cookie digest. The caller checks whether it has expired.
pub fn find_session_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<Session>> {
    let sql =
        "SELECT digest, id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions WHERE digest = ?1";
    find_by_digest(at, sql, digest, read_session)
}

/// Returns the sessions of an admin, most recently used first.
pub fn list_admin_sessions(at: &Snapshot<'_>, admin: &str) -> Result<Vec<Session>> {
    at.list_rows(
        "SELECT id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions
         WHERE admin_id = ?1 ORDER BY last_seen_at DESC, id DESC",
        [admin],
        read_session,
    )
}

/// Records a use of the session.
pub fn record_session_use(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE sessions SET last_seen_at = ?2 WHERE id = ?1", (id, tx.now))
}

/// Ends one session of an admin. Returns false if it does not exist.
pub fn end_session(tx: &Tx<'_>, admin: &str, id: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM sessions WHERE admin_id = ?1 AND id = ?2", [admin, id])? == 1)
}

/// Ends all sessions of an admin except the one with the id in `keep`. Returns how many ended.
pub fn end_admin_sessions(tx: &Tx<'_>, admin: &str, keep: Option<&str>) -> Result<usize> {
    tx.execute("DELETE FROM sessions WHERE admin_id = ?1 AND id IS NOT ?2", (admin, keep))
}

/// Returns the number of sessions that were last used at `idle_since` or later and began at `began_before` or later.
pub fn count_open_sessions(at: &Snapshot<'_>, idle_since: Millis, began_before: Millis) -> Result<u64> {
    let count: i64 = at.read_value(
        "SELECT count(*) FROM sessions WHERE last_seen_at >= ?1 AND created_at >= ?2",
        [idle_since, began_before],
    )?;
    Ok(count.unsigned_abs())
}

/// Deletes the sessions that were last used before `idle_since` or began before `began_before`. Returns how many.
pub fn delete_expired_sessions(tx: &Tx<'_>, idle_since: Millis, began_before: Millis) -> Result<usize> {
    tx.execute("DELETE FROM sessions WHERE last_seen_at < ?1 OR created_at < ?2", [idle_since, began_before])
}

/// Stores an encrypted secret that the session can display until `until`.
pub fn set_one_time_secret(tx: &Tx<'_>, id: &str, sealed: &[u8], until: Millis) -> Result<()> {
    tx.run("UPDATE sessions SET shown_once = ?2, shown_until = ?3 WHERE id = ?1", (id, sealed, until))
}

/// Returns the encrypted secret of the session, if it can still be displayed at `now`.
pub fn find_one_time_secret(at: &Snapshot<'_>, id: &str, now: Millis) -> Result<Option<Vec<u8>>> {
    let found = at.find_value("SELECT shown_once FROM sessions WHERE id = ?1 AND shown_until > ?2", (id, now))?;
    Ok(found.flatten())
}

/// Returns until when the secret of the session can be displayed, if it can still be displayed at `now`.
pub fn find_one_time_secret_end(at: &Snapshot<'_>, id: &str, now: Millis) -> Result<Option<Millis>> {
    at.find_value("SELECT shown_until FROM sessions WHERE id = ?1 AND shown_until > ?2", (id, now))
}

/// Deletes the encrypted secrets that have expired. Returns how many.
pub fn clear_expired_secrets(tx: &Tx<'_>, now: Millis) -> Result<usize> {
    tx.execute("UPDATE sessions SET shown_once = NULL, shown_until = NULL WHERE shown_until <= ?1", [now])
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    read_columns!(row, Session { id, admin: "admin_id", address, user_agent, created_at, last_seen_at })
}
