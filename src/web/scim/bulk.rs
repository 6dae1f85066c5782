//! `POST /Bulk` (RFC 7644 section 3.7). Each item is a separate write, through the functions of single requests. Writes
//! run concurrently, so that they share commits; an item waits for the items that it refers to.

mod passwords;
mod preparation;
mod target;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web::Data;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use self::preparation::{
    CreatedResources, ItemInput, PreparedItem, PreparedStep, RefusedItem, StepInput, StepPreparation, refuse_cycle,
};
use self::target::BulkTarget;
use super::authenticate::check_action;
use super::is_user_refused;
use super::writes::{PreparedWrite, ResourceWrites};
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::model::rights::{AccessRights, ResourceAction};
use crate::provisioning::Scope;
use crate::provisioning::bulk::{PendingCreate, create_cycle};
use crate::provisioning::resources::{WriteResult, build_rules};
use crate::scim::bulk;
use crate::scim::bulk::references::CreatedResource;
use crate::scim::bulk::{BulkItem, BulkItemOutcome, BulkMethod, BulkPlan, ItemProperties};
use crate::scim::dialect::DialectNotes;
use crate::scim::entity_tag::VersionConditions;
use crate::scim::password::PasswordDigest;
use crate::scim::work::measure_value;
use crate::store::{Store, WorkOwner};
use crate::web::blocking::run_document_work;
use crate::web::limits::{BULK_WRITES_AT_ONCE, ITEMS_AT_ONCE_BYTES, ITEMS_INLINE_BYTES};
use crate::web::scim::response::{self, BulkCounts, ScimResponse};
use crate::web::state::AppState;

/// The bulk endpoint for an authenticated caller.
#[derive(Clone, Copy)]
pub(super) struct BulkHandler<'r> {
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    /// Rights of the token; checked for each item.
    pub(super) rights: AccessRights,
}

/// State of a running bulk request.
struct BulkRun<'r> {
    bulk: BulkHandler<'r>,
    items: Vec<BulkItem>,
    targets: Vec<Option<BulkTarget>>,
    needs: Vec<Vec<usize>>,
    outcomes: Vec<Option<BulkItemOutcome>>,
    /// Created resources by bulkId.
    created: Arc<CreatedResources>,
    /// Resources of the items that may be running, and whether one of these may be deferred.
    running_targets: HashMap<String, bool>,
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

type RunningSteps<'r> = FuturesUnordered<LocalBoxFuture<'r, Vec<ItemResult>>>;

/// Steps that are prepared together.
#[derive(Default)]
struct StepWindow {
    steps: Vec<StepInput>,
    /// Their items.
    numbers: Vec<usize>,
    /// Bytes of the bodies, approximately.
    bytes: usize,
}

impl BulkHandler<'_> {
    /// Runs a bulk request. Returns a result for each processed item.
    pub(super) async fn run(self, body: Value) -> Result<ScimResponse> {
        let (rules, scope, base) = (build_rules(self.scope), self.scope.clone(), self.base.to_owned());
        let (state, rights) = (self.state.clone(), self.rights);
        // A bulk request can have the largest allowed body: it is parsed and ordered off the event loop.
        let prepared = run_document_work(&self.state.store, self.owner(), move || {
            let job = bulk::parse_bulk_job(body, rules)?;
            let prepared = prepare_items(job, rights, |method, path| {
                let path = target::relative_path(path, &state.server.public_url(), &base, &scope)?;
                BulkTarget::parse(method, &path, &scope.types)
            });
            let passwords = passwords::find_passwords(&prepared.2, &prepared.3, rules);
            Ok::<_, Error>((prepared, passwords))
        });
        let ((errors_max, plan, items, targets), passwords) = prepared.await?;
        let hashed = passwords::hash_passwords(&self.state.limits.hashing, passwords).await?;
        let operations = items.len();
        let mut run = BulkRun {
            bulk: self,
            outcomes: items.iter().map(|_| None).collect(),
            items,
            targets,
            needs: plan.needs,
            created: Arc::default(),
            running_targets: HashMap::new(),
            digests: hashed,
            errors: 0,
            notes: DialectNotes::default(),
        };
        run.run_steps(plan.steps, errors_max.unwrap_or(usize::MAX)).await;
        Ok(run.into_response(operations))
    }
}

/// Returns what an operation with this method does with a resource.
fn action_of(method: BulkMethod) -> ResourceAction {
    match method {
        BulkMethod::Post => ResourceAction::Create,
        BulkMethod::Put | BulkMethod::Patch => ResourceAction::Update,
        BulkMethod::Delete => ResourceAction::Delete,
    }
}

/// Parses the target of each item and plans their order.
fn prepare_items(
    job: bulk::BulkJob,
    rights: AccessRights,
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
                let action = item.method.map_or(ResourceAction::Read, action_of);
                let checked = found.as_ref().map(|target| check_action(rights, &target.resource_type, action));
                if let Some(Err(error)) = checked {
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
        let mut steps = VecDeque::from(steps);
        let mut running: RunningSteps<'r> = FuturesUnordered::new();
        // All jobs of an account together fit into its smallest share, so that no item is turned away.
        let share = self.bulk.state.store.smallest_write_share() / Store::BULK_JOBS_AT_ONCE;
        let writes_at_once = BULK_WRITES_AT_ONCE.min(share.max(1));
        loop {
            // At most as many writes run as errors are left, so that only the last of them can reach the limit.
            let most = writes_at_once.min(errors_max.saturating_sub(self.errors)).saturating_sub(running.len());
            // Several steps are prepared together: when half of the writes have ended.
            let window = if running.len() > writes_at_once / 2 {
                StepWindow::default()
            } else {
                self.take_window(&mut steps, most)
            };
            if running.is_empty() {
                self.running_targets.clear();
            }
            if window.steps.is_empty() {
                let Some(ended) = running.next().await else { break };
                self.record_results(ended);
                continue;
            }
            for prepared in self.prepare_window(window).await {
                self.start_step(prepared, &mut running).await;
            }
            // The first poll queues the writes.
            if let Some(Some(ended)) = running.next().now_or_never() {
                self.record_results(ended);
            }
        }
    }

    /// Takes the next steps that can be prepared together: none refers to an item that has not ended.
    fn take_window(&mut self, steps: &mut VecDeque<Vec<usize>>, most: usize) -> StepWindow {
        let mut window = StepWindow::default();
        while window.steps.len() < most && window.bytes < ITEMS_AT_ONCE_BYTES {
            let Some(step) = steps.pop_front_if(|step| !self.must_wait(step)) else { break };
            let size = |&number: &usize| measure_value(&self.items[number].data, ITEMS_AT_ONCE_BYTES);
            window.bytes += step.iter().map(size).sum::<usize>();
            window.numbers.extend(&step);
            let input = self.take_step(&step);
            window.steps.push(input);
        }
        window
    }

    /// Returns whether an item that the step refers to is still running.
    fn must_wait(&self, step: &[usize]) -> bool {
        let needed = step.iter().flat_map(|&number| &self.needs[number]);
        needed.into_iter().any(|needed| self.outcomes[*needed].is_none() && !step.contains(needed))
    }

    /// Takes what a step needs out of the items.
    fn take_step(&mut self, step: &[usize]) -> StepInput {
        let is_item = step.len() == 1 && step.iter().all(|number| !self.needs[*number].contains(number));
        let mut inputs = Vec::with_capacity(step.len());
        for &number in step {
            match self.take_item(number) {
                Ok(input) if is_item => return StepInput::Item(Box::new(input)),
                Ok(input) => inputs.push(input),
                Err(refused) if is_item => return StepInput::Refused(vec![refused]),
                Err(refused) => return StepInput::Refused(refuse_cycle(step, number, &refused.error)),
            }
        }
        StepInput::Cycle(inputs)
    }

    fn take_item(&mut self, number: usize) -> std::result::Result<ItemInput, RefusedItem> {
        let (target, item) = (self.targets[number].take(), &mut self.items[number]);
        let refusal = item.error.take();
        match target {
            Some(target) if refusal.is_none() => Ok(ItemInput {
                number,
                method: item.method,
                target,
                bulk_id: item.created_bulk_id().map(str::to_owned),
                data: std::mem::take(&mut item.data),
                version: item.version.take(),
                hashed: self.digests.remove(&number),
            }),
            target => {
                let location = target.and_then(|target| target.location(self.bulk.base));
                let error = refusal.unwrap_or_else(|| Error::new(Reason::BulkPathMissing));
                Err(RefusedItem { number, error, location })
            }
        }
    }

    /// Prepares steps in the share of the configuration, so that the items of others are prepared between them. Few small
    /// ones are prepared at once.
    async fn prepare_window(&self, window: StepWindow) -> Vec<PreparedStep> {
        let StepWindow { steps, numbers, bytes } = window;
        let preparation = StepPreparation {
            created: Arc::clone(&self.created),
            state: self.bulk.state.clone(),
            configuration: self.bulk.scope.configuration_key(),
            rules: build_rules(self.bulk.scope),
            base: self.bulk.base.to_owned(),
        };
        let prepare =
            move || -> Vec<PreparedStep> { steps.into_iter().map(|step| preparation.prepare(step)).collect() };
        if bytes <= ITEMS_INLINE_BYTES {
            return prepare();
        }
        run_document_work(&self.bulk.state.store, self.bulk.owner(), move || Ok(prepare())).await.unwrap_or_else(
            |error| {
                let refuse = |number| RefusedItem { number, error: error.clone(), location: None };
                vec![PreparedStep::Refused(numbers.into_iter().map(refuse).collect())]
            },
        )
    }

    /// Starts a prepared step.
    async fn start_step(&mut self, step: PreparedStep, running: &mut RunningSteps<'r>) {
        let bulk = self.bulk;
        match step {
            PreparedStep::Refused(refused) => {
                self.record_results(refused.into_iter().map(RefusedItem::into_result).collect());
            }
            PreparedStep::Cycle(numbers, creates) => running.push(Box::pin(bulk.run_cycle(numbers, creates))),
            PreparedStep::Item(item) => {
                if self.must_run_after_others(&item) {
                    while let Some(ended) = running.next().await {
                        self.record_results(ended);
                    }
                    self.running_targets.clear();
                    // Records the target again.
                    self.must_run_after_others(&item);
                }
                running.push(Box::pin(async move { vec![bulk.run_item(*item).await] }));
            }
        }
    }

    /// Records the resource of an item. Returns whether another item on the same resource may be running, and one of the two
    /// may be deferred, so that they could change their order.
    fn must_run_after_others(&mut self, item: &PreparedItem) -> bool {
        let Some(id) = &item.target.id else { return false };
        let may_be_deferred = item.write.as_ref().is_ok_and(PreparedWrite::may_be_deferred);
        let other = self.running_targets.get(id).copied();
        self.running_targets.insert(id.clone(), may_be_deferred || other == Some(true));
        other.is_some_and(|other| other || may_be_deferred)
    }

    fn record_results(&mut self, ended: Vec<ItemResult>) {
        for ItemResult { number, outcome, id, notes } in ended {
            self.notes.extend(&notes);
            self.errors += usize::from(!outcome.succeeded());
            if outcome.error.as_ref().is_some_and(is_user_refused) {
                let configuration = self.bulk.scope.configuration;
                self.bulk.state.store.recent_use().record_refused_user(configuration, clock::current_millis());
            }
            if let (Some(id), Some(location), Some(name)) =
                (id, &outcome.location, self.items[number].created_bulk_id())
            {
                let created = CreatedResource { id, location: location.clone() };
                Arc::make_mut(&mut self.created).insert(name.to_owned(), created);
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
}

impl RefusedItem {
    fn into_result(self) -> ItemResult {
        let Self { number, error, location } = self;
        let outcome = BulkItemOutcome::failed(error, location);
        ItemResult { number, outcome, id: None, notes: DialectNotes::default() }
    }
}

impl BulkHandler<'_> {
    /// The owner of the work: the configuration.
    fn owner(self) -> WorkOwner {
        self.scope.work_owner()
    }

    /// Runs one item like a single request.
    async fn run_item(self, item: PreparedItem) -> ItemResult {
        let PreparedItem { number, method, target, version, write } = item;
        let location = target.location(self.base);
        let writes = ResourceWrites { state: self.state, scope: self.scope, resource_type: &target.resource_type };
        let id = target.id.as_deref().unwrap_or_default();
        let write = match write {
            Err(refused) if method != BulkMethod::Post => writes.refuse_if_found(id, refused),
            write => write,
        };
        let conditions = VersionConditions { if_match: version, if_none_match: None };
        let done = match write {
            Ok(write) => writes.run_prepared(id, conditions, write).await,
            Err(refused) => Err(refused),
        };
        match done {
            Ok(Some(written)) => self.item_result(number, method, &target, written),
            Ok(None) => {
                let outcome = BulkItemOutcome { status: 204, location, version: None, error: None };
                ItemResult { number, outcome, id: None, notes: DialectNotes::default() }
            }
            Err(error) => {
                crate::web::log_failure(&error);
                RefusedItem { number, error, location }.into_result()
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
        let write = self.state.store.write_as(self.owner(), move |tx| {
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
            Err(error) => failed_cycle_results(&numbers, failed.load(Ordering::Relaxed), &error),
        }
    }
}

/// Returns the results of a failed cycle. The error belongs to one item, or to all if the transaction failed.
fn failed_cycle_results(numbers: &[usize], failed: usize, error: &Error) -> Vec<ItemResult> {
    crate::web::log_failure(error);
    let refused = match numbers.get(failed) {
        Some(failed) => refuse_cycle(numbers, *failed, error),
        None => numbers.iter().flat_map(|number| refuse_cycle(&[*number], *number, error)).collect(),
    };
    refused.into_iter().map(RefusedItem::into_result).collect()
}
