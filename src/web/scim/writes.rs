//! Writes of an authenticated caller, for single requests and bulk requests: validation and hashing first, then one
//! use case of `provisioning` in one transaction.

use std::sync::Arc;

use serde_json::Value;

use crate::clock;
use crate::error::{Error, Result};
use crate::provisioning::resources::{self, PreparedResource, ResourceWrite, WriteResult};
use crate::provisioning::{Members, Scope};
use crate::scim::entity_tag::EntityTags;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::schema::ResourceType;
use crate::scim::{patch, validate};
use crate::store::Snapshot;
use crate::web::state::AppState;

/// Writes on one resource type. A write is queued by the first poll of its future, unless it has a password to hash. So
/// writes take effect in the order in which their futures are first polled.
#[derive(Clone, Copy)]
pub(super) struct ResourceWrites<'r> {
    pub(super) state: &'r AppState,
    pub(super) scope: &'r Scope,
    pub(super) resource_type: &'r Arc<ResourceType>,
    /// Digest of the password in the body, if it has been hashed before.
    pub(super) hashed: Option<&'r PasswordDigest>,
}

impl ResourceWrites<'_> {
    /// Creates a resource. `members` are the members that the result contains, here and below.
    pub(super) async fn create(&self, body: &Value, members: Members) -> Result<WriteResult> {
        let mut draft = validate::read_new_resource(body, self.resource_type, resources::build_rules(self.scope))?;
        self.hash_password(&mut draft.password).await?;
        let prepared = PreparedResource::new(draft, self.resource_type);
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), clock::new_id());
        let write = self.state.store.write_without_savepoint(move |tx| {
            let write = ResourceWrite { members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::create_resource(tx, &write, &prepared)
        });
        write.await
    }

    /// Replaces the resource with this id.
    pub(super) async fn replace(
        &self,
        id: &str,
        if_match: Option<EntityTags>,
        body: &Value,
        members: Members,
    ) -> Result<WriteResult> {
        let draft = validate::read_resource(body, self.resource_type, resources::build_rules(self.scope));
        let mut draft = draft.or_else(|refused| self.refuse_if_found(id, refused))?;
        self.hash_password(&mut draft.password).await?;
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(move |tx| {
            let if_match = if_match.as_ref();
            let write = ResourceWrite { if_match, members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::replace_resource(tx, &write, &draft)
        });
        write.await
    }

    /// Applies a PATCH to the resource with this id.
    pub(super) async fn patch(
        &self,
        id: &str,
        if_match: Option<EntityTags>,
        body: &Value,
        members: Members,
    ) -> Result<WriteResult> {
        let edits = patch::parse_patch(body, self.resource_type, resources::build_rules(self.scope));
        let mut edits = edits.or_else(|refused| self.refuse_if_found(id, refused))?;
        self.hash_password(&mut edits.password).await?;
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(move |tx| {
            let if_match = if_match.as_ref();
            let write = ResourceWrite { if_match, members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::patch_resource(tx, &write, &edits)
        });
        write.await
    }

    /// Deletes the resource with this id.
    pub(super) async fn delete(&self, id: &str, if_match: Option<EntityTags>) -> Result<()> {
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(move |tx| {
            let if_match = if_match.as_ref();
            let write = ResourceWrite { if_match, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::delete_resource(tx, &write)
        });
        write.await
    }

    /// Hashes the password before the write is queued, because hashing is slow.
    async fn hash_password(&self, password: &mut Option<PasswordChange>) -> Result<()> {
        match (password.as_ref(), self.hashed) {
            (Some(PasswordChange::SetClearText(_)), Some(digest)) => {
                *password = Some(PasswordChange::SetDigest(digest.clone()));
            }
            _ => self.state.limits.hashing.hash_if_clear(password).await?,
        }
        Ok(())
    }

    /// Returns the error of a body, or 404 if the resource does not exist: 404 has priority.
    pub(super) fn refuse_if_found<T>(&self, id: &str, refused: Error) -> Result<T> {
        let read = |at: &Snapshot<'_>| resources::read_resource(at, self.scope, self.resource_type, id, Members::Skip);
        self.state.store.read_inline(read)?;
        Err(refused)
    }
}
