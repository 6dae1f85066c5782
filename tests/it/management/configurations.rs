//! The five operations of the configuration API (S-001 to S-013).

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample;

fn one(id: &str) -> String {
    format!("{CONFIGURATIONS}/{id}")
}

fn listed(caller: &Caller, query: &str) -> Vec<Value> {
    let reply = caller.get(&format!("{CONFIGURATIONS}{query}")).answered(200);
    reply.json.as_array().unwrap_or_else(|| panic!("a bare array, not {}", reply.json)).clone()
}

fn ids(found: &[Value]) -> Vec<&str> {
    found.iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn a_configuration_has_seven_members_and_no_sync_until_the_identity_provider_wrote() {
    let operator = App::shared().operator();
    let client = operator.configuration("seven", "okta");
    let configuration = operator.get(&one(&client.id)).answered(200).json;
    let mut names: Vec<&String> = configuration.as_object().unwrap().keys().collect();
    names.sort();
    let seven = ["connectionName", "createdAt", "id", "lastSync", "source", "syncToUserManagement", "tenantId"];
    assert_eq!(names, seven);
    assert_eq!((&configuration["tenantId"], &configuration["source"]), (&json!("seven"), &json!("okta")));
    assert_eq!((&configuration["lastSync"], &configuration["syncToUserManagement"]), (&Value::Null, &json!(true)));
    assert!(configuration["createdAt"].as_str().unwrap().ends_with('Z'));

    client.created("/Users", &sample::user("synced"));
    assert!(operator.get(&one(&client.id)).answered(200).json["lastSync"].is_string());
}

#[test]
fn each_read_after_a_write_of_the_identity_provider_shows_it() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("read-your-writes", "okta");
    let text = |path: &str, key: &str| operator.get(path).answered(200).json[key].clone();
    let tokens = format!("{}/tokens", one(&client.id));
    let (mut last_sync, mut last_seen, mut last_use) = (String::new(), String::new(), String::new());
    for number in 0..100 {
        // Timestamps have milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(2));
        client.created("/Users", &sample::user(&format!("user-{number}")));
        let sync = text(&one(&client.id), "lastSync").as_str().unwrap_or_default().to_owned();
        assert!(sync > last_sync, "{number}: {sync} after {last_sync}");
        let list = listed(&operator, "?tenantId=read-your-writes");
        assert_eq!(list[0]["lastSync"], sync, "the list");
        client.get("/Users?count=1").answered(200);
        let settings = text(&format!("{}/settings", one(&client.id)), "lastSeen");
        let seen = settings.as_str().unwrap_or_default().to_owned();
        assert!(seen > last_seen && seen >= sync, "{number}: {seen} after {last_seen}");
        let used = operator.get(&tokens).answered(200).json["items"][0]["lastUsedAt"].clone();
        let used = used.as_str().unwrap_or_default().to_owned();
        assert!(used > last_use && used >= seen, "{number}: {used} after {last_use}");
        (last_sync, last_seen, last_use) = (sync, seen, used);
    }
    assert_eq!(text(&format!("{}/health", one(&client.id)), "lastSync"), last_sync);
    // A read is not a write.
    client.get("/Users?count=1").answered(200);
    assert_eq!(text(&one(&client.id), "lastSync"), last_sync);
    // The times are on disk soon, where a command finds them.
    let is_stored = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        String::from_utf8(app.succeeds(&["configuration", "list", "--output", "json"])).unwrap().contains(&last_sync)
    });
    assert!(is_stored);
}

#[test]
fn the_list_is_a_bare_array_and_its_filters_are_exact_and_combined() {
    let app = App::shared();
    let operator = app.operator();
    let first =
        operator.for_account("filters-1").post(CONFIGURATIONS, &json!({"source": "okta", "connectionName": "Main"}));
    let second = operator
        .for_account("filters-1")
        .post(CONFIGURATIONS, &json!({"source": "azure-ad", "connectionName": "Side"}));
    let third =
        operator.for_account("filters-2").post(CONFIGURATIONS, &json!({"source": "okta", "connectionName": "Main"}));
    let [first, second, third] = [first, second, third].map(|made| made.answered(201).text("id"));
    assert_eq!(ids(&listed(&operator, "?tenantId=filters-1")), [&*first, &*second]);
    assert_eq!(ids(&listed(&operator, "?tenantId=filters-1&source=okta")), [&*first]);
    assert_eq!(ids(&listed(&operator, "?connectionName=Main&tenantId=filters-2")), [&*third]);
    assert_eq!(ids(&listed(&operator, &format!("?id={second}"))), [&*second]);
    assert_eq!(ids(&listed(&operator.for_account("filters-2"), "")), [&*third]);
    let everything = listed(&operator, "");
    assert!([&first, &second, &third].iter().all(|id| ids(&everything).contains(&id.as_str())));
    for nothing in
        ["?tenantId=Filters-1", "?tenantId=filters-1&source=ok", "?id=1", "?connectionName=main&tenantId=filters-1"]
    {
        assert_eq!(listed(&operator, nothing), [] as [Value; 0], "{nothing}");
    }
}

#[test]
fn only_the_source_is_required_and_unknown_members_are_ignored() {
    let operator = App::shared().operator().for_account("posts");
    let made = operator.post(CONFIGURATIONS, &json!({"source": "other"})).answered(201);
    let mut names: Vec<&String> = made.json.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["connectionName", "id", "token"]);
    assert!(!made.text("connectionName").is_empty() && made.text("token").len() > 40);
    let body = json!({"source": "frontegg", "id": "", "tenantId": "elsewhere", "token": "", "connectionName": " Named ",
        "createdAt": "0001-01-01T00:00:00Z", "syncToUserManagement": false, "more": [1, {"a": null, "A": 1.0}]});
    let made = operator.post(CONFIGURATIONS, &body).answered(201);
    assert_eq!(made.text("connectionName"), "Named");
    let configuration = operator.get(&one(&made.text("id"))).answered(200).json;
    assert_eq!((&configuration["tenantId"], &configuration["syncToUserManagement"]), (&json!("posts"), &json!(false)));
}

#[test]
fn a_body_that_cannot_be_used_is_refused_by_the_name_of_the_member() {
    let operator = App::shared().operator().for_account("refusals");
    for (body, named) in [
        (json!({}), "source"),
        (json!({"source": "google"}), "source"),
        (json!({"source": 1}), "source"),
        (json!({"source": "okta", "connectionName": ""}), "connectionName"),
        (json!({"source": "okta", "connectionName": "x".repeat(65)}), "connectionName"),
        (json!({"source": "okta", "connectionName": 5}), "connectionName"),
        (json!({"source": "okta", "syncToUserManagement": "yes"}), "syncToUserManagement"),
        (json!({"source": "okta", "staged": "yes"}), "staged"),
        (json!({"source": "okta", "staged": true, "syncToUserManagement": true}), "syncToUserManagement"),
        (json!({"source": "okta", "preset": "lax"}), "preset"),
        (json!([]), ""),
        (json!("okta"), ""),
    ] {
        let refused = operator.post(CONFIGURATIONS, &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
    for bytes in [&b"{"[..], b"", b"{\"source\":\"okta\",\"source\":\"other\"}", b"\xff", b"null"] {
        let request = operator.request("POST", CONFIGURATIONS).body(bytes).header("Content-Type", "application/json");
        request.send().problem(400);
    }
    operator
        .request("POST", CONFIGURATIONS)
        .body(b"source=okta")
        .header("Content-Type", "text/plain")
        .send()
        .problem(415);
    let operator = App::shared().operator();
    let refused = operator.post(CONFIGURATIONS, &json!({"source": "okta"})).problem(400);
    assert!(refused.text("message").contains("frontegg-tenant-id"), "{}", refused.json);
    let twice = operator.for_account("refusals").request("GET", CONFIGURATIONS);
    let refused = twice.also("frontegg-tenant-id", "refusals-other").send().problem(400);
    assert!(refused.text("message").contains("one account"), "{}", refused.json);
    assert_eq!(listed(&operator.for_account("refusals"), ""), [] as [Value; 0]);
}

#[test]
fn a_name_is_taken_once_in_an_account() {
    let operator = App::shared().operator();
    let body = json!({"source": "okta", "connectionName": "Taken"});
    operator.for_account("names-1").post(CONFIGURATIONS, &body).answered(201);
    operator.for_account("names-1").post(CONFIGURATIONS, &body).problem(409);
    operator.for_account("names-2").post(CONFIGURATIONS, &body).answered(201);
}

#[test]
fn a_foreign_configuration_is_answered_like_an_unknown_one() {
    let app = App::shared();
    let operator = app.operator();
    let theirs = operator.configuration("theirs", "okta").id;
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mine = app.account_key("mine", &[]);
    for caller in [&mine, &operator.for_account("mine")] {
        for id in [theirs.as_str(), never] {
            let found = caller.get(&one(id)).problem(404);
            assert_eq!(found.text("message").replace(id, "ID"), "there is no configuration ID");
            caller.patch(&one(id), &json!({"syncToUserManagement": false})).problem(404);
            caller.patch(&one(id), &json!({"syncToUserManagement": "x"})).problem(404);
            caller.delete(&one(id)).problem(404);
            caller.get(&format!("/directory/resources/scim/temp/{id}/Users/count")).problem(404);
        }
    }
    assert_eq!(listed(&mine, "?tenantId=theirs"), [] as [Value; 0]);
    mine.for_account("theirs").get(CONFIGURATIONS).problem(403);
    mine.for_account("theirs").post(CONFIGURATIONS, &json!({"source": "okta"})).problem(403);
    operator.get(&one(&theirs)).answered(200);
}

#[test]
fn pausing_returns_no_body_and_is_visible_at_once() {
    let operator = App::shared().operator();
    let id = operator.configuration("pauses", "okta").id;
    for sync in [false, false, true] {
        let body = json!({"syncToUserManagement": sync, "connectionName": "ignored", "source": 5});
        let reply = operator.patch(&one(&id), &body).answered(204);
        assert_eq!(reply.header("content-type"), "");
        let configuration = operator.get(&one(&id)).answered(200).json;
        assert_eq!(configuration["syncToUserManagement"], sync);
        assert_ne!(configuration["connectionName"], "ignored");
    }
    for body in [json!({}), json!({"syncToUserManagement": null}), json!({"syncToUserManagement": "true"})] {
        let refused = operator.patch(&one(&id), &body).problem(400);
        assert!(refused.text("message").contains("syncToUserManagement"), "{}", refused.json);
    }
}

#[test]
fn a_deleted_configuration_is_not_found_and_its_token_is_refused() {
    let operator = App::shared().operator();
    let client = operator.configuration("deletes", "okta");
    client.created("/Users", &sample::user("left"));
    // Some clients send a content type without a body.
    let request = operator.request("DELETE", &one(&client.id)).header("Content-Type", "application/json");
    request.send().answered(204);
    client.get("/Users").refused(401, "");
    operator.get(&one(&client.id)).problem(404);
    operator.delete(&one(&client.id)).problem(404);
    assert_eq!(listed(&operator.for_account("deletes"), ""), [] as [Value; 0]);
}

#[test]
fn users_stay_after_a_deletion_without_purge() {
    let operator = App::shared().operator();
    let purged = |body: Option<Value>, query: &str| {
        let client = operator.configuration("purges", "okta");
        client.created("/Users", &sample::user("ada"));
        let request = operator.request("DELETE", &format!("{}{query}", one(&client.id)));
        let request =
            body.map_or(request.clone(), |body| request.json(&body).header("Content-Type", "application/json"));
        request.send().answered(204);
        // A second purge succeeds only if there are leftovers.
        operator.delete(&format!("{}?purge=true", one(&client.id))).status == 404
    };
    assert!(!purged(None, ""));
    assert!(!purged(Some(json!({"deleteAll": false})), ""));
    assert!(!purged(Some(json!({})), "?purge=false"));
    assert!(purged(Some(json!({"deleteAll": true})), ""));
    assert!(purged(None, "?purge=true"));
    assert!(purged(None, "?deleteAll=true"));
    let id = operator.configuration("purges", "okta").id;
    let wrong = operator.request("DELETE", &one(&id)).json(&json!({"deleteAll": 1}));
    wrong.header("Content-Type", "application/json").send().problem(400);
    operator.get(&one(&id)).answered(200);
}

#[test]
fn the_token_is_valid_only_for_its_provisioning_url() {
    let operator = App::shared().operator();
    let client = operator.configuration("opens", "other");
    client.created("/Users", &sample::user("first"));
    let count = operator.get(&format!("/directory/resources/scim/temp/{}/Users/count", client.id)).answered(200);
    assert_eq!(count.json, json!({"count": 1}));
    operator.with(&client.token).get(CONFIGURATIONS).problem(401);
    let secret = operator.credential.clone().unwrap();
    client.request("GET", "/Users").header("Authorization", &format!("Bearer {secret}")).send().refused(401, "");
}

#[test]
fn every_spelling_of_the_address_is_served() {
    let operator = App::shared().operator();
    let client = operator.configuration("spellings", "other");
    for base in ["/directory", "/frontegg/directory", ""] {
        let address = format!("{base}/resources/v1/configurations/scim2");
        for path in [
            address.clone(),
            format!("{address}/"),
            format!("{address}/{}", client.id),
            format!("{address}/{}/", client.id),
        ] {
            operator.get(&path).answered(200);
        }
        operator.get(&format!("{base}/resources/scim/temp/{}/Users/count", client.id)).answered(200);
    }
    let by_header = operator.request("GET", CONFIGURATIONS).without("Authorization");
    by_header.header("x-access-token", &operator.credential.clone().unwrap()).send().answered(200);
}

#[test]
fn an_unsupported_method_is_refused_with_the_allowed_ones() {
    let operator = App::shared().operator();
    let refused = operator.request("PUT", CONFIGURATIONS).send().problem(405);
    assert_eq!(refused.header("allow"), "GET, HEAD, POST");
    let asked = operator.request("OPTIONS", CONFIGURATIONS).send().answered(204);
    assert_eq!(asked.header("allow"), "GET, HEAD, POST");
    operator.request("HEAD", CONFIGURATIONS).send().answered(200);
    operator.get("/directory/resources/v1/nothing").problem(404);
}
