//! The strict preset: the interoperability profile of SCIM 2.0, which refuses what the other presets correct.

use serde_json::json;

use crate::app::App;
use crate::sample::{ENTERPRISE, USER, operation, operations, removal, user, user_with};

#[test]
fn documents_must_match_the_schemas_exactly() {
    // I-1, I-7, R-022, R-103, R-104, R-315
    let client = App::shared().configuration_with_preset("strict");
    let with = |name: &str, value: serde_json::Value| user_with("x", &json!({name: value}));
    for (body, scim_type) in [
        (with("dispalyName", json!("x")), "invalidSyntax"),
        (with("emails", json!([{"value": "a", "shade": "x"}])), "invalidSyntax"),
        (json!({"userName": "x"}), "invalidSyntax"),
        (json!({"schemas": [USER, "urn:example:x"], "userName": "x"}), "invalidSyntax"),
        (with("active", json!("True")), "invalidValue"),
        (with("emails", json!({"value": "a"})), "invalidValue"),
        (with("emails", json!([{"value": "a", "type": "den"}])), "invalidValue"),
        (with("emails", json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}])), "invalidValue"),
        (with(ENTERPRISE, json!({"manager": "id"})), "invalidValue"),
    ] {
        client.post("/Users", &body).refused(400, scim_type);
    }
    client.post("/Users", &user("ada")).answered(201);
    client.get("/Users?attributes=id&excludedAttributes=title").refused(400, "invalidValue");
}

#[test]
fn filters_have_double_quotes_and_names_of_attributes_have_no_filter() {
    let client = App::shared().configuration_with_preset("strict");
    let path = format!("/Users/{}", client.created("/Users", &user("quotes")));
    client.patch(&path, &operation("add", "emails[type eq 'work'].value", &json!("a@x"))).refused(400, "invalidFilter");
    for names in ["emails[type%20eq%20%22work%22]", "emails[type%20eq%20%22work%22].value"] {
        for parameter in ["attributes", "excludedAttributes"] {
            for target in [&path[..], "/Users"] {
                client.get(&format!("{target}?{parameter}={names}")).refused(400, "invalidValue");
            }
        }
        client.get(&format!("/Users?sortBy={names}")).refused(400, "invalidPath");
    }
}

#[test]
fn countries_have_codes_and_certificates_are_certificates() {
    //
    let strict = App::shared().configuration_with_preset("strict");
    let country = |code: &str| user_with("x", &json!({"addresses": [{"country": code}]}));
    let certificate = |value: &str| user_with("x", &json!({"x509Certificates": [{"value": value}]}));
    let refused = [country("Germany"), country("DEU"), country("XX"), certificate("MIIB"), certificate("QQ==")];
    for (body, name) in refused.iter().zip(["country", "country", "country", "x509Certificates", "x509Certificates"]) {
        let reply = strict.post("/Users", body).refused(400, "invalidValue");
        assert!(reply.json["detail"].as_str().is_some_and(|detail| detail.contains(name)), "{}", reply.json);
        App::shared().configuration("other").post("/Users", body).answered(201);
    }
    let path = format!("/Users/{}", strict.created("/Users", &country("DE")));
    let certified = operation("add", "x509Certificates", &json!([{"value": "MAUwAwIBAQ=="}]));
    let stored = strict.patch(&path, &certified).answered(200).json;
    assert_eq!(stored["x509Certificates"], json!([{"value": "MAUwAwIBAQ=="}]));
    let abroad = operation("replace", "addresses[country eq \"DE\"].country", &json!("Elsewhere"));
    strict.patch(&path, &abroad).refused(400, "invalidValue");
}

#[test]
fn a_patch_names_its_target_exactly() {
    // I-2 to I-5, R-205, R-230
    let client = App::shared().configuration_with_preset("strict");
    let emails =
        json!([{"value": "a", "type": "work"}, {"value": "b", "type": "work"}, {"value": "c", "type": "home"}]);
    let ada = user_with("ada", &json!({"emails": emails, "name": {"givenName": "A", "familyName": "B"}}));
    let path = format!("/Users/{}", client.created("/Users", &ada));
    for (body, scim_type) in [
        (operations(&json!([{"op": "replace", "value": {"title": "x"}}])), "invalidSyntax"),
        (json!({"Operations": [{"op": "add", "path": "title", "value": "x"}]}), "invalidSyntax"),
        (operation("replace", "emails[type eq \"home\"]", &json!({"value": "d"})), "invalidPath"),
        (operation("replace", "emails[type eq \"work\"].value", &json!("d")), "invalidFilter"),
        (operation("replace", "emails[type eq \"other\"].value", &json!("d")), "noTarget"),
        (removal("emails[type eq \"other\"]"), "noTarget"),
        (operation("add", "urn:example:Custom:1.0:User:x", &json!("d")), "invalidPath"),
    ] {
        client.patch(&path, &body).refused(400, scim_type);
    }
    let name = operation("replace", "name", &json!({"givenName": "C"}));
    assert_eq!(client.patch(&path, &name).answered(200).json["name"], json!({"givenName": "C"}));
    let name = operation("add", "name", &json!({"familyName": "D"}));
    let merged = json!({"givenName": "C", "familyName": "D"});
    assert_eq!(client.patch(&path, &name).answered(200).json["name"], merged);
}

#[test]
fn only_the_strict_preset_declares_conformance() {
    // I-8, R-285
    let strict = App::shared().configuration_with_preset("strict");
    let lenient = App::shared().configuration("other");
    let conforms = |client: &crate::app::Client| {
        client.get("/ServiceProviderConfig").answered(200).json.get("interopProfileConformant").cloned()
    };
    assert_eq!(conforms(&strict), Some(json!(true)));
    assert_eq!(conforms(&lenient), None);
    let plain = |client: &crate::app::Client, name: &str| {
        client.request("POST", "/Users").json(&user(name)).header("Content-Type", "application/json").send()
    };
    plain(&strict, "plain").refused(415, "");
    plain(&lenient, "plain").answered(201);
}
