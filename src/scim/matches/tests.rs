//! The evaluator, rule by rule.

use serde_json::{Value, json};

use super::*;
use crate::scim::filter::Filter;
use crate::scim::patch_path::PatchPath;
use crate::scim::schema::USER_TYPE;

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
fn holds_for_ada(text: &str, want: bool) {
    let predicate = Filter::parse(text).unwrap().check(&USER_TYPE).unwrap();
    assert_eq!(matches(&predicate, ada().as_object().unwrap()), want, "{text}");
}

#[test]
fn letter_case_counts_where_the_schema_says_so() {
    for (text, want) in [
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
        holds_for_ada(text, want);
    }
}

#[test]
fn any_value_of_a_list_will_do_and_brackets_bind_one() {
    for (text, want) in [
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
        holds_for_ada(text, want);
    }
}

#[test]
fn absence_is_unequal_and_a_missing_primary_is_false() {
    for (text, want) in [
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
        holds_for_ada(text, want);
    }
}

#[test]
fn present_means_not_empty_at_any_depth() {
    for (text, want) in [
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
        holds_for_ada(text, want);
    }
}

#[test]
fn moments_are_compared_as_moments_and_text_by_its_key() {
    for (text, want) in [
        ("meta.created eq \"2024-05-13T06:42:34+02:00\"", true),
        ("meta.created lt \"2024-05-13T04:42:34.0000001Z\"", false),
        ("meta.created lt \"2024-05-13T04:42:34.000001Z\"", true),
        ("meta.lastModified ge \"2024-05-14T00:00:00.5\"", true),
        ("userName gt \"ACE\"", true),
        ("userName lt \"B\"", true),
        ("meta.version eq \"W/\\\"3\\\"\"", true),
    ] {
        holds_for_ada(text, want);
    }
}

#[test]
fn elements_are_judged_alone_for_patch() {
    let path = PatchPath::parse("emails[type eq 'WORK' and primary eq true].value", &USER_TYPE).unwrap();
    let predicate = path.element.unwrap();
    let document = ada();
    let verdicts: Vec<bool> =
        document["emails"].as_array().unwrap().iter().map(|element| matches_element(&predicate, element)).collect();
    assert_eq!(verdicts, [true, false]);
    assert!(!matches_element(&predicate, &json!("work")));
}
