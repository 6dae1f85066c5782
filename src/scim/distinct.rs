//! Equal elements of a list (RFC 7643 section 2.4), found in a time that does not depend on the length of the list.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use serde_json::{Map, Value};

/// Up to this length a linear search is faster than an index.
pub(super) const LINEAR_SEARCH_MAX: usize = 8;

/// Which sub-attributes an element has that is merged from two equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TwinMerge {
    /// Those of the later one, which changes the earlier one.
    LaterWins,
    /// Those of the primary one, else of the later one: both are in one list of a request.
    PrimaryWins,
}

/// Appends an element, or merges it into the equal element (RFC 7643 section 2.4: no two elements with equal type and
/// value). Returns its index. Compares it with every element, so it is for short lists.
pub(super) fn push_distinct(list: &mut Vec<Value>, item: Value, merge: TwinMerge) -> usize {
    let found = list.iter().position(|other| is_same_element(other, &item));
    append_or_merge(list, item, found, merge)
}

fn append_or_merge(list: &mut Vec<Value>, item: Value, found: Option<usize>, merge: TwinMerge) -> usize {
    let Some(index) = found else {
        list.push(item);
        return list.len() - 1;
    };
    if let (Value::Object(existing), Value::Object(mut item)) = (&mut list[index], item) {
        let is_primary = |parts: &Map<String, Value>| parts.get("primary") == Some(&Value::Bool(true));
        if merge == TwinMerge::PrimaryWins && is_primary(existing) {
            std::mem::swap(existing, &mut item);
        }
        existing.extend(item);
    }
    index
}

/// Whether `value` and `type` are equal; without a `value`, whether the elements are equal except for `primary`.
pub(super) fn is_same_element(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => match (left.get("value"), right.get("value")) {
            (Some(a), Some(b)) => a == b && left.get("type") == right.get("type"),
            (None, None) => {
                let count = |parts: &Map<String, Value>| parts.len() - usize::from(parts.contains_key("primary"));
                let is_in_right = |(name, part): (&String, &Value)| name == "primary" || right.get(name) == Some(part);
                count(left) == count(right) && left.iter().all(is_in_right)
            }
            _ => false,
        },
        _ => left == right,
    }
}

/// The elements of a list by what makes them equal. A merge changes neither, so the index stays valid.
#[derive(Debug)]
pub(super) struct DistinctIndex {
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<usize>>,
    /// The hash of each element.
    hashes: Vec<u64>,
}

impl DistinctIndex {
    pub(super) fn build(list: &[Value]) -> Self {
        let by_hash = HashMap::with_capacity(list.len());
        let mut index = Self { hasher: RandomState::new(), by_hash, hashes: Vec::with_capacity(list.len()) };
        for (position, item) in list.iter().enumerate() {
            let hash = index.hash_element(item);
            index.by_hash.entry(hash).or_default().push(position);
            index.hashes.push(hash);
        }
        index
    }

    /// Does the same as [`push_distinct`].
    pub(super) fn push(&mut self, list: &mut Vec<Value>, item: Value, merge: TwinMerge) -> usize {
        let hash = self.hash_element(&item);
        let positions = self.by_hash.entry(hash).or_default();
        let found = positions.iter().copied().find(|&position| is_same_element(&list[position], &item));
        let position = append_or_merge(list, item, found, merge);
        if position == self.hashes.len() {
            positions.push(position);
            self.hashes.push(hash);
        }
        position
    }

    /// Records the changed element at a position, which may be the position after the last one.
    pub(super) fn update(&mut self, position: usize, item: &Value) {
        let hash = self.hash_element(item);
        match self.hashes.get_mut(position) {
            Some(known) if *known == hash => return,
            Some(known) => {
                let former = std::mem::replace(known, hash);
                if let Some(positions) = self.by_hash.get_mut(&former) {
                    positions.retain(|other| *other != position);
                }
            }
            None => self.hashes.push(hash),
        }
        self.by_hash.entry(hash).or_default().push(position);
    }

    /// Returns the positions of the elements that can be equal to the element at a position, and its own.
    pub(super) fn find_candidates(&self, position: usize) -> &[usize] {
        self.hashes.get(position).and_then(|hash| self.by_hash.get(hash)).map_or(&[], Vec::as_slice)
    }

    fn hash_element(&self, item: &Value) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match (item, item.get("value")) {
            (_, Some(value)) => (value, item.get("type")).hash(&mut hasher),
            (Value::Object(parts), None) => {
                // The order of the parts has no effect.
                let parts = parts.iter().filter(|(name, _)| *name != "primary");
                parts.map(|part| self.hasher.hash_one(part)).fold(0, u64::wrapping_add).hash(&mut hasher);
            }
            (simple, None) => simple.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Removes the elements that a remove by value names: by their `value`, else by all sub-attributes. Calls `removed` with
/// the index of each.
pub(super) fn remove_listed(list: &mut Vec<Value>, listed: &[Value], mut removed: impl FnMut(usize)) {
    let values: HashSet<&Value> = listed.iter().filter_map(|named| named.get("value")).collect();
    let whole: HashSet<&Value> = listed.iter().filter(|named| named.get("value").is_none()).collect();
    let mut index = 0;
    list.retain(|item| {
        let is_named = item.get("value").map_or_else(|| whole.contains(item), |value| values.contains(value));
        if is_named {
            removed(index);
        }
        index += 1;
        !is_named
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn element() -> impl Strategy<Value = Value> {
        let text = prop_oneof![Just(json!("a")), Just(json!("b")), Just(json!(1)), Just(json!(1.0)), Just(Value::Null)];
        let part = |name: &'static str| prop::option::of(text.clone()).prop_map(move |part| (name, part));
        let primary = prop::option::of(any::<bool>()).prop_map(|flag| ("primary", flag.map(Value::Bool)));
        let object =
            (part("value"), part("type"), part("display"), primary).prop_map(|(value, kind, display, primary)| {
                let parts = [primary, value, kind, display].into_iter();
                Value::Object(parts.filter_map(|(name, part)| Some((name.to_owned(), part?))).collect())
            });
        prop_oneof![4 => object, 1 => text]
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_comparison_with_every_element_finds(
            items in prop::collection::vec(element(), 0..40), start in 0_usize..40,
        ) {
            let mut expected = Vec::new();
            let (mut given, mut index) = (Vec::new(), DistinctIndex::build(&[]));
            for (number, item) in items.into_iter().enumerate() {
                if number == start {
                    index = DistinctIndex::build(&given);
                }
                let merge = if number % 2 == 0 { TwinMerge::LaterWins } else { TwinMerge::PrimaryWins };
                prop_assert_eq!(index.push(&mut given, item.clone(), merge), push_distinct(&mut expected, item, merge));
            }
            prop_assert_eq!(given, expected);
        }

        #[test]
        fn listed_elements_are_removed(
            items in prop::collection::vec(element(), 0..20), listed in prop::collection::vec(element(), 0..5),
        ) {
            let identifies = |named: &Value, item: &Value| match (named.get("value"), item.get("value")) {
                (Some(a), Some(b)) => a == b,
                _ => named == item,
            };
            let is_named = |item: &Value| listed.iter().any(|named| identifies(named, item));
            let (mut given, mut indexes) = (items.clone(), Vec::new());
            remove_listed(&mut given, &listed, |index| indexes.push(index));
            let expected: Vec<usize> = (0..items.len()).filter(|&index| is_named(&items[index])).collect();
            prop_assert_eq!(indexes, expected);
            prop_assert_eq!(given, items.into_iter().filter(|item| !is_named(item)).collect::<Vec<_>>());
        }
    }
}
