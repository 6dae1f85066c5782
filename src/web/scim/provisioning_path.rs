//! Base paths of SCIM: the canonical provisioning URL, and the forms that other products use.

use crate::error::{Error, Reason};
use crate::model::ids;

/// Prefixes of all SCIM paths.
pub const SCIM_PREFIXES: [&str; 4] =
    ["/directory/resources/scim", "/frontegg/directory/resources/scim", "/scim", "/api/scim/resource"];

/// A form of the base path: prefix, version, and whether the configuration id must be in the path.
struct BasePathForm {
    prefix: &'static str,
    version: &'static str,
    requires_configuration: bool,
}

const BASE_PATH_FORMS: [BasePathForm; 4] = [
    BasePathForm { prefix: SCIM_PREFIXES[0], version: "v2.0", requires_configuration: true },
    BasePathForm { prefix: SCIM_PREFIXES[1], version: "v2.0", requires_configuration: true },
    BasePathForm { prefix: SCIM_PREFIXES[2], version: "v2", requires_configuration: false },
    BasePathForm { prefix: SCIM_PREFIXES[3], version: "v2", requires_configuration: false },
];

/// A parsed request path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProvisioningPath<'p> {
    /// Base path without a trailing slash; every URL in the response begins with it.
    pub(super) base: &'p str,
    /// Configuration id in the path; if absent, only the token identifies the configuration.
    pub(super) configuration: Option<&'p str>,
    /// Path after the base.
    pub(super) relative_path: &'p str,
}

impl<'p> ProvisioningPath<'p> {
    /// Parses a request path.
    ///
    /// # Errors
    /// 400 invalidVers for another protocol version (RFC 7644 section 3.13), 404 for any other path.
    pub(super) fn parse(path: &'p str) -> Result<Self, Error> {
        for form in &BASE_PATH_FORMS {
            let Some(rest) = path.strip_prefix(form.prefix) else { continue };
            let Some(rest) = rest.strip_prefix('/') else { continue };
            let version = rest.split('/').next().unwrap_or_default();
            if version != form.version {
                return Err(version_error(version));
            }
            let end = path.len() - rest.len() + version.len();
            return Ok(Self::split_base(path, end, form.requires_configuration));
        }
        Err(Error::new(Reason::ProvisioningUrlUnknown))
    }

    fn split_base(path: &'p str, end: usize, names_configuration: bool) -> Self {
        let below = &path[end..];
        let segment = below.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !names_configuration && !ids::is_id(segment) {
            return Self { base: &path[..end], configuration: None, relative_path: below };
        }
        let base = path.len() - below.trim_start_matches('/').len() + segment.len();
        Self { base: &path[..base], configuration: Some(segment), relative_path: &path[base..] }
    }
}

fn version_error(segment: &str) -> Error {
    let is_version = segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_version {
        return Error::new(Reason::ScimVersionUnsupported);
    }
    Error::new(Reason::ProvisioningUrlUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ScimType;

    const ID: &str = "01a201fc-7572-7712-9120-066eed75d9a3";

    #[test]
    fn the_configuration_is_in_the_path_or_given_by_the_token() {
        for (path, base, configuration, below) in [
            (
                format!("/directory/resources/scim/v2.0/{ID}/Users"),
                format!("/directory/resources/scim/v2.0/{ID}"),
                Some(ID),
                "/Users",
            ),
            (
                format!("/frontegg/directory/resources/scim/v2.0/{ID}"),
                format!("/frontegg/directory/resources/scim/v2.0/{ID}"),
                Some(ID),
                "",
            ),
            (format!("/scim/v2/{ID}//Users/"), format!("/scim/v2/{ID}"), Some(ID), "//Users/"),
            ("/scim/v2/Users/7".to_owned(), "/scim/v2".to_owned(), None, "/Users/7"),
            ("/scim/v2".to_owned(), "/scim/v2".to_owned(), None, ""),
            ("/api/scim/resource/v2/Schemas".to_owned(), "/api/scim/resource/v2".to_owned(), None, "/Schemas"),
            (
                "/directory/resources/scim/v2.0/Users".to_owned(),
                "/directory/resources/scim/v2.0/Users".to_owned(),
                Some("Users"),
                "",
            ),
        ] {
            assert_eq!(
                ProvisioningPath::parse(&path),
                Ok(ProvisioningPath { base: &base, configuration, relative_path: below }),
                "{path}"
            );
        }
    }

    #[test]
    fn other_versions_and_other_paths_have_different_errors() {
        for path in ["/scim/v1/Users", "/scim/v3", "/directory/resources/scim/v1.0/x/Users"] {
            assert_eq!(ProvisioningPath::parse(path).unwrap_err().scim_type(), Some(ScimType::InvalidVers), "{path}");
        }
        for path in ["/scim", "/scimx/v2", "/scim/Users", "/api/scim/resource", "/scim/vx/Users"] {
            assert_eq!(ProvisioningPath::parse(path).unwrap_err().status(), 404, "{path}");
        }
    }
}
