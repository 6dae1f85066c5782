//! What a request may touch: carried from the bearer token to every statement on resources.

use std::sync::Arc;

use super::extensions;
use crate::error::Result;
use crate::model::configuration::Configuration;
use crate::model::switches::Switches;
use crate::scim::schema::ResourceType;
use crate::store::Snapshot;

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
    /// The resource types it serves, with the extensions it has been given.
    pub types: Arc<[Arc<ResourceType>]>,
}

impl Scope {
    /// The scope of a configuration as it is now.
    pub fn of(at: &Snapshot<'_>, configuration: Configuration) -> Result<Self> {
        Ok(Self {
            types: stored_types(at, &configuration)?,
            account: Arc::from(configuration.account),
            configuration: configuration.key,
            configuration_id: Arc::from(configuration.id),
            switches: Arc::new(configuration.switches),
        })
    }
}

/// The resource types of the configuration, limited to the attributes it wants.
fn stored_types(at: &Snapshot<'_>, configuration: &Configuration) -> Result<Arc<[Arc<ResourceType>]>> {
    let types = extensions::types(at, configuration.key)?;
    let wanted = &configuration.switches.wanted_attributes;
    if wanted.is_empty() {
        return Ok(types);
    }
    Ok(types.iter().map(|of| Arc::new(of.storing_only(wanted))).collect())
}
