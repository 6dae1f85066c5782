//! A store with one configuration, for the unit tests of the use cases.

use serde_json::Value;

use crate::clock;
use crate::error::Result;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::model::audit_context::AuditContext;
use crate::model::configuration::ConfigurationSource;
use crate::provisioning::Scope;
use crate::provisioning::resources::{PreparedResource, ResourceWrite, build_rules, create_resource};
use crate::scim::schema::ResourceType;
use crate::scim::validate;
use crate::store::Store;

/// Opens a store in a new folder, with a configuration of the account `acme`.
pub(super) fn open_store_with_configuration() -> (tempfile::TempDir, Store, Scope) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_command(folder.path()).unwrap();
    let new = NewConfiguration { source: ConfigurationSource::Other, ..NewConfiguration::sample("acme") };
    let scope =
        store.write_blocking(move |tx| Scope::load(tx, create_configuration(tx, &AuditContext::server(), &new)?));
    (folder, store, scope.unwrap())
}

/// Creates a resource as the handlers of identity providers do, and returns its id.
pub(super) fn create_in_store(
    store: &Store,
    scope: &Scope,
    resource_type: &'static ResourceType,
    body: &Value,
) -> Result<String> {
    let draft = validate::read_new_resource(body, resource_type, build_rules(scope))?;
    let (prepared, id, scope) = (PreparedResource::new(draft, resource_type)?, clock::new_id(), scope.clone());
    let created = store.write_blocking_without_savepoint(move |tx| {
        create_resource(tx, &ResourceWrite::new(&scope, resource_type, &id), &prepared)
    });
    created.map(|done| done.resource.stored.id)
}
