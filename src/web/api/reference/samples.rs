//! Samples of each operation: the `curl` command, and the same request in JavaScript and Python. They take the credential from
//! the environment, and can be run as they are.

use serde_json::Value;

use crate::web::api::reference::parsed_document::PathOperation;

/// Name of the environment variable with the credential.
const KEY: &str = "ROLLCALL_KEY";

/// The samples of one operation.
#[derive(Debug)]
pub(super) struct CodeSamples {
    pub(super) curl: String,
    pub(super) javascript: String,
    pub(super) python: String,
}

/// A request with the values of its examples.
struct SampleRequest<'o> {
    method: &'o str,
    url: String,
    needs_key: bool,
    headers: Vec<(&'o str, String)>,
    body: Option<(&'o str, &'o Value)>,
}

/// Builds the samples of an operation of a server at this URL.
pub(super) fn build_samples(base_url: &str, located: &PathOperation) -> CodeSamples {
    let request = SampleRequest::new(base_url, located);
    CodeSamples { curl: request.to_curl(), javascript: request.to_javascript(), python: request.to_python() }
}

impl<'o> SampleRequest<'o> {
    fn new(base_url: &str, located: &'o PathOperation) -> Self {
        let PathOperation { path, method, operation } = located;
        let value_of = |name: &str| {
            let parameter = operation.parameters.iter().find(|parameter| parameter.name == name);
            let example = parameter.and_then(|parameter| parameter.example.as_ref());
            example.map_or_else(|| format_placeholder(name), format_plain)
        };
        let query: Vec<String> = operation
            .parameters
            .iter()
            .filter(|one| one.required && one.location == "query")
            .map(|one| format!("{}={}", one.name, value_of(&one.name)))
            .collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => value_of(name),
            None => part.to_owned(),
        };
        let path_filled = path.split('/').map(part).collect::<Vec<_>>().join("/");
        // The operator must specify the account of a new object.
        let names_account = *method == "post" && !path.contains('{');
        let headers = operation.parameters.iter().filter(|one| one.location == "header");
        let headers = headers
            .filter(|one| one.required || names_account && one.name == "frontegg-tenant-id")
            .map(|one| (one.name.as_str(), value_of(&one.name)));
        let content = operation.request_body.as_ref().and_then(|body| body.content.iter().next());
        Self {
            method,
            url: format!("{base_url}{path_filled}{query}"),
            needs_key: operation.security.iter().any(|scheme| !scheme.is_empty()),
            headers: headers.collect(),
            body: content.and_then(|(media, content)| Some((media.as_str(), content.example.as_ref()?))),
        }
    }

    fn to_curl(&self) -> String {
        let verb = if self.method == "get" { String::new() } else { format!(" -X {}", self.method.to_uppercase()) };
        let mut parts = vec![format!("curl -sS{verb} {}", quote_for_shell(&self.url))];
        if self.needs_key {
            parts.push(format!("-H \"Authorization: Bearer ${KEY}\""));
        }
        for (name, value) in &self.headers {
            parts.push(format!("-H {}", quote_for_shell(&format!("{name}: {value}"))));
        }
        if let Some((media, example)) = self.body {
            parts.push(format!("-H {}", quote_for_shell(&format!("Content-Type: {media}"))));
            parts.push(format!("-d {}", quote_for_shell(&format_json(example))));
        }
        parts.join(" \\\n  ")
    }

    fn to_javascript(&self) -> String {
        let mut options = Vec::new();
        if self.method != "get" {
            options.push(format!("  method: \"{}\",", self.method.to_uppercase()));
        }
        let mut headers = Vec::new();
        if self.needs_key {
            headers.push(format!("    Authorization: `Bearer ${{process.env.{KEY}}}`,"));
        }
        headers.extend(self.headers.iter().map(|(name, value)| format!("    \"{name}\": \"{value}\",")));
        if let Some((media, _)) = self.body {
            headers.push(format!("    \"Content-Type\": \"{media}\","));
        }
        if !headers.is_empty() {
            options.push(format!("  headers: {{\n{}\n  }},", headers.join("\n")));
        }
        if let Some((_, example)) = self.body {
            options.push(format!("  body: JSON.stringify({}),", format_json(example).replace('\n', "\n  ")));
        }
        let options = if options.is_empty() { String::new() } else { format!(", {{\n{}\n}}", options.join("\n")) };
        format!(
            "const response = await fetch(\"{}\"{options});\nconsole.log(response.status, await response.text());",
            self.url
        )
    }

    fn to_python(&self) -> String {
        let mut arguments = vec![format!("    \"{}\",", self.url)];
        let mut headers = Vec::new();
        if self.needs_key {
            headers.push(format!("\"Authorization\": \"Bearer \" + os.environ[\"{KEY}\"]"));
        }
        headers.extend(self.headers.iter().map(|(name, value)| format!("\"{name}\": \"{value}\"")));
        if !headers.is_empty() {
            arguments.push(format!("    headers={{{}}},", headers.join(", ")));
        }
        if let Some((_, example)) = self.body {
            arguments.push(format!("    json={},", format_python(example, 1)));
        }
        let import = if self.needs_key { "import os, requests" } else { "import requests" };
        let call = format!("response = requests.{}(\n{}\n)", self.method, arguments.join("\n"));
        format!("{import}\n\n{call}\nprint(response.status_code, response.text)")
    }
}

/// Formats a value as indented JSON.
pub(super) fn format_json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Formats a value as a Python literal.
fn format_python(value: &Value, depth: usize) -> String {
    let (inner, outer) = ("    ".repeat(depth + 1), "    ".repeat(depth));
    let block = |begin: char, lines: Vec<String>, end: char| {
        if lines.is_empty() {
            return format!("{begin}{end}");
        }
        format!("{begin}\n{inner}{}\n{outer}{end}", lines.join(&format!(",\n{inner}")))
    };
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => block('[', items.iter().map(|item| format_python(item, depth + 1)).collect(), ']'),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}: {}", Value::String(name.clone()), format_python(value, depth + 1))
            };
            block('{', members.iter().map(member).collect(), '}')
        }
        plain => plain.to_string(),
    }
}

fn format_plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Converts the name of a parameter without an example to a placeholder: `requestId` to `REQUEST_ID`.
fn format_placeholder(name: &str) -> String {
    name.chars().fold(String::new(), |mut placeholder, c| {
        if c.is_uppercase() {
            placeholder.push('_');
        }
        placeholder.push(if c == '-' { '_' } else { c.to_ascii_uppercase() });
        placeholder
    })
}

/// Quotes text for a POSIX shell.
fn quote_for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn create_item() -> PathOperation {
        let operation = serde_json::from_value(json!({
            "operationId": "x", "responses": {}, "security": [{"bearer": []}],
            "parameters": [
                {"name": "frontegg-tenant-id", "in": "header", "example": "acme"},
                {"name": "kindOf", "in": "query", "required": true}],
            "requestBody": {"content": {"application/json": {"example": {"source": "okta", "tags": [3, true, null]}}}},
        }));
        PathOperation { path: "/v1/items".into(), method: "post", operation: operation.unwrap() }
    }

    #[test]
    fn the_command_can_be_pasted() {
        let expected = r#"curl -sS -X POST 'https://scim.example.com/v1/items?kindOf=KIND_OF' \
  -H "Authorization: Bearer $ROLLCALL_KEY" \
  -H 'frontegg-tenant-id: acme' \
  -H 'Content-Type: application/json' \
  -d '{
  "source": "okta",
  "tags": [
    3,
    true,
    null
  ]
}'"#;
        assert_eq!(build_samples("https://scim.example.com", &create_item()).curl, expected);
        assert_eq!(quote_for_shell("it's"), r"'it'\''s'");
    }

    #[test]
    fn the_same_request_is_written_in_javascript_and_python() {
        let samples = build_samples("https://scim.example.com", &create_item());
        assert!(samples.javascript.contains("method: \"POST\"") && samples.javascript.contains("\"source\": \"okta\""));
        assert!(samples.javascript.contains("Authorization: `Bearer ${process.env.ROLLCALL_KEY}`"));
        let body = "json={\n        \"source\": \"okta\",\n        \"tags\": [\n            3,\n            True,\n            None\n        ]\n    },";
        assert!(samples.python.contains(body), "{}", samples.python);
        assert!(samples.python.starts_with("import os, requests\n\nresponse = requests.post(\n"));
    }
}
