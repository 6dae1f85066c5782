//! Filters: grammar, checks and printing.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::ScimType;
use crate::messages::render_message;
use crate::scim::filter::random_filters::{any_filters, user_filters};
use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};

#[track_caller]
fn reads_as(text: &str, printed: &str) {
    assert_eq!(ScimFilter::parse(text).unwrap().to_string(), printed, "{text}");
}

#[track_caller]
fn refusal(text: &str) -> String {
    let error = match ScimFilter::parse(text) {
        Ok(filter) => panic!("{text} was read as {filter}"),
        Err(error) => error,
    };
    assert_eq!((error.status(), error.scim_type()), (400, Some(ScimType::InvalidFilter)), "{text}");
    let message = render_message(&error);
    assert!(message.chars().count() < 200, "{message}");
    message
}

#[track_caller]
fn check_refusal(text: &str, resource_type: &ResourceType) -> String {
    let error = ScimFilter::parse(text).unwrap().check(resource_type).unwrap_err();
    assert_eq!((error.status(), error.scim_type()), (400, Some(ScimType::InvalidFilter)), "{text}");
    render_message(&error)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    for text in [
        "userName eq \"bjensen\"",
        "name.familyName co \"O'Malley\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"J\"",
        "title pr",
        "meta.lastModified gt \"2011-05-13T04:42:34Z\"",
        "title pr and userType eq \"Employee\"",
        "title pr or userType eq \"Intern\"",
        "schemas eq \"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"",
        "userType eq \"Employee\" and (emails co \"example.com\" or emails.value co \"example.org\")",
        "userType ne \"Employee\" and not (emails co \"example.com\")",
        "userType eq \"Employee\" and emails[type eq \"work\" and value co \"@example.com\"]",
        "emails[type eq \"work\" and value co \"@example.com\"] or ims[type eq \"xmpp\" and value co \"@foo.com\"]",
    ] {
        reads_as(text, text);
        ScimFilter::parse(text).unwrap().check(&USER_TYPE).unwrap();
    }
}

#[test]
fn spellings_of_the_same_filter_are_equal() {
    for (text, printed) in [
        ("USERNAME Eq \"x\" AND title PR", "USERNAME eq \"x\" and title pr"),
        ("not(title pr)", "not (title pr)"),
        ("NOT  (title pr)", "not (title pr)"),
        ("emails[value eq\"x\"]", "emails[value eq \"x\"]"),
        ("emails[ value eq \"x\" ]", "emails[value eq \"x\"]"),
        ("emails[type eq \"work\"].value eq \"x\"", "emails[type eq \"work\"].value eq \"x\""),
        ("emails[type eq \"work\"].value pr", "emails[type eq \"work\"].value pr"),
        (" (((title pr))) ", "title pr"),
        ("(title pr)and(title pr)", "title pr and title pr"),
        ("title eq \"x\"or title pr", "title eq \"x\" or title pr"),
        ("active eq True", "active eq true"),
        ("title eq \"\\u00e9\\\"\\\\\\ud83d\\ude00\"", "title eq \"é\\\"\\\\😀\""),
        ("groups.$ref eq \"x\"", "groups.$ref eq \"x\""),
        ("a eq -1.5e3", "a eq -1500.0"),
    ] {
        reads_as(text, printed);
    }
}

#[test]
fn and_binds_before_or() {
    let (a, b, c) = ("a pr", "b pr", "c pr");
    let one = |text: &str| ScimFilter::parse(text).unwrap();
    assert_eq!(one("a pr or b pr and c pr"), ScimFilter::Or(vec![one(a), ScimFilter::And(vec![one(b), one(c)])]));
    assert_eq!(one("(a pr or b pr) and c pr"), ScimFilter::And(vec![ScimFilter::Or(vec![one(a), one(b)]), one(c)]));
    let not = ScimFilter::Not(Box::new(one(a)));
    assert_eq!(one("not (a pr) and b pr or c pr"), ScimFilter::Or(vec![ScimFilter::And(vec![not, one(b)]), one(c)]));
}

/// Invalid filters, and the start of the error message.
const REFUSED: &[(&str, &str)] = &[
    ("", "the filter is empty"),
    ("  ", "the filter is empty"),
    (
        "userName",
        "at character 9: expected an operator (eq, ne, co, sw, ew, pr, gt, ge, lt, le) after \"userName\", found the end",
    ),
    ("userName eq", "at character 12: expected a string in double quotes"),
    ("userName sw J", "at character 13: text must be in double quotes: write \"J\""),
    ("userName eq 'x'", "at character 13: strings must be in double quotes"),
    ("é eq \"x\"", "at character 1: 'é' is not allowed here"),
    ("userName eq “x”", "at character 13: strings must be in double quotes"),
    ("userName regex \"x\"", "at character 10: \"regex\" is not an operator"),
    ("userName = \"x\"", "at character 10: '=' is not allowed here"),
    ("title eq \"é\" nor title pr", "at character 14: expected \"and\", \"or\" or the end, found \"nor\""),
    ("(title pr", "at character 10: expected \"and\", \"or\" or \")\", found the end"),
    ("title pr)", "at character 9: this \")\" has no matching \"(\""),
    ("()", "at character 2: expected an attribute name"),
    ("not title pr", "at character 5: expected \"(\" after \"not\""),
    ("title pr and", "at character 13: expected an attribute name"),
    ("and title pr", "at character 1: expected an attribute name"),
    ("title pr title pr", "at character 10: expected \"and\", \"or\" or the end"),
    ("title eq \"x", "at character 10: this string has no closing quote"),
    ("title eq \"\\u0000\"", "at character 10: this string contains the character NUL"),
    ("title eq \"\\ud800\"", "at character 10: this string is not a JSON string"),
    ("title eq \"\\x\"", "at character 10: this string is not a JSON string"),
    ("title eq \"a\nb\"", "at character 10: this string is not a JSON string"),
    ("title eq 1x", "at character 10: \"1x\" is not a number"),
    ("title eq 01", "at character 10: \"01\" is not a number"),
    ("title eq 1e999", "at character 10: \"1e999\" is not a number"),
    ("title eq {}", "at character 10: '{' is not allowed here"),
    ("title eq [1]", "at character 10: expected a string"),
    ("\"title\" eq \"x\"", "at character 1: expected an attribute name"),
    ("a.b.c eq 1", "at character 1: \"a.b.c\" is not an attribute path"),
    ("emails [type pr]", "at character 8: expected an operator"),
    ("emails[]", "at character 8: expected an attribute name"),
    ("emails[type pr", "at character 15: expected \"and\", \"or\" or \"]\""),
    ("emails[type pr)", "at character 15: expected \"and\", \"or\" or \"]\""),
    ("emails[a[b pr]]", "at character 9: brackets cannot be nested"),
    ("emails[type pr].", "at character 17: expected a sub-attribute"),
    ("emails[type pr]. value pr", "at character 18: expected a sub-attribute"),
    ("emails[type pr].value.x pr", "at character 17: expected a sub-attribute"),
    ("emails[type pr] .value pr", "at character 17: expected \"and\", \"or\" or the end"),
    ("emails[type pr].value", "at character 22: expected an operator"),
    ("title pr; drop table resources", "at character 9: ';' is not allowed here"),
];

#[test]
fn invalid_filters_are_rejected_with_position_and_advice() {
    for (text, expected) in REFUSED {
        let detail = refusal(text);
        assert!(detail.starts_with(expected), "{text}\n  actual: {detail}\n  expected: {expected}");
    }
}

#[test]
fn length_depth_and_terms_are_limited() {
    let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
    let chain = |terms: usize| vec!["title pr"; terms].join(" or ");
    assert!(ScimFilter::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(ScimFilter::parse(&chain(MAX_TERMS)).is_ok());
    assert!(refusal(&nested(MAX_DEPTH + 1)).contains("deeper than 32"));
    assert!(refusal(&chain(MAX_TERMS + 1)).contains("more than 200"));
    assert!(refusal(&nested(100_000)).contains("longer than 8192 bytes"));
    assert!(refusal(&"not (".repeat(1000)).contains("deeper than 32"));
    assert!(refusal(&"(".repeat(8192)).contains("deeper than 32"));
}

#[test]
fn a_value_must_have_the_type_of_its_attribute() {
    for text in [
        "active gt true",
        "active co \"t\"",
        "active eq \"yes\"",
        "active eq 1",
        "userName eq 5",
        "userName eq true",
        "userName gt null",
        "x509Certificates gt \"x\"",
        "meta.created co \"2024\"",
        "meta.created eq \"2024-05-13\"",
        "meta.created gt 5",
        "emails.primary sw \"t\"",
        "name eq \"x\"",
        "addresses co \"x\"",
        "meta eq \"x\"",
        "userName[value eq \"x\"]",
        "emails.value[type eq \"x\"]",
        "emails[value eq 5]",
        "emails[type eq \"work\"].primary gt true",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
    ] {
        check_refusal(text, &USER_TYPE);
    }
    assert!(check_refusal("name eq \"x\"", &USER_TYPE).contains("such as name.formatted"));
}

#[test]
fn unknown_and_secret_attributes_are_refused() {
    assert!(check_refusal("dispalyName pr", &USER_TYPE).contains("User has no attribute \"dispalyName\""));
    for text in ["password pr", "password sw \"a\"", "PASSWORD eq \"a\" or title pr", "name.nope pr", "emails[nope pr]"]
    {
        check_refusal(text, &USER_TYPE);
    }
    for text in ["emails[emails.type pr]", "emails[type pr].nope pr", "urn:x:User:a pr", "nope[a pr]"] {
        check_refusal(text, &USER_TYPE);
    }
    check_refusal("userName pr", &GROUP_TYPE);
    check_refusal("groups pr", &GROUP_TYPE);
}

#[test]
fn an_absent_attribute_has_no_value_in_a_query_over_all_types() {
    let constant = |text: &str| ScimFilter::parse(text).unwrap().check_for_any(&GROUP_TYPE).unwrap();
    for (text, answer) in [
        ("userName pr", false),
        ("userName eq \"x\"", false),
        ("userName ne \"x\"", true),
        ("userName eq null", true),
        ("userName ne null", false),
        ("emails[type eq \"work\"]", false),
    ] {
        assert_eq!(constant(text), Predicate::Constant(answer), "{text}");
    }
    assert!(ScimFilter::parse("password pr").unwrap().check_for_any(&USER_TYPE).is_err());
}

#[test]
fn complex_attributes_are_compared_by_their_value() {
    let checked = |text: &str| ScimFilter::parse(text).unwrap().check(&USER_TYPE).unwrap();
    for (bare, spelled) in [
        ("emails co \"x\"", "emails.value co \"x\""),
        ("manager eq \"x\"", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq \"x\""),
        ("emails[type eq \"a\"].value eq \"b\"", "emails[type eq \"a\" and value eq \"b\"]"),
        ("active eq \"True\"", "active eq true"),
        ("TITLE EQ \"x\"", "title eq \"x\""),
    ] {
        assert_eq!(checked(bare), checked(spelled), "{bare}");
    }
    let Predicate::Test(field, FieldCheck::Present) = checked("emails pr") else {
        panic!("emails pr is a test of presence")
    };
    assert_eq!((field.sub, field.multi_valued), (None, true));
}

#[test]
fn a_predicate_contains_the_original_text_in_addition_to_the_key() {
    let predicate = ScimFilter::parse("emails[type eq \"Work\"]").unwrap().check(&USER_TYPE).unwrap();
    let Predicate::Element(field, inner) = predicate else { panic!("brackets make an element predicate") };
    assert_eq!(field.to_string(), "emails");
    assert_eq!(inner.equal_terms(), Some(vec![("type", json!("Work"))]));
}

proptest! {
    #[test]
    fn printing_and_reading_give_the_same_tree(filter in any_filters()) {
        let text = filter.to_string();
        prop_assert_eq!(ScimFilter::parse(&text).unwrap(), filter, "{}", text);
    }

    #[test]
    fn valid_filters_are_accepted(filter in user_filters()) {
        prop_assert!(filter.check(&crate::scim::filter::random_filters::BADGE_USERS).is_ok(), "{}", filter);
    }

    #[test]
    fn no_text_breaks_the_reader(text in r#"([a-z.:]{0,6}|[ ()\[\]"'\\.é0-9-]| eq | and | or |not|pr|"x"|\PC){0,20}"#) {
        if let Ok(filter) = ScimFilter::parse(&text) {
            prop_assert_eq!(ScimFilter::parse(&filter.to_string()).unwrap(), filter);
        }
    }
}
