//! The management API, as the operator's automation and an account's own people use it.

mod api_keys;
mod browsers;
mod configurations;
mod doors;
mod server;
mod tokens;
mod users;
