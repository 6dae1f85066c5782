//! Resource types (RFC 7643 section 6): an endpoint, its schema and its extensions, as a value.

use std::sync::{Arc, LazyLock};

use super::{Attribute, COMMON, ENTERPRISE_USER, GROUP, Schema, Text, USER};

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
