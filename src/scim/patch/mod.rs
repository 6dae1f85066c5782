//! PATCH (RFC 7644 section 3.5.2): a request becomes a list of edits, checked against the tables before any
//! transaction, and applied to one document inside it.

use std::fmt;

use serde_json::Value;

use super::dialect::Notes;
use super::filter::Predicate;
use super::members::MemberEdit;
use super::password::Password;

mod apply;
mod read;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use read::{OPERATIONS_MAX, read};

/// A PATCH request, read and checked.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The edits, in the order they take effect.
    pub edits: Vec<Edit>,
    /// What happens to the password, where passwords are kept.
    pub password: Option<Password>,
    /// What was tolerated or left out.
    pub notes: Notes,
}

/// One step of a PATCH.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A change of the document.
    Attribute(Box<AttributeEdit>),
    /// A change of the group's members, with the number of its operation.
    Members(usize, MemberEdit),
}

/// A change of the document at one place.
#[derive(Debug, Clone)]
pub struct AttributeEdit {
    /// Number of the operation in the request, from 0.
    pub operation: usize,
    /// What is changed.
    pub place: Place,
    /// How.
    pub change: Change,
}

/// What happens at a place. Values have been checked and are in canonical spelling; a null part of an object clears that part.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// RFC 7644 section 3.5.2.1.
    Add(Value),
    /// RFC 7644 section 3.5.2.3.
    Replace(Value),
    /// RFC 7644 section 3.5.2.2.
    Remove,
    /// Removes only these elements of a list.
    RemoveListed(Vec<Value>),
}

/// A place in a document, by canonical names.
#[derive(Debug, Clone)]
pub struct Place {
    /// URI of the extension it lies in.
    pub extension: Option<String>,
    /// Name of the attribute; the whole extension without.
    pub attribute: Option<String>,
    /// Which elements of the attribute.
    pub filter: Option<Predicate>,
    /// Name of the sub-attribute.
    pub sub: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.extension, &self.attribute) {
            (Some(uri), Some(name)) => write!(out, "{uri}:{name}")?,
            (Some(name), None) | (None, Some(name)) => out.write_str(name)?,
            (None, None) => {}
        }
        if self.filter.is_some() {
            out.write_str("[…]")?;
        }
        self.sub.as_ref().map_or(Ok(()), |sub| write!(out, ".{sub}"))
    }
}

/// How an error names an operation of the request.
pub(crate) fn label(operation: usize) -> String {
    format!("Operations[{operation}]")
}
