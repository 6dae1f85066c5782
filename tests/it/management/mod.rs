//! The management API, as the operator's automation and an account's own people use it.

mod accounts;
mod audit;
mod configurations;
mod directory;
mod doors;
mod events;
mod idempotency;
mod leftovers;
mod links;
mod requests;
mod rights;
mod schemas;
mod settings;
mod sync;
mod tokens;
