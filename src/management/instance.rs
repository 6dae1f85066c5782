//! Settings of the whole server.

use serde_json::json;

use crate::clock::HeldLeap;
use crate::error::Result;
use crate::model::audit_context::AuditContext;
pub use crate::store::StoreStatistics;
use crate::store::Tx;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::instance;

pub use crate::store::tables::instance::{
    ensure_cursor_secret, find_listen_url, get_configured_public_url, get_public_url, is_self_service_enabled,
};

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

/// Records that an operator accepted the time of the machine, which the server did not follow.
pub fn record_accepted_clock(tx: &Tx<'_>, context: &AuditContext, leap: HeldLeap) -> Result<()> {
    let after = Some(json!({"differenceSeconds": leap.difference / 1000}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "clock.accepted", after, ..NewAuditEntry::default() })
}

/// Enables or disables self-service: whether accounts may manage their own configurations. It takes effect with the
/// commit.
pub fn set_self_service(tx: &Tx<'_>, context: &AuditContext, on: bool) -> Result<()> {
    let before = instance::is_self_service_enabled(tx)?;
    if before == on {
        return Ok(());
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
