//! The management API, as the operator's automation and an account's own people use it.

mod accounts;
mod configurations;
mod doors;
mod rights;
mod schemas;
mod settings;
mod tokens;
