//! Descriptions of schemas as text.

use serde_json::Value;

use crate::web::api::reference::parsed_document::{get_reference_name, list_alternatives};

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

/// The type of values that a schema accepts: text, optionally with a link to a named schema.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TypeText {
    pub(super) before: String,
    /// Name of a component.
    pub(super) link: Option<String>,
    pub(super) after: String,
}

impl TypeText {
    fn plain(before: impl Into<String>) -> Self {
        Self { before: before.into(), ..Self::default() }
    }

    fn or_null(mut self, is_nullable: bool) -> Self {
        if is_nullable {
            let end = if self.link.is_some() { &mut self.after } else { &mut self.before };
            end.push_str(" or null");
        }
        self
    }
}

/// Describes the type of values that a schema accepts.
pub(super) fn describe_type(schema: &Value) -> TypeText {
    if let Some(name) = get_reference_name(schema) {
        return TypeText { link: Some(name.to_owned()), ..TypeText::default() };
    }
    let or_null = is_nullable(schema);
    match list_alternatives(schema)[..] {
        [] => {}
        [only] => return describe_type(only).or_null(or_null),
        _ => return TypeText::plain("one of several").or_null(or_null),
    }
    let described = match list_types(schema)[..] {
        ["array"] => {
            let items = describe_type(&schema["items"]);
            TypeText { before: format!("list of {}", items.before), ..items }
        }
        ["string"] => TypeText::plain(match schema["format"].as_str() {
            Some("date-time") => "time (RFC 3339)",
            Some("uuid") => "UUID",
            Some("uri") => "URL",
            _ => "text",
        }),
        ["boolean"] => TypeText::plain("true or false"),
        ["integer"] => TypeText::plain("whole number"),
        [one] => TypeText::plain(one),
        [] if schema["enum"].is_array() => TypeText::plain("text"),
        [] => TypeText::plain("any value"),
        ref several => TypeText::plain(several.join(" or ")),
    };
    described.or_null(or_null)
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
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter(|value| !value.is_null()).map(|value| format!("`{}`", format_value(value))).collect();
        found.push(format!("One of {}.", values.join(", ")));
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
            (json!({"type": "string"}), "text"),
            (json!({"type": ["string", "null"], "format": "date-time"}), "time (RFC 3339) or null"),
            (json!({"type": "array", "items": {"type": "integer"}}), "list of whole number"),
            (json!({"type": ["boolean", "string"]}), "boolean or string"),
            (json!({}), "any value"),
            (json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}), "true or false or null"),
        ] {
            assert_eq!(describe_type(&schema), TypeText::plain(expected), "{schema}");
        }
        let items = describe_type(&json!({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}));
        assert_eq!((items.before.as_str(), items.link.as_deref()), ("list of ", Some("Thing")));
        let nullable = describe_type(&json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Thing"}]}));
        assert_eq!((nullable.link.as_deref(), nullable.after.as_str()), (Some("Thing"), " or null"));
    }

    #[test]
    fn limits_are_short_sentences() {
        let schema =
            json!({"minLength": 1, "maxLength": 64, "minimum": 3, "maxItems": 2, "enum": ["a", null], "default": 5});
        let expected: Vec<Paragraph> =
            ["One of `a`.", "1 to 64 characters.", "At most 2 items.", "At least 3.", "Default `5`."]
                .map(parse_paragraph)
                .into();
        assert_eq!(describe_limits(&schema), expected);
    }
}
