//! The management API, as the operator's automation and an account's own people use it.

mod audit;
mod configurations;
mod doors;
mod idempotency;
mod links;
mod requests;
