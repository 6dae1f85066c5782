//! Descriptions of schemas as text.

use serde_json::Value;

use crate::web::api::reference::parsed_document::{get_reference_name, list_alternatives};
use crate::web::api::reference::schema_urls::schema_url;

/// Longest pattern that is displayed; longer ones are not readable.
const PATTERN_MAX: usize = 40;

/// A part of a paragraph with the same formatting.
#[derive(Debug, PartialEq)]
pub(super) enum TextSpan {
    Plain(String),
    Code(String),
    Strong(String),
}

/// A paragraph.
pub(super) type Paragraph = Vec<TextSpan>;

/// Parses a description into paragraphs. The only supported Markdown is code and strong text.
pub(super) fn parse_paragraphs(description: &str) -> Vec<Paragraph> {
    description.split("\n\n").map(parse_paragraph).filter(|text| !text.is_empty()).collect()
}

/// Parses one paragraph.
pub(super) fn parse_paragraph(paragraph: &str) -> Paragraph {
    let mut spans = Vec::new();
    for (at, piece) in paragraph.trim().split('`').enumerate() {
        if at % 2 == 1 {
            spans.push(TextSpan::Code(piece.to_owned()));
            continue;
        }
        for (at, piece) in piece.split("**").enumerate().filter(|(_, piece)| !piece.is_empty()) {
            spans.push(if at % 2 == 1 {
                TextSpan::Strong(piece.to_owned())
            } else {
                TextSpan::Plain(piece.to_owned())
            });
        }
    }
    spans
}

/// A part of the description of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TypeSpan {
    Text(String),
    /// Name of a component, and the URL of its description.
    Link(String, String),
}

/// The type of values that a schema accepts.
pub(super) type TypeText = Vec<TypeSpan>;

fn plain_type(text: impl Into<String>) -> TypeText {
    vec![TypeSpan::Text(text.into())]
}

/// Describes the type of values that a schema accepts.
pub(super) fn describe_type(schema: &Value) -> TypeText {
    if let Some(name) = get_reference_name(schema) {
        return vec![TypeSpan::Link(name.to_owned(), schema_url(name))];
    }
    let mut described = describe_values(schema);
    if is_nullable(schema) {
        described.push(TypeSpan::Text(" or null".to_owned()));
    }
    described
}

/// The same without null.
fn describe_values(schema: &Value) -> TypeText {
    if schema["allOf"].is_array() {
        return plain_type("object");
    }
    let mut alternatives: Vec<TypeText> = Vec::new();
    for one in list_alternatives(schema) {
        let described = describe_type(one);
        if !alternatives.contains(&described) {
            alternatives.push(described);
        }
    }
    if !alternatives.is_empty() {
        return alternatives.join(&TypeSpan::Text(" or ".to_owned()));
    }
    plain_type(match list_types(schema)[..] {
        ["array"] => {
            let items = describe_type(&schema["items"]);
            return [plain_type("array of "), items].concat();
        }
        ["string"] => match schema["format"].as_str() {
            Some("date-time") => "string (date-time)".to_owned(),
            Some("uuid") => "string (uuid)".to_owned(),
            Some("uri") => "string (uri)".to_owned(),
            _ => "string".to_owned(),
        },
        [one] => one.to_owned(),
        [] if schema["enum"].is_array() => "string".to_owned(),
        [] => "any value".to_owned(),
        ref several => several.join(" or "),
    })
}

fn list_types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    }
}

fn is_nullable(schema: &Value) -> bool {
    let has_null = |schemas: &Value| schemas.as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "null"));
    schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"))
        || has_null(&schema["oneOf"])
        || has_null(&schema["anyOf"])
}

/// Describes the limits of values, each with a short sentence.
pub(super) fn describe_limits(schema: &Value) -> Vec<Paragraph> {
    let mut found = Vec::new();
    if let Some(value) = schema.get("const") {
        found.push(format!("Only `{}`.", format_value(value)));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter(|value| !value.is_null()).map(|value| format!("`{}`", format_value(value))).collect();
        let start = if values.len() == 1 { "Only" } else { "One of" };
        found.push(format!("{start} {}.", values.join(", ")));
    }
    found.extend(describe_range(&schema["minLength"], &schema["maxLength"], " characters"));
    found.extend(describe_range(&schema["minItems"], &schema["maxItems"], " items"));
    found.extend(describe_range(&schema["minimum"], &schema["maximum"], ""));
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| pattern.len() <= PATTERN_MAX) {
        found.push(format!("Matches `{pattern}`."));
    }
    if !schema["default"].is_null() {
        found.push(format!("Default `{}`.", format_value(&schema["default"])));
    }
    found.iter().map(|sentence| parse_paragraph(sentence)).collect()
}

fn describe_range(least: &Value, most: &Value, unit: &str) -> Option<String> {
    match (least.as_f64(), most.as_f64()) {
        // "At least 1 characters" says less.
        (Some(1.0), None) if !unit.is_empty() => Some("Not empty.".to_owned()),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}.")),
        (Some(least), None) => Some(format!("At least {least}{unit}.")),
        (None, Some(most)) => Some(format!("At most {most}{unit}.")),
        (None, None) => None,
    }
}

fn format_value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn code_and_strong_text_are_separate_spans() {
        let plain = |text: &str| TextSpan::Plain(text.to_owned());
        let spans = parse_paragraph("**Pages.** Give `limit`, `cursor`");
        let expected = [
            TextSpan::Strong("Pages.".into()),
            plain(" Give "),
            TextSpan::Code("limit".into()),
            plain(", "),
            TextSpan::Code("cursor".into()),
        ];
        assert_eq!(spans, expected);
        assert_eq!(parse_paragraphs("a\nb\n\nc").len(), 2);
        assert!(parse_paragraphs("").is_empty());
    }

    #[test]
    fn types_are_described_as_text() {
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["string", "null"], "format": "date-time"}), "string (date-time) or null"),
            (json!({"type": "array", "items": {"type": "integer"}}), "array of integer"),
            (json!({"type": ["boolean", "string"]}), "boolean or string"),
            (json!({}), "any value"),
            (json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}), "boolean or null"),
        ] {
            assert_eq!(render(&schema), expected, "{schema}");
        }
        let thing = json!({"$ref": "#/components/schemas/Thing"});
        for (schema, expected) in [
            (json!({"type": "array", "items": thing}), "array of [Thing]"),
            (json!({"oneOf": [{"type": "null"}, thing]}), "[Thing] or null"),
            (json!({"anyOf": [thing, {"type": "string"}]}), "[Thing] or string"),
            (json!({"oneOf": [{"type": "object"}, {"type": "object"}]}), "object"),
            (json!({"allOf": [thing, {"type": "object"}]}), "object"),
        ] {
            assert_eq!(render(&schema), expected, "{schema}");
        }
    }

    fn render(schema: &Value) -> String {
        let spans = describe_type(schema).into_iter().map(|span| match span {
            TypeSpan::Text(text) => text,
            TypeSpan::Link(name, _) => format!("[{name}]"),
        });
        spans.collect()
    }

    #[test]
    fn limits_are_short_sentences() {
        let schema =
            json!({"minLength": 1, "maxLength": 64, "minimum": 3, "maxItems": 2, "enum": ["a", null], "default": 5});
        let expected: Vec<Paragraph> =
            ["Only `a`.", "1 to 64 characters.", "At most 2 items.", "At least 3.", "Default `5`."]
                .map(parse_paragraph)
                .into();
        assert_eq!(describe_limits(&schema), expected);
        assert_eq!(describe_limits(&json!({"minLength": 1})), [parse_paragraph("Not empty.")]);
    }
}
