//! The management API, as the operator's automation and an account's own people use it.

mod api_keys;
mod browsers;
mod configurations;
mod doors;
mod exchange;
mod server;
mod users;
