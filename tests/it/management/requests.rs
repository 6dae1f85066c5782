//! The request log: what an identity provider sent and received, for troubleshooting.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{operation, user, user_with};

fn log_of(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/requests", client.id)
}

fn listed(caller: &Caller, client: &Client, query: &str) -> Vec<Value> {
    let reply = caller.get(&format!("{}{query}", log_of(client))).answered(200);
    reply.json["items"].as_array().unwrap_or_else(|| panic!("items in {}", reply.json)).clone()
}

/// Waits until the log has that many calls; it is written with a delay.
#[track_caller]
fn written(caller: &Caller, client: &Client, calls: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = listed(caller, client, "");
        if found.len() >= calls || begun.elapsed() > Duration::from_mins(1) {
            assert_eq!(found.len(), calls, "{found:#?}");
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The call with its bodies, by the request id of its answer.
#[track_caller]
fn whole(caller: &Caller, client: &Client, reply: &Reply) -> Value {
    caller.get(&format!("{}/{}", log_of(client), reply.header("x-request-id"))).answered(200).json
}

#[test]
fn queries_whose_clients_have_gone_end() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let operator = app.operator();
    let client = operator.configuration("gone", "other");
    let user = |number: usize| {
        let emails = json!([{"value": format!("{number}@example.com")}, {"value": format!("{number}@home.example")}]);
        let data = user_with(&format!("u{number}"), &json!({"emails": emails}));
        json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": data})
    };
    let users: Vec<Value> = (0..1_000).map(user).collect();
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": users});
    client.post("/Bulk", &bulk).answered(200);
    let term = |number: usize| format!("emails.value%20co%20%22zz{number}%22");
    let filter = (0..30).map(term).collect::<Vec<_>>().join("%20or%20");
    let request = format!(
        "GET {}/Users?filter={filter} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        client.base, client.token
    );
    let send = |_| {
        let mut stream = std::net::TcpStream::connect(client.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    // They are sent, and then their clients end.
    drop((0..40).map(send).collect::<Vec<_>>());
    let begun = Instant::now();
    loop {
        let found = listed(&operator, &client, "?limit=100");
        let ended = found.iter().filter(|call| call["reason"] == "client_disconnected").count();
        if ended > 0 {
            assert!(found.iter().all(|call| [json!(200), json!(408)].contains(&call["status"])), "{found:#?}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{found:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn every_call_is_logged_with_request_and_answer() {
    let operator = App::shared().operator();
    let client = operator.configuration("requests", "okta");
    let sent = user("logged");
    let made = client.post("/Users", &sent).answered(201);
    let id = made.id();
    client.get("/Users?filter=userName%20eq%20%22unknown%22").answered(200);
    client.post("/Users", &sent).refused(409, "uniqueness");
    let changed = client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!("False"))).answered(200);
    client.delete(&format!("/Users/{id}")).answered(204);
    let calls = written(&operator, &client, 5);
    let outcomes: Vec<_> = calls.iter().map(|call| (call["method"].clone(), call["status"].clone())).collect();
    let newest_first = [("DELETE", 204), ("PATCH", 200), ("POST", 409), ("GET", 200), ("POST", 201)];
    assert_eq!(outcomes, newest_first.map(|(method, status)| (json!(method), json!(status))));
    let [deleted, patched, refused, searched, created] = &calls[..] else { panic!("five calls") };
    for call in [deleted, patched, created] {
        assert_eq!((&call["resourceType"], &call["resourceId"]), (&json!("User"), &json!(id)), "{call}");
    }
    assert_eq!(searched["path"], format!("{}/Users?filter=userName%20eq%20%22unknown%22", client.base));
    assert_eq!((&refused["scimType"], &refused["failed"]), (&json!("uniqueness"), &json!(true)));
    assert!(refused["detail"].as_str().unwrap().contains("userName"), "{refused}");
    assert_eq!(created["id"], made.header("x-request-id"));
    assert!(created["durationUs"].as_i64().unwrap() > 0 && created["tokenId"].is_string());
    assert!(patched["notes"].to_string().contains("active"), "what was normalised: {patched}");
    let patched = whole(&operator, &client, &changed);
    let text = patched["responseBody"]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), changed.json);
    assert_eq!(whole(&operator, &client, &made)["requestBody"]["text"], sent.to_string());
    assert_eq!(whole(&operator, &client, &made)["requestBody"]["cut"], false);
}

#[test]
fn the_cause_of_a_wrong_token_is_recognized() {
    let operator = App::shared().operator();
    let client = operator.configuration("near-misses", "azure-ad");
    let other = operator.configuration("near-misses-2", "okta");
    let unknown = format!("rct_{}", "Ab1".repeat(15));
    for (header, refusal, hint) in [
        (None, "no_token", None),
        (Some(format!("Bearer Bearer {}", client.token)), "double_bearer", None),
        (Some(client.token.clone()), "no_scheme", None),
        (Some("Basic dXNlcjpwYXNz".to_owned()), "malformed", None),
        (Some("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned()), "foreign_token", None),
        (Some(format!("Bearer {unknown}")), "unknown_token", Some("1Ab1")),
        (Some(format!("Bearer {}", other.token)), "other_configuration", Some(&other.token[other.token.len() - 4..])),
    ] {
        let request = client.request("GET", "/Users").without("Authorization");
        let request = if let Some(header) = &header { request.header("Authorization", header) } else { request };
        let reply = request.send().refused(401, "");
        let begun = Instant::now();
        let call = loop {
            let found = operator.get(&format!("{}/{}", log_of(&client), reply.header("x-request-id")));
            if found.status == 200 || begun.elapsed() > Duration::from_mins(1) {
                break found.answered(200).json;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(
            (&call["refusal"], &call["tokenHint"]),
            (&json!(refusal), &json!(hint.map(|hint| &hint[hint.len() - 4..])))
        );
        assert_eq!((&call["status"], &call["tokenId"]), (&json!(401), &Value::Null), "{call}");
        assert!(!call.to_string().contains(&client.token) && !call.to_string().contains(&unknown), "{call}");
    }
    assert!(listed(&operator, &other, "").is_empty(), "the other configuration logs nothing");
}

#[test]
fn a_rotated_token_is_recognized_with_its_id() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("pushed-out", "okta");
    client.get("/Users").answered(200);
    let token_id = written(&operator, &client, 1)[0]["tokenId"].clone();
    for _ in 0..2 {
        app.succeeds(&["token", "rotate", &client.id]);
    }
    client.get("/Users").refused(401, "");
    // The same without the configuration in the path: the revoked token identifies it.
    client.request_to("GET", "/scim/v2/Users").send().refused(401, "");
    for call in &written(&operator, &client, 3)[..2] {
        assert_eq!((&call["refusal"], &call["tokenId"]), (&json!("revoked_token"), &token_id), "{call}");
    }
}

#[test]
fn consecutive_failures_are_counted_and_reset_by_a_successful_call() {
    let app = App::shared();
    let operator = app.operator();
    let mut client = operator.configuration("log-health", "okta");
    let health = || operator.get(&format!("{CONFIGURATIONS}/{}/health", client.id)).answered(200).json;
    assert_eq!((&health()["recentCalls"], &health()["lastSeen"]), (&json!(0), &Value::Null));
    let wrong = client.request("GET", "/Users").header("Authorization", &format!("Bearer rct_{}", "Q".repeat(43)));
    for _ in 0..3 {
        wrong.send().refused(401, "");
    }
    client.request("GET", "/Users").without("Authorization").send().refused(401, "");
    written(&operator, &client, 4);
    let current = health();
    assert_eq!(
        (&current["authFailures"], &current["recentCalls"], &current["failing"]),
        (&json!(0), &json!(0), &json!(false)),
        "calls without a token of the configuration do not change its state"
    );
    let revoked = client.clone();
    for _ in 0..2 {
        let rotated = String::from_utf8(app.succeeds(&["token", "rotate", &client.id])).unwrap();
        let start = rotated.find("rct_").unwrap();
        client.token = rotated[start..start + 47].to_owned();
    }
    for _ in 0..3 {
        revoked.get("/Users").refused(401, "");
    }
    written(&operator, &client, 7);
    let current = health();
    assert_eq!(
        (&current["authFailures"], &current["failures"], &current["failing"]),
        (&json!(3), &json!(3), &json!(true))
    );
    client.get("/Users/absent").refused(404, "");
    client.created("/Users", &user("healthy"));
    written(&operator, &client, 9);
    let current = health();
    assert_eq!(
        (&current["authFailures"], &current["failures"], &current["failing"]),
        (&json!(0), &json!(0), &json!(false))
    );
    assert_eq!((&current["recentFailures"], &current["recentCalls"]), (&json!(3), &json!(5)));
    assert!(current["lastSeen"].is_string() && current["lastSync"].is_string() && current["lastFailure"].is_string());
}

#[test]
fn passwords_and_tokens_are_never_logged() {
    let operator = App::shared().operator();
    let client = operator.configuration("log-secrets", "okta");
    let secret = "Tr0ub4dor-and-3";
    let first = client.post("/Users", &user_with("one", &json!({"Password": secret}))).answered(201);
    let id = first.id();
    let patch = client.patch(&format!("/Users/{id}"), &operation("replace", "password", &json!(secret)));
    let many: Vec<Value> = (0..100)
        .map(|number| {
            json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
                "data": user_with(&format!("bulk-{number}"), &json!({"password": secret, "title": "x".repeat(300)}))})
        })
        .collect();
    let bulk = client
        .post("/Bulk", &json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": many}));
    client.get(&format!("/Users?filter=password%20eq%20%22{secret}%22"));
    client.get(&format!("/Users?access_token={}", client.token));
    let broken = client.request("POST", "/Users").header("Content-Type", "application/scim+json");
    let broken = broken.body(format!("{{\"password\": '{secret}'").as_bytes()).send().answered(400);
    let calls = written(&operator, &client, 6);
    assert!(!json!(calls).to_string().contains(secret) && !json!(calls).to_string().contains(&client.token));
    for reply in [&first, &patch, &bulk, &broken] {
        let call = whole(&operator, &client, reply);
        assert!(!call.to_string().contains(secret), "{call}");
        assert!(call["requestBody"]["bytes"].as_u64().unwrap() > 20, "{call}");
    }
    let bulk = whole(&operator, &client, &bulk);
    assert_eq!(bulk["requestBody"]["cut"], true);
    assert!(bulk["requestBody"]["text"].as_str().unwrap().len() <= 16 * 1024);
    assert!(bulk["requestBody"]["text"].as_str().unwrap().contains(r#""password":"***""#));
    assert_eq!(whole(&operator, &client, &broken)["requestBody"]["text"], Value::Null);
}

#[test]
fn without_directory_permission_values_in_calls_are_masked() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("log-masks", "okta");
    let made = client.post("/Users", &user("hidden-user")).answered(201);
    client.get("/Users?filter=userName%20eq%20%22hidden-user%22").answered(200);
    let refused = client.post("/Users", &user("hidden-user")).refused(409, "uniqueness");
    written(&operator, &client, 3);
    let helper = app.account_key("log-masks", &["requests.read"]);
    let calls = listed(&helper, &client, "");
    assert!(calls.len() == 3 && !json!(calls).to_string().contains("hidden-user"), "{calls:#?}");
    assert!(calls[1]["path"].as_str().unwrap().contains("userName%20eq%20%22***%22"), "{}", calls[1]);
    for reply in [&made, &refused] {
        let call = whole(&helper, &client, reply);
        assert!(!call.to_string().contains("hidden-user"), "{call}");
        assert!(call["requestBody"]["text"].as_str().unwrap().contains(r#""userName":"***""#), "{call}");
    }
    assert!(listed(&helper, &client, "?text=hidden-user").is_empty(), "a search does not reveal it either");
    assert_eq!(listed(&operator, &client, "?text=HIDDEN-user").len(), 3);
    assert_eq!(listed(&helper, &client, &format!("?text={}", made.id())).len(), 1);
}

#[test]
fn the_list_is_filtered_and_paged() {
    let operator = App::shared().operator();
    let client = operator.configuration("log-pages", "okta");
    let id = client.created("/Users", &user("paged"));
    client.get(&format!("/Users/{id}")).answered(200);
    client.get("/Users/absent").refused(404, "");
    client.put(&format!("/Users/{id}"), &json!({})).with_scim_error();
    let all = written(&operator, &client, 4);
    for (query, expected) in [
        ("?status=failed", vec![0]),
        ("?status=ok", vec![1, 2, 3]),
        ("?status=4xx", vec![0, 1]),
        ("?status=404", vec![1]),
        ("?method=GET", vec![1, 2]),
        (&format!("?resource={id}"), vec![0, 2, 3]),
        ("?text=ABSENT", vec![1]),
        ("?status=ok&method=GET&limit=1", vec![1]),
        ("?until=2020-01-01T00:00:00Z", vec![]),
        ("?since=2020-01-01T00:00:00Z&until=2120-01-01T00:00:00%2B01:00", vec![0, 1, 2, 3]),
        (&format!("?since={}", all[1]["at"].as_str().unwrap()), vec![0, 1]),
    ] {
        let expected: Vec<&Value> = expected.into_iter().map(|number: usize| &all[number]).collect();
        let found = listed(&operator, &client, query);
        // Two calls may have the same millisecond.
        let same = found.iter().filter(|call| expected.contains(call)).count() == expected.len();
        assert!(same && (found.len() == expected.len() || query.starts_with("?since=")), "{query}: {found:#?}");
    }
    let (mut walked, mut next) = (Vec::new(), String::new());
    loop {
        let page = operator.get(&format!("{}?limit=1{next}", log_of(&client))).answered(200).json;
        walked.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(walked, all);
    for wrong in ["?status=bad", "?since=now", "?until=x", "?cursor=x", "?limit=0", "?text=", "?status=9xx"] {
        operator.get(&format!("{}{wrong}", log_of(&client))).problem(400);
    }
    let other = App::shared().account_key("other-account", &["requests.read"]);
    let foreign = other.get(&log_of(&client)).problem(404).json["message"].to_string();
    assert_eq!(
        foreign.replace(&client.id, ""),
        other.get(&log_of(&client).replace(&client.id, &id)).problem(404).json["message"].to_string().replace(&id, "")
    );
    operator.get(&format!("{}/{id}", log_of(&client))).problem(404);
}

#[test]
fn clearing_the_request_log_is_audited() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("log-empties", "okta");
    for _ in 0..3 {
        client.get("/Users").answered(200);
    }
    written(&operator, &client, 3);
    app.account_key("log-empties", &["requests.read"]).delete(&log_of(&client)).problem(403);
    app.account_key("log-empties", &["provisioning.delete"]).delete(&log_of(&client)).answered(204);
    assert!(listed(&operator, &client, "").is_empty());
    let audit = operator.get("/directory/resources/v1/audit?account=log-empties&action=requests.emptied").answered(200);
    assert_eq!(audit.json["items"][0]["before"], json!({"calls": 3}));
    client.get("/Users").answered(200);
    written(&operator, &client, 1);
}

#[test]
fn logged_calls_survive_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.operator().configuration("stops", "okta");
    let made: Vec<Reply> =
        (0..300).map(|number| client.post("/Users", &user(&format!("u{number}"))).answered(201)).collect();
    assert_eq!(app.terminate(), Some(0));
    let app = App::start(folder.path());
    let operator = app.operator();
    let client = client.at(app.address);
    for reply in &made {
        whole(&operator, &client, reply);
    }
    app.kill();
}
