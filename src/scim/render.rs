//! Writes the document of a response from the stored text of a resource. The stored text is copied unchanged; id, meta,
//! members and groups, which are stored separately, are added.

mod partial_text;

use serde_json::{Map, Value};

pub use self::partial_text::PartialText;
use super::entity_tag;
use super::schema::ResourceType;
use super::validate::Attributes;
use crate::clock::{self, Millis};

/// Approximate size of `id` and `meta`, in bytes.
pub const HEAD_BYTES: usize = 512;
/// Usual size of a stored text, in bytes.
const STORED_TEXT_BYTES: usize = 1536;

/// Returns the stored text of a resource: `schemas`, then its attributes. `schemas` names the base schema and each
/// extension that has a value (RFC 7643 section 3).
pub fn build_stored_text(attributes: &Attributes, of: &ResourceType) -> String {
    let mut text = begin_stored_text(of, |uri| attributes.contains_key(uri));
    for (name, value) in attributes {
        write_name(&mut text, name);
        write_value(&mut text, value);
    }
    end_stored_text(text)
}

/// Begins a stored text with `schemas`.
fn begin_stored_text(of: &ResourceType, has_extension: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(STORED_TEXT_BYTES);
    text.extend_from_slice(b"{\"schemas\":[");
    write_text(&mut text, &of.schema.id);
    for extension in of.extensions.iter().filter(|extension| has_extension(&extension.schema.id)) {
        text.push(b',');
        write_text(&mut text, &extension.schema.id);
    }
    text.push(b']');
    text
}

/// Writes the name of an attribute. The value follows.
fn write_name(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    write_text(out, name);
    out.push(b':');
}

/// Writes a value as JSON.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    // Writing to a vector does not fail.
    let _ = serde_json::to_writer(out, value);
}

fn end_stored_text(mut text: Vec<u8>) -> String {
    text.push(b'}');
    // Only text and JSON were written.
    String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Returns the values of `schemas`: the base schema and each extension that has a value.
pub fn list_schemas(attributes: &Attributes, of: &ResourceType) -> Vec<Value> {
    let mut schemas = vec![Value::from(&*of.schema.id)];
    let present = of.extensions.iter().filter(|extension| attributes.contains_key(&*extension.schema.id));
    schemas.extend(present.map(|extension| Value::from(&*extension.schema.id)));
    schemas
}

/// Returns the attributes of a stored text.
///
/// # Errors
/// The text is not a valid JSON object.
pub fn parse_stored_text(body: &str) -> Result<Attributes, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(body)?;
    document.shift_remove("schemas");
    Ok(document)
}

/// What the `meta` attribute of a resource says.
#[derive(Debug, Clone, Copy)]
pub struct ResourceMeta<'a> {
    /// Resource type name.
    pub resource_type: &'a str,
    /// Time of the creation.
    pub created: Millis,
    /// Time of the last change.
    pub last_modified: Millis,
    /// SCIM base URL, without a slash at the end.
    pub base: &'a str,
    /// Endpoint of the resource type, with the leading slash.
    pub endpoint: &'a str,
    /// The number and the second part of the entity tag, for [`entity_tag::format_entity_tag`].
    pub version: (i64, Option<u64>),
}

/// An element of `members` or `groups`: a member of a group, or a group of a user.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceElement<'a> {
    /// Resource id.
    pub id: &'a str,
    /// SCIM base URL, without a slash at the end.
    pub base: &'a str,
    /// Endpoint of its resource type, with the leading slash.
    pub endpoint: &'a str,
    /// Resource type name, or `direct`.
    pub kind: &'a str,
    /// Display name.
    pub display: Option<&'a str>,
}

/// Writes the document except the trailing list and the closing brace; [`open_list`], [`write_link`] and [`close_document`] follow.
pub fn write_head(out: &mut Vec<u8>, body: &str, id: &str, meta: &ResourceMeta<'_>) {
    out.reserve(body.len() + HEAD_BYTES);
    // The stored text is an object that begins with `schemas`; no URI in it contains a bracket.
    let (schemas, rest) = body.split_at(memchr::memchr(b']', body.as_bytes()).map_or(1, |end| end + 1));
    // No escapes needed: an id is a UUID, the base is a validated URL, and an endpoint is a part of a URL.
    let rest = rest.strip_suffix('}').unwrap_or(rest);
    for part in [schemas, ",\"id\":\"", id, "\"", rest, ",\"meta\":{\"resourceType\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_text(out, meta.resource_type);
    out.extend_from_slice(b",\"created\":\"");
    clock::append_rfc3339(out, meta.created);
    out.extend_from_slice(b"\",\"lastModified\":\"");
    clock::append_rfc3339(out, meta.last_modified);
    for part in ["\",\"location\":\"", meta.base, meta.endpoint, "/", id, "\",\"version\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    let (number, derived) = meta.version;
    entity_tag::append_json_tag(out, number, derived);
    out.push(b'}');
}

/// Opens the list at the end of the document.
pub fn open_list(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    write_text(out, name);
    out.extend_from_slice(b":[");
}

/// Writes one element of the list.
pub fn write_link(out: &mut Vec<u8>, link: &ReferenceElement<'_>, first: bool) {
    out.extend_from_slice(if first { b"{\"value\":" } else { b",{\"value\":" });
    write_text(out, link.id);
    // No escapes needed: the base is a validated URL, the id is a UUID.
    out.extend_from_slice(b",\"$ref\":\"");
    out.extend_from_slice(link.base.as_bytes());
    out.extend_from_slice(link.endpoint.as_bytes());
    out.push(b'/');
    out.extend_from_slice(link.id.as_bytes());
    out.extend_from_slice(b"\",\"type\":");
    write_text(out, link.kind);
    if let Some(display) = link.display {
        out.extend_from_slice(b",\"display\":");
        write_text(out, display);
    }
    out.push(b'}');
}

/// Closes the list and the document.
pub fn close_document(out: &mut Vec<u8>, has_list: bool) {
    out.extend_from_slice(if has_list { b"]}" } else { b"}" });
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Most text needs no escapes; this avoids the JSON serializer. Without an early end, many bytes are compared at once.
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        // Writing to a vector does not fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::USER_TYPE;
    use serde_json::json;

    #[test]
    fn the_stored_text_is_rendered_with_id_meta_and_list() {
        let Value::Object(stored) = json!({"userName": "a \"b\"", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "x"}})
        else {
            unreachable!()
        };
        let text = build_stored_text(&stored, &USER_TYPE);
        assert_eq!(parse_stored_text(&text).unwrap(), stored);
        let mut document = Map::from_iter([("schemas".to_owned(), Value::Array(list_schemas(&stored, &USER_TYPE)))]);
        document.extend(stored.clone());
        assert_eq!(text, Value::Object(document).to_string());
        let mut out = Vec::new();
        let version = (1, Some(0x1f));
        let meta = ResourceMeta {
            resource_type: "User",
            created: 1,
            last_modified: 86_400_000,
            base: "http://x/scim",
            endpoint: "/Users",
            version,
        };
        write_head(&mut out, &text, "1", &meta);
        open_list(&mut out, "groups");
        write_link(
            &mut out,
            &ReferenceElement { id: "g", base: "http://x", endpoint: "/Groups", kind: "direct", display: Some("G\n") },
            true,
        );
        close_document(&mut out, true);
        let rendered: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            rendered["schemas"],
            json!([
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
            ])
        );
        let meta = json!({
            "resourceType": "User",
            "created": "1970-01-01T00:00:00.001Z",
            "lastModified": "1970-01-02T00:00:00.000Z",
            "location": "http://x/scim/Users/1",
            "version": entity_tag::format_entity_tag(version.0, version.1),
        });
        assert_eq!((&rendered["id"], &rendered["meta"]), (&json!("1"), &meta));
        assert_eq!(
            rendered["groups"],
            json!([{"value": "g", "$ref": "http://x/Groups/g", "type": "direct", "display": "G\n"}])
        );
    }
}
