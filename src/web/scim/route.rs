//! From the path below a provisioning URL to what it names.

use std::sync::Arc;

use actix_web::http::Method;

use crate::scim::schema::{ResourceType, standard_types};
use crate::scim::{Error, percent};

/// What a path names.
#[derive(Debug, Clone)]
pub(super) enum Route {
    ServiceProviderConfig,
    ResourceTypes(Option<String>),
    Schemas(Option<String>),
    /// All resource types at once.
    Root,
    RootSearch,
    Collection(Arc<ResourceType>),
    Resource(Arc<ResourceType>, String),
    /// `POST` of a query that should not stand in a URL.
    Search(Arc<ResourceType>),
    Me,
    Bulk,
    /// A path under another protocol version.
    OtherVersion,
    Nothing,
}

impl Route {
    /// Reads the path after the base, percent-encoded as it came. Empty segments are passed over: a doubled slash
    /// after the base URL and a trailing slash are what some clients send.
    pub(super) fn read(path: &str) -> Self {
        let decoded: Option<Vec<String>> =
            path.split('/').filter(|segment| !segment.is_empty()).map(percent::decoded).collect();
        let Some(segments) = decoded else { return Self::Nothing };
        let mut segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.first() {
            Some(&"v2") => {
                segments.remove(0);
            }
            Some(segment) if is_version(segment) => return Self::OtherVersion,
            _ => {}
        }
        match segments[..] {
            [] => Self::Root,
            [".search"] => Self::RootSearch,
            ["ServiceProviderConfig"] => Self::ServiceProviderConfig,
            ["ResourceTypes"] => Self::ResourceTypes(None),
            ["ResourceTypes", name] => Self::ResourceTypes(Some(name.to_owned())),
            ["Schemas"] => Self::Schemas(None),
            ["Schemas", uri] => Self::Schemas(Some(uri.to_owned())),
            ["Me", ..] => Self::Me,
            ["Bulk"] => Self::Bulk,
            [endpoint] => of_type(endpoint).map_or(Self::Nothing, Self::Collection),
            [endpoint, ".search"] => of_type(endpoint).map_or(Self::Nothing, Self::Search),
            [endpoint, id] => of_type(endpoint).map_or(Self::Nothing, |of| Self::Resource(of, id.to_owned())),
            _ => Self::Nothing,
        }
    }

    /// The same route on the resource types of a configuration, which may have been extended.
    pub(super) fn on(&self, types: &[Arc<ResourceType>]) -> Self {
        let known = |of: &Arc<ResourceType>| types.iter().find(|known| known.name == of.name).unwrap_or(of).clone();
        match self {
            Self::Collection(of) => Self::Collection(known(of)),
            Self::Search(of) => Self::Search(known(of)),
            Self::Resource(of, id) => Self::Resource(known(of), id.clone()),
            other => other.clone(),
        }
    }

    /// The one type that it is about.
    pub(super) fn of(&self) -> Option<&ResourceType> {
        match self {
            Self::Collection(of) | Self::Search(of) | Self::Resource(of, _) => Some(of),
            _ => None,
        }
    }

    /// Whether it may be read without a token.
    pub(super) fn is_discovery(&self) -> bool {
        matches!(self, Self::ServiceProviderConfig | Self::ResourceTypes(_) | Self::Schemas(_))
    }

    /// The methods it takes, as the Allow header lists them.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Collection(_) => "GET, HEAD, POST, OPTIONS",
            Self::Search(_) | Self::RootSearch | Self::Bulk => "POST, OPTIONS",
            Self::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether a request with that method may change resources; a search only reads.
    pub(super) fn writes(&self, method: &Method) -> bool {
        !method.is_safe() && !matches!(self, Self::Search(_) | Self::RootSearch)
    }

    /// The resource type that it names, and the id.
    pub(super) fn into_target(self) -> (Option<Arc<ResourceType>>, Option<String>) {
        match self {
            Self::Collection(of) | Self::Search(of) => (Some(of), None),
            Self::Resource(of, id) => (Some(of), Some(id)),
            _ => (None, None),
        }
    }

    /// Its template, for the log.
    pub(super) fn template(&self) -> String {
        match self {
            Self::ServiceProviderConfig => "/ServiceProviderConfig".to_owned(),
            Self::ResourceTypes(None) => "/ResourceTypes".to_owned(),
            Self::ResourceTypes(Some(_)) => "/ResourceTypes/{id}".to_owned(),
            Self::Schemas(None) => "/Schemas".to_owned(),
            Self::Schemas(Some(_)) => "/Schemas/{id}".to_owned(),
            Self::Root => "/".to_owned(),
            Self::RootSearch => "/.search".to_owned(),
            Self::Collection(of) => of.endpoint.to_string(),
            Self::Resource(of, _) => format!("{}/{{id}}", of.endpoint),
            Self::Search(of) => format!("{}/.search", of.endpoint),
            Self::Me => "/Me".to_owned(),
            Self::Bulk => "/Bulk".to_owned(),
            Self::OtherVersion | Self::Nothing => "-".to_owned(),
        }
    }

    /// The error of a path that names nothing to work on.
    pub(super) fn refusal(&self) -> Option<Error> {
        match self {
            Self::Me => Some(Error::plain(501, "/Me is not served: a provisioning token belongs to no user")),
            Self::OtherVersion => Some(Error::bad(
                crate::scim::ScimType::InvalidVers,
                "only version 2 of the protocol is served: use v2 or none",
            )),
            Self::Nothing => Some(Error::plain(404, "no endpoint has this path; see /ResourceTypes")),
            _ => None,
        }
    }
}

fn of_type(endpoint: &str) -> Option<Arc<ResourceType>> {
    standard_types().into_iter().find(|of| of.endpoint.strip_prefix('/') == Some(endpoint)).cloned()
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_slashes_and_escapes_still_name_the_same() {
        for path in ["/Users/7", "//Users/7", "/Users/7/", "/%55sers/%37", "/v2/Users/7"] {
            assert!(matches!(Route::read(path), Route::Resource(of, id) if of.name == "User" && id == "7"), "{path}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_nothing() {
        for path in ["/users", "/Users/7/x", "/./Users", "/Users%2F7", "/Users;x", "/%ff", "/Users/../Groups/x"] {
            assert!(matches!(Route::read(path), Route::Nothing), "{path}");
        }
        assert!(matches!(Route::read("/v1/Users"), Route::OtherVersion));
    }
}
