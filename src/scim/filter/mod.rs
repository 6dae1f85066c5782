//! Filters (RFC 7644 section 3.4.2.2): the syntax tree, and the tree checked against a resource type.
//!
//! Text is parsed into a [`ScimFilter`], and a filter is checked to become a [`Predicate`]. Only predicates are evaluated
//! or compiled to SQL.

mod check;
pub mod evaluate;
mod lex;
mod parse;
mod predicate;
mod print;
#[cfg(test)]
pub(crate) mod random_filters;
#[cfg(test)]
mod tests;

pub use predicate::{FieldCheck, FilterField, FilterOperand, Predicate};

pub(super) use check::check_element;
pub use lex::StringSyntax;
pub(super) use lex::find_closing_bracket;
pub(super) use parse::parse_brackets;

use serde_json::Number;

use super::path::AttrPath;
use crate::named_enum::named_enum;

/// Maximum length of a filter or PATCH path, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// Maximum nesting depth of parentheses and brackets.
pub const MAX_DEPTH: usize = 32;
/// Maximum number of comparisons in one filter.
pub const MAX_TERMS: usize = 200;

named_enum! {
    /// A comparison operator; `pr` is [`FilterTest::Present`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FilterOperator {
        /// Equal.
        Eq = "eq",
        /// Not equal; true if the attribute has no value.
        Ne = "ne",
        /// Contains.
        Co = "co",
        /// Starts with.
        Sw = "sw",
        /// Ends with.
        Ew = "ew",
        /// Greater than.
        Gt = "gt",
        /// Greater than or equal.
        Ge = "ge",
        /// Less than.
        Lt = "lt",
        /// Less than or equal.
        Le = "le",
    }
}

impl FilterOperator {
    fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str().eq_ignore_ascii_case(keyword))
    }

    /// Whether the operator matches a part of a text.
    pub fn is_substring(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }

    /// Whether the operator needs ordered values.
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

/// A value in a filter: a JSON literal.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterLiteral {
    /// A string, escapes resolved; never contains NUL.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// The condition on an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterTest {
    /// `pr`.
    Present,
    /// An operator and a value.
    Compare(FilterOperator, FilterLiteral),
}

/// A parsed filter. The grammar is checked; names and types are not.
#[derive(Debug, Clone, PartialEq)]
pub enum ScimFilter {
    /// `userName eq "x"`.
    Term(AttrPath, FilterTest),
    /// `emails[type eq "work"]`: one element satisfies the whole filter in brackets.
    Element {
        /// The attribute before the bracket.
        path: AttrPath,
        /// The filter in brackets, on sub-attributes.
        inner: Box<ScimFilter>,
        /// Sub-attribute and test of `.value eq "x"` after the bracket, which Entra sends.
        tail: Option<(String, FilterTest)>,
    },
    /// `not (…)`.
    Not(Box<ScimFilter>),
    /// Two or more, joined by `and`.
    And(Vec<ScimFilter>),
    /// Two or more, joined by `or`.
    Or(Vec<ScimFilter>),
}
