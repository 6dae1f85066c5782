//! Tests of the recognition and the removal of the data of one user.

use serde_json::{Value, json};

use super::*;

const ANN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const BOB: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const CONFIGURATION: i64 = 7;

fn document() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "Ann@X.example", "externalId": "E-4711-77", "displayName": "Ann Example",
        "name": {"formatted": "Ann B. Example", "familyName": "Example"}, "title": "Geologist-42",
        "emails": [{"value": "ann@x.example", "type": "work", "primary": true}, {"value": "team@x.example"}],
        "urn:example:2.0:User": {"badge": "B-99120"},
    })
}

fn subject() -> ErasureSubject {
    let mut subject = ErasureSubject::default();
    subject.users.insert(ANN.to_owned(), CONFIGURATION);
    subject.add_document(CONFIGURATION, document().as_object().unwrap());
    subject.selectors.insert("ann@x.example".to_owned());
    subject.addresses.insert("ann@x.example".to_owned());
    subject
}

#[test]
fn exactly_one_selector_is_accepted() {
    let parse = |id: Option<&str>, email: Option<&str>| SubjectSelector::parse(id, email);
    assert_eq!(parse(Some(&ANN.to_uppercase()), None).unwrap(), SubjectSelector::UserId(ANN.to_owned()));
    assert_eq!(parse(None, Some(" Ann@X.example ")).unwrap(), SubjectSelector::Email("ann@x.example".to_owned()));
    for (id, email, reason) in [
        (None, None, Reason::PersonalDataSubjectInvalid),
        (Some(ANN), Some("a@b.c"), Reason::PersonalDataSubjectInvalid),
        (Some("7"), None, Reason::PersonalDataSubjectInvalid),
        (None, Some("ann"), Reason::EmailInvalid),
    ] {
        assert_eq!(parse(id, email).unwrap_err().reason(), reason, "{id:?} {email:?}");
    }
    assert_eq!(SubjectSelector::parse_text(ANN).unwrap().user_id(), Some(ANN));
    assert_eq!(SubjectSelector::parse_text("a@b.c").unwrap().email(), Some("a@b.c"));
}

#[test]
fn the_addresses_of_a_user_are_its_name_and_its_primary_e_mail() {
    let document = document();
    let document = document.as_object().unwrap();
    assert_eq!(list_own_addresses(document).into_iter().collect::<Vec<_>>(), ["ann@x.example"]);
    assert_eq!(list_addresses(document).into_iter().collect::<Vec<_>>(), ["ann@x.example", "team@x.example"]);
    let plain = json!({"userName": "ann", "emails": ["A@x.example"]});
    assert_eq!(list_own_addresses(plain.as_object().unwrap()).into_iter().collect::<Vec<_>>(), ["a@x.example"]);
    let several = json!({"userName": "ann", "emails": [{"value": "a@x.example"}, {"value": "b@x.example"}]});
    assert!(list_own_addresses(several.as_object().unwrap()).is_empty());
}

#[test]
fn an_address_is_not_replaced_in_a_longer_one() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    for (text, expected) in [
        ("ann@x.example", Some("(erased)")),
        ("ANN@X.EXAMPLE, joann@x.example and ann@x.example.", Some("(erased), joann@x.example and (erased).")),
        ("<ann@x.example>;-ann@x.example", Some("<(erased)>;-(erased)")),
        ("joann@x.example", None),
        ("jo.ann@x.example jo-ann@x.example jo+ann@x.example jo_ann@x.example", None),
        ("ann@x.example.com ann@x.example-corp.com ann@x.examples ann@x.example@y", None),
        ("éann@x.example", None),
        ("", None),
    ] {
        assert_eq!(matcher.erase_text(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_list_loses_only_the_resource_of_the_user() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let mut own = document();
    own["id"] = json!(ANN);
    own["meta"] = json!({"resourceType": "User", "location": format!("https://x/Users/{ANN}")});
    let other =
        json!({"id": BOB, "userName": "joann@x.example", "displayName": "Ann Example", "note": "of ann@x.example"});
    let mut list = json!({"totalResults": 2, "Resources": [own.clone(), other]});
    assert_eq!(matcher.extract_parts(&list), [own]);
    assert!(matcher.erase_json(&mut list));
    let expected = json!({"totalResults": 2, "Resources": [
        {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": ANN,
         "meta": {"resourceType": "User", "location": format!("https://x/Users/{ANN}")}},
        {"id": BOB, "userName": "joann@x.example", "displayName": "Ann Example", "note": "of (erased)"}]});
    assert_eq!(list, expected);
    assert!(!matcher.erase_json(&mut list));
}

#[test]
fn bulk_operations_and_references_are_recognized_by_the_id() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let mut bulk = json!({"Operations": [
        {"method": "PATCH", "path": format!("/Users/{ANN}"), "data": {"Operations": [{"op": "replace", "path": "title", "value": "x"}]}},
        {"method": "PATCH", "path": format!("/Users/{BOB}"), "data": {"title": "x"}},
        {"method": "POST", "path": "/Users", "data": document()},
        {"op": "add", "path": "members", "value": [{"value": ANN, "display": "Ann Example"}, {"value": BOB, "display": "Bob"}]},
        {"manager": {"value": ANN, "displayName": "Ann Example", "$ref": format!("../Users/{ANN}")}},
    ]});
    assert!(matcher.erase_json(&mut bulk));
    let operations = bulk["Operations"].as_array().unwrap();
    assert_eq!(operations[0], json!({"method": "PATCH", "path": format!("/Users/{ANN}")}));
    assert_eq!(operations[1]["data"]["title"], "x");
    assert_eq!(operations[2]["data"], json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}));
    assert_eq!(operations[3]["value"], json!([{"value": ANN}, {"value": BOB, "display": "Bob"}]));
    assert_eq!(operations[4]["manager"], json!({"value": ANN, "$ref": format!("../Users/{ANN}")}));
}

#[test]
fn references_in_events_keep_their_ids() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let mut payload = json!({"version": 3, "members": [
        {"value": ANN, "type": "User", "userName": "Ann@X.example"}, {"value": BOB, "type": "User", "userName": "bob"}]});
    assert!(matcher.erase_references(&mut payload));
    assert_eq!(
        payload["members"],
        json!([{"value": ANN, "type": "User"}, {"value": BOB, "type": "User", "userName": "bob"}])
    );
    assert!(!matcher.erase_references(&mut payload));
}

#[test]
fn filters_lose_the_values_of_the_user() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let erase = |path: &str, is_mentioned: bool| matcher.erase_path(path, is_mentioned);
    let marker = "%28erased%29";
    for (path, expected) in [
        (
            "/Users?filter=userName%20eq%20%22ann%40x.example%22&count=1",
            format!("/Users?filter=userName%20eq%20%22{marker}%22&count=1"),
        ),
        ("/Users?filter=displayName+eq+%22ANN+EXAMPLE%22", format!("/Users?filter=displayName%20eq%20%22{marker}%22")),
        ("/Users/ann@x.example", format!("/Users/{marker}")),
    ] {
        assert_eq!(erase(path, false).as_deref(), Some(expected.as_str()), "{path}");
    }
    let badge = "/Users?filter=badge%20eq%20%22B-99120%22";
    assert_eq!(erase(badge, false), None);
    assert_eq!(erase(badge, true).as_deref(), Some(format!("/Users?filter=badge%20eq%20%22{marker}%22").as_str()));
    for path in [&format!("/Users/{ANN}"), "/Users?filter=userName%20eq%20%22joann%40x.example%22", "/Groups?x=%ff"] {
        assert_eq!(erase(path, false), None, "{path}");
    }
}

#[test]
fn a_call_about_the_user_keeps_its_path_only() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let call = CallTexts {
        is_own: true,
        path: format!("/Users/{ANN}?attributes=title"),
        detail: Some("title Geologist-42 is not valid".to_owned()),
        notes: vec!["note".to_owned()],
        request: Some("{}".to_owned()),
        response: Some("{}".to_owned()),
    };
    let erased = matcher.erase_call(&call).unwrap();
    let expected = CallTexts {
        is_own: true,
        path: format!("/Users/{ANN}"),
        notes: vec!["note".to_owned()],
        ..CallTexts::default()
    };
    assert_eq!(erased, expected);
    assert_eq!(matcher.erase_call(&erased), None);
}

#[test]
fn a_call_about_several_users_loses_what_names_the_user() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    let mut own = document();
    own["id"] = json!(ANN);
    let call = |request: &str, response: &str| CallTexts {
        path: "/Users".to_owned(),
        request: Some(request.to_owned()),
        response: Some(response.to_owned()),
        ..CallTexts::default()
    };
    let list = call("", &json!({"Resources": [own, {"id": BOB, "userName": "bob"}]}).to_string());
    let erased = matcher.erase_call(&list).unwrap().response.unwrap();
    assert!(erased.contains("bob") && !erased.contains("Example"), "{erased}");
    // A body that was cut is removed as a whole.
    let cut = call("", &format!("{{\"Resources\":[{{\"id\":\"{ANN}\",\"title\":\"Geo"));
    assert_eq!(matcher.erase_call(&cut).unwrap().response, None);
    let cut = call("{\"displayName\":\"Ann Example\",\"na", "x");
    assert_eq!(matcher.erase_call(&cut).unwrap().request, None);
    // Others are not changed, also not those with a similar address or the same name.
    for (request, response) in [
        ("{\"userName\":\"joann@x.example\",\"displayName\":\"Ann Example\"}", "{}"),
        ("{\"userName\":\"joann@x.example\"", "{}"),
        ("no JSON", "{\"detail\":\"none\"}"),
    ] {
        assert_eq!(matcher.erase_call(&call(request, response)), None, "{request}");
    }
}

#[test]
fn values_of_one_configuration_are_not_searched_in_another() {
    let subject = subject();
    let elsewhere = SubjectMatcher::new(&subject, Some(CONFIGURATION + 1));
    let mut unknown = json!({"externalId": "E-4711-77", "displayName": "Ann Example", "mail": "ann@x.example"});
    assert!(elsewhere.erase_json(&mut unknown));
    assert_eq!(unknown, json!({"externalId": "E-4711-77", "displayName": "Ann Example", "mail": "(erased)"}));
    let own = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    assert!(own.erase_json(&mut unknown));
    assert_eq!(unknown, json!({}));
}

#[test]
fn a_prefilter_finds_every_form() {
    let subject = subject();
    let matcher = SubjectMatcher::new(&subject, Some(CONFIGURATION));
    for text in [ANN, "x ANN EXAMPLE x", "ann@X.example", "\\u0061nn", "a%40b"] {
        assert!(matcher.may_mention(text), "{text}");
    }
    assert!(!matcher.may_mention("bob and joe"));
}
