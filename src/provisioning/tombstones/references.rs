//! Single-valued references of resources to others, such as `manager` of the enterprise extension.

use std::sync::Arc;

use serde_json::Value;

use crate::error::Result;
use crate::provisioning::Scope;
use crate::scim::schema::{DataType, ResourceType};
use crate::scim::validate::Attributes;
use crate::store::Snapshot;
use crate::store::tables::members;

/// Returns the single-valued attributes of a type that refer to other resources, with their extension.
fn list_reference_attributes_of(resource_type: &ResourceType) -> impl Iterator<Item = (&str, &str)> {
    resource_type.extensions.iter().flat_map(|extension| {
        let references = extension.schema.attributes.iter().filter(|attribute| {
            let refers = attribute.sub_attribute("$ref").is_some()
                && attribute.sub_attribute("value").is_some_and(|value| value.indexed);
            refers && attribute.kind == DataType::Complex && !attribute.multi_valued
        });
        references.map(|attribute| (&*extension.schema.id, &*attribute.name))
    })
}

/// Returns the single-valued attributes that refer to other resources, with their type and extension.
pub(in crate::provisioning) fn list_reference_attributes(
    scope: &Scope,
) -> impl Iterator<Item = (&Arc<ResourceType>, &str, &str)> {
    scope.types.iter().flat_map(|resource_type| {
        list_reference_attributes_of(resource_type)
            .map(move |(extension, attribute)| (resource_type, extension, attribute))
    })
}

/// Removes one attribute of an extension.
pub(in crate::provisioning) fn remove_extension_attribute(attributes: &mut Attributes, extension: &str, name: &str) {
    if let Some(Value::Object(parts)) = attributes.get_mut(extension) {
        parts.shift_remove(name);
        if parts.is_empty() {
            attributes.shift_remove(extension);
        }
    }
}

/// A reference that a resource had.
#[derive(Debug)]
pub(in crate::provisioning) struct EndedReference {
    extension: String,
    name: String,
    value: Value,
    /// Id of the resource to which it refers.
    pub(in crate::provisioning) target: String,
}

impl EndedReference {
    /// Inserts it again.
    pub(in crate::provisioning) fn insert_into(self, attributes: &mut Attributes) {
        let parts = attributes.entry(self.extension).or_insert_with(|| Value::Object(Attributes::new()));
        if let Value::Object(parts) = parts {
            parts.insert(self.name, self.value);
        }
    }
}

/// Returns the references that a resource had and has no more.
pub(in crate::provisioning) fn list_ended_references(
    of: &ResourceType,
    before: &Attributes,
    now: &Attributes,
) -> Vec<EndedReference> {
    let find =
        |side: &Attributes, extension: &str, name: &str| side.get(extension).and_then(|parts| parts.get(name)).cloned();
    let ended = list_reference_attributes_of(of).filter_map(|(extension, name)| {
        let value = find(before, extension, name).filter(|_| find(now, extension, name).is_none())?;
        let target = value.get("value")?.as_str()?.to_owned();
        Some(EndedReference { extension: extension.to_owned(), name: name.to_owned(), value, target })
    });
    ended.collect()
}

/// Removes the references to resources that do not exist.
pub(super) fn remove_dangling_references(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &ResourceType,
    attributes: &mut Attributes,
) -> Result<()> {
    for (extension, name) in list_reference_attributes_of(resource_type) {
        let value = attributes.get(extension).and_then(|parts| parts.get(name)).and_then(|one| one.get("value"));
        let Some(id) = value.and_then(Value::as_str).map(str::to_owned) else { continue };
        if !is_resource(at, configuration, &id)? {
            remove_extension_attribute(attributes, extension, name);
        }
    }
    Ok(())
}

/// Whether a resource with this id exists.
pub(in crate::provisioning) fn is_resource(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<bool> {
    let mut exists = false;
    members::visit_resources_by_id(at, configuration, [id], |_, found| {
        exists = found.is_some();
        Ok(())
    })?;
    Ok(exists)
}
