//! The order in which the items of a job run: the order of the request, except for POSTs that an earlier item refers to
//! (RFC 7644 section 3.7: the order may change if the result does not).

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{BulkItem, BulkMethod, references};
use crate::error::{Error, Reason};
use crate::scim::fold;
use crate::scim::path::shorten_text;
use crate::scim::schema::ResourceType;

/// The properties of one item that determine its position.
#[derive(Debug, Clone, Default)]
pub struct ItemProperties<'j> {
    /// `None` if the item is always rejected.
    pub method: Option<BulkMethod>,
    /// Endpoint of its resource type.
    pub endpoint: &'j str,
    /// bulkId by which other items refer to the resource that it creates.
    pub created_bulk_id: Option<&'j str>,
    /// bulkIds it refers to.
    pub referenced_bulk_ids: BTreeSet<&'j str>,
    /// Comparison key of the name that is unique per type, if the data contains it.
    pub unique_name: Option<String>,
    /// Whether it can change a unique name.
    pub renames: bool,
    /// Whether it depends on a version.
    pub versioned: bool,
}

impl<'j> ItemProperties<'j> {
    /// Returns the properties of an item; `id` is the resource id in its path.
    pub fn from_item(item: &'j BulkItem, of: &'j ResourceType, id: Option<&'j str>) -> Self {
        let unique = if of.members().is_some() { "displayName" } else { "userName" };
        let mut referenced_bulk_ids = BTreeSet::new();
        references::collect_references(&item.data, &mut referenced_bulk_ids);
        referenced_bulk_ids.extend(id.and_then(references::parse_reference));
        let given = item.data.as_object().and_then(|data| find_member(data, unique)).and_then(Value::as_str);
        Self {
            method: item.method,
            endpoint: &of.endpoint,
            created_bulk_id: item.created_bulk_id(),
            referenced_bulk_ids,
            unique_name: given.map(|name| fold::fold_case(name).into_owned()),
            renames: item.method == Some(BulkMethod::Patch) && mentions_attribute(&item.data, unique),
            versioned: item.version.is_some(),
        }
    }

    /// Returns the properties of an item that is rejected before it runs.
    pub fn rejected(item: &'j BulkItem) -> Self {
        Self { created_bulk_id: item.created_bulk_id(), ..Self::default() }
    }
}

fn find_member<'v>(data: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    data.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether a PATCH can change an attribute, by a path or as a member of a value.
fn mentions_attribute(data: &Value, attribute: &str) -> bool {
    let ends = |text: &str| {
        let start = text.len().checked_sub(attribute.len()).and_then(|start| text.get(start..));
        start.is_some_and(|end| end.eq_ignore_ascii_case(attribute))
    };
    match data {
        Value::Array(items) => items.iter().any(|item| mentions_attribute(item, attribute)),
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            ends(name)
                || part.as_str().is_some_and(|path| name.eq_ignore_ascii_case("path") && ends(path))
                || mentions_attribute(part, attribute)
        }),
        _ => false,
    }
}

/// The order of execution; items are identified by their number.
#[derive(Debug, Default)]
pub struct BulkPlan {
    /// The steps: each is one item, or several POSTs that refer to each other in a cycle.
    pub steps: Vec<Vec<usize>>,
    /// The POSTs that each item refers to.
    pub needs: Vec<Vec<usize>>,
    /// Items whose references cannot be resolved.
    pub rejected: Vec<(usize, Error)>,
}

/// Determines the order of execution. Of two POSTs with the same bulkId the first one counts.
pub fn plan_execution(facts: &[ItemProperties<'_>]) -> BulkPlan {
    let mut plan = BulkPlan { needs: vec![Vec::new(); facts.len()], ..BulkPlan::default() };
    let mut by_name = HashMap::new();
    for (number, item) in facts.iter().enumerate() {
        if let Some(name) = item.created_bulk_id {
            by_name.entry(name).or_insert(number);
        }
    }
    for (number, item) in facts.iter().enumerate() {
        let found: Result<Vec<usize>, &str> =
            item.referenced_bulk_ids.iter().map(|name| by_name.get(name).copied().ok_or(*name)).collect();
        match found {
            Ok(needs) => plan.needs[number] = needs,
            Err(name) => plan.rejected.push((number, unknown_reference_error(name))),
        }
    }
    plan.reject_immovable_references(facts);
    plan.steps = ComponentSearch::find_components(&plan.needs);
    plan
}

/// The error of a reference to a bulkId that no POST has.
fn unknown_reference_error(name: &str) -> Error {
    Reason::BulkReferenceUnknown.with("bulk_id", format_args!("\"{}\"", shorten_text(name)))
}

impl BulkPlan {
    /// Rejects items that need a later POST if moving that POST would change the result of the items in between.
    fn reject_immovable_references(&mut self, facts: &[ItemProperties<'_>]) {
        let ahead = |(number, needs): (usize, &Vec<usize>)| needs.iter().any(|&needed| needed >= number);
        if !self.needs.iter().enumerate().any(ahead) {
            return;
        }
        let reachable = ReachabilityMatrix::from_needs(&self.needs);
        let mut passes = vec![None; facts.len()];
        for number in 0..facts.len() {
            // Everything that the item needs, also indirectly, moves with the POST.
            let later = (number + 1..facts.len()).filter(|&later| reachable.reaches(number, later));
            let stuck = later.into_iter().find(|&later| {
                let passes = *passes[later].get_or_insert_with(|| find_barrier(facts, &reachable, later));
                passes.is_some_and(|barrier| barrier > number)
            });
            if let Some(stuck) = stuck {
                let name = shorten_text(facts[stuck].created_bulk_id.unwrap_or_default());
                let error = Reason::BulkReferenceLater.with("bulk_id", format_args!("\"{name}\""));
                self.rejected.push((number, error));
                self.needs[number].clear();
            }
        }
    }
}

/// Returns the last item that a later POST must not overtake. Items that depend on the POST are not counted.
fn find_barrier(facts: &[ItemProperties<'_>], reachable: &ReachabilityMatrix, create: usize) -> Option<usize> {
    (0..create)
        .rev()
        .find(|&earlier| !can_run_before(&facts[create], &facts[earlier]) && !reachable.reaches(earlier, create))
}

/// Whether a POST can run before another item without a change to the result of either.
fn can_run_before(create: &ItemProperties<'_>, other: &ItemProperties<'_>) -> bool {
    let (Some(_), Some(method)) = (create.method, other.method) else { return true };
    if create.endpoint != other.endpoint {
        // A group can have members that the other item deletes, and the version of a user depends on its groups.
        let is_group = create.endpoint == "/Groups";
        return !is_group || method == BulkMethod::Post || (method != BulkMethod::Delete && !other.versioned);
    }
    match method {
        // Of two POSTs with the same name the first one succeeds.
        BulkMethod::Post => create.unique_name.is_none() || create.unique_name != other.unique_name,
        // These can use the name, or free it.
        BulkMethod::Put | BulkMethod::Delete => false,
        BulkMethod::Patch => !other.renames,
    }
}

/// The POSTs that each item needs, directly or indirectly, as a bit matrix.
struct ReachabilityMatrix {
    rows: Vec<Vec<u64>>,
}

impl ReachabilityMatrix {
    fn from_needs(needs: &[Vec<usize>]) -> Self {
        let width = needs.len().div_ceil(64);
        let mut rows = vec![vec![0_u64; width]; needs.len()];
        // Dependencies come first in the order, so their rows are complete. All items of a cycle share one row.
        for step in ComponentSearch::find_components(needs) {
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

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.rows[from][to / 64] >> (to % 64) & 1 == 1
    }
}

/// Tarjan's algorithm for strongly connected components: each cycle is one step, and dependencies come first.
struct ComponentSearch<'n> {
    needs: &'n [Vec<usize>],
    /// Visit number of each item, from 1; 0 if not yet visited.
    visit_numbers: Vec<usize>,
    /// The lowest visit number on the stack that the item can reach.
    low_links: Vec<usize>,
    stack: Vec<usize>,
    on_stack: Vec<bool>,
    count: usize,
    steps: Vec<Vec<usize>>,
}

impl<'n> ComponentSearch<'n> {
    fn find_components(needs: &'n [Vec<usize>]) -> Vec<Vec<usize>> {
        let size = needs.len();
        let mut search = Self {
            needs,
            visit_numbers: vec![0; size],
            low_links: vec![0; size],
            stack: Vec::new(),
            on_stack: vec![false; size],
            count: 0,
            steps: Vec::with_capacity(size),
        };
        for number in 0..size {
            if search.visit_numbers[number] == 0 {
                search.visit(number);
            }
        }
        search.steps
    }

    /// The recursion depth is the longest chain of references, which is at most the size of a job.
    fn visit(&mut self, number: usize) {
        self.count += 1;
        (self.visit_numbers[number], self.low_links[number]) = (self.count, self.count);
        self.stack.push(number);
        self.on_stack[number] = true;
        let needs = self.needs;
        for &needed in &needs[number] {
            if self.visit_numbers[needed] == 0 {
                self.visit(needed);
                self.low_links[number] = self.low_links[number].min(self.low_links[needed]);
            } else if self.on_stack[needed] {
                self.low_links[number] = self.low_links[number].min(self.visit_numbers[needed]);
            }
        }
        if self.low_links[number] == self.visit_numbers[number] {
            let start = self.stack.iter().rposition(|&open| open == number).unwrap_or_default();
            let mut step = self.stack.split_off(start);
            for &done in &step {
                self.on_stack[done] = false;
            }
            step.sort_unstable();
            self.steps.push(step);
        }
    }
}
