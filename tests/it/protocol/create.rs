//! POST (RFC 7644 section 3.3) and the created resource.

use serde_json::json;

use crate::app::App;
use crate::sample::{ENTERPRISE, GROUP, USER, group, user, user_with};

#[test]
fn a_created_user_is_returned_completely_with_its_location() {
    // R-005, R-069 to R-071, R-076, R-094, R-095, R-271, R-327
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user_with("ada@example.com", &json!({"displayName": "Ada"}))).answered(201);
    assert_eq!(made.header("content-type"), "application/scim+json");
    assert!(uuid::Uuid::parse_str(&made.id()).is_ok());
    let meta = &made.json["meta"];
    assert_eq!(meta["resourceType"], "User");
    assert_eq!(meta["location"], made.header("location"));
    assert!(made.header("location").ends_with(&format!("{}/Users/{}", client.base, made.id())));
    assert_eq!(meta["created"], meta["lastModified"]);
    assert!(made.version().starts_with("W/\"1"), "{}", made.version());
    assert_eq!(made.json["schemas"], json!([USER]));
    assert_eq!(made.json["userName"], "ada@example.com");
    assert_eq!(made.json["active"], true);
    let read = client.get(&format!("/Users/{}", made.id())).answered(200);
    assert_eq!(read.json, made.json);
    assert_eq!(read.version(), made.version());
    assert_eq!(read.header("location"), made.header("location"));
}

#[test]
fn times_are_utc_with_milliseconds() {
    // R-016, R-072
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201).json;
    let shape = regex_lite::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    for name in ["created", "lastModified"] {
        assert!(made["meta"][name].as_str().is_some_and(|time| shape.is_match(time)), "{}", made["meta"]);
    }
}

#[test]
fn attribute_names_are_accepted_in_any_case_and_returned_in_the_schemas_case() {
    // R-001, R-081
    let client = App::shared().configuration("other");
    let document = json!({
        "SCHEMAS": [USER.to_uppercase()], "USERNAME": "x", "Name": {"GIVENNAME": "Ada"}, "EMAILS": [{"VALUE": "a@x", "Type": "work"}],
        ENTERPRISE.to_uppercase(): {"DEPARTMENT": "Engines"}
    });
    let made = client.post("/Users", &document).answered(201).json;
    assert_eq!(made["userName"], "x");
    assert_eq!(made["name"], json!({"givenName": "Ada"}));
    assert_eq!(made["emails"], json!([{"value": "a@x", "type": "work"}]));
    assert_eq!(made[ENTERPRISE], json!({"department": "Engines"}));
}

#[test]
fn schemas_name_what_the_resource_has() {
    // R-006 to R-009, R-103, D18
    let client = App::shared().configuration("other");
    let table = [
        (json!({"schemas": [ENTERPRISE, USER], ENTERPRISE: {"department": "x"}}), json!([USER, ENTERPRISE])),
        (json!({"schemas": [USER], ENTERPRISE: {"department": "x"}}), json!([USER, ENTERPRISE])),
        (json!({"schemas": [USER, ENTERPRISE]}), json!([USER])),
        (json!({"schemas": [USER, ENTERPRISE], ENTERPRISE: {}}), json!([USER])),
        (json!({"schemas": ["urn:scim:schemas:core:1.0"]}), json!([USER])),
        (json!({"schemas": [USER, USER]}), json!([USER])),
        (json!({"schemas": []}), json!([USER])),
        (json!({}), json!([USER])),
    ];
    for (number, (mut document, expected)) in table.into_iter().enumerate() {
        document["userName"] = json!(format!("u{number}"));
        let made = client.post("/Users", &document).answered(201).json;
        assert_eq!(made["schemas"], expected, "{document}");
    }
}

#[test]
fn attributes_without_a_value_are_not_returned() {
    // R-028, R-029, R-098, D19
    let client = App::shared().configuration("other");
    let blank = json!({"title": null, "emails": [], "name": null, "nickName": null, "roles": [], ENTERPRISE: {"department": null}});
    let made = client.post("/Users", &user_with("x", &blank)).answered(201).json;
    assert!(!made.to_string().contains("null"), "{made}");
    for name in ["title", "emails", "name", "nickName", "roles", "groups", ENTERPRISE] {
        assert!(made.get(name).is_none(), "{name} in {made}");
    }
}

#[test]
fn a_user_is_active_by_default() {
    // R-097, R-135, D16
    let client = App::shared().configuration("other");
    assert_eq!(client.post("/Users", &user("a")).answered(201).json["active"], true);
    let inactive = client.post("/Users", &user_with("b", &json!({"active": false}))).answered(201).json;
    assert_eq!(inactive["active"], false);
    assert_eq!(client.find("/Users", "active eq true").len(), 1);
    assert_eq!(client.find("/Users", "active eq false").len(), 1);
    assert_eq!(client.count("/Users"), 2);
}

#[test]
fn booleans_may_be_text_and_come_back_as_booleans() {
    // R-013, D22: Entra writes "False".
    let client = App::shared().configuration("other");
    for (number, (text, expected)) in
        [("True", true), ("False", false), ("true", true), ("FALSE", false)].into_iter().enumerate()
    {
        let document =
            user_with(&format!("u{number}"), &json!({"active": text, "emails": [{"value": "a", "primary": text}]}));
        let made = client.post("/Users", &document).answered(201).json;
        assert_eq!(made["active"], expected);
        assert_ne!(made["emails"][0]["primary"], json!(text));
    }
}

#[test]
fn a_name_in_use_is_a_uniqueness_conflict_whatever_its_case() {
    // R-035, R-099, D24
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("Ada@Example.com"));
    let reply = client.post("/Users", &user("ada@EXAMPLE.com")).refused(409, "uniqueness");
    assert!(reply.json["detail"].to_string().contains("userName"), "{}", reply.json);
    assert_eq!(client.get(&format!("/Users/{id}")).answered(200).json["userName"], "Ada@Example.com");
    client.created("/Groups", &group("Analysts", &[]));
    client.post("/Groups", &group("ANALYSTS", &[])).refused(409, "uniqueness");
}

#[test]
fn non_unique_attributes_may_repeat() {
    // R-041, R-065
    let client = App::shared().configuration("other");
    let shared = json!({"externalId": "same", "displayName": "Same", "emails": [{"value": "same@example.com"}]});
    client.created("/Users", &user_with("a", &shared));
    client.created("/Users", &user_with("b", &shared));
    for filter in ["externalId eq \"same\"", "displayName eq \"same\"", "emails.value eq \"SAME@example.com\""] {
        assert_eq!(client.find("/Users", filter).len(), 2, "{filter}");
    }
    assert!(client.post("/Users", &user("c")).answered(201).json.get("externalId").is_none());
}

#[test]
fn rarely_used_standard_attributes_are_stored_unchanged() {
    // R-031, R-042, R-105, R-315, R-322, D23
    let client = App::shared().configuration("other");
    let profile = json!({
        "nickName": "A", "profileUrl": "https://example.com/ada", "title": "Countess", "userType": "Employee", "preferredLanguage": "en, de;q=0.5",
        "locale": "de_DE", "timezone": "Europe/London", "externalId": "X-1",
        "name": {"formatted": "Ms. Ada King", "familyName": "King", "givenName": "Ada", "middleName": "Augusta", "honorificPrefix": "Ms.", "honorificSuffix": "III"},
        "phoneNumbers": [{"value": "(030) 555 / 12", "type": "work"}, {"value": "tel:+1-201-555-0123", "type": "pigeon"}],
        "ims": [{"value": "ada", "type": "xmpp"}],
        "photos": [{"value": "https://example.com/ada.jpg", "type": "photo"}],
        "addresses": [{"type": "work", "streetAddress": "1 Main St", "locality": "London", "region": "L", "postalCode": "N1", "country": "GB", "formatted": "1 Main St\nLondon"}],
        "entitlements": [{"value": "print"}], "roles": [{"value": "admin", "display": "Admin", "type": "x", "primary": true}],
        "x509Certificates": [{"value": "MIIB"}],
        ENTERPRISE: {"employeeNumber": "701", "costCenter": "4130", "organization": "U", "division": "T", "department": "Tour", "manager": {"value": "26118915"}}
    });
    let made = client.post("/Users", &user_with("ada", &profile)).answered(201).json;
    for (name, value) in profile.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
}

#[test]
fn one_value_is_accepted_as_a_list_of_one() {
    // D45: OneLogin sends e-mail addresses as an object.
    let client = App::shared().configuration("other");
    let made =
        client.post("/Users", &user_with("x", &json!({"emails": {"value": "a@x", "type": "work"}}))).answered(201).json;
    assert_eq!(made["emails"], json!([{"value": "a@x", "type": "work"}]));
}

#[test]
fn at_most_one_value_is_primary() {
    // R-021, R-022, D38
    let client = App::shared().configuration("other");
    let emails = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
    let made = client.post("/Users", &user_with("x", &json!({"emails": emails}))).answered(201).json;
    let primaries = made["emails"].as_array().unwrap().iter().filter(|email| email["primary"] == true).count();
    assert_eq!(primaries, 1, "{made}");
    assert_eq!(made["emails"].as_array().unwrap().len(), 2);
}

#[test]
fn a_manager_is_an_object_however_it_was_sent() {
    // R-058, R-060, D34
    let client = App::shared().configuration("other");
    let boss = client.created("/Users", &user_with("boss", &json!({"displayName": "The Boss"})));
    let forms = [
        json!(boss),
        json!({"value": boss}),
        json!([{"value": boss}]),
        json!({"managerId": boss}),
        json!({"value": boss, "displayName": "Forged"}),
    ];
    for (number, form) in forms.into_iter().enumerate() {
        let document = user_with(&format!("u{number}"), &json!({ENTERPRISE: {"manager": form}}));
        let made = client.post("/Users", &document).answered(201).json;
        assert_eq!(made[ENTERPRISE]["manager"]["value"], boss.as_str(), "{document}");
        assert!(!made.to_string().contains("Forged"), "{made}");
    }
}

#[test]
fn a_group_is_created_with_and_without_members() {
    // R-051, R-054, R-055, R-057, R-071
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user_with("ada", &json!({"displayName": "Ada"})));
    let empty = client.post("/Groups", &json!({"schemas": [GROUP], "displayName": "Empty"})).answered(201).json;
    assert_eq!(empty["members"], json!([]));
    assert_eq!(empty["meta"]["resourceType"], "Group");
    let made = client.post("/Groups", &group("Team", &[&user_id, &user_id, &user_id])).answered(201).json;
    let members = made["members"].as_array().unwrap();
    assert_eq!(members.len(), 1, "{made}");
    assert_eq!((&members[0]["value"], &members[0]["type"]), (&json!(user_id), &json!("User")));
    assert_eq!(members[0]["display"], "Ada");
    assert!(members[0]["$ref"].as_str().unwrap().ends_with(&format!("{}/Users/{user_id}", client.base)));
    let nested = client.post("/Groups", &group("Nested", &[made["id"].as_str().unwrap()])).answered(201).json;
    assert_eq!(nested["members"][0]["type"], "Group");
    assert!(nested["members"][0]["$ref"].as_str().unwrap().contains("/Groups/"));
}

#[test]
fn the_answer_to_a_create_supports_projection() {
    // R-106, R-182
    let client = App::shared().configuration("other");
    let made = client.post("/Users?attributes=userName", &user_with("x", &json!({"title": "t"}))).answered(201).json;
    let mut names: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["id", "schemas", "userName"]);
}

#[test]
fn a_provisioning_url_accepts_an_additional_slash() {
    // D4, R-085
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("x"));
    for path in ["/Users/", "//Users", "/Users?", "/%55sers"] {
        assert_eq!(client.get(path).answered(200).json["totalResults"], 1, "{path}");
    }
    client.get(&format!("//Users/{id}")).answered(200);
    client.get(&format!("/Users/{id}/")).answered(200);
    client.post("/Users/", &user("y")).answered(201);
    client.post("//Users", &user("z")).answered(201);
}
