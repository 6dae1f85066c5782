//! The management API, as the operator's automation and an account's own people use it.

mod accounts;
mod audit;
mod configurations;
mod doors;
mod idempotency;
mod links;
mod odd_input;
mod openapi;
mod requests;
mod rights;
mod schemas;
mod settings;
mod tokens;
