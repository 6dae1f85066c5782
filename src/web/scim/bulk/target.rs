//! The resource that a bulk item refers to, parsed from its path.

use std::sync::Arc;

use crate::error::{Error, Reason};
use crate::provisioning::Scope;
use crate::scim::bulk::BulkMethod;
use crate::scim::bulk::references::{self, CreatedResource};
use crate::scim::schema::ResourceType;
use crate::web::scim::provisioning_path::ProvisioningPath;
use crate::web::scim::route::ScimRoute;

/// Resource type and id of a bulk item.
#[derive(Debug, Clone)]
pub(super) struct BulkTarget {
    pub(super) resource_type: Arc<ResourceType>,
    /// Id of the resource, or a `bulkId` reference to one that the request creates; none for a POST.
    pub(super) id: Option<String>,
}

impl BulkTarget {
    /// Parses a path relative to the base.
    ///
    /// # Errors
    /// 405 if the method does not match the path; 400 invalidValue for a nested bulk request and for a path that is not
    /// a resource; otherwise the error of the single request.
    pub(super) fn parse(method: BulkMethod, path: &str, types: &[Arc<ResourceType>]) -> Result<Self, Error> {
        let route = ScimRoute::parse(path).for_types(types);
        match route {
            ScimRoute::Collection(resource_type) if method == BulkMethod::Post => Ok(Self { resource_type, id: None }),
            ScimRoute::Resource(resource_type, id) if method != BulkMethod::Post => {
                Ok(Self { resource_type, id: Some(id) })
            }
            ScimRoute::Collection(_) | ScimRoute::Resource(..) => {
                let rule = if method == BulkMethod::Post {
                    "POST requires a path such as /Users"
                } else {
                    "a path such as /Users is for POST only; other methods require /Users/ID"
                };
                Err(Reason::BulkMethodPath.with("method", method.as_str()).with("rule", rule))
            }
            ScimRoute::Bulk => Err(Error::new(Reason::BulkNested)),
            other => {
                let refusal = other.route_error();
                Err(refusal.unwrap_or_else(|| Error::new(Reason::BulkPathUnsupported)))
            }
        }
    }

    /// Replaces a `bulkId` reference with the id of the created resource.
    ///
    /// # Errors
    /// The `bulkId`, if `created` returns none for it.
    pub(super) fn resolve<'m>(&mut self, created: &impl Fn(&str) -> Option<&'m CreatedResource>) -> Result<(), String> {
        let Some(name) = self.id.as_deref().and_then(references::parse_reference) else { return Ok(()) };
        let found = created(name).ok_or_else(|| name.to_owned())?;
        self.id = Some(found.id.clone());
        Ok(())
    }

    /// Returns the URL of the resource, if it already has an id.
    pub(super) fn location(&self, base: &str) -> Option<String> {
        self.id
            .as_deref()
            .filter(|id| references::parse_reference(id).is_none())
            .map(|id| self.resource_location(base, id))
    }

    /// Returns the URL of a resource of this type.
    pub(super) fn resource_location(&self, base: &str, id: &str) -> String {
        format!("{base}{}/{id}", self.resource_type.endpoint)
    }
}

/// Returns the path of an item relative to the base. The path may be a full URL of the configuration with any base
/// path; a query is ignored.
///
/// # Errors
/// 400 invalidValue for any other URL.
pub(super) fn relative_path(path: &str, public_url: &str, base: &str, scope: &Scope) -> Result<String, Error> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let elsewhere = || Reason::BulkPathForeign.with("base", base);
    let (rest, is_url) = path.strip_prefix(public_url).map_or((path, false), |rest| (rest, true));
    match ProvisioningPath::parse(rest) {
        Ok(address) if address.configuration.is_none_or(|id| *id == *scope.configuration_id) => {
            Ok(address.relative_path.to_owned())
        }
        Ok(_) => Err(elsewhere()),
        Err(_) if is_url || path.contains("://") => Err(elsewhere()),
        Err(_) => Ok(path.to_owned()),
    }
}
