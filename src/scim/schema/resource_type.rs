//! Resource types (RFC 7643 section 6): an endpoint, its schema and its extensions, as a value.

use std::sync::{Arc, LazyLock};

use super::{Attribute, COMMON, ENTERPRISE_USER, GROUP, Mutability, Schema, Text, USER};
use crate::scim::path::AttrPath;

/// An extension of a resource type.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The extension's schema.
    pub schema: Arc<Schema>,
    /// Whether each resource must carry it.
    pub required: bool,
}

/// A kind of resource that the service provider serves.
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// Name, which is also its id and every resource's `meta.resourceType`.
    pub name: Text,
    /// What it is, for people.
    pub description: Text,
    /// Endpoint relative to the base URL, with its leading slash.
    pub endpoint: Text,
    /// The base schema.
    pub schema: Arc<Schema>,
    /// The extensions that may be present.
    pub extensions: Vec<Extension>,
}

impl ResourceType {
    /// The extension with that URI, without regard to case.
    pub fn extension(&self, uri: &str) -> Option<&Schema> {
        self.extensions.iter().map(|extension| &*extension.schema).find(|schema| schema.id.eq_ignore_ascii_case(uri))
    }

    /// The common or base-schema attribute of that name, without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        COMMON
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .or_else(|| self.schema.attribute(name))
    }

    /// The `members` attribute, where resources of this type have members that are resources themselves.
    pub fn members(&self) -> Option<&Attribute> {
        self.schema.attribute("members").filter(|attribute| attribute.multi_valued)
    }
}

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

/// Users with the enterprise extension, at `/Users`.
pub static USER_TYPE: LazyLock<Arc<ResourceType>> = LazyLock::new(|| {
    Arc::new(ResourceType {
        name: "User".into(),
        description: "User Account".into(),
        endpoint: "/Users".into(),
        schema: Arc::new(USER.clone()),
        extensions: vec![Extension { schema: Arc::new(ENTERPRISE_USER.clone()), required: false }],
    })
});

/// Groups, at `/Groups`.
pub static GROUP_TYPE: LazyLock<Arc<ResourceType>> = LazyLock::new(|| {
    Arc::new(ResourceType {
        name: "Group".into(),
        description: "Group".into(),
        endpoint: "/Groups".into(),
        schema: Arc::new(GROUP.clone()),
        extensions: Vec::new(),
    })
});

/// The standard type of that name.
pub fn standard_type(name: &str) -> Option<&'static Arc<ResourceType>> {
    standard_types().into_iter().find(|of| of.name == name)
}

/// The types that every configuration serves.
pub fn standard_types() -> [&'static Arc<ResourceType>; 2] {
    [&USER_TYPE, &GROUP_TYPE]
}
