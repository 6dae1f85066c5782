//! Each deviation on each route: POST, PUT, PATCH with and without a path, value paths, filters and Bulk.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, GROUP, SEARCH, USER, encode, group, operation, operations, user, user_with};

const LENIENT: [&str; 3] = ["other", "okta", "azure-ad"];

fn lenient(source: &str) -> Client {
    App::shared().configuration(source)
}

fn strict() -> Client {
    App::shared().configuration_with_preset("strict")
}

fn bulk(job: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [job]})
}

/// Sends a value of an attribute on every route to a new user; returns the user of each response.
fn send_everywhere(client: &Client, name: &str, value: &Value) -> Vec<(String, Value)> {
    let mut seen = Vec::new();
    let fresh = || {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
    };
    seen.push((
        "POST".to_owned(),
        client.post("/Users", &user_with(&fresh(), &json!({name: value}))).answered(201).json,
    ));
    let own = fresh();
    let path = format!("/Users/{}", client.created("/Users", &user(&own)));
    seen.push(("PUT".to_owned(), client.put(&path, &user_with(&own, &json!({name: value}))).answered(200).json));
    for op in ["add", "replace", "Add"] {
        for target in [name.to_owned(), name.to_uppercase(), format!("{USER}:{name}")] {
            let path = format!("/Users/{}", client.created("/Users", &user(&fresh())));
            let after = client.patch(&path, &operation(op, &target, value)).answered(200).json;
            seen.push((format!("{op} {target}"), after));
            let path = format!("/Users/{}", client.created("/Users", &user(&fresh())));
            let body = operations(&json!([{"op": op, "value": {target.as_str(): value}}]));
            seen.push((format!("{op} without path, {target}"), client.patch(&path, &body).answered(200).json));
        }
    }
    let path = format!("/Users/{}", client.created("/Users", &user(&fresh())));
    let job = json!({"method": "PATCH", "path": path, "data": operation("replace", name, value)});
    client.post("/Bulk", &bulk(&job)).answered(200);
    seen.push(("Bulk".to_owned(), client.get(&path).answered(200).json));
    seen
}

#[test]
fn text_is_an_element_on_every_route() {
    let lists = ["emails", "phoneNumbers", "ims", "photos", "roles", "entitlements", "x509Certificates"];
    for source in LENIENT {
        let client = lenient(source);
        for name in lists {
            for value in [json!("QUJD"), json!(["QUJD"]), json!({"value": "QUJD"})] {
                for (route, seen) in send_everywhere(&client, name, &value) {
                    assert_eq!(seen[name], json!([{"value": "QUJD"}]), "{source} {route} {name} {value}");
                }
            }
            // The element of a value path, and a removal by text.
            let path = format!("/Users/{}", client.created("/Users", &user(&format!("element-{name}"))));
            let target = format!("{name}[type eq \"other\"]");
            for value in [json!("QUJD"), json!(["QkJC"]), json!([{"value": "Q0ND"}]), json!({"value": ["REREA"]})] {
                let value = if value.to_string().contains("REREA") { json!({"value": ["REREREQ="]}) } else { value };
                client.patch(&path, &operation("add", &target, &value)).answered(200);
                let seen = client.get(&path).answered(200).json;
                assert_eq!(seen[name].as_array().map(Vec::len), Some(1), "{name} {value}: {seen}");
                assert!(value.to_string().contains(seen[name][0]["value"].as_str().unwrap()), "{value}: {seen}");
            }
            let text = client.get(&path).answered(200).json[name][0]["value"].clone();
            let seen = client.patch(&path, &operation("remove", name, &text)).answered(200).json;
            assert!(seen.get(name).is_none(), "{name}: {seen}");
        }
    }
}

#[test]
fn a_list_of_one_is_a_single_value_on_every_route() {
    let singles =
        ["displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone", "externalId"];
    for source in LENIENT {
        let client = lenient(source);
        for name in singles {
            for (route, seen) in send_everywhere(&client, name, &json!(["text"])) {
                assert_eq!(seen[name], "text", "{source} {route} {name}");
            }
        }
        for (name, value, expected) in [
            ("active", json!([false]), json!(false)),
            ("active", json!(["False"]), json!(false)),
            ("profileUrl", json!(["https://x"]), json!("https://x")),
            ("name", json!([{"givenName": ["G"]}]), json!({"givenName": "G"})),
        ] {
            for (route, seen) in send_everywhere(&client, name, &value) {
                assert_eq!(seen[name], expected, "{source} {route} {name}");
            }
        }
        let path = format!("/Users/{}", client.created("/Users", &user("parts")));
        for (target, value) in [
            ("name.familyName", "F"),
            ("department", "D"),
            (&*format!("{ENTERPRISE}:employeeNumber"), "1"),
            ("emails[type eq \"work\"].value", "a@x"),
            ("addresses[type eq \"work\"].country", "US"),
            ("manager.value", "7"),
        ] {
            let seen = client.patch(&path, &operation("add", target, &json!([value]))).answered(200).json;
            assert!(seen.to_string().contains(&format!("\"{value}\"")), "{target}: {seen}");
        }
        let several = client.patch(&path, &operation("replace", "title", &json!(["a", "b"])));
        several.refused(400, "invalidValue");
    }
}

#[test]
fn the_manager_and_the_extension_may_be_a_list_of_one() {
    for source in LENIENT {
        let client = lenient(source);
        for (number, value) in [
            json!("7"),
            json!(["7"]),
            json!({"value": "7"}),
            json!([{"value": "7"}]),
            json!({"value": ["7"]}),
            json!({"managerId": "7"}),
        ]
        .iter()
        .enumerate()
        {
            let made =
                client.post("/Users", &user_with(&format!("m{number}"), &json!({ENTERPRISE: {"manager": value}})));
            assert_eq!(made.answered(201).json[ENTERPRISE]["manager"]["value"], "7", "{value}");
            for target in ["manager".to_owned(), format!("{ENTERPRISE}:manager")] {
                let path = format!("/Users/{}", client.created("/Users", &user(&format!("{number}{target}"))));
                let seen = client.patch(&path, &operation("replace", &target, value)).answered(200).json;
                assert_eq!(seen[ENTERPRISE]["manager"]["value"], "7", "{target} {value}");
            }
        }
        let extension = json!([{"department": "D"}]);
        for (route, seen) in [
            client.post("/Users", &user_with("e1", &json!({ENTERPRISE: extension}))).answered(201).json,
            {
                let path = format!("/Users/{}", client.created("/Users", &user("e2")));
                client.patch(&path, &operation("add", ENTERPRISE, &extension)).answered(200).json
            },
            {
                let path = format!("/Users/{}", client.created("/Users", &user("e3")));
                let body = operations(&json!([{"op": "replace", "value": [{ENTERPRISE: extension}]}]));
                client.patch(&path, &body).answered(200).json
            },
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(seen[ENTERPRISE]["department"], "D", "{source} {route}");
        }
    }
    let client = strict();
    let document = json!({"schemas": [USER, ENTERPRISE], "userName": "x", ENTERPRISE: [{"department": "D"}]});
    client.post("/Users", &document).refused(400, "invalidValue");
}

#[test]
fn members_may_be_text_objects_and_lists_of_one() {
    for source in LENIENT {
        let client = lenient(source);
        let ada = client.created("/Users", &user("ada"));
        for (number, value) in [
            json!(ada),
            json!([ada]),
            json!({"value": ada}),
            json!([{"value": ada}]),
            json!([{"value": [ada]}]),
            json!([{"$ref": format!("/users/{ada}")}]),
            json!([ada, ada, {"value": ada}]),
        ]
        .iter()
        .enumerate()
        {
            let body = json!({"schemas": [GROUP], "displayName": format!("g{number}"), "members": value});
            let made = client.post("/Groups", &body).answered(201).json;
            assert_eq!(super::values(&made["members"]), [ada.as_str()], "{value}");
            let path = format!("/Groups/{}", made["id"].as_str().unwrap());
            let seen = client.patch(&path, &operation("remove", "members", value)).answered(200).json;
            assert_eq!(seen["members"], json!([]), "{value}");
            for op in ["add", "replace"] {
                client.patch(&path, &operation(op, "members", value)).answered(200);
                client.patch(&path, &operations(&json!([{"op": op, "value": {"members": value}}]))).answered(200);
                let seen = client.put(&path, &body).answered(200).json;
                assert_eq!(super::values(&seen["members"]), [ada.as_str()], "{value}");
            }
        }
    }
}

#[test]
fn an_unknown_sub_attribute_in_a_filter_skips_the_operation() {
    for source in LENIENT {
        let client = lenient(source);
        let emails = json!([{"value": "a@x", "type": "work"}]);
        let path = format!("/Users/{}", client.created("/Users", &user_with("x", &json!({"emails": emails}))));
        for target in
            ["emails[shade eq \"x\"]", "emails[shade eq \"x\"].value", "emails[type eq \"work\" and shade pr].value"]
        {
            for op in ["add", "replace", "remove"] {
                client.patch(&path, &operation("replace", "active", &json!(true))).answered(200);
                let body = operations(&json!([
                    {"op": op, "path": target, "value": "v"}, {"op": "replace", "path": "active", "value": false},
                ]));
                let seen = client.patch(&path, &body).answered(200).json;
                assert_eq!((&seen["active"], &seen["emails"]), (&json!(false), &emails), "{source} {op} {target}");
            }
        }
        // A removal of members is never skipped, because they would stay members.
        let ada = client.created("/Users", &user("ada"));
        let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[&ada])));
        for target in ["members[shade eq \"x\"]", "members[userName eq \"ada\"]"] {
            client.patch(&path, &operation("remove", target, &Value::Null)).refused(400, "invalidFilter");
        }
        assert_eq!(super::values(&client.get(&path).answered(200).json["members"]), [ada.as_str()]);
    }
    let client = strict();
    let path = format!("/Users/{}", client.created("/Users", &user("x")));
    client.patch(&path, &operation("remove", "emails[shade eq \"x\"]", &Value::Null)).refused(400, "invalidFilter");
}

#[test]
fn the_base_schema_may_be_named_like_an_extension() {
    let obsolete = ["urn:scim:schemas:core:1.0", "urn:scim:schemas:core:2.0", "urn:scim:schemas:core:2.0:User"];
    for source in LENIENT {
        let client = lenient(source);
        for (number, urn) in obsolete.iter().chain([&USER]).enumerate() {
            let name = format!("u{number}");
            let made =
                client.post("/Users", &json!({"schemas": [urn], (*urn): {"userName": name, "title": "T", "shoe": 1}}));
            let made = made.answered(201).json;
            assert_eq!((&made["userName"], &made["title"]), (&json!(name), &json!("T")), "{urn}");
            let path = format!("/Users/{}", made["id"].as_str().unwrap());
            for body in [
                operation("replace", &format!("{urn}:active"), &json!(false)),
                operation("replace", urn, &json!({"active": false})),
                operations(&json!([{"op": "replace", "value": {*urn: {"active": "False"}}}])),
                operations(&json!([{"op": "replace", "value": {format!("{urn}:active"): false}}])),
            ] {
                client.patch(&path, &operation("replace", "active", &json!(true))).answered(200);
                assert_eq!(client.patch(&path, &body).answered(200).json["active"], false, "{source} {body}");
            }
            assert_eq!(client.find("/Users", &format!("{urn}:userName eq \"{name}\"")).len(), 1);
            let projected =
                client.get(&format!("{path}?attributes={}", encode(&format!("{urn}:title")))).answered(200).json;
            assert!(projected["title"] == "T" && projected.get("userName").is_none(), "{projected}");
        }
        let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[])));
        let body = operation("replace", "urn:scim:schemas:core:1.0:displayName", &json!("New"));
        assert_eq!(client.patch(&path, &body).answered(200).json["displayName"], "New");
    }
    let client = strict();
    let path = format!("/Users/{}", client.created("/Users", &user("x")));
    for target in ["urn:scim:schemas:core:1.0:title", "urn:scim:schemas:extension:enterprise:1.0:department"] {
        client.patch(&path, &operation("replace", target, &json!("x"))).refused(400, "invalidPath");
    }
}

#[test]
fn account_names_of_windows_domains_are_found_as_they_are() {
    let names =
        ["CORP\\ada", "CORP\\bob", "CORP\\fred", "CORP\\nina", "CORP\\rob", "CORP\\tom", "CORP\\u1", "A-B.C\\nina"];
    for source in LENIENT {
        let client = lenient(source);
        for name in names {
            let path = format!("/Users/{}", client.created("/Users", &user(name)));
            let escaped = name.replace('\\', "\\\\");
            for filter in [
                format!("userName eq \"{name}\""),
                format!("userName eq '{name}'"),
                format!("userName eq \"{escaped}\""),
                format!("userName EQ \"{}\" and active eq true", name.to_uppercase().replace('\\', "\\\\")),
            ] {
                assert_eq!(client.find("/Users", &filter).len(), 1, "{source} {filter}");
                let search = json!({"schemas": [SEARCH], "filter": filter});
                assert_eq!(client.post("/users/.SEARCH", &search).answered(200).json["totalResults"], 1, "{filter}");
            }
            let emails = json!([{"value": name, "type": "work"}]);
            client.patch(&path, &operation("add", "emails", &emails)).answered(200);
            let target = format!("emails[value eq \"{name}\"].display");
            let seen = client.patch(&path, &operation("replace", &target, &json!("D"))).answered(200).json;
            assert_eq!((&seen["emails"][0]["display"], seen["emails"].as_array().unwrap().len()), (&json!("D"), 1));
        }
        for (filter, count) in [
            ("userName sw \"CORP\\\"", 7),
            ("userName sw 'CORP\\'", 7),
            ("userName sw \"CORP\\\\\"", 7),
            ("userName co \"P\\t\"", 1),
        ] {
            assert_eq!(client.find("/Users", filter).len(), count, "{source} {filter}");
        }
        // A line break is still an escape sequence in ordinary text.
        let made = user_with("lines", &json!({"addresses": [{"formatted": "Main St 1\nSpringfield"}]}));
        client.created("/Users", &made);
        assert_eq!(client.find("/Users", "addresses.formatted eq \"Main St 1\\nSpringfield\"").len(), 1);
    }
    let client = strict();
    client.created("/Users", &user("CORP\\ada"));
    assert_eq!(client.find("/Users", "userName eq \"CORP\\\\ada\"").len(), 1);
    client.get(&format!("/Users?filter={}", encode("userName sw \"CORP\\\""))).refused(400, "invalidFilter");
}

#[test]
fn a_conflict_names_the_holder_on_every_route() {
    for source in LENIENT {
        let client = lenient(source);
        for (name, active) in [("inactive", false), ("present", true)] {
            let holder = client.created("/Users", &user_with(name, &json!({"active": active})));
            let own = format!("own-{name}");
            let path = format!("/Users/{}", client.created("/Users", &user(&own)));
            let upper = name.to_uppercase();
            let job = json!({"method": "POST", "path": "/Users", "bulkId": "b", "data": user(&upper)});
            let bulk = client.post("/Bulk", &bulk(&job)).answered(200).json["Operations"][0].clone();
            assert_eq!(bulk["status"], "409");
            for detail in [
                client.post("/Users", &user(&upper)).refused(409, "uniqueness").text("detail"),
                client.put(&path, &user(&upper)).refused(409, "uniqueness").text("detail"),
                client
                    .patch(&path, &operation("replace", "userName", &json!(upper)))
                    .refused(409, "uniqueness")
                    .text("detail"),
                client
                    .patch(&path, &operations(&json!([{"op": "replace", "value": {"userName": upper}}])))
                    .refused(409, "uniqueness")
                    .text("detail"),
                bulk["response"]["detail"].as_str().unwrap().to_owned(),
            ] {
                let state = if active { " the active resource " } else { " the inactive resource " };
                assert!(detail.contains("userName") && detail.contains(&holder) && detail.contains(state), "{detail}");
            }
            assert_eq!(client.get(&path).answered(200).json["userName"], own.as_str());
            // A deleted holder is no conflict.
            client.delete(&format!("/Users/{holder}")).answered(204);
            client.created("/Users", &user(&upper));
        }
        let holder = client.created("/Groups", &group("Team", &[]));
        let path = format!("/Groups/{}", client.created("/Groups", &group("Other", &[])));
        for detail in [
            client.post("/Groups", &group("TEAM", &[])).refused(409, "uniqueness").text("detail"),
            client.put(&path, &group("TEAM", &[])).refused(409, "uniqueness").text("detail"),
            client
                .patch(&path, &operation("replace", "displayName", &json!("team")))
                .refused(409, "uniqueness")
                .text("detail"),
        ] {
            assert!(detail.contains("displayName") && detail.contains(&holder), "{detail}");
        }
    }
}
