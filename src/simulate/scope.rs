//! The variables of a conversation: `{{name}}`, `{{name|filter|filter}}`, `{{run}}` and `{{guid:x}}`.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::clock;

/// Everything except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A variable without a value; an earlier step should have captured it.
#[derive(Debug, PartialEq)]
pub(super) struct UnboundVariable(pub(super) String);

/// Values by name.
pub(super) struct VariableScope(BTreeMap<String, Value>);

impl VariableScope {
    /// Creates the first values of a conversation, rendered in order, and a `run` that is unique for this run.
    pub(super) fn new(start: &Map<String, Value>) -> Result<Self, UnboundVariable> {
        let run = create_run_name();
        let mut scope = Self(BTreeMap::from([("run".to_owned(), Value::from(run))]));
        for (name, value) in start {
            let value = scope.render(value)?;
            scope.set(name, value);
        }
        Ok(scope)
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Returns a copy of the value with every variable replaced, also in keys.
    pub(super) fn render(&mut self, value: &Value) -> Result<Value, UnboundVariable> {
        Ok(match value {
            Value::Object(members) => {
                let mut rendered = Map::new();
                for (key, value) in members {
                    rendered.insert(self.render_text(key)?, self.render(value)?);
                }
                Value::Object(rendered)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.render(item)).collect::<Result<_, _>>()?),
            Value::String(text) => match split_variable(text) {
                // A text that is only one variable has the type of the captured value.
                Some((name, "", "")) => self.find_value(name)?,
                _ => Value::String(self.render_text(text)?),
            },
            other => other.clone(),
        })
    }

    /// Returns a text with every variable replaced.
    pub(super) fn render_text(&mut self, text: &str) -> Result<String, UnboundVariable> {
        let mut rendered = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            rendered.push_str(&rest[..start]);
            rest = &rest[start..];
            let Some((name, filters, after)) = split_variable(rest) else {
                rendered.push_str("{{");
                rest = &rest[2..];
                continue;
            };
            let value = self.find_value(name)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rendered.push_str(&filters.split('|').map(str::trim).fold(value, filter_text));
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    fn find_value(&mut self, name: &str) -> Result<Value, UnboundVariable> {
        if name.starts_with("guid:") && !self.0.contains_key(name) {
            self.set(name, clock::new_id().into());
        }
        self.0.get(name).cloned().ok_or_else(|| UnboundVariable(name.to_owned()))
    }
}

/// Eight characters that no other run has.
fn create_run_name() -> String {
    let id = clock::new_id().replace('-', "");
    id.get(id.len().saturating_sub(8)..).unwrap_or_default().to_owned()
}

/// A variable at the start of the text: its name, its filters, and the rest.
fn split_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, after) = text.strip_prefix("{{")?.split_once("}}")?;
    let (name, filters) = inside.split_once('|').unwrap_or((inside, ""));
    let name = name.trim();
    let legal = |c: char| c.is_alphanumeric() || "_.:-".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && name.chars().all(legal)).then_some((name, filters, after))
}

fn filter_text(text: String, filter: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    match filter {
        "q" => encode(&text),
        "qp" => encode(&text).replace("%20", "+"),
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_type_alone_and_become_text_among_others() {
        let start = serde_json::json!({"n": 5, "login": "A b@x"});
        let mut scope = VariableScope::new(start.as_object().unwrap()).unwrap();
        assert_eq!(scope.render(&"{{n}}".into()), Ok(5.into()));
        let text = scope.render_text("{{ n }}-{{login|lower|qp}}-{{login|q}} {{");
        assert_eq!(text, Ok("5-a+b%40x-A%20b%40x {{".to_owned()));
        assert_eq!(scope.render_text("{{gone}}"), Err(UnboundVariable("gone".to_owned())));
        assert_eq!(scope.render_text("{{guid:a}}"), scope.render_text("{{guid:a}}"));
        assert_ne!(create_run_name(), create_run_name());
    }
}
