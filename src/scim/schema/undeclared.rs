//! Attributes in requests that no schema declares: their names and types, never their values, which can be personal data.

use serde_json::{Map, Value};

use crate::error::{Error, Reason};
use crate::scim::path::{is_name, strip_schema_urn};
use crate::scim::schema::{DataType, ResourceType, SchemaText};

/// Maximum number of undeclared attributes that are collected from one request.
const PER_REQUEST_MAX: usize = 64;
/// Maximum length of a name in bytes. Longer names are not collected.
pub const NAME_MAX_BYTES: usize = 256;
/// How many elements of a list are searched for one that has a type.
const ELEMENTS_SEARCHED: usize = 16;

/// An attribute of a request that no schema declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeclaredAttribute {
    /// Name of the resource type.
    pub resource_type: SchemaText,
    /// Full path: `name`, `name.sub`, `URN:name` or `URN:name.sub`.
    pub name: String,
    /// Type of the value. `None` if it was null or empty.
    pub kind: Option<DataType>,
    /// Whether the value was a list.
    pub multi_valued: bool,
}

/// The undeclared attributes of one request, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndeclaredAttributes(Vec<UndeclaredAttribute>);

/// A parsed body that can contain undeclared attributes.
pub trait UndeclaredSource {
    /// Moves the undeclared attributes out of the parsed body.
    fn take_undeclared(&mut self) -> UndeclaredAttributes;
    /// Returns the undeclared attributes of a body that was refused because of them.
    fn collect_undeclared(body: &Value, of: &ResourceType) -> UndeclaredAttributes;
}

/// Returns the undeclared attributes of a body that was read with this result. Those of a refused body are searched only if
/// it was refused because of them.
pub fn find_undeclared<T: UndeclaredSource>(
    result: &mut Result<T, Error>,
    body: &Value,
    of: &ResourceType,
) -> UndeclaredAttributes {
    match result {
        Ok(parsed) => parsed.take_undeclared(),
        Err(refused) if is_about_undeclared(refused) => T::collect_undeclared(body, of),
        Err(_) => UndeclaredAttributes::default(),
    }
}

fn is_about_undeclared(refused: &Error) -> bool {
    let reason = refused.reason();
    let of_path = matches!(reason, Reason::PathAttributeUnknown | Reason::PathSubAttributeUnknown);
    of_path || matches!(reason, Reason::AttributeUnknown | Reason::SchemasForeign)
}

impl UndeclaredAttributes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an attribute by the path in the request, without filter. The object of an extension that the resource type does
    /// not have is added as its attributes; a complex attribute is added with its sub-attributes.
    pub(in crate::scim) fn add(&mut self, of: &ResourceType, path: &str, value: &Value) {
        if self.0.len() >= PER_REQUEST_MAX || path.len() > NAME_MAX_BYTES {
            return;
        }
        let name = canonical_path(of, path);
        match value {
            Value::Object(members) if is_whole_extension(of, &name) => {
                for (member, value) in members.iter().take(PER_REQUEST_MAX) {
                    self.add_attribute(of, format!("{name}:{member}"), value);
                }
            }
            _ => self.add_attribute(of, name, value),
        }
    }

    fn add_attribute(&mut self, of: &ResourceType, name: String, value: &Value) {
        let example = find_example(value);
        let parts = match example {
            Value::Object(parts) if DeclaredName::parse(&name).sub.is_none() => Some(parts),
            _ => None,
        };
        let multi_valued = value.is_array();
        let parts = parts.into_iter().flat_map(Map::iter).take(PER_REQUEST_MAX).filter(|(part, _)| is_name(part));
        let parts: Vec<_> = parts.map(|(part, value)| (format!("{name}.{part}"), value)).collect();
        self.push(of, name, data_type_of(example), multi_valued);
        for (name, value) in parts {
            self.push(of, name, data_type_of(find_example(value)), value.is_array());
        }
    }

    fn push(&mut self, of: &ResourceType, name: String, kind: Option<DataType>, multi_valued: bool) {
        // A key of an object can be a value by mistake, such as an e-mail address.
        let is_plain = |c: char| !c.is_control() && !matches!(c, '@' | '[' | ']' | '"' | '\'');
        let is_new = || !self.0.iter().any(|known| known.name.eq_ignore_ascii_case(&name));
        if self.0.len() < PER_REQUEST_MAX && name.len() <= NAME_MAX_BYTES && name.chars().all(is_plain) && is_new() {
            self.0.push(UndeclaredAttribute { resource_type: of.name.clone(), name, kind, multi_valued });
        }
    }
}

impl IntoIterator for UndeclaredAttributes {
    type Item = UndeclaredAttribute;
    type IntoIter = std::vec::IntoIter<UndeclaredAttribute>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The parts of a full path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredName<'n> {
    /// URN of the schema; `None` for a path without one.
    pub schema: Option<&'n str>,
    /// Name of the attribute.
    pub attribute: &'n str,
    /// Name of the sub-attribute.
    pub sub: Option<&'n str>,
}

impl<'n> DeclaredName<'n> {
    /// Splits a full path. The last colon ends the URN.
    pub fn parse(path: &'n str) -> Self {
        let (schema, rest) = path.rsplit_once(':').map_or((None, path), |(schema, rest)| (Some(schema), rest));
        let (attribute, sub) = rest.split_once('.').map_or((rest, None), |(name, sub)| (name, Some(sub)));
        Self { schema, attribute, sub }
    }

    /// Whether attribute and sub-attribute have names that a schema can declare (RFC 7643 section 2.1).
    pub fn is_valid(&self) -> bool {
        let is_plain_name = |text: &str| is_name(text) && !text.starts_with('$');
        is_plain_name(self.attribute) && self.sub.is_none_or(is_plain_name)
    }
}

/// Returns the path without the URN of the base schema, and with the current URN of an extension.
fn canonical_path(of: &ResourceType, path: &str) -> String {
    if let Some(rest) = strip_schema_urn(path, &of.schema).filter(|rest| !rest.is_empty()) {
        return rest.to_owned();
    }
    let schemas = of.extensions.iter().map(|extension| &extension.schema);
    let found = schemas.filter_map(|schema| Some((&schema.id, strip_schema_urn(path, schema)?)));
    match found.max_by_key(|(id, _)| id.len()).filter(|(_, rest)| !rest.is_empty()) {
        Some((id, rest)) => format!("{id}:{rest}"),
        None => path.to_owned(),
    }
}

/// Whether the path is the URN of a whole extension. By convention it ends with the name of the resource type, or the
/// version; the name of an attribute follows that.
fn is_whole_extension(of: &ResourceType, path: &str) -> bool {
    let mut segments = path.rsplit(':');
    let (Some(last), Some(previous)) = (segments.next(), segments.next()) else { return false };
    let is_declared = of.extensions.iter().any(|extension| {
        path.get(..extension.schema.id.len()).is_some_and(|start| start.eq_ignore_ascii_case(&extension.schema.id))
    });
    !is_declared && (last.eq_ignore_ascii_case(&of.name) || !previous.eq_ignore_ascii_case(&of.name))
}

/// Returns the value, or the first element of a list that has a type.
fn find_example(value: &Value) -> &Value {
    match value {
        Value::Array(items) => {
            items.iter().take(ELEMENTS_SEARCHED).find(|item| !item.is_null()).unwrap_or(&Value::Null)
        }
        single => single,
    }
}

fn data_type_of(value: &Value) -> Option<DataType> {
    match value {
        Value::Null | Value::Array(_) => None,
        Value::Bool(_) => Some(DataType::Boolean),
        Value::Number(number) if number.is_f64() => Some(DataType::Decimal),
        Value::Number(_) => Some(DataType::Integer),
        Value::String(_) => Some(DataType::String),
        Value::Object(_) => Some(DataType::Complex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::dialect::DialectRules;
    use crate::scim::patch::{Patch, parse_patch};
    use crate::scim::schema::USER_TYPE;
    use crate::scim::validate::{ResourceDraft, read_resource};
    use serde_json::json;

    const STRICT: DialectRules = DialectRules { strict: true, ..DialectRules::LENIENT };

    fn lines(found: UndeclaredAttributes) -> Vec<String> {
        let line = |one: UndeclaredAttribute| {
            let kind = one.kind.map_or("-", DataType::as_str);
            format!("{} {kind}{}", one.name, if one.multi_valued { "[]" } else { "" })
        };
        found.into_iter().map(line).collect()
    }

    fn of_body(body: &Value, rules: DialectRules) -> Vec<String> {
        let mut read: Result<ResourceDraft, Error> = read_resource(body, &USER_TYPE, rules);
        lines(find_undeclared(&mut read, body, &USER_TYPE))
    }

    fn of_patch(operations: &Value, rules: DialectRules) -> Vec<String> {
        let body = json!({"schemas": [crate::scim::urn::PATCH_OP], "Operations": operations});
        let mut read: Result<Patch, Error> = parse_patch(&body, &USER_TYPE, rules);
        lines(find_undeclared(&mut read, &body, &USER_TYPE))
    }

    #[test]
    fn the_undeclared_attributes_of_a_body_have_full_paths_and_types() {
        let body = json!({
            "schemas": [crate::scim::urn::USER, "urn:x:2.0:User"],
            "userName": "ada",
            "deskColour": "red",
            "floor": 3,
            "ratio": 1.5,
            "remote": true,
            "nothing": null,
            "tags": [null, "a"],
            "name": {"givenName": "Ada", "nick": "A"},
            "badge": {"number": "7", "a@x.org": "1"},
            "urn:x:2.0:User": {"cost": {"centre": "c", "codes": [1]}, "tag": "t"},
            "urn:x:2.0:User:flat": "f",
            "urn:okta:custom:group:1.0": {"note": "n"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"shoe": 9},
            "urn:scim:schemas:extension:enterprise:1.0": {"hat": "h"},
        });
        let expected = [
            "deskColour string",
            "floor integer",
            "ratio decimal",
            "remote boolean",
            "nothing -",
            "tags string[]",
            "name.nick string",
            "badge complex",
            "badge.number string",
            "urn:x:2.0:User:cost complex",
            "urn:x:2.0:User:cost.centre string",
            "urn:x:2.0:User:cost.codes integer[]",
            "urn:x:2.0:User:tag string",
            "urn:x:2.0:User:flat string",
            "urn:okta:custom:group:1.0:note string",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:shoe integer",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:hat string",
        ];
        let mut found = of_body(&body, DialectRules::LENIENT);
        found.sort();
        let mut expected = expected.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(found, expected);
        // The strict rules refuse the body, and find the same.
        let mut refused = of_body(&body, STRICT);
        refused.sort();
        assert_eq!(refused, expected);
    }

    #[test]
    fn the_undeclared_attributes_of_a_patch_have_full_paths_and_types() {
        let operations = json!([
            {"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:deskColour", "value": "x"},
            {"op": "add", "path": "emails[type eq \"work\"].shade", "value": "x"},
            {"op": "add", "path": "urn:x:2.0:User", "value": {"tag": "t"}},
            {"op": "add", "path": "urn:x:2.0:User:address", "value": {"street": "s"}},
            {"op": "add", "path": "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:shoe", "value": 1},
            {"op": "replace", "path": "active", "value": true},
        ]);
        let expected = [
            "deskColour string",
            "emails.shade string",
            "urn:x:2.0:User:tag string",
            "urn:x:2.0:User:address complex",
            "urn:x:2.0:User:address.street string",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:shoe integer",
        ];
        assert_eq!(of_patch(&operations, DialectRules::LENIENT), expected);
        assert_eq!(of_patch(&operations, STRICT), expected);
        let pathless = json!([{"op": "replace", "value": {"name.nick": "n", "urn:x:2.0:User:tag": "t", "desk": 1}}]);
        let found = of_patch(&pathless, DialectRules::LENIENT);
        assert_eq!(found, ["name.nick string", "urn:x:2.0:User:tag string", "desk integer"]);
    }

    #[test]
    fn the_number_and_the_length_of_names_are_bounded() {
        let mut body = json!({"userName": "ada", "x".repeat(NAME_MAX_BYTES + 1): 1});
        for number in 0..1_000 {
            body[format!("x{number}")] = json!({"a": 1, "b": 2});
        }
        let found = of_body(&body, DialectRules::LENIENT);
        assert!(found.len() == PER_REQUEST_MAX && found.iter().all(|line| line.len() < NAME_MAX_BYTES));
    }
}
