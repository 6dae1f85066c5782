//! The variables of a transcript: `{{name}}`, `{{name|filter|filter}}`, `{{run}}` and `{{guid:x}}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sample;

/// A variable without a value; an earlier step should have captured it.
#[derive(Debug, PartialEq)]
pub(super) struct Unbound(pub(super) String);

/// Values by name.
pub(super) struct Scope(BTreeMap<String, Value>);

impl Scope {
    /// The initial values of a file, rendered in order, and a `run` that is unique for this replay.
    pub(super) fn new(start: &Value) -> Self {
        let fresh = uuid::Uuid::now_v7().simple().to_string();
        let mut scope = Self(BTreeMap::from([("run".to_owned(), Value::from(&fresh[fresh.len() - 8..]))]));
        for (name, value) in start.as_object().into_iter().flatten() {
            let value = scope.render(value).unwrap_or_else(|Unbound(lost)| panic!("vars: {lost} comes too early"));
            scope.set(name, value);
        }
        scope
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// A copy of the value with every variable replaced, also in keys.
    pub(super) fn render(&mut self, value: &Value) -> Result<Value, Unbound> {
        Ok(match value {
            Value::Object(members) => {
                let mut rendered = Map::new();
                for (key, value) in members {
                    rendered.insert(self.text(key)?, self.render(value)?);
                }
                Value::Object(rendered)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.render(item)).collect::<Result<_, _>>()?),
            Value::String(text) => match variable(text) {
                // A text that is only one variable keeps the type of the captured value.
                Some((name, "", "")) => self.value(name)?,
                _ => Value::String(self.text(text)?),
            },
            other => other.clone(),
        })
    }

    /// A text with every variable replaced.
    pub(super) fn text(&mut self, text: &str) -> Result<String, Unbound> {
        let mut rendered = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            rendered.push_str(&rest[..start]);
            rest = &rest[start..];
            let Some((name, filters, after)) = variable(rest) else {
                rendered.push_str("{{");
                rest = &rest[2..];
                continue;
            };
            let value = self.value(name)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rendered.push_str(
                &filters
                    .split('|')
                    .map(str::trim)
                    .filter(|filter| !filter.is_empty())
                    .fold(value, |value, filter| filtered(&value, filter)),
            );
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    fn value(&mut self, name: &str) -> Result<Value, Unbound> {
        if name.starts_with("guid:") && !self.0.contains_key(name) {
            self.set(name, uuid::Uuid::now_v7().to_string().into());
        }
        self.0.get(name).cloned().ok_or_else(|| Unbound(name.to_owned()))
    }
}

/// A variable at the start of the text: its name, its filters, and the rest.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, after) = text.strip_prefix("{{")?.split_once("}}")?;
    let (name, filters) = inside.split_once('|').unwrap_or((inside, ""));
    let name = name.trim();
    let legal = |c: char| c.is_alphanumeric() || "_.:-".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && name.chars().all(legal)).then_some((name, filters, after))
}

fn filtered(text: &str, filter: &str) -> String {
    match filter {
        "q" => sample::encode(text),
        "qp" => sample::encode(text).replace("%20", "+"),
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        other => panic!("unknown variable filter {other:?}"),
    }
}

#[test]
fn variables_keep_their_type_alone_and_become_text_among_others() {
    let mut scope = Scope::new(&serde_json::json!({"n": 5, "login": "A b@x"}));
    assert_eq!(scope.render(&"{{n}}".into()), Ok(5.into()));
    assert_eq!(scope.text("{{ n }}-{{login|lower|qp}}-{{login|q}} {{"), Ok("5-a+b%40x-A%20b%40x {{".to_owned()));
    assert_eq!(scope.text("{{gone}}"), Err(Unbound("gone".to_owned())));
    assert_eq!(scope.text("{{guid:a}}"), scope.text("{{guid:a}}"));
}
