//! Finds and replaces the data of one user in JSON documents, paths and texts.
//!
//! A document can be about several users, such as the answer to a list request. Its parts belong to the user, to another
//! resource, or to none that is known. Parts of the user are emptied. In all others only the addresses of the user are
//! replaced, and, where the owner is not known, texts that are equal to a value that names the user.

use std::collections::BTreeSet;

use memchr::memmem;
use serde_json::{Map, Value};

use super::subject::{ConfigurationValues, ErasureSubject, find_member, list_addresses};
use crate::model::ids;
use crate::scim::fold::fold_case;
use crate::scim::percent::{decode_percent, encode_percent};

/// The text that replaces a value.
pub const ERASED: &str = "(erased)";
/// Shortest `userName` without an address that is replaced within longer texts.
const USER_NAME_MIN_CHARS: usize = 6;
/// Shortest value of another attribute for which a text is searched as a whole.
const DISTINCT_MIN_CHARS: usize = 8;

/// Members that say nothing about a user, in lower case.
const NEUTRAL_MEMBERS: [&str; 15] = [
    "id",
    "schemas",
    "type",
    "$ref",
    "op",
    "path",
    "method",
    "bulkid",
    "status",
    "version",
    "location",
    "resourcetype",
    "created",
    "lastmodified",
    "scimtype",
];

/// The user or resource that a part of a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartOwner {
    Subject,
    Other,
    Unknown,
}

/// The texts of a logged call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallTexts {
    /// Whether the call is about the user itself.
    pub is_own: bool,
    /// Path and query.
    pub path: String,
    /// The error message.
    pub detail: Option<String>,
    /// Notes.
    pub notes: Vec<String>,
    /// Request body.
    pub request: Option<String>,
    /// Response body.
    pub response: Option<String>,
}

/// Recognizes the user of a request in the texts of one configuration.
#[derive(Debug)]
pub struct SubjectMatcher<'s> {
    subject: &'s ErasureSubject,
    values: ConfigurationValues,
    /// Lowercase texts that are replaced within longer ones.
    within: Vec<String>,
}

impl<'s> SubjectMatcher<'s> {
    /// A matcher for texts of a configuration, or, without one, of the account.
    pub fn new(subject: &'s ErasureSubject, configuration: Option<i64>) -> Self {
        let values = configuration.and_then(|key| subject.configurations.get(&key)).cloned().unwrap_or_default();
        let names = values.user_names.iter().filter(|name| name.chars().count() >= USER_NAME_MIN_CHARS);
        let within: BTreeSet<String> = subject.addresses.iter().chain(names).cloned().collect();
        // The longest first, so that a shorter one does not leave a part of it.
        let mut within: Vec<String> = within.into_iter().collect();
        within.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { subject, values, within }
    }

    /// A matcher for values in the audit log of the account, such as the list of protected users of a configuration: they can be
    /// a `userName` or an `externalId` of any of its configurations.
    pub fn for_audit(subject: &'s ErasureSubject) -> Self {
        let mut matcher = Self::new(subject, None);
        let all = subject.configurations.values();
        let names = all.flat_map(|values| values.user_names.iter().chain(&values.external_ids));
        matcher.values.identity = names.cloned().collect();
        matcher
    }

    /// Whether a text can contain something about the user: a search that is fast, and finds more than there is.
    pub fn may_mention(&self, text: &str) -> bool {
        if text.contains("\\u") || text.contains('%') {
            return true;
        }
        let lower = fold_case(text);
        let contains = |needle: &String| memmem::find(lower.as_bytes(), needle.as_bytes()).is_some();
        self.subject.users.keys().any(contains)
            || self.within.iter().any(contains)
            || self.values.identity.iter().any(contains)
            || self.subject.addresses.iter().any(contains)
    }

    /// Whether a text contains an id of the user.
    pub fn contains_id(&self, text: &str) -> bool {
        self.subject.users.keys().any(|id| memmem::find(text.as_bytes(), id.as_bytes()).is_some())
    }

    /// Removes what a document says about the user in references to it. Returns whether something was removed.
    pub fn erase_references(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => change_each(items.iter_mut(), |item| self.erase_references(item)),
            Value::Object(members) => {
                if self.is_reference(members) {
                    let before = members.len();
                    members.retain(|name, _| name.eq_ignore_ascii_case("value") || is_neutral(name));
                    return members.len() != before;
                }
                change_each(members.values_mut(), |member| self.erase_references(member))
            }
            _ => false,
        }
    }

    /// Returns the references to the user in a document.
    pub fn extract_references(&self, value: &Value) -> Vec<Value> {
        match value {
            Value::Array(items) => items.iter().flat_map(|item| self.extract_references(item)).collect(),
            Value::Object(members) if self.is_reference(members) => vec![value.clone()],
            Value::Object(members) => members.values().flat_map(|member| self.extract_references(member)).collect(),
            _ => Vec::new(),
        }
    }

    fn is_reference(&self, members: &Map<String, Value>) -> bool {
        find_member(members, "value").and_then(Value::as_str).is_some_and(|id| self.subject.has_id(id))
    }

    /// Removes the data of the user from a document. Returns whether something was removed.
    pub fn erase_json(&self, value: &mut Value) -> bool {
        self.erase_part(value, PartOwner::Unknown)
    }

    fn erase_part(&self, value: &mut Value, owner: PartOwner) -> bool {
        match value {
            Value::Array(items) => change_each(items.iter_mut(), |item| self.erase_part(item, owner)),
            Value::Object(members) => self.erase_members(members, owner),
            Value::String(text) => match self.erase_leaf(text, owner) {
                Some(erased) => {
                    *text = erased;
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn erase_members(&self, members: &mut Map<String, Value>, owner: PartOwner) -> bool {
        let owner = self.find_owner(members, owner);
        let mut changed = false;
        if owner == PartOwner::Subject {
            let before = members.len();
            members.retain(|name, value| {
                is_neutral(name) || name.eq_ignore_ascii_case("meta") || is_id_value(name, value)
            });
            changed = members.len() != before;
        }
        let is_rest_changed = change_each(members.values_mut(), |member| {
            // What is left of the user has neutral members only, such as a path with an id.
            let owner = if owner == PartOwner::Subject { PartOwner::Other } else { owner };
            self.erase_part(member, owner)
        });
        changed || is_rest_changed
    }

    fn erase_leaf(&self, text: &str, owner: PartOwner) -> Option<String> {
        if owner == PartOwner::Unknown && self.values.identity.contains(&*fold_case(text.trim())) {
            return Some(ERASED.to_owned());
        }
        self.erase_text(text)
    }

    /// Returns the owner of an object. Without a sign of its own, it is about the same as the object around it.
    fn find_owner(&self, members: &Map<String, Value>, around: PartOwner) -> PartOwner {
        let text = |name: &str| find_member(members, name).and_then(Value::as_str);
        let of_id = |id: &str| if self.subject.has_id(id) { PartOwner::Subject } else { PartOwner::Other };
        if let Some(id) = text("id").or_else(|| text("value")).filter(|id| ids::is_id(id)) {
            return of_id(id);
        }
        if let Some(id) = text("path").and_then(find_id_in_path) {
            return of_id(id);
        }
        if let Some(name) = text("userName") {
            let is_own = self.values.user_names.contains(&*fold_case(name.trim()));
            return if is_own || self.has_address(members) { PartOwner::Subject } else { PartOwner::Other };
        }
        let has_external_id =
            text("externalId").is_some_and(|id| self.values.external_ids.contains(&*fold_case(id.trim())));
        if has_external_id || self.has_address(members) { PartOwner::Subject } else { around }
    }

    fn has_address(&self, members: &Map<String, Value>) -> bool {
        list_addresses(members).iter().any(|address| self.subject.addresses.contains(address))
    }

    /// Returns the parts of a document that are about the user.
    pub fn extract_parts(&self, value: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        self.collect_parts(value, PartOwner::Unknown, &mut found);
        found
    }

    fn collect_parts(&self, value: &Value, owner: PartOwner, found: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.collect_parts(item, owner, found)),
            Value::Object(members) => {
                let owner = self.find_owner(members, owner);
                if owner == PartOwner::Subject {
                    found.push(value.clone());
                } else {
                    members.values().for_each(|member| self.collect_parts(member, owner, found));
                }
            }
            _ => {}
        }
    }

    /// Returns a text without the addresses and names of the user, or `None` if it has none.
    pub fn erase_text(&self, text: &str) -> Option<String> {
        let mut current: Option<String> = None;
        for needle in &self.within {
            let erased = replace_whole(current.as_deref().unwrap_or(text), needle);
            current = erased.or(current);
        }
        current
    }

    /// Whether a text that is not valid JSON, such as a body that was cut, contains a value that names the user.
    pub fn is_in_fragment(&self, text: &str) -> bool {
        let lower = fold_case(text);
        let long = self.values.identity.iter().filter(|text| text.chars().count() >= DISTINCT_MIN_CHARS);
        self.within.iter().chain(long).any(|needle| find_whole(&lower, needle, 0).is_some()) || self.contains_id(text)
    }

    /// Returns a path without the data of the user, or `None` if it has none. `is_mentioned` says whether the call is known to be
    /// about the user: then all its values are removed from filters.
    pub fn erase_path(&self, path: &str, is_mentioned: bool) -> Option<String> {
        let (start, query) = path.split_once('?').map_or((path, None), |(start, query)| (start, Some(query)));
        let mut changed = false;
        let mut erase = |raw: &str, decoded: Option<String>| {
            let erased = decoded.and_then(|decoded| self.erase_query_value(&decoded, is_mentioned));
            changed |= erased.is_some();
            erased.map_or_else(|| raw.to_owned(), |erased| encode_percent(&erased).to_string())
        };
        let segments: Vec<String> = start.split('/').map(|segment| erase(segment, decode_percent(segment))).collect();
        let mut result = segments.join("/");
        if let Some(query) = query {
            let pairs: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((name, value)) => format!("{name}={}", erase(value, decode_percent(&value.replace('+', " ")))),
                    None => erase(pair, decode_percent(pair)),
                })
                .collect();
            result = format!("{result}?{}", pairs.join("&"));
        }
        changed.then_some(result)
    }

    fn erase_query_value(&self, value: &str, is_mentioned: bool) -> Option<String> {
        let quoted = self.erase_quoted(value, is_mentioned);
        self.erase_text(quoted.as_deref().unwrap_or(value)).or(quoted)
    }

    /// Replaces the literals of a filter that are equal to a value of the user.
    fn erase_quoted(&self, filter: &str, is_mentioned: bool) -> Option<String> {
        let is_own = |literal: &str| {
            let literal = literal.replace("\\\"", "\"").replace("\\\\", "\\");
            let literal = fold_case(literal.trim());
            self.values.identity.contains(&*literal)
                || self.subject.addresses.contains(&*literal)
                || (is_mentioned && self.values.others.contains(&*literal))
        };
        let (mut result, mut rest, mut changed) = (String::with_capacity(filter.len()), filter, false);
        while let Some(start) = rest.find('"') {
            let (before, quoted) = rest.split_at(start + 1);
            result.push_str(before);
            let Some(end) = find_closing_quote(quoted) else {
                rest = quoted;
                break;
            };
            let literal = &quoted[..end];
            let erased = is_own(literal);
            changed |= erased;
            result.push_str(if erased { ERASED } else { literal });
            result.push('"');
            rest = &quoted[end + 1..];
        }
        result.push_str(rest);
        changed.then_some(result)
    }

    /// Returns a logged call without the data of the user, or `None` if it has none.
    pub fn erase_call(&self, call: &CallTexts) -> Option<CallTexts> {
        if call.is_own {
            let path = call.path.split('?').next().unwrap_or_default();
            let path = self.erase_path(path, true).unwrap_or_else(|| path.to_owned());
            let notes = call.notes.iter().map(|note| self.erase_text(note).unwrap_or_else(|| note.clone())).collect();
            let erased = CallTexts { is_own: true, path, notes, ..CallTexts::default() };
            return (erased != *call).then_some(erased);
        }
        let (request, in_request) = self.erase_body(call.request.as_deref());
        let (response, in_response) = self.erase_body(call.response.as_deref());
        let is_mentioned = in_request || in_response || self.contains_id(&call.path);
        let text = |text: &String| self.erase_text(text).unwrap_or_else(|| text.clone());
        let erased = CallTexts {
            is_own: false,
            path: self.erase_path(&call.path, is_mentioned).unwrap_or_else(|| call.path.clone()),
            detail: call.detail.as_ref().map(|detail| {
                self.erase_quoted(detail, is_mentioned).map_or_else(|| text(detail), |detail| text(&detail))
            }),
            notes: call.notes.iter().map(text).collect(),
            request,
            response,
        };
        (erased != *call).then_some(erased)
    }

    /// Returns a body without the data of the user, and whether it was about the user. A body that cannot be parsed is removed as
    /// a whole.
    fn erase_body(&self, body: Option<&str>) -> (Option<String>, bool) {
        let Some(body) = body else { return (None, false) };
        if !self.may_mention(body) {
            return (Some(body.to_owned()), false);
        }
        match serde_json::from_str::<Value>(body) {
            Ok(mut value) => {
                let is_mentioned = !self.extract_parts(&value).is_empty();
                let text = if self.erase_json(&mut value) { value.to_string() } else { body.to_owned() };
                (Some(text), is_mentioned)
            }
            Err(_) if self.is_in_fragment(body) => (None, true),
            Err(_) => (Some(body.to_owned()), false),
        }
    }
}

fn is_neutral(name: &str) -> bool {
    NEUTRAL_MEMBERS.iter().any(|neutral| neutral.eq_ignore_ascii_case(name))
}

/// Changes each value. Returns whether one of them has changed.
fn change_each<'v>(values: impl Iterator<Item = &'v mut Value>, mut change: impl FnMut(&mut Value) -> bool) -> bool {
    let mut changed = false;
    for value in values {
        changed |= change(value);
    }
    changed
}

/// Whether a member is the id in a reference.
fn is_id_value(name: &str, value: &Value) -> bool {
    name.eq_ignore_ascii_case("value") && value.as_str().is_some_and(ids::is_id)
}

/// Returns the first id in a path, such as `/Users/{id}` or `members[value eq "{id}"]`.
fn find_id_in_path(path: &str) -> Option<&str> {
    path.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).find(|part| ids::is_id(part))
}

fn find_closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Replaces a lowercase text where it is not a part of a longer name or address. Texts that are not ASCII are compared as they
/// are and in lower case.
fn replace_whole(text: &str, needle: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    // The comparison form of text that is not ASCII can have another length: then the positions differ, and the text is replaced
    // as a whole.
    if !text.is_ascii() && !needle.is_ascii() && find_whole(&lower, needle, 0).is_none() {
        return find_whole(&fold_case(text), needle, 0).map(|_| ERASED.to_owned());
    }
    let (mut result, mut from) = (String::new(), 0);
    while let Some(at) = find_whole(&lower, needle, from) {
        result.push_str(&text[from..at]);
        result.push_str(ERASED);
        from = at + needle.len();
    }
    if from == 0 {
        return None;
    }
    result.push_str(&text[from..]);
    Some(result)
}

/// Returns the first position from `from` on at which the text is not a part of a longer name or address.
fn find_whole(lower: &str, needle: &str, from: usize) -> Option<usize> {
    let mut from = from;
    while let Some(found) = memmem::find(lower.as_bytes().get(from..)?, needle.as_bytes()) {
        let at = from + found;
        if is_start(lower, at) && is_end(lower, at + needle.len()) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Whether no longer name or address begins in front of this position.
fn is_start(text: &str, at: usize) -> bool {
    let mut before = text.get(..at).unwrap_or_default().chars().rev();
    let last = before.next();
    let joins = matches!(last, Some('.' | '+' | '-' | '\''));
    !(is_part_of_name(last) || joins && is_part_of_name(before.next()))
}

/// Whether no longer name or address continues at this position.
fn is_end(text: &str, at: usize) -> bool {
    let mut after = text.get(at..).unwrap_or_default().chars();
    let first = after.next();
    let goes_on = first == Some('@') || is_part_of_name(first);
    let joins = matches!(first, Some('.' | '-' | '+'));
    !(goes_on || joins && is_part_of_name(after.next()))
}

fn is_part_of_name(character: Option<char>) -> bool {
    character.is_some_and(|one| one.is_alphanumeric() || one == '_')
}
