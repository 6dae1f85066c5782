//! Members of a group as row edits: adding one member to a group of 100,000 members writes one row.

use serde_json::Value;

use super::dialect::unwrap_list_of_one;
use super::filter::Predicate;
use super::json::wrong_type_error;
use crate::error::{Error, Reason};

/// Maximum number of members in one request.
pub const MEMBERS_MAX: usize = 100_000;

/// A member in a request: the id of a resource of the same configuration.
/// Type, name and URL come from the store, not from the request (RFC 7643 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// The `value` sub-attribute.
    pub id: String,
}

/// A change of a group's members.
#[derive(Debug, Clone)]
pub enum MemberEdit {
    /// Adds these members; existing members do not change.
    Add(Vec<MemberRef>),
    /// Removes these members. An id that is not a member is not an error (RFC 7644 section 3.5.2.2).
    Remove(Vec<String>),
    /// Removes the members that match the predicate.
    RemoveWhere(Box<Predicate>),
    /// Replaces all members with these.
    Replace(Vec<MemberRef>),
}

/// Reads the value of `members`: an array of objects. Unless `strict`, an id may be text, and one member needs no
/// array. Duplicate ids are returned once.
///
/// # Errors
/// 400 invalidValue if an element is not an object or has no id, 413 above [`MEMBERS_MAX`].
pub(super) fn read_members(value: &Value, strict: bool) -> Result<Vec<MemberRef>, Error> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        Value::Object(_) | Value::String(_) if !strict => std::slice::from_ref(value),
        other => return Err(wrong_type_error(format_args!("members"), "an array of objects", other)),
    };
    if items.len() > MEMBERS_MAX {
        return Err(Reason::TooManyMembers.with("max", MEMBERS_MAX));
    }
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        let id = member_id(item, strict)?;
        if seen.insert(id) {
            list.push(MemberRef { id: id.to_owned() });
        }
    }
    Ok(list)
}

/// The id in `value`, else the last segment of `$ref` (RFC 7643 section 2.3.7: a reference also identifies the
/// resource).
fn member_id(item: &Value, strict: bool) -> Result<&str, Error> {
    if let Value::String(id) = item
        && !strict
    {
        return if id.trim().is_empty() { Err(Error::new(Reason::MemberValueEmpty)) } else { Ok(id) };
    }
    let Value::Object(parts) = item else {
        return Err(wrong_type_error(format_args!("members"), "an array of objects with a value", item));
    };
    let part =
        |searched: &str| parts.iter().find(|(name, _)| name.eq_ignore_ascii_case(searched)).map(|(_, value)| value);
    let single = |value| if strict { value } else { unwrap_list_of_one(value) };
    match (part("value").map(single), part("$ref").map(single)) {
        (Some(Value::String(id)), _) if !id.trim().is_empty() => Ok(id),
        (None | Some(Value::Null), Some(Value::String(url))) => {
            let id = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if id.is_empty() { Err(Error::new(Reason::MemberReferenceInvalid)) } else { Ok(id) }
        }
        (Some(Value::String(_)), _) => Err(Error::new(Reason::MemberValueEmpty)),
        (None | Some(Value::Null), _) => Err(Error::new(Reason::MemberValueMissing)),
        (Some(other), _) => Err(wrong_type_error(format_args!("members.value"), "text", other)),
    }
}
