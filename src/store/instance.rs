//! Rows of `instance`: what the process keeps about itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{OptionalExtension, named_params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::scim::cursor::Secret;
use crate::secret::{self, TokenDigest};
use crate::settings::DEFAULT_PUBLIC_URL;

const PUBLIC_URL: &str = "public_url";
const LISTEN_URL: &str = "listen_url";
const SETUP_CODE: &str = "setup_code";
const SELF_SERVICE: &str = "self_service";
const CURSOR_SECRET: &str = "cursor_secret";

/// The value kept under that key.
pub fn get(snapshot: &Snapshot<'_>, key: &str) -> Result<Option<String>> {
    let value = snapshot
        .connection()
        .prepare_cached("SELECT value FROM instance WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value)
}

/// Keeps a value under that key, in place of the one before.
pub fn set(tx: &Tx<'_>, key: &str, value: &str) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "INSERT INTO instance (key, value) VALUES (:key, :value)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute(named_params! {":key": key, ":value": value})?;
    Ok(())
}

/// The URL at which identity providers reach the server, without a trailing slash: what the operator said, else where
/// the server last listened.
pub fn public_url(snapshot: &Snapshot<'_>) -> Result<String> {
    let kept = match said_public_url(snapshot)? {
        None => get(snapshot, LISTEN_URL)?,
        said => said,
    };
    Ok(kept.unwrap_or_else(|| DEFAULT_PUBLIC_URL.to_owned()))
}

/// The public URL that the operator said, where one was.
pub fn said_public_url(snapshot: &Snapshot<'_>) -> Result<Option<String>> {
    get(snapshot, PUBLIC_URL)
}

/// Keeps the public URL the operator gave, checked by `settings::public_url`.
pub fn set_public_url(tx: &Tx<'_>, url: &str) -> Result<()> {
    set(tx, PUBLIC_URL, url)
}

/// Keeps the URL at which the server listens.
pub fn set_listen_url(tx: &Tx<'_>, url: &str) -> Result<()> {
    set(tx, LISTEN_URL, url)
}

/// Puts the code of the first run in place of the one before; it opens until then.
pub fn set_setup_code(tx: &Tx<'_>, code: &TokenDigest, until: Millis) -> Result<()> {
    set(tx, SETUP_CODE, &format!("{} {until}", URL_SAFE_NO_PAD.encode(code)))
}

/// Whether that is the code of the first run, and not too old.
pub fn is_setup_code(at: &Snapshot<'_>, code: &TokenDigest, now: Millis) -> Result<bool> {
    let Some(kept) = get(at, SETUP_CODE)? else { return Ok(false) };
    let Some((digest, until)) = kept.split_once(' ') else { return Ok(false) };
    let digest: Option<TokenDigest> = URL_SAFE_NO_PAD.decode(digest).ok().and_then(|bytes| bytes.try_into().ok());
    let in_time = until.parse::<Millis>().is_ok_and(|until| now < until);
    Ok(in_time && digest.is_some_and(|digest| secret::same(&digest, code)))
}

/// Spends the code of the first run.
pub fn remove_setup_code(tx: &Tx<'_>) -> Result<()> {
    tx.prepare("DELETE FROM instance WHERE key = ?1")?.execute([SETUP_CODE])?;
    Ok(())
}

/// Whether accounts may manage their own configurations; on until the operator says otherwise.
pub fn self_service(snapshot: &Snapshot<'_>) -> Result<bool> {
    Ok(get(snapshot, SELF_SERVICE)?.is_none_or(|kept| kept != "off"))
}

/// Lets accounts manage their own configurations, or not.
pub fn set_self_service(tx: &Tx<'_>, on: bool) -> Result<()> {
    set(tx, SELF_SERVICE, if on { "on" } else { "off" })
}

/// The secret that cursors are authenticated with. `fresh` becomes it where there is none yet, so that cursors outlive
/// the process. It is shown nowhere.
pub fn cursor_secret(tx: &Tx<'_>, fresh: Secret) -> Result<Secret> {
    let kept = get(tx, CURSOR_SECRET)?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok());
    if let Some(secret) = kept {
        return Ok(secret);
    }
    set(tx, CURSOR_SECRET, &URL_SAFE_NO_PAD.encode(fresh))?;
    Ok(fresh)
}
