//! Writes of an authenticated caller, for single requests and bulk requests: validation and hashing first, then one
//! use case of `provisioning` in one transaction.

use std::sync::Arc;

use serde_json::Value;

use crate::clock;
use crate::error::{Error, Result};
use crate::provisioning::patches::{self, PatchBasis, PatchPlan, PatchWeight};
use crate::provisioning::resources::{self, PreparedResource, ResourceWrite, WriteResult};
use crate::provisioning::{Members, Scope};
use crate::scim::dialect::DialectRules;
use crate::scim::entity_tag::VersionConditions;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::patch::{self, Patch};
use crate::scim::schema::ResourceType;
use crate::scim::schema::undeclared::{UndeclaredAttributes, UndeclaredSource, find_undeclared};
use crate::scim::validate::{self, ResourceDraft};
use crate::scim::work::measure_value;
use crate::store::{Snapshot, WorkOwner};
use crate::web::blocking::{read_blocking, run_document_work};
use crate::web::limits::DOCUMENT_BLOCKING_BYTES;
use crate::web::state::AppState;

/// How often a PATCH is evaluated outside the transaction, if other writes change the resource in the meantime.
const PATCH_PLANS_MAX: usize = 3;

/// A PATCH that is ready to be evaluated, in any thread.
struct PatchRequest {
    scope: Scope,
    resource_type: Arc<ResourceType>,
    id: String,
    conditions: VersionConditions,
    members: Members,
    patch: Patch,
}

impl PatchRequest {
    fn write(&self) -> ResourceWrite<'_> {
        let (conditions, members) = (Some(&self.conditions), self.members);
        ResourceWrite { conditions, members, ..ResourceWrite::new(&self.scope, &self.resource_type, &self.id) }
    }
}

/// Reads a body for a resource type.
type ReadBody<T> = fn(&Value, &ResourceType, DialectRules) -> Result<T>;

/// Whether a body needs too much time for the event loop.
fn is_large(body: &Value) -> bool {
    measure_value(body, DOCUMENT_BLOCKING_BYTES) > DOCUMENT_BLOCKING_BYTES
}

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
        let mut draft = self.read_body(body, validate::read_new_resource)?;
        self.hash_password(&mut draft.password).await?;
        self.write_new(PreparedResource::new(draft, self.resource_type)?, members).await
    }

    /// Like [`Self::create`], but a large body is processed off the event loop, so the write can be queued later.
    pub(super) async fn create_off_loop(&self, body: Value, members: Members) -> Result<WriteResult> {
        if !is_large(&body) {
            return self.create(&body, members).await;
        }
        let mut draft = self.read_off_loop(body, validate::read_new_resource).await?;
        self.hash_password(&mut draft.password).await?;
        let resource_type = Arc::clone(self.resource_type);
        let prepared = run_document_work(move || PreparedResource::new(draft, &resource_type)).await?;
        self.write_new(prepared, members).await
    }

    async fn write_new(&self, prepared: PreparedResource, members: Members) -> Result<WriteResult> {
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), clock::new_id());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let write = ResourceWrite { members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::create_resource(tx, &write, &prepared)
        });
        write.await
    }

    /// Replaces the resource with this id.
    pub(super) async fn replace(
        &self,
        id: &str,
        conditions: VersionConditions,
        body: &Value,
        members: Members,
    ) -> Result<WriteResult> {
        let draft = self.read_body(body, validate::read_resource);
        self.write_replacement(id, conditions, draft, members).await
    }

    /// Like [`Self::replace`], but a large body is processed off the event loop, so the write can be queued later.
    pub(super) async fn replace_off_loop(
        &self,
        id: &str,
        conditions: VersionConditions,
        body: Value,
        members: Members,
    ) -> Result<WriteResult> {
        if !is_large(&body) {
            return self.replace(id, conditions, &body, members).await;
        }
        let draft = self.read_off_loop(body, validate::read_resource).await;
        self.write_replacement(id, conditions, draft, members).await
    }

    async fn write_replacement(
        &self,
        id: &str,
        conditions: VersionConditions,
        draft: Result<ResourceDraft>,
        members: Members,
    ) -> Result<WriteResult> {
        let mut draft = draft.or_else(|refused| self.refuse_if_found(id, refused))?;
        self.hash_password(&mut draft.password).await?;
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let conditions = Some(&conditions);
            let write = ResourceWrite { conditions, members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::replace_resource(tx, &write, &draft)
        });
        write.await
    }

    /// Applies a PATCH to the resource with this id. Its work is limited, and done in the transaction.
    pub(super) async fn patch(
        &self,
        id: &str,
        conditions: VersionConditions,
        body: &Value,
        members: Members,
    ) -> Result<WriteResult> {
        let edits = self.read_body(body, patch::parse_patch);
        let request = self.prepare_patch(id, conditions, edits, members).await?;
        self.patch_in_writer(request).await
    }

    /// Like [`Self::patch`], but a PATCH with much work is evaluated outside the transaction and off the event loop, so the
    /// write can be queued later.
    pub(super) async fn patch_off_loop(
        &self,
        id: &str,
        conditions: VersionConditions,
        body: Value,
        members: Members,
    ) -> Result<WriteResult> {
        let has_large_body = is_large(&body);
        let edits = if has_large_body {
            self.read_off_loop(body, patch::parse_patch).await
        } else {
            self.read_body(&body, patch::parse_patch)
        };
        let request = self.prepare_patch(id, conditions, edits, members).await?;
        if !has_large_body {
            let (weight, small) = (PatchWeight::of(&request.patch), Arc::clone(&request));
            let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
                patches::patch_small_resource(tx, &small.write(), &small.patch, weight)
            });
            if let Some(done) = write.await? {
                return Ok(done);
            }
        }
        for _ in 0..PATCH_PLANS_MAX {
            let (mut plan, planned) = (Some(self.plan_patch(&request).await?), Arc::clone(&request));
            let write = self.state.store.write_without_savepoint(self.owner(), move |tx| match plan.take() {
                Some(plan) => patches::write_patch_plan(tx, &planned.write(), &planned.patch, plan),
                // The transaction of the first run was rolled back.
                None => Ok(None),
            });
            if let Some(done) = write.await? {
                return Ok(done);
            }
        }
        // Other writes change the resource all the time. Only in the transaction does it stay the same.
        self.patch_in_writer(request).await
    }

    async fn prepare_patch(
        &self,
        id: &str,
        conditions: VersionConditions,
        edits: Result<Patch>,
        members: Members,
    ) -> Result<Arc<PatchRequest>> {
        let mut patch = edits.or_else(|refused| self.refuse_if_found(id, refused))?;
        self.hash_password(&mut patch.password).await?;
        let (scope, resource_type) = (self.scope.clone(), Arc::clone(self.resource_type));
        Ok(Arc::new(PatchRequest { scope, resource_type, id: id.to_owned(), conditions, members, patch }))
    }

    async fn patch_in_writer(&self, request: Arc<PatchRequest>) -> Result<WriteResult> {
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            patches::patch_resource(tx, &request.write(), &request.patch)
        });
        write.await
    }

    /// Evaluates a PATCH on a snapshot.
    async fn plan_patch(&self, request: &Arc<PatchRequest>) -> Result<PatchPlan> {
        let store = &self.state.store;
        let basis = if patches::has_member_conditions(&request.patch) {
            let request = Arc::clone(request);
            read_blocking(store, self.owner(), move |at| PatchBasis::read(at, &request.write(), &request.patch)).await?
        } else {
            store.read_inline(|at| PatchBasis::read(at, &request.write(), &request.patch))?
        };
        let request = Arc::clone(request);
        run_document_work(move || basis.evaluate(&request.scope, &request.resource_type, &request.patch)).await
    }

    fn rules(&self) -> DialectRules {
        resources::build_rules(self.scope)
    }

    /// Reads a body, and records the attributes that no schema declares.
    pub(super) fn read_body<T: UndeclaredSource>(&self, body: &Value, read: ReadBody<T>) -> Result<T> {
        let mut result = read(body, self.resource_type, self.rules());
        let found = find_undeclared(&mut result, body, self.resource_type);
        self.record_undeclared(found, result.is_err());
        result
    }

    /// Like [`Self::read_body`], off the event loop.
    async fn read_off_loop<T: UndeclaredSource + Send + 'static>(&self, body: Value, read: ReadBody<T>) -> Result<T> {
        let (resource_type, rules) = (Arc::clone(self.resource_type), self.rules());
        let (result, found) = run_document_work(move || {
            let mut result = read(&body, &resource_type, rules);
            let found = find_undeclared(&mut result, &body, &resource_type);
            Ok((result, found))
        })
        .await?;
        self.record_undeclared(found, result.is_err());
        result
    }

    fn record_undeclared(&self, found: UndeclaredAttributes, is_refused: bool) {
        if !found.is_empty() {
            let log = &self.state.usage.undeclared;
            log.record(self.scope.configuration, found, is_refused, clock::current_millis());
        }
    }

    /// Deletes the resource with this id.
    pub(super) async fn delete(&self, id: &str, conditions: VersionConditions) -> Result<()> {
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let conditions = Some(&conditions);
            let write = ResourceWrite { conditions, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::delete_resource(tx, &write)
        });
        write.await
    }

    /// The owner of the writes: the configuration.
    const fn owner(&self) -> WorkOwner {
        WorkOwner::Configuration(self.scope.configuration)
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
        let read =
            |at: &Snapshot<'_>| resources::read_small_resource(at, self.scope, self.resource_type, id, false).map(drop);
        self.state.store.read_inline(read)?;
        Err(refused)
    }
}
