//! Unique display names in `resources`, in addition to `userName`. This module sets the key column, and its unique
//! index enforces the rule.

use rusqlite::params;

use crate::error::{Reason, Result};
use crate::store::{Tx, find_violated_columns};

/// Maximum number of duplicate names that an error lists.
const NAMES_LISTED_MAX: u32 = 3;

/// Requires unique display names for the resources of this type in the configuration.
///
/// # Errors
/// `Conflict` if display names are not unique now. The message lists some of the duplicates.
pub fn require_unique_names(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<()> {
    let mut statement =
        tx.prepare("UPDATE resources SET unique_name_key = display_name_key WHERE configuration = ?1 AND type = ?2")?;
    let updated = statement.execute(params![configuration, resource_type]);
    match updated {
        Ok(_) => Ok(()),
        Err(problem) if find_violated_columns(&problem).is_some() => {
            let names = list_duplicate_names(tx, configuration, resource_type)?;
            Err(Reason::GroupNamesShared.with("names", names.join(", ")))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Allows duplicate display names again.
pub fn allow_duplicate_names(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<()> {
    tx.run(
        "UPDATE resources SET unique_name_key = NULL WHERE configuration = ?1 AND type = ?2",
        params![configuration, resource_type],
    )
}

fn list_duplicate_names(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<Vec<String>> {
    let mut statement = tx.prepare(
        "SELECT min(coalesce(label, display_name_key)) FROM resources
         WHERE configuration = ?1 AND type = ?2 AND display_name_key IS NOT NULL
         GROUP BY display_name_key HAVING count(*) > 1 ORDER BY display_name_key LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![configuration, resource_type, NAMES_LISTED_MAX], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(names.into_iter().map(|name| format!("{:?}", name.chars().take(60).collect::<String>())).collect())
}
