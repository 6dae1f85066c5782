//! Attribute notation (RFC 7644 section 3.10): `name`, `name.sub`, each with or without a schema URN in front.
//!
//! [`AttrPath`] is a parsed path, [`ResolvedPath`] is a path resolved in a resource type.

use std::fmt;

use super::schema::{Attribute, ResourceType, Schema};
use crate::error::{Error, Reason, ScimType};

/// Maximum number of characters of a request in an error message.
const EXCERPT_CHARS: usize = 100;

/// Whether a path is well formed, but neither the schema nor its extensions have the attribute, or a sub-attribute in its
/// filter. Lenient callers ignore only this error.
pub fn is_unknown_path(error: &Error) -> bool {
    let is_path = matches!(error.scim_type(), Some(ScimType::InvalidPath | ScimType::InvalidFilter));
    is_path && matches!(error.reason(), Reason::PathAttributeUnknown | Reason::PathSubAttributeUnknown)
}

/// The error of a sub-attribute that `container` does not have.
pub(super) fn unknown_sub_attribute_error(container: impl fmt::Display, name: &str) -> Error {
    Reason::PathSubAttributeUnknown.on_field(container.to_string()).with("name", shorten_text(name))
}

/// A well-formed attribute path, not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrPath(String);

impl AttrPath {
    /// Parses `name`, `name.sub`, `URN:name`, `URN:name.sub` or a URN alone. Fails with 400 invalidPath.
    ///
    /// The end of a URN can only be determined with the schemas, so [`Self::resolve`] checks the text after the last
    /// colon.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Reason::PathEmpty.into());
        }
        if let Some(odd) = text.chars().find(|c| !is_path_char(*c)) {
            return Err(path_error(Reason::PathCharacter, text).with("character", format_args!("{odd:?}")));
        }
        if text.contains(':') {
            if text.starts_with(':') || text.ends_with(':') {
                return Err(path_error(Reason::PathColon, text));
            }
        } else {
            split_name(text).map_err(|why| path_error(why, text))?;
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Resolves the path in a resource type. Names are case-insensitive, a URN resolves to the longest matching schema,
    /// and a name without URN that the base schema does not have is searched in the extensions.
    pub fn resolve<'t>(&self, resource_type: &'t ResourceType) -> Result<ResolvedPath<'t>, Error> {
        if self.0.contains(':') { self.resolve_urn(resource_type) } else { self.resolve_plain(resource_type) }
    }

    fn resolve_urn<'t>(&self, resource_type: &'t ResourceType) -> Result<ResolvedPath<'t>, Error> {
        let schemas = std::iter::once((&*resource_type.schema, false))
            .chain(resource_type.extensions.iter().map(|extension| (&*extension.schema, true)));
        let found = schemas
            .filter_map(|(schema, extends)| Some((schema, extends, strip_schema_urn(&self.0, schema)?)))
            .max_by_key(|(schema, ..)| schema.id.len());
        let Some((schema, extends, rest)) = found else {
            return Err(self.unknown_error(resource_type));
        };
        let extension = extends.then_some(schema);
        if rest.is_empty() {
            return match extension {
                Some(_) => Ok(ResolvedPath { extension, attribute: None, sub: None }),
                None => Err(path_error(Reason::PathWholeSchema, &self.0)),
            };
        }
        let (name, sub) = split_name(rest).map_err(|why| path_error(why, &self.0))?;
        let attribute = if extends { schema.attribute(name) } else { resource_type.attribute(name) };
        if let (None, false, Some((added, attribute))) = (attribute, extends, find_in_added(resource_type, name)) {
            // Clients may send an attribute of an added schema as if it were a core attribute.
            return self.resolve_sub_attribute(resource_type, Some(added), Some(attribute), sub);
        }
        self.resolve_sub_attribute(resource_type, extension, attribute, sub)
    }

    fn resolve_plain<'t>(&self, resource_type: &'t ResourceType) -> Result<ResolvedPath<'t>, Error> {
        let (name, sub) = split_name(&self.0).map_err(|why| path_error(why, &self.0))?;
        if let Some(attribute) = resource_type.attribute(name) {
            return self.resolve_sub_attribute(resource_type, None, Some(attribute), sub);
        }
        let found = resource_type.extensions.iter().find_map(|extension| {
            let attribute = extension.schema.attribute(name)?;
            Some((&*extension.schema, attribute))
        });
        match found {
            Some((schema, attribute)) => self.resolve_sub_attribute(resource_type, Some(schema), Some(attribute), sub),
            None => Err(self.unknown_error(resource_type)),
        }
    }

    fn resolve_sub_attribute<'t>(
        &self,
        resource_type: &'t ResourceType,
        extension: Option<&'t Schema>,
        attribute: Option<&'t Attribute>,
        sub: Option<&str>,
    ) -> Result<ResolvedPath<'t>, Error> {
        let Some(attribute) = attribute else {
            return Err(self.unknown_error(resource_type));
        };
        let Some(name) = sub else {
            return Ok(ResolvedPath { extension, attribute: Some(attribute), sub: None });
        };
        match attribute.sub_attribute(name) {
            Some(sub) => Ok(ResolvedPath { extension, attribute: Some(attribute), sub: Some(sub) }),
            None => Err(unknown_sub_attribute_error(&attribute.name, name)),
        }
    }

    fn unknown_error(&self, resource_type: &ResourceType) -> Error {
        path_error(Reason::PathAttributeUnknown, &self.0).with("resource_type", &resource_type.name)
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path resolved in a resource type. Its `Display` is the canonical path,
/// such as `emails.value` or `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value`.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedPath<'t> {
    /// The extension that defines the attribute; `None` for the base schema and the common attributes.
    pub extension: Option<&'t Schema>,
    /// The attribute; `None` for the whole extension.
    pub attribute: Option<&'t Attribute>,
    /// The sub-attribute, if the path has one.
    pub sub: Option<&'t Attribute>,
}

impl<'t> ResolvedPath<'t> {
    /// Returns the last element of the path: the sub-attribute, else the attribute; `None` for a whole extension.
    pub fn leaf(&self) -> Option<&'t Attribute> {
        self.sub.or(self.attribute)
    }
}

impl fmt::Display for ResolvedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = self.extension.map(|schema| &*schema.id);
        let attribute = self.attribute.map(|attribute| &*attribute.name);
        write_path(f, extension, attribute, self.sub.map(|sub| &*sub.name))
    }
}

pub(super) fn write_path(
    f: &mut fmt::Formatter<'_>,
    extension: Option<&str>,
    attribute: Option<&str>,
    sub: Option<&str>,
) -> fmt::Result {
    f.write_str(extension.unwrap_or_default())?;
    if let Some(name) = attribute {
        f.write_str(if extension.is_some() { ":" } else { "" })?;
        f.write_str(name)?;
    }
    if let Some(name) = sub {
        write!(f, ".{name}")?;
    }
    Ok(())
}

/// Returns text of a request for an error message: shortened in the middle, because the end of a URN names the
/// attribute, with control characters escaped.
pub(crate) fn shorten_text(text: &str) -> String {
    let length = text.chars().count();
    if length <= EXCERPT_CHARS {
        return text.chars().flat_map(char::escape_debug).collect();
    }
    let start = text.chars().take(EXCERPT_CHARS / 2).flat_map(char::escape_debug);
    let end = text.chars().skip(length - EXCERPT_CHARS / 2).flat_map(char::escape_debug);
    start.chain(['…']).chain(end).collect()
}

/// Whether the character can occur in a name, `$ref`, a sub-attribute path or a URN.
pub(super) fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '$' | '%' | '/' | '+' | '~' | '@' | '#')
}

/// Whether the text is an attribute name (RFC 7643 section 2.1, with the `$ref` of section 2.4).
pub(in crate::scim) fn is_name(text: &str) -> bool {
    let mut chars = text.strip_prefix('$').unwrap_or(text).chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Returns the attribute with this name in the schemas that the configuration has added.
fn find_in_added<'t>(resource_type: &'t ResourceType, name: &str) -> Option<(&'t Schema, &'t Attribute)> {
    let added = resource_type.extensions.iter().map(|extension| &*extension.schema);
    added.filter(|schema| !schema.is_standard()).find_map(|schema| Some((schema, schema.attribute(name)?)))
}

/// Like [`strip_urn`], also for the obsolete URNs of the schema.
pub(in crate::scim) fn strip_schema_urn<'a>(text: &'a str, schema: &Schema) -> Option<&'a str> {
    strip_urn(text, &schema.id).or_else(|| schema.obsolete_ids().iter().find_map(|urn| strip_urn(text, urn)))
}

/// Returns the text after the schema URN and its separator: empty if the text is the URN itself, `None` if it has another
/// URN. The separator is a colon. Some clients, such as Microsoft's reference collection, write a period.
fn strip_urn<'a>(text: &'a str, urn: &str) -> Option<&'a str> {
    let head = text.get(..urn.len())?;
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    let rest = &text[urn.len()..];
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':').or_else(|| strip_period(rest)) }
}

/// Returns the attribute after a period.
fn strip_period(rest: &str) -> Option<&str> {
    rest.strip_prefix('.').filter(|path| path.split('.').all(is_name))
}

/// Whether the path has a period between the URN of the schema and the attribute, which RFC 7644 section 3.10 does not
/// allow.
pub(in crate::scim) fn has_period_after_urn(text: &str, schema: &Schema) -> bool {
    let start = text.get(..schema.id.len()).is_some_and(|start| start.eq_ignore_ascii_case(&schema.id));
    start && strip_period(&text[schema.id.len()..]).is_some()
}

fn path_error(reason: Reason, path: &str) -> Error {
    reason.with("path", shorten_text(path))
}

fn split_name(text: &str) -> Result<(&str, Option<&str>), Reason> {
    let (name, sub) = text.split_once('.').map_or((text, None), |(name, sub)| (name, Some(sub)));
    if sub.is_some_and(|sub| sub.contains('.')) {
        return Err(Reason::PathTooManyParts);
    }
    if is_name(name) && sub.is_none_or(is_name) { Ok((name, sub)) } else { Err(Reason::PathNameInvalid) }
}

#[cfg(test)]
mod tests;
