//! Limiting a resource type to the attributes that are wanted (RFC 7643 section 9.3: take no more than is needed).

use std::sync::Arc;

use super::path::AttrPath;
use super::schema::{Attribute, Mutability, ResourceType};

impl ResourceType {
    /// The name under which [`Self::storing_only`] knows what `text` names: an attribute as it is spelled here, the URN of
    /// an extension, or `URN:attribute`. `None` where it names nothing that clients write.
    pub fn storable(&self, text: &str) -> Option<String> {
        let target = AttrPath::parse(text).ok()?.resolve(self).ok()?;
        if target.sub.is_some() || target.attribute.is_some_and(Attribute::is_read_only) {
            return None;
        }
        match (target.extension, target.attribute) {
            (None, attribute) => attribute.map(|attribute| attribute.name.to_string()),
            (Some(schema), None) => Some(schema.id.to_string()),
            (Some(schema), Some(attribute)) => Some(format!("{}:{}", schema.id, attribute.name)),
        }
    }

    /// The same type where nothing is stored but what identifies a resource and the attributes of these names. The others
    /// stay known, so that what clients send of them is thrown away and not refused.
    #[must_use]
    pub fn storing_only(&self, wanted: &[String]) -> Self {
        let mut limited = self.clone();
        let is_named_by_it = self.members().is_some();
        for attribute in &mut Arc::make_mut(&mut limited.schema).attributes {
            let identifies =
                IDENTIFYING.contains(&&*attribute.name) || (is_named_by_it && attribute.name == "displayName");
            if !identifies && !wanted.iter().any(|name| *name == attribute.name) {
                throw_away(attribute);
            }
        }
        for extension in &mut limited.extensions {
            let schema = Arc::make_mut(&mut extension.schema);
            if wanted.iter().any(|name| *name == schema.id) {
                continue;
            }
            for attribute in &mut schema.attributes {
                let name = format!("{}:{}", schema.id, attribute.name);
                if !attribute.required && !wanted.contains(&name) {
                    throw_away(attribute);
                }
            }
        }
        limited
    }
}

/// What every resource needs to be found and switched off, beside the name of a group. What becomes of `password` is said
/// elsewhere.
const IDENTIFYING: [&str; 5] = ["userName", "active", "groups", "members", "password"];

/// Filters may still name it, as they may name what nobody has.
fn throw_away(attribute: &mut Attribute) {
    attribute.mutability = Mutability::WriteOnly;
    attribute.required = false;
    attribute.listed = false;
}
