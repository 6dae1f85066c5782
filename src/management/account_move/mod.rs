//! Moves an account to another instance: the account is frozen, its rows are exported to a file, and the other instance imports
//! them. `rollcall account` runs these steps.

pub mod export;
pub mod freezing;
pub mod import;
