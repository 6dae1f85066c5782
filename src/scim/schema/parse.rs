//! Parses and validates extension schemas that are loaded at run time from a Schema document (RFC 7643 section 7).

use serde_json::{Map, Value};

use crate::scim::ScimError;
use crate::scim::schema::{Attribute, DataType, Mutability, Returned, Schema, SchemaText, Uniqueness};

/// Maximum number of attributes and sub-attributes of one schema.
const ATTRIBUTES_MAX: usize = 200;
/// Maximum length of an id, name, description or suggested value, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;
/// The namespace of the standard schemas (RFC 7643 section 10). Schemas of an operator must use another namespace.
const STANDARD_NAMESPACE: &str = "urn:ietf:params:scim:";

/// Parses an extension schema. In addition to the members of RFC 7643 section 7, a text attribute may have
/// `"indexed": true`: then `eq` on it uses an index.
///
/// # Errors
/// 400 invalidSyntax if the document is not an object, else 400 invalidValue; the detail names the attribute and the
/// rule.
pub fn parse_schema(document: &Value) -> Result<Schema, ScimError> {
    let Value::Object(object) = document else {
        return Err(ScimError::invalid_syntax("a schema must be a JSON object; see RFC 7643 section 7"));
    };
    let id = required_text(object, "id", "the schema")?;
    check_urn(id)?;
    let name = optional_text(object, "name", "the schema")?.unwrap_or_else(|| id.rsplit(':').next().unwrap_or(id));
    let description = optional_text(object, "description", "the schema")?.unwrap_or(name);
    let listed = optional_list(object, "attributes", "the schema")?;
    if listed.is_empty() {
        return Err(ScimError::invalid_value("the schema needs attributes: an array that is not empty"));
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

fn check_urn(id: &str) -> Result<(), ScimError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    let parts_are_full = id.split(':').count() >= 3 && id.split(':').all(|part| !part.is_empty());
    let is_urn = id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    if !is_urn || !parts_are_full || !id.bytes().all(plain) {
        return Err(ScimError::invalid_value(
            "the schema's id must be a URN such as urn:example:params:scim:schemas:Badge:1.0:User",
        ));
    }
    if id.get(..STANDARD_NAMESPACE.len()).is_some_and(|start| start.eq_ignore_ascii_case(STANDARD_NAMESPACE)) {
        return Err(ScimError::invalid_value(format!(
            "the schema's id must not begin with {STANDARD_NAMESPACE}: use your own namespace"
        )));
    }
    Ok(())
}

fn parse_attributes(listed: &[Value], within: &str, left: &mut usize) -> Result<Vec<Attribute>, ScimError> {
    let mut read: Vec<Attribute> = Vec::with_capacity(listed.len());
    for item in listed {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| ScimError::invalid_value(format!("the schema has more than {ATTRIBUTES_MAX} attributes")))?;
        let attribute = parse_attribute(item, within, left)?;
        if read.iter().any(|other| other.name.eq_ignore_ascii_case(&attribute.name)) {
            return Err(ScimError::invalid_value(format!("the attribute {within}{} occurs twice", attribute.name)));
        }
        read.push(attribute);
    }
    Ok(read)
}

fn parse_attribute(item: &Value, within: &str, left: &mut usize) -> Result<Attribute, ScimError> {
    let Value::Object(object) = item else { return Err(ScimError::invalid_value("each attribute must be an object")) };
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
        (DataType::Complex, false, _) => {
            Err(ScimError::invalid_value(format!("{path} must not be complex: it is a sub-attribute")))
        }
        (DataType::Complex, true, true) => {
            Err(ScimError::invalid_value(format!("{path} is complex and needs subAttributes")))
        }
        (DataType::Complex, true, false) => {
            attribute.sub_attributes = parse_attributes(parts, &format!("{path}."), left)?;
            Ok(attribute)
        }
        (_, _, false) => Err(ScimError::invalid_value(format!("{path} is not complex and cannot have subAttributes"))),
        (_, _, true) => Ok(attribute),
    }
}

/// RFC 7643 section 2.1.
fn check_name(name: &str, path: &str) -> Result<(), ScimError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(fits) {
        return Ok(());
    }
    let excerpt: String = path.chars().take(60).collect();
    Err(ScimError::invalid_value(format!(
        "{excerpt:?} is not an attribute name: use a letter, then letters, digits, '-', '_' or '$'"
    )))
}

/// Rejects characteristics that `/Schemas` would announce but the server does not support.
fn check_supported(object: &Map<String, Value>, attribute: &Attribute, path: &str) -> Result<(), ScimError> {
    let uniqueness = optional_text(object, "uniqueness", path)?.unwrap_or("none");
    if !uniqueness.eq_ignore_ascii_case(Uniqueness::None.as_str()) {
        return Err(ScimError::invalid_value(format!("{path}: uniqueness is supported only for userName; use none")));
    }
    if attribute.mutability == Mutability::Immutable {
        return Err(ScimError::invalid_value(format!(
            "{path}: immutable is not supported for attributes of extensions; use readWrite"
        )));
    }
    let is_text = matches!(attribute.kind, DataType::String | DataType::Reference);
    if attribute.indexed && !is_text {
        return Err(ScimError::invalid_value(format!("{path}: only text can be indexed")));
    }
    Ok(())
}

fn parse_type(object: &Map<String, Value>, path: &str) -> Result<DataType, ScimError> {
    let all = [
        DataType::String,
        DataType::Boolean,
        DataType::Decimal,
        DataType::Integer,
        DataType::DateTime,
        DataType::Binary,
        DataType::Reference,
        DataType::Complex,
    ];
    parse_keyword(optional_text(object, "type", path)?.unwrap_or("string"), &all, DataType::as_str, "type", path)
}

fn parse_mutability(object: &Map<String, Value>, path: &str) -> Result<Mutability, ScimError> {
    let all = [Mutability::ReadOnly, Mutability::ReadWrite, Mutability::Immutable, Mutability::WriteOnly];
    let keyword = optional_text(object, "mutability", path)?.unwrap_or("readWrite");
    parse_keyword(keyword, &all, Mutability::as_str, "mutability", path)
}

fn parse_returned(object: &Map<String, Value>, mutability: Mutability, path: &str) -> Result<Returned, ScimError> {
    let usual = if mutability == Mutability::WriteOnly { "never" } else { "default" };
    let all = [Returned::Always, Returned::Never, Returned::Default, Returned::Request];
    let returned = parse_keyword(
        optional_text(object, "returned", path)?.unwrap_or(usual),
        &all,
        Returned::as_str,
        "returned",
        path,
    )?;
    if mutability == Mutability::WriteOnly && returned != Returned::Never {
        return Err(ScimError::invalid_value(format!("{path}: a writeOnly attribute must have returned never")));
    }
    Ok(returned)
}

fn parse_keyword<T: Copy>(
    keyword: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
    member: &str,
    path: &str,
) -> Result<T, ScimError> {
    let found = all.iter().copied().find(|value| as_str(*value).eq_ignore_ascii_case(keyword));
    found.ok_or_else(|| {
        let keywords: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
        ScimError::invalid_value(format!("{path}: {member} must be one of {}", keywords.join(", ")))
    })
}

fn find_member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.filter(|value| !value.is_null())
}

fn optional_text<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<Option<&'a str>, ScimError> {
    match find_member(object, name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_MAX_BYTES => Ok(Some(text)),
        Some(Value::String(_)) => {
            Err(ScimError::invalid_value(format!("{name} of {path} is longer than {TEXT_MAX_BYTES} bytes")))
        }
        Some(_) => Err(ScimError::invalid_value(format!("{name} of {path} must be text"))),
    }
}

fn required_text<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a str, ScimError> {
    let found = optional_text(object, name, path)?.filter(|text| !text.trim().is_empty());
    found.ok_or_else(|| ScimError::invalid_value(format!("{path} needs a member {name}")))
}

fn optional_flag(object: &Map<String, Value>, name: &str, path: &str) -> Result<Option<bool>, ScimError> {
    match find_member(object, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(ScimError::invalid_value(format!("{name} of {path} must be true or false"))),
    }
}

fn optional_list<'a>(object: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a [Value], ScimError> {
    match find_member(object, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(ScimError::invalid_value(format!("{name} of {path} must be an array"))),
    }
}

fn optional_texts(object: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<SchemaText>, ScimError> {
    let texts = optional_list(object, name, path)?.iter().map(|item| match item {
        Value::String(text) if text.len() <= TEXT_MAX_BYTES => Ok(to_schema_text(text)),
        _ => Err(ScimError::invalid_value(format!("{name} of {path} must contain only short texts"))),
    });
    texts.collect()
}

fn to_schema_text(text: &str) -> SchemaText {
    SchemaText::Owned(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let refused = parse_schema(&document).unwrap_err();
            assert!(refused.detail.contains(part), "{document}: {}", refused.detail);
        }
    }
}
