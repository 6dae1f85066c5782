//! `POST /Bulk` (RFC 7644 section 3.7). Each item is a write of its own, through the functions of the single calls.
//! Several are on their way at once, so that one commit serves many; an item waits for those it refers to.

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

use self::target::Target;
use super::answer::{self, Answer, Counts};
use super::auth::check_type;
use super::writes::Writes;
use crate::clock;
use crate::directory::Scope;
use crate::directory::Shown;
use crate::directory::bulk::{Making, create_circle};
use crate::directory::resources::{Done, rules};
use crate::error::{Error, Result};
use crate::model::rights::Rights;
use crate::scim;
use crate::scim::bulk::references::{self, Made};
use crate::scim::bulk::{Facts, Item, Method, Outcome, Plan};
use crate::scim::dialect::Notes;
use crate::scim::password::{Password, PasswordDigest};
use crate::scim::{bulk, validate};
use crate::store::Undo;
use crate::web::aside::block;
use crate::web::limits::BULK_WRITES_AT_ONCE;
use crate::web::state::State;

/// The bulk endpoint for an authenticated caller.
#[derive(Clone, Copy)]
pub(super) struct Bulk<'r> {
    pub(super) state: &'r Data<State>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    /// What the caller's token may do; it is asked for each item.
    pub(super) rights: Rights,
}

/// A job on its way.
struct Run<'r> {
    bulk: Bulk<'r>,
    items: Vec<Item>,
    targets: Vec<Option<Target>>,
    needs: Vec<Vec<usize>>,
    outcomes: Vec<Option<Outcome>>,
    /// What the creates so far made, by bulkId.
    made: HashMap<String, Made>,
    /// Digests of the passwords that items set, by the item's number.
    hashed: HashMap<usize, PasswordDigest>,
    errors: usize,
    notes: Notes,
}

/// An item that came to its end.
struct Ended {
    number: usize,
    outcome: Outcome,
    /// Id of a resource that was made.
    id: Option<String>,
    notes: Notes,
}

type Running<'r> = LocalBoxFuture<'r, Vec<Ended>>;

impl Bulk<'_> {
    /// Runs a job and answers with a result for each item that it reached.
    pub(super) async fn run(self, body: Value) -> Result<Answer> {
        let (rules, scope, base) = (rules(self.scope), self.scope.clone(), self.base.to_owned());
        let (state, rights) = (self.state.clone(), self.rights);
        // A job may be as large as a body may be: reading and ordering it is no work for the event loop.
        let prepared = block(move || {
            let job = bulk::read(body, rules)?;
            let prepared = prepare(job, rights, |method, path| {
                let path = target::path_below(path, &state.public_url(), &base, &scope)?;
                Target::read(method, &path, &scope.types)
            });
            let passwords = passwords::named(&prepared.2, &prepared.3, rules);
            Ok::<_, scim::Error>((prepared, passwords))
        });
        let ((errors_max, plan, items, targets), passwords) =
            prepared.await.map_err(|_| scim::Error::plain(503, "the server is stopping"))??;
        let hashed = passwords::hash(&self.state.hashing, passwords).await?;
        let operations = items.len();
        let mut run = Run {
            bulk: self,
            outcomes: items.iter().map(|_| None).collect(),
            items,
            targets,
            needs: plan.needs,
            made: HashMap::new(),
            hashed,
            errors: 0,
            notes: Notes::default(),
        };
        run.through(plan.steps, errors_max.unwrap_or(usize::MAX)).await;
        Ok(run.answer(operations))
    }
}

/// Finds what each item is about, and the order of all.
fn prepare(
    job: bulk::Job,
    rights: Rights,
    target: impl Fn(Method, &str) -> std::result::Result<Target, scim::Error>,
) -> (Option<usize>, Plan, Vec<Item>, Vec<Option<Target>>) {
    let mut items = job.items;
    let mut targets = Vec::with_capacity(items.len());
    for item in &mut items {
        let found = item.method.filter(|_| !item.path.is_empty()).map(|method| target(method, &item.path));
        match found {
            Some(Err(error)) => {
                item.refusal.get_or_insert(error);
                targets.push(None);
            }
            found => {
                let found = found.and_then(std::result::Result::ok);
                if let Some(Err(error)) = found.as_ref().map(|target| check_type(rights, &target.of)) {
                    item.refusal.get_or_insert(error);
                }
                targets.push(found);
            }
        }
    }
    let facts = items.iter().zip(&targets).map(|(item, target)| match (target, &item.refusal) {
        (Some(target), None) => Facts::of(item, &target.of, target.id.as_deref()),
        _ => Facts::refused(item),
    });
    let facts: Vec<Facts<'_>> = facts.collect();
    let mut plan = bulk::plan(&facts);
    drop(facts);
    for (number, error) in plan.refused.drain(..) {
        items[number].refusal = Some(error);
    }
    (job.errors_max, plan, items, targets)
}

impl<'r> Run<'r> {
    /// Runs the steps until the job has that many errors.
    async fn through(&mut self, steps: Vec<Vec<usize>>, errors_max: usize) {
        let mut running: FuturesUnordered<Running<'r>> = FuturesUnordered::new();
        for step in steps {
            // With as many on their way as errors are left, only the last of them can be the one that stops the job.
            while self.waits(&step) || running.len() >= BULK_WRITES_AT_ONCE.min(errors_max.saturating_sub(self.errors))
            {
                let Some(ended) = running.next().await else { break };
                self.settle(ended);
            }
            if self.errors >= errors_max {
                break;
            }
            match self.start(&step) {
                Ok(future) => running.push(future),
                Err(ended) => self.settle(ended),
            }
        }
        while let Some(ended) = running.next().await {
            self.settle(ended);
        }
    }

    /// Whether something that the step refers to is still on its way.
    fn waits(&self, step: &[usize]) -> bool {
        let needed = step.iter().flat_map(|&number| &self.needs[number]);
        needed.into_iter().any(|needed| self.outcomes[*needed].is_none() && !step.contains(needed))
    }

    fn settle(&mut self, ended: Vec<Ended>) {
        for Ended { number, outcome, id, notes } in ended {
            for note in notes.as_slice() {
                self.notes.add(note.as_str());
            }
            self.errors += usize::from(!outcome.succeeded());
            if let (Some(id), Some(location), Some(name)) = (id, &outcome.location, self.items[number].creates()) {
                self.made.insert(name.to_owned(), Made { id, location: location.clone() });
            }
            self.outcomes[number] = Some(outcome);
        }
    }

    fn answer(self, operations: usize) -> Answer {
        let results = self.items.iter().zip(&self.outcomes);
        let reached = results.filter_map(|(item, outcome)| Some((item, outcome.as_ref()?)));
        let mut answer = Answer::json(200, &bulk::response(reached));
        let reached = self.outcomes.iter().flatten().count();
        answer.bulk = Some(Counts { operations, succeeded: reached - self.errors, failed: self.errors });
        answer.notes = self.notes;
        answer
    }

    /// Starts a step; what is refused already ends at once.
    fn start(&mut self, step: &[usize]) -> std::result::Result<Running<'r>, Vec<Ended>> {
        if let [number] = step
            && !self.needs[*number].contains(number)
        {
            return self.start_item(*number).map_err(|error| vec![self.refused(*number, error)]);
        }
        self.start_circle(step)
    }

    fn start_item(&mut self, number: usize) -> std::result::Result<Running<'r>, scim::Error> {
        let (target, data) = self.take(number, &HashMap::new())?;
        let (bulk, item) = (self.bulk, &mut self.items[number]);
        let version = item.version.take();
        let method = item.method.ok_or_else(|| scim::Error::syntax("method is missing"))?;
        let hashed = self.hashed.remove(&number);
        Ok(Box::pin(async move { vec![bulk.item(number, method, target, (version, data, hashed)).await] }))
    }

    /// What an item works on and its data, with ids in the place of references.
    fn take(
        &mut self,
        number: usize,
        circle: &HashMap<String, Made>,
    ) -> std::result::Result<(Target, Value), scim::Error> {
        if let Some(refusal) = self.items[number].refusal.take() {
            return Err(refusal);
        }
        let Some(mut target) = self.targets[number].take() else {
            return Err(scim::Error::syntax("path is missing"));
        };
        let mut data = std::mem::take(&mut self.items[number].data);
        let made = |name: &str| self.made.get(name).or_else(|| circle.get(name));
        let resolved = references::replace(&mut data, &made).and_then(|()| target.resolve(&made));
        match resolved {
            Ok(()) => Ok((target, data)),
            Err(name) => {
                // The result says which resource was meant.
                self.targets[number] = Some(target);
                let name: String = name.chars().take(60).collect();
                Err(scim::Error::plain(409, format!("the POST with the bulkId {name:?} made nothing to refer to")))
            }
        }
    }

    fn refused(&self, number: usize, error: scim::Error) -> Ended {
        let location = self.targets[number].as_ref().and_then(|target| target.location(self.bulk.base));
        Ended { number, outcome: Outcome::refused(error, location), id: None, notes: Notes::default() }
    }

    /// Creates that refer to each other: their ids are given out first, and they are made in one write.
    fn start_circle(&mut self, step: &[usize]) -> std::result::Result<Running<'r>, Vec<Ended>> {
        let bulk = self.bulk;
        let mut circle = HashMap::new();
        for &number in step {
            let item = &self.items[number];
            if let (Some(name), Some(target)) = (item.creates(), &self.targets[number]) {
                let id = clock::new_id();
                let location = target.location_of(bulk.base, &id);
                circle.insert(name.to_owned(), Made { id, location });
            }
        }
        let mut making = Vec::with_capacity(step.len());
        for &number in step {
            let id = self.items[number].creates().and_then(|name| circle.get(name)).map(|made| made.id.clone());
            let draft = self.take(number, &circle).and_then(|(target, data)| {
                let mut draft = validate::new_resource(&data, &target.of, rules(bulk.scope))?;
                if let Some(hashed) = self.hashed.remove(&number) {
                    draft.password = Some(Password::Hashed(hashed));
                }
                Ok(Making { of: Arc::clone(&target.of), id: id.unwrap_or_default(), draft })
            });
            match draft {
                Ok(draft) => making.push(draft),
                Err(error) => return Err(self.refused_circle(step, number, error)),
            }
        }
        let numbers = step.to_vec();
        Ok(Box::pin(async move { bulk.circle(numbers, making).await }))
    }

    fn refused_circle(&self, step: &[usize], guilty: usize, error: scim::Error) -> Vec<Ended> {
        let mut error = Some(error);
        let ended = |&number: &usize| {
            let own = if number == guilty { error.take() } else { None };
            self.refused(number, own.unwrap_or_else(part_of_refused_circle))
        };
        step.iter().map(ended).collect()
    }
}

fn part_of_refused_circle() -> scim::Error {
    scim::Error::plain(409, "the operation refers in a circle to another one that was refused")
}

impl Bulk<'_> {
    /// Runs one item as the single call would.
    async fn item(
        self,
        number: usize,
        method: Method,
        target: Target,
        (version, data, hashed): (Option<scim::version::Tags>, Value, Option<PasswordDigest>),
    ) -> Ended {
        let location = target.location(self.base);
        let writes = Writes { state: self.state, scope: self.scope, of: &target.of, hashed: hashed.as_ref() };
        let id = target.id.as_deref().unwrap_or_default();
        let done = match method {
            Method::Post => writes.create(&data, -1).await.map(Some),
            Method::Put => writes.replace(id, version, &data, -1).await.map(Some),
            Method::Patch => writes.patch(id, version, &data, -1).await.map(Some),
            Method::Delete => writes.delete(id, version).await.map(|()| None),
        };
        match done {
            Ok(Some(Done { shown, notes })) => self.ended(number, method, &target, &shown, notes),
            Ok(None) => {
                let outcome = Outcome { status: 204, location, version: None, refusal: None };
                Ended { number, outcome, id: None, notes: Notes::default() }
            }
            Err(error) => {
                let outcome = Outcome::refused(answer::shown(error), location);
                Ended { number, outcome, id: None, notes: Notes::default() }
            }
        }
    }

    fn ended(self, number: usize, method: Method, target: &Target, shown: &Shown, notes: Notes) -> Ended {
        let id = &shown.stored.id;
        let outcome = Outcome {
            status: if method == Method::Post { 201 } else { 200 },
            location: Some(target.location_of(self.base, id)),
            version: Some(shown.tag()),
            refusal: None,
        };
        Ended { number, outcome, id: Some(id.clone()), notes }
    }

    /// Makes the resources of a circle in one write: all of them or none.
    async fn circle(self, numbers: Vec<usize>, making: Vec<Making>) -> Vec<Ended> {
        let scope = self.scope.clone();
        let types: Vec<Target> = making.iter().map(|making| Target { of: Arc::clone(&making.of), id: None }).collect();
        let guilty = Arc::new(AtomicUsize::new(usize::MAX));
        let found = Arc::clone(&guilty);
        let write = self.state.store.write(Undo::Savepoint, move |tx| {
            create_circle(tx, &scope, &making).map_err(|(number, error)| {
                found.store(number, Ordering::Relaxed);
                error
            })
        });
        match write.await {
            Ok(made) => {
                let each = numbers.into_iter().zip(types).zip(made);
                each.map(|((number, target), (shown, notes))| self.ended(number, Method::Post, &target, &shown, notes))
                    .collect()
            }
            Err(error) => refused_together(numbers, guilty.load(Ordering::Relaxed), error),
        }
    }
}

/// The error of a circle is that of one item, or of none where the database refused the whole.
fn refused_together(numbers: Vec<usize>, guilty: usize, error: Error) -> Vec<Ended> {
    let own = answer::shown(error);
    let ended = |(place, number)| {
        let error = if place == guilty || guilty == usize::MAX { own.clone() } else { part_of_refused_circle() };
        Ended { number, outcome: Outcome::refused(error, None), id: None, notes: Notes::default() }
    };
    numbers.into_iter().enumerate().map(ended).collect()
}
