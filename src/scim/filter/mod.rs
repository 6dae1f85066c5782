//! Filters (RFC 7644 section 3.4.2.2): the tree as it was written, and the tree checked against a resource type.
//!
//! Text becomes a [`Filter`], a filter becomes a [`Predicate`], and only predicates are evaluated or compiled.

mod check;
mod lex;
mod parse;
mod predicate;
mod print;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use predicate::{Check, Field, Operand, Predicate};

pub(super) use check::check_element;
pub(super) use parse::parse_brackets;

use serde_json::Number;

use super::path::AttrPath;

/// Longest filter or PATCH path, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// Deepest nesting of parentheses and brackets.
pub const MAX_DEPTH: usize = 32;
/// Most comparisons in one filter.
pub const MAX_TERMS: usize = 200;

/// A comparison operator; `pr` is [`Test::Present`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal; true where there is nothing to compare.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl Operator {
    /// All of them, in the order of RFC 7644 table 3.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The word in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether it looks inside text.
    pub fn is_substring(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }

    /// Whether it needs an order of values.
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

/// A value in a filter: a JSON literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A string, escapes resolved; never contains NUL.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// What is asked about an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `pr`.
    Present,
    /// An operator and a value.
    Compare(Operator, Literal),
}

/// A filter as it was written: grammar checked, names and types not.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `userName eq "x"`.
    Term(AttrPath, Test),
    /// `emails[type eq "work"]`: one element satisfies all that stands in brackets.
    Element {
        /// The attribute before the bracket.
        path: AttrPath,
        /// What stands in brackets; it names sub-attributes.
        inner: Box<Filter>,
        /// `.value eq "x"` after the bracket, which Entra sends: sub-attribute and test.
        tail: Option<(String, Test)>,
    },
    /// `not (…)`.
    Not(Box<Filter>),
    /// Two or more, joined by `and`.
    And(Vec<Filter>),
    /// Two or more, joined by `or`.
    Or(Vec<Filter>),
}
