//! References of the form `bulkId:x` in the data of an item, and their replacement by resource ids (RFC 7644
//! section 3.7.2).

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

/// The prefix of a reference.
pub const PREFIX: &str = "bulkId:";

/// A resource that a POST of the job created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedResource {
    /// Its id.
    pub id: String,
    /// Its URL.
    pub location: String,
}

/// Returns the bulkId if the whole text is a reference.
pub fn parse_reference(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)
}

/// Adds the bulkIds that the data refers to.
pub fn collect_references<'v>(data: &'v Value, into: &mut BTreeSet<&'v str>) {
    collect_from_value("", data, into);
}

fn collect_from_value<'v>(member: &str, value: &'v Value, into: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) => {
            into.extend(find_references(member, text).into_iter().filter_map(|range| parse_reference(&text[range])));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_from_value(member, item, into)),
        Value::Object(parts) => parts.iter().for_each(|(name, part)| collect_from_value(name, part, into)),
        _ => {}
    }
}

/// Replaces references with ids. A `$ref` that is only a reference is replaced with the URL.
///
/// # Errors
/// The first bulkId for which `made` returns `None`. The data may be partly changed then.
pub fn replace_references<'m>(
    data: &mut Value,
    made: &impl Fn(&str) -> Option<&'m CreatedResource>,
) -> Result<(), String> {
    replace_in_value("", data, made)
}

fn replace_in_value<'m>(
    member: &str,
    value: &mut Value,
    made: &impl Fn(&str) -> Option<&'m CreatedResource>,
) -> Result<(), String> {
    match value {
        Value::String(text) => {
            for range in find_references(member, text).into_iter().rev() {
                let name = parse_reference(&text[range.clone()]).unwrap_or_default();
                let found = made(name).ok_or_else(|| name.to_owned())?;
                let whole = range == (0..text.len());
                let replacement = if whole && is_url(member) { &found.location } else { &found.id };
                text.replace_range(range, replacement);
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace_in_value(member, item, made)),
        Value::Object(parts) => parts.iter_mut().try_for_each(|(name, part)| replace_in_value(name, part, made)),
        _ => Ok(()),
    }
}

fn is_url(member: &str) -> bool {
    member.eq_ignore_ascii_case("$ref")
}

/// Returns the ranges of references in a text: the whole text, the last segment of a `$ref`, or a value in the filter
/// of a PATCH path.
fn find_references(member: &str, text: &str) -> Vec<Range<usize>> {
    if text.starts_with(PREFIX) {
        return std::iter::once(0..text.len()).collect();
    }
    if is_url(member) {
        let start = text.rfind('/').map_or(0, |slash| slash + 1);
        return if text[start..].starts_with(PREFIX) {
            std::iter::once(start..text.len()).collect()
        } else {
            Vec::new()
        };
    }
    if !member.eq_ignore_ascii_case("path") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (quote, _) in text.match_indices("\"bulkId:") {
        let start = quote + 1;
        if let Some(length) = text[start..].find('"') {
            found.push(start..start + length);
        }
    }
    found
}
