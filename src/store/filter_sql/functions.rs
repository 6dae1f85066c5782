//! SQL functions of the compiled conditions.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::scim::instant::instant;
use crate::scim::{text, version};

/// Registers `scim_key(text)`, `scim_instant(text)` and `scim_tag(version, groups)`; every connection that runs a
/// compiled filter needs them.
///
/// The first two give NULL for what is no text. `scim_key` is [`text::key`]; `scim_instant` gives microseconds since 1970,
/// NULL for what is no dateTime. `scim_tag` gives the entity tag of a user in these groups, a JSON array of
/// `[id, 1 or 0 for direct or not, name]`.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("scim_key", 1, flags, |context| {
        Ok(as_text(context.get_raw(0)).map(|text| text::key(text).into_owned()))
    })?;
    connection.create_scalar_function("scim_instant", 1, flags, |context| {
        Ok(as_text(context.get_raw(0)).and_then(instant))
    })?;
    connection.create_scalar_function("scim_tag", 2, flags, |context| {
        let groups = as_text(context.get_raw(1)).and_then(|text| serde_json::from_str(text).ok());
        let groups: Vec<(String, u8, Option<String>)> = groups.unwrap_or_default();
        let shown = groups.iter().map(|(id, direct, name)| (&**id, *direct == 1, name.as_deref().unwrap_or_default()));
        Ok(version::tag(context.get(0)?, version::fingerprint(shown)))
    })
}

fn as_text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
