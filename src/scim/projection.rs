//! Selection of the attributes in a response (RFC 7644 section 3.9).

use serde_json::{Map, Value};

use crate::error::{Error, Reason};
use crate::scim::filter::find_closing_bracket;
use crate::scim::path::AttrPath;
use crate::scim::schema::{Attribute, ResourceType, Returned};

/// A projection, checked against a resource type. Names that are in no schema select nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    mode: ProjectionMode,
    selected: Vec<SelectedAttribute>,
    /// Whether the type has attributes that are returned only on request, or never.
    has_hidden_attributes: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ProjectionMode {
    /// All attributes that are returned by default.
    #[default]
    Whole,
    /// The attributes that are always returned, and the selected ones.
    Only,
    /// All attributes except the selected ones.
    Without,
}

/// A selected attribute, by canonical names; without `attribute` the whole extension.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SelectedAttribute {
    extension: Option<String>,
    attribute: Option<String>,
    sub: Option<String>,
}

impl Projection {
    /// Parses `attributes` and `excludedAttributes`, both comma-separated. An empty list is the same as no list. If
    /// both are given, `attributes` takes precedence.
    ///
    /// # Errors
    /// 400 invalidValue if the rules are strict, and both are given or a name has a filter in brackets.
    pub fn read(
        attributes: Option<&str>,
        excluded: Option<&str>,
        of: &ResourceType,
        strict: bool,
    ) -> Result<Self, Error> {
        let given = |list: Option<&str>| list.is_some_and(|list| list.split(',').any(|name| !name.trim().is_empty()));
        let (mode, list) = match (given(attributes), given(excluded)) {
            (true, true) if strict => {
                return Err(Error::new(Reason::ProjectionConflict));
            }
            (true, _) => (ProjectionMode::Only, attributes),
            (false, true) => (ProjectionMode::Without, excluded),
            (false, false) => return Ok(Self { has_hidden_attributes: has_hidden_attributes(of), ..Self::default() }),
        };
        let list = list.unwrap_or_default();
        if strict && list.contains('[') {
            return Err(Error::new(Reason::ProjectionFiltered));
        }
        let mut selected = Vec::new();
        for (name, has_filter) in split_names(list) {
            // The attribute of some elements cannot be left out, and the other elements must not be.
            if has_filter && mode == ProjectionMode::Without {
                continue;
            }
            let Ok(target) = AttrPath::parse(&name).and_then(|path| path.resolve(of)) else { continue };
            let item = SelectedAttribute {
                extension: target.extension.map(|schema| schema.id.clone().into_owned()),
                attribute: target.attribute.map(|attribute| attribute.name.clone().into_owned()),
                sub: target.sub.map(|sub| sub.name.clone().into_owned()),
            };
            if !selected.contains(&item) {
                selected.push(item);
            }
        }
        Ok(Self { mode, selected, has_hidden_attributes: has_hidden_attributes(of) })
    }

    /// Whether the response can contain this attribute of the base schema.
    pub fn needs(&self, attribute: &str) -> bool {
        let mut named =
            self.selected.iter().filter(|item| item.is_in(None) && item.attribute.as_deref() == Some(attribute));
        match self.mode {
            ProjectionMode::Whole => true,
            ProjectionMode::Only => named.next().is_some(),
            ProjectionMode::Without => !named.any(|item| item.sub.is_none()),
        }
    }

    /// Whether the client selected attributes by name, so that the response to a write must contain the resource.
    pub fn selects_by_name(&self) -> bool {
        self.mode == ProjectionMode::Only
    }

    /// Whether the projection removes no attributes except these of the base schema.
    pub fn only_leaves_out(&self, attributes: &[&str]) -> bool {
        let left_out = |item: &SelectedAttribute| {
            let whole = item.is_in(None) && item.sub.is_none();
            whole && item.attribute.as_deref().is_some_and(|name| attributes.contains(&name))
        };
        !self.has_hidden_attributes
            && (self.mode == ProjectionMode::Whole
                || (self.mode == ProjectionMode::Without && self.selected.iter().all(left_out)))
    }

    /// Returns the document with only the attributes of the projection.
    pub fn apply(&self, document: Map<String, Value>, of: &ResourceType) -> Map<String, Value> {
        if self.mode == ProjectionMode::Whole && !self.has_hidden_attributes {
            return document;
        }
        let mut projected = Map::new();
        for (name, value) in document {
            if let Some(attribute) = of.attribute(&name) {
                if let Some(value) = self.project_attribute(None, attribute, value) {
                    projected.insert(name, value);
                }
            } else if let (Some(schema), Value::Object(parts)) = (of.extension(&name), value) {
                let whole = self.selected.iter().any(|item| item.is_in(Some(&name)) && item.attribute.is_none());
                let remaining: Map<String, Value> = match (self.mode, whole) {
                    (ProjectionMode::Only, true) => parts,
                    (ProjectionMode::Without, true) => Map::new(),
                    _ => parts
                        .into_iter()
                        .filter_map(|(part, value)| {
                            let attribute = schema.attribute(&part)?;
                            Some((part, self.project_attribute(Some(&name), attribute, value)?))
                        })
                        .collect(),
                };
                if !remaining.is_empty() {
                    projected.insert(name, Value::Object(remaining));
                }
            }
        }
        projected
    }

    fn project_attribute(&self, extension: Option<&str>, attribute: &Attribute, value: Value) -> Option<Value> {
        if attribute.returned == Returned::Always {
            return Some(value);
        }
        let here: Vec<&SelectedAttribute> = self
            .selected
            .iter()
            .filter(|item| item.is_in(extension) && item.attribute.as_deref() == Some(&*attribute.name))
            .collect();
        let whole = here.iter().any(|item| item.sub.is_none());
        let asked = self.mode == ProjectionMode::Only && !here.is_empty();
        if attribute.returned == Returned::Never || (attribute.returned == Returned::Request && !asked) {
            return None;
        }
        let value = if self.has_hidden_attributes && attribute.sub_attributes.iter().any(is_hidden) {
            let named = |part: &str| {
                self.mode == ProjectionMode::Only && here.iter().any(|item| item.sub.as_deref() == Some(part))
            };
            let shows = |part: &str| {
                attribute.sub_attribute(part).is_none_or(|sub| match sub.returned {
                    Returned::Never => false,
                    Returned::Request => named(part),
                    Returned::Always | Returned::Default => true,
                })
            };
            retain_parts(value, &shows)?
        } else {
            value
        };
        match (self.mode, whole, here.is_empty()) {
            (ProjectionMode::Only, true, _) | (ProjectionMode::Without, _, true) | (ProjectionMode::Whole, ..) => {
                Some(value)
            }
            (ProjectionMode::Only, false, true) | (ProjectionMode::Without, true, _) => None,
            (mode, false, false) => retain_parts(value, &|part: &str| {
                let named = here.iter().any(|item| item.sub.as_deref() == Some(part));
                named == (mode == ProjectionMode::Only)
            }),
        }
    }
}

impl SelectedAttribute {
    fn is_in(&self, extension: Option<&str>) -> bool {
        self.extension.as_deref() == extension
    }
}

/// Whether a type has attributes that are not in a response by default. `password` does not count: no document contains
/// it.
fn has_hidden_attributes(of: &ResourceType) -> bool {
    let schemas = std::iter::once(&of.schema).chain(of.extensions.iter().map(|extension| &extension.schema));
    let mut attributes = schemas.flat_map(|schema| &schema.attributes).filter(|attribute| attribute.listed);
    attributes.any(|attribute| is_hidden(attribute) || attribute.sub_attributes.iter().any(is_hidden))
}

fn is_hidden(attribute: &Attribute) -> bool {
    matches!(attribute.returned, Returned::Never | Returned::Request)
}

/// Keeps the selected members of an object, or of each object in a list; returns `None` if nothing remains.
fn retain_parts(value: Value, keep: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(mut object) => {
            object.retain(|name, _| keep(name));
            (!object.is_empty()).then_some(Value::Object(object))
        }
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(|item| retain_parts(item, keep)).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        other => Some(other),
    }
}

/// Splits a list at its commas. Some clients write a value path, `emails[type eq "work"].value`; its filter is removed,
/// so that the name selects the attribute of all elements. Returns the names, and whether each had a filter.
fn split_names(list: &str) -> Vec<(String, bool)> {
    let (mut names, mut name, mut rest) = (Vec::new(), (String::new(), false), list);
    while let Some(at) = rest.find([',', '[']) {
        name.0.push_str(&rest[..at]);
        name.1 |= rest.as_bytes()[at] == b'[';
        if rest.as_bytes()[at] == b',' {
            names.push(std::mem::take(&mut name));
            rest = &rest[at + 1..];
        } else if let Some(close) = find_closing_bracket(rest, at + 1) {
            rest = &rest[close + 1..];
        } else {
            // Without its end the filter reaches to the end of the list.
            rest = "";
        }
    }
    name.0.push_str(rest);
    names.push(name);
    names.into_iter().map(|(name, has_filter)| (name.trim().to_owned(), has_filter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
    use serde_json::json;

    const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn user() -> Map<String, Value> {
        let document = json!({
            "schemas": ["s"], "id": "1", "userName": "ada", "title": "T",
            "emails": [{"value": "a@x", "type": "work"}, {"type": "home"}],
            URN: {"department": "D", "manager": {"value": "7", "displayName": "M"}},
            "meta": {"location": "u", "version": "v"},
        });
        let Value::Object(document) = document else { unreachable!() };
        document
    }

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, expected: Value) {
        let projection = Projection::read(attributes, excluded, &USER_TYPE, false).unwrap();
        assert_eq!(Value::Object(projection.apply(user(), &USER_TYPE)), expected);
    }

    #[test]
    fn attributes_selects_the_minimum_set_and_the_named_attributes() {
        check(Some("USERNAME"), None, json!({"schemas": ["s"], "id": "1", "userName": "ada"}));
        check(Some("foo"), None, json!({"schemas": ["s"], "id": "1"}));
        check(
            Some("emails.value, meta.location"),
            Some("userName"),
            json!({"schemas": ["s"], "id": "1", "emails": [{"value": "a@x"}], "meta": {"location": "u"}}),
        );
        check(
            Some(&format!("{URN}:manager.value,urn:ietf:params:scim:schemas:core:2.0:User:title")),
            None,
            json!({"schemas": ["s"], "id": "1", "title": "T", URN: {"manager": {"value": "7"}}}),
        );
        check(Some(&URN.to_uppercase()), None, json!({"schemas": ["s"], "id": "1", URN: user()[URN]}));
    }

    #[test]
    fn excluded_attributes_removes_all_but_always_returned_attributes() {
        check(
            None,
            Some(&format!("id,schemas,emails,meta,{URN}")),
            json!({"schemas": ["s"], "id": "1", "userName": "ada", "title": "T"}),
        );
        let mut expected = user();
        expected["emails"] = json!([{"type": "work"}, {"type": "home"}]);
        check(None, Some("emails.value"), Value::Object(expected));
        check(Some(""), None, Value::Object(user()));
    }

    #[test]
    fn a_filter_in_brackets_selects_the_attribute_and_excludes_nothing() {
        let path = "emails[type eq \"work\"].value";
        check(Some(path), None, json!({"schemas": ["s"], "id": "1", "emails": [{"value": "a@x"}]}));
        for excluded in ["emails[type eq \"work\"]", path, "emails[type eq \"a,b\"", "[", "emails[]"] {
            check(None, Some(excluded), Value::Object(user()));
        }
        let mut expected = user();
        expected.remove("title");
        check(None, Some(&format!("{path},title")), Value::Object(expected));
        for (attributes, excluded) in [(Some(path), None), (None, Some(path))] {
            let refused = Projection::read(attributes, excluded, &USER_TYPE, true).unwrap_err();
            assert_eq!(refused.reason(), Reason::ProjectionFiltered);
        }
    }

    #[test]
    fn members_are_not_needed_where_they_are_excluded() {
        let read = |attributes, excluded| Projection::read(attributes, excluded, &GROUP_TYPE, false).unwrap();
        assert!(!read(None, Some("members")).needs("members"));
        assert!(read(None, Some("members")).only_leaves_out(&["members"]));
        assert!(!read(Some("displayName"), None).needs("members"));
        assert!(read(Some("members.value"), None).needs("members"));
        assert!(read(None, Some("members.display")).needs("members"));
        assert!(!read(None, Some("members,displayName")).only_leaves_out(&["members"]));
    }

    #[test]
    fn both_at_once_is_an_error_in_strict_mode() {
        assert!(Projection::read(Some("id"), Some("meta"), &USER_TYPE, true).is_err());
    }
}
