//! Limiting a resource type to the attributes that a configuration stores (RFC 7643 section 9.3: data minimization).

use std::sync::Arc;

use crate::scim::path::AttrPath;
use crate::scim::schema::{Attribute, Mutability, ResourceType};

impl ResourceType {
    /// Returns the canonical name of `text` for [`Self::storing_only`]: an attribute name, the URN of an extension, or
    /// `URN:attribute`. Returns `None` if `text` is not an attribute or extension that clients can write.
    pub fn storable_name(&self, text: &str) -> Option<String> {
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

    /// Returns a copy of the type that stores only the identifying attributes and the attributes with these names. The
    /// other attributes stay in the schema, so that values from clients are discarded and not rejected.
    #[must_use]
    pub fn storing_only(&self, stored_names: &[String]) -> Self {
        let mut limited = self.clone();
        let is_named_by_it = self.members().is_some();
        for attribute in &mut Arc::make_mut(&mut limited.schema).attributes {
            let identifies = IDENTIFYING_ATTRIBUTES.contains(&&*attribute.name)
                || (is_named_by_it && attribute.name == "displayName");
            if !identifies && !stored_names.iter().any(|name| *name == attribute.name) {
                make_write_only(attribute);
            }
        }
        for extension in &mut limited.extensions {
            let schema = Arc::make_mut(&mut extension.schema);
            if stored_names.iter().any(|name| *name == schema.id) {
                continue;
            }
            for attribute in &mut schema.attributes {
                let name = format!("{}:{}", schema.id, attribute.name);
                if !attribute.required && !stored_names.contains(&name) {
                    make_write_only(attribute);
                }
            }
        }
        limited
    }
}

/// Attributes that are always stored, because they identify or deactivate a resource. The name of a group is stored in
/// addition. The rules of the configuration decide whether `password` is stored.
const IDENTIFYING_ATTRIBUTES: [&str; 5] = ["userName", "active", "groups", "members", "password"];

/// Makes the attribute write-only: values are discarded. Filters may still name it; it then has no value.
fn make_write_only(attribute: &mut Attribute) {
    attribute.mutability = Mutability::WriteOnly;
    attribute.required = false;
    attribute.listed = false;
}
