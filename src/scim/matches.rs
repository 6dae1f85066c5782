//! What a predicate says about a document in memory. The SQL compiler is held to these answers.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::filter::{Check, Field, Operand, Operator, Predicate};
use super::instant::instant;
use super::text;

/// Whether the predicate holds for a whole resource as it would be answered, with `id`, `schemas`, `meta`,
/// `groups` and `members` (RFC 7644 section 3.4.2.2). Names in the document are in their canonical spelling.
pub fn matches(predicate: &Predicate, document: &Map<String, Value>) -> bool {
    holds(predicate, Place::Document(document))
}

/// Whether a predicate that stood in brackets holds for one element of its attribute.
pub fn matches_element(predicate: &Predicate, element: &Value) -> bool {
    holds(predicate, Place::Element(element))
}

#[derive(Clone, Copy)]
enum Place<'d> {
    Document(&'d Map<String, Value>),
    Element(&'d Value),
}

fn holds(predicate: &Predicate, place: Place<'_>) -> bool {
    match predicate {
        Predicate::Constant(answer) => *answer,
        Predicate::Not(inner) => !holds(inner, place),
        Predicate::And(terms) => terms.iter().all(|term| holds(term, place)),
        Predicate::Or(terms) => terms.iter().any(|term| holds(term, place)),
        Predicate::Test(field, check) => test(field, check, place),
        Predicate::Element(field, inner) => match place {
            Place::Document(document) => {
                elements(container(field, document)).iter().any(|element| holds(inner, Place::Element(element)))
            }
            Place::Element(_) => false,
        },
    }
}

fn test(field: &Field, check: &Check, place: Place<'_>) -> bool {
    match check {
        Check::Present => any_leaf(field, place, |leaf| leaf.is_some_and(has_content)).unwrap_or(false),
        Check::Compare(operator, operand) => {
            let found = any_leaf(field, place, |leaf| compares(field, *operator, operand, leaf));
            // Nothing to compare: nothing is equal to it either.
            found.unwrap_or(*operator == Operator::Ne)
        }
    }
}

/// Whether any value of the field satisfies the test; an element without the sub-attribute counts as `None`.
/// `None` as the answer where a list is empty, so that there is nothing to test.
fn any_leaf(field: &Field, place: Place<'_>, accepts: impl Fn(Option<&Value>) -> bool) -> Option<bool> {
    let document = match place {
        Place::Element(element) => return Some(any_sub(field, Some(element), &accepts)),
        Place::Document(document) => document,
    };
    let value = container(field, document);
    if !field.multi_valued {
        return Some(any_sub(field, value, &accepts));
    }
    let mut elements = elements(value).iter().filter(|element| !element.is_null()).peekable();
    elements.peek()?;
    Some(elements.any(|element| any_sub(field, Some(element), &accepts)))
}

fn any_sub(field: &Field, element: Option<&Value>, accepts: impl Fn(Option<&Value>) -> bool) -> bool {
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

fn container<'d>(field: &Field, document: &'d Map<String, Value>) -> Option<&'d Value> {
    let value = match field.extension.as_deref() {
        None => document.get(&*field.attribute),
        Some(uri) => document.get(uri).and_then(|extension| extension.get(&*field.attribute)),
    };
    value.filter(|value| !value.is_null())
}

fn elements(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(elements)) => elements,
        Some(single) => std::slice::from_ref(single),
    }
}

/// RFC 7644 table 3, `pr`: not empty, and a complex value has a node that is not empty. `false` is a value.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_content),
        Value::Object(members) => members.values().any(has_content),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compares(field: &Field, operator: Operator, operand: &Operand, leaf: Option<&Value>) -> bool {
    let order = match operand {
        Operand::Text { key, .. } => {
            let Some(found) = leaf.and_then(Value::as_str) else {
                return operator == Operator::Ne;
            };
            let found = if field.case_exact { found.into() } else { text::key(found) };
            match operator {
                Operator::Co => return found.contains(key.as_str()),
                Operator::Sw => return found.starts_with(key.as_str()),
                Operator::Ew => return found.ends_with(key.as_str()),
                _ => Some(found.as_ref().cmp(key.as_str())),
            }
        }
        Operand::Bool(wanted) => leaf.and_then(Value::as_bool).or(field.absent_means).map(|found| found.cmp(wanted)),
        Operand::Number(wanted) => leaf.and_then(Value::as_number).and_then(|found| numeric_order(found, wanted)),
        Operand::Instant { microseconds, .. } => {
            leaf.and_then(Value::as_str).and_then(instant).map(|found| found.cmp(microseconds))
        }
    };
    match order {
        None => operator == Operator::Ne,
        Some(order) => accepts(operator, order),
    }
}

fn accepts(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

fn numeric_order(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests;
