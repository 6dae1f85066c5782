//! `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas` (RFC 7643 sections 5 to 7, RFC 7644 section 4).

use serde_json::{Value, json};

use crate::app::{App, Request};
use crate::sample::{ENTERPRISE, GROUP, LIST, USER};

#[test]
fn the_service_provider_config_is_correct() {
    // D8
    let client = App::shared().configuration("other");
    let config = client.get("/ServiceProviderConfig").answered(200).json;
    assert_eq!(config["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]));
    for (name, supported) in
        [("patch", true), ("filter", true), ("etag", true), ("sort", true), ("bulk", true), ("changePassword", false)]
    {
        assert_eq!(config[name]["supported"], supported, "{name}");
    }
    //
    let pagination = json!({
        "cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": 100, "maxPageSize": 500,
        "cursorTimeout": 3600,
    });
    assert_eq!(config["pagination"], pagination);
    for pointer in ["/bulk/maxOperations", "/bulk/maxPayloadSize", "/filter/maxResults"] {
        assert!(config.pointer(pointer).is_some_and(Value::is_u64), "{pointer} in {config}");
    }
    // authentik splits its PATCH requests into pieces of this size.
    assert_ne!(config["bulk"]["maxOperations"], 1);
    let scheme = &config["authenticationSchemes"][0];
    assert_eq!(scheme["type"], "oauthbearertoken");
    assert!(scheme["name"].is_string() && scheme["description"].is_string());
    assert_eq!(config["meta"]["resourceType"], "ServiceProviderConfig");
}

#[test]
fn resource_types_name_schemas_that_exist_and_endpoints_that_answer() {
    // D9
    let client = App::shared().configuration("other");
    let list = client.get("/ResourceTypes").answered(200).json;
    assert_eq!(list["schemas"], json!([LIST]));
    assert_eq!(list["totalResults"], 2);
    for kind in list["Resources"].as_array().unwrap() {
        let name = kind["id"].as_str().unwrap();
        assert_eq!(kind["id"], kind["name"]);
        let mut alone = client.get(&format!("/ResourceTypes/{name}")).answered(200).json;
        let mut listed = kind.clone();
        for document in [&mut alone, &mut listed] {
            document["meta"].take();
        }
        assert_eq!(alone, listed);
        assert_eq!(client.get(kind["endpoint"].as_str().unwrap()).answered(200).json["schemas"], json!([LIST]));
        client.get(&format!("/Schemas/{}", kind["schema"].as_str().unwrap())).answered(200);
    }
    let user = client.get("/ResourceTypes/User").answered(200).json;
    assert_eq!(user["schemaExtensions"], json!([{"schema": ENTERPRISE, "required": false}]));
}

#[test]
fn schemas_describe_every_attribute_fully() {
    //
    let client = App::shared().configuration("other");
    let list = client.get("/Schemas").answered(200).json;
    let ids: Vec<&str> =
        list["Resources"].as_array().unwrap().iter().filter_map(|schema| schema["id"].as_str()).collect();
    for id in [USER, GROUP, ENTERPRISE] {
        assert!(ids.contains(&id), "{id} is absent");
        assert_eq!(client.get(&format!("/Schemas/{id}")).answered(200).json["id"], id);
        assert_eq!(client.get(&format!("/Schemas/{}", id.to_uppercase())).answered(200).json["id"], id);
    }
    assert!(!ids.iter().any(|id| id.contains(":api:messages:")));
    for schema in list["Resources"].as_array().unwrap() {
        assert!(schema["name"].is_string() && schema["description"].as_str().is_some_and(|text| !text.is_empty()));
        for attribute in schema["attributes"].as_array().unwrap() {
            check_attribute(attribute);
        }
    }
    assert!(!list.to_string().contains("\"password\"") && !list.to_string().contains("null"));
}

fn check_attribute(attribute: &Value) {
    for (name, allowed) in [
        ("type", json!(["string", "boolean", "decimal", "integer", "dateTime", "reference", "complex", "binary"])),
        ("mutability", json!(["readOnly", "readWrite", "immutable", "writeOnly"])),
        ("returned", json!(["always", "never", "default", "request"])),
    ] {
        assert!(allowed.as_array().unwrap().contains(&attribute[name]), "{name} of {attribute}");
    }
    assert!(attribute["multiValued"].is_boolean() && attribute["required"].is_boolean(), "{attribute}");
    assert!(attribute["description"].as_str().is_some_and(|text| !text.is_empty()), "{attribute}");
    if attribute["type"] == "complex" {
        assert!(attribute.get("uniqueness").is_none() && attribute.get("caseExact").is_none(), "{attribute}");
        let parts = attribute["subAttributes"].as_array().unwrap();
        assert!(!parts.is_empty());
        for part in parts {
            assert_ne!(part["type"], "complex", "{part}");
            check_attribute(part);
        }
    }
}

#[test]
fn each_discovery_document_is_at_its_location() {
    //
    let client = App::shared().configuration("other");
    let mut documents = vec![client.get("/ServiceProviderConfig").answered(200).json];
    for path in ["/ResourceTypes", "/Schemas"] {
        documents.extend(client.get(path).answered(200).json["Resources"].as_array().unwrap().clone());
    }
    for document in documents {
        let location = document["meta"]["location"].as_str().unwrap();
        let path = location.split_once(&client.base).unwrap_or_else(|| panic!("{location} is elsewhere")).1;
        assert_eq!(client.get(path).answered(200).json, document);
    }
}

#[test]
fn the_service_provider_configuration_has_the_other_names_that_clients_use() {
    let client = App::shared().configuration("other");
    let document = client.get("/ServiceProviderConfig").answered(200).json;
    for name in ["/ServiceProviderConfigs", "/serviceConfiguration", "/v2/ServiceProviderConfigs"] {
        assert_eq!(client.get(name).answered(200).json, document, "{name}");
    }
}

#[test]
fn discovery_ignores_paging_and_refuses_filters() {
    //
    let client = App::shared().configuration("other");
    for path in ["/Schemas", "/ResourceTypes"] {
        let whole = client.get(path).answered(200).json;
        for query in ["count=1", "startIndex=2", "sortBy=id&sortOrder=descending", "count=0"] {
            assert_eq!(client.get(&format!("{path}?{query}")).answered(200).json, whole, "{query}");
        }
    }
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        client.get(&format!("{path}?filter=id%20pr")).refused(403, "");
    }
}

#[test]
fn the_content_type_is_scim_unless_only_plain_json_is_accepted() {
    // D2
    let client = App::shared().configuration("other");
    let answered = |change: fn(Request) -> Request| {
        change(client.request("GET", "/Users")).send().answered(200).header("content-type").to_owned()
    };
    assert_eq!(answered(|request| request), "application/scim+json");
    assert_eq!(answered(|request| request.header("Accept", "application/scim+json")), "application/scim+json");
    assert_eq!(answered(|request| request.header("Accept", "*/*")), "application/scim+json");
    assert_eq!(answered(|request| request.header("Accept", "text/html")), "application/scim+json");
    assert_eq!(
        answered(|request| request.header("Accept", "application/json, application/scim+json")),
        "application/scim+json"
    );
    assert_eq!(answered(|request| request.header("Accept", "application/json, */*")), "application/scim+json");
    assert!(answered(|request| request.header("Accept", "application/json")).starts_with("application/json"));
}

#[test]
fn every_answer_has_a_request_id() {
    //
    let client = App::shared().configuration("other");
    let ids: Vec<String> = ["/Users", "/Nothing", "/Users/unknown", "/Schemas"]
        .iter()
        .map(|path| client.get(path).header("x-request-id").to_owned())
        .collect();
    assert!(ids.iter().all(|id| !id.is_empty()), "{ids:?}");
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
}

#[test]
fn head_answers_like_get_without_the_body() {
    //
    let client = App::shared().configuration("other");
    for path in ["/Users", "/ServiceProviderConfig"] {
        let reply = client.request("HEAD", path).send().answered(200);
        assert!(reply.answer.body.is_empty());
        assert_eq!(reply.header("content-type"), "application/scim+json");
    }
}

#[test]
fn the_server_reports_liveness_and_readiness() {
    let client = App::shared().configuration("other");
    for path in ["/livez", "/readyz"] {
        client.request_to("GET", path).without("Authorization").send().answered(200);
    }
}
