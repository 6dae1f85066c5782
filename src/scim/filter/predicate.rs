//! The checked tree: every attribute is resolved, and every value has the type of its attribute. The tree owns its
//! data, so it can be sent to another thread.

use std::fmt;

use serde_json::{Number, Value};

use super::FilterOperator;
use crate::scim::path::{ResolvedPath, write_path};
use crate::scim::schema::{DataType, SchemaText};

/// A filter checked against a resource type; see [`super::ScimFilter::check`].
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Always or never true: an attribute that the resource type does not have has no value (RFC 7644 section 3.4.2.1).
    Constant(bool),
    /// A test of one attribute. In brackets, a test of the field's sub-attribute of the element.
    Test(FilterField, FieldCheck),
    /// One element of a complex attribute satisfies the whole inner predicate.
    Element(FilterField, Box<Predicate>),
    /// The inner predicate is false.
    Not(Box<Predicate>),
    /// All predicates are true.
    And(Vec<Predicate>),
    /// At least one predicate is true.
    Or(Vec<Predicate>),
}

/// The attribute of a test and the characteristics that determine its comparison. Its `Display` is the canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterField {
    /// URI of the extension that defines the attribute.
    pub extension: Option<SchemaText>,
    /// Canonical name of the attribute.
    pub attribute: SchemaText,
    /// Canonical name of the sub-attribute.
    pub sub: Option<SchemaText>,
    /// Whether the attribute is a list.
    pub multi_valued: bool,
    /// Whether the sub-attribute is a list.
    pub sub_multi_valued: bool,
    /// Data type of the sub-attribute, else of the attribute.
    pub kind: DataType,
    /// Whether comparisons are case-sensitive.
    pub case_exact: bool,
    /// The value of an absent attribute.
    pub default_if_absent: Option<bool>,
    /// Whether the store has an index for `eq`.
    pub indexed: bool,
}

impl FilterField {
    /// Returns the field of a target; `None` for a whole extension.
    pub fn from_path(target: &ResolvedPath<'_>) -> Option<Self> {
        let attribute = target.attribute?;
        let leaf = target.sub.unwrap_or(attribute);
        Some(Self {
            extension: target.extension.map(|schema| schema.id.clone()),
            attribute: attribute.name.clone(),
            sub: target.sub.map(|sub| sub.name.clone()),
            multi_valued: attribute.multi_valued,
            sub_multi_valued: target.sub.is_some_and(|sub| sub.multi_valued),
            kind: leaf.kind,
            case_exact: leaf.case_exact,
            default_if_absent: leaf.default_if_absent,
            indexed: leaf.indexed,
        })
    }
}

impl fmt::Display for FilterField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_path(f, self.extension.as_deref(), Some(&self.attribute), self.sub.as_deref())
    }
}

/// The condition of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldCheck {
    /// The field has a value that is not empty.
    Present,
    /// The comparison with a value of the same type is true.
    Compare(FilterOperator, FilterOperand),
}

/// A value of the type of the field it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterOperand {
    /// Text.
    Text {
        /// As it was written.
        given: String,
        /// Comparison key: [`crate::scim::fold::fold_case`] of it, or the same text if the attribute is case-sensitive.
        key: String,
    },
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A timestamp.
    Instant {
        /// As it was written.
        given: String,
        /// Microseconds since 1970-01-01T00:00:00Z.
        microseconds: i64,
    },
}

impl FilterOperand {
    /// Returns the value as JSON, in its original spelling.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text { given, .. } | Self::Instant { given, .. } => given.as_str().into(),
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => number.clone().into(),
        }
    }
}

impl Predicate {
    /// Returns the number of tests.
    pub fn count_tests(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Test(..) => 1,
            Self::Element(_, inner) | Self::Not(inner) => inner.count_tests(),
            Self::And(terms) | Self::Or(terms) => terms.iter().map(Self::count_tests).sum(),
        }
    }

    /// Returns the sub-attributes and values of a predicate in brackets that consists only of `eq` terms joined by
    /// `and`. They describe the element that satisfies the predicate. Returns `None` for any other predicate.
    pub fn equal_terms(&self) -> Option<Vec<(&str, Value)>> {
        match self {
            Self::Test(field, FieldCheck::Compare(FilterOperator::Eq, operand)) => {
                Some(vec![(field.sub.as_deref()?, operand.to_json())])
            }
            Self::And(terms) => {
                let mut all = Vec::with_capacity(terms.len());
                for term in terms {
                    all.extend(term.equal_terms()?);
                }
                Some(all)
            }
            _ => None,
        }
    }
}
