//! The checked tree: every attribute known, every value of its attribute's type. Owned, so that it can go to another thread.

use std::fmt;

use serde_json::{Number, Value};

use super::Operator;
use crate::scim::path::{Target, write_path};
use crate::scim::schema::{Kind, Text};

/// A filter checked against a resource type; see [`super::Filter::check`].
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Always or never true: an attribute that the resource type lacks has no value (RFC 7644 section 3.4.2.1).
    Constant(bool),
    /// One attribute and what is asked about it. In brackets, the field's sub-attribute of the element.
    Test(Field, Check),
    /// One element of a complex attribute satisfies the whole inner predicate.
    Element(Field, Box<Predicate>),
    /// Not so.
    Not(Box<Predicate>),
    /// All of them.
    And(Vec<Predicate>),
    /// One of them.
    Or(Vec<Predicate>),
}

/// The attribute of a test and the characteristics that decide how it is compared. Its `Display` is the canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// URI of the extension that holds the attribute.
    pub extension: Option<Text>,
    /// Canonical name of the attribute.
    pub attribute: Text,
    /// Canonical name of the sub-attribute.
    pub sub: Option<Text>,
    /// Whether the attribute is a list.
    pub multi_valued: bool,
    /// Whether the sub-attribute is a list.
    pub sub_multi_valued: bool,
    /// Data type of what is compared: the sub-attribute, else the attribute.
    pub kind: Kind,
    /// Whether letter case counts.
    pub case_exact: bool,
    /// What absence means.
    pub absent_means: Option<bool>,
    /// Whether the store keeps an index for `eq`.
    pub indexed: bool,
}

impl Field {
    /// The field of a target; `None` for a whole extension.
    pub fn of(target: &Target<'_>) -> Option<Self> {
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
            absent_means: leaf.absent_means,
            indexed: leaf.indexed,
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_path(f, self.extension.as_deref(), Some(&self.attribute), self.sub.as_deref())
    }
}

/// What is asked about a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// It has a value that is not empty.
    Present,
    /// It compares so with a value of its own type.
    Compare(Operator, Operand),
}

/// A value of the type of the field it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Text.
    Text {
        /// As it was written.
        given: String,
        /// Prepared for comparison: [`crate::scim::text::key`] of it, or the same text where case counts.
        key: String,
    },
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A moment.
    Instant {
        /// As it was written.
        given: String,
        /// Microseconds since 1970-01-01T00:00:00Z.
        microseconds: i64,
    },
}

impl Operand {
    /// The value as JSON, in its original spelling.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text { given, .. } | Self::Instant { given, .. } => given.as_str().into(),
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => number.clone().into(),
        }
    }
}

impl Predicate {
    /// The sub-attributes and values of a predicate in brackets that is nothing but `eq` terms joined by `and`:
    /// what an element that satisfies it looks like. `None` for any other predicate.
    pub fn equal_terms(&self) -> Option<Vec<(&str, Value)>> {
        match self {
            Self::Test(field, Check::Compare(Operator::Eq, operand)) => {
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
