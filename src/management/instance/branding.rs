//! The branding of the pages that a customer sees.

use serde_json::{Value, json};

use crate::error::{Reason, Result};
use crate::model::audit_context::AuditContext;
use crate::model::branding::{Branding, Logo};
use crate::model::field_change::FieldChange;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::branding as row;
pub use crate::store::tables::branding::{StoredBranding, find_logo, get_branding};
use crate::store::{Snapshot, Tx};

/// Changes the branding; the values of `branding` replace all stored ones.
///
/// # Errors
/// `Invalid` names the first invalid value. It can fail after its first change: run it with `Store::write`.
pub fn update_branding(
    tx: &Tx<'_>,
    context: &AuditContext,
    branding: &Branding,
    logo: &FieldChange<Logo>,
) -> Result<()> {
    if let Some(problem) = branding.find_problems().first() {
        let text = format!("branding.{}: {}", problem.field, problem.sentence);
        return Err(Reason::BodyFieldInvalid.with("problem", text).on_field(format!("branding.{}", problem.field)));
    }
    let before = row::get_branding(tx)?;
    if before.branding == *branding && *logo == FieldChange::Keep {
        return Ok(());
    }
    let described = describe_branding(tx, &before)?;
    row::save_branding(tx, branding)?;
    match logo {
        FieldChange::Keep => {}
        FieldChange::Clear => row::set_logo(tx, None)?,
        FieldChange::Set(logo) => row::set_logo(tx, Some(logo))?,
    }
    let after = describe_branding(tx, &row::get_branding(tx)?)?;
    audit::append_entry(tx, context, &NewAuditEntry::new("branding.updated", Some(described), Some(after)))
}

/// The values of the audit log: format and size of the logo, not its content.
fn describe_branding(at: &Snapshot<'_>, stored: &StoredBranding) -> Result<Value> {
    let branding = &stored.branding;
    let logo = if stored.has_logo { row::find_logo(at)? } else { None };
    Ok(json!({
        "productName": branding.product_name,
        "accent": branding.accent,
        "support": branding.support,
        "returnUrl": branding.return_url,
        "logo": logo.map(|logo| json!({"format": logo.format.as_str(), "bytes": logo.bytes.len()})),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::branding::LogoFormat;
    use crate::store::Store;

    #[test]
    fn each_change_has_another_revision_and_the_logo_stays_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let logo = Logo { format: LogoFormat::Png, bytes: vec![1, 2, 3] };
        let named = |name: &str| Branding { product_name: name.to_owned(), ..Branding::default() };
        let update = |branding: Branding, logo: FieldChange<Logo>| {
            store
                .write_blocking(move |tx| {
                    update_branding(tx, &AuditContext::server(), &branding, &logo)?;
                    get_branding(tx)
                })
                .unwrap()
        };
        assert_eq!(store.read_inline(get_branding).unwrap(), StoredBranding::default());
        let first = update(named("North"), FieldChange::Set(logo.clone()));
        assert_eq!((first.branding.product_name.as_str(), first.has_logo), ("North", true));
        let second = update(named("South"), FieldChange::Keep);
        assert!(second.revision > first.revision && second.has_logo);
        assert_eq!(update(named("South"), FieldChange::Keep).revision, second.revision);
        assert_eq!(store.read_inline(find_logo).unwrap(), Some(logo));
        assert!(!update(named("South"), FieldChange::Clear).has_logo);
        let refused = store.write_blocking(|tx| {
            let wrong = Branding { accent: Some("#ffffff".to_owned()), ..Branding::default() };
            update_branding(tx, &AuditContext::server(), &wrong, &FieldChange::Keep)
        });
        assert_eq!(refused.unwrap_err().reason(), Reason::BodyFieldInvalid);
    }
}
