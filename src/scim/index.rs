//! What the store keeps beside a document so that filters find it: keys prepared for comparison,
//! read off the table's *indexed* marks.

use serde_json::Value;

use super::schema::{Attribute, Kind, ResourceType};
use super::text;
use super::validate::Attributes;

/// Keys of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// `userName`, prepared.
    pub user_name: Option<String>,
    /// `displayName`, prepared.
    pub display_name: Option<String>,
    /// `externalId`, as sent.
    pub external_id: Option<String>,
    /// `active`.
    pub active: Option<bool>,
    /// What others show for the resource: its `displayName` (RFC 7643 section 2.4, `display`).
    pub label: Option<String>,
    /// Canonical path and key of each value of the other indexed attributes, sorted, without doubles.
    pub values: Vec<(String, String)>,
}

/// Reads the keys off a document.
pub fn keys(attributes: &Attributes, of: &ResourceType) -> Keys {
    let text_of = |name: &str| attributes.get(name).and_then(Value::as_str);
    let (user_name, display_name) = (text_of("userName"), text_of("displayName"));
    let mut values = Vec::new();
    for attribute in &of.schema.attributes {
        if (attribute.kind == Kind::Complex || attribute.multi_valued)
            && let Some(value) = attributes.get(&*attribute.name)
        {
            collect(attribute, value, &attribute.name, &mut values);
        }
    }
    for extension in &of.extensions {
        let Some(given) = attributes.get(&*extension.schema.id) else { continue };
        for attribute in &extension.schema.attributes {
            if let Some(value) = given.get(&*attribute.name) {
                collect(attribute, value, &format!("{}:{}", extension.schema.id, attribute.name), &mut values);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    Keys {
        user_name: user_name.map(|name| text::key(name).into_owned()),
        display_name: display_name.map(|name| text::key(name).into_owned()),
        external_id: text_of("externalId").map(str::to_owned),
        active: attributes.get("active").and_then(Value::as_bool),
        label: display_name.filter(|name| !name.trim().is_empty()).map(str::to_owned),
        values,
    }
}

fn collect(attribute: &Attribute, value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(attribute, item, path, into)),
        Value::Object(parts) => {
            for sub in attribute.sub_attributes.iter().filter(|sub| sub.indexed) {
                if let Some(Value::String(found)) = parts.get(&*sub.name) {
                    into.push((format!("{path}.{}", sub.name), comparison_key(sub, found)));
                }
            }
        }
        Value::String(found) if attribute.indexed => into.push((path.to_owned(), comparison_key(attribute, found))),
        _ => {}
    }
}

/// Text as the attribute compares it: exactly, or by its key.
pub fn comparison_key(attribute: &Attribute, text: &str) -> String {
    if attribute.case_exact { text.to_owned() } else { text::key(text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::USER_TYPE;
    use serde_json::json;

    #[test]
    fn keys_follow_the_marks_of_the_table() {
        let user = json!({
            "externalId": "X1", "userName": "Ada@Example.com", "displayName": "Ada", "active": true,
            "emails": [{"value": "B@x"}, {"value": "A@x", "type": "work"}, {"value": "b@X", "type": "home"}],
            "phoneNumbers": [{"value": "1"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "M-1"}, "department": "D"},
        });
        let Value::Object(attributes) = user else { unreachable!() };
        let keys = keys(&attributes, &USER_TYPE);
        assert_eq!(keys.user_name.as_deref(), Some("ada@example.com"));
        assert_eq!(keys.external_id.as_deref(), Some("X1"));
        assert_eq!(keys.label.as_deref(), Some("Ada"));
        let pairs: Vec<_> = keys.values.iter().map(|(path, key)| (path.as_str(), key.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("emails.value", "a@x"),
                ("emails.value", "b@x"),
                ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", "M-1"),
            ]
        );
    }
}
