//! The document a client sees, written straight from what is stored: the stored text goes out as it is,
//! and what lives elsewhere (id, meta, members, groups) is written around it.

use serde_json::{Map, Value};

use super::schema::ResourceType;
use super::validate::Attributes;

/// The stored text of a resource: `schemas`, then its attributes. `schemas` names the base schema and each
/// extension that has a value (RFC 7643 section 3).
pub fn body(attributes: &Attributes, of: &ResourceType) -> String {
    let mut document = Map::with_capacity(attributes.len() + 1);
    let mut schemas = vec![Value::from(&*of.schema.id)];
    let present = of.extensions.iter().filter(|extension| attributes.contains_key(&*extension.schema.id));
    schemas.extend(present.map(|extension| Value::from(&*extension.schema.id)));
    document.insert("schemas".to_owned(), Value::Array(schemas));
    document.extend(attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(document).to_string()
}

/// The attributes in a stored text.
pub fn attributes(body: &str) -> Result<Attributes, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(body)?;
    document.shift_remove("schemas");
    Ok(document)
}

/// What the service provider knows of a resource, ready to show.
#[derive(Debug, Clone)]
pub struct Meta<'a> {
    /// Resource type name.
    pub resource_type: &'a str,
    /// RFC 3339 time.
    pub created: &'a str,
    /// RFC 3339 time.
    pub last_modified: &'a str,
    /// Absolute URL.
    pub location: &'a str,
    /// Entity tag.
    pub version: &'a str,
}

/// Someone in a group, or a group that someone is in.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Resource id.
    pub id: &'a str,
    /// SCIM base URL, without a slash at the end.
    pub base: &'a str,
    /// Endpoint it lives at, with its leading slash.
    pub endpoint: &'a str,
    /// Resource type name, or `direct`.
    pub kind: &'a str,
    /// What to show for it.
    pub display: Option<&'a str>,
}

/// Writes everything but a trailing list and the closing brace; [`open_list`], [`link`] and [`close`] follow.
pub fn head(out: &mut Vec<u8>, body: &str, id: &str, meta: &Meta<'_>) {
    out.reserve(body.len() + 512);
    // The stored text is an object that begins with `schemas`; no URI in it contains a bracket.
    let (schemas, rest) = body.split_at(body.find(']').map_or(1, |end| end + 1));
    out.extend_from_slice(schemas.as_bytes());
    out.extend_from_slice(b",\"id\":");
    text(out, id);
    out.extend_from_slice(rest.strip_suffix('}').unwrap_or(rest).as_bytes());
    out.extend_from_slice(b",\"meta\":{\"resourceType\":");
    text(out, meta.resource_type);
    out.extend_from_slice(b",\"created\":");
    text(out, meta.created);
    out.extend_from_slice(b",\"lastModified\":");
    text(out, meta.last_modified);
    out.extend_from_slice(b",\"location\":");
    text(out, meta.location);
    out.extend_from_slice(b",\"version\":");
    text(out, meta.version);
    out.push(b'}');
}

/// Opens the list that ends the document.
pub fn open_list(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    text(out, name);
    out.extend_from_slice(b":[");
}

/// Writes one element of the list.
pub fn link(out: &mut Vec<u8>, link: &Link<'_>, first: bool) {
    out.extend_from_slice(if first { b"{\"value\":" } else { b",{\"value\":" });
    text(out, link.id);
    // Both parts are safe text of our own: a checked URL and a UUID.
    out.extend_from_slice(b",\"$ref\":\"");
    out.extend_from_slice(link.base.as_bytes());
    out.extend_from_slice(link.endpoint.as_bytes());
    out.push(b'/');
    out.extend_from_slice(link.id.as_bytes());
    out.extend_from_slice(b"\",\"type\":");
    text(out, link.kind);
    if let Some(display) = link.display {
        out.extend_from_slice(b",\"display\":");
        text(out, display);
    }
    out.push(b'}');
}

/// Closes the list and the document.
pub fn close(out: &mut Vec<u8>, has_list: bool) {
    out.extend_from_slice(if has_list { b"]}" } else { b"}" });
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Plain text is the rule; only the rest needs the escaper.
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(Value::from(text).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::USER_TYPE;
    use serde_json::json;

    #[test]
    fn the_stored_text_comes_back_with_what_lives_elsewhere() {
        let Value::Object(stored) = json!({"userName": "a \"b\"", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "x"}})
        else {
            unreachable!()
        };
        let text = body(&stored, &USER_TYPE);
        assert_eq!(attributes(&text).unwrap(), stored);
        let mut out = Vec::new();
        let meta = Meta { resource_type: "User", created: "c", last_modified: "l", location: "u", version: "W/\"1\"" };
        head(&mut out, &text, "1", &meta);
        open_list(&mut out, "groups");
        link(
            &mut out,
            &Link { id: "g", base: "http://x", endpoint: "/Groups", kind: "direct", display: Some("G\n") },
            true,
        );
        close(&mut out, true);
        let shown: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            shown["schemas"],
            json!([
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
            ])
        );
        assert_eq!(shown["meta"]["version"], "W/\"1\"");
        assert_eq!(
            shown["groups"],
            json!([{"value": "g", "$ref": "http://x/Groups/g", "type": "direct", "display": "G\n"}])
        );
    }
}
