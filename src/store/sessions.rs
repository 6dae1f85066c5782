//! Rows of `sessions`: the browsers that are signed in. What the cookie holds never comes here: only its digest does.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::secret::{self, TokenDigest};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, by which a list names it.
    pub id: String,
    /// The person.
    pub admin: String,
    /// Network address it signed in from.
    pub address: Option<String>,
    /// What the browser calls itself.
    pub user_agent: String,
    /// When it signed in.
    pub created_at: Millis,
    /// When it was last used, to the minute.
    pub last_seen_at: Millis,
}

/// Keeps a new session.
pub fn insert(tx: &Tx<'_>, digest: &TokenDigest, session: &Session) -> Result<()> {
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

/// The session of that cookie. The caller decides whether it is still good.
pub fn by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<Session>> {
    let found = at
        .prepare(
            "SELECT digest, id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions WHERE digest = ?1",
        )?
        .query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, session(row)?)))
        .optional()?;
    Ok(found.and_then(|(stored, session)| secret::same(&stored, digest).then_some(session)))
}

/// The sessions of a person, the latest first.
pub fn of_admin(at: &Snapshot<'_>, admin: &str) -> Result<Vec<Session>> {
    let mut statement = at.prepare(
        "SELECT id, admin_id, address, user_agent, created_at, last_seen_at FROM sessions
         WHERE admin_id = ?1 ORDER BY last_seen_at DESC, id DESC",
    )?;
    Ok(statement.query_map([admin], session)?.collect::<rusqlite::Result<_>>()?)
}

/// Notes that a session is in use.
pub fn note_use(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE sessions SET last_seen_at = ?2 WHERE id = ?1")?.execute((id, tx.now))?;
    Ok(())
}

/// Ends one session of a person; false where there is none.
pub fn end(tx: &Tx<'_>, admin: &str, id: &str) -> Result<bool> {
    Ok(tx.prepare("DELETE FROM sessions WHERE admin_id = ?1 AND id = ?2")?.execute([admin, id])? == 1)
}

/// Ends all sessions of a person, but the one with the id in `keep`.
pub fn end_all(tx: &Tx<'_>, admin: &str, keep: Option<&str>) -> Result<usize> {
    Ok(tx.prepare("DELETE FROM sessions WHERE admin_id = ?1 AND id IS NOT ?2")?.execute((admin, keep))?)
}

/// How many there are that were used since then and began since then.
pub fn count_open(at: &Snapshot<'_>, idle_since: Millis, began_before: Millis) -> Result<u64> {
    let mut statement = at.prepare("SELECT count(*) FROM sessions WHERE last_seen_at >= ?1 AND created_at >= ?2")?;
    let count: i64 = statement.query_row([idle_since, began_before], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Removes the sessions that were last used before `idle_since` or began before `began_before`.
pub fn remove_old(tx: &Tx<'_>, idle_since: Millis, began_before: Millis) -> Result<usize> {
    Ok(tx
        .prepare("DELETE FROM sessions WHERE last_seen_at < ?1 OR created_at < ?2")?
        .execute([idle_since, began_before])?)
}

/// Keeps something sealed that the session may show until then.
pub fn set_shown_once(tx: &Tx<'_>, id: &str, sealed: &[u8], until: Millis) -> Result<()> {
    tx.prepare("UPDATE sessions SET shown_once = ?2, shown_until = ?3 WHERE id = ?1")?.execute((id, sealed, until))?;
    Ok(())
}

/// What a session may still show at that time.
pub fn shown_once(at: &Snapshot<'_>, id: &str, now: Millis) -> Result<Option<Vec<u8>>> {
    let found = at
        .prepare("SELECT shown_once FROM sessions WHERE id = ?1 AND shown_until > ?2")?
        .query_row((id, now), |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Wipes what sessions may not show any more.
pub fn wipe_shown(tx: &Tx<'_>, now: Millis) -> Result<usize> {
    Ok(tx
        .prepare("UPDATE sessions SET shown_once = NULL, shown_until = NULL WHERE shown_until <= ?1")?
        .execute([now])?)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        admin: row.get("admin_id")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
    })
}
