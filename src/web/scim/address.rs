//! The addresses under which SCIM is served: the provisioning URL as it is issued, and the forms other products use.

use crate::model::ids;
use crate::scim::{Error, ScimType};

/// Where the paths that are answered in SCIM begin, whatever follows.
pub const FAMILIES: [&str; 4] =
    ["/directory/resources/scim", "/frontegg/directory/resources/scim", "/scim", "/api/scim/resource"];

/// A way to write the base URL: the family, the version in it, and whether the configuration must stand in the path.
struct Form {
    family: &'static str,
    version: &'static str,
    names_configuration: bool,
}

const FORMS: [Form; 4] = [
    Form { family: FAMILIES[0], version: "v2.0", names_configuration: true },
    Form { family: FAMILIES[1], version: "v2.0", names_configuration: true },
    Form { family: FAMILIES[2], version: "v2", names_configuration: false },
    Form { family: FAMILIES[3], version: "v2", names_configuration: false },
];

/// A request path taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address<'p> {
    /// Path of the base, without a slash at the end; every URL in the answer begins with it.
    pub(super) base: &'p str,
    /// The configuration in the path; where there is none the token alone says it.
    pub(super) configuration: Option<&'p str>,
    /// What follows the base.
    pub(super) below: &'p str,
}

impl<'p> Address<'p> {
    /// Takes a path apart.
    ///
    /// # Errors
    /// 400 invalidVers for another protocol version (RFC 7644 section 3.13), 404 for what is no base URL.
    pub(super) fn read(path: &'p str) -> Result<Self, Error> {
        for form in &FORMS {
            let Some(rest) = path.strip_prefix(form.family) else { continue };
            let Some(rest) = rest.strip_prefix('/') else { continue };
            let version = rest.split('/').next().unwrap_or_default();
            if version != form.version {
                return Err(other_version(version));
            }
            let end = path.len() - rest.len() + version.len();
            return Ok(Self::after(path, end, form.names_configuration));
        }
        Err(Error::plain(404, "no provisioning URL begins like this"))
    }

    fn after(path: &'p str, end: usize, names_configuration: bool) -> Self {
        let below = &path[end..];
        let segment = below.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !names_configuration && !ids::is_id(segment) {
            return Self { base: &path[..end], configuration: None, below };
        }
        let base = path.len() - below.trim_start_matches('/').len() + segment.len();
        Self { base: &path[..base], configuration: Some(segment), below: &path[base..] }
    }
}

fn other_version(segment: &str) -> Error {
    let looks_like_one = segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if looks_like_one {
        return Error::bad(ScimType::InvalidVers, "only version 2 of the protocol is served");
    }
    Error::plain(404, "no provisioning URL begins like this")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a201fc-7572-7712-9120-066eed75d9a3";

    #[test]
    fn the_configuration_stands_in_the_path_or_is_left_to_the_token() {
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
            assert_eq!(Address::read(&path), Ok(Address { base: &base, configuration, below }), "{path}");
        }
    }

    #[test]
    fn other_versions_and_other_paths_are_told_apart() {
        for path in ["/scim/v1/Users", "/scim/v3", "/directory/resources/scim/v1.0/x/Users"] {
            assert_eq!(Address::read(path).unwrap_err().scim_type, Some(ScimType::InvalidVers), "{path}");
        }
        for path in ["/scim", "/scimx/v2", "/scim/Users", "/api/scim/resource", "/scim/vx/Users"] {
            assert_eq!(Address::read(path).unwrap_err().status, 404, "{path}");
        }
    }
}
