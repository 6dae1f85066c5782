//! Paths of PATCH operations (RFC 7644 section 3.5.2): an attribute path, or one with a filter in brackets.

use super::filter::{MAX_LENGTH, Predicate, check_element, parse_brackets};
use super::path::{AttrPath, PathError, Target, is_name, shown};
use super::schema::{Kind, ResourceType};

/// A PATCH path looked up in a resource type: `members`, `name.familyName`, `emails[type eq "work"].value`, ….
#[derive(Debug, Clone)]
pub struct PatchPath<'t> {
    /// What is changed. Where there are brackets, `sub` is the sub-attribute after them.
    pub target: Target<'t>,
    /// Which elements of the attribute are meant; `None` where the path has no brackets.
    /// Evaluate it with [`super::matches::matches_element`].
    pub element: Option<Predicate>,
}

impl<'t> PatchPath<'t> {
    /// Reads a path. A filter's strings may also stand in single quotes.
    ///
    /// The kind of [`PathError`] tells broken paths, unknown attributes and broken filters apart.
    /// Brackets are taken on single complex attributes too: `manager[value eq "id"]` is what Entra sends.
    pub fn parse(text: &str, resource_type: &'t ResourceType) -> Result<Self, PathError> {
        if text.len() > MAX_LENGTH {
            return Err(PathError::Syntax(format!("the path is longer than {MAX_LENGTH} bytes")));
        }
        let Some(open) = text.find('[') else {
            let target = AttrPath::parse(text)?.resolve(resource_type)?;
            return Ok(Self { target, element: None });
        };
        let path = AttrPath::parse(&text[..open])?;
        let Some((filter, close)) = parse_brackets(text, open + 1) else {
            return Err(PathError::Syntax(format!("the bracket of \"{}\" is not closed", shown(text))));
        };
        let sub = after_bracket(text, &text[close + 1..])?;
        let filter = filter.map_err(|error| PathError::Filter(error.detail))?;
        let container = path.resolve(resource_type)?;
        if container.sub.is_some() || !container.attribute.is_some_and(|attribute| attribute.kind == Kind::Complex) {
            return Err(PathError::Syntax(format!("{container} has no sub-attributes, so it takes no brackets")));
        }
        let element =
            check_element(&filter, resource_type, container).map_err(|error| PathError::Filter(error.detail))?;
        let target = match sub {
            None => container,
            Some(name) => Target { sub: Some(named_sub(container, name)?), ..container },
        };
        Ok(Self { target, element: Some(element) })
    }
}

fn after_bracket<'a>(path: &str, rest: &'a str) -> Result<Option<&'a str>, PathError> {
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Ok(None),
        Some(name) if is_name(name) => Ok(Some(name)),
        _ => Err(PathError::Syntax(format!("after the bracket of \"{}\" stands nothing or .name", shown(path)))),
    }
}

fn named_sub<'t>(container: Target<'t>, name: &str) -> Result<&'t super::schema::Attribute, PathError> {
    container
        .attribute
        .and_then(|attribute| attribute.sub(name))
        .ok_or_else(|| PathError::Unknown(format!("{container} has no sub-attribute \"{}\"", shown(name))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
    use crate::scim::{Error, ScimType};

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
    fn the_elements_meant_are_told_by_their_equal_terms() {
        let path = PatchPath::parse("members[value eq 'it\\'s \"1\"']", &GROUP_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), Some(vec![("value", json!("it's \"1\""))]));
        let path = PatchPath::parse("emails[TYPE eq \"Work\" and primary eq true].value", &USER_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), Some(vec![("type", json!("Work")), ("primary", json!(true))]));
        let path = PatchPath::parse("emails[type ne \"work\"]", &USER_TYPE).unwrap();
        assert_eq!(path.element.unwrap().equal_terms(), None);
    }

    #[test]
    fn each_mistake_has_its_word() {
        let (path, filter) = (ScimType::InvalidPath, ScimType::InvalidFilter);
        for (text, word, unknown) in [
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
            ("emails[nope eq \"work\"]", filter, false),
            ("emails[emails[type eq \"x\"]]", filter, false),
            ("emails[primary gt true]", filter, false),
            ("emails[type eq work]", filter, false),
        ] {
            let error = PatchPath::parse(text, &USER_TYPE).unwrap_err();
            assert_eq!(error.is_unknown(), unknown, "{text}: {error}");
            assert_eq!(Error::from(error).scim_type, Some(word), "{text}");
        }
    }

    #[test]
    fn errors_in_brackets_count_from_the_start_of_the_path() {
        let error = PatchPath::parse("emails[type is \"work\"]", &USER_TYPE).unwrap_err().to_string();
        assert!(error.starts_with("at character 13: \"is\" is no operator"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in r#"(emails|members|manager|[a-z:.]{0,5})(\[|\]|\(|\)|'|"|\\|é| eq | and |type|value|\.){0,12}"#) {
            let _ = PatchPath::parse(&text, &USER_TYPE);
        }
    }
}
