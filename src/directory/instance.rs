//! What the operator decides about the whole server.

use serde_json::json;

use crate::error::Result;
use crate::model::actor::By;
use crate::store::audit::{self, Entry};
use crate::store::{Tx, instance};

/// Takes another URL as that at which the outside world reaches the server, checked by `settings::public_url`. Every
/// address that is shown from now on begins with it.
///
/// # Errors
/// Of the store only.
pub fn set_public_url(tx: &Tx<'_>, by: &By, url: &str) -> Result<()> {
    let before = instance::public_url(tx)?;
    if before == url {
        return Ok(());
    }
    instance::set_public_url(tx, url)?;
    let entry = Entry {
        action: "settings.updated",
        before: Some(json!({"publicUrl": before})),
        after: Some(json!({"publicUrl": url})),
        ..Entry::default()
    };
    audit::append(tx, by, &entry)
}

/// Lets accounts manage their own configurations, or not. It takes effect with the commit.
///
/// # Errors
/// Of the store only.
pub fn set_self_service(tx: &Tx<'_>, by: &By, on: bool) -> Result<()> {
    let before = instance::self_service(tx)?;
    if before == on {
        return Ok(());
    }
    instance::set_self_service(tx, on)?;
    let entry = Entry {
        action: "settings.updated",
        before: Some(json!({"selfService": before})),
        after: Some(json!({"selfService": on})),
        ..Entry::default()
    };
    audit::append(tx, by, &entry)
}
