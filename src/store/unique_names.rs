//! The names of `resources` that must be unique beside `userName`: which rows have one is what this writes, the index
//! decides.

use rusqlite::params;

use super::{Tx, violated};
use crate::error::{Error, Result};

/// How many shared names a refusal shows.
const SHOWN: u32 = 3;

/// Makes the display names of the configuration's resources of that type unique from now on.
///
/// # Errors
/// `Conflict` that names some of those that two have.
pub fn begin(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<()> {
    let mut statement =
        tx.prepare("UPDATE resources SET unique_name_key = display_name_key WHERE configuration = ?1 AND type = ?2")?;
    let updated = statement.execute(params![configuration, resource_type]);
    match updated {
        Ok(_) => Ok(()),
        Err(problem) if violated(&problem).is_some() => {
            let names = shared(tx, configuration, resource_type)?;
            Err(Error::Conflict(format!(
                "several have the same name: {}; rename or remove them first",
                names.join(", ")
            )))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Lets names be shared from now on.
pub fn end(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<()> {
    tx.prepare("UPDATE resources SET unique_name_key = NULL WHERE configuration = ?1 AND type = ?2")?
        .execute(params![configuration, resource_type])?;
    Ok(())
}

fn shared(tx: &Tx<'_>, configuration: i64, resource_type: &str) -> Result<Vec<String>> {
    let mut statement = tx.prepare(
        "SELECT min(coalesce(label, display_name_key)) FROM resources
         WHERE configuration = ?1 AND type = ?2 AND display_name_key IS NOT NULL
         GROUP BY display_name_key HAVING count(*) > 1 ORDER BY display_name_key LIMIT ?3",
    )?;
    let rows = statement.query_map(params![configuration, resource_type, SHOWN], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(names.into_iter().map(|name| format!("{:?}", name.chars().take(60).collect::<String>())).collect())
}
