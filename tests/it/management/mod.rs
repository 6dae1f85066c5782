//! The management API, as the operator's automation and an account's own people use it.

mod configurations;
mod directory;
mod doors;
mod events;
mod leftovers;
mod sync;
