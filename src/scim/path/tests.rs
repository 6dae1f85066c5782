//! Parsing and resolution of attribute paths.

use crate::error::ScimType;
use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::scim::schema::{DataType, GROUP_TYPE, ResourceTypeExtension, USER_TYPE};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[track_caller]
fn means(text: &str, canonical: &str) {
    let target = AttrPath::parse(text).unwrap().resolve(&USER_TYPE).unwrap().to_string();
    assert_eq!(target, canonical);
}

#[test]
fn names_and_urns_are_found_in_any_case() {
    means("USERNAME", "userName");
    means("name.FAMILYname", "name.familyName");
    means("emails.$REF".replace("emails", "groups").as_str(), "groups.$ref");
    means("urn:ietf:params:scim:schemas:core:2.0:user:Name.givenname", "name.givenName");
    means("urn:ietf:params:scim:schemas:core:2.0:User:meta.created", "meta.created");
    means(&format!("{}:department", ENTERPRISE.to_uppercase()), &format!("{ENTERPRISE}:department"));
    means(&format!("{ENTERPRISE}:manager.$ref"), &format!("{ENTERPRISE}:manager.$ref"));
}

#[test]
fn a_period_may_follow_the_urn() {
    means(&format!("{ENTERPRISE}.manager"), &format!("{ENTERPRISE}:manager"));
    means(&format!("{}.Manager.VALUE", ENTERPRISE.to_lowercase()), &format!("{ENTERPRISE}:manager.value"));
    means("urn:ietf:params:scim:schemas:core:2.0:User.userName", "userName");
    for text in [format!("{ENTERPRISE}.1"), format!("{ENTERPRISE}."), format!("{ENTERPRISE}.x:manager")] {
        assert!(AttrPath::parse(&text).unwrap().resolve(&USER_TYPE).is_err(), "{text}");
    }
}

#[test]
fn a_name_that_is_not_in_the_base_schema_resolves_in_the_extension() {
    means("manager.value", &format!("{ENTERPRISE}:manager.value"));
    means("employeenumber", &format!("{ENTERPRISE}:employeeNumber"));
}

#[test]
fn a_bare_extension_urn_is_the_whole_extension() {
    means(&ENTERPRISE.to_lowercase(), ENTERPRISE);
    let path = AttrPath::parse(ENTERPRISE).unwrap();
    assert!(path.resolve(&USER_TYPE).unwrap().attribute.is_none());
}

#[test]
fn the_longest_schema_wins() {
    let mut resource_type = (**USER_TYPE).clone();
    let mut outer = (*resource_type.extensions[0].schema).clone();
    outer.id = Cow::Owned("urn:acme:1.0".to_owned());
    let mut inner = outer.clone();
    inner.id = Cow::Owned("urn:acme:1.0:division".to_owned());
    for schema in [outer, inner] {
        resource_type.extensions.push(ResourceTypeExtension { schema: Arc::new(schema), required: false });
    }
    let find = |text: &str| AttrPath::parse(text).unwrap().resolve(&resource_type).map(|target| target.to_string());
    assert_eq!(find("urn:acme:1.0:Division").unwrap(), "urn:acme:1.0:division");
    assert_eq!(find("urn:acme:1.0:division:costcenter").unwrap(), "urn:acme:1.0:division:costCenter");
    assert_eq!(find("urn:acme:1.0:manager").unwrap(), "urn:acme:1.0:manager");
    assert!(find("urn:acme:1.0x").is_err_and(|error| is_unknown_path(&error)));
}

#[test]
fn unknown_names_are_distinguished_from_malformed_ones() {
    for text in [
        "dispalyName",
        "name.nick",
        "urn:x:y:z",
        "userName.value",
        "urn:custom:2.0:User:a.b.c",
        &format!("{ENTERPRISE}:nope"),
    ] {
        let error = AttrPath::parse(text).and_then(|path| path.resolve(&USER_TYPE).map(drop)).unwrap_err();
        assert!(is_unknown_path(&error), "{text}: {error}");
    }
    let malformed = [
        "",
        ".",
        "a.b.c",
        "a..b",
        "1a",
        "a b",
        "näme",
        "$",
        "-a",
        ":a",
        "urn:",
        "emails[0]",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        &format!("{ENTERPRISE}:a.b.c"),
    ];
    for text in malformed {
        let error = AttrPath::parse(text).and_then(|path| path.resolve(&USER_TYPE).map(drop)).unwrap_err();
        assert!(!is_unknown_path(&error), "{text}: {error}");
        assert_eq!(error.scim_type(), Some(ScimType::InvalidPath));
    }
    assert!(AttrPath::parse("userName").unwrap().resolve(&GROUP_TYPE).is_err_and(|error| is_unknown_path(&error)));
}

#[test]
fn the_leaf_is_the_last_element_of_the_path() {
    let leaf = |text: &str| AttrPath::parse(text).unwrap().resolve(&USER_TYPE).unwrap().leaf().map(|leaf| leaf.kind);
    assert_eq!(leaf("emails"), Some(DataType::Complex));
    assert_eq!(leaf("emails.primary"), Some(DataType::Boolean));
    assert_eq!(leaf(ENTERPRISE), None);
}

#[test]
fn an_error_message_repeats_a_short_part_of_the_request() {
    let error = AttrPath::parse(&format!("{}!", "x".repeat(5000))).unwrap_err().to_string();
    assert!(error.len() < 160, "{error}");
    assert_eq!(shorten_text("a\u{0}\n"), "a\\0\\n");
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in ".{0,60}") {
        if let Ok(path) = AttrPath::parse(&text) {
            let _ = path.resolve(&USER_TYPE);
        }
    }
}
