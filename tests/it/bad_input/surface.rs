//! Content types, encodings, methods, paths and query parameters (T25, T37, T38).

use serde_json::json;

use super::Populated;
use crate::app::App;
use crate::sample::{SEARCH, user};

#[test]
fn both_json_types_are_accepted_in_any_spelling() {
    // D1, R-078
    let client = App::shared().configuration("other");
    let types = [
        "application/scim+json",
        "application/json",
        "application/scim+json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/SCIM+JSON",
        "APPLICATION/JSON ; charset=\"utf-8\"",
        "application/scim+json; foo=bar",
    ];
    for (number, kind) in types.iter().enumerate() {
        client
            .request("POST", "/Users")
            .json(&user(&format!("u{number}")))
            .header("Content-Type", kind)
            .send()
            .answered(201);
    }
    client.request("POST", "/Users").json(&user("untyped")).without("Content-Type").send().answered(201);
}

#[test]
fn other_content_types_and_compressed_bodies_are_415() {
    // T25, T38, R-079
    Populated::new().assert_unchanged(|on| {
        let path = format!("/Users/{}", on.user);
        let types = [
            "text/plain",
            "text/xml",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/json",
            "application/octet-stream",
            "json",
            "application/",
        ];
        for kind in types {
            for (method, target) in
                [("POST", "/Users"), ("PUT", path.as_str()), ("PATCH", path.as_str()), ("POST", "/Users/.search")]
            {
                let reply = on.client.request(method, target).json(&user("x")).header("Content-Type", kind).send();
                assert_eq!(reply.status, 415, "{method} {kind}: {}", reply.json);
                reply.refused(415, "");
            }
        }
        for coding in ["gzip", "deflate", "br", "zstd", "gzip, identity", "x-unknown"] {
            let request = on.client.request("POST", "/Users").json(&user("x")).header("Content-Encoding", coding);
            request.send().refused(415, "");
        }
    });
    let client = App::shared().configuration("other");
    client.request("POST", "/Users").json(&user("x")).header("Content-Encoding", "identity").send().answered(201);
}

#[test]
fn an_unknown_method_is_405_and_lists_the_allowed_ones() {
    // T38, R-090, R-287
    Populated::new().assert_unchanged(|on| {
        let (user, group) = (format!("/Users/{}", on.user), format!("/Groups/{}", on.group));
        let table: &[(&str, &[&str], &[&str])] = &[
            ("/Users", &["DELETE", "PUT", "PATCH", "TRACE", "PROPFIND", "FOO"], &["GET", "POST"]),
            ("/Groups", &["DELETE", "PUT", "PATCH", "TRACE"], &["GET", "POST"]),
            (&user, &["POST", "TRACE", "LOCK"], &["GET", "PUT", "PATCH", "DELETE"]),
            (&group, &["POST", "TRACE"], &["GET", "PUT", "PATCH", "DELETE"]),
            ("/ServiceProviderConfig", &["POST", "PUT", "PATCH", "DELETE"], &["GET"]),
            ("/Schemas", &["POST", "PUT", "PATCH", "DELETE"], &["GET"]),
            ("/ResourceTypes", &["POST", "PUT", "PATCH", "DELETE"], &["GET"]),
            ("/ResourceTypes/User", &["POST", "PUT", "PATCH", "DELETE"], &["GET"]),
            ("/Users/.search", &["PUT", "DELETE"], &["POST"]),
        ];
        for (path, methods, allowed) in table {
            for method in *methods {
                let reply = on.client.request(method, path).send();
                assert_eq!(reply.status, 405, "{method} {path}: {}", reply.json);
                let reply = reply.refused(405, "");
                for expected in *allowed {
                    assert!(
                        reply.header("allow").contains(expected),
                        "{method} {path}: Allow is {:?}",
                        reply.header("allow")
                    );
                }
            }
        }
    });
}

#[test]
fn an_unknown_path_is_404_with_a_scim_error() {
    // R-265, R-080
    let client = App::shared().configuration("other");
    for path in [
        "/Nothing",
        "/Users/x/y",
        "/Users.scim",
        "/Schemas/urn:nothing",
        "/ResourceTypes/Nothing",
        "/Users/%00",
        "/Users/..%2f..",
        "/x/../y",
    ] {
        client.get(path).refused(404, "");
    }
}

#[test]
fn unsupported_endpoints_are_501() {
    // R-277, T38
    let client = App::shared().configuration("other");
    for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
        client.request(method, "/Me").send().refused(501, "");
    }
}

#[test]
fn non_numeric_page_parameters_are_invalid_value() {
    // T37, R-160
    let on = Populated::new();
    for path in [
        "count=ten",
        "count=1.5",
        "count=",
        "startIndex=one",
        "startIndex=1e3",
        "startIndex=0x1",
        "count=--1",
        "count=99999999999999999999x",
    ] {
        let reply = on.client.get(&format!("/Users?{path}"));
        assert_eq!(reply.status, 400, "{path}: {}", reply.json);
        reply.refused(400, "invalidValue");
    }
    for body in [json!({"count": "ten"}), json!({"startIndex": []}), json!({"filter": 5}), json!({"attributes": 5})] {
        let mut search = json!({"schemas": [SEARCH]});
        search.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        on.client.post("/Users/.search", &search).with_scim_error().answered(400);
    }
}

#[test]
fn unusual_query_strings_are_handled() {
    // T37, D3, R-082
    let on = Populated::new();
    let long = "userName,".repeat(500);
    for query in [
        "?",
        "?&",
        "?&&=&",
        "?foo=1",
        "?foo",
        "?aadOptscim062020",
        "?count=500000",
        "?count=-5",
        "?startIndex=-9",
        "?startIndex=0",
        "?startIndex=2147483648",
        "?startIndex=9223372036854775807",
        "?attributes=",
        "?attributes=,,,",
        "?excludedAttributes=",
        "?attributes=nothing",
        "?attributes=%00",
        "?attributes=a.b.c.d",
        "?excludedAttributes=id,schemas",
        &format!("?attributes={long}"),
        "?sortOrder=descending",
    ] {
        let reply = on.client.get(&format!("/Users{query}")).answered(200);
        assert_eq!(reply.json["totalResults"], 1, "{query}");
        on.client.get(&format!("/Users/{}{query}", on.user)).answered(200);
    }
    for query in ["?filter=%", "?filter=%zz", "?filter=%ff", "?count=1&count=ten", "?attributes=%ff"] {
        let reply = on.client.get(&format!("/Users{query}"));
        assert!([200, 400].contains(&reply.status), "{query}: {}", reply.status);
    }
}

#[test]
fn a_search_body_requires_the_search_schema() {
    // R-193
    let on = Populated::new();
    for body in
        [json!({}), json!({"schemas": []}), json!({"schemas": ["urn:x"]}), json!({"filter": "userName pr"}), json!([])]
    {
        let reply = on.client.post("/Users/.search", &body);
        assert_eq!(reply.status, 400, "{body}: {}", reply.json);
        reply.refused(400, "invalidSyntax");
    }
}
