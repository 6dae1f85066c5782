//! A stored text of which only some attributes are parsed, for changes of few attributes. The others are copied as text.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Map};

use super::{begin_stored_text, end_stored_text, write_name, write_value};
use crate::scim::schema::ResourceType;
use crate::scim::validate::Attributes;

/// The attributes of a stored text, in the order of the schema.
#[derive(Debug)]
pub struct PartialText<'t> {
    members: Vec<TextMember<'t>>,
}

#[derive(Debug)]
struct TextMember<'t> {
    name: &'t str,
    /// The value as JSON; `None` if it was parsed.
    text: Option<&'t str>,
}

impl<'t> PartialText<'t> {
    /// Parses the attributes that `selects`, and returns them. Returns `None` if the text is not in the form that
    /// [`super::build_stored_text`] gives it for this type, such as after the removal of an extension: then the whole text must be
    /// parsed.
    pub fn parse(text: &'t str, of: &ResourceType, selects: impl Fn(&str) -> bool) -> Option<(Self, Attributes)> {
        let mut reader = Deserializer::from_str(text);
        let (members, parsed) = PartialReader { selects }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        let mut names = of.list_stored_names();
        // Each search continues after the name before it.
        let is_in_order = members.iter().all(|member| names.any(|name| name == member.name));
        is_in_order.then_some((Self { members }, parsed))
    }

    /// Returns the stored text with these values of the parsed attributes. Those without a value are left out.
    pub fn build_text(&self, parsed: &Attributes, of: &ResourceType) -> String {
        // Few attributes are parsed: a search compares less than a hash costs.
        let find = |name: &str| parsed.iter().find(|(other, _)| *other == name).map(|(_, value)| value);
        let is_copied = |name: &str| self.members.iter().any(|member| member.name == name && member.text.is_some());
        let mut out = begin_stored_text(of, |uri| find(uri).is_some() || is_copied(uri));
        let mut members = self.members.iter().peekable();
        for name in of.list_stored_names() {
            let stored = members.next_if(|member| member.name == name);
            if let Some(value) = find(name) {
                write_name(&mut out, name);
                write_value(&mut out, value);
            } else if let Some(text) = stored.and_then(|member| member.text) {
                write_name(&mut out, name);
                out.extend_from_slice(text.as_bytes());
            }
        }
        end_stored_text(out)
    }
}

struct PartialReader<F> {
    selects: F,
}

impl<'t, F: Fn(&str) -> bool> DeserializeSeed<'t> for PartialReader<F> {
    type Value = (Vec<TextMember<'t>>, Attributes);

    fn deserialize<D: serde::Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'t, F: Fn(&str) -> bool> Visitor<'t> for PartialReader<F> {
    type Value = (Vec<TextMember<'t>>, Attributes);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut parsed) = (Vec::with_capacity(32), Map::new());
        while let Some(name) = entries.next_key::<&'t str>()? {
            if name == "schemas" {
                entries.next_value::<IgnoredAny>()?;
            } else if (self.selects)(name) {
                parsed.insert(name.to_owned(), entries.next_value()?);
                members.push(TextMember { name, text: None });
            } else {
                members.push(TextMember { name, text: Some(entries.next_value::<&'t RawValue>()?.get()) });
            }
        }
        Ok((members, parsed))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scim::render::{build_stored_text, parse_stored_text};
    use crate::scim::schema::{ENTERPRISE_USER, GROUP_TYPE, USER_TYPE};

    fn user() -> Attributes {
        let user = json!({
            "externalId": "x", "userName": "Adá \"A\"", "name": {"givenName": "A", "familyName": "\n"}, "active": true,
            "emails": [{"value": "a@x", "primary": true}, {"value": "b@x"}], "displayName": "] } , \"active\":false",
            (&*ENTERPRISE_USER.id): {"department": "D", "manager": {"value": "7"}},
        });
        let Value::Object(user) = user else { unreachable!() };
        crate::scim::validate::sort_attributes(user, &USER_TYPE)
    }

    #[test]
    fn a_change_of_parsed_attributes_gives_the_text_of_the_whole_change() {
        let before = user();
        let text = build_stored_text(&before, &USER_TYPE);
        let names: Vec<&str> = USER_TYPE.list_stored_names().collect();
        for first in &names {
            for value in [None, Some(json!("new \"]")), Some(json!({"a": [1.5, null]}))] {
                let is_parsed = |name: &str| name == *first || name == "userName";
                let (partial, mut parsed) = PartialText::parse(&text, &USER_TYPE, is_parsed).unwrap();
                let mut whole = before.clone();
                for attributes in [&mut parsed, &mut whole] {
                    drop(attributes.shift_remove(*first));
                    attributes.extend(value.clone().map(|value| ((*first).to_owned(), value)));
                }
                assert_eq!(parsed.keys().filter(|name| !is_parsed(name)).count(), 0);
                let whole = crate::scim::validate::sort_attributes(whole, &USER_TYPE);
                assert_eq!(partial.build_text(&parsed, &USER_TYPE), build_stored_text(&whole, &USER_TYPE), "{first}");
            }
        }
    }

    #[test]
    fn a_text_of_another_form_must_be_parsed_as_a_whole() {
        let text = build_stored_text(&user(), &USER_TYPE);
        assert!(PartialText::parse(&text, &USER_TYPE, |_| true).is_some());
        let unknown = json!({"schemas": [], "userName": "a", "urn:x": {"b": 1}}).to_string();
        let unordered = json!({"schemas": [], "userName": "a", "externalId": "b"}).to_string();
        for (text, of) in [(&*text, &GROUP_TYPE), (&*unknown, &USER_TYPE), (&*unordered, &USER_TYPE)] {
            assert!(parse_stored_text(text).is_ok() && PartialText::parse(text, of, |_| false).is_none(), "{text}");
        }
        for text in ["", "[]", "{\"userName\":\"a\"", "{} {}", "{\"\\u0075serName\":1}"] {
            assert!(PartialText::parse(text, &USER_TYPE, |_| false).is_none(), "{text}");
        }
    }
}
