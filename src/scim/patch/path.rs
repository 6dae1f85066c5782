//! Paths of PATCH operations (RFC 7644 section 3.5.2): an attribute path, or one with a filter in brackets.

use crate::error::{Error, Reason};
use crate::scim::filter::{MAX_LENGTH, Predicate, StringSyntax, check_element, parse_brackets};
use crate::scim::path::{AttrPath, ResolvedPath, is_name, shorten_text, unknown_sub_attribute_error};
use crate::scim::schema::{DataType, ResourceType};

/// A PATCH path resolved against a resource type: `members`, `name.familyName`, `emails[type eq "work"].value`, ….
#[derive(Debug, Clone)]
pub struct PatchPath<'t> {
    /// The target of the operation. If the path has brackets, `sub` is the sub-attribute after them.
    pub target: ResolvedPath<'t>,
    /// Selects the elements of the attribute; `None` if the path has no brackets.
    /// Evaluate it with [`crate::scim::filter::evaluate::matches_element`].
    pub element: Option<Predicate>,
}

impl<'t> PatchPath<'t> {
    /// Parses a path. Strings in the filter may also be in single quotes.
    ///
    /// # Errors
    /// See [`PatchPath::parse_with`].
    pub fn parse(text: &str, resource_type: &'t ResourceType) -> Result<Self, Error> {
        Self::parse_with(text, resource_type, StringSyntax::Lenient)
    }

    /// Parses a path with this syntax of strings in the filter.
    ///
    /// # Errors
    /// 400 invalidPath or invalidFilter.
    ///
    /// [`crate::scim::path::is_unknown_path`] distinguishes unknown attributes from malformed paths and filters.
    /// Brackets are also accepted on single-valued complex attributes: Entra sends `manager[value eq "id"]`.
    pub fn parse_with(text: &str, resource_type: &'t ResourceType, syntax: StringSyntax) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Reason::PathTooLong.with("max", MAX_LENGTH));
        }
        let Some(open) = text.find('[') else {
            let target = AttrPath::parse(text)?.resolve(resource_type)?;
            return Ok(Self { target, element: None });
        };
        let path = AttrPath::parse(&text[..open])?;
        let Some((filter, close)) = parse_brackets(text, open + 1, syntax) else {
            return Err(Reason::PathBracketOpen.with("path", shorten_text(text)));
        };
        let sub = parse_bracket_suffix(text, &text[close + 1..])?;
        let filter = filter?;
        let container = path.resolve(resource_type)?;
        if container.sub.is_some() || !container.attribute.is_some_and(|attribute| attribute.kind == DataType::Complex)
        {
            return Err(Reason::PathBracketUnsupported.on_field(container.to_string()));
        }
        let element = check_element(&filter, resource_type, container)?;
        let target = match sub {
            None => container,
            Some(name) => ResolvedPath { sub: Some(find_sub_attribute(container, name)?), ..container },
        };
        Ok(Self { target, element: Some(element) })
    }
}

fn parse_bracket_suffix<'a>(path: &str, rest: &'a str) -> Result<Option<&'a str>, Error> {
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Ok(None),
        Some(name) if is_name(name) => Ok(Some(name)),
        _ => Err(Reason::PathBracketSuffix.with("path", shorten_text(path))),
    }
}

fn find_sub_attribute<'t>(
    container: ResolvedPath<'t>,
    name: &str,
) -> Result<&'t crate::scim::schema::Attribute, Error> {
    container
        .attribute
        .and_then(|attribute| attribute.sub_attribute(name))
        .ok_or_else(|| unknown_sub_attribute_error(container, name))
}

#[cfg(test)]
mod tests {
    use crate::error::ScimType;
    use crate::scim::path::is_unknown_path;
    use serde_json::json;

    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE};

    fn target(text: &str) -> String {
        PatchPath::parse(text, &USER_TYPE).map(|path| path.target.to_string()).unwrap()
    }

    #[test]
    fn paths_of_the_rfc_and_of_the_identity_providers_are_read() {
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        for (text, meaning) in [
            ("active", "active"),
            ("name.familyName", "name.familyName"),
            ("emails[type eq \"work\"].value", "emails.value"),
            ("addresses[type eq \"work\"]", "addresses"),
            ("addresses[ type eq \"work\" ].Locality", "addresses.locality"),
            ("roles[primary eq \"True\"].value", "roles.value"),
            ("emails[not (type eq \"wo]rk\" or value pr)].$ref".replace("$ref", "primary").as_str(), "emails.primary"),
            ("manager[value eq \"id\"]", manager),
            (&format!("{manager}[value eq \"id\"].displayName"), &format!("{manager}.displayName")),
            ("urn:ietf:params:scim:schemas:core:2.0:User:emails[type eq \"work\"]", "emails"),
            ("schemas", "schemas"),
        ] {
            assert_eq!(target(text), meaning, "{text}");
        }
    }

    #[test]
    fn equal_terms_describe_the_selected_elements() {
        let path = PatchPath::parse("members[value eq 'it\\'s \"1\"']", &GROUP_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), Some(vec![("value", json!("it's \"1\""))]));
        let path = PatchPath::parse("emails[TYPE eq \"Work\" and primary eq true].value", &USER_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), Some(vec![("type", json!("Work")), ("primary", json!(true))]));
        let path = PatchPath::parse("emails[type ne \"work\"]", &USER_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), None);
    }

    #[test]
    fn each_error_has_its_scim_type() {
        let (path, filter) = (ScimType::InvalidPath, ScimType::InvalidFilter);
        for (text, scim_type, unknown) in [
            ("", path, false),
            ("emails[", path, false),
            ("emails[type eq \"work\"", path, false),
            ("emails[type eq \"work]", path, false),
            ("a.b.c", path, false),
            ("emails[type eq \"work\"]value", path, false),
            ("emails[type eq \"work\"].value.x", path, false),
            ("emails[type eq \"work\"] ", path, false),
            ("emails.value[type eq \"work\"]", path, false),
            ("userName[value eq \"x\"]", path, false),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User[value eq \"x\"]", path, false),
            ("dispalyName", path, true),
            ("email[type eq \"work\"]", path, true),
            ("emails[type eq \"work\"].nope", path, true),
            ("urn:custom:1.0:User:x", path, true),
            ("emails[0]", filter, false),
            ("emails[]", filter, false),
            ("emails[type = \"work\"]", filter, false),
            ("emails[nope eq \"work\"]", filter, true),
            ("emails[emails[type eq \"x\"]]", filter, false),
            ("emails[primary gt true]", filter, false),
            ("emails[type eq work]", filter, false),
        ] {
            let error = PatchPath::parse(text, &USER_TYPE).unwrap_err();
            assert_eq!(is_unknown_path(&error), unknown, "{text}: {error}");
            assert_eq!(error.scim_type(), Some(scim_type), "{text}");
        }
    }

    #[test]
    fn errors_in_brackets_count_from_the_start_of_the_path() {
        let error = PatchPath::parse("emails[type is \"work\"]", &USER_TYPE).unwrap_err();
        assert_eq!(error.location(), Some("at character 13"));
        assert_eq!((error.reason(), error.param("operator")), (Reason::FilterOperatorUnknown, Some("is")));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in r#"(emails|members|manager|[a-z:.]{0,5})(\[|\]|\(|\)|'|"|\\|é| eq | and |type|value|\.){0,12}"#) {
            let _ = PatchPath::parse(&text, &USER_TYPE);
        }
    }
}
