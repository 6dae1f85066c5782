//! Writes of an authenticated caller, for single requests and bulk requests: validation and hashing first, then one
//! use case of `provisioning` in one transaction.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::web::Data;
use serde_json::Value;

use crate::clock;
use crate::error::{Error, Reason, Result, ScimType};
use crate::provisioning::large_changes::steps;
use crate::provisioning::patches::{self, PatchBasis, PatchWeight};
use crate::provisioning::plans::{self, ResourcePlan};
use crate::provisioning::resources::{self, PreparedResource, ResourceWrite, WriteProgress, WriteResult};
use crate::provisioning::{Members, Scope};
use crate::scim::bulk::BulkMethod;
use crate::scim::dialect::{DialectNotes, DialectRules};
use crate::scim::entity_tag::VersionConditions;
use crate::scim::members::MemberRef;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::patch::{self, Patch};
use crate::scim::schema::ResourceType;
use crate::scim::schema::undeclared::UndeclaredSource;
use crate::scim::validate::{self, ResourceDraft};
use crate::scim::work::measure_value;
use crate::store::{Snapshot, Tx, WorkOwner};
use crate::web::blocking::{read_for_write, run_document_work};
use crate::web::limits::DOCUMENT_BLOCKING_BYTES;
use crate::web::scim::resource_body::{ReadBody, ResourceBodyReader};
use crate::web::scim::write_request::{AttemptedWrite, SmallWrite, WriteBody, WriteRequest};
use crate::web::state::AppState;
use crate::web::state::unconfirmed_creates::CreateFingerprint;

/// How often a write is evaluated outside the transaction, if other writes change the resource in the meantime.
const PLANS_MAX: usize = 3;
/// The same for writes that are too large for the transaction. After that they are refused, so that a caller who changes a
/// group all the time delays only itself.
const LARGE_PLANS_MAX: usize = 16;

/// How many large changes of other requests a write helps to complete.
const CHANGES_MAX: usize = 16;
/// How often a step of a large change is queued again, if the queue is full.
const STEP_REFUSALS_MAX: usize = 100;
/// Pause before a step is queued again.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// The error of a write whose body has another kind than its evaluation. It cannot happen.
fn lost_result_error() -> Error {
    Error::database("a write has no result")
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
        match self {
            Self::Create(prepared) => prepared.has_many_members(),
            // The group may have many members.
            Self::Replace(draft) => draft.members.is_some(),
            Self::Patch(patch) => !PatchWeight::of(patch).is_always_small(),
            Self::Delete => false,
        }
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

    /// Creates a resource. While a resource with many memberships is being deleted, its name is in use: then the deletion is
    /// completed first.
    async fn write_new(&self, prepared: PreparedResource, members: Members) -> Result<WriteResult> {
        if !self.state.store.waits_for_replica() {
            return self.write_unknown(prepared, members, &Arc::default()).await;
        }
        let request = (self.scope.configuration, prepared.digest(&self.resource_type.name));
        if let Some(done) = self.find_unconfirmed(&request, members)? {
            return Ok(done);
        }
        let created = Arc::default();
        let result = self.write_unknown(prepared, members, &created).await;
        let is_unconfirmed = result.as_ref().is_err_and(|error| error.reason() == Reason::NotReplicated);
        if let Some(id) = created.get().filter(|_| is_unconfirmed) {
            self.state.unconfirmed.remember(request, String::clone(id));
        }
        result
    }

    /// Returns the resource that the same request has created before, if the replica did not confirm it then. It is confirmed
    /// when writes are accepted again.
    fn find_unconfirmed(&self, request: &CreateFingerprint, members: Members) -> Result<Option<WriteResult>> {
        let Some(id) = self.state.unconfirmed.find(request) else { return Ok(None) };
        if self.state.store.is_replica_silent() {
            return Err(Reason::ReplicaUnavailable.into());
        }
        let write = ResourceWrite { members, ..ResourceWrite::new(self.scope, self.resource_type, &id) };
        let found = self.state.store.read_inline_for_write(|at| steps::reload_resource(at, &write))?;
        self.state.unconfirmed.forget(request);
        Ok(found.map(|resource| WriteResult { resource, notes: DialectNotes::default() }))
    }

    /// Creates a resource that no earlier request has created. `created` gets its id with the transaction.
    async fn write_unknown(
        &self,
        mut prepared: PreparedResource,
        members: Members,
        created: &Arc<OnceLock<String>>,
    ) -> Result<WriteResult> {
        let many = prepared.take_many_members().map(Arc::new);
        let (prepared, id) = (Arc::new(prepared), clock::new_id());
        for _ in 0..CHANGES_MAX {
            let result = match &many {
                None => self.write_small_new(Arc::clone(&prepared), &id, members, Arc::clone(created)).await,
                Some(list) => self.write_large_new(Arc::clone(&prepared), Arc::clone(list), &id, members).await,
            };
            match result {
                Err(error) if self.complete_next_deletion(&error).await? => {}
                result => return result,
            }
        }
        Err(Reason::ResourceChanging.into())
    }

    async fn write_small_new(
        &self,
        prepared: Arc<PreparedResource>,
        id: &str,
        members: Members,
        created: Arc<OnceLock<String>>,
    ) -> Result<WriteResult> {
        let (scope, resource_type, id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let write = ResourceWrite { members, ..ResourceWrite::new(&scope, &resource_type, &id) };
            let done = resources::create_resource(tx, &write, &prepared)?;
            // The transaction may run again: the id stays the same.
            drop(created.set(done.resource.stored.id.clone()));
            Ok(done)
        });
        write.await
    }

    /// Creates a group with many members. They are read outside the transaction.
    async fn write_large_new(
        &self,
        prepared: Arc<PreparedResource>,
        list: Arc<Vec<MemberRef>>,
        id: &str,
        members: Members,
    ) -> Result<WriteResult> {
        let (scope, resource_type, new_id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let found = read_for_write(&self.state.store, self.owner(), move |at| {
            plans::resolve_new_members(at, &ResourceWrite::new(&scope, &resource_type, &new_id), &list)
        })
        .await?;
        let (scope, resource_type, new_id) = (self.scope.clone(), Arc::clone(self.resource_type), id.to_owned());
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| {
            let write = ResourceWrite { members, ..ResourceWrite::new(&scope, &resource_type, &new_id) };
            plans::create_with_members(tx, &write, &prepared, &found)
        });
        match write.await? {
            WriteProgress::Complete(done) => Ok(done),
            // The group exists, and its members join in any case. After an error the client would create it again.
            WriteProgress::Started(key, first) if self.complete_change(key).await.is_err() => Ok(first),
            WriteProgress::Started(_, first) => Ok(self.reload(first, members)),
        }
    }

    /// If this is the error of a name in use, completes the next deletion of the configuration that runs in steps. Returns
    /// whether there is one: the write can be tried again.
    async fn complete_next_deletion(&self, error: &Error) -> Result<bool> {
        if error.scim_type() != Some(ScimType::Uniqueness) {
            return Ok(false);
        }
        match self.state.store.read_inline_for_write(|at| steps::find_next_deletion(at, self.scope))? {
            Some(key) => self.complete_change(key).await.map(|()| true),
            None => Ok(false),
        }
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
        let request = self.create_request(id, conditions, WriteBody::Replace(draft), members);
        self.apply_request(request, false).await?.ok_or_else(lost_result_error)
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
        self.write_patch((id, conditions), patch, members, has_large_body).await
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
            PreparedWrite::Patch(patch) => self.write_patch((id, conditions), patch, members, false).await.map(Some),
            PreparedWrite::Delete => self.delete(id, conditions).await.map(|()| None),
        }
    }

    async fn write_patch(
        &self,
        (id, conditions): (&str, VersionConditions),
        mut patch: Patch,
        members: Members,
        has_large_body: bool,
    ) -> Result<WriteResult> {
        self.hash_password(&mut patch.password).await?;
        let request = self.create_request(id, conditions, WriteBody::Patch(patch), members);
        self.apply_request(request, has_large_body).await?.ok_or_else(lost_result_error)
    }

    fn create_request(
        &self,
        id: &str,
        conditions: VersionConditions,
        body: WriteBody,
        members: Members,
    ) -> Arc<WriteRequest> {
        let (scope, resource_type) = (self.scope.clone(), Arc::clone(self.resource_type));
        Arc::new(WriteRequest { scope, resource_type, id: id.to_owned(), conditions, members, body })
    }

    /// Runs a write. While a large change of the resource is running, or the deletion of one whose name this one gets, the write
    /// first helps to complete it.
    async fn apply_request(&self, request: Arc<WriteRequest>, by_plan: bool) -> Result<Option<WriteResult>> {
        for _ in 0..CHANGES_MAX {
            match self.try_request(&request, by_plan).await {
                Ok(AttemptedWrite::Done(done)) => return Ok(done),
                Ok(AttemptedWrite::Outdated) => break,
                Err(error) if error.reason() == Reason::ResourceChanging => {
                    self.complete_running_change(&request).await?;
                }
                Err(error) if self.complete_next_deletion(&error).await? => {}
                Err(error) => return Err(error),
            }
        }
        Err(Reason::ResourceChanging.into())
    }

    /// Runs a write in the transaction if it is small for the resource, and by a plan otherwise.
    async fn try_request(&self, request: &Arc<WriteRequest>, by_plan: bool) -> Result<AttemptedWrite> {
        if by_plan || request.is_large() {
            return self.write_by_plan(request).await;
        }
        let small = Arc::clone(request);
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| small.run_small(tx));
        match write.await? {
            Some(SmallWrite::Complete(done)) => Ok(AttemptedWrite::Done(done)),
            Some(SmallWrite::DeletionStarted(key)) => {
                self.complete_change(key).await?;
                Ok(AttemptedWrite::Done(None))
            }
            None => self.write_by_plan(request).await,
        }
    }

    /// Evaluates a write on a snapshot, and writes the result if the resource is still the same.
    async fn write_by_plan(&self, request: &Arc<WriteRequest>) -> Result<AttemptedWrite> {
        for number in 0..LARGE_PLANS_MAX {
            if number >= PLANS_MAX
                && let WriteBody::Patch(patch) = &request.body
                && PatchWeight::of(patch).changes_few_members()
            {
                // Other writes change the resource all the time. Only in the transaction does it stay the same.
                return self.patch_in_writer(Arc::clone(request)).await.map(|done| AttemptedWrite::Done(Some(done)));
            }
            let (mut plan, planned) = (Some(self.plan(request).await?), Arc::clone(request));
            let write = self.state.store.write_without_savepoint(self.owner(), move |tx| match plan.take() {
                Some(plan) => plans::write_plan(tx, &planned.write(), plan, planned.password()),
                // The transaction of the first run was rolled back.
                None => Ok(None),
            });
            if let Some(done) = write.await? {
                return self.complete(done, request.members).await.map(|done| AttemptedWrite::Done(Some(done)));
            }
        }
        Ok(AttemptedWrite::Outdated)
    }

    async fn patch_in_writer(&self, request: Arc<WriteRequest>) -> Result<WriteResult> {
        let write = self.state.store.write_without_savepoint(self.owner(), move |tx| match &request.body {
            WriteBody::Patch(patch) => patches::patch_resource(tx, &request.write(), patch),
            WriteBody::Replace(_) | WriteBody::Delete => Err(lost_result_error()),
        });
        write.await
    }

    /// Evaluates a write on a snapshot.
    async fn plan(&self, request: &Arc<WriteRequest>) -> Result<ResourcePlan> {
        let (store, reading) = (&self.state.store, Arc::clone(request));
        let patch = match &request.body {
            WriteBody::Patch(patch) => patch,
            WriteBody::Replace(_) | WriteBody::Delete => {
                return read_for_write(store, self.owner(), move |at| match &reading.body {
                    WriteBody::Replace(draft) => plans::plan_replacement(at, &reading.write(), draft),
                    WriteBody::Patch(_) | WriteBody::Delete => Err(lost_result_error()),
                })
                .await;
            }
        };
        let basis = if patches::has_member_edits(patch) {
            read_for_write(store, self.owner(), move |at| match &reading.body {
                WriteBody::Patch(patch) => PatchBasis::read(at, &reading.write(), patch),
                WriteBody::Replace(_) | WriteBody::Delete => Err(lost_result_error()),
            })
            .await?
        } else {
            store.read_inline_for_write(|at| PatchBasis::read(at, &request.write(), patch))?
        };
        let request = Arc::clone(request);
        self.run_document_work(move || match &request.body {
            WriteBody::Patch(patch) => basis.evaluate(&request.scope, &request.resource_type, patch),
            WriteBody::Replace(_) | WriteBody::Delete => Err(lost_result_error()),
        })
        .await
    }

    /// Runs the remaining steps of a write, and returns its result.
    async fn complete(&self, progress: WriteProgress, members: Members) -> Result<WriteResult> {
        let (key, first) = match progress {
            WriteProgress::Complete(done) => return Ok(done),
            WriteProgress::Started(key, first) => (key, first),
        };
        self.complete_change(key).await?;
        Ok(self.reload(first, members))
    }

    /// Returns the result after all steps. The write has succeeded, so a failing read is no error: the result is that of the
    /// first step then.
    fn reload(&self, first: WriteResult, members: Members) -> WriteResult {
        let id = &first.resource.stored.id;
        let write = ResourceWrite { members, ..ResourceWrite::new(self.scope, self.resource_type, id) };
        let found = self.state.store.read_inline(|at| steps::reload_resource(at, &write)).unwrap_or_else(|error| {
            tracing::warn!(problem = %error, "the result of a large change cannot be read again");
            None
        });
        WriteResult { resource: found.unwrap_or(first.resource), notes: first.notes }
    }

    /// Runs the steps of the large change of the resource that the request is about.
    async fn complete_running_change(&self, request: &WriteRequest) -> Result<()> {
        let found = self.state.store.read_inline_for_write(|at| steps::find_changing_resource(at, &request.write()))?;
        match found {
            Some(key) => self.complete_change(key).await,
            None => Ok(()),
        }
    }

    /// Runs the steps of a large change, each as a write of its own. If the queue has no space for the configuration, it waits.
    ///
    /// # Errors
    /// `ResourceChanging` if a step fails. The change has begun, so the job for pending steps completes it.
    async fn complete_change(&self, key: i64) -> Result<()> {
        let mut refusals = 0;
        loop {
            let step = move |tx: &Tx<'_>| steps::run_change_step(tx, key);
            match self.state.store.write_as(self.owner(), step).await {
                Ok(true) => return Ok(()),
                Ok(false) => refusals = 0,
                Err(error) if error.reason() == Reason::ServerBusy && refusals < STEP_REFUSALS_MAX => {
                    refusals += 1;
                    actix_web::rt::time::sleep(STEP_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(problem = %error, "a step of a large change failed and will be retried");
                    return Err(Reason::ResourceChanging.into());
                }
            }
        }
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
        let request = self.create_request(id, conditions, WriteBody::Delete, Members::Skip);
        self.apply_request(request, false).await.map(drop)
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
        self.state.store.read_inline_for_write(read)?;
        Err(refused)
    }
}
