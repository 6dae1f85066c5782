//! The discovery documents (RFC 7643 sections 5 to 7, RFC 7644 section 4). They are generated from the schema tables
//! and the settings of the configuration, so they always match the behavior.

use serde_json::{Map, Value, json};

use super::schema::{Attribute, COMMON, DataType, Mutability, ResourceType, Schema};
use super::{bulk, cursor, urn};

/// The capabilities of a configuration, for its `ServiceProviderConfig`.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// Maximum page size.
    pub page_max: u64,
    /// Page size if the request has no `count`.
    pub page_default: u64,
    /// Whether Bulk is served.
    pub bulk: bool,
    /// Maximum size of a request body, in bytes.
    pub body_max_bytes: usize,
    /// Whether the document contains members newer than RFC 7643 (RFC 9865 section 4).
    pub newer_members: bool,
    /// Whether requests must conform to the interoperability profile.
    pub strict: bool,
    /// Whether passwords of users are stored, so that they can be changed.
    pub stores_passwords: bool,
    /// URL of the documentation of access tokens, if the configuration has an OAuth client.
    pub oauth_documentation: Option<String>,
}

/// Returns the `ServiceProviderConfig` document. `base` is the URL of the configuration without a slash at the end.
pub fn render_service_provider_config(base: &str, abilities: &Capabilities) -> Value {
    let mut document = json!({
        "schemas": [urn::SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": true},
        // The limits are also present if Bulk is not supported, because clients read them as numbers.
        "bulk": {
            "supported": abilities.bulk,
            "maxOperations": bulk::OPERATIONS_MAX,
            "maxPayloadSize": abilities.body_max_bytes,
        },
        "filter": {"supported": true, "maxResults": abilities.page_max},
        "changePassword": {"supported": abilities.stores_passwords},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token issued with the provisioning URL, in the Authorization header",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
    });
    if let Some(url) = &abilities.oauth_documentation {
        let scheme = json!({
            "type": "oauth2",
            "name": "OAuth 2.0",
            "description": "Access tokens from the token endpoint, by client credentials or a signed assertion",
            "specUri": "https://www.rfc-editor.org/info/rfc6749",
            "documentationUri": url,
        });
        if let Some(schemes) = document["authenticationSchemes"].as_array_mut() {
            schemes.insert(0, scheme);
        }
    }
    if abilities.newer_members {
        document["pagination"] = json!({
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": abilities.page_default,
            "maxPageSize": abilities.page_max,
            "cursorTimeout": cursor::LIFETIME_SECONDS,
        });
    }
    if abilities.strict {
        document["interopProfileConformant"] = true.into();
    }
    document["meta"] = render_meta("ServiceProviderConfig", format!("{base}/ServiceProviderConfig"));
    document
}

/// Returns one `ResourceType` document.
pub fn render_resource_type(base: &str, of: &ResourceType) -> Value {
    let extensions: Vec<Value> = of
        .extensions
        .iter()
        .map(|extension| json!({"schema": extension.schema.id, "required": extension.required}))
        .collect();
    let mut document = json!({
        "schemas": [urn::RESOURCE_TYPE],
        "id": of.name,
        "name": of.name,
        "description": of.description,
        "endpoint": of.endpoint,
        "schema": of.schema.id,
    });
    if !extensions.is_empty() {
        document["schemaExtensions"] = Value::Array(extensions);
    }
    document["meta"] = render_meta("ResourceType", format!("{base}/ResourceTypes/{}", of.name));
    document
}

/// Returns one `Schema` document. It contains the password only if passwords are stored.
pub fn render_schema(base: &str, of: &Schema, stores_passwords: bool) -> Value {
    let is_listed = |attribute: &&Attribute| {
        attribute.listed || (stores_passwords && attribute.mutability == Mutability::WriteOnly)
    };
    // Clients such as Microsoft Entra ID look for `externalId` in the schema document. RFC 7643 section 3.1 permits the
    // definition of common attributes in a schema.
    let is_base = [urn::USER, urn::GROUP].contains(&&*of.id);
    let external_id = COMMON.iter().filter(|attribute| is_base && attribute.name == "externalId");
    let listed = external_id.chain(&of.attributes);
    json!({
        "schemas": [urn::SCHEMA],
        "id": of.id,
        "name": of.name,
        "description": of.description,
        "attributes": listed.filter(is_listed).map(render_attribute).collect::<Vec<_>>(),
        "meta": render_meta("Schema", format!("{base}/Schemas/{}", of.id)),
    })
}

/// Returns a list response with all resources on one page.
pub fn render_list(resources: Vec<Value>) -> Value {
    json!({
        "schemas": [urn::LIST_RESPONSE],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn render_meta(resource_type: &str, location: String) -> Value {
    json!({"resourceType": resource_type, "location": location})
}

/// RFC 7643 section 7; erratum 6004: complex attributes carry neither caseExact nor uniqueness.
fn render_attribute(of: &Attribute) -> Value {
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("name", (&*of.name).into());
    put("type", of.kind.as_str().into());
    put("multiValued", of.multi_valued.into());
    put("description", (&*of.description).into());
    put("required", of.required.into());
    if !of.canonical_values.is_empty() {
        put("canonicalValues", of.canonical_values.iter().map(|text| Value::from(&**text)).collect());
    }
    if !matches!(of.kind, DataType::Complex | DataType::Boolean) {
        put("caseExact", of.case_exact.into());
    }
    put("mutability", of.mutability.as_str().into());
    put("returned", of.returned.as_str().into());
    if of.kind != DataType::Complex {
        put("uniqueness", of.uniqueness.as_str().into());
    }
    if of.kind == DataType::Reference {
        put("referenceTypes", of.reference_types.iter().map(|text| Value::from(&**text)).collect());
    }
    if of.kind == DataType::Complex {
        put("subAttributes", of.sub_attributes.iter().map(render_attribute).collect());
    }
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{GROUP, USER, USER_TYPE};

    #[test]
    fn a_schema_document_matches_its_table() {
        let user = render_schema("http://x", &USER, false);
        let names: Vec<&str> =
            user["attributes"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"userName") && !names.contains(&"password"));
        assert_eq!((names[0], names[1]), ("externalId", "userName"));
        assert_eq!(user["attributes"][1]["uniqueness"], "server");
        let with_password = render_schema("http://x", &USER, true);
        let password =
            with_password["attributes"].as_array().unwrap().iter().find(|a| a["name"] == "password").unwrap();
        assert_eq!((&password["mutability"], &password["returned"]), (&json!("writeOnly"), &json!("never")));
        let group = render_schema("http://x", &GROUP, false);
        let members = &group["attributes"][2];
        assert_eq!(members["subAttributes"][0]["mutability"], "immutable");
        assert!(members.get("uniqueness").is_none() && members.get("caseExact").is_none());
    }

    #[test]
    fn a_resource_type_names_its_extensions() {
        let user = render_resource_type("http://x", &USER_TYPE);
        assert_eq!(user["schemaExtensions"][0], json!({"schema": urn::ENTERPRISE_USER, "required": false}));
        assert_eq!(user["meta"]["location"], "http://x/ResourceTypes/User");
    }
}
