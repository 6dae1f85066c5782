//! A SCIM document as tables: one row for each value, one table for each schema.

use serde_json::{Map, Value};

use crate::messages::capitalize;
use crate::web::portal::texts;

/// The attributes of one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeSection {
    /// URN of an extension; empty for the resource's own attributes.
    pub(crate) urn: String,
    pub(crate) rows: Vec<AttributeRow>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeRow {
    /// Path of the attribute.
    pub(crate) name: String,
    pub(crate) value: String,
    /// The other sub-attributes of the value: `type work, primary`.
    pub(crate) hint: String,
}

impl AttributeSection {
    /// The heading of the section.
    pub(crate) fn title(&self) -> &str {
        match self.urn.as_str() {
            "" => texts::directory::CORE_ATTRIBUTES,
            urn if urn.eq_ignore_ascii_case("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User") => {
                texts::directory::ENTERPRISE_ATTRIBUTES
            }
            urn => urn,
        }
    }
}

impl AttributeRow {
    /// The label of the attribute: from a table, or its name with a capital letter.
    pub(crate) fn label(&self) -> String {
        let found = texts::directory::ATTRIBUTE_LABELS.iter().find(|(name, _)| *name == self.name);
        found.map_or_else(|| capitalize(&self.name), |(_, label)| (*label).to_owned())
    }
}

/// The sections of a document, those of the core schema first.
pub(crate) fn attribute_sections(document: &Map<String, Value>) -> Vec<AttributeSection> {
    let own = document.iter().filter(|(name, _)| !name.contains(':') && *name != "schemas");
    let mut rows = Vec::new();
    own.for_each(|(name, value)| flatten_attribute(name, value, &mut rows));
    let mut sections = vec![AttributeSection { urn: String::new(), rows }];
    for (urn, value) in document.iter().filter(|(name, _)| name.contains(':')) {
        let mut rows = Vec::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            flatten_attribute(name, value, &mut rows);
        }
        sections.push(AttributeSection { urn: urn.clone(), rows });
    }
    sections.retain(|section| !section.rows.is_empty());
    sections
}

/// Adds the rows of one attribute. Attributes nest two levels at most: an element of a list, and its sub-attributes.
fn flatten_attribute(name: &str, value: &Value, rows: &mut Vec<AttributeRow>) {
    let row = |name: String, value: String, hint: String| AttributeRow { name, value, hint };
    match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                rows.push(row(format!("{name}.{part}"), plain_value(value), String::new()));
            }
        }
        Value::Array(elements) => {
            for element in elements {
                let (value, hint) = split_element(element);
                rows.push(row(name.to_owned(), value, hint));
            }
        }
        single => rows.push(row(name.to_owned(), plain_value(single), String::new())),
    }
}

/// The main value of an element, and its other sub-attributes.
fn split_element(element: &Value) -> (String, String) {
    let Value::Object(parts) = element else { return (plain_value(element), String::new()) };
    let main = ["value", "formatted", "display"].into_iter().find(|name| parts.contains_key(*name));
    let hint = |(name, value): (&String, &Value)| match value {
        Value::Bool(true) => name.clone(),
        Value::Bool(false) => texts::directory::negate_sub_attribute(name),
        other => texts::labels::name_value(name, &plain_value(other)),
    };
    let hints: Vec<String> = parts.iter().filter(|(name, _)| Some(name.as_str()) != main).map(hint).collect();
    match main {
        Some(main) => (plain_value(&parts[main]), hints.join(", ")),
        None => (hints.join(", "), String::new()),
    }
}

/// A value as plain text.
pub(crate) fn plain_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        Value::Null => String::new(),
        Value::Array(elements) => elements.iter().map(nested_value).collect::<Vec<_>>().join("; "),
        other => nested_value(other),
    }
}

/// A nested value as plain text.
fn nested_value(value: &Value) -> String {
    match value {
        Value::Object(_) => {
            let (value, hint) = split_element(value);
            if hint.is_empty() { value } else { format!("{value} ({hint})") }
        }
        Value::Number(number) => number.to_string(),
        other => plain_value(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_has_a_row_and_each_extension_a_table() {
        let document = json!({
            "schemas": ["urn:a:User"],
            "userName": "alice",
            "active": false,
            "name": {"givenName": "Alice"},
            "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x"}],
            "addresses": [{"locality": "Bonn", "country": "DE"}],
            "urn:x:2.0:User": {"department": "D", "manager": {"value": "7"}},
        });
        let sections = attribute_sections(document.as_object().unwrap());
        let rows: Vec<String> = sections
            .iter()
            .flat_map(|section| {
                section.rows.iter().map(|row| format!("{}{}={}|{}", section.urn, row.name, row.value, row.hint))
            })
            .collect();
        for expected in [
            "userName=alice|",
            "active=false|",
            "name.givenName=Alice|",
            "emails=a@x|",
            "emails=b@x|",
            "urn:x:2.0:Userdepartment=D|",
            "urn:x:2.0:Usermanager.value=7|",
        ] {
            assert!(rows.iter().any(|row| row.starts_with(expected)), "{expected}: {rows:?}");
        }
        assert!(rows.iter().any(|row| row.contains("country DE") && row.contains("locality Bonn")), "{rows:?}");
        assert!(!rows.iter().any(|row| row.contains("schemas")));
        assert!(rows.iter().any(|row| row.contains("primary") && row.contains("type work")), "{rows:?}");
    }
}
