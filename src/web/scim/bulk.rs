//! `POST /Bulk` (RFC 7644 section 3.7). Each item is a separate write, through the functions of single requests. Writes
//! run concurrently, so that they share commits; an item waits for the items that it refers to.

mod passwords;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web::Data;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use self::target::BulkTarget;
use super::authenticate::check_type_rights;
use super::writes::ResourceWrites;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::model::rights::TokenRights;
use crate::provisioning::bulk::{PendingCreate, create_cycle};
use crate::provisioning::resources::{WriteResult, build_rules};
use crate::provisioning::{Members, Scope};
use crate::scim::bulk::references::{self, CreatedResource};
use crate::scim::bulk::{BulkItem, BulkItemOutcome, BulkMethod, BulkPlan, ItemProperties};
use crate::scim::dialect::DialectNotes;
use crate::scim::entity_tag::{EntityTags, VersionConditions};
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::path::shorten_text;
use crate::scim::{bulk, validate};
use crate::store::WorkOwner;
use crate::web::blocking::run_blocking;
use crate::web::bulk_jobs::BULK_JOBS_AT_ONCE;
use crate::web::limits::BULK_WRITES_AT_ONCE;
use crate::web::scim::response::{self, BulkCounts, ScimResponse};
use crate::web::state::AppState;

/// The bulk endpoint for an authenticated caller.
#[derive(Clone, Copy)]
pub(super) struct BulkHandler<'r> {
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    /// Rights of the token; checked for each item.
    pub(super) rights: TokenRights,
}

/// State of a running bulk request.
struct BulkRun<'r> {
    bulk: BulkHandler<'r>,
    items: Vec<BulkItem>,
    targets: Vec<Option<BulkTarget>>,
    needs: Vec<Vec<usize>>,
    outcomes: Vec<Option<BulkItemOutcome>>,
    /// Created resources by bulkId.
    created: HashMap<String, CreatedResource>,
    /// Digests of passwords by item index.
    digests: HashMap<usize, PasswordDigest>,
    errors: usize,
    notes: DialectNotes,
}

/// The result of an item.
struct ItemResult {
    number: usize,
    outcome: BulkItemOutcome,
    /// Id of the created resource.
    id: Option<String>,
    notes: DialectNotes,
}

type RunningStep<'r> = LocalBoxFuture<'r, Vec<ItemResult>>;

impl BulkHandler<'_> {
    /// Runs a bulk request. Returns a result for each processed item.
    pub(super) async fn run(self, body: Value) -> Result<ScimResponse> {
        let (rules, scope, base) = (build_rules(self.scope), self.scope.clone(), self.base.to_owned());
        let (state, rights) = (self.state.clone(), self.rights);
        // A bulk request can have the largest allowed body: it is parsed and ordered off the event loop.
        let prepared = run_blocking(move || {
            let job = bulk::parse_bulk_job(body, rules)?;
            let prepared = prepare_items(job, rights, |method, path| {
                let path = target::relative_path(path, &state.server.public_url(), &base, &scope)?;
                BulkTarget::parse(method, &path, &scope.types)
            });
            let passwords = passwords::find_passwords(&prepared.2, &prepared.3, rules);
            Ok::<_, Error>((prepared, passwords))
        });
        let ((errors_max, plan, items, targets), passwords) =
            prepared.await.map_err(|_| Error::new(Reason::ServerStopping))??;
        let hashed = passwords::hash_passwords(&self.state.limits.hashing, passwords).await?;
        let operations = items.len();
        let mut run = BulkRun {
            bulk: self,
            outcomes: items.iter().map(|_| None).collect(),
            items,
            targets,
            needs: plan.needs,
            created: HashMap::new(),
            digests: hashed,
            errors: 0,
            notes: DialectNotes::default(),
        };
        run.run_steps(plan.steps, errors_max.unwrap_or(usize::MAX)).await;
        Ok(run.into_response(operations))
    }
}

/// Parses the target of each item and plans their order.
fn prepare_items(
    job: bulk::BulkJob,
    rights: TokenRights,
    target: impl Fn(BulkMethod, &str) -> std::result::Result<BulkTarget, Error>,
) -> (Option<usize>, BulkPlan, Vec<BulkItem>, Vec<Option<BulkTarget>>) {
    let mut items = job.items;
    let mut targets = Vec::with_capacity(items.len());
    for item in &mut items {
        let found = item.method.filter(|_| !item.path.is_empty()).map(|method| target(method, &item.path));
        match found {
            Some(Err(error)) => {
                item.error.get_or_insert(error);
                targets.push(None);
            }
            found => {
                let found = found.and_then(std::result::Result::ok);
                if let Some(Err(error)) = found.as_ref().map(|target| check_type_rights(rights, &target.resource_type))
                {
                    item.error.get_or_insert(error);
                }
                targets.push(found);
            }
        }
    }
    let facts = items.iter().zip(&targets).map(|(item, target)| match (target, &item.error) {
        (Some(target), None) => ItemProperties::from_item(item, &target.resource_type, target.id.as_deref()),
        _ => ItemProperties::rejected(item),
    });
    let facts: Vec<ItemProperties<'_>> = facts.collect();
    let mut plan = bulk::plan_execution(&facts);
    drop(facts);
    for (number, error) in plan.rejected.drain(..) {
        items[number].error = Some(error);
    }
    (job.errors_max, plan, items, targets)
}

impl<'r> BulkRun<'r> {
    /// Runs the steps until there are `errors_max` errors.
    async fn run_steps(&mut self, steps: Vec<Vec<usize>>, errors_max: usize) {
        let mut running: FuturesUnordered<RunningStep<'r>> = FuturesUnordered::new();
        // All jobs of a configuration together fit into its smallest share, so that no item is turned away.
        let share = self.bulk.state.store.smallest_write_share() / BULK_JOBS_AT_ONCE;
        let writes_at_once = BULK_WRITES_AT_ONCE.min(share.max(1));
        for step in steps {
            // At most as many writes run as errors are left, so that only the last of them can reach the limit.
            while self.must_wait(&step) || running.len() >= writes_at_once.min(errors_max.saturating_sub(self.errors)) {
                let Some(ended) = running.next().await else { break };
                self.record_results(ended);
            }
            if self.errors >= errors_max {
                break;
            }
            match self.start_step(&step) {
                Ok(future) => running.push(future),
                Err(ended) => self.record_results(ended),
            }
        }
        while let Some(ended) = running.next().await {
            self.record_results(ended);
        }
    }

    /// Returns whether an item that the step refers to is still running.
    fn must_wait(&self, step: &[usize]) -> bool {
        let needed = step.iter().flat_map(|&number| &self.needs[number]);
        needed.into_iter().any(|needed| self.outcomes[*needed].is_none() && !step.contains(needed))
    }

    fn record_results(&mut self, ended: Vec<ItemResult>) {
        for ItemResult { number, outcome, id, notes } in ended {
            self.notes.extend(&notes);
            self.errors += usize::from(!outcome.succeeded());
            if let (Some(id), Some(location), Some(name)) =
                (id, &outcome.location, self.items[number].created_bulk_id())
            {
                self.created.insert(name.to_owned(), CreatedResource { id, location: location.clone() });
            }
            self.outcomes[number] = Some(outcome);
        }
    }

    fn into_response(self, operations: usize) -> ScimResponse {
        let results = self.items.iter().zip(&self.outcomes);
        let reached = results.filter_map(|(item, outcome)| Some((item, outcome.as_ref()?)));
        let mut answer = ScimResponse::json(200, &bulk::render_response(reached, response::render_error));
        let reached = self.outcomes.iter().flatten().count();
        answer.bulk = Some(BulkCounts { operations, succeeded: reached - self.errors, failed: self.errors });
        answer.notes = self.notes;
        answer
    }

    /// Starts a step. An item that was refused during planning ends at once.
    fn start_step(&mut self, step: &[usize]) -> std::result::Result<RunningStep<'r>, Vec<ItemResult>> {
        if let [number] = step
            && !self.needs[*number].contains(number)
        {
            return self.start_item(*number).map_err(|error| vec![self.refused_result(*number, error)]);
        }
        self.start_cycle(step)
    }

    fn start_item(&mut self, number: usize) -> std::result::Result<RunningStep<'r>, Error> {
        let (target, data) = self.resolve_item(number, &HashMap::new())?;
        let (bulk, item) = (self.bulk, &mut self.items[number]);
        let version = item.version.take();
        let method = item.method.ok_or_else(|| Error::new(Reason::BulkMethodMissing))?;
        let hashed = self.digests.remove(&number);
        Ok(Box::pin(async move { vec![bulk.run_item(number, method, target, (version, data, hashed)).await] }))
    }

    /// Returns the target and the data of an item, with `bulkId` references replaced by ids.
    fn resolve_item(
        &mut self,
        number: usize,
        cycle: &HashMap<String, CreatedResource>,
    ) -> std::result::Result<(BulkTarget, Value), Error> {
        if let Some(refusal) = self.items[number].error.take() {
            return Err(refusal);
        }
        let Some(mut target) = self.targets[number].take() else {
            return Err(Error::new(Reason::BulkPathMissing));
        };
        let mut data = std::mem::take(&mut self.items[number].data);
        let made = |name: &str| self.created.get(name).or_else(|| cycle.get(name));
        let resolved = references::replace_references(&mut data, &made).and_then(|()| target.resolve(&made));
        match resolved {
            Ok(()) => Ok((target, data)),
            Err(name) => {
                // The result contains the location of the target.
                self.targets[number] = Some(target);
                Err(Reason::BulkReferenceFailed.with("bulk_id", format_args!("\"{}\"", shorten_text(&name))))
            }
        }
    }

    fn refused_result(&self, number: usize, error: Error) -> ItemResult {
        let location = self.targets[number].as_ref().and_then(|target| target.location(self.bulk.base));
        ItemResult {
            number,
            outcome: BulkItemOutcome::failed(error, location),
            id: None,
            notes: DialectNotes::default(),
        }
    }

    /// Starts a cycle: POST operations that refer to each other. Their ids are assigned first, and they are created in
    /// one write.
    fn start_cycle(&mut self, step: &[usize]) -> std::result::Result<RunningStep<'r>, Vec<ItemResult>> {
        let bulk = self.bulk;
        let mut cycle = HashMap::new();
        for &number in step {
            let item = &self.items[number];
            if let (Some(name), Some(target)) = (item.created_bulk_id(), &self.targets[number]) {
                let id = clock::new_id();
                let location = target.resource_location(bulk.base, &id);
                cycle.insert(name.to_owned(), CreatedResource { id, location });
            }
        }
        let mut making = Vec::with_capacity(step.len());
        for &number in step {
            let id = self.items[number].created_bulk_id().and_then(|name| cycle.get(name)).map(|made| made.id.clone());
            let draft = self.resolve_item(number, &cycle).and_then(|(target, data)| {
                let mut draft = bulk.writes(&target).read_body(&data, validate::read_new_resource)?;
                if let Some(hashed) = self.digests.remove(&number) {
                    draft.password = Some(PasswordChange::SetDigest(hashed));
                }
                Ok(PendingCreate {
                    resource_type: Arc::clone(&target.resource_type),
                    id: id.unwrap_or_default(),
                    draft,
                })
            });
            match draft {
                Ok(draft) => making.push(draft),
                Err(error) => return Err(self.refused_cycle_results(step, number, error)),
            }
        }
        let numbers = step.to_vec();
        Ok(Box::pin(async move { bulk.run_cycle(numbers, making).await }))
    }

    fn refused_cycle_results(&self, step: &[usize], failed: usize, error: Error) -> Vec<ItemResult> {
        let mut error = Some(error);
        let ended = |&number: &usize| {
            let own = if number == failed { error.take() } else { None };
            self.refused_result(number, own.unwrap_or_else(cycle_refused_error))
        };
        step.iter().map(ended).collect()
    }
}

fn cycle_refused_error() -> Error {
    Error::new(Reason::BulkCycleRejected)
}

impl BulkHandler<'_> {
    fn writes<'t>(&'t self, target: &'t BulkTarget) -> ResourceWrites<'t> {
        ResourceWrites { state: self.state, scope: self.scope, resource_type: &target.resource_type, hashed: None }
    }

    /// Runs one item like a single request.
    async fn run_item(
        self,
        number: usize,
        method: BulkMethod,
        target: BulkTarget,
        (if_match, data, hashed): (Option<EntityTags>, Value, Option<PasswordDigest>),
    ) -> ItemResult {
        let location = target.location(self.base);
        let writes = ResourceWrites { hashed: hashed.as_ref(), ..self.writes(&target) };
        let id = target.id.as_deref().unwrap_or_default();
        let conditions = VersionConditions { if_match, if_none_match: None };
        let done = match method {
            BulkMethod::Post => writes.create(&data, Members::Skip).await.map(Some),
            BulkMethod::Put => writes.replace(id, conditions, &data, Members::Skip).await.map(Some),
            BulkMethod::Patch => writes.patch(id, conditions, &data, Members::Skip).await.map(Some),
            BulkMethod::Delete => writes.delete(id, conditions).await.map(|()| None),
        };
        match done {
            Ok(Some(written)) => self.item_result(number, method, &target, written),
            Ok(None) => {
                let outcome = BulkItemOutcome { status: 204, location, version: None, error: None };
                ItemResult { number, outcome, id: None, notes: DialectNotes::default() }
            }
            Err(error) => {
                crate::web::log_failure(&error);
                let outcome = BulkItemOutcome::failed(error, location);
                ItemResult { number, outcome, id: None, notes: DialectNotes::default() }
            }
        }
    }

    fn item_result(self, number: usize, method: BulkMethod, target: &BulkTarget, written: WriteResult) -> ItemResult {
        let WriteResult { resource, notes } = written;
        let id = &resource.stored.id;
        let outcome = BulkItemOutcome {
            status: if method == BulkMethod::Post { 201 } else { 200 },
            location: Some(target.resource_location(self.base, id)),
            version: Some(resource.tag()),
            error: None,
        };
        ItemResult { number, outcome, id: Some(id.clone()), notes }
    }

    /// Creates the resources of a cycle in one write: all or none.
    async fn run_cycle(self, numbers: Vec<usize>, making: Vec<PendingCreate>) -> Vec<ItemResult> {
        let scope = self.scope.clone();
        let types: Vec<BulkTarget> = making
            .iter()
            .map(|making| BulkTarget { resource_type: Arc::clone(&making.resource_type), id: None })
            .collect();
        let failed = Arc::new(AtomicUsize::new(usize::MAX));
        let found = Arc::clone(&failed);
        let write = self.state.store.write_as(WorkOwner::Configuration(self.scope.configuration), move |tx| {
            create_cycle(tx, &scope, &making).map_err(|(number, error)| {
                found.store(number, Ordering::Relaxed);
                error
            })
        });
        match write.await {
            Ok(made) => {
                let each = numbers.into_iter().zip(types).zip(made);
                each.map(|((number, target), made)| self.item_result(number, BulkMethod::Post, &target, made)).collect()
            }
            Err(error) => failed_cycle_results(numbers, failed.load(Ordering::Relaxed), error),
        }
    }
}

/// Returns the results of a failed cycle. The error belongs to one item, or to all if the transaction failed.
fn failed_cycle_results(numbers: Vec<usize>, failed: usize, error: Error) -> Vec<ItemResult> {
    crate::web::log_failure(&error);
    let ended = |(position, number)| {
        let error = if position == failed || failed == usize::MAX { error.clone() } else { cycle_refused_error() };
        ItemResult { number, outcome: BulkItemOutcome::failed(error, None), id: None, notes: DialectNotes::default() }
    };
    numbers.into_iter().enumerate().map(ended).collect()
}
