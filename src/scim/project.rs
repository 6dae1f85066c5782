//! Which attributes an answer holds (RFC 7644 section 3.9).

use serde_json::{Map, Value};

use super::Error;
use super::path::AttrPath;
use super::schema::{Attribute, ResourceType, Returned};

/// A projection, checked against a resource type. Names that no schema knows select nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    mode: Mode,
    selected: Vec<Selected>,
    /// Whether the type has attributes that are shown on request only, or never.
    hides: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    /// Everything that is returned by default.
    #[default]
    Whole,
    /// The smallest set, and what is selected.
    Only,
    /// Everything but what is selected.
    Without,
}

/// A place in the document, by canonical names; without an attribute the whole extension.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selected {
    extension: Option<String>,
    attribute: Option<String>,
    sub: Option<String>,
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`, both comma-separated; an empty list counts as not given.
    ///
    /// # Errors
    /// 400 invalidValue where both are given and the rules are strict; else `attributes` decides.
    pub fn read(
        attributes: Option<&str>,
        excluded: Option<&str>,
        of: &ResourceType,
        strict: bool,
    ) -> Result<Self, Error> {
        let given = |list: Option<&str>| list.is_some_and(|list| list.split(',').any(|name| !name.trim().is_empty()));
        let (mode, list) = match (given(attributes), given(excluded)) {
            (true, true) if strict => {
                return Err(Error::value("attributes and excludedAttributes exclude each other"));
            }
            (true, _) => (Mode::Only, attributes),
            (false, true) => (Mode::Without, excluded),
            (false, false) => return Ok(Self { hides: hides(of), ..Self::default() }),
        };
        let mut selected = Vec::new();
        for name in list.unwrap_or_default().split(',').map(str::trim) {
            let Ok(target) = AttrPath::parse(name).and_then(|path| path.resolve(of)) else { continue };
            let place = Selected {
                extension: target.extension.map(|schema| schema.id.clone().into_owned()),
                attribute: target.attribute.map(|attribute| attribute.name.clone().into_owned()),
                sub: target.sub.map(|sub| sub.name.clone().into_owned()),
            };
            if !selected.contains(&place) {
                selected.push(place);
            }
        }
        Ok(Self { mode, selected, hides: hides(of) })
    }

    /// Whether the answer needs this attribute of the base schema at all.
    pub fn needs(&self, attribute: &str) -> bool {
        let mut named =
            self.selected.iter().filter(|place| place.is_in(None) && place.attribute.as_deref() == Some(attribute));
        match self.mode {
            Mode::Whole => true,
            Mode::Only => named.next().is_some(),
            Mode::Without => !named.any(|place| place.sub.is_none()),
        }
    }

    /// Whether the client chose attributes by name, so that a write must answer with the resource.
    pub fn is_asked(&self) -> bool {
        self.mode == Mode::Only
    }

    /// Whether leaving out these attributes of the base schema is all there is to do.
    pub fn only_leaves_out(&self, attributes: &[&str]) -> bool {
        let left_out = |place: &Selected| {
            let whole = place.is_in(None) && place.sub.is_none();
            whole && place.attribute.as_deref().is_some_and(|name| attributes.contains(&name))
        };
        !self.hides && (self.mode == Mode::Whole || (self.mode == Mode::Without && self.selected.iter().all(left_out)))
    }

    /// Brings a whole document down to what was asked.
    pub fn apply(&self, document: Map<String, Value>, of: &ResourceType) -> Map<String, Value> {
        if self.mode == Mode::Whole && !self.hides {
            return document;
        }
        let mut shown = Map::new();
        for (name, value) in document {
            if let Some(attribute) = of.attribute(&name) {
                if let Some(value) = self.attribute(None, attribute, value) {
                    shown.insert(name, value);
                }
            } else if let (Some(schema), Value::Object(parts)) = (of.extension(&name), value) {
                let whole = self.selected.iter().any(|place| place.is_in(Some(&name)) && place.attribute.is_none());
                let kept: Map<String, Value> = match (self.mode, whole) {
                    (Mode::Only, true) => parts,
                    (Mode::Without, true) => Map::new(),
                    _ => parts
                        .into_iter()
                        .filter_map(|(part, value)| {
                            let attribute = schema.attribute(&part)?;
                            Some((part, self.attribute(Some(&name), attribute, value)?))
                        })
                        .collect(),
                };
                if !kept.is_empty() {
                    shown.insert(name, Value::Object(kept));
                }
            }
        }
        shown
    }

    fn attribute(&self, extension: Option<&str>, attribute: &Attribute, value: Value) -> Option<Value> {
        if attribute.returned == Returned::Always {
            return Some(value);
        }
        let here: Vec<&Selected> = self
            .selected
            .iter()
            .filter(|place| place.is_in(extension) && place.attribute.as_deref() == Some(&*attribute.name))
            .collect();
        let whole = here.iter().any(|place| place.sub.is_none());
        let asked = self.mode == Mode::Only && !here.is_empty();
        if attribute.returned == Returned::Never || (attribute.returned == Returned::Request && !asked) {
            return None;
        }
        let value = if self.hides && attribute.sub_attributes.iter().any(is_hidden) {
            let named =
                |part: &str| self.mode == Mode::Only && here.iter().any(|place| place.sub.as_deref() == Some(part));
            let shows = |part: &str| {
                attribute.sub(part).is_none_or(|sub| match sub.returned {
                    Returned::Never => false,
                    Returned::Request => named(part),
                    Returned::Always | Returned::Default => true,
                })
            };
            parts(value, &shows)?
        } else {
            value
        };
        match (self.mode, whole, here.is_empty()) {
            (Mode::Only, true, _) | (Mode::Without, _, true) | (Mode::Whole, ..) => Some(value),
            (Mode::Only, false, true) | (Mode::Without, true, _) => None,
            (mode, false, false) => parts(value, &|part: &str| {
                let named = here.iter().any(|place| place.sub.as_deref() == Some(part));
                named == (mode == Mode::Only)
            }),
        }
    }
}

impl Selected {
    fn is_in(&self, extension: Option<&str>) -> bool {
        self.extension.as_deref() == extension
    }
}

/// Whether a type has attributes that an answer leaves out by itself. `password` is not stored, so it hides nothing.
fn hides(of: &ResourceType) -> bool {
    let schemas = std::iter::once(&of.schema).chain(of.extensions.iter().map(|extension| &extension.schema));
    let mut attributes = schemas.flat_map(|schema| &schema.attributes).filter(|attribute| attribute.listed);
    attributes.any(|attribute| is_hidden(attribute) || attribute.sub_attributes.iter().any(is_hidden))
}

fn is_hidden(attribute: &Attribute) -> bool {
    matches!(attribute.returned, Returned::Never | Returned::Request)
}

/// Keeps some parts of an object, or of each object in a list; `None` where nothing is left.
fn parts(value: Value, keep: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(mut object) => {
            object.retain(|name, _| keep(name));
            (!object.is_empty()).then_some(Value::Object(object))
        }
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(|item| parts(item, keep)).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        other => Some(other),
    }
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
    fn check(attributes: Option<&str>, excluded: Option<&str>, want: Value) {
        let projection = Projection::read(attributes, excluded, &USER_TYPE, false).unwrap();
        assert_eq!(Value::Object(projection.apply(user(), &USER_TYPE)), want);
    }

    #[test]
    fn attributes_gives_the_smallest_set_and_what_is_named() {
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
    fn excluded_attributes_takes_away_what_may_go() {
        check(
            None,
            Some(&format!("id,schemas,emails,meta,{URN}")),
            json!({"schemas": ["s"], "id": "1", "userName": "ada", "title": "T"}),
        );
        let mut want = user();
        want["emails"] = json!([{"type": "work"}, {"type": "home"}]);
        check(None, Some("emails.value"), Value::Object(want));
        check(Some(""), None, Value::Object(user()));
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
