//! The line of `curl` beside each operation.

use serde_json::{Map, Value, json};

use super::description::{Components, Placed, choices};

/// How deep an example goes; schemas may go in circles.
const DEPTH_MAX: usize = 5;

/// The command, with placeholders in capitals.
pub(super) fn curl(base_url: &str, placed: &Placed, components: &Components) -> String {
    let Placed { path, method, operation } = placed;
    let required = operation.parameters.iter().filter(|one| one.required);
    let query: Vec<String> = required
        .filter(|one| one.place == "query")
        .map(|one| format!("{}={}", one.name, placeholder(&one.name)))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let verb = if *method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let mut parts = vec![format!("curl -sS{verb} {}", quoted(&format!("{base_url}{}{query}", filled(path))))];
    if operation.security.iter().any(|scheme| !scheme.is_empty()) {
        parts.push("-H 'Authorization: Bearer TOKEN'".to_owned());
    }
    // The operator names the account of what is to be made.
    let names_account = *method == "post" && !path.contains('{');
    let headers = operation.parameters.iter().filter(|one| one.place == "header");
    for header in headers.filter(|one| one.required || names_account && one.name == "frontegg-tenant-id") {
        let value = if header.name == "frontegg-tenant-id" { "ACCOUNT".to_owned() } else { placeholder(&header.name) };
        parts.push(format!("-H {}", quoted(&format!("{}: {value}", header.name))));
    }
    if let Some((media, content)) = operation.request_body.as_ref().and_then(|body| body.content.iter().next()) {
        let example = content.example.clone().unwrap_or_else(|| example(&content.schema, components, 0));
        parts.push(format!("-H {}", quoted(&format!("Content-Type: {media}"))));
        parts.push(format!("-d {}", quoted(&example.to_string())));
    }
    parts.join(" \\\n  ")
}

/// A path with `{id}` as `ID`.
fn filled(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => placeholder(name),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// `REQUEST_ID` for `requestId`.
fn placeholder(name: &str) -> String {
    name.chars().fold(String::new(), |mut placeholder, c| {
        if c.is_uppercase() {
            placeholder.push('_');
        }
        placeholder.push(if c == '-' { '_' } else { c.to_ascii_uppercase() });
        placeholder
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A value that the schema takes: what is required, or where nothing is, everything.
fn example(schema: &Value, components: &Components, depth: usize) -> Value {
    for given in [&schema["example"], &schema["examples"][0], &schema["default"], &schema["enum"][0]] {
        if !given.is_null() {
            return given.clone();
        }
    }
    let resolved = components.resolved(schema);
    if resolved != schema && depth < DEPTH_MAX {
        return example(resolved, components, depth + 1);
    }
    if let Some(first) = choices(schema).first().filter(|_| depth < DEPTH_MAX) {
        return example(first, components, depth + 1);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => members(schema, components, depth),
        Some("array") => json!([example(&schema["items"], components, depth + 1)]),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("string") if schema["format"] == "date-time" => json!("2030-01-31T12:00:00Z"),
        Some("string") => json!("…"),
        _ => json!({}),
    }
}

fn members(schema: &Value, components: &Components, depth: usize) -> Value {
    let Some(properties) = schema["properties"].as_object().filter(|_| depth < DEPTH_MAX) else { return json!({}) };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let wanted = properties.iter().filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()));
    let shown: Map<String, Value> =
        wanted.map(|(name, schema)| (name.clone(), example(schema, components, depth + 1))).collect();
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> Components {
        let schemas = json!({"schemas": {
            "New": {"type": "object", "required": ["source", "tags"], "properties": {
                "source": {"$ref": "#/components/schemas/Source"}, "note": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "integer", "minimum": 3}}}},
            "Source": {"type": "string", "enum": ["okta", "other"]},
            "Circle": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Circle"}}},
        }});
        serde_json::from_value(schemas).unwrap()
    }

    #[test]
    fn the_command_can_be_pasted() {
        let operation = serde_json::from_value(json!({
            "operationId": "x", "responses": {}, "security": [{"bearer": []}],
            "parameters": [{"name": "frontegg-tenant-id", "in": "header"}, {"name": "ofWhom", "in": "query", "required": true}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
        }));
        let placed = Placed { path: "/v1/things".into(), method: "post", operation: operation.unwrap() };
        let command = curl("https://scim.example.com", &placed, &components());
        let expected = r#"curl -sS -X POST 'https://scim.example.com/v1/things?ofWhom=OF_WHOM' \
  -H 'Authorization: Bearer TOKEN' \
  -H 'frontegg-tenant-id: ACCOUNT' \
  -H 'Content-Type: application/json' \
  -d '{"source":"okta","tags":[3]}'"#;
        assert_eq!(command, expected);
    }

    #[test]
    fn places_in_the_path_are_in_capitals_and_quotes_are_safe() {
        assert_eq!(filled("/a/{id}/b/{requestId}"), "/a/ID/b/REQUEST_ID");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn an_example_of_a_circle_ends() {
        let schema = json!({"$ref": "#/components/schemas/Circle"});
        assert!(example(&schema, &components(), 0).to_string().len() < 100);
    }
}
