//! Deviations of identity providers from the RFCs: one named function per deviation, and the switches with which a
//! configuration accepts them.

use std::fmt;

use serde_json::{Map, Value};

use super::schema::Attribute;
use crate::named_enum::named_enum;

/// The rules by which a configuration reads requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialectRules {
    /// Reject the deviations that the functions of this module would convert.
    pub strict: bool,
    /// PATCH *replace* on a value path of `eq` terms that matches nothing creates the element,
    /// instead of the 400 noTarget of RFC 7644 section 3.5.2.3. Microsoft Entra ID depends on it.
    pub create_on_no_target: bool,
    /// A user's password is hashed and stored. Otherwise it is discarded when the request is read.
    pub store_passwords: bool,
    /// What a PATCH *remove* of `active` does.
    pub active_removal: ActiveRemoval,
}

/// What a PATCH *remove* of an attribute does that always has a meaning, such as `active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveRemoval {
    /// The stored value remains, with a note.
    Keep,
    /// The value is removed (RFC 7644 section 3.5.2.2).
    Remove,
    /// 400 mutability.
    Refuse,
}

impl DialectRules {
    /// The rules of the standard preset.
    pub const LENIENT: Self = Self {
        strict: false,
        create_on_no_target: false,
        store_passwords: false,
        active_removal: ActiveRemoval::Remove,
    };
}

named_enum! {
    /// What was accepted, skipped or ignored in a request. `messages` has the text of each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum NoteCode {
        /// `schemas` names a schema that the resource type does not have.
        ForeignSchemaIgnored = "foreign_schema_ignored",
        /// `schemas` does not name the schema of the resource.
        BaseSchemaAssumed = "base_schema_assumed",
        /// `schemas` does not name the schema of a PATCH request.
        PatchOpAssumed = "patch_op_assumed",
        /// `schemas` cannot be changed: it follows from the attributes.
        SchemasDerived = "schemas_derived",
        /// A write-only attribute that is not stored.
        ValueDiscarded = "value_discarded",
        /// An attribute that is in no schema.
        UnknownAttributeIgnored = "unknown_attribute_ignored",
        /// A PATCH without operations.
        NoOperations = "no_operations",
        /// Null for an attribute that keeps its value then.
        ValueRetained = "value_retained",
        /// A list of one value for an attribute with a single value.
        ListOfOneUnwrapped = "list_of_one_unwrapped",
        /// A PATCH path in an extension that the resource type does not have.
        UnknownExtensionIgnored = "unknown_extension_ignored",
        /// More than one primary value.
        FirstPrimaryAccepted = "first_primary_accepted",
        /// A boolean that was sent as text.
        BooleanAsText = "boolean_as_text",
        /// A value that was sent instead of an object.
        ConvertedToObject = "converted_to_object",
        /// An object that was sent as JSON text.
        JsonTextUnpacked = "json_text_unpacked",
        /// A member that does not exist.
        UnknownMemberSkipped = "unknown_member_skipped",
        /// A create request that activated an inactive resource of the same name.
        InactiveResourceActivated = "inactive_resource_activated",
        /// A create request that brought back a deleted resource.
        DeletedResourceRevived = "deleted_resource_revived",
        /// Users in a list whose response does not contain all their groups.
        GroupsShortened = "groups_shortened",
    }
}

/// One note: its code, and the attribute that it is about. Stored as `code` or `code attribute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectNote {
    /// What happened.
    pub code: NoteCode,
    /// The attribute.
    pub attribute: Option<String>,
}

impl DialectNote {
    /// Parses the stored form. `None` for the text of an earlier version.
    pub fn parse(stored: &str) -> Option<Self> {
        let (code, attribute) = stored.split_once(' ').map_or((stored, None), |(code, rest)| (code, Some(rest)));
        let code = code.parse().ok()?;
        Some(Self { code, attribute: attribute.map(str::to_owned) })
    }
}

impl fmt::Display for DialectNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        self.attribute.iter().try_for_each(|attribute| write!(f, " {attribute}"))
    }
}

/// The deviations that were accepted, skipped or ignored in one request, for the log. Notes name attributes, never
/// values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialectNotes(Vec<DialectNote>);

impl DialectNotes {
    /// Maximum number of notes per request.
    const MAX: usize = 16;

    /// Adds a note, unless the maximum is reached or the same note exists.
    pub fn add(&mut self, code: NoteCode) {
        self.push(DialectNote { code, attribute: None });
    }

    /// Adds a note about an attribute.
    pub fn add_for(&mut self, code: NoteCode, attribute: impl fmt::Display) {
        self.push(DialectNote { code, attribute: Some(attribute.to_string()) });
    }

    /// Adds the notes of another part of the request.
    pub fn extend(&mut self, notes: &Self) {
        notes.0.iter().for_each(|note| self.push(note.clone()));
    }

    fn push(&mut self, note: DialectNote) {
        if self.0.len() < Self::MAX && !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// Returns the notes in the order in which they were added.
    pub fn as_slice(&self) -> &[DialectNote] {
        &self.0
    }

    /// Whether there are no notes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Microsoft Entra ID and `OneLogin` send booleans as text, in any case ("False", "true").
pub fn parse_boolean_text(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Microsoft Entra ID and others send `manager` as the bare id of the manager.
pub fn reference_from_text(attribute: &Attribute, text: &str) -> Option<Value> {
    let refers = attribute.sub_attribute("value").is_some()
        && attribute.sub_attribute("$ref").is_some()
        && !attribute.multi_valued;
    refers.then(|| serde_json::json!({"value": text}))
}

/// Microsoft Entra ID's tutorial sends `manager` as an array of one object. Returns the only value of such a list, null
/// for an empty list (RFC 7643 section 2.5), and any other value itself. It is for what has a single value.
pub fn unwrap_list_of_one(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([]) => &Value::Null,
        Some([only]) => only,
        _ => value,
    }
}

/// `OneLogin` templates name the manager's id `managerId`. Entra ID's roles have `displayName` instead of `display`.
pub fn find_by_alias<'a>(attribute: &'a Attribute, name: &str) -> Option<&'a Attribute> {
    if attribute.name == "manager" && name.eq_ignore_ascii_case("managerId") {
        attribute.sub_attribute("value")
    } else if name.eq_ignore_ascii_case("displayName") {
        attribute.sub_attribute("display")
    } else {
        None
    }
}

/// Some clients send the elements of a list, such as roles, emails or phone numbers, as text instead of objects. The
/// text is the `value`.
pub fn element_from_text(attribute: &Attribute, text: &str) -> Option<Value> {
    let has_value = attribute.multi_valued && attribute.sub_attribute("value").is_some();
    has_value.then(|| serde_json::json!({"value": text}))
}

/// Microsoft Entra ID (`AppRoleAssignmentsComplex`) packs a role into JSON text: `{"id":…,"value":…,"displayName":…}`.
pub fn unpack_role(attribute: &Attribute, element: &mut Map<String, Value>) -> bool {
    if attribute.name != "roles" {
        return false;
    }
    let Some(Value::String(text)) = element.get("value") else { return false };
    if !text.trim_start().starts_with('{') {
        return false;
    }
    let Ok(Value::Object(packed)) = super::json::parse_json(text.as_bytes()) else { return false };
    let Some(value) = packed.get("value").filter(|value| value.is_string()) else { return false };
    element.insert("value".to_owned(), value.clone());
    if let Some(name) = packed.get("displayName").filter(|name| name.is_string()) {
        element.entry("display").or_insert_with(|| name.clone());
    }
    true
}

/// `OneLogin` templates leave `manager.managerId` empty if there is no manager: an empty id is no reference.
pub fn is_empty_reference(attribute: &Attribute, object: &Map<String, Value>) -> bool {
    attribute.sub_attribute("$ref").is_some()
        && object.get("value").and_then(Value::as_str).is_some_and(|id| id.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{ENTERPRISE_USER, USER};
    use serde_json::json;

    #[test]
    fn entra_sends_booleans_as_text() {
        assert_eq!(parse_boolean_text("False"), Some(false));
        assert_eq!(parse_boolean_text("tRUE"), Some(true));
        assert_eq!(parse_boolean_text("perhaps"), None);
    }

    #[test]
    fn entra_packs_a_role_into_json_text() {
        let roles = USER.attribute("roles").unwrap();
        let mut element = Map::new();
        element.insert("value".into(), json!(r#"{"id":"1","value":"admin","displayName":"Admin"}"#));
        assert!(unpack_role(roles, &mut element));
        assert_eq!(Value::Object(element), json!({"value": "admin", "display": "Admin"}));
    }

    #[test]
    fn a_manager_and_an_element_of_a_list_may_be_bare_text() {
        let manager = ENTERPRISE_USER.attribute("manager").unwrap();
        assert_eq!(reference_from_text(manager, "7"), Some(json!({"value": "7"})));
        let emails = USER.attribute("emails").unwrap();
        assert_eq!(reference_from_text(emails, "7"), None);
        assert_eq!(element_from_text(emails, "7"), Some(json!({"value": "7"})));
        assert_eq!(element_from_text(USER.attribute("addresses").unwrap(), "7"), None);
    }
}
