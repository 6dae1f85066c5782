//! A SCIM document as tables that people read: one row for each value, a table for each schema.

use serde_json::{Map, Value};

/// The attributes of one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// URN of an extension; empty for the resource's own attributes.
    pub(super) urn: String,
    pub(super) rows: Vec<Row>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Path of the attribute.
    pub(super) name: String,
    pub(super) value: String,
    /// What belongs to the value: `type work, primary`.
    pub(super) hint: String,
}

/// The document's values, its own attributes first.
pub(super) fn sections(document: &Map<String, Value>) -> Vec<Section> {
    let own = document.iter().filter(|(name, _)| !name.contains(':') && *name != "schemas");
    let mut rows = Vec::new();
    own.for_each(|(name, value)| flatten(name, value, &mut rows));
    let mut sections = vec![Section { urn: String::new(), rows }];
    for (urn, value) in document.iter().filter(|(name, _)| name.contains(':')) {
        let mut rows = Vec::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            flatten(name, value, &mut rows);
        }
        sections.push(Section { urn: urn.clone(), rows });
    }
    sections.retain(|section| !section.rows.is_empty());
    sections
}

/// The rows of one attribute. Attributes nest twice at most: an element of a list, and its parts.
fn flatten(name: &str, value: &Value, rows: &mut Vec<Row>) {
    let row = |name: String, value: String, hint: String| Row { name, value, hint };
    match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                rows.push(row(format!("{name}.{part}"), plain(value), String::new()));
            }
        }
        Value::Array(elements) => {
            for element in elements {
                let (value, hint) = element_of(element);
                rows.push(row(name.to_owned(), value, hint));
            }
        }
        single => rows.push(row(name.to_owned(), plain(single), String::new())),
    }
}

/// An element's value, and what else it says.
fn element_of(element: &Value) -> (String, String) {
    let Value::Object(parts) = element else { return (plain(element), String::new()) };
    let main = ["value", "formatted", "display"].into_iter().find(|name| parts.contains_key(*name));
    let hint = |(name, value): (&String, &Value)| match value {
        Value::Bool(true) => name.clone(),
        Value::Bool(false) => format!("not {name}"),
        other => format!("{name} {}", plain(other)),
    };
    let hints: Vec<String> = parts.iter().filter(|(name, _)| Some(name.as_str()) != main).map(hint).collect();
    match main {
        Some(main) => (plain(&parts[main]), hints.join(", ")),
        None => (hints.join(", "), String::new()),
    }
}

/// A value as people read it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        Value::Null => String::new(),
        Value::Array(elements) => elements.iter().map(shown).collect::<Vec<_>>().join("; "),
        other => shown(other),
    }
}

/// The same for a value within another one.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => {
            let (value, hint) = element_of(value);
            if hint.is_empty() { value } else { format!("{value} ({hint})") }
        }
        Value::Number(number) => number.to_string(),
        other => plain(other),
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
        let sections = sections(document.as_object().unwrap());
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
