//! Examples of the `OpenAPI` document: request bodies, responses and parameters with realistic values. They are built from
//! the schemas, with the values of `example_values.json`: whole examples of named schemas, values of members
//! (`Schema.member` or `member`), and values of parameters (the end of the path up to the parameter, or its name).

use serde_json::{Map, Value, json};

/// Maximum depth of an example; schemas can be recursive.
const DEPTH_MAX: usize = 14;

/// Example of every timestamp without one of its own.
const TIMESTAMP: &str = "2026-07-14T09:30:00.000Z";

/// The schemas and the values of examples.
struct Examples {
    schemas: Value,
    values: Value,
}

/// A schema with the named schema and the member that it describes.
#[derive(Clone, Copy)]
struct Described<'s> {
    schema: &'s Value,
    owner: &'s str,
    member: &'s str,
    depth: usize,
}

/// Adds an example to each request body, each successful response and each parameter that has none.
///
/// # Errors
/// `example_values.json` is not valid.
pub(super) fn add_examples(document: &mut Value) -> serde_json::Result<()> {
    let values = serde_json::from_str(include_str!("example_values.json"))?;
    let examples = Examples { schemas: document["components"]["schemas"].clone(), values };
    for (path, item) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                examples.add_to_parameter(path, parameter);
            }
            if let Some(body) = operation.get_mut("requestBody") {
                examples.add_to_content(body);
            }
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
            for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
                examples.add_to_content(response);
            }
        }
    }
    Ok(())
}

impl Examples {
    fn add_to_content(&self, body: &mut Value) {
        let Some(content) = body.pointer_mut("/content/application~1json").and_then(Value::as_object_mut) else {
            return;
        };
        let Some(schema) = content.get("schema").filter(|schema| schema.as_object().is_some_and(|one| !one.is_empty()))
        else {
            return;
        };
        let example = self.build(Described { schema, owner: "", member: "", depth: 0 });
        content.entry("example").or_insert(example);
    }

    fn add_to_parameter(&self, path: &str, parameter: &mut Value) {
        let name = parameter["name"].as_str().unwrap_or_default();
        let values = self.values["parameters"].as_object().into_iter().flatten();
        let position = path.find(&format!("{{{name}}}")).map_or("", |at| &path[..at + name.len() + 2]);
        let special = values.filter(|(key, _)| key.starts_with('/') && position.ends_with(key.as_str()));
        let found = special.map(|(_, value)| value).next().or_else(|| self.values["parameters"].get(name));
        let Some(found) = found.filter(|value| self.fits(&parameter["schema"], value)).cloned() else { return };
        if let Some(parameter) = parameter.as_object_mut() {
            parameter.entry("example").or_insert(found);
        }
    }

    /// Returns the named schema that a schema refers to, with its name.
    fn find_named<'s>(&'s self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let name = schema["$ref"].as_str()?.rsplit('/').next()?;
        Some((name, self.schemas.get(name)?))
    }

    /// Returns the listed value of a member, if the schema accepts it.
    fn find_value(&self, described: Described<'_>) -> Option<Value> {
        let Described { schema, owner, member, .. } = described;
        let members = &self.values["members"];
        let listed = [members.get(format!("{owner}.{member}")), members.get(member)];
        listed.into_iter().flatten().find(|value| !member.is_empty() && self.fits(schema, value)).cloned()
    }

    fn build(&self, described: Described<'_>) -> Value {
        let Described { schema, owner, depth, .. } = described;
        if let Some(given) = schema.get("example") {
            return given.clone();
        }
        if let Some((name, named)) = self.find_named(schema) {
            let listed = self.values["schemas"].get(name).cloned().or_else(|| self.find_value(described));
            let inner = Described { schema: named, owner: name, member: "", depth: depth + 1 };
            return listed.unwrap_or_else(|| self.build(inner));
        }
        if let Some(listed) = self.find_value(described).or_else(|| list_fixed_values(schema).first().cloned()) {
            return listed;
        }
        if depth > DEPTH_MAX {
            return json!({});
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts =
                parts.iter().map(|schema| self.build(Described { schema, owner, member: "", depth: depth + 1 }));
            let merged: Map<String, Value> =
                parts.filter_map(|part| part.as_object().cloned()).flat_map(Map::into_iter).collect();
            return Value::Object(merged);
        }
        let alternatives = ["oneOf", "anyOf"].iter().find_map(|keyword| schema[*keyword].as_array());
        if let Some(alternatives) = alternatives {
            let first = alternatives.iter().find(|one| one["type"] != "null");
            return first.map_or(Value::Null, |schema| self.build(Described { schema, depth: depth + 1, ..described }));
        }
        self.build_typed(described)
    }

    fn build_typed(&self, described: Described<'_>) -> Value {
        let Described { schema, owner, depth, .. } = described;
        match list_types(schema).into_iter().find(|one| *one != "null") {
            Some("object") => {
                let required =
                    |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
                let properties = schema["properties"].as_object().into_iter().flatten();
                let included = properties.filter(|(name, schema)| schema["type"] != "null" || required(name));
                let built = included.map(|(name, schema)| {
                    (name.clone(), self.build(Described { schema, owner, member: name, depth: depth + 1 }))
                });
                Value::Object(built.collect())
            }
            Some("array") => {
                let item = self.build(Described { schema: &schema["items"], owner, member: "", depth: depth + 1 });
                if item == "" { json!([]) } else { json!([item]) }
            }
            Some("boolean") => json!(false),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
            Some("string") if schema["format"] == "date-time" => json!(TIMESTAMP),
            Some("string") => json!(""),
            _ => Value::Null,
        }
    }

    /// Whether a schema accepts a value, as far as this decides between the values of a name.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        if let Some((_, named)) = self.find_named(schema) {
            return self.fits(named, value);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(alternatives) = schema[keyword].as_array() {
                return alternatives.iter().any(|one| self.fits(one, value));
            }
        }
        let types = list_types(schema);
        let has_type = types.is_empty() || types.iter().any(|name| is_of_type(name, value));
        let fixed = list_fixed_values(schema);
        let in_enum = fixed.is_empty() || fixed.contains(value);
        let is_inside = match value {
            Value::String(text) => schema["format"] != "date-time" || text.contains('T') && text.ends_with('Z'),
            Value::Array(items) => {
                schema.get("items").is_none_or(|schema| items.iter().all(|item| self.fits(schema, item)))
            }
            Value::Object(members) => schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .all(|name| members.get(name).is_some_and(|member| self.fits(&schema["properties"][name], member))),
            Value::Number(_) => {
                let limit = |keyword: &str| schema[keyword].as_f64();
                let number = value.as_f64().unwrap_or_default();
                limit("minimum").is_none_or(|least| number >= least)
                    && limit("maximum").is_none_or(|most| number <= most)
            }
            Value::Null | Value::Bool(_) => true,
        };
        has_type && in_enum && is_inside
    }
}

/// Returns the values that a schema lists.
fn list_fixed_values(schema: &Value) -> Vec<Value> {
    let constant = schema.get("const").cloned().into_iter();
    schema["enum"].as_array().into_iter().flatten().cloned().chain(constant).collect()
}

fn list_types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_use_the_values_of_members_that_fit() {
        let mut document = json!({
            "paths": {"/v1/users/{id}": {"post": {
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "array",
                    "items": {"$ref": "#/components/schemas/Item"}}}}}, "400": {"description": "wrong"}},
            }}},
            "components": {"schemas": {"Item": {"type": "object", "required": ["userName"], "properties": {
                "userName": {"type": "string"}, "active": {"type": ["boolean", "null"]}, "createdAt": {"type": "integer"},
                "next": {"$ref": "#/components/schemas/Item"}, "unlisted": {"type": "string", "format": "date-time"}}}}},
        });
        add_examples(&mut document).unwrap();
        let operation = &document["paths"]["/v1/users/{id}"]["post"];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        assert_eq!((&example["userName"], &example["active"]), (&json!("ada@example.com"), &json!(true)));
        assert_eq!((&example["createdAt"], &example["unlisted"]), (&json!(0), &json!(TIMESTAMP)));
        assert_eq!(operation["responses"]["200"]["content"]["application/json"]["example"][0]["active"], true);
        assert_eq!(operation["responses"]["400"], json!({"description": "wrong"}));
        assert_eq!(operation["parameters"][0]["example"], "01890a5d-b3f1-7c2e-9d70-6a1c3c0f5a11");
    }
}
