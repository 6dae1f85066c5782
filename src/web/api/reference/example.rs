//! The `curl` command of each operation.

use serde_json::{Map, Value, json};

use crate::web::api::reference::parsed_document::{ParsedComponents, PathOperation, list_alternatives};

/// Maximum depth of an example; schemas can be recursive.
const DEPTH_MAX: usize = 5;

/// Returns the command, with placeholders in upper case.
pub(super) fn build_command(base_url: &str, placed: &PathOperation, components: &ParsedComponents) -> String {
    let PathOperation { path, method, operation } = placed;
    let required = operation.parameters.iter().filter(|one| one.required);
    let query: Vec<String> = required
        .filter(|one| one.location == "query")
        .map(|one| format!("{}={}", one.name, format_placeholder(&one.name)))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let verb = if *method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let mut parts =
        vec![format!("curl -sS{verb} {}", quote_for_shell(&format!("{base_url}{}{query}", fill_path(path))))];
    if operation.security.iter().any(|scheme| !scheme.is_empty()) {
        parts.push("-H 'Authorization: Bearer TOKEN'".to_owned());
    }
    // The operator must specify the account of a new object.
    let names_account = *method == "post" && !path.contains('{');
    let headers = operation.parameters.iter().filter(|one| one.location == "header");
    for header in headers.filter(|one| one.required || names_account && one.name == "frontegg-tenant-id") {
        let value =
            if header.name == "frontegg-tenant-id" { "ACCOUNT".to_owned() } else { format_placeholder(&header.name) };
        parts.push(format!("-H {}", quote_for_shell(&format!("{}: {value}", header.name))));
    }
    if let Some((media, content)) = operation.request_body.as_ref().and_then(|body| body.content.iter().next()) {
        let example = content.example.clone().unwrap_or_else(|| build_example(&content.schema, components, 0));
        parts.push(format!("-H {}", quote_for_shell(&format!("Content-Type: {media}"))));
        parts.push(format!("-d {}", quote_for_shell(&example.to_string())));
    }
    parts.join(" \\\n  ")
}

/// Replaces the parameters of a path with placeholders: `{id}` with `ID`.
fn fill_path(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => format_placeholder(name),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Converts a parameter name to a placeholder: `requestId` to `REQUEST_ID`.
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

/// Returns an example of a value that the schema accepts. Objects have only the required members, or all members if none is
/// required.
fn build_example(schema: &Value, components: &ParsedComponents, depth: usize) -> Value {
    for given in [&schema["example"], &schema["examples"][0], &schema["default"], &schema["enum"][0]] {
        if !given.is_null() {
            return given.clone();
        }
    }
    let resolved = components.resolve(schema);
    if resolved != schema && depth < DEPTH_MAX {
        return build_example(resolved, components, depth + 1);
    }
    if let Some(first) = list_alternatives(schema).first().filter(|_| depth < DEPTH_MAX) {
        return build_example(first, components, depth + 1);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => build_object(schema, components, depth),
        Some("array") => json!([build_example(&schema["items"], components, depth + 1)]),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("string") if schema["format"] == "date-time" => json!("2030-01-31T12:00:00Z"),
        Some("string") => json!("…"),
        _ => json!({}),
    }
}

fn build_object(schema: &Value, components: &ParsedComponents, depth: usize) -> Value {
    let Some(properties) = schema["properties"].as_object().filter(|_| depth < DEPTH_MAX) else { return json!({}) };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let included = properties.iter().filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()));
    let members: Map<String, Value> =
        included.map(|(name, schema)| (name.clone(), build_example(schema, components, depth + 1))).collect();
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> ParsedComponents {
        let schemas = json!({"schemas": {
            "New": {"type": "object", "required": ["source", "tags"], "properties": {
                "source": {"$ref": "#/components/schemas/Source"}, "note": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "integer", "minimum": 3}}}},
            "Source": {"type": "string", "enum": ["okta", "other"]},
            "Recursive": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Recursive"}}},
        }});
        serde_json::from_value(schemas).unwrap()
    }

    #[test]
    fn the_command_can_be_pasted() {
        let operation = serde_json::from_value(json!({
            "operationId": "x", "responses": {}, "security": [{"bearer": []}],
            "parameters": [{"name": "frontegg-tenant-id", "in": "header"}, {"name": "kindOf", "in": "query", "required": true}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
        }));
        let placed = PathOperation { path: "/v1/things".into(), method: "post", operation: operation.unwrap() };
        let command = build_command("https://scim.example.com", &placed, &components());
        let expected = r#"curl -sS -X POST 'https://scim.example.com/v1/things?kindOf=KIND_OF' \
  -H 'Authorization: Bearer TOKEN' \
  -H 'frontegg-tenant-id: ACCOUNT' \
  -H 'Content-Type: application/json' \
  -d '{"source":"okta","tags":[3]}'"#;
        assert_eq!(command, expected);
    }

    #[test]
    fn path_parameters_become_placeholders_and_quotes_are_escaped() {
        assert_eq!(fill_path("/a/{id}/b/{requestId}"), "/a/ID/b/REQUEST_ID");
        assert_eq!(quote_for_shell("it's"), r"'it'\''s'");
    }

    #[test]
    fn the_example_of_a_recursive_schema_is_finite() {
        let schema = json!({"$ref": "#/components/schemas/Recursive"});
        assert!(build_example(&schema, &components(), 0).to_string().len() < 100);
    }
}
