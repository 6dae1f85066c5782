//! The management API, as the operator's automation and an account's own people use it.

mod configurations;
mod doors;
mod odd_input;
mod openapi;
