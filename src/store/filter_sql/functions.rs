//! SQL functions of the compiled conditions.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::scim::instant::instant;
use crate::scim::text;

/// Registers `scim_key(text)` and `scim_instant(text)`; every connection that runs a compiled filter needs them.
///
/// Both give NULL for what is no text. `scim_key` is [`text::key`]; `scim_instant` gives microseconds since 1970,
/// NULL for what is no dateTime.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("scim_key", 1, flags, |context| {
        Ok(as_text(context.get_raw(0)).map(|text| text::key(text).into_owned()))
    })?;
    connection
        .create_scalar_function("scim_instant", 1, flags, |context| Ok(as_text(context.get_raw(0)).and_then(instant)))
}

fn as_text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
