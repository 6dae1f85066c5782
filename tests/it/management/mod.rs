//! The management API, as the operator's automation and an account's administrators use it.

mod access_table;
mod accounts;
mod api_keys;
mod audit;
mod authority;
mod browsers;
mod configurations;
mod directory;
mod events;
mod idempotency;
mod incarnations;
mod invalid_requests;
mod leftovers;
mod links;
mod openapi;
mod quotas;
mod requests;
mod rights;
mod schemas;
mod server;
mod settings;
mod sync;
mod token_exchange;
mod tokens;
mod undeclared;
mod users;
