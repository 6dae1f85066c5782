//! The row of `branding`: the branding of the pages that a customer sees, with the logo.

use rusqlite::named_params;

use crate::error::{Error, Result};
use crate::model::branding::{Branding, Logo};
use crate::store::{Snapshot, Tx};

/// The stored branding, without the content of the logo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredBranding {
    /// The values.
    pub branding: Branding,
    /// Whether there is a logo.
    pub has_logo: bool,
    /// Increases with every change; 0 if nothing was ever set.
    pub revision: i64,
}

/// Returns the branding; the default if none was set.
pub fn get_branding(at: &Snapshot<'_>) -> Result<StoredBranding> {
    let sql =
        "SELECT product_name, accent, support, return_url, logo IS NOT NULL, revision FROM branding WHERE one = 1";
    let found = at.find_row(sql, [], |row| {
        let branding =
            Branding { product_name: row.get(0)?, accent: row.get(1)?, support: row.get(2)?, return_url: row.get(3)? };
        Ok(StoredBranding { branding, has_logo: row.get(4)?, revision: row.get(5)? })
    })?;
    Ok(found.unwrap_or_default())
}

/// Returns the logo, if there is one.
pub fn find_logo(at: &Snapshot<'_>) -> Result<Option<Logo>> {
    let sql = "SELECT logo_type, logo FROM branding WHERE one = 1 AND logo IS NOT NULL AND logo_type IS NOT NULL";
    let found: Option<(String, Vec<u8>)> = at.find_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((format, bytes)) = found else { return Ok(None) };
    let format = format.parse().map_err(|problem| Error::undecodable("the format of the logo", problem))?;
    Ok(Some(Logo { format, bytes }))
}

/// Stores the branding. The logo stays as it is.
pub fn save_branding(tx: &Tx<'_>, branding: &Branding) -> Result<()> {
    tx.run(
        "INSERT INTO branding (one, product_name, accent, support, return_url, revision)
             VALUES (1, :product_name, :accent, :support, :return_url, :now)
         ON CONFLICT (one) DO UPDATE SET product_name = excluded.product_name, accent = excluded.accent,
             support = excluded.support, return_url = excluded.return_url,
             revision = max(revision + 1, excluded.revision)",
        named_params! {
            ":product_name": branding.product_name,
            ":accent": branding.accent,
            ":support": branding.support,
            ":return_url": branding.return_url,
            ":now": tx.now,
        },
    )
}

/// Stores the logo of a stored branding, or removes it.
pub fn set_logo(tx: &Tx<'_>, logo: Option<&Logo>) -> Result<()> {
    let format = logo.map(|logo| logo.format.as_str());
    tx.run(
        "UPDATE branding SET logo_type = ?1, logo = ?2 WHERE one = 1",
        (format, logo.map(|logo| logo.bytes.as_slice())),
    )
}
