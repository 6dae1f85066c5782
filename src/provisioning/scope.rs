//! The scope of a SCIM request. It is created from the bearer token and passed to every statement on resources.

use std::sync::Arc;

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::management::schema_extensions;
use crate::model::account::AccountState;
use crate::model::configuration::{Configuration, ConfigurationKey};
use crate::model::request::TokenRefusal;
use crate::model::rights::{AccessRights, ResourceAction};
use crate::model::switches::{DiscoveryAccess, Switches};
use crate::scim::index::IndexKeys;
use crate::scim::schema::ResourceType;
pub use crate::store::tables::tokens::{TokenRow, find_token_by_digest as find_token};
use crate::store::tables::{accounts, configurations};
use crate::store::{Snapshot, WorkOwner};

/// The configuration that a request belongs to. Access to the resource tables requires one.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Id of the account.
    pub account: Arc<str>,
    /// Key of the account's row.
    pub account_key: i64,
    /// Where the account is while it moves to another instance.
    pub account_state: AccountState,
    /// Key of the configuration's row.
    pub configuration: i64,
    /// Public id of the configuration.
    pub configuration_id: Arc<str>,
    /// Settings of the configuration.
    pub switches: Arc<Switches>,
    /// Its resource types, with the schema extensions added to it, as the caller may see them.
    pub types: Arc<[Arc<ResourceType>]>,
    /// Id of the token of the request. `None` for work of the server and for admins.
    pub token: Option<Arc<str>>,
}

impl Scope {
    /// Returns the scope of a configuration in its current state.
    pub fn load(at: &Snapshot<'_>, configuration: Configuration) -> Result<Self> {
        Ok(Self {
            types: load_stored_types(at, &configuration)?,
            account_state: accounts::find_state(at, configuration.account.key)?,
            account_key: configuration.account.key,
            account: Arc::from(configuration.account.id),
            configuration: configuration.key,
            configuration_id: Arc::from(configuration.id),
            switches: Arc::new(configuration.switches),
            token: None,
        })
    }

    /// Returns the keys of the configuration and of its account.
    pub fn configuration_key(&self) -> ConfigurationKey {
        ConfigurationKey { account: self.account_key, key: self.configuration }
    }

    /// Returns the owner of the work of a request.
    pub fn work_owner(&self) -> WorkOwner {
        WorkOwner::Configuration(self.configuration_key())
    }

    /// Returns the resource type with this name.
    ///
    /// # Errors
    /// A stored row has a type that the configuration does not have.
    pub(super) fn find_type(&self, name: &str) -> Result<&Arc<ResourceType>> {
        let found = self.types.iter().find(|one| one.name == name);
        found.ok_or_else(|| Error::database(format!("no resource type {name}")))
    }

    /// Returns the name that must be unique in addition to `userName`: the name of a group, if the configuration requires it. The
    /// setting is read in the transaction, because it may have changed since the start of the request.
    pub(super) fn find_unique_name<'k>(
        &self,
        at: &Snapshot<'_>,
        resource_type: &ResourceType,
        keys: &'k IndexKeys,
    ) -> Result<Option<&'k str>> {
        let applies = resource_type.members().is_some()
            && configurations::load_switches(at, self.configuration)?.unique_group_names;
        Ok(keys.display_name.as_deref().filter(|_| applies))
    }

    /// Returns the scope with the resource types as a token with these rights may see them.
    #[must_use]
    pub fn limit_to_rights(mut self, rights: AccessRights) -> Self {
        let is_readable = |name: &str| rights.allows(name, ResourceAction::Read);
        let view = |one: &Arc<ResourceType>| one.limited_view(&is_readable).map_or_else(|| Arc::clone(one), Arc::new);
        self.types = self.types.iter().map(view).collect();
        self
    }
}

/// Returns why a token of a configuration is not valid at `now`, or `None` if it is valid.
pub fn check_token(token: &TokenRow, now: Millis) -> Option<TokenRefusal> {
    if token.is_live(now) {
        return None;
    }
    Some(if token.revoked_at.is_some() { TokenRefusal::RevokedToken } else { TokenRefusal::ExpiredToken })
}

/// Returns the scope of a token, and the revision of its configuration.
///
/// # Errors
/// `NotFound` if the configuration no longer exists; errors of the store.
pub fn load_token_scope(at: &Snapshot<'_>, token: &TokenRow) -> Result<(i64, Scope)> {
    let found = configurations::find_configuration_by_id(at, &token.configuration_id)?
        .ok_or_else(|| Error::from(Reason::ConfigurationNoLongerExists))?;
    Ok((found.revision, Scope::load(at, found)?.limit_to_rights(token.rights)))
}

/// Returns the scope of the configuration with this id if its discovery documents are public.
pub fn find_public_scope(at: &Snapshot<'_>, id: &str) -> Result<Option<Scope>> {
    let found = configurations::find_configuration_by_id(at, id)?
        .filter(|found| found.switches.discovery == DiscoveryAccess::Public);
    found.map(|found| Scope::load(at, found)).transpose()
}

/// The resource types of the configuration, limited to the attributes that it stores.
fn load_stored_types(at: &Snapshot<'_>, configuration: &Configuration) -> Result<Arc<[Arc<ResourceType>]>> {
    let types = schema_extensions::load_resource_types(at, configuration.key)?;
    let attributes = &configuration.switches.stored_attributes;
    if attributes.is_empty() {
        return Ok(types);
    }
    Ok(types.iter().map(|one| Arc::new(one.storing_only(attributes))).collect())
}
