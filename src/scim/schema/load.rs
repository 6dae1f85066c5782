//! Schemas that are not written in the program: read from a Schema document (RFC 7643 section 7) and held to its rules.

use serde_json::{Map, Value};

use super::{Attribute, Kind, Mutability, Returned, Schema, Text, Uniqueness};
use crate::scim::Error;

/// Most attributes and sub-attributes of one schema.
const ATTRIBUTES_MAX: usize = 200;
/// Longest id, name, description or suggested value, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;
/// The namespace of the standards; an operator's own schemas live elsewhere (RFC 7643 section 10).
const STANDARD_NAMESPACE: &str = "urn:ietf:params:scim:";

/// Reads an extension schema. Beside the members of RFC 7643 section 7 an attribute of text may say `"indexed": true`:
/// then `eq` on it is answered by an index.
///
/// # Errors
/// 400 invalidValue, invalidSyntax for a document that is no object; the detail names the attribute and the rule.
pub fn read(document: &Value) -> Result<Schema, Error> {
    let Value::Object(object) = document else {
        return Err(Error::syntax("a schema must be a JSON object; see RFC 7643 section 7"));
    };
    let id = required_text(object, "id", "the schema")?;
    check_urn(id)?;
    let name = text(object, "name", "the schema")?.unwrap_or_else(|| id.rsplit(':').next().unwrap_or(id));
    let description = text(object, "description", "the schema")?.unwrap_or(name);
    let listed = list(object, "attributes", "the schema")?;
    if listed.is_empty() {
        return Err(Error::value("the schema needs attributes: an array that is not empty"));
    }
    let mut left = ATTRIBUTES_MAX;
    let attributes = attributes(listed, "", &mut left)?;
    Ok(Schema { id: owned(id), name: owned(name), description: owned(description), attributes })
}

fn check_urn(id: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    let parts_are_full = id.split(':').count() >= 3 && id.split(':').all(|part| !part.is_empty());
    let is_urn = id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    if !is_urn || !parts_are_full || !id.bytes().all(plain) {
        return Err(Error::value(
            "the schema's id must be a URN such as urn:example:params:scim:schemas:Badge:1.0:User",
        ));
    }
    if id.get(..STANDARD_NAMESPACE.len()).is_some_and(|start| start.eq_ignore_ascii_case(STANDARD_NAMESPACE)) {
        return Err(Error::value(format!(
            "the schema's id must not begin with {STANDARD_NAMESPACE}: use your own namespace"
        )));
    }
    Ok(())
}

fn attributes(listed: &[Value], within: &str, left: &mut usize) -> Result<Vec<Attribute>, Error> {
    let mut read: Vec<Attribute> = Vec::with_capacity(listed.len());
    for item in listed {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Error::value(format!("the schema has more than {ATTRIBUTES_MAX} attributes")))?;
        let attribute = attribute(item, within, left)?;
        if read.iter().any(|known| known.name.eq_ignore_ascii_case(&attribute.name)) {
            return Err(Error::value(format!("the attribute {within}{} stands twice", attribute.name)));
        }
        read.push(attribute);
    }
    Ok(read)
}

fn attribute(item: &Value, within: &str, left: &mut usize) -> Result<Attribute, Error> {
    let Value::Object(object) = item else { return Err(Error::value("each attribute must be an object")) };
    let name = required_text(object, "name", "an attribute")?;
    let place = format!("{within}{name}");
    check_name(name, &place)?;
    let kind = kind(object, &place)?;
    let description = text(object, "description", &place)?.unwrap_or(name);
    let mut attribute = Attribute::new(kind, owned(name), owned(description));
    attribute.multi_valued = flag(object, "multiValued", &place)?.unwrap_or(false);
    attribute.required = flag(object, "required", &place)?.unwrap_or(false);
    attribute.mutability = mutability(object, &place)?;
    attribute.returned = returned(object, attribute.mutability, &place)?;
    attribute.canonical_values = words(object, "canonicalValues", &place)?;
    attribute.reference_types = words(object, "referenceTypes", &place)?;
    attribute.indexed = flag(object, "indexed", &place)?.unwrap_or(false);
    if let Some(case_exact) = flag(object, "caseExact", &place)? {
        attribute.case_exact = case_exact;
    }
    check_promises(object, &attribute, &place)?;
    let parts = list(object, "subAttributes", &place)?;
    match (kind, within.is_empty(), parts.is_empty()) {
        // Erratum 8415: one level of sub-attributes.
        (Kind::Complex, false, _) => Err(Error::value(format!("{place} must not be complex: it is a sub-attribute"))),
        (Kind::Complex, true, true) => Err(Error::value(format!("{place} is complex and needs subAttributes"))),
        (Kind::Complex, true, false) => {
            attribute.sub_attributes = attributes(parts, &format!("{place}."), left)?;
            Ok(attribute)
        }
        (_, _, false) => Err(Error::value(format!("{place} is not complex and cannot have subAttributes"))),
        (_, _, true) => Ok(attribute),
    }
}

/// RFC 7643 section 2.1.
fn check_name(name: &str, place: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(fits) {
        return Ok(());
    }
    let shown: String = place.chars().take(60).collect();
    Err(Error::value(format!("{shown:?} is no attribute name: a letter, then letters, digits, '-', '_' or '$'")))
}

/// Refuses what would be promised in `/Schemas` and not kept.
fn check_promises(object: &Map<String, Value>, attribute: &Attribute, place: &str) -> Result<(), Error> {
    let uniqueness = text(object, "uniqueness", place)?.unwrap_or("none");
    if !uniqueness.eq_ignore_ascii_case(Uniqueness::None.as_str()) {
        return Err(Error::value(format!("{place}: uniqueness is kept for userName alone; use none")));
    }
    if attribute.mutability == Mutability::Immutable {
        return Err(Error::value(format!(
            "{place}: immutable is not offered for attributes of your own; use readWrite"
        )));
    }
    let is_text = matches!(attribute.kind, Kind::String | Kind::Reference);
    if attribute.indexed && !is_text {
        return Err(Error::value(format!("{place}: only text can be indexed")));
    }
    Ok(())
}

fn kind(object: &Map<String, Value>, place: &str) -> Result<Kind, Error> {
    let all = [
        Kind::String,
        Kind::Boolean,
        Kind::Decimal,
        Kind::Integer,
        Kind::DateTime,
        Kind::Binary,
        Kind::Reference,
        Kind::Complex,
    ];
    one_of(text(object, "type", place)?.unwrap_or("string"), &all, Kind::as_str, "type", place)
}

fn mutability(object: &Map<String, Value>, place: &str) -> Result<Mutability, Error> {
    let all = [Mutability::ReadOnly, Mutability::ReadWrite, Mutability::Immutable, Mutability::WriteOnly];
    let word = text(object, "mutability", place)?.unwrap_or("readWrite");
    one_of(word, &all, Mutability::as_str, "mutability", place)
}

fn returned(object: &Map<String, Value>, mutability: Mutability, place: &str) -> Result<Returned, Error> {
    let usual = if mutability == Mutability::WriteOnly { "never" } else { "default" };
    let all = [Returned::Always, Returned::Never, Returned::Default, Returned::Request];
    let returned =
        one_of(text(object, "returned", place)?.unwrap_or(usual), &all, Returned::as_str, "returned", place)?;
    if mutability == Mutability::WriteOnly && returned != Returned::Never {
        return Err(Error::value(format!("{place}: what is writeOnly is returned never")));
    }
    Ok(returned)
}

fn one_of<T: Copy>(
    word: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
    member: &str,
    place: &str,
) -> Result<T, Error> {
    let found = all.iter().copied().find(|known| as_str(*known).eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|known| as_str(*known)).collect();
        Error::value(format!("{place}: {member} must be one of {}", words.join(", ")))
    })
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.filter(|value| !value.is_null())
}

fn text<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<Option<&'a str>, Error> {
    match member(object, name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_MAX_BYTES => Ok(Some(text)),
        Some(Value::String(_)) => Err(Error::value(format!("{name} of {place} is longer than {TEXT_MAX_BYTES} bytes"))),
        Some(_) => Err(Error::value(format!("{name} of {place} must be text"))),
    }
}

fn required_text<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a str, Error> {
    let found = text(object, name, place)?.filter(|text| !text.trim().is_empty());
    found.ok_or_else(|| Error::value(format!("{place} needs a member {name}")))
}

fn flag(object: &Map<String, Value>, name: &str, place: &str) -> Result<Option<bool>, Error> {
    match member(object, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(Error::value(format!("{name} of {place} must be true or false"))),
    }
}

fn list<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a [Value], Error> {
    match member(object, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Error::value(format!("{name} of {place} must be an array"))),
    }
}

fn words(object: &Map<String, Value>, name: &str, place: &str) -> Result<Vec<Text>, Error> {
    let words = list(object, name, place)?.iter().map(|word| match word {
        Value::String(word) if word.len() <= TEXT_MAX_BYTES => Ok(owned(word)),
        _ => Err(Error::value(format!("{name} of {place} must hold short texts"))),
    });
    words.collect()
}

fn owned(text: &str) -> Text {
    Text::Owned(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::discovery;
    use serde_json::json;

    const ID: &str = "urn:example:params:scim:schemas:Badge:1.0:User";

    #[test]
    fn a_schema_that_is_shown_reads_back_as_it_was() {
        let document = json!({
            "id": ID, "name": "Badge", "description": "What the door knows",
            "attributes": [
                {"name": "number", "type": "string", "caseExact": true, "indexed": true, "description": "On the card"},
                {"name": "floors", "type": "integer", "multiValued": true},
                {"name": "photo", "type": "complex", "subAttributes": [
                    {"name": "value", "type": "reference", "referenceTypes": ["external"]},
                    {"name": "size", "canonicalValues": ["s", "m"], "returned": "request"}
                ]}
            ]
        });
        let schema = read(&document).unwrap();
        assert!(schema.attribute("NUMBER").unwrap().indexed);
        let shown = discovery::schema("http://x", &schema, false);
        let again = discovery::schema("http://x", &read(&shown).unwrap(), false);
        assert_eq!(shown, again);
        assert_eq!(shown["attributes"][2]["subAttributes"][1]["returned"], "request");
    }

    #[test]
    fn each_broken_rule_is_named() {
        let with = |attribute: Value| json!({"id": ID, "attributes": [attribute]});
        for (document, part) in [
            (json!([]), "object"),
            (json!({"attributes": []}), "id"),
            (json!({"id": "Badge", "attributes": [{"name": "a"}]}), "URN"),
            (json!({"id": "urn:ietf:params:scim:schemas:x:1.0:User", "attributes": [{"name": "a"}]}), "namespace"),
            (json!({"id": ID}), "attributes"),
            (json!({"id": ID, "attributes": [{"name": "a"}, {"name": "A"}]}), "twice"),
            (with(json!("a")), "object"),
            (with(json!({"name": "9lives"})), "9lives"),
            (with(json!({"name": "a.b"})), "a.b"),
            (with(json!({"name": "a", "type": "text"})), "type must be one of string"),
            (with(json!({"name": "a", "type": "complex"})), "subAttributes"),
            (with(json!({"name": "a", "subAttributes": [{"name": "b"}]})), "not complex"),
            (with(json!({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "type": "complex"}]})), "a.b"),
            (with(json!({"name": "a", "uniqueness": "server"})), "uniqueness"),
            (with(json!({"name": "a", "mutability": "writeOnly", "returned": "default"})), "never"),
            (with(json!({"name": "a", "type": "boolean", "indexed": true})), "indexed"),
            (with(json!({"name": "a", "multiValued": "yes"})), "true or false"),
            (json!({"id": ID, "attributes": vec![json!({"name": "a"}); 201]}), "twice"),
        ] {
            let refused = read(&document).unwrap_err();
            assert!(refused.detail.contains(part), "{document}: {}", refused.detail);
        }
    }
}
