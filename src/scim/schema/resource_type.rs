//! Resource types (RFC 7643 section 6): an endpoint with its schema and extensions.

use std::sync::{Arc, LazyLock};

use super::{Attribute, COMMON, ENTERPRISE_USER, GROUP, Schema, SchemaText, USER};

/// An extension of a resource type.
#[derive(Debug, Clone)]
pub struct ResourceTypeExtension {
    /// The extension's schema.
    pub schema: Arc<Schema>,
    /// Whether every resource must have it.
    pub required: bool,
}

/// A type of resource that the service provider serves.
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// Name. It is also the id of the type and the `meta.resourceType` of its resources.
    pub name: SchemaText,
    /// Human-readable description.
    pub description: SchemaText,
    /// Endpoint relative to the base URL, with its leading slash.
    pub endpoint: SchemaText,
    /// The base schema.
    pub schema: Arc<Schema>,
    /// The extensions that may be present.
    pub extensions: Vec<ResourceTypeExtension>,
}

impl ResourceType {
    /// Returns the base schema and the schemas of the extensions.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        std::iter::once(&*self.schema).chain(self.extensions.iter().map(|extension| &*extension.schema))
    }

    /// Returns the extension with that URI, case-insensitively.
    pub fn extension(&self, uri: &str) -> Option<&Schema> {
        self.extensions.iter().map(|extension| &*extension.schema).find(|schema| schema.id.eq_ignore_ascii_case(uri))
    }

    /// Returns the extension that has this URI as an obsolete name.
    pub fn extension_by_obsolete_uri(&self, uri: &str) -> Option<&Schema> {
        self.extensions.iter().map(|extension| &*extension.schema).find(|schema| schema.has_obsolete_id(uri))
    }

    /// Returns the common or base-schema attribute with that name, case-insensitively.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        COMMON
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .or_else(|| self.schema.attribute(name))
    }

    /// Returns the names of all attributes and extensions that a stored document can have, in their order there.
    pub fn list_stored_names(&self) -> impl Iterator<Item = &str> {
        let names = COMMON.iter().chain(&self.schema.attributes).map(|attribute| &*attribute.name);
        names.chain(self.extensions.iter().map(|extension| &*extension.schema.id))
    }

    /// Returns the `members` attribute, if resources of this type have other resources as members.
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
        extensions: vec![ResourceTypeExtension { schema: Arc::new(ENTERPRISE_USER.clone()), required: false }],
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

/// Returns the standard type with that name.
pub fn find_standard_type(name: &str) -> Option<&'static Arc<ResourceType>> {
    standard_types().into_iter().find(|resource_type| resource_type.name == name)
}

/// The types that every configuration serves.
pub fn standard_types() -> [&'static Arc<ResourceType>; 2] {
    [&USER_TYPE, &GROUP_TYPE]
}
