//! Members of a group, as edits on rows: adding one member to a group of 100,000 touches one row.

use serde_json::Value;

use super::Error;
use super::filter::Predicate;
use super::validate::{Reading, wrong_kind};

/// Most members that one request may name.
pub const MEMBERS_MAX: usize = 100_000;

/// A member as a request names it: the id of a resource of the same configuration.
/// Its type, name and URL are the store's word, whatever the request says (RFC 7643 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// The `value` sub-attribute.
    pub id: String,
}

/// A change of a group's members.
#[derive(Debug, Clone)]
pub enum MemberEdit {
    /// These join; who is in already stays.
    Add(Vec<MemberRef>),
    /// These leave; who is not in is no error (RFC 7644 section 3.5.2.2).
    Remove(Vec<String>),
    /// Who matches leaves.
    RemoveWhere(Box<Predicate>),
    /// Exactly these remain.
    Replace(Vec<MemberRef>),
}

/// Reads the value of `members`: an array of objects, or one object. Doubles collapse.
///
/// # Errors
/// 400 invalidValue where an element is no object or names nobody, 413 above [`MEMBERS_MAX`].
pub(super) fn read_members(value: &Value, reading: &mut Reading) -> Result<Vec<MemberRef>, Error> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        Value::Object(_) if !reading.rules.strict => std::slice::from_ref(value),
        other => return Err(wrong_kind(format_args!("members"), "an array of objects", other)),
    };
    if items.len() > MEMBERS_MAX {
        return Err(Error::too_large(format!("one request may name at most {MEMBERS_MAX} members")));
    }
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        let id = member_id(item)?;
        if seen.insert(id) {
            list.push(MemberRef { id: id.to_owned() });
        }
    }
    Ok(list)
}

/// The id in `value`, else the last segment of `$ref` (RFC 7643 section 2.3.7: a reference names the resource too).
fn member_id(item: &Value) -> Result<&str, Error> {
    let Value::Object(parts) = item else {
        return Err(wrong_kind(format_args!("members"), "an array of objects with a value", item));
    };
    let part = |wanted: &str| parts.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    match (part("value"), part("$ref")) {
        (Some(Value::String(id)), _) if !id.trim().is_empty() => Ok(id),
        (None | Some(Value::Null), Some(Value::String(url))) => {
            let id = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if id.is_empty() { Err(Error::value("members.$ref names no resource")) } else { Ok(id) }
        }
        (Some(Value::String(_)), _) => Err(Error::value("members.value must not be empty")),
        (None | Some(Value::Null), _) => Err(Error::value("each member needs a value: the id of a user or group")),
        (Some(other), _) => Err(wrong_kind(format_args!("members.value"), "text", other)),
    }
}
