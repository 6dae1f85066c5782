//! Index keys of a resource: normalized values that the store writes in addition to the document so that filters can
//! use an index. The `indexed` flags of the schema tables select the attributes.

use serde_json::Value;

use super::schema::{Attribute, DataType, ResourceType};
use super::validate::Attributes;
use crate::scim::fold;

/// Index keys of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexKeys {
    /// Comparison key of `userName`.
    pub user_name: Option<String>,
    /// Comparison key of `displayName`.
    pub display_name: Option<String>,
    /// `externalId`, as sent.
    pub external_id: Option<String>,
    /// `active`.
    pub active: Option<bool>,
    /// The `display` value in references to the resource: its `displayName` (RFC 7643 section 2.4).
    pub label: Option<String>,
    /// Canonical path and comparison key of each value of the other indexed attributes, sorted, without duplicates.
    pub values: Vec<(String, String)>,
}

/// Returns the index keys of a resource's attributes.
pub fn build_index_keys(attributes: &Attributes, of: &ResourceType) -> IndexKeys {
    let text_of = |name: &str| attributes.get(name).and_then(Value::as_str);
    let (user_name, display_name) = (text_of("userName"), text_of("displayName"));
    let mut values = Vec::new();
    for attribute in &of.schema.attributes {
        if (attribute.kind == DataType::Complex || attribute.multi_valued)
            && let Some(value) = attributes.get(&*attribute.name)
        {
            collect_index_values(attribute, value, &attribute.name, &mut values);
        }
    }
    for extension in &of.extensions {
        let Some(values_of_extension) = attributes.get(&*extension.schema.id) else { continue };
        for attribute in &extension.schema.attributes {
            if let Some(value) = values_of_extension.get(&*attribute.name) {
                collect_index_values(
                    attribute,
                    value,
                    &format!("{}:{}", extension.schema.id, attribute.name),
                    &mut values,
                );
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    IndexKeys {
        user_name: user_name.map(|name| fold::fold_case(name).into_owned()),
        display_name: display_name.map(|name| fold::fold_case(name).into_owned()),
        external_id: text_of("externalId").map(str::to_owned),
        active: attributes.get("active").and_then(Value::as_bool),
        label: display_name.filter(|name| !name.trim().is_empty()).map(str::to_owned),
        values,
    }
}

fn collect_index_values(attribute: &Attribute, value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_index_values(attribute, item, path, into)),
        Value::Object(parts) => {
            for sub in attribute.sub_attributes.iter().filter(|sub| sub.indexed) {
                if let Some(Value::String(found)) = parts.get(&*sub.name) {
                    into.push((format!("{path}.{}", sub.name), build_comparison_key(sub, found)));
                }
            }
        }
        Value::String(found) if attribute.indexed => {
            into.push((path.to_owned(), build_comparison_key(attribute, found)));
        }
        _ => {}
    }
}

/// Returns the text in the form in which the attribute is compared: unchanged if `caseExact`, else its comparison key.
pub fn build_comparison_key(attribute: &Attribute, text: &str) -> String {
    if attribute.case_exact { text.to_owned() } else { fold::fold_case(text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::USER_TYPE;
    use serde_json::json;

    #[test]
    fn keys_follow_the_indexed_flags() {
        let user = json!({
            "externalId": "X1", "userName": "Ada@Example.com", "displayName": "Ada", "active": true,
            "emails": [{"value": "B@x"}, {"value": "A@x", "type": "work"}, {"value": "b@X", "type": "home"}],
            "phoneNumbers": [{"value": "1"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "M-1"}, "department": "D"},
        });
        let Value::Object(attributes) = user else { unreachable!() };
        let keys = build_index_keys(&attributes, &USER_TYPE);
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
