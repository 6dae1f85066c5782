//! Writes of an authenticated caller, for single requests and bulk requests: validation and hashing first, then one
//! use case of `provisioning` in one transaction.

use std::sync::Arc;

use actix_web::web::Data;
use serde_json::Value;

use crate::clock;
use crate::error::{Error, Result};
use crate::provisioning::deletion;
use crate::provisioning::patches::{self, PatchBasis, PatchPlan, PatchWeight};
use crate::provisioning::resources::{self, PreparedResource, ResourceWrite, WriteResult};
use crate::provisioning::{Members, Scope};
use crate::scim::bulk::BulkMethod;
use crate::scim::dialect::DialectRules;
use crate::scim::entity_tag::VersionConditions;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::patch::{self, Patch};
use crate::scim::schema::ResourceType;
use crate::scim::schema::undeclared::UndeclaredSource;
use crate::scim::validate::{self, ResourceDraft};
use crate::scim::work::measure_value;
use crate::store::{Snapshot, WorkOwner};
use crate::web::blocking::{read_blocking, run_document_work};
use crate::web::limits::DOCUMENT_BLOCKING_BYTES;
use crate::web::scim::resource_body::{ReadBody, ResourceBodyReader};
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

/// Whether a body needs too much time for the event loop.
fn is_large(body: &Value) -> bool {
    measure_value(body, DOCUMENT_BLOCKING_BYTES) > DOCUMENT_BLOCKING_BYTES
}

/// The checked body of a write, ready for the transaction.
pub(super) enum PreparedWrite {
    /// A new resource.
    Create(Box<PreparedResource>),
    /// The new content of a resource.
    Replace(Box<ResourceDraft>),
    /// Changes of a resource.
    Patch(Patch),
    /// The end of a resource.
    Delete,
}

impl PreparedWrite {
    /// Checks and prepares a body. Needs no database.
    ///
    /// # Errors
    /// Errors of the body.
    pub(super) fn prepare(
        method: BulkMethod,
        body: &Value,
        resource_type: &ResourceType,
        reader: ResourceBodyReader<'_>,
    ) -> Result<Self> {
        Ok(match method {
            BulkMethod::Post => {
                let draft = reader.read(body, resource_type, validate::read_new_resource)?;
                Self::Create(Box::new(PreparedResource::new(draft, resource_type)?))
            }
            BulkMethod::Put => Self::Replace(Box::new(reader.read(body, resource_type, validate::read_resource)?)),
            BulkMethod::Patch => Self::Patch(reader.read(body, resource_type, patch::parse_patch)?),
            BulkMethod::Delete => Self::Delete,
        })
    }

    /// Replaces a password with its digest, if it has been hashed before.
    pub(super) fn with_digest(mut self, digest: Option<PasswordDigest>) -> Self {
        let password = match &mut self {
            Self::Create(prepared) => prepared.password_mut(),
            Self::Replace(draft) => &mut draft.password,
            Self::Patch(patch) => &mut patch.password,
            Self::Delete => return self,
        };
        if let (Some(PasswordChange::SetClearText(_)), Some(digest)) = (&password, digest) {
            *password = Some(PasswordChange::SetDigest(digest));
        }
        self
    }

    /// Whether the write may be evaluated outside the transaction, and then be queued later than by the first poll.
    pub(super) fn may_be_deferred(&self) -> bool {
        matches!(self, Self::Patch(patch) if !PatchWeight::of(patch).is_always_small())
    }
}

/// Writes on one resource type. A write is queued by the first poll of its future, unless its body is large or has a
/// password to hash. So writes take effect in the order in which their futures are first polled.
#[derive(Clone, Copy)]
pub(super) struct ResourceWrites<'r> {
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) resource_type: &'r Arc<ResourceType>,
}

impl ResourceWrites<'_> {
    /// Creates a resource. `members` are the members that the result contains, here and below.
    pub(super) async fn create(&self, body: Value, members: Members) -> Result<WriteResult> {
        if !is_large(&body) {
            let mut draft = self.read_body(body, validate::read_new_resource)?;
            self.hash_password(&mut draft.password).await?;
            return self.write_new(PreparedResource::new(draft, self.resource_type)?, members).await;
        }
        let mut draft = self.read_off_loop(body, validate::read_new_resource).await?;
        self.hash_password(&mut draft.password).await?;
        let resource_type = Arc::clone(self.resource_type);
        let prepared = self.run_document_work(move || PreparedResource::new(draft, &resource_type)).await?;
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
        body: Value,
        members: Members,
    ) -> Result<WriteResult> {
        let draft = if is_large(&body) {
            self.read_off_loop(body, validate::read_resource).await
        } else {
            self.read_body(body, validate::read_resource)
        };
        let draft = draft.or_else(|refused| self.refuse_if_found(id, refused))?;
        self.write_replacement(id, conditions, draft, members).await
    }

    async fn write_replacement(
        &self,
        id: &str,
        conditions: VersionConditions,
        mut draft: ResourceDraft,
        members: Members,
    ) -> Result<WriteResult> {
        self.hash_password(&mut draft.password).await?;
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let conditions = Some(&conditions);
            let write = ResourceWrite { conditions, members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            resources::replace_resource(tx, &write, &draft)
        });
        write.await
    }

    /// Applies a PATCH to the resource with this id. A PATCH with much work is evaluated outside the transaction and off the
    /// event loop, so the write can be queued later.
    pub(super) async fn patch(
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
            self.read_body(body, patch::parse_patch)
        };
        let patch = edits.or_else(|refused| self.refuse_if_found(id, refused))?;
        let request = self.prepare_patch(id, conditions, patch, members).await?;
        if has_large_body { self.patch_by_plan(request).await } else { self.apply_patch(request).await }
    }

    /// Runs a prepared write. Returns the resource, if it still exists.
    pub(super) async fn run_prepared(
        &self,
        id: &str,
        conditions: VersionConditions,
        write: PreparedWrite,
    ) -> Result<Option<WriteResult>> {
        let members = Members::Skip;
        match write {
            PreparedWrite::Create(mut prepared) => {
                self.hash_password(prepared.password_mut()).await?;
                self.write_new(*prepared, members).await.map(Some)
            }
            PreparedWrite::Replace(draft) => self.write_replacement(id, conditions, *draft, members).await.map(Some),
            PreparedWrite::Patch(patch) => {
                self.apply_patch(self.prepare_patch(id, conditions, patch, members).await?).await.map(Some)
            }
            PreparedWrite::Delete => self.delete(id, conditions).await.map(|()| None),
        }
    }

    /// Applies a PATCH in the transaction if it is small for the resource, and by a plan otherwise.
    async fn apply_patch(&self, request: Arc<PatchRequest>) -> Result<WriteResult> {
        let (weight, small) = (PatchWeight::of(&request.patch), Arc::clone(&request));
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            patches::patch_small_resource(tx, &small.write(), &small.patch, weight)
        });
        match write.await? {
            Some(done) => Ok(done),
            None => self.patch_by_plan(request).await,
        }
    }

    /// Evaluates a PATCH on a snapshot, and writes the result if the resource is still the same.
    async fn patch_by_plan(&self, request: Arc<PatchRequest>) -> Result<WriteResult> {
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
        mut patch: Patch,
        members: Members,
    ) -> Result<Arc<PatchRequest>> {
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
        self.run_document_work(move || basis.evaluate(&request.scope, &request.resource_type, &request.patch)).await
    }

    fn rules(&self) -> DialectRules {
        resources::build_rules(self.scope)
    }

    /// Runs work on a large document off the event loop, in the share of the configuration.
    async fn run_document_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run_document_work(&self.state.store, self.owner(), work).await
    }

    fn body_reader(&self) -> ResourceBodyReader<'_> {
        let (log, rules) = (&self.state.usage.undeclared, self.rules());
        ResourceBodyReader { log, configuration: self.scope.configuration_key(), rules }
    }

    /// Reads a small body. Its memory is released: the write may have to wait.
    #[expect(clippy::needless_pass_by_value, reason = "the body is dropped here")]
    fn read_body<T: UndeclaredSource>(&self, body: Value, read: ReadBody<T>) -> Result<T> {
        self.body_reader().read(&body, self.resource_type, read)
    }

    /// Reads a large body off the event loop.
    async fn read_off_loop<T>(&self, body: Value, read: ReadBody<T>) -> Result<T>
    where
        T: UndeclaredSource + Send + 'static,
    {
        let (state, resource_type) = (self.state.clone(), Arc::clone(self.resource_type));
        let (configuration, rules) = (self.scope.configuration_key(), self.rules());
        let work = move || {
            let reader = ResourceBodyReader { log: &state.usage.undeclared, configuration, rules };
            reader.read(&body, &resource_type, read)
        };
        self.run_document_work(work).await
    }

    /// Deletes the resource with this id.
    pub(super) async fn delete(&self, id: &str, conditions: VersionConditions) -> Result<()> {
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let conditions = Some(&conditions);
            let write = ResourceWrite { conditions, ..ResourceWrite::new(&scope, &resource_type, &id) };
            deletion::delete_resource(tx, &write)
        });
        write.await
    }

    /// The owner of the writes: the configuration.
    fn owner(&self) -> WorkOwner {
        self.scope.work_owner()
    }

    /// Hashes the password before the write is queued, because hashing is slow.
    async fn hash_password(&self, password: &mut Option<PasswordChange>) -> Result<()> {
        self.state.limits.hashing.hash_if_clear(password).await
    }

    /// Returns the error of a body, or 404 if the resource does not exist: 404 has priority.
    pub(super) fn refuse_if_found<T>(&self, id: &str, refused: Error) -> Result<T> {
        let read =
            |at: &Snapshot<'_>| resources::read_small_resource(at, self.scope, self.resource_type, id, false).map(drop);
        self.state.store.read_inline(read)?;
        Err(refused)
    }
}
