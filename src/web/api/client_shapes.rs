//! The shape of the schemas in the `OpenAPI` document, for the generators of typed clients. A generator derives names from
//! positions, and not every one supports every keyword, so the schemas of the handlers are changed in these ways:
//!
//! - Fixed values have a named schema; a single one is `const`.
//! - An object with any members is `JsonObject`, one of texts is `HeaderValues`: without `additionalProperties`, some
//!   generators create a type that has no members.
//! - Each integer has a format, alternatives are not nested, and an optional request body is not null.
//! - A page has the name of its items: `TokenPage`.

use serde_json::{Map, Value, json};

/// Start of a reference to a schema.
const SCHEMAS: &str = "#/components/schemas/";

/// Name of the schema of an object with any members.
const JSON_OBJECT: &str = "JsonObject";

/// Name of the schema of an object whose values are texts.
const HEADER_VALUES: &str = "HeaderValues";

/// Prefixes of the names of pages, with the suffix that replaces them.
const PAGES: [(&str, &str); 2] = [("Page_", "Page"), ("ChangesPage_", "ChangesPage")];

/// Members with values that are not schemas.
const VALUES: [&str; 6] = ["example", "examples", "default", "const", "mapping", "security"];

/// Lists of fixed values that are not a type of their own in the program: name, description and first value.
const ENUMS: [(&str, &str, &str); 9] = [
    ("ResourceType", "A type of SCIM resources", "User"),
    ("Permission", "A permission of the management API", "provisioning.read"),
    ("AttributeType", "The data type of an attribute (RFC 7643 section 2.3)", "string"),
    ("AttributeMutability", "When an attribute can be written (RFC 7643 section 7)", "readWrite"),
    ("AttributeReturned", "When an attribute is returned (RFC 7643 section 7)", "always"),
    ("HoldAnswer", "`allow`: publish the changes. `reject`: undo the removals, and publish all other changes", "allow"),
    ("LanePosition", "`next`: the batch that was not delivered. `latest`: after the newest event", "next"),
    ("OAuthClientAction", "What happened to an OAuth client", "oauth_client.created"),
    ("DeclarationObstacle", "Why an attribute cannot be declared", "standard_schema"),
];

/// The named schemas that others refer to.
struct NamedSchemas(Map<String, Value>);

/// Changes the schemas of a document.
pub(super) fn shape_schemas(document: &mut Value) {
    rename_pages(document);
    let mut components = take_object(&mut document["components"]["schemas"]);
    let mut named = NamedSchemas(components.clone());
    for (name, schema) in &mut components {
        let is_named_list = schema["enum"].as_array().is_some_and(|values| values.len() > 1);
        let is_empty_object = schema["type"] == "object" && schema.get("properties").is_none();
        if !is_named_list && !is_empty_object {
            named.shape(schema);
        }
        named.0.insert(name.clone(), schema.clone());
    }
    let mut paths = document["paths"].take();
    for operation in paths.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in operation.as_object_mut().into_iter().flat_map(Map::values_mut) {
            require_object_body(operation);
            named.shape(operation);
        }
    }
    document["paths"] = paths;
    named.0.sort_keys();
    document["components"]["schemas"] = Value::Object(named.0);
}

fn take_object(value: &mut Value) -> Map<String, Value> {
    match value.take() {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Removes null from the alternatives of a request body: an absent one has the same meaning.
fn require_object_body(operation: &mut Value) {
    let content = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
    for body in content.into_iter().flat_map(Map::values_mut) {
        let alternatives = body["schema"]["oneOf"].as_array().cloned().unwrap_or_default();
        let (null, others): (Vec<Value>, Vec<Value>) = alternatives.into_iter().partition(|one| one["type"] == "null");
        if let ([_], [only]) = (&null[..], &others[..]) {
            body["schema"] = only.clone();
        }
    }
}

/// Renames `Page_Token` to `TokenPage`, with all references.
fn rename_pages(document: &mut Value) {
    let schemas = take_object(&mut document["components"]["schemas"]);
    let renamed = schemas.into_iter().map(|(name, schema)| (rename_page(&name), schema)).collect();
    document["components"]["schemas"] = Value::Object(renamed);
    rename_references(document);
}

fn rename_page(name: &str) -> String {
    let renamed = PAGES.iter().find_map(|(prefix, suffix)| Some(format!("{}{suffix}", name.strip_prefix(prefix)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}

fn rename_references(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(SCHEMAS)
            {
                *reference = format!("{SCHEMAS}{}", rename_page(name));
            }
            members.values_mut().for_each(rename_references);
        }
        _ => {}
    }
}

impl NamedSchemas {
    /// Changes a schema and everything below it.
    fn shape(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.shape(item)),
            Value::Object(schema) => {
                flatten_alternatives(schema);
                self.name_values(schema);
                self.name_object(schema);
                if has_type(schema, "integer") {
                    schema.entry("format").or_insert_with(|| json!("int64"));
                }
                for (name, member) in schema.iter_mut() {
                    if !VALUES.contains(&name.as_str()) {
                        self.shape(member);
                    }
                }
            }
            _ => {}
        }
    }

    /// Replaces a list of fixed values with a reference, and a list of one with `const`.
    fn name_values(&mut self, schema: &mut Map<String, Value>) {
        let Some(values) = schema.get("enum").and_then(Value::as_array).cloned() else { return };
        if let [only] = &values[..] {
            schema.insert("const".to_owned(), only.clone());
            schema.remove("enum");
            return;
        }
        if let Some(name) = self.find_list(&values) {
            schema.remove("type");
            schema.remove("enum");
            schema.insert("$ref".to_owned(), json!(format!("{SCHEMAS}{name}")));
        }
    }

    /// Returns the name of the schema with these values. It is created if it is in [`ENUMS`] only.
    fn find_list(&mut self, values: &[Value]) -> Option<String> {
        let has_values = |schema: &Value| schema["enum"].as_array().is_some_and(|listed| listed[..] == *values);
        if let Some((name, _)) = self.0.iter().find(|(_, schema)| has_values(schema)) {
            return Some(name.clone());
        }
        let &(name, description, _) =
            ENUMS.iter().find(|(_, _, first)| values.first().is_some_and(|one| one == first))?;
        self.0.insert(name.to_owned(), json!({"type": "string", "description": description, "enum": values}));
        Some(name.to_owned())
    }

    /// Replaces an object without described members with a reference.
    fn name_object(&mut self, schema: &mut Map<String, Value>) {
        if !has_type(schema, "object") || schema.contains_key("properties") {
            return;
        }
        let (name, named) = match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => {
                let description = "A JSON object with any members";
                (JSON_OBJECT, json!({"type": "object", "description": description, "additionalProperties": true}))
            }
            Some(values) if values.as_object().is_some_and(Map::is_empty) => {
                schema.remove("additionalProperties");
                return self.name_object(schema);
            }
            Some(values) if values["type"] == "string" => {
                let (description, values) = ("Values of headers by name", json!({"type": "string"}));
                (HEADER_VALUES, json!({"type": "object", "description": description, "additionalProperties": values}))
            }
            Some(_) => return,
        };
        self.0.entry(name).or_insert(named);
        let reference = json!({"$ref": format!("{SCHEMAS}{name}")});
        let is_nullable = has_type(schema, "null");
        for keyword in ["type", "additionalProperties", "propertyNames"] {
            schema.remove(keyword);
        }
        if is_nullable {
            schema.insert("oneOf".to_owned(), json!([reference, {"type": "null"}]));
        } else {
            schema.insert("$ref".to_owned(), reference["$ref"].clone());
        }
    }
}

/// Whether a schema lists the type.
fn has_type(schema: &Map<String, Value>, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// Replaces alternatives that are alternatives themselves with these.
fn flatten_alternatives(schema: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = schema.get_mut("oneOf") else { return };
    let inner = |one: Value| match one {
        Value::Object(mut members) if members.len() == 1 => match members.remove("oneOf") {
            Some(Value::Array(inner)) => inner,
            _ => vec![Value::Object(members)],
        },
        other => vec![other],
    };
    *alternatives = std::mem::take(alternatives).into_iter().flat_map(inner).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_have_names_and_forms_that_generators_understand() {
        let mut document = json!({
            "paths": {"/v1/items": {"post": {
                "requestBody": {"content": {"application/json": {"schema": {
                    "oneOf": [{"$ref": "#/components/schemas/Item"}, {"type": "null"}]}}}},
                "responses": {"200": {"content": {"application/json": {"example": {"enum": ["a"]}, "schema": {
                    "$ref": "#/components/schemas/Page_Item"}}}}},
            }}},
            "components": {"schemas": {
                "Item": {"type": "object", "properties": {
                    "kind": {"type": "string", "enum": ["item.created"]},
                    "type": {"type": "string", "description": "What it is", "enum": ["User", "Group"]},
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "data": {"type": ["object", "null"]},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {}},
                    "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "from": {"oneOf": [{"oneOf": [{"type": "string", "enum": ["next", "latest"]}, {"type": "integer"}]},
                        {"type": "null"}]},
                }},
                "Color": {"type": "string", "enum": ["red", "blue"]},
                "Page_Item": {"type": "object", "properties": {"items": {"type": "array", "items": {
                    "$ref": "#/components/schemas/Item"}}}},
            }},
        });
        shape_schemas(&mut document);
        let operation = &document["paths"]["/v1/items"]["post"];
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(*body, json!({"$ref": "#/components/schemas/Item"}));
        let content = &operation["responses"]["200"]["content"]["application/json"];
        assert_eq!(content["schema"], json!({"$ref": "#/components/schemas/ItemPage"}));
        assert_eq!(content["example"], json!({"enum": ["a"]}));
        let schemas = &document["components"]["schemas"];
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let members = &schemas["Item"]["properties"];
        assert_eq!(members["kind"], json!({"type": "string", "const": "item.created"}));
        assert_eq!(members["type"]["$ref"], reference("ResourceType")["$ref"]);
        assert_eq!(members["type"]["description"], "What it is");
        assert_eq!(members["color"], reference("Color"));
        assert_eq!(members["data"], json!({"oneOf": [reference("JsonObject"), {"type": "null"}]}));
        assert_eq!(members["headers"], reference("HeaderValues"));
        assert_eq!(members["counts"]["additionalProperties"], json!({"type": "integer", "format": "int64"}));
        let number = json!({"type": "integer", "format": "int64"});
        assert_eq!(members["from"], json!({"oneOf": [reference("LanePosition"), number, {"type": "null"}]}));
        assert_eq!(schemas["ResourceType"]["enum"], json!(["User", "Group"]));
        assert_eq!(schemas["JsonObject"]["additionalProperties"], true);
        assert!(schemas["Color"]["enum"].is_array() && schemas.get("Page_Item").is_none(), "{schemas}");
    }
}
