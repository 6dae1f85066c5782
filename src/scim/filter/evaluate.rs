//! Evaluates a predicate on a document in memory. Tests check that the SQL compiler gives the same results.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::scim::filter::{FieldCheck, FilterField, FilterOperand, FilterOperator, Predicate};
use crate::scim::fold;
use crate::scim::timestamp::parse_timestamp;

/// Whether the predicate matches a complete resource as in a response, with `id`, `schemas`, `meta`, `groups` and
/// `members` (RFC 7644 section 3.4.2.2). Names in the document must be in canonical spelling.
pub fn matches_resource(predicate: &Predicate, document: &Map<String, Value>) -> bool {
    evaluate_predicate(predicate, MatchTarget::Document(document))
}

/// Whether a predicate from the brackets of a value path matches one element of its attribute.
pub fn matches_element(predicate: &Predicate, element: &Value) -> bool {
    evaluate_predicate(predicate, MatchTarget::Element(element))
}

#[derive(Clone, Copy)]
enum MatchTarget<'d> {
    Document(&'d Map<String, Value>),
    Element(&'d Value),
}

fn evaluate_predicate(predicate: &Predicate, target: MatchTarget<'_>) -> bool {
    match predicate {
        Predicate::Constant(answer) => *answer,
        Predicate::Not(inner) => !evaluate_predicate(inner, target),
        Predicate::And(terms) => terms.iter().all(|term| evaluate_predicate(term, target)),
        Predicate::Or(terms) => terms.iter().any(|term| evaluate_predicate(term, target)),
        Predicate::Test(field, check) => evaluate_check(field, check, target),
        Predicate::Element(field, inner) => match target {
            MatchTarget::Document(document) => list_elements(find_container(field, document))
                .iter()
                .any(|element| evaluate_predicate(inner, MatchTarget::Element(element))),
            MatchTarget::Element(_) => false,
        },
    }
}

fn evaluate_check(field: &FilterField, check: &FieldCheck, target: MatchTarget<'_>) -> bool {
    match check {
        FieldCheck::Present => any_leaf(field, target, |leaf| leaf.is_some_and(has_content)).unwrap_or(false),
        FieldCheck::Compare(operator, operand) => {
            let found = any_leaf(field, target, |leaf| compare_value(field, *operator, operand, leaf));
            // Without a value only `ne` is true.
            found.unwrap_or(*operator == FilterOperator::Ne)
        }
    }
}

/// Whether any value of the field satisfies the test; an element without the sub-attribute is tested as `None`.
/// Returns `None` for an empty list, because there is no value to test.
fn any_leaf(field: &FilterField, target: MatchTarget<'_>, accepts: impl Fn(Option<&Value>) -> bool) -> Option<bool> {
    let document = match target {
        MatchTarget::Element(element) => return Some(any_sub(field, Some(element), &accepts)),
        MatchTarget::Document(document) => document,
    };
    let value = find_container(field, document);
    if !field.multi_valued {
        return Some(any_sub(field, value, &accepts));
    }
    let mut elements = list_elements(value).iter().filter(|element| !element.is_null()).peekable();
    elements.peek()?;
    Some(elements.any(|element| any_sub(field, Some(element), &accepts)))
}

fn any_sub(field: &FilterField, element: Option<&Value>, accepts: impl Fn(Option<&Value>) -> bool) -> bool {
    let Some(name) = field.sub.as_deref() else {
        return accepts(element);
    };
    let value = element.and_then(|element| element.get(name)).filter(|value| !value.is_null());
    match value {
        Some(Value::Array(values)) if field.sub_multi_valued && !values.is_empty() => {
            values.iter().any(|value| accepts(Some(value)))
        }
        Some(Value::Array(_)) if field.sub_multi_valued => accepts(None),
        value => accepts(value),
    }
}

fn find_container<'d>(field: &FilterField, document: &'d Map<String, Value>) -> Option<&'d Value> {
    let value = match field.extension.as_deref() {
        None => document.get(&*field.attribute),
        Some(uri) => document.get(uri).and_then(|extension| extension.get(&*field.attribute)),
    };
    value.filter(|value| !value.is_null())
}

fn list_elements(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(elements)) => elements,
        Some(single) => std::slice::from_ref(single),
    }
}

/// RFC 7644 table 3, `pr`: the value is not empty; a complex value contains a node that is not empty. `false` is a
/// value.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_content),
        Value::Object(members) => members.values().any(has_content),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare_value(field: &FilterField, operator: FilterOperator, operand: &FilterOperand, leaf: Option<&Value>) -> bool {
    let order = match operand {
        FilterOperand::Text { key, .. } => {
            let Some(found) = leaf.and_then(Value::as_str) else {
                return operator == FilterOperator::Ne;
            };
            let found = if field.case_exact { found.into() } else { fold::fold_case(found) };
            match operator {
                FilterOperator::Co => return found.contains(key.as_str()),
                FilterOperator::Sw => return found.starts_with(key.as_str()),
                FilterOperator::Ew => return found.ends_with(key.as_str()),
                _ => Some(found.as_ref().cmp(key.as_str())),
            }
        }
        FilterOperand::Bool(expected) => {
            leaf.and_then(Value::as_bool).or(field.default_if_absent).map(|found| found.cmp(expected))
        }
        FilterOperand::Number(expected) => {
            leaf.and_then(Value::as_number).and_then(|found| compare_numbers(found, expected))
        }
        FilterOperand::Instant { microseconds, .. } => {
            leaf.and_then(Value::as_str).and_then(parse_timestamp).map(|found| found.cmp(microseconds))
        }
    };
    match order {
        None => operator == FilterOperator::Ne,
        Some(order) => operator_accepts(operator, order),
    }
}

fn operator_accepts(operator: FilterOperator, order: Ordering) -> bool {
    match operator {
        FilterOperator::Eq => order.is_eq(),
        FilterOperator::Ne => order.is_ne(),
        FilterOperator::Gt => order.is_gt(),
        FilterOperator::Ge => order.is_ge(),
        FilterOperator::Lt => order.is_lt(),
        FilterOperator::Le => order.is_le(),
        FilterOperator::Co | FilterOperator::Sw | FilterOperator::Ew => false,
    }
}

fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests;
