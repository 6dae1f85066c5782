//! What a request may touch: carried from the bearer token to every statement on resources.

use std::sync::Arc;

use super::switches::Switches;

/// The configuration that a request belongs to. There is no way to the resource tables without one.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The account's id.
    pub account: Arc<str>,
    /// The configuration's row.
    pub configuration: i64,
    /// The configuration's public id.
    pub configuration_id: Arc<str>,
    /// How the configuration behaves.
    pub switches: Arc<Switches>,
}
