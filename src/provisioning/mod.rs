//! Use cases: each function is one operation inside one transaction, including its events and audit entries.
//! No HTTP, no SQL and no clock. Ids, timestamps and secrets are arguments.
//! Every function can fail with the errors of the store; `# Errors` lists the others.

pub mod bulk;
pub mod catch_up;
pub mod deletion;
pub mod delivery;
pub mod directory;
mod events;
pub mod feed;
pub mod large_changes;
pub mod lists;
mod members;
pub mod passwords;
pub mod patches;
pub mod plans;
mod publication;
pub mod purge;
mod quotas;
pub(crate) mod rendered;
pub mod resource_details;
pub mod resources;
pub mod safety_net;
pub mod scope;
#[cfg(test)]
mod tests;
pub mod tombstones;
pub mod webhook_delivery;

pub use crate::provisioning::rendered::{LinkedResource, Members, RenderedResource, ResourceLinks};
pub use crate::provisioning::scope::Scope;
