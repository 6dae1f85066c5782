//! Rows of `sessions`: signed-in browsers. Only the digest of the cookie is stored, never the cookie itself.

use rusqlite::{OptionalExtension, Row, named_params};

use crate::auth::secret::{self, TokenDigest};
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
    tx.prepare(
        "INSERT INTO sessions (digest, id, admin_id, address, user_agent, created_at, last_seen_at)
         VALUES (:digest, :id, :admin, :address, :user_agent, :created_at, :last_seen_at)",
    )?
    .execute(named_params! {
        ":digest": digest.as_slice(),
        ":id": session.id,
        ":admin": session.admin,
        ":address": session.address,
        ":user_agent": session.user_agent,
        ":created_at": session.created_at,
        ":last_seen_at": session.last_seen_at,
    })?;
    Ok(())
}

/// Returns the session with this cookie digest. The caller checks whether it has expired.
pub fn find_session_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<Session>> {
    let found = at
        .prepare(
            "SELECT digest, id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions WHERE digest = ?1",
        )?
        .query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, read_session(row)?)))
        .optional()?;
    Ok(found.and_then(|(stored, session)| secret::digests_match(&stored, digest).then_some(session)))
}

/// Returns the sessions of an admin, most recently used first.
pub fn list_admin_sessions(at: &Snapshot<'_>, admin: &str) -> Result<Vec<Session>> {
    let mut statement = at.prepare(
        "SELECT id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions
         WHERE admin_id = ?1 ORDER BY last_seen_at DESC, id DESC",
    )?;
    Ok(statement.query_map([admin], read_session)?.collect::<rusqlite::Result<_>>()?)
}

/// Records a use of the session.
pub fn record_session_use(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE sessions SET last_seen_at = ?2 WHERE id = ?1")?.execute((id, tx.now))?;
    Ok(())
}

/// Ends one session of an admin. Returns false if it does not exist.
pub fn end_session(tx: &Tx<'_>, admin: &str, id: &str) -> Result<bool> {
    Ok(tx.prepare("DELETE FROM sessions WHERE admin_id = ?1 AND id = ?2")?.execute([admin, id])? == 1)
}

/// Ends all sessions of an admin except the one with the id in `keep`. Returns how many ended.
pub fn end_admin_sessions(tx: &Tx<'_>, admin: &str, keep: Option<&str>) -> Result<usize> {
    Ok(tx.prepare("DELETE FROM sessions WHERE admin_id = ?1 AND id IS NOT ?2")?.execute((admin, keep))?)
}

/// Returns the number of sessions that were last used at `idle_since` or later and began at `began_before` or later.
pub fn count_open_sessions(at: &Snapshot<'_>, idle_since: Millis, began_before: Millis) -> Result<u64> {
    let mut statement = at.prepare("SELECT count(*) FROM sessions WHERE last_seen_at >= ?1 AND created_at >= ?2")?;
    let count: i64 = statement.query_row([idle_since, began_before], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Deletes the sessions that were last used before `idle_since` or began before `began_before`. Returns how many.
pub fn delete_expired_sessions(tx: &Tx<'_>, idle_since: Millis, began_before: Millis) -> Result<usize> {
    Ok(tx
        .prepare("DELETE FROM sessions WHERE last_seen_at < ?1 OR created_at < ?2")?
        .execute([idle_since, began_before])?)
}

/// Stores an encrypted secret that the session can display until `until`.
pub fn set_one_time_secret(tx: &Tx<'_>, id: &str, sealed: &[u8], until: Millis) -> Result<()> {
    tx.prepare("UPDATE sessions SET shown_once = ?2, shown_until = ?3 WHERE id = ?1")?.execute((id, sealed, until))?;
    Ok(())
}

/// Returns the encrypted secret of the session, if it can still be displayed at `now`.
pub fn find_one_time_secret(at: &Snapshot<'_>, id: &str, now: Millis) -> Result<Option<Vec<u8>>> {
    let found = at
        .prepare("SELECT shown_once FROM sessions WHERE id = ?1 AND shown_until > ?2")?
        .query_row((id, now), |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Deletes the encrypted secrets that have expired. Returns how many.
pub fn clear_expired_secrets(tx: &Tx<'_>, now: Millis) -> Result<usize> {
    Ok(tx
        .prepare("UPDATE sessions SET shown_once = NULL, shown_until = NULL WHERE shown_until <= ?1")?
        .execute([now])?)
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        admin: row.get("admin_id")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
    })
}
