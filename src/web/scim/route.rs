//! Routes of SCIM paths relative to the provisioning URL.

use std::sync::Arc;

use actix_web::http::Method;

use crate::error::{Error, Reason};
use crate::model::rights::ResourceAction;
use crate::scim::percent;
use crate::scim::schema::{ResourceType, standard_types};

/// The endpoint that a path refers to.
#[derive(Debug, Clone)]
pub(super) enum ScimRoute {
    ServiceProviderConfig,
    ResourceTypes(Option<String>),
    Schemas(Option<String>),
    /// All resource types.
    Root,
    RootSearch,
    Collection(Arc<ResourceType>),
    Resource(Arc<ResourceType>, String),
    /// `POST` of a query that should not be in a URL.
    Search(Arc<ResourceType>),
    Me,
    Bulk,
    /// A path under another protocol version.
    OtherVersion,
    NotFound,
}

impl ScimRoute {
    /// Parses the percent-encoded path after the base. Empty segments are skipped, because some clients send a double
    /// slash after the base URL or a trailing slash.
    pub(super) fn parse(path: &str) -> Self {
        let decoded: Option<Vec<String>> =
            path.split('/').filter(|segment| !segment.is_empty()).map(percent::decode_percent).collect();
        let Some(segments) = decoded else { return Self::NotFound };
        let mut segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.first() {
            Some(&"v2") => {
                segments.remove(0);
            }
            Some(segment) if is_version(segment) => return Self::OtherVersion,
            _ => {}
        }
        let Some((first, rest)) = segments.split_first() else { return Self::Root };
        // Some clients, such as Microsoft's Postman collection, write `/users`.
        let is = |name: &str| first.eq_ignore_ascii_case(name);
        if is("Me") {
            return Self::Me;
        }
        match rest {
            [] if is(".search") => Self::RootSearch,
            // The other names are those of SCIM 1.1 and of Microsoft's reference code.
            [] if is("ServiceProviderConfig") || is("ServiceProviderConfigs") || is("ServiceConfiguration") => {
                Self::ServiceProviderConfig
            }
            [] if is("ResourceTypes") => Self::ResourceTypes(None),
            [name] if is("ResourceTypes") => Self::ResourceTypes(Some((*name).to_owned())),
            [] if is("Schemas") => Self::Schemas(None),
            [uri] if is("Schemas") => Self::Schemas(Some((*uri).to_owned())),
            [] if is("Bulk") => Self::Bulk,
            [] => find_type(first).map_or(Self::NotFound, Self::Collection),
            [search] if search.eq_ignore_ascii_case(".search") => find_type(first).map_or(Self::NotFound, Self::Search),
            [id] => {
                let id = (*id).to_owned();
                find_type(first).map_or(Self::NotFound, |resource_type| Self::Resource(resource_type, id))
            }
            _ => Self::NotFound,
        }
    }

    /// Returns the same route with the resource types of a configuration, which may have extensions.
    pub(super) fn for_types(&self, types: &[Arc<ResourceType>]) -> Self {
        let extended = |resource_type: &Arc<ResourceType>| {
            types.iter().find(|one| one.name == resource_type.name).unwrap_or(resource_type).clone()
        };
        match self {
            Self::Collection(resource_type) => Self::Collection(extended(resource_type)),
            Self::Search(resource_type) => Self::Search(extended(resource_type)),
            Self::Resource(resource_type, id) => Self::Resource(extended(resource_type), id.clone()),
            other => other.clone(),
        }
    }

    /// Returns the resource type, if the route has exactly one.
    pub(super) fn resource_type(&self) -> Option<&ResourceType> {
        match self {
            Self::Collection(resource_type) | Self::Search(resource_type) | Self::Resource(resource_type, _) => {
                Some(resource_type)
            }
            _ => None,
        }
    }

    /// Returns whether the route may be read without a token.
    pub(super) fn is_discovery(&self) -> bool {
        matches!(self, Self::ServiceProviderConfig | Self::ResourceTypes(_) | Self::Schemas(_))
    }

    /// Returns the allowed methods, as in the Allow header.
    pub(super) fn allowed_methods(&self) -> &'static str {
        match self {
            Self::Collection(_) => "GET, HEAD, POST, OPTIONS",
            Self::Search(_) | Self::RootSearch | Self::Bulk => "POST, OPTIONS",
            Self::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Returns whether a request with this method may change resources; a search only reads.
    pub(super) fn writes(&self, method: &Method) -> bool {
        !method.is_safe() && !matches!(self, Self::Search(_) | Self::RootSearch)
    }

    /// Returns what a request with this method does with resources.
    pub(super) fn action(&self, method: &Method) -> ResourceAction {
        match (self, method) {
            (Self::Collection(_), &Method::POST) => ResourceAction::Create,
            (_, &Method::PUT | &Method::PATCH) => ResourceAction::Update,
            (_, &Method::DELETE) => ResourceAction::Delete,
            _ => ResourceAction::Read,
        }
    }

    /// Returns the resource type and the id.
    pub(super) fn into_target(self) -> (Option<Arc<ResourceType>>, Option<String>) {
        match self {
            Self::Collection(resource_type) | Self::Search(resource_type) => (Some(resource_type), None),
            Self::Resource(resource_type, id) => (Some(resource_type), Some(id)),
            _ => (None, None),
        }
    }

    /// Returns the path template for the log.
    pub(super) fn template(&self) -> String {
        match self {
            Self::ServiceProviderConfig => "/ServiceProviderConfig".to_owned(),
            Self::ResourceTypes(None) => "/ResourceTypes".to_owned(),
            Self::ResourceTypes(Some(_)) => "/ResourceTypes/{id}".to_owned(),
            Self::Schemas(None) => "/Schemas".to_owned(),
            Self::Schemas(Some(_)) => "/Schemas/{id}".to_owned(),
            Self::Root => "/".to_owned(),
            Self::RootSearch => "/.search".to_owned(),
            Self::Collection(resource_type) => resource_type.endpoint.to_string(),
            Self::Resource(resource_type, _) => format!("{}/{{id}}", resource_type.endpoint),
            Self::Search(resource_type) => format!("{}/.search", resource_type.endpoint),
            Self::Me => "/Me".to_owned(),
            Self::Bulk => "/Bulk".to_owned(),
            Self::OtherVersion | Self::NotFound => "-".to_owned(),
        }
    }

    /// Returns the error of a path without an endpoint.
    pub(super) fn route_error(&self) -> Option<Error> {
        match self {
            Self::Me => Some(Error::new(Reason::MeNotSupported)),
            Self::OtherVersion => Some(Error::new(Reason::ScimVersionUnsupported)),
            Self::NotFound => Some(Error::new(Reason::ScimPathUnknown)),
            _ => None,
        }
    }
}

fn find_type(endpoint: &str) -> Option<Arc<ResourceType>> {
    standard_types()
        .into_iter()
        .find(|resource_type| resource_type.endpoint.trim_start_matches('/').eq_ignore_ascii_case(endpoint))
        .cloned()
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_slashes_and_escapes_lead_to_the_same_route() {
        for path in ["/Users/7", "//Users/7", "/Users/7/", "/%55sers/%37", "/v2/Users/7", "/users/7", "/USERS/7"] {
            assert!(
                matches!(ScimRoute::parse(path), ScimRoute::Resource(resource_type, id) if resource_type.name == "User" && id == "7"),
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_without_an_endpoint_is_nothing() {
        for path in ["/User", "/Users/7/x", "/./Users", "/Users%2F7", "/Users;x", "/%ff", "/Users/../Groups/x"] {
            assert!(matches!(ScimRoute::parse(path), ScimRoute::NotFound), "{path}");
        }
        assert!(matches!(ScimRoute::parse("/v1/Users"), ScimRoute::OtherVersion));
    }
}
