//! Summary of a logged call as one sentence.

use serde_json::Value;

use super::{CallContext, find_rule};
use crate::error::Reason;
use crate::messages::capitalize;
use crate::scim::dialect::{DialectNote, NoteCode};
use crate::scim::timestamp::parse_timestamp;

/// Most attributes named in a sentence.
const NAMED_MAX: usize = 3;

/// Returns a sentence with what a call did, or why it failed.
pub fn summarize_call(facts: &CallContext<'_>) -> String {
    let call = facts.call;
    if call.missed > 0 {
        let requests = if call.missed == 1 { "request" } else { "requests" };
        return format!("{} {requests} not recorded", call.missed);
    }
    let looked_up = matches!(&*call.method, "GET" | "HEAD") && call.status == 404;
    match (find_rule(facts), call.status) {
        (Some(rule), 400..) => format!("Rejected: {}", rule.refusal_reason),
        (_, 404) if looked_up && call.scim_type.is_none() && is_about_resource(facts) => {
            format!("{} not found", capitalize(resource_noun(facts)))
        }
        (_, 404) if call.method == "DELETE" => format!("Delete: {} not found", resource_noun(facts)),
        (_, 500..) => format!("Failed: {}", describe_failure(facts)),
        (_, 400..) => format!("Rejected: {}", describe_failure(facts)),
        _ => describe_success(facts),
    }
}

/// Whether a successful PUT or PATCH left its resource as it was: the response has the time of an earlier change.
pub fn left_unchanged(facts: &CallContext<'_>) -> bool {
    let changed = facts.response.and_then(|answer| answer.pointer("/meta/lastModified")).and_then(Value::as_str);
    let is_earlier = changed.and_then(parse_timestamp).is_some_and(|at| at / 1_000 < facts.call.at);
    matches!(&*facts.call.method, "PUT" | "PATCH") && facts.call.status < 300 && is_earlier
}

/// Describes a change that left its resource as it was, with the attributes that were ignored.
fn describe_no_change(facts: &CallContext<'_>) -> String {
    let ignored = list_ignored(facts);
    let subject = name_resource(facts);
    match (&ignored[..], ignored.len().saturating_sub(NAMED_MAX)) {
        ([], _) => format!("No change to {subject}"),
        (all, 0) => format!("No change to {subject}: {} ignored", all.join(", ")),
        (all, more) => format!("No change to {subject}: {} and {more} more ignored", all[..NAMED_MAX].join(", ")),
    }
}

/// The attributes of a request that are in no schema.
fn list_ignored(facts: &CallContext<'_>) -> Vec<String> {
    let notes = facts.call.notes.iter().filter_map(|note| DialectNote::parse(note));
    let ignored =
        notes.filter(|note| matches!(note.code, NoteCode::UnknownAttributeIgnored | NoteCode::UnknownExtensionIgnored));
    ignored.filter_map(|note| note.attribute).collect()
}

fn describe_failure(facts: &CallContext<'_>) -> String {
    match facts.detail() {
        "" => format!("status {}", facts.call.status),
        detail => detail.to_owned(),
    }
}

/// Describes a successful call.
fn describe_success(facts: &CallContext<'_>) -> String {
    let below = facts.relative_path.trim_end_matches('/');
    let subject = || name_resource(facts);
    match (&*facts.call.method, below) {
        ("POST", _) if below.ends_with("/oauth2/token") => "Got an access token".to_owned(),
        ("POST", _) if below.ends_with("/oauth2/revoke") => "Revoked an access token".to_owned(),
        ("POST", "/Bulk") => describe_bulk(facts),
        ("POST", _) if below.ends_with(".search") => format!("Searched {}", plural_noun(facts)),
        ("POST", _) => format!("Created {}", subject()),
        _ if left_unchanged(facts) => describe_no_change(facts),
        ("PUT", _) => describe_replace(facts),
        ("PATCH", _) => describe_patch(facts),
        ("DELETE", _) => format!("Deleted {}", subject()),
        ("OPTIONS", _) => "CORS preflight".to_owned(),
        _ if is_resource(below) => format!("Read {}", subject()),
        _ if is_collection(below) => describe_list(facts),
        _ => "Read the SCIM configuration".to_owned(),
    }
}

fn is_collection(below: &str) -> bool {
    matches!(below.trim_end_matches('/'), "/Users" | "/Groups" | "")
}

fn is_resource(below: &str) -> bool {
    let of_type = below.strip_prefix("/Users/").or_else(|| below.strip_prefix("/Groups/"));
    of_type.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// Whether a call asked for one resource. Its id can contain any character.
fn is_about_resource(facts: &CallContext<'_>) -> bool {
    facts.failed_for(&[Reason::ScimResourceNotFound]) || is_resource(facts.relative_path)
}

/// Returns the noun for the resource type of the call.
fn resource_noun(facts: &CallContext<'_>) -> &'static str {
    match facts.call.resource_type.as_deref() {
        Some("User") => "user",
        Some("Group") => "group",
        _ if facts.relative_path.starts_with("/Users") => "user",
        _ if facts.relative_path.starts_with("/Groups") => "group",
        _ => "resource",
    }
}

fn plural_noun(facts: &CallContext<'_>) -> String {
    format!("{}s", resource_noun(facts))
}

/// Returns the name of a user, or "group" with the name of a group, if known.
fn name_resource(facts: &CallContext<'_>) -> String {
    match (facts.name, resource_noun(facts)) {
        (Some(name), "user") => name.to_owned(),
        (Some(name), noun) => format!("{noun} {name}"),
        (None, noun) => format!("a {noun}"),
    }
}

fn describe_list(facts: &CallContext<'_>) -> String {
    let found = facts.response.and_then(|answer| answer.get("totalResults")).and_then(Value::as_u64);
    match (facts.filter, found) {
        (Some(filter), Some(0)) => format!("Searched {}: {filter} (no match)", plural_noun(facts)),
        (Some(filter), Some(1)) => format!("Searched {}: {filter} (1 match)", plural_noun(facts)),
        (Some(filter), Some(found)) => format!("Searched {}: {filter} ({found} matches)", plural_noun(facts)),
        (Some(filter), None) => format!("Searched {}: {filter}", plural_noun(facts)),
        (None, _) => format!("Listed {}", plural_noun(facts)),
    }
}

fn describe_bulk(facts: &CallContext<'_>) -> String {
    let operations = facts.request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    match operations.map(Vec::len) {
        Some(1) => "Bulk request, 1 operation".to_owned(),
        Some(count) => format!("Bulk request, {count} operations"),
        None => "Bulk request".to_owned(),
    }
}

fn describe_replace(facts: &CallContext<'_>) -> String {
    let is_off = facts.request.is_some_and(|body| parse_boolean(body.get("active")) == Some(false));
    if is_off {
        format!("Deactivated {} (PUT)", name_resource(facts))
    } else {
        format!("Replaced {}", name_resource(facts))
    }
}

/// Parses a boolean, also one sent as text.
fn parse_boolean(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(on) => Some(*on),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Describes the changes of a PATCH.
fn describe_patch(facts: &CallContext<'_>) -> String {
    let operations = facts.request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    let changes: Vec<PatchedAttribute<'_>> =
        operations.into_iter().flatten().flat_map(PatchedAttribute::from_operation).collect();
    let subject = name_resource(facts);
    let active = |change: &PatchedAttribute<'_>| {
        if change.path.eq_ignore_ascii_case("active") { parse_boolean(change.value) } else { None }
    };
    if let [only] = &changes[..]
        && let Some(on) = active(only)
    {
        return format!("{} {subject}", if on { "Activated" } else { "Deactivated" });
    }
    if !changes.is_empty() && changes.iter().all(|change| change.path.starts_with("members")) {
        return describe_membership(&changes, facts.name.unwrap_or("a group"));
    }
    let mut names: Vec<&str> = changes.iter().map(|change| attribute_name(change.path)).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    match (names.is_empty(), more) {
        (true, _) => format!("Updated {subject}"),
        (false, 0) => format!("Updated {} of {subject}", names.join(", ")),
        (false, more) => format!("Updated {} and {more} more of {subject}", names.join(", ")),
    }
}

/// Returns the attribute in a path, without schema URN and filter.
fn attribute_name(path: &str) -> &str {
    let path = path.split('[').next().unwrap_or(path);
    path.rsplit(':').next().unwrap_or(path)
}

/// One attribute that a PATCH changes.
struct PatchedAttribute<'c> {
    op: &'c str,
    path: &'c str,
    value: Option<&'c Value>,
}

impl<'c> PatchedAttribute<'c> {
    /// Returns the changes of an operation. Without a path, the members of its value are the attributes.
    fn from_operation(operation: &'c Value) -> Vec<Self> {
        let text = |name| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let (op, value) = (text("op"), operation.get("value"));
        match (text("path"), value) {
            ("", Some(Value::Object(members))) => {
                members.iter().map(|(path, value)| PatchedAttribute { op, path, value: Some(value) }).collect()
            }
            (path, value) => vec![PatchedAttribute { op, path, value }],
        }
    }
}

fn describe_membership(changes: &[PatchedAttribute<'_>], subject: &str) -> String {
    let count = |change: &PatchedAttribute<'_>| change.value.and_then(Value::as_array).map_or(1, Vec::len);
    let sum =
        |op: &str| -> usize { changes.iter().filter(|change| change.op.eq_ignore_ascii_case(op)).map(&count).sum() };
    let members = |count: usize| if count == 1 { "1 member".to_owned() } else { format!("{count} members") };
    if changes.iter().any(|change| change.op.eq_ignore_ascii_case("replace")) {
        return format!("Set the members of {subject}");
    }
    match (sum("add"), sum("remove")) {
        (added, 0) => format!("Added {} to {subject}", members(added)),
        (0, removed) => format!("Removed {} from {subject}", members(removed)),
        (added, removed) => format!("Added {} to {subject}, removed {removed}", members(added)),
    }
}
