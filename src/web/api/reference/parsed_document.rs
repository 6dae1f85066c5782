//! The parts of an `OpenAPI` document that the reference page displays.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// HTTP methods, in display order.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Debug, Deserialize)]
pub(super) struct ParsedDocument {
    pub(super) info: ParsedInfo,
    pub(super) servers: Vec<ParsedServer>,
    pub(super) tags: Vec<ParsedTag>,
    /// Operations by path, then by method in lower case, in the order of the route table.
    paths: Map<String, Value>,
    pub(super) components: ParsedComponents,
}

/// An operation with its path and method.
#[derive(Debug)]
pub(super) struct PathOperation {
    pub(super) path: String,
    /// In lower case.
    pub(super) method: &'static str,
    pub(super) operation: ParsedOperation,
}

impl ParsedDocument {
    /// Returns all operations, in the order of the document.
    ///
    /// # Errors
    /// An operation does not have the expected structure.
    pub(super) fn operations(&self) -> serde_json::Result<Vec<PathOperation>> {
        let mut found = Vec::new();
        for (path, item) in &self.paths {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let operation = serde_json::from_value(operation.clone())?;
                    found.push(PathOperation { path: path.clone(), method, operation });
                }
            }
        }
        Ok(found)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedInfo {
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedServer {
    pub(super) url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedTag {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedComponents {
    pub(super) schemas: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParsedOperation {
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(rename = "operationId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) parameters: Vec<ParsedParameter>,
    pub(super) request_body: Option<ParsedBody>,
    pub(super) responses: BTreeMap<String, ParsedResponse>,
    /// Security schemes by name. An empty map means that no credentials are needed.
    #[serde(default)]
    pub(super) security: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedParameter {
    pub(super) name: String,
    #[serde(rename = "in")]
    pub(super) location: String,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) schema: Value,
    pub(super) example: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedBody {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) content: BTreeMap<String, ParsedContent>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedResponse {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) content: BTreeMap<String, ParsedContent>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParsedContent {
    #[serde(default)]
    pub(super) schema: Value,
    pub(super) example: Option<Value>,
}

impl ParsedComponents {
    /// Resolves references, and nullable schemas with one alternative, up to 8 levels deep.
    pub(super) fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // The schemas of this API are less deep. The limit also ends reference cycles.
        for _ in 0..8 {
            let next = match get_reference_name(schema) {
                Some(name) => self.schemas.get(name),
                None => find_only_alternative(schema),
            };
            let Some(next) = next else { break };
            schema = next;
        }
        schema
    }
}

/// Returns the name of the component that a schema refers to.
pub(super) fn get_reference_name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// Returns the alternatives of a schema (`oneOf`, `anyOf` or `allOf`), without null.
pub(super) fn list_alternatives(schema: &Value) -> Vec<&Value> {
    let listed = ["oneOf", "anyOf", "allOf"].iter().find_map(|keyword| schema[*keyword].as_array());
    listed.map(|all| all.iter().filter(|one| one["type"] != "null").collect()).unwrap_or_default()
}

fn find_only_alternative(schema: &Value) -> Option<&Value> {
    match list_alternatives(schema)[..] {
        [only] => Some(only),
        _ => None,
    }
}
