//! Events of resources and configurations. Their kinds have the form `subject.action`.

use std::fmt;

use serde_json::{Map, Value};

use crate::clock::{Millis, format_rfc3339};
use crate::named_enum::named_enum;

named_enum! {
    /// The action that an event reports.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum EventAction {
        /// The subject was created.
        Created = "created",
        /// The subject was changed.
        Updated = "updated",
        /// A user changed from active to inactive.
        Deactivated = "deactivated",
        /// A user changed from inactive to active.
        Reactivated = "reactivated",
        /// The subject was deleted.
        Deleted = "deleted",
        /// A deleted user or group was brought back, with the same id.
        Restored = "restored",
        /// A member was added to a group.
        MemberAdded = "member_added",
        /// A member was removed from a group.
        MemberRemoved = "member_removed",
        /// The changes of a configuration wait for a decision, because its identity provider removed too much.
        Held = "held",
        /// An admin sent a test event. Nothing changed.
        Tested = "tested",
    }
}

/// The kind of an event. `Display` gives the stored form: `user.created`, `group.member_added`,
/// `configuration.deleted`.
///
/// Resource types are an open set, because a configuration may define its own: a type `Device` has `device.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// An event of a resource. The name is that of its `ResourceType` (`User`, `Group`, or a custom type).
    Resource(&'a str, EventAction),
    /// An event of a configuration.
    Configuration(EventAction),
}

impl fmt::Display for EventKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(name, action) => {
                write!(f, "{}.{}", name.to_ascii_lowercase(), action.as_str())
            }
            Self::Configuration(action) => write!(f, "configuration.{}", action.as_str()),
        }
    }
}

/// Member that replaces the data of an event when its configuration is purged.
pub const REDACTED: &str = "\"redacted\":true";

/// The kinds of the events that the feed publishes.
pub const PUBLISHED_KINDS: [&str; 17] = [
    "user.created",
    "user.updated",
    "user.deactivated",
    "user.reactivated",
    "user.deleted",
    "user.restored",
    "group.created",
    "group.updated",
    "group.deleted",
    "group.restored",
    "group.member_added",
    "group.member_removed",
    "configuration.created",
    "configuration.updated",
    "configuration.deleted",
    CONFIGURATION_HELD,
    CONFIGURATION_TESTED,
];

/// The kind of the event of a hold. Only the operator receives it.
pub const CONFIGURATION_HELD: &str = "configuration.held";

/// The kind of a test event. It reports no change.
pub const CONFIGURATION_TESTED: &str = "configuration.tested";

/// Returns the kinds that a comma-separated list selects. `user.*` selects all kinds of users.
///
/// # Errors
/// The first item that selects nothing.
pub fn parse_kinds(list: &str) -> Result<Vec<&'static str>, &str> {
    let mut selected = Vec::new();
    for item in list.split(',') {
        let subject = item.strip_suffix('*').filter(|subject| subject.ends_with('.') && subject.len() > 1);
        let is_selected = |kind: &&str| subject.map_or(*kind == item, |subject| kind.starts_with(subject));
        let before = selected.len();
        selected.extend(PUBLISHED_KINDS.into_iter().filter(is_selected));
        if selected.len() == before {
            return Err(item);
        }
    }
    Ok(selected)
}

/// The resource that an event is about, in the version that the event reports.
#[derive(Debug, Clone, Copy)]
pub struct EventSubject<'a> {
    /// Name of the resource type.
    pub resource_type: &'a str,
    /// Id of the resource.
    pub id: &'a str,
    /// Version of the resource after the change, or the last version of a deleted one.
    pub version: i64,
    /// Time of that version.
    pub last_modified: Millis,
}

impl EventSubject<'_> {
    /// Returns the payload to store. `members` are the members of its JSON object, without braces.
    pub fn build_payload(&self, members: &str) -> String {
        let last_modified = format_rfc3339(self.last_modified);
        format!("{VERSION_START}{}{LAST_MODIFIED_START}{last_modified}\",{members}}}", self.version)
    }
}

/// How a payload with a version begins. Payloads of earlier programs have none.
const VERSION_START: &str = "{\"version\":";
const LAST_MODIFIED_START: &str = ",\"lastModified\":\"";

/// A payload, split into the version of the resource and the data of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventContent {
    /// Version of the resource. `None` for events of configurations, and of earlier programs.
    pub version: Option<i64>,
    /// Time of that version, in RFC 3339 format.
    pub last_modified: Option<String>,
    /// The data: JSON text.
    pub data: String,
}

impl EventContent {
    /// Splits a payload. Values of extensions in payloads of earlier programs get the same nesting as in later ones.
    pub fn from_payload(payload: String) -> Self {
        if let Some((version, last_modified, members)) = split_version(&payload) {
            let data = format!("{{{members}");
            return Self { version: Some(version), last_modified: Some(last_modified.to_owned()), data };
        }
        let data = nest_extension_values(&payload).unwrap_or(payload);
        Self { version: None, last_modified: None, data }
    }
}

fn split_version(payload: &str) -> Option<(i64, &str, &str)> {
    let (version, rest) = payload.strip_prefix(VERSION_START)?.split_once(LAST_MODIFIED_START)?;
    let (last_modified, members) = rest.split_once("\",")?;
    Some((version.parse().ok()?, last_modified, members))
}

/// Earlier programs stored the changed values of extensions by path: `{"urn:…:User:department": "x"}`.
fn nest_extension_values(payload: &str) -> Option<String> {
    if !payload.starts_with("{\"changed\"") && !payload.contains("\"changed\":[") {
        return None;
    }
    let mut document: Map<String, Value> = serde_json::from_str(payload).ok()?;
    let changed = document.get("changed").and_then(Value::as_array).cloned()?;
    for path in changed.iter().filter_map(Value::as_str).filter(|path| path.contains(':')) {
        for side in ["before", "after"] {
            if let Some(Value::Object(values)) = document.get_mut(side)
                && let Some(value) = values.shift_remove(path)
            {
                insert_at_path(values, path, value);
            }
        }
    }
    Some(Value::Object(document).to_string())
}

/// Inserts a value at the path of an attribute, nested as in a resource.
pub fn insert_at_path(values: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((extension, name)) = path.rsplit_once(':') else {
        values.insert(path.to_owned(), value);
        return;
    };
    let parts = values.entry(extension).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(parts) = parts {
        parts.insert(name.to_owned(), value);
    }
}

/// Returns the value at the path of an attribute in `before` or `after`. Payloads of earlier programs are not nested.
pub fn find_at_path<'v>(values: &'v Value, path: &str) -> Option<&'v Value> {
    values.get(path).or_else(|| {
        let (extension, name) = path.rsplit_once(':')?;
        values.get(extension)?.get(name)
    })
}

/// Returns the resource type of a stored kind. For the standard types it equals the name of the `ResourceType`.
pub fn parse_resource_type(kind: &str) -> String {
    let subject = kind.split('.').next().unwrap_or_default();
    let mut letters = subject.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// A stored event, as the feed, the webhooks and the history read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Sequence number in commit order; increasing, may have gaps.
    pub seq: i64,
    /// Account of the configuration.
    pub account: String,
    /// Key of the configuration in this database.
    pub configuration: i64,
    /// Public id of the configuration; none if its row no longer exists.
    pub configuration_id: Option<String>,
    /// Text form of its [`EventKind`].
    pub kind: String,
    /// Id of the resource; none if the configuration itself is the subject.
    pub resource_id: Option<String>,
    /// JSON text: version and time of the resource, and the data of the event; see [`EventContent`]. Never contains a
    /// password.
    pub payload: String,
    /// When the change was committed.
    pub created_at: Millis,
    /// Id of the request that made the change; none for changes of the server itself and of earlier versions.
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_kinds_has_names_and_subjects() {
        assert_eq!(parse_kinds("user.created,group.member_added").unwrap(), ["user.created", "group.member_added"]);
        assert_eq!(parse_kinds("configuration.*").unwrap(), PUBLISHED_KINDS[12..]);
        assert_eq!(parse_kinds("user.*").unwrap().len(), 6);
        for (list, wrong) in [
            ("", ""),
            ("user", "user"),
            ("user.", "user."),
            ("*", "*"),
            (".*", ".*"),
            ("user.*,device.*", "device.*"),
            ("user.created,", ""),
        ] {
            assert_eq!(parse_kinds(list), Err(wrong), "{list}");
        }
    }

    #[test]
    fn a_payload_is_split_into_version_and_data() {
        let subject = EventSubject { resource_type: "User", id: "1", version: 7, last_modified: 1_500 };
        let payload = subject.build_payload("\"after\":{\"a\":\"\\\",x\"}");
        let content = EventContent::from_payload(payload.clone());
        assert_eq!(content.version, Some(7));
        assert_eq!(content.last_modified.as_deref(), Some("1970-01-01T00:00:01.500Z"));
        assert_eq!(content.data, "{\"after\":{\"a\":\"\\\",x\"}}");
        let parsed: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!((&parsed["version"], &parsed["after"]["a"]), (&7.into(), &"\",x".into()));
    }

    #[test]
    fn payloads_of_earlier_programs_are_nested_and_have_no_version() {
        let flat = r#"{"changed":["title","urn:x:2.0:User:department","urn:x:2.0:User:division"],"before":{"urn:x:2.0:User:division":"V"},"after":{"title":"T","urn:x:2.0:User:department":"D"}}"#;
        let content = EventContent::from_payload(flat.to_owned());
        assert_eq!((content.version, content.last_modified), (None, None));
        let nested: Value = serde_json::from_str(&content.data).unwrap();
        let expected = r#"{"changed":["title","urn:x:2.0:User:department","urn:x:2.0:User:division"],"before":{"urn:x:2.0:User":{"division":"V"}},"after":{"title":"T","urn:x:2.0:User":{"department":"D"}}}"#;
        assert_eq!(nested, serde_json::from_str::<Value>(expected).unwrap());
        let found = |side: &str, path: &str| find_at_path(&nested[side], path).cloned();
        assert_eq!(found("after", "urn:x:2.0:User:department"), Some("D".into()));
        assert_eq!(found("after", "title"), Some("T".into()));
        assert_eq!(found("after", "urn:x:2.0:User:division"), None);
        for other in ["{\"purged\":true}", "{\"preset\":\"okta\"}", "{\"after\":{}}"] {
            assert_eq!(EventContent::from_payload(other.to_owned()).data, other);
        }
    }

    #[test]
    fn the_type_of_a_kind_is_the_scim_resource_type() {
        for (kind, name) in [("user.created", "User"), ("group.member_added", "Group"), ("", "")] {
            assert_eq!(parse_resource_type(kind), name);
        }
    }

    #[test]
    fn kinds_have_the_documented_names() {
        use EventAction::{
            Created, Deactivated, Deleted, Held, MemberAdded, MemberRemoved, Reactivated, Restored, Tested, Updated,
        };
        for (kind, text) in [
            (EventKind::Resource("User", Created), "user.created"),
            (EventKind::Resource("User", Updated), "user.updated"),
            (EventKind::Resource("User", Deactivated), "user.deactivated"),
            (EventKind::Resource("User", Reactivated), "user.reactivated"),
            (EventKind::Resource("User", Deleted), "user.deleted"),
            (EventKind::Resource("Group", Restored), "group.restored"),
            (EventKind::Resource("Group", MemberAdded), "group.member_added"),
            (EventKind::Resource("Group", MemberRemoved), "group.member_removed"),
            (EventKind::Resource("Device", Created), "device.created"),
            (EventKind::Configuration(Created), "configuration.created"),
            (EventKind::Configuration(Deleted), "configuration.deleted"),
            (EventKind::Configuration(Held), CONFIGURATION_HELD),
            (EventKind::Configuration(Tested), CONFIGURATION_TESTED),
        ] {
            assert_eq!(kind.to_string(), text);
        }
    }
}
