//! Index keys of a resource: normalized values that the store writes in addition to the document so that filters can
//! use an index. The `indexed` flags of the schema tables select the attributes.

use serde_json::Value;

use super::schema::{Attribute, DataType, ResourceType};
use super::validate::Attributes;
use crate::error::{Error, Reason};
use crate::scim::fold;

/// Longest `display` value in a reference. A group repeats it for each member, so it is limited.
const LABEL_MAX_CHARS: usize = 256;

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
    /// The `display` value in references to the resource: its `displayName` (RFC 7643 section 2.4), at most 256 characters.
    pub label: Option<String>,
    /// Canonical path and comparison key of each value of the other indexed attributes, sorted, without duplicates.
    pub values: Vec<(String, String)>,
}

/// Maximum length of the text that is not ASCII in the indexed values of a resource, in bytes. It limits the cost of the
/// keys: such text costs a hundred times more than ASCII and can become eleven times longer.
pub const FOREIGN_TEXT_MAX_BYTES: usize = 128 * 1024;

/// Returns the index keys of a resource's attributes.
pub fn build_index_keys(attributes: &Attributes, of: &ResourceType) -> IndexKeys {
    let mut values = Vec::new();
    for (path, attribute, value) in indexed_attributes(attributes, of) {
        collect_index_values(attribute, value, path, &mut values);
    }
    build_keys(attributes, values)
}

/// Returns the index keys before and after a change. `values` contains only the keys of changed attributes.
pub fn build_changed_index_keys(before: &Attributes, after: &Attributes, of: &ResourceType) -> (IndexKeys, IndexKeys) {
    (build_keys_unless_equal(before, after, of), build_keys_unless_equal(after, before, of))
}

fn build_keys_unless_equal(attributes: &Attributes, others: &Attributes, of: &ResourceType) -> IndexKeys {
    let mut values = Vec::new();
    for (position, attribute, value) in indexed_attributes(attributes, of) {
        if find_value(others, position) != Some(value) {
            collect_index_values(attribute, value, position, &mut values);
        }
    }
    build_keys(attributes, values)
}

/// Checks the length of the text that is not ASCII in the indexed values. A resource that already has more may get less.
///
/// # Errors
/// 413 above [`FOREIGN_TEXT_MAX_BYTES`].
pub fn check_indexed_text(before: Option<&Attributes>, after: &Attributes, of: &ResourceType) -> Result<(), Error> {
    let length = count_indexed_bytes(after, of);
    if length > FOREIGN_TEXT_MAX_BYTES && before.is_none_or(|before| length >= count_indexed_bytes(before, of)) {
        return Err(Reason::IndexedTextTooLarge.with("max", FOREIGN_TEXT_MAX_BYTES / 1024));
    }
    Ok(())
}

fn count_indexed_bytes(attributes: &Attributes, of: &ResourceType) -> usize {
    let names = ["userName", "displayName"].into_iter().filter_map(|name| attributes.get(name));
    let values = indexed_attributes(attributes, of).map(|(.., value)| value);
    names.chain(values).map(count_foreign_bytes).sum()
}

fn count_foreign_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) if text.is_ascii() => 0,
        Value::String(text) => text.bytes().filter(|byte| !byte.is_ascii()).count(),
        Value::Array(items) => items.iter().map(count_foreign_bytes).sum(),
        Value::Object(parts) => parts.values().map(count_foreign_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Where an attribute is in a document: the URI of its extension, and its name.
type AttributePosition<'a> = (Option<&'a str>, &'a str);

fn find_value<'a>(attributes: &'a Attributes, (extension, name): AttributePosition<'_>) -> Option<&'a Value> {
    match extension {
        None => attributes.get(name),
        Some(uri) => attributes.get(uri)?.get(name),
    }
}

/// Returns the values of attributes that have index values, in addition to the names.
fn indexed_attributes<'a>(
    attributes: &'a Attributes,
    of: &'a ResourceType,
) -> impl Iterator<Item = (AttributePosition<'a>, &'a Attribute, &'a Value)> {
    let is_indexed =
        |attribute: &&Attribute| attribute.indexed || attribute.sub_attributes.iter().any(|sub| sub.indexed);
    let base = of.schema.attributes.iter().filter(|attribute| {
        // The single texts of the base schema have columns.
        attribute.kind == DataType::Complex || attribute.multi_valued
    });
    let extended = of.extensions.iter().flat_map(|extension| {
        extension.schema.attributes.iter().map(|attribute| (Some(&*extension.schema.id), attribute))
    });
    base.map(|attribute| (None, attribute))
        .chain(extended)
        .filter(move |(_, attribute)| is_indexed(attribute))
        .filter_map(|(extension, attribute)| {
            let position = (extension, &*attribute.name);
            Some((position, attribute, find_value(attributes, position)?))
        })
}

fn build_keys(attributes: &Attributes, mut values: Vec<(String, String)>) -> IndexKeys {
    let text_of = |name: &str| attributes.get(name).and_then(Value::as_str);
    let (user_name, display_name) = (text_of("userName"), text_of("displayName"));
    values.sort_unstable();
    values.dedup();
    IndexKeys {
        user_name: user_name.map(|name| fold::fold_case(name).into_owned()),
        display_name: display_name.map(|name| fold::fold_case(name).into_owned()),
        external_id: text_of("externalId").map(str::to_owned),
        active: attributes.get("active").and_then(Value::as_bool),
        label: display_name.filter(|name| !name.trim().is_empty()).map(shorten_label),
        values,
    }
}

fn shorten_label(name: &str) -> String {
    let end = name.char_indices().nth(LABEL_MAX_CHARS).map_or(name.len(), |(end, _)| end);
    name[..end].to_owned()
}

fn collect_index_values(
    attribute: &Attribute,
    value: &Value,
    position: AttributePosition<'_>,
    into: &mut Vec<(String, String)>,
) {
    let path = |sub: Option<&str>| {
        let mut path = position.0.map_or_else(String::new, |uri| format!("{uri}:"));
        path.push_str(position.1);
        if let Some(sub) = sub {
            path.push('.');
            path.push_str(sub);
        }
        path
    };
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_index_values(attribute, item, position, into)),
        Value::Object(parts) => {
            for sub in attribute.sub_attributes.iter().filter(|sub| sub.indexed) {
                if let Some(Value::String(found)) = parts.get(&*sub.name) {
                    into.push((path(Some(&sub.name)), build_comparison_key(sub, found)));
                }
            }
        }
        Value::String(found) if attribute.indexed => {
            into.push((path(None), build_comparison_key(attribute, found)));
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
        let mut changed = attributes.clone();
        changed["emails"][0]["value"] = json!("C@x");
        let (before, after) = build_changed_index_keys(&attributes, &changed, &USER_TYPE);
        assert_eq!((before.values.len(), after.values.len()), (2, 3), "the manager does not change");
        let (before, after) = build_changed_index_keys(&attributes, &attributes, &USER_TYPE);
        assert!(before.values.is_empty() && before == after && before.user_name.is_some());
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

    #[test]
    fn the_display_value_of_references_is_limited() {
        assert_eq!(shorten_label("Ada"), "Ada");
        assert_eq!(shorten_label(&"é".repeat(256)), "é".repeat(256));
        assert_eq!(shorten_label(&"é".repeat(60_000)), "é".repeat(256));
    }

    #[test]
    fn text_that_is_not_ascii_is_limited_in_indexed_values() {
        let user = |letter: &str, count: usize| {
            let emails: Vec<Value> =
                (0..count).map(|n| json!({"value": format!("{n}{}", letter.repeat(1024))})).collect();
            let Value::Object(user) = json!({"userName": "a", "emails": emails, "title": "é".repeat(30_000)}) else {
                unreachable!()
            };
            user
        };
        let check = |before: Option<Attributes>, after| check_indexed_text(before.as_ref(), &after, &USER_TYPE).is_ok();
        assert!(check(None, user("x", 1000)));
        assert!(check(None, user("é", 64)));
        assert!(!check(None, user("é", 65)));
        assert!(check(Some(user("é", 66)), user("é", 65)));
        assert!(!check(Some(user("é", 65)), user("é", 65)));
    }
}
