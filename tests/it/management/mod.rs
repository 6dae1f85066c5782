//! The management API, as the operator's automation and an account's own people use it.

mod accounts;
mod api_keys;
mod audit;
mod browsers;
mod configurations;
mod doors;
mod exchange;
mod idempotency;
mod links;
mod requests;
mod rights;
mod schemas;
mod server;
mod settings;
mod tokens;
mod users;
