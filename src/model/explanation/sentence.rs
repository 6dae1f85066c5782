//! A logged call as one sentence.

use serde_json::Value;

use super::{Facts, reason};

/// Most attributes that a sentence names.
const NAMED_MAX: usize = 3;

/// What a call did, or why it did nothing.
pub fn sentence(facts: &Facts<'_>) -> String {
    let call = facts.call;
    if call.missed > 0 {
        let calls = if call.missed == 1 { "call was" } else { "calls were" };
        return format!("{} {calls} served and could not be logged", call.missed);
    }
    let looked_up = matches!(&*call.method, "GET" | "HEAD") && call.status == 404;
    match (reason(facts), call.status) {
        (Some(rule), 400..) => format!("Refused: {}", rule.short),
        (_, 404) if looked_up && call.scim_type.is_none() && is_resource(facts.below) => {
            format!("Looked for {} that is not here", a_thing(facts))
        }
        (_, 404) if call.method == "DELETE" => format!("Wanted to delete {} that is not here", a_thing(facts)),
        (_, 500..) => format!("Could not be answered: {}", because(facts)),
        (_, 400..) => format!("Refused: {}", because(facts)),
        _ => done(facts),
    }
}

fn because(facts: &Facts<'_>) -> String {
    match facts.detail() {
        "" => format!("status {}", facts.call.status),
        detail => detail.to_owned(),
    }
}

/// What a call did that succeeded.
fn done(facts: &Facts<'_>) -> String {
    let below = facts.below.trim_end_matches('/');
    let who = || the_thing(facts);
    match (&*facts.call.method, below) {
        ("POST", "/Bulk") => bulk(facts),
        ("POST", _) if below.ends_with(".search") => format!("Searched {}", things(facts)),
        ("POST", _) => format!("Added {}", who()),
        ("PUT", _) => replaced(facts),
        ("PATCH", _) => changed(facts),
        ("DELETE", _) => format!("Deleted {}", who()),
        ("OPTIONS", _) => "Asked what may be done here".to_owned(),
        _ if is_resource(below) => format!("Read {}", who()),
        _ if is_collection(below) => listed(facts),
        _ => "Asked what this server can do".to_owned(),
    }
}

fn is_collection(below: &str) -> bool {
    matches!(below.trim_end_matches('/'), "/Users" | "/Groups" | "")
}

fn is_resource(below: &str) -> bool {
    let of_type = below.strip_prefix("/Users/").or_else(|| below.strip_prefix("/Groups/"));
    of_type.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// The word for the type that the call was about.
fn kind(facts: &Facts<'_>) -> &'static str {
    match facts.call.resource_type.as_deref() {
        Some("User") => "user",
        Some("Group") => "group",
        _ if facts.below.starts_with("/Users") => "user",
        _ if facts.below.starts_with("/Groups") => "group",
        _ => "resource",
    }
}

fn a_thing(facts: &Facts<'_>) -> String {
    format!("a {}", kind(facts))
}

fn things(facts: &Facts<'_>) -> String {
    format!("{}s", kind(facts))
}

/// The resource by name, as far as that is known.
fn the_thing(facts: &Facts<'_>) -> String {
    let kind = kind(facts);
    match facts.name {
        Some(name) => format!("the {kind} {name}"),
        None => format!("a {kind}"),
    }
}

fn listed(facts: &Facts<'_>) -> String {
    let found = facts.response.and_then(|answer| answer.get("totalResults")).and_then(Value::as_u64);
    match (facts.filter, found) {
        (Some(filter), Some(0)) => format!("Looked for {} with {filter}: none", things(facts)),
        (Some(filter), Some(1)) => format!("Looked for {} with {filter}: found", things(facts)),
        (Some(filter), Some(found)) => format!("Looked for {} with {filter}: found {found}", things(facts)),
        (Some(filter), None) => format!("Looked for {} with {filter}", things(facts)),
        (None, _) => format!("Listed {}", things(facts)),
    }
}

fn bulk(facts: &Facts<'_>) -> String {
    let operations = facts.request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    match operations.map(Vec::len) {
        Some(1) => "Ran a job of 1 operation".to_owned(),
        Some(count) => format!("Ran a job of {count} operations"),
        None => "Ran a job".to_owned(),
    }
}

fn replaced(facts: &Facts<'_>) -> String {
    let is_off = facts.request.is_some_and(|body| switch(body.get("active")) == Some(false));
    if is_off {
        format!("Sent {} as switched off", the_thing(facts))
    } else {
        format!("Sent {} anew", the_thing(facts))
    }
}

/// True or false, also as text.
fn switch(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(on) => Some(*on),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// What a PATCH did.
fn changed(facts: &Facts<'_>) -> String {
    let operations = facts.request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    let changes: Vec<Change<'_>> = operations.into_iter().flatten().flat_map(Change::of).collect();
    let who = the_thing(facts);
    let active =
        |change: &Change<'_>| if change.path.eq_ignore_ascii_case("active") { switch(change.value) } else { None };
    if let [only] = &changes[..]
        && let Some(on) = active(only)
    {
        return format!("Switched {} {who}", if on { "on" } else { "off" });
    }
    if !changes.is_empty() && changes.iter().all(|change| change.path.starts_with("members")) {
        return membership(&changes, &who);
    }
    let mut names: Vec<&str> = changes.iter().map(|change| attribute(change.path)).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    match (names.is_empty(), more) {
        (true, _) => format!("Changed {who}"),
        (false, 0) => format!("Changed {} of {who}", names.join(", ")),
        (false, more) => format!("Changed {} and {more} more of {who}", names.join(", ")),
    }
}

/// The attribute that a path names, without its schema and its filter.
fn attribute(path: &str) -> &str {
    let path = path.split('[').next().unwrap_or(path);
    path.rsplit(':').next().unwrap_or(path)
}

/// One attribute that a PATCH names.
struct Change<'c> {
    op: &'c str,
    path: &'c str,
    value: Option<&'c Value>,
}

impl<'c> Change<'c> {
    /// The changes of an operation; without a path its value names the attributes.
    fn of(operation: &'c Value) -> Vec<Self> {
        let text = |name| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let (op, value) = (text("op"), operation.get("value"));
        match (text("path"), value) {
            ("", Some(Value::Object(members))) => {
                members.iter().map(|(path, value)| Change { op, path, value: Some(value) }).collect()
            }
            (path, value) => vec![Change { op, path, value }],
        }
    }
}

fn membership(changes: &[Change<'_>], who: &str) -> String {
    let count = |change: &Change<'_>| change.value.and_then(Value::as_array).map_or(1, Vec::len);
    let sum = |word: &str| -> usize {
        changes.iter().filter(|change| change.op.eq_ignore_ascii_case(word)).map(&count).sum()
    };
    let members = |count: usize| if count == 1 { "1 member".to_owned() } else { format!("{count} members") };
    if changes.iter().any(|change| change.op.eq_ignore_ascii_case("replace")) {
        return format!("Set the members of {who}");
    }
    match (sum("add"), sum("remove")) {
        (added, 0) => format!("Added {} to {who}", members(added)),
        (0, removed) => format!("Took {} out of {who}", members(removed)),
        (added, removed) => format!("Added {} to {who} and took {} out", members(added), members(removed)),
    }
}
