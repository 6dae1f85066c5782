//! PATCH (RFC 7644 section 3.5.2). [`parse_patch`] parses a request into edits and checks them against the schema tables
//! before the transaction; [`apply_edits`] applies them to a document. The work of the latter depends on the document, so
//! it is limited.

use std::fmt;

use serde_json::Value;

use super::dialect::DialectNotes;
use super::filter::Predicate;
use super::members::MemberEdit;
use super::password::PasswordChange;
use super::schema::undeclared::UndeclaredAttributes;

mod apply;
mod list_state;
mod parse;
pub mod path;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;

pub use apply::apply_edits;
pub use parse::{OPERATIONS_MAX, parse_patch};

/// A parsed and validated PATCH request.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The edits, in the order in which they are applied.
    pub edits: Vec<PatchEdit>,
    /// The change of the password, if passwords are stored.
    pub password: Option<PasswordChange>,
    /// Deviations that were accepted, and values that were ignored.
    pub notes: DialectNotes,
    /// Attributes of the body that no schema declares.
    pub undeclared: UndeclaredAttributes,
}

/// One edit of a PATCH.
#[derive(Debug, Clone)]
pub enum PatchEdit {
    /// A change of the document.
    Attribute(Box<AttributeEdit>),
    /// A change of the group's members, with the index of its operation.
    Members(usize, MemberEdit),
}

/// A change of the document at one path.
#[derive(Debug, Clone)]
pub struct AttributeEdit {
    /// Index of the operation in the request, from 0.
    pub operation: usize,
    /// The path that is changed.
    pub path: EditPath,
    /// The change.
    pub change: AttributeChange,
}

/// The change at a path. Values are validated and in canonical spelling. A null member of an object removes that
/// sub-attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeChange {
    /// RFC 7644 section 3.5.2.1.
    Add(Value),
    /// RFC 7644 section 3.5.2.3.
    Replace(Value),
    /// RFC 7644 section 3.5.2.2.
    Remove,
    /// Removes only these elements of a list.
    RemoveListed(Vec<Value>),
}

/// A path in a document, by canonical names.
#[derive(Debug, Clone)]
pub struct EditPath {
    /// URI of the extension.
    pub extension: Option<String>,
    /// Name of the attribute; `None` for the whole extension.
    pub attribute: Option<String>,
    /// Selects the elements of the attribute.
    pub filter: Option<Predicate>,
    /// Name of the sub-attribute.
    pub sub: Option<String>,
}

impl fmt::Display for EditPath {
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

/// Returns the name of an operation in error messages.
pub(crate) fn label_operation(operation: usize) -> String {
    format!("Operations[{operation}]")
}
