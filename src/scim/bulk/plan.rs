//! The order in which the items of a job run: as they stand, but for creates that an earlier item refers to
//! (RFC 7644 section 3.7: the order may change where the result does not).

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{Item, Method, references};
use crate::scim::schema::ResourceType;
use crate::scim::{Error, text};

/// What the order depends on, of one item.
#[derive(Debug, Clone, Default)]
pub struct Facts<'j> {
    /// Nothing where the item is refused whatever happens.
    pub method: Option<Method>,
    /// Endpoint of its resource type.
    pub endpoint: &'j str,
    /// bulkId under which others refer to what it creates.
    pub creates: Option<&'j str>,
    /// bulkIds it refers to.
    pub refers: BTreeSet<&'j str>,
    /// The name that must be unique among its type, prepared for comparison, where the data gives it.
    pub unique_name: Option<String>,
    /// Whether it may change such a name.
    pub renames: bool,
    /// Whether it depends on a version.
    pub versioned: bool,
}

impl<'j> Facts<'j> {
    /// The facts of an item on a type; `id` is the resource that its path names.
    pub fn of(item: &'j Item, of: &'j ResourceType, id: Option<&'j str>) -> Self {
        let unique = if of.members().is_some() { "displayName" } else { "userName" };
        let mut refers = BTreeSet::new();
        references::collect(&item.data, &mut refers);
        refers.extend(id.and_then(references::name));
        let given = item.data.as_object().and_then(|data| member(data, unique)).and_then(Value::as_str);
        Self {
            method: item.method,
            endpoint: &of.endpoint,
            creates: item.creates(),
            refers,
            unique_name: given.map(|name| text::key(name).into_owned()),
            renames: item.method == Some(Method::Patch) && names(&item.data, unique),
            versioned: item.version.is_some(),
        }
    }

    /// The facts of an item that is refused before it runs.
    pub fn refused(item: &'j Item) -> Self {
        Self { creates: item.creates(), ..Self::default() }
    }
}

fn member<'v>(data: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    data.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether a PATCH may speak of an attribute, in a path or as a member of a value.
fn names(data: &Value, attribute: &str) -> bool {
    let ends = |text: &str| {
        let start = text.len().checked_sub(attribute.len()).and_then(|start| text.get(start..));
        start.is_some_and(|end| end.eq_ignore_ascii_case(attribute))
    };
    match data {
        Value::Array(items) => items.iter().any(|item| names(item, attribute)),
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            ends(name)
                || part.as_str().is_some_and(|path| name.eq_ignore_ascii_case("path") && ends(path))
                || names(part, attribute)
        }),
        _ => false,
    }
}

/// An order of a job's items, by their number.
#[derive(Debug, Default)]
pub struct Plan {
    /// What runs together: one item, or creates that refer to each other in a circle.
    pub steps: Vec<Vec<usize>>,
    /// The creates that each item refers to.
    pub needs: Vec<Vec<usize>>,
    /// Items whose references cannot be resolved.
    pub refused: Vec<(usize, Error)>,
}

/// Orders a job. Of two creates with the same name the first counts.
pub fn plan(facts: &[Facts<'_>]) -> Plan {
    let mut plan = Plan { needs: vec![Vec::new(); facts.len()], ..Plan::default() };
    let mut by_name = HashMap::new();
    for (number, item) in facts.iter().enumerate() {
        if let Some(name) = item.creates {
            by_name.entry(name).or_insert(number);
        }
    }
    for (number, item) in facts.iter().enumerate() {
        let found: Result<Vec<usize>, &str> =
            item.refers.iter().map(|name| by_name.get(name).copied().ok_or(*name)).collect();
        match found {
            Ok(needs) => plan.needs[number] = needs,
            Err(name) => plan.refused.push((number, unknown(name))),
        }
    }
    plan.refuse_what_cannot_move(facts);
    plan.steps = Walk::through(&plan.needs);
    plan
}

/// The error of a reference to nothing.
fn unknown(name: &str) -> Error {
    Error::plain(409, format!("no POST of this job has the bulkId {:?}", shown(name)))
}

/// As much of a name as an error repeats.
fn shown(name: &str) -> String {
    name.chars().take(60).collect()
}

impl Plan {
    /// A create that is moved before an item must not change what happens to the items that it passes.
    fn refuse_what_cannot_move(&mut self, facts: &[Facts<'_>]) {
        let ahead = |(number, needs): (usize, &Vec<usize>)| needs.iter().any(|&needed| needed >= number);
        if !self.needs.iter().enumerate().any(ahead) {
            return;
        }
        let reach = Reach::over(&self.needs);
        let mut passes = vec![None; facts.len()];
        for number in 0..facts.len() {
            // The walk takes everything that the item needs along with it.
            let later = (number + 1..facts.len()).filter(|&later| reach.leads(number, later));
            let stuck = later.into_iter().find(|&later| {
                let passes = *passes[later].get_or_insert_with(|| barrier(facts, &reach, later));
                passes.is_some_and(|barrier| barrier > number)
            });
            if let Some(stuck) = stuck {
                let name = shown(facts[stuck].creates.unwrap_or_default());
                let detail = format!(
                    "the bulkId {name:?} is created by a later operation, which cannot run earlier without changing the result; put it first"
                );
                self.refused.push((number, Error::plain(409, detail)));
                self.needs[number].clear();
            }
        }
    }
}

/// The last item before a create that the create cannot pass. Who waits for it anyway is none.
fn barrier(facts: &[Facts<'_>], reach: &Reach, create: usize) -> Option<usize> {
    (0..create).rev().find(|&before| !may_pass(&facts[create], &facts[before]) && !reach.leads(before, create))
}

/// Whether a create can run before another item and both do what they would have done.
fn may_pass(create: &Facts<'_>, other: &Facts<'_>) -> bool {
    let (Some(_), Some(method)) = (create.method, other.method) else { return true };
    if create.endpoint != other.endpoint {
        // A group may name the users that the other one removes; and a user's version tells of its groups.
        let is_group = create.endpoint == "/Groups";
        return !is_group || method == Method::Post || (method != Method::Delete && !other.versioned);
    }
    match method {
        // Two of one name: the first wins.
        Method::Post => create.unique_name.is_none() || create.unique_name != other.unique_name,
        // These may take the name, or set it free.
        Method::Put | Method::Delete => false,
        Method::Patch => !other.renames,
    }
}

/// Which creates an item needs, directly or through others: a square of bits.
struct Reach {
    rows: Vec<Vec<u64>>,
}

impl Reach {
    fn over(needs: &[Vec<usize>]) -> Self {
        let width = needs.len().div_ceil(64);
        let mut rows = vec![vec![0_u64; width]; needs.len()];
        // What is needed comes first in the walk, so its row is complete; all of a circle share one row.
        for step in Walk::through(needs) {
            let mut row = vec![0_u64; width];
            for &needed in step.iter().flat_map(|&number| &needs[number]) {
                row[needed / 64] |= 1 << (needed % 64);
                row.iter_mut().zip(&rows[needed]).for_each(|(bits, more)| *bits |= more);
            }
            for number in step {
                rows[number].clone_from(&row);
            }
        }
        Self { rows }
    }

    fn leads(&self, from: usize, to: usize) -> bool {
        self.rows[from][to / 64] >> (to % 64) & 1 == 1
    }
}

/// Tarjan's walk: circles come out as one step, and what is needed before what needs it.
struct Walk<'n> {
    needs: &'n [Vec<usize>],
    /// When each item was met, from 1; 0 before.
    met: Vec<usize>,
    /// The earliest item still open that it leads back to.
    low: Vec<usize>,
    open: Vec<usize>,
    is_open: Vec<bool>,
    count: usize,
    steps: Vec<Vec<usize>>,
}

impl<'n> Walk<'n> {
    fn through(needs: &'n [Vec<usize>]) -> Vec<Vec<usize>> {
        let size = needs.len();
        let mut walk = Self {
            needs,
            met: vec![0; size],
            low: vec![0; size],
            open: Vec::new(),
            is_open: vec![false; size],
            count: 0,
            steps: Vec::with_capacity(size),
        };
        for number in 0..size {
            if walk.met[number] == 0 {
                walk.visit(number);
            }
        }
        walk.steps
    }

    /// As deep as the longest chain of references, which is at most the size of a job.
    fn visit(&mut self, number: usize) {
        self.count += 1;
        (self.met[number], self.low[number]) = (self.count, self.count);
        self.open.push(number);
        self.is_open[number] = true;
        let needs = self.needs;
        for &needed in &needs[number] {
            if self.met[needed] == 0 {
                self.visit(needed);
                self.low[number] = self.low[number].min(self.low[needed]);
            } else if self.is_open[needed] {
                self.low[number] = self.low[number].min(self.met[needed]);
            }
        }
        if self.low[number] == self.met[number] {
            let start = self.open.iter().rposition(|&open| open == number).unwrap_or_default();
            let mut step = self.open.split_off(start);
            for &done in &step {
                self.is_open[done] = false;
            }
            step.sort_unstable();
            self.steps.push(step);
        }
    }
}
