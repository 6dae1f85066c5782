//! The parts of an `OpenAPI` document that the page shows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) info: Info,
    pub(super) servers: Vec<Server>,
    pub(super) tags: Vec<Tag>,
    /// Operations by path, then by method in small letters, in the order of the list of places.
    paths: Map<String, Value>,
    pub(super) components: Components,
}

/// An operation and where it is.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) path: String,
    /// In small letters.
    pub(super) method: &'static str,
    pub(super) operation: Operation,
}

impl Document {
    /// All operations in order.
    ///
    /// # Errors
    /// One is not of the form below.
    pub(super) fn operations(&self) -> serde_json::Result<Vec<Placed>> {
        let mut found = Vec::new();
        for (path, item) in &self.paths {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let operation = serde_json::from_value(operation.clone())?;
                    found.push(Placed { path: path.clone(), method, operation });
                }
            }
        }
        Ok(found)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) title: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub(super) url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Components {
    pub(super) schemas: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(rename = "operationId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    pub(super) request_body: Option<Body>,
    pub(super) responses: BTreeMap<String, Response>,
    /// Schemes by name; one without a name means that none is needed.
    #[serde(default)]
    pub(super) security: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(rename = "in")]
    pub(super) place: String,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) schema: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) content: BTreeMap<String, Content>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) content: BTreeMap<String, Content>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    pub(super) schema: Value,
    pub(super) example: Option<Value>,
}

impl Components {
    /// What a schema stands for once references and "or null" are followed.
    pub(super) fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // Deeper than any schema of ours refers; a circle ends here too.
        for _ in 0..8 {
            let next = match reference(schema) {
                Some(name) => self.schemas.get(name),
                None => only_choice(schema),
            };
            let Some(next) = next else { break };
            schema = next;
        }
        schema
    }
}

/// The name of the component that a schema refers to.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The schemas among which a value may choose, other than null.
pub(super) fn choices(schema: &Value) -> Vec<&Value> {
    let listed = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| schema[*word].as_array());
    listed.map(|all| all.iter().filter(|one| one["type"] != "null").collect()).unwrap_or_default()
}

fn only_choice(schema: &Value) -> Option<&Value> {
    match choices(schema)[..] {
        [only] => Some(only),
        _ => None,
    }
}
