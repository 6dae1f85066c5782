//! Invalid JSON, duplicate keys, wrong types, and read-only attributes (T21, T22, T26-T29, T34, T35).

use serde_json::{Value, json};

use super::Populated;
use crate::app::App;
use crate::sample::{ENTERPRISE, USER, group, user, user_with};

const INVALID_OBJECTS: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "5",
    "\"userName\"",
    "[]",
    "[{}]",
    "{",
    "}",
    "{\"userName\"",
    "{\"userName\":",
    "{\"userName\":\"x\"",
    "{\"userName\":\"x}",
    "{\"userName\":\"x\",}",
    "{userName:\"x\"}",
    "{'userName':'x'}",
    "{\"userName\":x}",
    "{\"userName\":NaN}",
    "{\"userName\":Infinity}",
    "{\"userName\":01}",
    "{\"userName\":0x1}",
    "{\"userName\":+1}",
    "{\"userName\":.5}",
    "{\"userName\":\"\\x41\"}",
    "{\"userName\":\"\\u12\"}",
    "{\"userName\":\"\\ud800\"}",
    "{\"userName\":\"x\"} trailing",
    "{\"userName\":\"x\"}{\"userName\":\"y\"}",
    "{\"userName\":\"x\"} // comment",
    "{/* c */\"userName\":\"x\"}",
    "{\"userName\":\"x\" \"title\":\"y\"}",
    "{\"userName\":[1,]}",
    "{,}",
    "<user/>",
    "userName=x",
];

#[test]
fn a_body_that_is_not_a_json_object_is_invalid_syntax() {
    // T21, R-102
    let utf16: Vec<u8> = r#"{"userName":"x"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32: Vec<u8> = r#"{"userName":"x"}"#.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let mut bodies: Vec<Vec<u8>> = vec![
        b"{\"userName\":\"\xff\"}".to_vec(),
        b"{\"userName\":\"\xc0\xaf\"}".to_vec(),
        b"{\"userName\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"userName\":\"a\x01b\"}".to_vec(),
        b"{\"userName\":\"a\nb\"}".to_vec(),
        utf16,
        utf32,
    ];
    bodies.extend(INVALID_OBJECTS.iter().map(|text| text.as_bytes().to_vec()));
    Populated::new().assert_unchanged(|on| {
        for body in &bodies {
            for (method, path) in [("POST", "/Users".to_owned()), ("PUT", format!("/Users/{}", on.user))] {
                let request =
                    on.client.request(method, &path).body(body).header("Content-Type", "application/scim+json");
                let reply = request.send();
                let text = String::from_utf8_lossy(body);
                assert_eq!(reply.status, 400, "{method} {text:?}: {}", reply.json);
                reply.refused(400, "invalidSyntax");
            }
        }
    });
}

#[test]
fn a_name_twice_in_one_object_is_invalid_syntax_at_any_depth() {
    // T22, R-004, R-091
    let bodies = [
        r#"{"userName":"a","userName":"b"}"#,
        r#"{"userName":"a","userName":"a"}"#,
        r#"{"userName":"a","username":"b"}"#,
        r#"{"userName":"a","USERNAME":"b"}"#,
        r#"{"userName":"a","user\u004eame":"b"}"#,
        r#"{"userName":"a","name":{"givenName":"x","givenname":"y"}}"#,
        r#"{"userName":"a","emails":[{"value":"x","value":"y"}]}"#,
        r#"{"userName":"a","emails":[{"value":"x","Value":"y"}]}"#,
        r#"{"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"x","Department":"y"}}"#,
        r#"{"userName":"a","unknown":{"deep":{"x":1,"x":2}}}"#,
    ];
    Populated::new().assert_unchanged(|on| {
        for body in bodies {
            let request = on.client.request("POST", "/Users").body(body.as_bytes());
            let reply = request.header("Content-Type", "application/scim+json").send();
            assert_eq!(reply.status, 400, "{body}: {}", reply.json);
            reply.refused(400, "invalidSyntax");
        }
    });
}

fn values_of_wrong_type() -> Vec<(&'static str, Value)> {
    vec![
        ("userName", json!(5)),
        ("userName", json!(null)),
        ("userName", json!("")),
        ("userName", json!("   ")),
        ("userName", json!(true)),
        ("userName", json!(["x", "y"])),
        ("userName", json!({"value": "x"})),
        ("displayName", json!(true)),
        ("displayName", json!({"a": "b"})),
        ("title", json!(5)),
        ("externalId", json!(5)),
        ("externalId", json!({"id": "x"})),
        ("active", json!("perhaps")),
        ("active", json!("yes")),
        ("active", json!(1)),
        ("active", json!({})),
        ("name", json!(5)),
        ("name", json!(true)),
        ("name.givenName", json!(5)),
        ("name.familyName", json!({"x": "y"})),
        ("emails", json!(5)),
        ("emails", json!(true)),
        ("emails", json!([5])),
        ("emails", json!([[{"value": "x"}]])),
        ("emails", json!([{"value": 5}])),
        ("emails", json!([{"value": {"x": "y"}}])),
        ("emails", json!([{"value": "x", "primary": "maybe"}])),
        ("emails", json!([{"value": "x", "type": 7}])),
        ("phoneNumbers", json!([{"value": 12345}])),
        ("addresses", json!([{"country": 5}])),
        ("x509Certificates", json!([{"value": "not base64 ***"}])),
    ]
}

#[test]
fn a_value_of_the_wrong_kind_is_invalid_value_and_named() {
    // T26, R-012, R-016, R-017, R-101, R-240
    let table = values_of_wrong_type();
    Populated::new().assert_unchanged(|on| {
        for (path, value) in table {
            let mut document = user("fresh");
            let (attribute, inner) = path.split_once('.').unwrap_or((path, ""));
            document[attribute] = if inner.is_empty() { value.clone() } else { json!({ inner: value }) };
            for (method, target) in [("POST", "/Users".to_owned()), ("PUT", format!("/Users/{}", on.user))] {
                let reply = on.client.request(method, &target).json(&document).send();
                assert_eq!(reply.status, 400, "{method} {path} = {value}: {}", reply.json);
                let detail = reply.refused(400, "invalidValue").json["detail"].to_string();
                assert!(detail.contains(attribute), "{path} = {value} is not named: {detail}");
            }
        }
    });
}

#[test]
fn an_extension_of_the_wrong_kind_is_invalid_value() {
    // T26
    Populated::new().assert_unchanged(|on| {
        for value in [json!("x"), json!(5), json!({"department": 5}), json!({"manager": 5})] {
            let reply = on.client.post("/Users", &user_with("fresh", &json!({ENTERPRISE: value})));
            assert_eq!(reply.status, 400, "{value}: {}", reply.json);
            reply.refused(400, "invalidValue");
        }
    });
}

#[test]
fn a_user_needs_a_user_name_and_a_group_a_display_name() {
    // R-049, R-101, R-201
    Populated::new().assert_unchanged(|on| {
        let nameless = json!({"schemas": [USER], "displayName": "No name"});
        for reply in [on.client.post("/Users", &nameless), on.client.put(&format!("/Users/{}", on.user), &nameless)] {
            assert!(reply.refused(400, "invalidValue").json["detail"].to_string().contains("userName"));
        }
        for document in [json!({}), json!({"displayName": null}), json!({"displayName": ""}), json!({"displayName": 5})]
        {
            let reply = on.client.post("/Groups", &document).refused(400, "invalidValue");
            assert!(reply.json["detail"].to_string().contains("displayName"), "{}", reply.json);
        }
    });
}

#[test]
fn members_of_the_wrong_kind_are_invalid_value() {
    // T26, R-047, R-053
    Populated::new().assert_unchanged(|on| {
        for members in
            [json!(5), json!([5]), json!(["unknown"]), json!([{}]), json!([{"value": 5}]), json!([{"value": ""}])]
        {
            let reply = on.client.post("/Groups", &json!({"displayName": "Fresh", "members": members}));
            assert_eq!(reply.status, 400, "{members}: {}", reply.json);
            reply.refused(400, "invalidValue");
        }
        let itself = json!({"displayName": "Analysts", "members": [{"value": on.group}]});
        on.client.put(&format!("/Groups/{}", on.group), &itself).refused(400, "invalidValue");
    });
}

#[test]
fn read_only_attributes_are_ignored_on_create_and_replace() {
    // T27, R-063, R-067, R-096, R-200
    let client = App::shared().configuration("other");
    let claims = json!({
        "id": "mine", "groups": [{"value": "admins", "display": "Admins"}],
        "meta": {"created": "1999-01-01T00:00:00Z", "version": "W/\"99\"", "location": "https://evil.example/", "resourceType": "Root"}
    });
    let made = client.post("/Users", &user_with("x", &claims)).answered(201);
    let path = format!("/Users/{}", made.id());
    let replaced = client.put(&path, &user_with("x", &claims)).answered(200);
    for document in [&made.json, &replaced.json] {
        let text = document.to_string();
        assert!(
            !text.contains("mine") && !text.contains("1999") && !text.contains("evil") && !text.contains("Root"),
            "{text}"
        );
        assert!(document.get("groups").is_none() && document["id"] == made.id(), "{text}");
    }
    let mut team = group("Team", &[&made.id()]);
    team["members"][0]["display"] = json!("Forged");
    team["members"][0]["$ref"] = json!("https://evil.example/Users/1");
    let team = client.post("/Groups", &team).answered(201).json.to_string();
    assert!(!team.contains("Forged") && !team.contains("evil"), "{team}");
}

#[test]
fn undefined_attributes_are_neither_stored_nor_returned() {
    // T28, R-104: a typing error or an attack; neither is stored.
    let client = App::shared().configuration("other");
    let strange = json!({
        "isAdmin": true, "role": "root", "__proto__": {"admin": true}, "constructor": {"prototype": {}}, "dispalyName": "x",
        "name": {"givenName": "Ada", "shoeSize": 40}, "urn:example:unknown:1.0:User": {"clearance": "top"}
    });
    let made = client.post("/Users", &user_with("x", &strange)).answered(201);
    let path = format!("/Users/{}", made.id());
    client.put(&path, &user_with("x", &strange)).answered(200);
    client.patch(&path, &crate::sample::operations(&json!([{"op": "add", "value": strange}]))).answered(200);
    let text = client.get(&path).answered(200).json.to_string();
    for part in ["isAdmin", "root", "__proto__", "constructor", "dispalyName", "shoeSize", "clearance", "urn:example"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("Ada"));
}

#[test]
fn a_password_is_accepted_and_never_returned() {
    // T29, R-038, R-040, R-142
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user_with("x", &json!({"password": "Tr0ub4dor&3"}))).answered(201);
    let path = format!("/Users/{}", made.id());
    let change = crate::sample::operation("replace", "password", &json!("Tr0ub4dor&3"));
    let replies = [
        made,
        client.patch(&path, &change).answered(200),
        client.put(&path, &user_with("x", &json!({"password": "Tr0ub4dor&3"}))).answered(200),
        client.get(&path),
        client.get(&format!("{path}?attributes=password,userName")),
        client.get("/Users?attributes=password"),
        client.get("/Schemas"),
    ];
    for reply in replies {
        let text = String::from_utf8_lossy(&reply.answer.body).into_owned();
        assert!(!text.contains("Tr0ub4dor") && !text.contains("\"password\""), "{text}");
    }
    for filter in
        ["password eq \"Tr0ub4dor&3\"", "password sw \"T\"", "password co \"r\"", "password pr", "not (password pr)"]
    {
        let path = format!("/Users?filter={}", crate::sample::encode(filter));
        client.get(&path).refused(400, "invalidFilter");
    }
    for entry in std::fs::read_dir(&App::shared().data).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"Tr0ub4dor"), "the password is on disk");
    }
}

#[test]
fn unusual_names_are_returned_as_sent_and_found_once() {
    // T34, R-030, R-075, D23
    let client = App::shared().configuration("other");
    let names = [
        "plain",
        "with space",
        "tab\there",
        "line\nbreak",
        "quote\"d",
        "back\\slash",
        "slash/ed",
        "per%cent",
        "under_score",
        "st*r",
        "o'brien",
        "<b>bold</b>",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "=cmd()",
        "ümläut",
        "日本語",
        "עברית",
        "👩‍🔬",
        "a\u{301}",
        "\u{202e}rtl",
        "zero\u{200b}width",
        "null",
        "true",
        "0",
    ];
    for name in names {
        let reply = client.post("/Users", &user(name));
        if reply.status == 400 {
            // Refusing a control character is as good as storing it.
            assert!(name.chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c)), "{name:?}: {}", reply.json);
            continue;
        }
        let id = reply.answered(201).id();
        assert_eq!(client.get(&format!("/Users/{id}")).answered(200).json["userName"], name);
        let found = client.find("/Users", &format!("userName eq {}", Value::from(name)));
        assert_eq!(found.len(), 1, "{name:?}");
        assert_eq!(found[0]["id"], id.as_str(), "{name:?}");
    }
    for nul in ["a\0b", "\0"] {
        client.post("/Users", &user(nul)).refused(400, "invalidValue");
        client.post("/Groups", &group(nul, &[])).refused(400, "invalidValue");
    }
}

#[test]
fn similar_names_are_either_equal_or_distinct() {
    // T35, R-033, R-035
    let pairs = [
        ("ADA", "ada"),
        ("Straße", "STRASSE"),
        ("\u{212a}elvin", "kelvin"),
        ("ﬁnal", "final"),
        ("Ａda", "Ada"),
        ("é", "e\u{301}"),
        ("İstanbul", "istanbul"),
        ("ıstanbul", "istanbul"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Ǆ", "ǆ"),
        ("Ω", "Ω"),
        ("Å", "å"),
        ("①", "1"),
        ("x", "х"),
    ];
    for (first, second) in pairs {
        let client = App::shared().configuration("other");
        let id = client.created("/Users", &user(first));
        let found = |name: &str| -> Vec<Value> {
            client
                .find("/Users", &format!("userName eq {}", Value::from(name)))
                .iter()
                .map(|user| user["id"].clone())
                .collect()
        };
        match client.post("/Users", &user(second)) {
            reply if reply.status == 409 => {
                reply.refused(409, "uniqueness");
                assert_eq!(found(second), [json!(id)], "{first} and {second} are equal, but eq distinguishes them");
            }
            reply => {
                let other = reply.answered(201).id();
                assert_eq!((found(first), found(second)), (vec![json!(id)], vec![json!(other)]), "{first} {second}");
            }
        }
    }
    let client = App::shared().configuration("other");
    client.created("/Users", &user("Ada@Example.com"));
    for same in ["ada@example.com", "ADA@EXAMPLE.COM", "Ａda@example.com"] {
        client.post("/Users", &user(same)).refused(409, "uniqueness");
    }
}
