//! What is known about a list while a PATCH edits it: the comparison keys of its elements and the index of equal ones;
//! and the merge of elements that an edit made equal.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::scim::distinct::{DistinctIndex, LINEAR_SEARCH_MAX, TwinMerge, is_same_element, push_distinct};
use crate::scim::filter::evaluate::ElementKeys;
use crate::scim::schema::Attribute;
use crate::scim::work::{WorkBudget, measure_value};

/// What is known about the value of an attribute. A single value is element 0.
pub(super) struct ListState<'e> {
    attribute: &'e Attribute,
    /// Keys of each element; the list can be shorter.
    keys: Vec<ElementKeys>,
    /// The equal elements of a long list, while it describes the list.
    distinct: Option<DistinctIndex>,
}

impl<'e> ListState<'e> {
    pub(super) fn new(attribute: &'e Attribute) -> Self {
        Self { attribute, keys: Vec::new(), distinct: None }
    }

    pub(super) fn is_about(&self, attribute: &Attribute) -> bool {
        std::ptr::eq(self.attribute, attribute)
    }

    pub(super) fn keys_of(&mut self, index: usize) -> &mut ElementKeys {
        if self.keys.len() <= index {
            self.keys.resize_with(index + 1, ElementKeys::default);
        }
        &mut self.keys[index]
    }

    /// Discards the keys of an element that changes. If its type or value changes, [`Self::merge_twins`] must follow.
    pub(super) fn forget_keys(&mut self, index: usize) {
        if let Some(keys) = self.keys.get_mut(index) {
            keys.clear();
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.distinct = None;
        self.keys.clear();
    }

    /// Removes what is known about removed elements.
    pub(super) fn forget_removed(&mut self, is_removed: impl Fn(usize) -> bool) {
        self.distinct = None;
        let mut index = 0;
        self.keys.retain(|_| {
            index += 1;
            !is_removed(index - 1)
        });
    }

    /// Adds an element, or completes the equal element. Returns its index.
    pub(super) fn add_element(
        &mut self,
        list: &mut Vec<Value>,
        item: &Value,
        work: &mut WorkBudget,
    ) -> Result<usize, Error> {
        let is_short = list.len() <= LINEAR_SEARCH_MAX;
        let bytes = measure_value(item, usize::MAX);
        work.charge_bytes(if is_short { bytes * (list.len() + 1) } else { bytes })?;
        let index = if is_short {
            self.distinct = None;
            push_distinct(list, item.clone(), TwinMerge::LaterWins)
        } else {
            self.index_elements(list, work)?.push(list, item.clone(), TwinMerge::LaterWins)
        };
        self.forget_keys(index);
        Ok(index)
    }

    /// Merges elements that an edit made equal to another one (RFC 7643 section 2.4: no two elements with equal type and
    /// value). `changed` are the indexes of the elements whose type or value changed, in ascending order.
    pub(super) fn merge_twins(
        &mut self,
        list: &mut Vec<Value>,
        changed: &[usize],
        work: &mut WorkBudget,
    ) -> Result<(), Error> {
        if list.len() > LINEAR_SEARCH_MAX {
            let index = self.index_elements(list, work)?;
            for &position in changed {
                work.charge_bytes(measure_value(&list[position], usize::MAX))?;
                index.update(position, &list[position]);
            }
        } else {
            self.distinct = None;
        }
        let mut gone = vec![false; list.len()];
        for &position in changed {
            if gone[position] || is_empty_object(&list[position]) {
                continue;
            }
            let twins = self.find_twins(list, position, work)?;
            if let [first, others @ ..] = &twins[..]
                && !others.is_empty()
            {
                let merged = merge_elements(list, &twins, changed);
                list[*first] = merged;
                self.forget_keys(*first);
                for &other in others {
                    gone[other] = true;
                }
            }
        }
        if gone.contains(&true) {
            let mut index = 0;
            list.retain(|_| {
                index += 1;
                !gone[index - 1]
            });
            self.forget_removed(|index| gone[index]);
        }
        Ok(())
    }

    /// Returns the indexes of the element and its equal elements, in ascending order.
    fn find_twins(&self, list: &[Value], position: usize, work: &mut WorkBudget) -> Result<Vec<usize>, Error> {
        let bytes = measure_value(&list[position], usize::MAX);
        let is_twin = |other: &usize| *other == position || is_same_element(&list[*other], &list[position]);
        if let Some(index) = &self.distinct {
            let candidates = index.find_candidates(position);
            work.charge_bytes(bytes * candidates.len())?;
            let mut twins: Vec<usize> = candidates.iter().copied().filter(is_twin).collect();
            twins.sort_unstable();
            return Ok(twins);
        }
        work.charge_bytes(bytes * list.len())?;
        Ok((0..list.len()).filter(is_twin).collect())
    }

    /// Returns the index of the elements; builds it if there is none.
    fn index_elements(&mut self, list: &[Value], work: &mut WorkBudget) -> Result<&mut DistinctIndex, Error> {
        if self.distinct.is_none() {
            charge_elements(list, work)?;
        }
        Ok(self.distinct.get_or_insert_with(|| DistinctIndex::build(list)))
    }
}

/// Returns one element for equal ones: the sub-attributes of the primary one, else of the first changed one; the others
/// add what it lacks.
fn merge_elements(list: &mut [Value], twins: &[usize], changed: &[usize]) -> Value {
    let mut order = twins.to_vec();
    order.sort_by_key(|&twin| (!is_primary(&list[twin]), changed.binary_search(&twin).is_err()));
    let mut merged = Map::new();
    for twin in order {
        match list[twin].take() {
            Value::Object(parts) => {
                for (name, part) in parts {
                    merged.entry(name).or_insert(part);
                }
            }
            // Equal simple values.
            simple => return simple,
        }
    }
    Value::Object(merged)
}

/// Counts a pass over elements that reads their content.
pub(super) fn charge_elements(items: &[Value], work: &mut WorkBudget) -> Result<(), Error> {
    work.charge_visits(items.len())?;
    items.iter().try_for_each(|item| work.charge_bytes(measure_value(item, usize::MAX)))
}

pub(super) fn is_primary(item: &Value) -> bool {
    item.get("primary") == Some(&Value::Bool(true))
}

pub(super) fn is_empty_object(value: &Value) -> bool {
    matches!(value, Value::Object(parts) if parts.is_empty())
}
