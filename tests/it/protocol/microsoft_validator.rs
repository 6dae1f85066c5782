//! The calls of Microsoft's SCIM validator, with its two tests of authentication: users, groups, pages, discovery, and
//! updates with null and with an empty string; each kind with its variants. `transcripts` plays its whole run on one connection.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::CONFIGURATIONS;
use crate::oauth::form_request;
use crate::sample::{ENTERPRISE, GROUP, USER, encode, operation, operations, removal};
use crate::transcripts::replay;

/// The targets of Entra's default mapping for users, with a first and a second value.
fn mapping() -> Vec<(String, Value, Value)> {
    let pair = |path: &str| (path.to_owned(), json!(format!("{path} 1")), json!(format!("{path} 2")));
    let mut all: Vec<(String, Value, Value)> = [
        "displayName",
        "title",
        "preferredLanguage",
        "name.givenName",
        "name.familyName",
        "name.formatted",
        "externalId",
        "nickName",
        "userType",
        "locale",
        "timezone",
        "emails[type eq \"work\"].value",
        "phoneNumbers[type eq \"work\"].value",
        "phoneNumbers[type eq \"mobile\"].value",
        "phoneNumbers[type eq \"fax\"].value",
        "addresses[type eq \"work\"].formatted",
        "addresses[type eq \"work\"].streetAddress",
        "addresses[type eq \"work\"].locality",
        "addresses[type eq \"work\"].region",
        "addresses[type eq \"work\"].postalCode",
        "addresses[type eq \"work\"].country",
        "addresses[type eq \"other\"].formatted",
    ]
    .iter()
    .map(|path| pair(path))
    .collect();
    for name in ["employeeNumber", "department", "costCenter", "organization", "division"] {
        all.push(pair(&format!("{ENTERPRISE}:{name}")));
    }
    all.push(("roles[primary eq \"True\"].value".to_owned(), json!("admin"), json!("reader")));
    all
}

/// The value at a path of the mapping; null if there is none.
fn value_at(user: &Value, path: &str) -> Value {
    let (parent, rest) =
        path.strip_prefix(&format!("{ENTERPRISE}:")).map_or((user, path), |rest| (&user[ENTERPRISE], rest));
    let Some((list, rest)) = rest.split_once('[') else {
        return rest.split('.').fold(parent.clone(), |value, name| value[name].clone());
    };
    let (filter, part) = rest.split_once("].").unwrap();
    let (name, literal) = filter.split_once(" eq ").unwrap();
    let expected = literal.trim_matches('"');
    let is_selected = |one: &&Value| one[name].to_string().trim_matches('"').eq_ignore_ascii_case(expected);
    let found = parent[list].as_array().into_iter().flatten().find(is_selected);
    found.map_or(Value::Null, |one| one[part].clone())
}

fn document(name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE], "userName": name, "active": true, "displayName": "BOKWMLSHNCVX", "title": "T",
        "emails": [{"type": "work", "value": format!("{name}@contoso.example"), "primary": true}],
        "preferredLanguage": "km-KH", "name": {"givenName": "Jacynthe", "familyName": "Hermina", "formatted": "Rosella"},
        "addresses": [{"type": "work", "formatted": "F", "streetAddress": "S", "locality": "L", "region": "R",
            "postalCode": "P", "primary": true, "country": "Kenya"}],
        "phoneNumbers": [{"type": "work", "value": "90-260-7810", "primary": true},
            {"type": "mobile", "value": "90-260-7811"}, {"type": "fax", "value": "90-260-7812"}],
        ENTERPRISE: {"employeeNumber": "E", "department": "D", "costCenter": "C", "organization": "O", "division": "V"},
        "roles": [{"primary": "True", "display": "Admin", "value": "admin", "type": "WindowsAzureActiveDirectoryRole"}],
    })
}

fn client() -> Client {
    App::shared().configuration("azure-ad")
}

fn created(client: &Client, name: &str) -> String {
    format!("/Users/{}", client.created("/Users", &document(name)))
}

#[test]
fn users_are_created_once_and_found_by_filter() {
    // Create a user, create it again, filter for an existing, an absent, and a differently spelled user.
    let client = client();
    let made = client.post("/Users", &document("Ada@contoso.example")).answered(201);
    assert!(made.header("location").ends_with(&made.id()) && made.header("content-type") == "application/scim+json");
    client.post("/Users", &document("Ada@contoso.example")).refused(409, "uniqueness");
    for name in ["Ada@contoso.example", "ADA@CONTOSO.EXAMPLE", "ada@contoso.example"] {
        let found = client.find("/Users", &format!("userName eq \"{name}\""));
        assert_eq!(found, std::slice::from_ref(&made.json), "{name}");
        assert_eq!(
            client.find("/Users", &format!("emails[type eq \"work\"].value eq \"{name}@contoso.example\"")),
            found
        );
    }
    let none = client.get(&format!("/Users?filter={}", encode("userName eq \"absent\""))).answered(200).json;
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(0), &json!([])));
    assert_eq!(client.get(&format!("/Users/{}", made.id())).answered(200).json, made.json);
}

#[test]
fn attributes_are_replaced_removed_and_added() {
    let client = client();
    for (before, op) in [(true, "replace"), (true, "add"), (false, "add"), (false, "replace"), (true, "Replace")] {
        for with_path in [true, false] {
            let name = format!("{op}-{before}-{with_path}-{}", op.starts_with('R'));
            let path = created(&client, &name);
            if !before {
                client.put(&path, &json!({"schemas": [USER], "userName": name})).answered(200);
            }
            for value in 1..=2 {
                let given = |(_, first, second): &(String, Value, Value)| {
                    if value == 1 { first.clone() } else { second.clone() }
                };
                let body = if with_path {
                    let all = mapping()
                        .iter()
                        .map(|row| json!({"op": op, "path": row.0, "value": given(row)}))
                        .collect::<Vec<_>>();
                    operations(&all.into())
                } else {
                    let all: serde_json::Map<String, Value> =
                        mapping().iter().map(|row| (row.0.clone(), given(row))).collect();
                    operations(&json!([{"op": op, "value": all}]))
                };
                let after = client.patch(&path, &body).answered(200).json;
                for row in mapping() {
                    assert_eq!(value_at(&after, &row.0), given(&row), "{name}: {} in {after}", row.0);
                }
                assert_eq!(client.get(&path).answered(200).json, after);
            }
        }
    }
    let path = created(&client, "removed");
    for (target, ..) in mapping() {
        let after = client.patch(&path, &removal(&target)).answered(200).json;
        assert_eq!(value_at(&after, &target), Value::Null, "{target}: {after}");
    }
}

#[test]
fn every_optional_attribute_takes_null_and_an_empty_string() {
    let client = client();
    for op in ["replace", "add"] {
        for value in [Value::Null, json!("")] {
            for with_path in [true, false] {
                let path = created(&client, &format!("{op}-{value}-{with_path}"));
                for (target, ..) in mapping() {
                    let body = if with_path {
                        operation(op, &target, &value)
                    } else {
                        operations(&json!([{"op": op, "value": {target.as_str(): value}}]))
                    };
                    let after = client.patch(&path, &body).answered(200).json;
                    let given = value_at(&after, &target);
                    assert!(given.is_null() || given == value, "{op} {target} {value}: {after}");
                    assert_eq!((&after["active"], after["userName"].is_string()), (&json!(true), true));
                }
                for list in ["emails", "phoneNumbers", "addresses", "roles", "name", ENTERPRISE] {
                    let body = operation("replace", list, &Value::Null);
                    let after = client.patch(&path, &body).answered(200).json;
                    assert!(after.get(list).is_none(), "{list}: {after}");
                }
            }
        }
    }
    // The same in the body of a PUT and of a POST.
    for value in [Value::Null, json!("")] {
        let name = format!("body-{value}");
        let mut body = document(&name);
        for target in ["displayName", "title", "preferredLanguage", "externalId", "nickName", "userType", "locale"] {
            body[target] = value.clone();
        }
        for part in ["givenName", "familyName", "formatted"] {
            body["name"][part] = value.clone();
        }
        for part in ["employeeNumber", "department", "costCenter", "organization", "division", "manager"] {
            body[ENTERPRISE][part] = value.clone();
        }
        body["emails"][0]["value"] = value.clone();
        body["phoneNumbers"][1]["value"] = value.clone();
        let path = format!("/Users/{}", client.created("/Users", &body));
        client.put(&path, &body).answered(200);
    }
}

#[test]
fn the_manager_is_set_changed_and_removed() {
    let client = client();
    let (path, first, second) = (created(&client, "ada"), created(&client, "boss1"), created(&client, "boss2"));
    let target = format!("{ENTERPRISE}:manager");
    let manager = |body: &Value| client.patch(&path, body).answered(200).json[ENTERPRISE]["manager"].clone();
    for op in ["add", "replace", "Add", "Replace"] {
        for (number, boss) in [&first, &second].into_iter().enumerate() {
            let id = boss.trim_start_matches("/Users/");
            for value in [json!(id), json!({"value": id}), json!([{"value": id, "$ref": format!("../Users/{id}")}])] {
                let given = manager(&operation(op, &target, &value));
                assert_eq!(given["value"], id, "{op} {value}");
            }
            let given = manager(&operations(&json!([{"op": op, "value": {target.as_str(): id}}])));
            assert_eq!(given["value"], id, "{op}");
            let gone = match number {
                0 => removal(&target),
                _ => operation("replace", &target, &json!("")),
            };
            assert_eq!(manager(&gone), Value::Null, "{gone}");
        }
    }
}

#[test]
fn a_user_is_disabled_and_deleted() {
    let client = client();
    let path = created(&client, "ada");
    for (value, active) in [(json!("False"), false), (json!("True"), true), (json!(false), false)] {
        assert_eq!(client.patch(&path, &operation("Replace", "active", &value)).answered(200).json["active"], active);
        assert_eq!(client.get(&path).answered(200).json["active"], active);
    }
    assert_eq!(client.find("/Users", "userName eq \"ada\"")[0]["active"], false);
    client.delete(&path).answered(204);
    client.get(&path).refused(404, "");
    client.delete(&path).refused(404, "");
    client.patch(&path, &operation("replace", "active", &json!(false))).refused(404, "");
}

#[test]
fn pages_start_after_each_other() {
    // startIndex = page * 5 + 1
    let client = client();
    let mut expected: Vec<String> =
        (0..13).map(|number| client.created("/Users", &document(&format!("u{number}")))).collect();
    expected.sort();
    for size in ["&count=5", "&itemsPerPage=5&count=5"] {
        let mut found = Vec::new();
        for page in 0..4 {
            let start = page * 5 + 1;
            let list = client.get(&format!("/Users?startIndex={start}{size}")).answered(200).json;
            let resources = list["Resources"].as_array().unwrap();
            let length = [5, 5, 3, 0][page];
            assert_eq!((resources.len(), &list["itemsPerPage"]), (length, &json!(length)));
            assert_eq!((&list["startIndex"], &list["totalResults"]), (&json!(start), &json!(13)));
            found.extend(resources.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        }
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn groups_pass_through_their_life() {
    let client = client();
    let ids: Vec<String> =
        (0..3).map(|number| created(&client, &format!("m{number}")).trim_start_matches("/Users/").to_owned()).collect();
    let body = json!({"schemas": [GROUP], "displayName": "Testers", "externalId": "x1"});
    let made = client.post("/Groups", &body).answered(201);
    let path = format!("/Groups/{}", made.id());
    client.post("/Groups", &body).refused(409, "uniqueness");
    for (filter, count) in
        [("displayName eq \"TESTERS\"", 1), ("externalId eq \"x1\"", 1), ("displayName eq \"absent\"", 0)]
    {
        let list =
            client.get(&format!("/Groups?excludedAttributes=members&filter={}", encode(filter))).answered(200).json;
        assert_eq!(list["totalResults"], count, "{filter}");
        assert!(list["Resources"].as_array().unwrap().iter().all(|one| one.get("members").is_none()));
    }
    let members = |expected: &[&str]| {
        let group = client.get(&path).answered(200).json;
        assert_eq!(super::values(&group["members"]), expected);
        assert!(client.get(&format!("{path}?excludedAttributes=members")).answered(200).json.get("members").is_none());
    };
    let element = |id: &String| json!([{"$ref": null, "value": id}]);
    for id in &ids {
        client.patch(&path, &operation("Add", "members", &element(id))).answered(200);
    }
    members(&[&ids[0], &ids[1], &ids[2]]);
    client.patch(&path, &operation("Remove", "members", &element(&ids[1]))).answered(200);
    members(&[&ids[0], &ids[2]]);
    client.patch(&path, &removal(&format!("members[value eq \"{}\"]", ids[0]))).answered(200);
    members(&[&ids[2]]);
    let renamed = client.patch(&path, &operation("Replace", "displayName", &json!("Renamed"))).answered(200).json;
    assert_eq!(renamed["displayName"], "Renamed");
    for value in [Value::Null, json!("")] {
        let after = client.patch(&path, &operation("Replace", "externalId", &value)).answered(200).json;
        assert!(after.get("externalId").is_none_or(|given| *given == value), "{after}");
    }
    client.patch(&path, &operation("Replace", "members", &json!([]))).answered(200);
    members(&[]);
    client.delete(&path).answered(204);
    client.get(&path).refused(404, "");
}

#[test]
fn the_default_mapping_is_discoverable() {
    let client = client();
    let types = client.get("/ResourceTypes").answered(200).json;
    let schemas = client.get("/Schemas").answered(200).json;
    let find = |list: &Value, key: &str, value: &str| {
        let found = list.as_array().unwrap().iter().find(|one| one[key] == value);
        found.unwrap_or_else(|| panic!("no {value}")).clone()
    };
    let users = find(&types["Resources"], "name", "User");
    assert_eq!(find(&users["schemaExtensions"], "schema", ENTERPRISE)["required"], false);
    assert_eq!(find(&types["Resources"], "name", "Group")["endpoint"], "/Groups");
    let attribute = |urn: &str, name: &str| {
        let schema = find(&schemas["Resources"], "id", urn);
        find(&schema["attributes"], "name", name)
    };
    let mut targets: Vec<String> = mapping().into_iter().map(|(target, ..)| target).collect();
    targets.extend(
        ["userName", "active", &format!("{ENTERPRISE}:manager"), &format!("{ENTERPRISE}:manager.value")]
            .map(str::to_owned),
    );
    for target in &targets {
        let (urn, rest) =
            target.strip_prefix(&format!("{ENTERPRISE}:")).map_or((USER, &**target), |rest| (ENTERPRISE, rest));
        let name = rest.split(['[', '.']).next().unwrap();
        let described = attribute(urn, name);
        assert_eq!(described["multiValued"], rest.contains('['), "{target}");
        if let Some((_, part)) = rest.rsplit_once('.') {
            let part = find(&described["subAttributes"], "name", part);
            assert_eq!((&part["mutability"], &part["type"]), (&json!("readWrite"), &json!("string")), "{target}");
        }
        if let Some((_, kind)) = rest.split_once("type eq \"") {
            let kinds = &find(&described["subAttributes"], "name", "type")["canonicalValues"];
            assert!(kinds.to_string().contains(kind.split('"').next().unwrap()), "{target}: {kinds}");
        }
    }
    for name in ["displayName", "externalId", "members"] {
        attribute(GROUP, name);
    }
    assert_eq!(attribute(USER, "userName")["uniqueness"], "server");
}

/// The validator gets an access token by client credentials, and its calls have it.
#[test]
fn a_whole_run_passes_with_an_access_token() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("validator", "azure-ad");
    let path = format!("{CONFIGURATIONS}/{}/oauth-clients", client.id);
    let made = operator.post(&path, &json!({"label": "Validator", "authentication": "secret"})).answered(201);
    let (id, secret) = (made.text("clientId"), made.text("clientSecret"));
    let grant = ("grant_type", "client_credentials");
    let pairs = [grant, ("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let issued = form_request(app, "/oauth2/token", &pairs).send().answered(200);
    assert_eq!((&issued.json["token_type"], &issued.json["expires_in"]), (&json!("Bearer"), &json!(3_600)));
    let client = Client { token: issued.text("access_token"), ..client };
    replay("entra-validator", &client);
    let wrong = Client { token: format!("rca_{}", "x".repeat(43)), ..client };
    wrong.get("/Users").answered(401);
}
