//! Parses and validates extension schemas that are loaded at run time from a Schema document (RFC 7643 section 7).

use serde_json::{Map, Value};

use crate::error::{Error, Reason};
use crate::scim::schema::{Attribute, DataType, Mutability, Returned, Schema, SchemaText, Uniqueness};
use crate::scim::urn;

/// Maximum number of attributes and sub-attributes of one schema.
pub(crate) const ATTRIBUTES_MAX: usize = 200;
/// Maximum length of an id, name, description or suggested value, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;

/// Parses an extension schema. In addition to the members of RFC 7643 section 7, a text attribute may have
/// `"indexed": true`: then `eq` on it uses an index.
///
/// # Errors
/// 400 invalidSyntax if the document is not an object, else 400 invalidValue; the detail names the attribute and the
/// rule.
pub fn parse_schema(document: &Value) -> Result<Schema, Error> {
    let Value::Object(object) = document else {
        return Err(Error::new(Reason::SchemaNotObject));
    };
    let id = required_text(object, "id", "the schema")?;
    check_urn(id)?;
    let name = optional_text(object, "name", "the schema")?.unwrap_or_else(|| id.rsplit(':').next().unwrap_or(id));
    let description = optional_text(object, "description", "the schema")?.unwrap_or(name);
    let listed = optional_list(object, "attributes", "the schema")?;
    if listed.is_empty() {
        return Err(Error::new(Reason::SchemaAttributesMissing));
    }
    let mut left = ATTRIBUTES_MAX;
    let attributes = parse_attributes(listed, "", &mut left)?;
    Ok(Schema {
        id: to_schema_text(id),
        name: to_schema_text(name),
        description: to_schema_text(description),
        attributes,
    })
}

fn check_urn(id: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    let parts_are_full = id.split(':').count() >= 3 && id.split(':').all(|part| !part.is_empty());
    let is_urn = id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    if !is_urn || !parts_are_full || !id.bytes().all(plain) {
        return Err(Error::new(Reason::SchemaIdNotUrn));
    }
    // Other URNs of the standard's namespace are accepted: Microsoft documents extensions with such names.
    if urn::is_standard(id) {
        return Err(Reason::SchemaNamespaceReserved.with("id", id));
    }
    Ok(())
}

fn parse_attributes(listed: &[Value], within: &str, left: &mut usize) -> Result<Vec<Attribute>, Error> {
    let mut read: Vec<Attribute> = Vec::with_capacity(listed.len());
    for item in listed {
        *left = left.checked_sub(1).ok_or_else(|| Reason::SchemaTooManyAttributes.with("max", ATTRIBUTES_MAX))?;
        let attribute = parse_attribute(item, within, left)?;
        if read.iter().any(|other| other.name.eq_ignore_ascii_case(&attribute.name)) {
            return Err(Reason::SchemaAttributeTwice.on_field(format!("{within}{}", attribute.name)));
        }
        read.push(attribute);
    }
    Ok(read)
}

fn parse_attribute(item: &Value, within: &str, left: &mut usize) -> Result<Attribute, Error> {
    let Value::Object(object) = item else { return Err(Error::new(Reason::SchemaAttributeNotObject)) };
    let name = required_text(object, "name", "an attribute")?;
    let path = format!("{within}{name}");
    check_name(name, &path)?;
    let kind = parse_type(object, &path)?;
    let description = optional_text(object, "description", &path)?.unwrap_or(name);
    let mut attribute = Attribute::new(kind, to_schema_text(name), to_schema_text(description));
    attribute.multi_valued = optional_flag(object, "multiValued", &path)?.unwrap_or(false);
    attribute.required = optional_flag(object, "required", &path)?.unwrap_or(false);
    attribute.mutability = parse_mutability(object, &path)?;
    attribute.returned = parse_returned(object, attribute.mutability, &path)?;
    attribute.canonical_values = optional_texts(object, "canonicalValues", &path)?;
    attribute.reference_types = optional_texts(object, "referenceTypes", &path)?;
    attribute.indexed = optional_flag(object, "indexed", &path)?.unwrap_or(false);
    if let Some(case_exact) = optional_flag(object, "caseExact", &path)? {
        attribute.case_exact = case_exact;
    }
    check_supported(object, &attribute, &path)?;
    let parts = optional_list(object, "subAttributes", &path)?;
    match (kind, within.is_empty(), parts.is_empty()) {
        // Erratum 8415: one level of sub-attributes.
        (DataType::Complex, false, _) => Err(Reason::SchemaNestedComplex.on_field(path)),
        (DataType::Complex, true, true) => Err(Reason::SchemaSubAttributesMissing.on_field(path)),
        (DataType::Complex, true, false) => {
            attribute.sub_attributes = parse_attributes(parts, &format!("{path}."), left)?;
            Ok(attribute)
        }
        (_, _, false) => Err(Reason::SchemaSubAttributesForbidden.on_field(path)),
        (_, _, true) => Ok(attribute),
    }
}

/// RFC 7643 section 2.1.
fn check_name(name: &str, path: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(fits) {
        return Ok(());
    }
    let excerpt: String = path.chars().take(60).collect();
    Err(Reason::SchemaAttributeName.with("name", format_args!("{excerpt:?}")))
}

/// Rejects characteristics that `/Schemas` would announce but the server does not support.
fn check_supported(object: &Map<String, Value>, attribute: &Attribute, path: &str) -> Result<(), Error> {
    let uniqueness = optional_text(object, "uniqueness", path)?.unwrap_or("none");
    if !uniqueness.eq_ignore_ascii_case(Uniqueness::None.as_str()) {
        return Err(Reason::SchemaUniquenessUnsupported.on_field(path.to_owned()));
    }
    if attribute.mutability == Mutability::Immutable {
        return Err(Reason::SchemaImmutableUnsupported.on_field(path.to_owned()));
    }
    let is_text = matches!(attribute.kind, DataType::String | DataType::Reference);
    if attribute.indexed && !is_text {
        return Err(Reason::SchemaIndexNotText.on_field(path.to_owned()));
    }
    Ok(())
}

fn parse_type(object: &Map<String, Value>, path: &str) -> Result<DataType, Error> {
    let keyword = optional_text(object, "type", path)?.unwrap_or("string");
    parse_keyword(keyword, &DataType::ALL, DataType::as_str, "type", path)
}

fn parse_mutability(object: &Map<String, Value>, path: &str) -> Result<Mutability, Error> {
    let keyword = optional_text(object, "mutability", path)?.unwrap_or("readWrite");
    parse_keyword(keyword, &Mutability::ALL, Mutability::as_str, "mutability", path)
}

fn parse_returned(object: &Map<String, Value>, mutability: Mutability, path: &str) -> Result<Returned, Error> {
    let usual = if mutability == Mutability::WriteOnly { "never" } else { "default" };
    let keyword = optional_text(object, "returned", path)?.unwrap_or(usual);
    let returned = parse_keyword(keyword, &Returned::ALL, Returned::as_str, "returned", path)?;
    if mutability == Mutability::WriteOnly && returned != Returned::Never {
        return Err(Reason::SchemaWriteOnlyReturned.on_field(path.to_owned()));
    }
    Ok(returned)
}

fn parse_keyword<T: Copy>(
    keyword: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
    member: &str,
    path: &str,
) -> Result<T, Error> {
    let found = all.iter().copied().find(|value| as_str(*value).eq_ignore_ascii_case(keyword));
    found.ok_or_else(|| {
        let keywords: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
        Reason::SchemaKeyword.on_field(path.to_owned()).with("member", member).with("allowed", keywords.join(", "))
    })
}

fn find_member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.filter(|value| !value.is_null())
}

fn optional_text<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<Option<&'a str>, Error> {
    match find_member(object, name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_MAX_BYTES => Ok(Some(text)),
        Some(Value::String(_)) => {
            Err(Reason::SchemaMemberTooLong.on_field(path.to_owned()).with("member", name).with("max", TEXT_MAX_BYTES))
        }
        Some(_) => {
            Err(Reason::SchemaMemberType.on_field(path.to_owned()).with("member", name).with("expected", "text"))
        }
    }
}

fn required_text<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a str, Error> {
    let found = optional_text(object, name, path)?.filter(|text| !text.trim().is_empty());
    found.ok_or_else(|| Reason::SchemaMemberMissing.on_field(path.to_owned()).with("member", name))
}

fn optional_flag(object: &Map<String, Value>, name: &str, path: &str) -> Result<Option<bool>, Error> {
    match find_member(object, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(Reason::SchemaMemberType
            .on_field(path.to_owned())
            .with("member", name)
            .with("expected", "true or false")),
    }
}

fn optional_list<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a [Value], Error> {
    match find_member(object, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => {
            Err(Reason::SchemaMemberType.on_field(path.to_owned()).with("member", name).with("expected", "an array"))
        }
    }
}

fn optional_texts(object: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<SchemaText>, Error> {
    let texts = optional_list(object, name, path)?.iter().map(|item| match item {
        Value::String(text) if text.len() <= TEXT_MAX_BYTES => Ok(to_schema_text(text)),
        _ => Err(Reason::SchemaMemberTexts.on_field(path.to_owned()).with("member", name)),
    });
    texts.collect()
}

fn to_schema_text(text: &str) -> SchemaText {
    SchemaText::Owned(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::render_message;
    use crate::scim::discovery;
    use serde_json::json;

    const ID: &str = "urn:example:params:scim:schemas:Badge:1.0:User";

    #[test]
    fn a_rendered_schema_reads_back_unchanged() {
        let document = json!({
            "id": ID, "name": "Badge", "description": "Access badge",
            "attributes": [
                {"name": "number", "type": "string", "caseExact": true, "indexed": true, "description": "On the card"},
                {"name": "floors", "type": "integer", "multiValued": true},
                {"name": "photo", "type": "complex", "subAttributes": [
                    {"name": "value", "type": "reference", "referenceTypes": ["external"]},
                    {"name": "size", "canonicalValues": ["s", "m"], "returned": "request"}
                ]}
            ]
        });
        let schema = parse_schema(&document).unwrap();
        assert!(schema.attribute("NUMBER").unwrap().indexed);
        let rendered = discovery::render_schema("http://x", &schema, false);
        let again = discovery::render_schema("http://x", &parse_schema(&rendered).unwrap(), false);
        assert_eq!(rendered, again);
        assert_eq!(rendered["attributes"][2]["subAttributes"][1]["returned"], "request");
    }

    #[test]
    fn only_the_urns_that_exist_are_reserved() {
        let parse = |id: &str| parse_schema(&json!({"id": id, "attributes": [{"name": "tag"}]}));
        for free in [
            "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:Group",
            "urn:ietf:params:scim:schemas:core:2.0:UserBadge",
            "urn:ietf:params:scim:schemas:Badge:1.0",
            "URN:okta:custom:1.0",
        ] {
            assert!(parse(free).is_ok(), "{free}");
        }
        for taken in [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "URN:IETF:params:scim:schemas:core:2.0:group",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName",
            "urn:ietf:params:scim:schemas:extension:Enterprise:2.0:user",
            "urn:scim:schemas:extension:enterprise:1.0",
            "urn:ietf:params:scim:api:messages:2.0:PatchOp",
            "urn:ietf:params:scim:api:messages:2.0:Unknown",
            "urn:ietf:params:scim:schemas:core:2.0:Schema",
            "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
            "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig",
        ] {
            assert_eq!(parse(taken).unwrap_err().reason(), Reason::SchemaNamespaceReserved, "{taken}");
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let with = |attribute: Value| json!({"id": ID, "attributes": [attribute]});
        for (document, part) in [
            (json!([]), "object"),
            (json!({"attributes": []}), "id"),
            (json!({"id": "Badge", "attributes": [{"name": "a"}]}), "URN"),
            (json!({"id": "urn:ietf:params:scim:schemas:core:2.0:User", "attributes": [{"name": "a"}]}), "standard"),
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
            let refused = parse_schema(&document).unwrap_err();
            assert!(render_message(&refused).contains(part), "{document}: {refused}");
        }
    }
}
