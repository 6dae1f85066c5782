//! Evaluates a predicate on a document in memory. Tests check that the SQL compiler gives the same results.
//!
//! Work is counted in a [`WorkBudget`]. The comparison keys of an element are computed once and stored in its
//! [`ElementKeys`].

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::error::Error;
use crate::scim::filter::{FieldCheck, FilterField, FilterOperand, FilterOperator, Predicate};
use crate::scim::fold;
use crate::scim::schema::SchemaText;
use crate::scim::timestamp::parse_timestamp;
use crate::scim::work::{WorkBudget, count_fold_units};

/// Comparison keys of the sub-attributes of one element. They are valid until the element changes.
#[derive(Debug, Clone, Default)]
pub struct ElementKeys(Vec<SubAttributeKeys>);

/// Comparison keys of the values of one sub-attribute: one, unless it is a list.
#[derive(Debug, Clone)]
struct SubAttributeKeys {
    name: SchemaText,
    keys: Vec<CachedKey>,
}

#[derive(Debug, Clone)]
enum CachedKey {
    Unknown,
    /// The text is its own key.
    SameAsText,
    Folded(Box<str>),
}

impl ElementKeys {
    /// Discards the keys, because the element changes.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the key of a value of the sub-attribute; `index` is its position in the list.
    fn fold_value<'k>(
        &'k mut self,
        name: &SchemaText,
        index: usize,
        text: &'k str,
        work: &mut WorkBudget,
    ) -> Result<&'k str, Error> {
        let found = self.0.iter().position(|keys| keys.name == *name).unwrap_or_else(|| {
            self.0.push(SubAttributeKeys { name: name.clone(), keys: Vec::new() });
            self.0.len() - 1
        });
        let keys = &mut self.0[found].keys;
        if keys.len() <= index {
            keys.resize(index + 1, CachedKey::Unknown);
        }
        if matches!(keys[index], CachedKey::Unknown) {
            let key = fold::fold_case(text);
            work.charge(count_fold_units(text, &key))?;
            keys[index] = match key {
                std::borrow::Cow::Borrowed(_) => CachedKey::SameAsText,
                std::borrow::Cow::Owned(key) => CachedKey::Folded(key.into_boxed_str()),
            };
        }
        Ok(match &keys[index] {
            CachedKey::Folded(key) => key,
            CachedKey::SameAsText | CachedKey::Unknown => text,
        })
    }
}

/// Whether the predicate matches a complete resource as in a response, with `id`, `schemas`, `meta`, `groups` and
/// `members` (RFC 7644 section 3.4.2.2). Names in the document must be in canonical spelling.
///
/// # Errors
/// 400 tooMany above the budget.
pub fn matches_resource(
    predicate: &Predicate,
    document: &Map<String, Value>,
    work: &mut WorkBudget,
) -> Result<bool, Error> {
    Evaluation { work, keys: &mut ElementKeys::default() }.predicate(predicate, MatchTarget::Document(document))
}

/// Whether a predicate from the brackets of a value path matches one element of its attribute. `keys` belong to the
/// element.
///
/// # Errors
/// 400 tooMany above the budget.
pub fn matches_element(
    predicate: &Predicate,
    element: &Value,
    keys: &mut ElementKeys,
    work: &mut WorkBudget,
) -> Result<bool, Error> {
    Evaluation { work, keys }.predicate(predicate, MatchTarget::Element(element))
}

#[derive(Clone, Copy)]
enum MatchTarget<'d> {
    Document(&'d Map<String, Value>),
    Element(&'d Value),
}

/// One evaluation: its budget, and the keys of the element that is evaluated.
struct Evaluation<'e> {
    work: &'e mut WorkBudget,
    keys: &'e mut ElementKeys,
}

/// One value of a field: the value, if there is one, and its position in a list of values.
type FieldValue<'d> = (usize, Option<&'d Value>);

impl Evaluation<'_> {
    fn predicate(&mut self, predicate: &Predicate, target: MatchTarget<'_>) -> Result<bool, Error> {
        match predicate {
            Predicate::Constant(answer) => Ok(*answer),
            Predicate::Not(inner) => Ok(!self.predicate(inner, target)?),
            Predicate::And(terms) => {
                for term in terms {
                    if !self.predicate(term, target)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Or(terms) => {
                for term in terms {
                    if self.predicate(term, target)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Predicate::Test(field, check) => self.check(field, check, target),
            Predicate::Element(field, inner) => match target {
                MatchTarget::Document(document) => {
                    for element in list_elements(find_container(field, document)) {
                        self.keys.clear();
                        if self.predicate(inner, MatchTarget::Element(element))? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                }
                MatchTarget::Element(_) => Ok(false),
            },
        }
    }

    fn check(&mut self, field: &FilterField, check: &FieldCheck, target: MatchTarget<'_>) -> Result<bool, Error> {
        self.work.charge_visits(1)?;
        let found = self.any_leaf(field, check, target)?;
        Ok(match check {
            FieldCheck::Present => found.unwrap_or(false),
            // Without a value only `ne` is true.
            FieldCheck::Compare(operator, _) => found.unwrap_or(*operator == FilterOperator::Ne),
        })
    }

    /// Whether any value of the field satisfies the test; an element without the sub-attribute is tested as `None`.
    /// Returns `None` for an empty list, because there is no value to test.
    fn any_leaf(
        &mut self,
        field: &FilterField,
        check: &FieldCheck,
        target: MatchTarget<'_>,
    ) -> Result<Option<bool>, Error> {
        let document = match target {
            MatchTarget::Element(element) => return self.any_sub(field, check, Some(element)).map(Some),
            MatchTarget::Document(document) => document,
        };
        let value = find_container(field, document);
        self.keys.clear();
        if !field.multi_valued {
            return self.any_sub(field, check, value).map(Some);
        }
        let mut found = None;
        for element in list_elements(value).iter().filter(|element| !element.is_null()) {
            self.keys.clear();
            found = Some(self.any_sub(field, check, Some(element))?);
            if found == Some(true) {
                break;
            }
        }
        Ok(found)
    }

    fn any_sub(&mut self, field: &FilterField, check: &FieldCheck, element: Option<&Value>) -> Result<bool, Error> {
        let Some(name) = field.sub.as_deref() else {
            return self.accepts(field, check, (0, element));
        };
        let value = element.and_then(|element| element.get(name)).filter(|value| !value.is_null());
        match value {
            Some(Value::Array(values)) if field.sub_multi_valued && !values.is_empty() => {
                for (index, value) in values.iter().enumerate() {
                    if self.accepts(field, check, (index, Some(value)))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Some(Value::Array(_)) if field.sub_multi_valued => self.accepts(field, check, (0, None)),
            value => self.accepts(field, check, (0, value)),
        }
    }

    fn accepts(&mut self, field: &FilterField, check: &FieldCheck, value: FieldValue<'_>) -> Result<bool, Error> {
        self.work.charge_visits(1)?;
        match check {
            FieldCheck::Present => value.1.map_or(Ok(false), |value| has_content(value, self.work)),
            FieldCheck::Compare(operator, operand) => self.compare(field, *operator, operand, value),
        }
    }

    fn compare(
        &mut self,
        field: &FilterField,
        operator: FilterOperator,
        operand: &FilterOperand,
        (index, leaf): FieldValue<'_>,
    ) -> Result<bool, Error> {
        let order = match operand {
            FilterOperand::Text { key, .. } => {
                let Some(text) = leaf.and_then(Value::as_str) else {
                    return Ok(operator == FilterOperator::Ne);
                };
                let found = match &field.sub {
                    _ if field.case_exact => text,
                    // Values without a sub-attribute are those of a document, which are compared once.
                    None => self.keys.fold_value(&field.attribute, index, text, self.work)?,
                    Some(sub) => self.keys.fold_value(sub, index, text, self.work)?,
                };
                let searched = if operator == FilterOperator::Co { found.len() } else { found.len().min(key.len()) };
                self.work.charge_bytes(searched)?;
                return Ok(compare_texts(operator, found, key));
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
        Ok(match order {
            None => operator == FilterOperator::Ne,
            Some(order) => operator_accepts(operator, order),
        })
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
fn has_content(value: &Value, work: &mut WorkBudget) -> Result<bool, Error> {
    work.charge_visits(1)?;
    match value {
        Value::Null => Ok(false),
        Value::String(text) => Ok(!text.is_empty()),
        Value::Array(values) => any_content(values.iter(), work),
        Value::Object(members) => any_content(members.values(), work),
        Value::Bool(_) | Value::Number(_) => Ok(true),
    }
}

fn any_content<'v>(values: impl Iterator<Item = &'v Value>, work: &mut WorkBudget) -> Result<bool, Error> {
    for value in values {
        if has_content(value, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare_texts(operator: FilterOperator, found: &str, key: &str) -> bool {
    match operator {
        FilterOperator::Co => found.contains(key),
        FilterOperator::Sw => found.starts_with(key),
        FilterOperator::Ew => found.ends_with(key),
        _ => operator_accepts(operator, found.cmp(key)),
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
