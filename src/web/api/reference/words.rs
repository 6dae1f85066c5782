//! Schemas and descriptions in words.

use serde_json::Value;

use super::description::{choices, reference};

/// Longest pattern that says something to a reader.
const PATTERN_MAX: usize = 40;

/// A piece of running text.
#[derive(Debug, PartialEq)]
pub(super) enum Span {
    Plain(String),
    Code(String),
    Strong(String),
}

/// A paragraph.
pub(super) type Text = Vec<Span>;

/// The paragraphs of a description, which is Markdown with code and strong words at most.
pub(super) fn paragraphs(description: &str) -> Vec<Text> {
    description.split("\n\n").map(text).filter(|text| !text.is_empty()).collect()
}

/// One paragraph.
pub(super) fn text(paragraph: &str) -> Text {
    let mut spans = Vec::new();
    for (at, piece) in paragraph.trim().split('`').enumerate() {
        if at % 2 == 1 {
            spans.push(Span::Code(piece.to_owned()));
            continue;
        }
        for (at, piece) in piece.split("**").enumerate().filter(|(_, piece)| !piece.is_empty()) {
            spans.push(if at % 2 == 1 { Span::Strong(piece.to_owned()) } else { Span::Plain(piece.to_owned()) });
        }
    }
    spans
}

/// What kind of value a schema takes: words, perhaps with a named schema among them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kind {
    pub(super) before: String,
    /// Name of a component.
    pub(super) link: Option<String>,
    pub(super) after: String,
}

impl Kind {
    fn words(before: impl Into<String>) -> Self {
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

/// The kind of value that a schema takes.
pub(super) fn kind(schema: &Value) -> Kind {
    if let Some(name) = reference(schema) {
        return Kind { link: Some(name.to_owned()), ..Kind::default() };
    }
    let or_null = is_nullable(schema);
    match choices(schema)[..] {
        [] => {}
        [only] => return kind(only).or_null(or_null),
        _ => return Kind::words("one of several").or_null(or_null),
    }
    let named = match types(schema)[..] {
        ["array"] => {
            let items = kind(&schema["items"]);
            Kind { before: format!("list of {}", items.before), ..items }
        }
        ["string"] => Kind::words(match schema["format"].as_str() {
            Some("date-time") => "time (RFC 3339)",
            Some("uuid") => "UUID",
            Some("uri") => "URL",
            _ => "text",
        }),
        ["boolean"] => Kind::words("true or false"),
        ["integer"] => Kind::words("whole number"),
        [one] => Kind::words(one),
        [] if schema["enum"].is_array() => Kind::words("text"),
        [] => Kind::words("any value"),
        ref several => Kind::words(several.join(" or ")),
    };
    named.or_null(or_null)
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    }
}

fn is_nullable(schema: &Value) -> bool {
    let says_null = |schemas: &Value| schemas.as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "null"));
    schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"))
        || says_null(&schema["oneOf"])
        || says_null(&schema["anyOf"])
}

/// What values are held to, a short sentence each.
pub(super) fn limits(schema: &Value) -> Vec<Text> {
    let mut found = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().filter(|word| !word.is_null()).map(|word| format!("`{}`", plain(word))).collect();
        found.push(format!("One of {}.", words.join(", ")));
    }
    found.extend(range(&schema["minLength"], &schema["maxLength"], " characters"));
    found.extend(range(&schema["minItems"], &schema["maxItems"], " items"));
    found.extend(range(&schema["minimum"], &schema["maximum"], ""));
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| pattern.len() <= PATTERN_MAX) {
        found.push(format!("Matches `{pattern}`."));
    }
    if !schema["default"].is_null() {
        found.push(format!("`{}` when left out.", plain(&schema["default"])));
    }
    found.iter().map(|words| text(words)).collect()
}

fn range(least: &Value, most: &Value, of: &str) -> Option<String> {
    match (least.as_f64(), most.as_f64()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{of}.")),
        (Some(least), None) => Some(format!("At least {least}{of}.")),
        (None, Some(most)) => Some(format!("At most {most}{of}.")),
        (None, None) => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn code_and_strong_words_stand_apart() {
        let plain = |text: &str| Span::Plain(text.to_owned());
        let spans = text("**Pages.** Give `limit`, `cursor`");
        let expected = [
            Span::Strong("Pages.".into()),
            plain(" Give "),
            Span::Code("limit".into()),
            plain(", "),
            Span::Code("cursor".into()),
        ];
        assert_eq!(spans, expected);
        assert_eq!(paragraphs("a\nb\n\nc").len(), 2);
        assert!(paragraphs("").is_empty());
    }

    #[test]
    fn kinds_are_said_in_words() {
        for (schema, words) in [
            (json!({"type": "string"}), "text"),
            (json!({"type": ["string", "null"], "format": "date-time"}), "time (RFC 3339) or null"),
            (json!({"type": "array", "items": {"type": "integer"}}), "list of whole number"),
            (json!({"type": ["boolean", "string"]}), "boolean or string"),
            (json!({}), "any value"),
            (json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}), "true or false or null"),
        ] {
            assert_eq!(kind(&schema), Kind::words(words), "{schema}");
        }
        let items = kind(&json!({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}));
        assert_eq!((items.before.as_str(), items.link.as_deref()), ("list of ", Some("Thing")));
        let perhaps = kind(&json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Thing"}]}));
        assert_eq!((perhaps.link.as_deref(), perhaps.after.as_str()), (Some("Thing"), " or null"));
    }

    #[test]
    fn limits_are_short_sentences() {
        let schema =
            json!({"minLength": 1, "maxLength": 64, "minimum": 3, "maxItems": 2, "enum": ["a", null], "default": 5});
        let words: Vec<Text> =
            ["One of `a`.", "1 to 64 characters.", "At most 2 items.", "At least 3.", "`5` when left out."]
                .map(text)
                .into();
        assert_eq!(limits(&schema), words);
    }
}
