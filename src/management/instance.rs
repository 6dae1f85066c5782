//! Settings of the whole server.

pub mod branding;
pub mod replica;

use serde_json::json;

use crate::clock::Millis;
use crate::error::Result;
use crate::management::webhooks;
use crate::model::audit_context::AuditContext;
use crate::scim::cursor::CursorSecret;
pub use crate::store::StoreStatistics;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{events, instance};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::instance::{
    are_account_webhooks_enabled, find_cursor_secret, find_listen_url, get_configured_public_url, get_public_url,
    is_self_service_enabled,
};

/// Returns the secret of cursors. `fresh` becomes it if there is none yet.
pub fn ensure_cursor_secret(tx: &Tx<'_>, fresh: CursorSecret) -> Result<CursorSecret> {
    tx.allow_on_full_disk();
    instance::ensure_cursor_secret(tx, fresh)
}

/// Stores the URLs of a starting server, so that every command can print provisioning URLs: the URL on which it listens
/// and, if one is set at startup, the public URL. Returns the public URL.
pub fn store_startup_urls(tx: &Tx<'_>, listen_url: &str, public_url: Option<&str>) -> Result<String> {
    tx.allow_on_full_disk();
    instance::set_listen_url(tx, listen_url)?;
    if let Some(url) = public_url {
        instance::set_public_url(tx, url)?;
    }
    instance::get_public_url(tx)
}

/// Sets the public URL of the server, already checked by `settings::parse_public_url`. All URLs in later responses
/// start with it.
pub fn set_public_url(tx: &Tx<'_>, context: &AuditContext, url: &str) -> Result<()> {
    let before = instance::get_public_url(tx)?;
    if before == url {
        return Ok(());
    }
    instance::set_public_url(tx, url)?;
    let entry = NewAuditEntry {
        action: "settings.updated",
        before: Some(json!({"publicUrl": before})),
        after: Some(json!({"publicUrl": url})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}

/// Enables or disables self-service: whether accounts may manage their own configurations. It takes effect with the
/// commit.
pub fn set_self_service(tx: &Tx<'_>, context: &AuditContext, on: bool) -> Result<()> {
    let before = instance::is_self_service_enabled(tx)?;
    if before == on {
        return Ok(());
    }
    if !on {
        tx.allow_on_full_disk();
    }
    instance::set_self_service(tx, on)?;
    let entry = NewAuditEntry {
        action: "settings.updated",
        before: Some(json!({"selfService": before})),
        after: Some(json!({"selfService": on})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}

/// Allows or forbids that accounts manage webhooks for their own events. Without it, those that they have created are paused.
pub fn set_account_webhooks(tx: &Tx<'_>, context: &AuditContext, on: bool) -> Result<()> {
    let before = instance::are_account_webhooks_enabled(tx)?;
    if before == on {
        return Ok(());
    }
    if !on {
        tx.allow_on_full_disk();
    }
    instance::set_account_webhooks(tx, on)?;
    webhooks::switch_account_webhooks(tx, context, on)?;
    let entry = NewAuditEntry::new(
        "settings.updated",
        Some(json!({"accountWebhooks": before})),
        Some(json!({"accountWebhooks": on})),
    );
    audit::append_entry(tx, context, &entry)
}

/// Stores the time of this write, for the next start.
pub fn record_time(tx: &Tx<'_>) -> Result<()> {
    tx.allow_on_full_disk();
    instance::set_recorded_time(tx, tx.now)
}

/// Returns the last recorded time, or that of the newest event of a database in which none was recorded yet.
pub fn find_recorded_time(at: &Snapshot<'_>) -> Result<Option<Millis>> {
    Ok(match instance::find_recorded_time(at)? {
        None => events::find_newest_time(at)?,
        recorded => recorded,
    })
}

/// Records that an admin accepted the time of the machine. `has_leap` is whether a leap was not followed: then the time of
/// this write is still the one before it.
pub fn record_acceptance(tx: &Tx<'_>, context: &AuditContext, difference: Millis, has_leap: bool) -> Result<()> {
    tx.allow_on_full_disk();
    if !has_leap {
        record_time(tx)?;
    }
    let after = Some(json!({"differenceSeconds": difference / 1000}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "clock.accepted", after, ..NewAuditEntry::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_recorded_time_is_that_of_the_last_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let read = || store.read_inline(super::find_recorded_time).unwrap();
        assert_eq!(read(), None, "a new database has no time");
        store.write_blocking(|tx| record_acceptance(tx, &AuditContext::server(), 1_000, true)).unwrap();
        assert_eq!(read(), None, "the time before a leap is not recorded");
        let at = store.write_blocking(|tx| record_time(tx).map(|()| tx.now)).unwrap();
        assert_eq!(read(), Some(at));
    }
}
