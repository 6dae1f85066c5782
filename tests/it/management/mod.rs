//! The management API, as the operator's automation and an account's administrators use it.

mod accounts;
mod api_keys;
mod audit;
mod browsers;
mod configurations;
mod directory;
mod doors;
mod events;
mod exchange;
mod idempotency;
mod leftovers;
mod links;
mod odd_input;
mod openapi;
mod requests;
mod rights;
mod schemas;
mod server;
mod settings;
mod sync;
mod tokens;
mod users;
