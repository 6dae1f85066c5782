//! Which values of a document the table `resource_values` holds, and under which path and key.
//! Written here once, so that the rows and the filters that look for them cannot disagree.

use serde_json::{Map, Value};

use crate::scim::filter::{Field, Operator};
use crate::scim::path::Target;
use crate::scim::schema::{Attribute, Kind, ResourceType, Schema};
use crate::scim::text;

/// A row of `resource_values` but for its configuration and resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueKey {
    /// Canonical path, such as `emails.value`.
    pub path: String,
    /// The value prepared for comparison: [`text::key`] of it, or itself where case counts.
    pub key: String,
}

/// The rows that a resource's body needs, sorted and each once.
///
/// They cover indexed text that is multi-valued or lies in an extension; `members` and `groups` have a table of their own.
pub fn value_keys(resource_type: &ResourceType, body: &Map<String, Value>) -> Vec<ValueKey> {
    let mut rows = Vec::new();
    for attribute in &resource_type.schema.attributes {
        collect(
            resource_type,
            None,
            attribute,
            body.get(&*attribute.name),
            &mut rows,
        );
    }
    for extension in &resource_type.extensions {
        let Some(values) = body.get(&*extension.schema.id) else {
            continue;
        };
        for attribute in &extension.schema.attributes {
            collect(
                resource_type,
                Some(&extension.schema),
                attribute,
                values.get(&*attribute.name),
                &mut rows,
            );
        }
    }
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Whether values of the field are rows of `resource_values`.
pub(super) fn has_rows(resource_type: &ResourceType, field: &Field) -> bool {
    field.indexed
        && (field.multi_valued || field.extension.is_some())
        && !field.sub_multi_valued
        && matches!(field.kind, Kind::String | Kind::Reference)
        && super::filter_sql::Links::of(resource_type, field).is_none()
}

/// Whether the operator can be answered from the keys' order.
pub(super) fn by_key(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::Sw)
}

fn collect(
    resource_type: &ResourceType,
    extension: Option<&Schema>,
    attribute: &Attribute,
    value: Option<&Value>,
    rows: &mut Vec<ValueKey>,
) {
    let Some(value) = value else { return };
    let elements = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    for sub in std::iter::once(None).chain(attribute.sub_attributes.iter().map(Some)) {
        let target = Target {
            extension,
            attribute: Some(attribute),
            sub,
        };
        let Some(field) = Field::of(&target).filter(|field| has_rows(resource_type, field)) else {
            continue;
        };
        let values = elements.iter().filter_map(|element| match sub {
            None => element.as_str(),
            Some(sub) => element.get(&*sub.name)?.as_str(),
        });
        rows.extend(values.map(|value| ValueKey {
            path: field.to_string(),
            key: if field.case_exact {
                value.to_owned()
            } else {
                text::key(value).into_owned()
            },
        }));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE};

    #[track_caller]
    fn rows(resource_type: &ResourceType, body: &Value) -> Vec<(String, String)> {
        let rows = value_keys(resource_type, body.as_object().unwrap());
        rows.into_iter().map(|row| (row.path, row.key)).collect()
    }

    #[test]
    fn addresses_and_managers_are_kept_once_each() {
        let body = json!({
            "userName": "ada",
            "emails": [{"value": "ADA@x.example", "type": "work"}, {"value": "ada@X.example"}, {"type": "home"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "Boss"}, "department": "d"},
        });
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value";
        let want = [
            ("emails.value".to_owned(), "ada@x.example".to_owned()),
            (manager.to_owned(), "Boss".to_owned()),
        ];
        assert_eq!(rows(&USER_TYPE, &body), want);
    }

    #[test]
    fn names_and_members_have_other_indexes() {
        let body = json!({"displayName": "Staff", "members": [{"value": "1"}]});
        assert_eq!(rows(&GROUP_TYPE, &body), []);
        assert_eq!(
            rows(
                &USER_TYPE,
                &json!({"userName": "x", "groups": [{"value": "1"}]})
            ),
            []
        );
    }
}
