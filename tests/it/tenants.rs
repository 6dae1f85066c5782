//! Tenant isolation: everything of another configuration behaves as if it did not exist.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::sample::{ENTERPRISE, group, operation, operations, user, user_with};

const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

/// An answer as sent, without the headers that differ between any two answers.
fn comparable(reply: &Reply, id: &str) -> (u16, Vec<(String, String)>, String) {
    let differs = ["date", "x-request-id"];
    let mut headers: Vec<(String, String)> =
        reply.answer.headers.iter().filter(|(name, _)| !differs.contains(&name.as_str())).cloned().collect();
    // The order of headers depends on the HTTP library.
    headers.sort();
    (reply.status, headers, String::from_utf8_lossy(&reply.answer.body).replace(id, "ID"))
}

#[track_caller]
fn behaves_as_unknown(client: &Client, method: &str, endpoint: &str, foreign: &str, body: Option<&Value>) {
    let ask = |id: &str| {
        let request = client.request(method, &format!("{endpoint}/{id}"));
        comparable(&body.map_or(request.clone(), |body| request.json(body)).send(), id)
    };
    let (status, ..) = ask(foreign);
    assert_eq!(status, 404, "{method} {endpoint}");
    assert_eq!(ask(foreign), ask(UNKNOWN), "{method} {endpoint}");
}

#[test]
fn a_foreign_id_answers_byte_for_byte_like_an_unknown_one() {
    // T12, R-108, R-290
    let theirs = App::shared().configuration("other");
    let ours = App::shared().configuration("other");
    let user_id = theirs.created("/Users", &user("theirs"));
    let team = theirs.created("/Groups", &group("Their team", &[&user_id]));
    let change = operation("replace", "displayName", &json!("taken over"));
    for (endpoint, id, document) in [("/Users", &user_id, user("ours")), ("/Groups", &team, group("ours", &[]))] {
        behaves_as_unknown(&ours, "GET", endpoint, id, None);
        behaves_as_unknown(&ours, "PUT", endpoint, id, Some(&document));
        behaves_as_unknown(&ours, "PATCH", endpoint, id, Some(&change));
        behaves_as_unknown(&ours, "PATCH", endpoint, id, Some(&json!({})));
        behaves_as_unknown(&ours, "DELETE", endpoint, id, None);
        theirs.get(&format!("{endpoint}/{id}")).answered(200);
    }
    assert_eq!(ours.find("/Users", &format!("id eq \"{user_id}\"")), Vec::<Value>::new());
    assert_eq!(ours.find("/Groups", &format!("members.value eq \"{user_id}\"")), Vec::<Value>::new());
    assert_eq!(ours.count("/Users") + ours.count("/Groups"), 0);
}

#[test]
fn a_token_is_refused_at_the_url_of_another_configuration() {
    // T13, R-289, R-290
    let theirs = App::shared().configuration("other");
    let ours = App::shared().configuration("other");
    let crossed = Client { token: ours.token.clone(), ..theirs.clone() };
    let user_id = theirs.created("/Users", &user("theirs"));
    let path = format!("/Users/{user_id}");
    let wrong = theirs.request("GET", &path).header("Authorization", "Bearer wrong").send();
    let expected = comparable(&wrong, "-");
    assert_eq!(comparable(&crossed.get(&path), "-"), expected);
    crossed.put(&path, &user("taken")).refused(401, "");
    crossed.delete(&path).refused(401, "");
    crossed.post("/Users", &user("intruder")).refused(401, "");
    crossed.get("/ServiceProviderConfig").refused(401, "");
    assert_eq!(theirs.count("/Users"), 1);
}

#[test]
fn a_foreign_member_is_refused_like_an_unknown_one() {
    // T14, R-047
    let theirs = App::shared().configuration("other");
    let ours = App::shared().configuration("other");
    let user_id = theirs.created("/Users", &user_with("theirs", &json!({"displayName": "Secret Name"})));
    let ask = |id: &str| comparable(&ours.post("/Groups", &group("Ours", &[id])).refused(400, "invalidValue"), id);
    assert_eq!(ask(&user_id), ask(UNKNOWN));
    let team = ours.created("/Groups", &group("Ours", &[]));
    let add = |id: &str| {
        let body = operation("add", "members", &json!([{"value": id}]));
        comparable(&ours.patch(&format!("/Groups/{team}"), &body).refused(400, "invalidValue"), id)
    };
    assert_eq!(add(&user_id), add(UNKNOWN));
    assert_eq!(ours.get(&format!("/Groups/{team}")).json["members"], json!([]));
}

#[test]
fn okta_and_entra_skip_a_foreign_member_and_never_show_it() {
    // T14 under `unknown_members: skip`: Okta never repeats a refused push.
    for source in ["okta", "azure-ad"] {
        let theirs = App::shared().configuration(source);
        let ours = App::shared().configuration(source);
        let user_id = theirs.created("/Users", &user_with("theirs", &json!({"displayName": "Secret Name"})));
        let own = ours.created("/Users", &user("ours"));
        let made = ours.post("/Groups", &group("Team", &[&user_id, &own, UNKNOWN])).answered(201);
        let document = ours.get(&format!("/Groups/{}", made.id())).answered(200).json;
        assert_eq!(document["members"].as_array().unwrap().len(), 1, "{source}: {document}");
        assert_eq!(document["members"][0]["value"], own.as_str(), "{source}");
        assert!(
            !document.to_string().contains("Secret Name") && !document.to_string().contains(&user_id),
            "{source}: {document}"
        );
        let body = operation("add", "members", &json!([{"value": user_id}]));
        ours.patch(&format!("/Groups/{}", made.id()), &body).answered(200);
        assert!(theirs.get(&format!("/Users/{user_id}")).answered(200).json.get("groups").is_none());
    }
}

#[test]
fn a_foreign_manager_is_not_resolved_to_a_name() {
    // T14, R-059: a manager may refer to nothing, and is not resolved across configurations.
    let theirs = App::shared().configuration("other");
    let ours = App::shared().configuration("other");
    let boss = theirs.created("/Users", &user_with("boss", &json!({"displayName": "Secret Boss"})));
    let document = user_with("worker", &json!({ENTERPRISE: {"manager": {"value": boss}}}));
    let made = ours.post("/Users", &document).answered(201).json;
    assert_eq!(made[ENTERPRISE]["manager"]["value"], boss.as_str());
    assert!(!made.to_string().contains("Secret Boss"));
}

#[test]
fn names_are_unique_within_a_configuration_only() {
    // T15, R-036, R-066, R-291, R-334
    let app = App::shared();
    let clients =
        [app.configuration_of("twice", "other"), app.configuration_of("twice", "okta"), app.configuration("other")];
    let document = user_with("same@example.com", &json!({"externalId": "same", "active": true}));
    let ids: Vec<String> = clients.iter().map(|client| client.created("/Users", &document)).collect();
    for client in &clients {
        client.created("/Groups", &group("Same", &[]));
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    let change = operations(&json!([{"op": "replace", "path": "active", "value": false}]));
    clients[0].patch(&format!("/Users/{}", ids[0]), &change).answered(200);
    for (client, id) in clients.iter().zip(&ids) {
        let found = client.find("/Users", "externalId eq \"same\"");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["id"], id.as_str());
        assert_eq!(found[0]["active"], *id != ids[0], "a change crossed over");
    }
}

#[test]
fn an_external_id_is_never_an_internal_key() {
    // T16: never an internal key, neither a row number nor another user's id.
    let client = App::shared().configuration("other");
    let other = client.created("/Users", &user("first"));
    for (number, external) in ["0", "1", "-1", other.as_str(), "me", "../Users"].iter().enumerate() {
        let id = client.created("/Users", &user_with(&format!("n{number}"), &json!({"externalId": external})));
        assert_ne!(&id, external);
        let found = client.find("/Users", &format!("externalId eq \"{external}\""));
        assert_eq!(found.len(), 1, "{external}");
        assert_eq!(found[0]["id"], id.as_str());
    }
    for path in ["/Users/0", "/Users/1", "/Users/-1"] {
        client.get(path).refused(404, "");
    }
}

#[test]
fn a_forged_host_header_is_never_used_in_answers() {
    // T18
    let client = App::shared().configuration("other");
    let evil = |request: crate::app::Request| {
        let mut request = request.header("Host", "evil.example");
        for name in ["X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host"] {
            request = request.header(name, "evil.example");
        }
        let reply =
            request.header("Forwarded", "host=evil.example;proto=https").header("X-Forwarded-Proto", "gopher").send();
        let wire = format!("{:?} {}", reply.answer.headers, String::from_utf8_lossy(&reply.answer.body));
        assert!(!wire.contains("evil.example") && !wire.contains("gopher"), "{wire}");
        reply
    };
    let made = evil(client.request("POST", "/Users").json(&user("x"))).answered(201);
    evil(client.request("POST", "/Groups").json(&group("g", &[&made.id()]))).answered(201);
    evil(client.request("GET", &format!("/Users/{}", made.id()))).answered(200);
    evil(client.request("GET", "/Users")).answered(200);
    evil(client.request("GET", "/Schemas")).answered(200);
    evil(client.request("GET", "/nothing"));
}
