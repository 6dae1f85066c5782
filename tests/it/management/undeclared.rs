//! Attributes that an identity provider sends and no schema declares: listed with names and types, and declared.

use serde_json::{Value, json};

use crate::app::{App, Client, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{ENTERPRISE, USER, group, operation, operations, user, user_with};

const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";

fn list_path(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/undeclared-attributes", client.id)
}

fn declare_path(client: &Client) -> String {
    format!("{}/declare", list_path(client))
}

fn listed(caller: &Caller, client: &Client) -> Vec<Value> {
    caller.get(&list_path(client)).answered(200).json["items"].as_array().unwrap().clone()
}

/// `name type calls refused schema obstacle` of each listed attribute; `[]` marks a list.
fn lines(caller: &Caller, client: &Client) -> Vec<String> {
    let line = |one: &Value| {
        let list = if one["multiValued"] == true { "[]" } else { "" };
        let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {}{list} {} {} {} {}",
            text("name"),
            text("type"),
            one["calls"],
            one["refusedCalls"],
            text("schema"),
            text("obstacle")
        )
    };
    listed(caller, client).iter().map(line).collect()
}

fn names(caller: &Caller, client: &Client) -> Vec<String> {
    listed(caller, client).iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_no_schema_declares_is_listed_with_its_type_and_never_with_its_value() {
    let operator = App::shared().operator();
    let client = operator.configuration("undeclared-list", "azure-ad");
    let secret = "Tr0ub4dor-and-3";
    let body = user_with(
        "ada",
        &json!({
            "schemas": [USER, CUSTOM],
            "deskColour": secret,
            "name": {"nick": secret},
            CUSTOM: {"tag": secret, "levels": [1], "address": {"street": secret}},
            ENTERPRISE: {"shoe": 9},
        }),
    );
    let path = format!("/Users/{}", client.created("/Users", &body));
    client.put(&path, &user_with("ada", &json!({CUSTOM.to_uppercase(): {"Tag": secret}}))).answered(200);
    let patch = operations(&json!([
        {"op": "Add", "path": format!("{CUSTOM}:tag"), "value": secret},
        {"op": "Replace", "path": "emails[type eq \"work\"].shade", "value": secret},
        {"op": "Replace", "value": {"deskColour": secret, "remote": true}},
    ]));
    client.patch(&path, &patch).answered(200);
    client.created("/Groups", &{
        let mut team = group("Team", &[]);
        team["description"] = json!(secret);
        team
    });
    let expected = [
        "description string 1 0 - -".to_owned(),
        "deskColour string 2 0 - -".to_owned(),
        "emails.shade string 1 0 - standard_schema".to_owned(),
        "name.nick string 1 0 - standard_schema".to_owned(),
        "remote boolean 1 0 - -".to_owned(),
        format!("{CUSTOM}:address complex 1 0 {CUSTOM} -"),
        format!("{CUSTOM}:address.street string 1 0 {CUSTOM} -"),
        format!("{CUSTOM}:levels integer[] 1 0 {CUSTOM} -"),
        format!("{CUSTOM}:tag string 3 0 {CUSTOM} -"),
        format!("{ENTERPRISE}:shoe integer 1 0 - standard_schema"),
    ];
    let expected = expected.map(|line| line.to_lowercase());
    // While counts are being stored, a list can contain them twice or not at all.
    wait_until("the list is exact", || {
        lines(&operator, &client).iter().map(|line| line.to_lowercase()).collect::<Vec<_>>() == expected
    });
    wait_until("the list is complete", || {
        let whole = operator.get(&list_path(&client)).answered(200);
        assert!(!whole.json.to_string().contains(secret), "{}", whole.json);
        let items = whole.json["items"].as_array().unwrap();
        for one in items {
            assert!(one["firstSeen"].as_str() <= one["lastSeen"].as_str(), "{one}");
        }
        items.len() == 10
    });
    wait_until("two pages have all of it", || {
        let first = operator.get(&format!("{}?limit=4", list_path(&client))).answered(200).json;
        let cursor = first["nextCursor"].as_str().unwrap_or_default();
        let second = operator.get(&format!("{}?cursor={cursor}", list_path(&client))).answered(200).json;
        first["items"].as_array().unwrap().len() + second["items"].as_array().unwrap().len() == 10
    });
}

#[test]
fn a_declared_attribute_leaves_the_list_and_the_next_request_stores_it() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("undeclared-life", "azure-ad");
    let tagged =
        |name: &str| user_with(name, &json!({"schemas": [USER, CUSTOM], CUSTOM: {"tag": "t", "more": {"a": 1}}}));
    let path = format!("/Users/{}", client.created("/Users", &tagged("ada")));
    assert!(client.get(&path).answered(200).json.get(CUSTOM).is_none());
    let declare = |names: &[&str]| {
        let chosen: Vec<Value> = names.iter().map(|name| json!({"resourceType": "User", "name": name})).collect();
        operator.post(&declare_path(&client), &json!({"attributes": chosen}))
    };
    let reply = declare(&[&format!("{CUSTOM}:tag")]).answered(200).json;
    let schema = &reply["schemas"][0];
    assert_eq!(
        (&schema["id"], &schema["resourceType"], &schema["required"]),
        (&json!(CUSTOM), &json!("User"), &json!(false))
    );
    assert_eq!(schema["schema"]["attributes"], json!([{"name": "tag", "type": "string", "multiValued": false}]));
    assert_eq!(names(&operator, &client), [format!("{CUSTOM}:more"), format!("{CUSTOM}:more.a")]);
    client.put(&path, &tagged("ada")).answered(200);
    assert_eq!(client.get(&path).answered(200).json[CUSTOM], json!({"tag": "t"}));
    // The schema is extended by a complex attribute, with its parts.
    let reply = declare(&[&format!("{CUSTOM}:MORE")]).answered(200).json;
    assert_eq!(reply["schemas"][0]["schema"]["attributes"][1]["subAttributes"][0]["type"], "integer", "{reply}");
    assert_eq!(listed(&operator, &client), [] as [Value; 0]);
    client.put(&path, &tagged("ada")).answered(200);
    assert_eq!(client.get(&path).answered(200).json[CUSTOM], json!({"tag": "t", "more": {"a": 1}}));
    assert_eq!(
        operator.get(&format!("{CONFIGURATIONS}/{}/schemas", client.id)).answered(200).json["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let audit = operator.get("/directory/resources/v1/audit?account=undeclared-life&limit=100");
    let text = audit.json.to_string();
    assert!(text.contains("schema.added") && text.contains("schema.extended"), "{text}");
    // Late counts of declared attributes do not bring them back.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(listed(&operator, &client), [] as [Value; 0]);
}

#[test]
fn an_attribute_without_a_urn_is_declared_in_a_schema_of_choice_and_still_received() {
    let operator = App::shared().operator();
    let client = operator.configuration("undeclared-core", "other");
    let named = |name: &str| user_with(name, &json!({"deskColour": "red", "floor": 3}));
    client.created("/Users", &named("before"));
    let declare = |more: Value| {
        let mut one = json!({"resourceType": "User", "name": "deskColour"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        operator.post(&declare_path(&client), &json!({"attributes": [one]}))
    };
    assert_eq!(declare(json!({})).problem(400).json["errorCode"], "declaration_schema_missing");
    assert_eq!(declare(json!({"schema": USER})).problem(400).json["errorCode"], "schema_namespace_reserved");
    declare(json!({"schema": CUSTOM})).answered(200);
    assert_eq!(names(&operator, &client), ["floor"]);
    let path = format!("/Users/{}", client.created("/Users", &named("ada")));
    let colour = || client.get(&path).answered(200).json[CUSTOM]["deskColour"].clone();
    assert_eq!(colour(), "red");
    let core = "urn:ietf:params:scim:schemas:core:2.0:User:deskColour";
    client.patch(&path, &operation("replace", core, &json!("blue"))).answered(200);
    assert_eq!(colour(), "blue");
    client.patch(&path, &operation("replace", "deskColour", &json!("green"))).answered(200);
    assert_eq!(colour(), "green");
    client.patch(&path, &operations(&json!([{"op": "replace", "value": {core: "grey"}}]))).answered(200);
    assert_eq!(colour(), "grey");
    client.put(&path, &user_with("ada", &json!({"deskColour": "a", CUSTOM: {"deskColour": "b"}}))).answered(200);
    assert_eq!(colour(), "b", "the usual form takes precedence");
}

#[test]
fn the_strict_preset_lists_what_it_refuses() {
    let operator = App::shared().operator();
    let client = App::shared().configuration_with_preset("strict");
    let body = user_with("ada", &json!({"schemas": [USER, CUSTOM], CUSTOM: {"tag": "t"}, "deskColour": "x"}));
    client.post("/Users", &body).refused(400, "invalidSyntax");
    let path = format!("/Users/{}", client.created("/Users", &user("ada")));
    client.patch(&path, &operation("replace", &format!("{CUSTOM}:tag"), &json!("x"))).refused(400, "invalidPath");
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "PUT", "path": path, "data": user_with("ada", &json!({"deskColour": "x"}))}],
    });
    assert_eq!(client.post("/Bulk", &bulk).answered(200).json["Operations"][0]["status"], "400");
    let expected = ["deskColour string 2 2 - -".to_owned(), format!("{CUSTOM}:tag string 2 2 {CUSTOM} -")];
    assert_eq!(lines(&operator, &client), expected);
    let chosen = json!({"attributes": [{"resourceType": "User", "name": format!("{CUSTOM}:tag"), "type": "string"}]});
    operator.post(&declare_path(&client), &chosen).answered(200);
    client.patch(&path, &operation("replace", &format!("{CUSTOM}:tag"), &json!("x"))).answered(200);
}

#[test]
fn a_declaration_that_is_not_possible_is_refused_and_changes_nothing() {
    let operator = App::shared().operator();
    let client = operator.configuration("undeclared-refused", "other");
    let body =
        user_with("ada", &json!({"x y": 1, "name": {"nick": "n"}, CUSTOM: {"deep": {"er": {"est": 1}}, "tag": "t"}}));
    client.created("/Users", &body);
    let tag = format!("{CUSTOM}:tag");
    for (attribute, code) in [
        (json!({"resourceType": "User", "name": "unseen"}), "undeclared_not_listed"),
        (json!({"resourceType": "Group", "name": tag}), "undeclared_not_listed"),
        (json!({"resourceType": "User", "name": "x y"}), "undeclared_impossible"),
        (json!({"resourceType": "User", "name": "name.nick"}), "undeclared_impossible"),
        (json!({"resourceType": "User", "name": format!("{CUSTOM}:deep.er")}), "undeclared_impossible"),
        (json!({"resourceType": "User", "name": tag, "schema": "urn:example:x:1"}), "declaration_schema_fixed"),
        (json!({"resourceType": "User", "name": tag, "type": "complex"}), "schema_sub_attributes_missing"),
    ] {
        let body = json!({"attributes": [{"resourceType": "User", "name": tag}, attribute]});
        let status = if code == "undeclared_not_listed" { 409 } else { 400 };
        let reply = operator.post(&declare_path(&client), &body);
        assert_eq!(reply.problem(status).json["errorCode"], code, "{body}");
    }
    operator.post(&declare_path(&client), &json!({"attributes": []})).problem(400);
    operator.post(&declare_path(&client), &json!({})).problem(400);
    let schemas = operator.get(&format!("{CONFIGURATIONS}/{}/schemas", client.id)).answered(200).json;
    assert_eq!(schemas["items"], json!([]));
    assert!(names(&operator, &client).contains(&tag));
}

#[test]
fn the_list_is_bounded_survives_on_disk_and_is_declared_by_command() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("undeclared-many", "other");
    for round in 0..10 {
        let mut body = user(&format!("user-{round}"));
        (0..60).for_each(|number| body[format!("x{round}y{number}")] = json!(true));
        client.created("/Users", &body);
    }
    assert_eq!(listed(&operator, &client).len(), 100);
    let second = operator.get(&format!("{}?limit=1000", list_path(&client))).answered(200).json;
    assert_eq!(second["items"].as_array().unwrap().len(), 200);
    // The command reads the database, where new names arrive within a second.
    let on_disk = || {
        let output = app.succeeds(&["schema", "undeclared", &client.id, "--output", "json"]);
        serde_json::from_slice::<Vec<Value>>(&output).unwrap()
    };
    let is_stored = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        on_disk().len() == 200
    });
    assert!(is_stored, "{}", on_disk().len());
    let table = String::from_utf8(app.succeeds(&["schema", "undeclared", &client.id])).unwrap();
    assert!(table.contains("User  x0y0  boolean  1  "), "{table}");
    app.succeeds(&["schema", "declare", &client.id, "x0y0", "x0y1=string", "--schema", CUSTOM]);
    let output = app.rollcall(&["schema", "declare", &client.id, "x0y0", "--schema", CUSTOM]);
    assert!(!output.status.success(), "it is declared");
    let ada = client.created("/Users", &user_with("ada", &json!({"x0y0": true, "x0y1": "text"})));
    let stored = client.get(&format!("/Users/{ada}")).answered(200).json;
    assert_eq!(stored[CUSTOM], json!({"x0y0": true, "x0y1": "text"}));
    assert_eq!(on_disk().len(), 198);
}
