//! Attribute notation (RFC 7644 section 3.10): `name`, `name.sub`, each with or without a schema URN before it.
//!
//! [`AttrPath`] is what was written, [`Target`] what it means in a resource type.

use std::fmt;

use super::Error;
use super::schema::{Attribute, ResourceType, Schema};

/// How many characters of a request an error sentence repeats.
const SHOWN: usize = 40;

/// What is wrong with a path. Lenient callers pass over [`PathError::Unknown`] alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not in the notation, or brackets on an attribute that has no sub-attributes: 400 invalidPath.
    #[error("{0}")]
    Syntax(String),
    /// In the notation, yet neither the schema nor its extensions have it: 400 invalidPath.
    #[error("{0}")]
    Unknown(String),
    /// The filter in brackets is wrong: 400 invalidFilter.
    #[error("{0}")]
    Filter(String),
}

impl PathError {
    /// Whether the path is well formed and only names what no schema has.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Syntax(detail) | PathError::Unknown(detail) => Self::path(detail),
            PathError::Filter(detail) => Self::filter(detail),
        }
    }
}

/// An attribute path as it was written; well formed, not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrPath(String);

impl AttrPath {
    /// Reads `name`, `name.sub`, `URN:name`, `URN:name.sub` or a bare URN; else [`PathError::Syntax`].
    ///
    /// Where a URN ends is known only beside the schemas, so what follows the last colon is judged by [`Self::resolve`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |why: &str| Err(PathError::Syntax(format!("\"{}\" is not an attribute path: {why}", shown(text))));
        if text.is_empty() {
            return Err(PathError::Syntax("the attribute path is empty; name an attribute".into()));
        }
        if let Some(odd) = text.chars().find(|c| !is_path_char(*c)) {
            return wrong(&format!("it cannot contain {odd:?}"));
        }
        if text.contains(':') {
            if text.starts_with(':') || text.ends_with(':') {
                return wrong("a URN is followed by a colon and a name");
            }
        } else if let Err(why) = name_and_sub(text) {
            return wrong(why);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Looks the path up: names without regard to case, a URN by the longest schema that fits,
    /// and a plain name that the base schema lacks in the extensions.
    pub fn resolve<'t>(&self, resource_type: &'t ResourceType) -> Result<Target<'t>, PathError> {
        if self.0.contains(':') { self.resolve_urn(resource_type) } else { self.resolve_plain(resource_type) }
    }

    fn resolve_urn<'t>(&self, resource_type: &'t ResourceType) -> Result<Target<'t>, PathError> {
        let schemas = std::iter::once((&*resource_type.schema, false))
            .chain(resource_type.extensions.iter().map(|extension| (&*extension.schema, true)));
        let found = schemas
            .filter_map(|(schema, extends)| Some((schema, extends, after_urn(&self.0, &schema.id)?)))
            .max_by_key(|(schema, ..)| schema.id.len());
        let Some((schema, extends, rest)) = found else {
            return Err(self.unknown(resource_type));
        };
        let extension = extends.then_some(schema);
        if rest.is_empty() {
            return match extension {
                Some(_) => Ok(Target { extension, attribute: None, sub: None }),
                None => Err(PathError::Syntax(format!(
                    "\"{}\" names the whole base schema; name an attribute",
                    shown(&self.0)
                ))),
            };
        }
        let (name, sub) = name_and_sub(rest)
            .map_err(|why| PathError::Syntax(format!("\"{}\" is not an attribute path: {why}", shown(&self.0))))?;
        let attribute = if extends { schema.attribute(name) } else { resource_type.attribute(name) };
        self.finish(resource_type, extension, attribute, sub)
    }

    fn resolve_plain<'t>(&self, resource_type: &'t ResourceType) -> Result<Target<'t>, PathError> {
        let (name, sub) = name_and_sub(&self.0).map_err(|why| PathError::Syntax(why.into()))?;
        if let Some(attribute) = resource_type.attribute(name) {
            return self.finish(resource_type, None, Some(attribute), sub);
        }
        let found = resource_type.extensions.iter().find_map(|extension| {
            let attribute = extension.schema.attribute(name)?;
            Some((&*extension.schema, attribute))
        });
        match found {
            Some((schema, attribute)) => self.finish(resource_type, Some(schema), Some(attribute), sub),
            None => Err(self.unknown(resource_type)),
        }
    }

    fn finish<'t>(
        &self,
        resource_type: &'t ResourceType,
        extension: Option<&'t Schema>,
        attribute: Option<&'t Attribute>,
        sub: Option<&str>,
    ) -> Result<Target<'t>, PathError> {
        let Some(attribute) = attribute else {
            return Err(self.unknown(resource_type));
        };
        let Some(name) = sub else {
            return Ok(Target { extension, attribute: Some(attribute), sub: None });
        };
        match attribute.sub(name) {
            Some(sub) => Ok(Target { extension, attribute: Some(attribute), sub: Some(sub) }),
            None => Err(PathError::Unknown(format!("{} has no sub-attribute \"{}\"", attribute.name, shown(name)))),
        }
    }

    fn unknown(&self, resource_type: &ResourceType) -> PathError {
        PathError::Unknown(format!(
            "{} has no attribute \"{}\"; see /Schemas for the names",
            resource_type.name,
            shown(&self.0)
        ))
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a path means in a resource type. Its `Display` is the canonical path,
/// such as `emails.value` or `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value`.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    /// The extension that holds the attribute; `None` for the base schema and the common attributes.
    pub extension: Option<&'t Schema>,
    /// The attribute; `None` means the whole extension.
    pub attribute: Option<&'t Attribute>,
    /// The sub-attribute, where one is named.
    pub sub: Option<&'t Attribute>,
}

impl<'t> Target<'t> {
    /// What is finally named: the sub-attribute, else the attribute; `None` for a whole extension.
    pub fn leaf(&self) -> Option<&'t Attribute> {
        self.sub.or(self.attribute)
    }
}

impl fmt::Display for Target<'_> {
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

/// Text of a request, short enough for a sentence and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// Characters of names, `$ref`, sub-attribute dots and URNs.
pub(super) fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '$' | '%' | '/' | '+' | '~' | '@' | '#')
}

/// Whether the text is an attribute name (RFC 7643 section 2.1, with the `$ref` of section 2.4).
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.strip_prefix('$').unwrap_or(text).chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// What follows the schema URN and its colon; empty where the text is the URN itself, `None` where it is another one.
fn after_urn<'a>(text: &'a str, urn: &str) -> Option<&'a str> {
    let head = text.get(..urn.len())?;
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    let rest = &text[urn.len()..];
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':') }
}

fn name_and_sub(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (name, sub) = text.split_once('.').map_or((text, None), |(name, sub)| (name, Some(sub)));
    if sub.is_some_and(|sub| sub.contains('.')) {
        return Err("a name has at most one sub-attribute, as in name.familyName");
    }
    if is_name(name) && sub.is_none_or(is_name) {
        Ok((name, sub))
    } else {
        Err("a name starts with a letter and continues with letters, digits, - or _")
    }
}

#[cfg(test)]
mod tests;
