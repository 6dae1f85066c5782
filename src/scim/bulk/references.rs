//! `bulkId:x` in the data of an item: where it stands, and the id that takes its place (RFC 7644 section 3.7.2).

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

/// What stands before the name.
pub const MARK: &str = "bulkId:";

/// What a create of the job made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id.
    pub id: String,
    /// Its URL.
    pub location: String,
}

/// The name in a reference that is all of the text.
pub fn name(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

/// The names that the data refers to.
pub fn collect<'v>(data: &'v Value, into: &mut BTreeSet<&'v str>) {
    walk("", data, into);
}

fn walk<'v>(member: &str, value: &'v Value, into: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) => into.extend(places(member, text).into_iter().filter_map(|place| name(&text[place]))),
        Value::Array(items) => items.iter().for_each(|item| walk(member, item, into)),
        Value::Object(parts) => parts.iter().for_each(|(name, part)| walk(name, part, into)),
        _ => {}
    }
}

/// Puts ids in the place of references; a `$ref` becomes the URL.
///
/// # Errors
/// The first name that `made` does not know. The data may be half changed then.
pub fn replace<'m>(data: &mut Value, made: &impl Fn(&str) -> Option<&'m Made>) -> Result<(), String> {
    replace_in("", data, made)
}

fn replace_in<'m>(member: &str, value: &mut Value, made: &impl Fn(&str) -> Option<&'m Made>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            for place in places(member, text).into_iter().rev() {
                let name = name(&text[place.clone()]).unwrap_or_default();
                let found = made(name).ok_or_else(|| name.to_owned())?;
                let whole = place == (0..text.len());
                let by = if whole && is_url(member) { &found.location } else { &found.id };
                text.replace_range(place, by);
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace_in(member, item, made)),
        Value::Object(parts) => parts.iter_mut().try_for_each(|(name, part)| replace_in(name, part, made)),
        _ => Ok(()),
    }
}

fn is_url(member: &str) -> bool {
    member.eq_ignore_ascii_case("$ref")
}

/// Where references stand in a text: all of it, the last segment of a `$ref`, or a value in the filter of a PATCH path.
fn places(member: &str, text: &str) -> Vec<Range<usize>> {
    if text.starts_with(MARK) {
        return std::iter::once(0..text.len()).collect();
    }
    if is_url(member) {
        let start = text.rfind('/').map_or(0, |slash| slash + 1);
        return if text[start..].starts_with(MARK) { std::iter::once(start..text.len()).collect() } else { Vec::new() };
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
