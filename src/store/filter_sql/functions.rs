//! SQL functions for compiled filters.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::scim::timestamp::parse_timestamp;
use crate::scim::{entity_tag, fold};

/// Registers `scim_key(text)`, `scim_instant(text)` and `scim_tag(version, groups)`. Every connection that runs a
/// compiled filter needs them.
///
/// - `scim_key` returns the text normalized for comparison, or NULL if the argument is not text.
/// - `scim_instant` returns microseconds since 1970, or NULL if the argument is not a dateTime.
/// - `scim_tag` returns the entity tag of a user with these groups: a JSON array of `[id, direct (1 or 0), name]`.
pub fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("scim_key", 1, flags, |context| {
        Ok(read_text(context.get_raw(0)).map(|text| fold::fold_case(text).into_owned()))
    })?;
    connection.create_scalar_function("scim_instant", 1, flags, |context| {
        Ok(read_text(context.get_raw(0)).and_then(parse_timestamp))
    })?;
    connection.create_scalar_function("scim_tag", 2, flags, |context| {
        let groups = read_text(context.get_raw(1)).and_then(|text| serde_json::from_str(text).ok());
        let groups: Vec<(String, u8, Option<String>)> = groups.unwrap_or_default();
        let members =
            groups.iter().map(|(id, direct, name)| (&**id, *direct == 1, name.as_deref().unwrap_or_default()));
        Ok(entity_tag::format_entity_tag(context.get(0)?, entity_tag::hash_groups(members)))
    })
}

fn read_text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
