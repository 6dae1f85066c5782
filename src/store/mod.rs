//! The SQLite store: rows, SQL and upgrades. The only SQL of the crate.

pub mod filter_sql;
pub mod value_keys;
