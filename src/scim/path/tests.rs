//! Attribute paths and what they resolve to.

use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::scim::schema::{Extension, GROUP_TYPE, Kind, USER_TYPE};

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
fn a_name_that_the_base_lacks_is_looked_up_in_the_extension() {
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
        resource_type.extensions.push(Extension { schema: Arc::new(schema), required: false });
    }
    let find = |text: &str| AttrPath::parse(text).unwrap().resolve(&resource_type).map(|target| target.to_string());
    assert_eq!(find("urn:acme:1.0:Division").unwrap(), "urn:acme:1.0:division");
    assert_eq!(find("urn:acme:1.0:division:costcenter").unwrap(), "urn:acme:1.0:division:costCenter");
    assert_eq!(find("urn:acme:1.0:manager").unwrap(), "urn:acme:1.0:manager");
    assert!(find("urn:acme:1.0x").unwrap_err().is_unknown());
}

#[test]
fn unknown_names_are_told_apart_from_broken_ones() {
    for text in [
        "dispalyName",
        "name.nick",
        "urn:x:y:z",
        "userName.value",
        "urn:custom:2.0:User:a.b.c",
        &format!("{ENTERPRISE}:nope"),
    ] {
        let error = AttrPath::parse(text).and_then(|path| path.resolve(&USER_TYPE).map(drop)).unwrap_err();
        assert!(error.is_unknown(), "{text}: {error}");
    }
    let broken = [
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
    for text in broken {
        let error = AttrPath::parse(text).and_then(|path| path.resolve(&USER_TYPE).map(drop)).unwrap_err();
        assert!(matches!(error, PathError::Syntax(_)), "{text}: {error}");
        assert_eq!(Error::from(error).scim_type, Some(crate::scim::ScimType::InvalidPath));
    }
    assert!(AttrPath::parse("userName").unwrap().resolve(&GROUP_TYPE).unwrap_err().is_unknown());
}

#[test]
fn the_leaf_is_what_is_finally_named() {
    let leaf = |text: &str| AttrPath::parse(text).unwrap().resolve(&USER_TYPE).unwrap().leaf().map(|leaf| leaf.kind);
    assert_eq!(leaf("emails"), Some(Kind::Complex));
    assert_eq!(leaf("emails.primary"), Some(Kind::Boolean));
    assert_eq!(leaf(ENTERPRISE), None);
}

#[test]
fn a_sentence_repeats_little_of_the_request() {
    let error = AttrPath::parse(&format!("{}!", "x".repeat(5000))).unwrap_err().to_string();
    assert!(error.len() < 160, "{error}");
    assert_eq!(shown("a\u{0}\n"), "a\\0\\n");
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in ".{0,60}") {
        if let Ok(path) = AttrPath::parse(&text) {
            let _ = path.resolve(&USER_TYPE);
        }
    }
}
