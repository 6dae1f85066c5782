//! Rows of `instance`: settings and state of this server instance.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, named_params};

use crate::auth::secret::{self, TokenDigest};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::quota::QuotaDefaults;
use crate::scim::cursor::CursorSecret;
use crate::settings::DEFAULT_PUBLIC_URL;
use crate::store::{Snapshot, Tx};

const PUBLIC_URL: &str = "public_url";
const LISTEN_URL: &str = "listen_url";
const SETUP_CODE: &str = "setup_code";
const SELF_SERVICE: &str = "self_service";
const ACCOUNT_WEBHOOKS: &str = "account_webhooks";
const CURSOR_SECRET: &str = "cursor_secret";
const QUOTA_DEFAULTS: &str = "quota_defaults";
const RECORDED_TIME: &str = "recorded_time";
const LOG_LEFT_OUT: &str = "request_log_left_out";

/// Returns the value of the key.
pub fn get_value(at: &Snapshot<'_>, key: &str) -> Result<Option<String>> {
    at.find_value("SELECT value FROM instance WHERE key = ?1", [key])
}

/// Marks a copy of the database as one without the request log.
pub(crate) fn mark_log_left_out(copy: &Connection) -> rusqlite::Result<()> {
    copy.execute("INSERT OR REPLACE INTO instance (key, value) VALUES (?1, '1')", [LOG_LEFT_OUT]).map(drop)
}

/// Removes that mark. Returns whether there was one.
pub(crate) fn take_log_mark(restored: &Connection) -> rusqlite::Result<bool> {
    Ok(restored.execute("DELETE FROM instance WHERE key = ?1", [LOG_LEFT_OUT])? > 0)
}

/// Sets the value of the key.
pub fn set_value(tx: &Tx<'_>, key: &str, value: &str) -> Result<()> {
    tx.run(
        "INSERT INTO instance (key, value) VALUES (:key, :value)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        named_params! {":key": key, ":value": value},
    )
}

/// Returns the public URL of the server, without a trailing slash: the one that the operator configured, or else the
/// URL on which the server last listened.
pub fn get_public_url(at: &Snapshot<'_>) -> Result<String> {
    let url = match get_configured_public_url(at)? {
        None => get_value(at, LISTEN_URL)?,
        configured => configured,
    };
    Ok(url.unwrap_or_else(|| DEFAULT_PUBLIC_URL.to_owned()))
}

/// Returns the URL on which the server last listened.
pub fn find_listen_url(at: &Snapshot<'_>) -> Result<Option<String>> {
    get_value(at, LISTEN_URL)
}

/// Returns the public URL that the operator configured, if any.
pub fn get_configured_public_url(at: &Snapshot<'_>) -> Result<Option<String>> {
    get_value(at, PUBLIC_URL)
}

/// Stores the public URL. The caller validates it with `settings::parse_public_url`.
pub fn set_public_url(tx: &Tx<'_>, url: &str) -> Result<()> {
    set_value(tx, PUBLIC_URL, url)
}

/// Stores the URL on which the server listens.
pub fn set_listen_url(tx: &Tx<'_>, url: &str) -> Result<()> {
    set_value(tx, LISTEN_URL, url)
}

/// Stores the digest of the setup code, and replaces the previous one. The code is valid until `until`.
pub fn set_setup_code(tx: &Tx<'_>, code: &TokenDigest, until: Millis) -> Result<()> {
    set_value(tx, SETUP_CODE, &format!("{} {until}", URL_SAFE_NO_PAD.encode(code)))
}

/// Whether this is the digest of the current setup code, and the code has not expired.
pub fn is_setup_code(at: &Snapshot<'_>, code: &TokenDigest, now: Millis) -> Result<bool> {
    let found = find_setup_code(at)?;
    Ok(found.is_some_and(|(digest, until)| now < until && secret::digests_match(&digest, code)))
}

/// Returns the digest of the current setup code, and the time at which it expires.
pub fn find_setup_code(at: &Snapshot<'_>) -> Result<Option<(TokenDigest, Millis)>> {
    let Some(stored) = get_value(at, SETUP_CODE)? else { return Ok(None) };
    let parse = || {
        let (digest, until) = stored.split_once(' ')?;
        let digest: TokenDigest = URL_SAFE_NO_PAD.decode(digest).ok()?.try_into().ok()?;
        Some((digest, until.parse::<Millis>().ok()?))
    };
    parse().map(Some).ok_or_else(|| Error::undecodable("the setup code", "not a digest and a time"))
}

/// Deletes the setup code, after it was used.
pub fn delete_setup_code(tx: &Tx<'_>) -> Result<()> {
    tx.run("DELETE FROM instance WHERE key = ?1", [SETUP_CODE])
}

/// Whether accounts may manage their own configurations. Enabled by default.
pub fn is_self_service_enabled(at: &Snapshot<'_>) -> Result<bool> {
    Ok(get_value(at, SELF_SERVICE)?.is_none_or(|value| value != "off"))
}

/// Enables or disables self-service, with which accounts manage their own configurations.
pub fn set_self_service(tx: &Tx<'_>, on: bool) -> Result<()> {
    set_value(tx, SELF_SERVICE, if on { "on" } else { "off" })
}

/// Whether accounts may manage webhooks for their own events. Disabled by default.
pub fn are_account_webhooks_enabled(at: &Snapshot<'_>) -> Result<bool> {
    Ok(get_value(at, ACCOUNT_WEBHOOKS)?.is_some_and(|value| value == "on"))
}

/// Allows or forbids webhooks of accounts.
pub fn set_account_webhooks(tx: &Tx<'_>, on: bool) -> Result<()> {
    set_value(tx, ACCOUNT_WEBHOOKS, if on { "on" } else { "off" })
}

/// Returns the secret that authenticates cursors, if there is one.
pub fn find_cursor_secret(at: &Snapshot<'_>) -> Result<Option<CursorSecret>> {
    let Some(text) = get_value(at, CURSOR_SECRET)? else { return Ok(None) };
    let secret = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    secret.map(Some).ok_or_else(|| Error::undecodable("the secret of cursors", "not 32 bytes"))
}

/// Returns the secret that authenticates cursors. Stores `fresh` as the secret if there is none yet, so that cursors
/// stay valid after a restart. The secret is never displayed.
pub fn ensure_cursor_secret(tx: &Tx<'_>, fresh: CursorSecret) -> Result<CursorSecret> {
    if let Some(secret) = find_cursor_secret(tx)? {
        return Ok(secret);
    }
    set_value(tx, CURSOR_SECRET, &URL_SAFE_NO_PAD.encode(fresh))?;
    Ok(fresh)
}

/// Stores a time, with which the clock at the next start is compared.
pub fn set_recorded_time(tx: &Tx<'_>, at: Millis) -> Result<()> {
    set_value(tx, RECORDED_TIME, &at.to_string())
}

/// Returns the stored time.
pub fn find_recorded_time(at: &Snapshot<'_>) -> Result<Option<Millis>> {
    let stored = get_value(at, RECORDED_TIME)?;
    let read = |text: String| text.parse().map_err(|problem| Error::undecodable("the recorded time", problem));
    stored.map(read).transpose()
}

/// Returns the limits of configurations and accounts without limits of their own, as the last server stored them.
pub fn load_quota_defaults(at: &Snapshot<'_>) -> Result<QuotaDefaults> {
    let stored = get_value(at, QUOTA_DEFAULTS)?;
    let Some(text) = stored else { return Ok(QuotaDefaults::default()) };
    serde_json::from_str(&text).map_err(|problem| Error::undecodable("the default quotas", problem))
}

/// Stores these limits.
pub fn set_quota_defaults(tx: &Tx<'_>, defaults: &QuotaDefaults) -> Result<()> {
    let text = serde_json::to_string(defaults);
    let text = text.map_err(|error| Error::database(format!("quotas cannot be written: {error}")))?;
    set_value(tx, QUOTA_DEFAULTS, &text)
}
