//! The base paths of one configuration: the issued provisioning URL and the forms of other products.

use serde_json::Value;

use crate::app::{App, Client};
use crate::sample::user;

/// The same client with another base path.
fn under(client: &Client, base: &str) -> Client {
    let mut other = client.at(client.address);
    other.url = other.url.replace(&other.base, base);
    base.clone_into(&mut other.base);
    other
}

#[test]
fn every_address_gives_the_same_resource_with_urls_of_its_own() {
    // R-083, S-056
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let named = |prefix: &str| format!("{prefix}/{}", client.id);
    for base in [
        named("/frontegg/directory/resources/scim/v2.0"),
        named("/scim/v2"),
        "/scim/v2".to_owned(),
        named("/api/scim/resource/v2"),
        "/api/scim/resource/v2".to_owned(),
    ] {
        let other = under(&client, &base);
        let document = other.get(&format!("/Users/{id}")).answered(200).json;
        let location = document["meta"]["location"].as_str().unwrap();
        assert!(location.ends_with(&format!("{base}/Users/{id}")), "{location}");
        assert_eq!(other.find("/Users", "userName eq \"ADA\"").len(), 1, "{base}");
        let types = other.request("GET", "/ResourceTypes").without("Authorization").send().answered(200).json;
        let location = types["Resources"][0]["meta"]["location"].as_str().unwrap();
        assert!(location.ends_with(&format!("{base}/ResourceTypes/User")), "{location}");
        other.request("GET", "/Users").without("Authorization").send().refused(401, "");
    }
}

#[test]
fn a_configuration_in_the_path_must_be_the_tokens_own() {
    //
    let (one, other) = (App::shared().configuration("other"), App::shared().configuration("other"));
    for prefix in ["/scim/v2", "/api/scim/resource/v2", "/frontegg/directory/resources/scim/v2.0"] {
        under(&one, &format!("{prefix}/{}", other.id)).get("/Users").refused(401, "");
    }
}

#[test]
fn another_protocol_version_is_refused_as_invalid_vers() {
    //
    let client = App::shared().configuration("other");
    client.get("/v2/Users").answered(200);
    client.get("/v1/Users").refused(400, "invalidVers");
    for base in ["/scim/v1", "/scim/v3", "/api/scim/resource/v1", "/directory/resources/scim/v1.1"] {
        under(&client, base).get("/Users").refused(400, "invalidVers");
    }
    for base in ["/scim", "/api/scim/resource", "/directory/resources/scim/vx"] {
        let reply = under(&client, base).get("/Users");
        assert_eq!(reply.status, 404);
        assert_eq!(reply.json["status"], Value::from("404"));
    }
}
