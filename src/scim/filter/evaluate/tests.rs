//! The evaluator: one test per rule.

use serde_json::{Value, json};

use crate::scim::filter::evaluate::*;
use crate::scim::filter::{Predicate, ScimFilter};
use crate::scim::patch::path::PatchPath;
use crate::scim::schema::USER_TYPE;
use crate::scim::work::WorkBudget;

fn ada() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "id": "0190-a",
        "externalId": "Ext-1",
        "userName": "Ada@Example.com",
        "displayName": "",
        "nickName": null,
        "name": {"familyName": "Lovelace", "givenName": ""},
        "active": false,
        "emails": [
            {"value": "ada@work.example", "type": "work", "primary": true},
            {"value": "ADA@home.example", "type": "home"},
        ],
        "phoneNumbers": [],
        "ims": [{"type": "aim"}],
        "photos": [{}],
        "groups": [{"value": "g1", "display": "Staff", "type": "direct"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "Boss"}, "department": "Math"},
        "meta": {"resourceType": "User", "created": "2024-05-13T04:42:34.000Z", "lastModified": "2024-05-14T00:00:00.500Z", "version": "W/\"3\""},
    })
}

#[track_caller]
fn check_ada(text: &str, expected: bool) {
    let predicate = ScimFilter::parse(text).unwrap().check(&USER_TYPE).unwrap();
    let mut work = WorkBudget::default();
    assert_eq!(matches_resource(&predicate, ada().as_object().unwrap(), &mut work).unwrap(), expected, "{text}");
}

fn matches(predicate: &Predicate, element: &Value) -> bool {
    matches_element(predicate, element, &mut ElementKeys::default(), &mut WorkBudget::default()).unwrap()
}

#[test]
fn case_is_significant_for_case_exact_attributes() {
    for (text, expected) in [
        ("userName eq \"ada@example.COM\"", true),
        ("userName sw \"ADA\"", true),
        ("externalId eq \"ext-1\"", false),
        ("externalId eq \"Ext-1\"", true),
        ("id eq \"0190-A\"", false),
        ("manager eq \"boss\"", false),
        ("manager.value eq \"Boss\"", true),
        ("department eq \"math\"", true),
        ("meta.resourceType eq \"user\"", false),
    ] {
        check_ada(text, expected);
    }
}

#[test]
fn any_value_of_a_list_matches_and_brackets_select_one_element() {
    for (text, expected) in [
        ("emails eq \"ada@home.example\"", true),
        ("emails.value ne \"ada@home.example\"", true),
        ("not (emails.value eq \"ada@home.example\")", false),
        ("emails.type eq \"work\" and emails.value co \"home\"", true),
        ("emails[type eq \"work\" and value co \"home\"]", false),
        ("emails[type eq \"home\" and value co \"home\"]", true),
        ("emails[type eq \"home\"].value ew \"home.example\"", true),
        ("emails[type eq \"home\"].value ew \"work.example\"", false),
        ("emails[not (type eq \"work\")]", true),
        ("manager[value eq \"Boss\"]", true),
        ("schemas eq \"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"", true),
        ("groups.value eq \"g1\"", true),
    ] {
        check_ada(text, expected);
    }
}

#[test]
fn an_absent_value_is_unequal_and_an_absent_primary_is_false() {
    for (text, expected) in [
        ("title eq \"x\"", false),
        ("title ne \"x\"", true),
        ("title gt \"\"", false),
        ("title eq null", true),
        ("title ne null", false),
        ("displayName eq null", true),
        ("displayName eq \"\"", true),
        ("phoneNumbers ne \"x\"", true),
        ("ims ne \"x\"", true),
        ("emails[type eq \"home\" and primary eq false]", true),
        ("emails[type eq \"work\" and primary eq \"False\"]", false),
        ("emails.primary eq false", true),
        ("phoneNumbers.primary eq false", false),
        ("emails[primary pr and type eq \"home\"]", false),
    ] {
        check_ada(text, expected);
    }
}

#[test]
fn present_means_not_empty_at_any_depth() {
    for (text, expected) in [
        ("active pr", true),
        ("displayName pr", false),
        ("nickName pr", false),
        ("name pr", true),
        ("name.givenName pr", false),
        ("phoneNumbers pr", false),
        ("photos pr", false),
        ("ims pr", true),
        ("ims.value pr", false),
        ("manager pr", true),
        ("meta pr", true),
    ] {
        check_ada(text, expected);
    }
}

#[test]
fn timestamps_are_compared_by_value_and_text_by_its_key() {
    for (text, expected) in [
        ("meta.created eq \"2024-05-13T06:42:34+02:00\"", true),
        ("meta.created lt \"2024-05-13T04:42:34.0000001Z\"", false),
        ("meta.created lt \"2024-05-13T04:42:34.000001Z\"", true),
        ("meta.lastModified ge \"2024-05-14T00:00:00.5\"", true),
        ("userName gt \"ACE\"", true),
        ("userName lt \"B\"", true),
        ("meta.version eq \"W/\\\"3\\\"\"", true),
    ] {
        check_ada(text, expected);
    }
}

#[test]
fn patch_evaluates_each_element_on_its_own() {
    let path = PatchPath::parse("emails[type eq 'WORK' and primary eq true].value", &USER_TYPE).unwrap();
    let predicate = path.element.unwrap();
    let document = ada();
    let results: Vec<bool> =
        document["emails"].as_array().unwrap().iter().map(|element| matches(&predicate, element)).collect();
    assert_eq!(results, [true, false]);
    assert!(!matches(&predicate, &json!("work")));
}
