//! A request of the log is sent again by the server.

use serde_json::json;

use crate::app::{Client, Request, wait_until};
use crate::caller::CONFIGURATIONS;
use crate::portal::browser::{Browser, Page, own_app, wait_for_text};
use crate::sample::{operation, user, user_with};

/// The path of the page of the newest request whose line contains the text.
#[track_caller]
fn page_of_request(browser: &mut Browser, client: &Client, text: &str) -> String {
    let list = wait_for_text(browser, &format!("/connections/{}/requests", client.id), text);
    let start = format!("/connections/{}/requests/01", client.id);
    let row = list.text.split("<tr").find(|row| row.contains(text) && row.contains(&start));
    let row = row.unwrap_or_else(|| panic!("no request with {text} in {}", list.text));
    format!("{start}{}", row.split(&start).nth(1).unwrap().split('"').next().unwrap())
}

/// The user names that the connection has.
fn names(client: &Client) -> Vec<String> {
    let list = client.get("/Users?sortBy=userName").answered(200).json;
    let resources = list["Resources"].as_array().cloned().unwrap_or_default();
    resources.iter().map(|one| one["userName"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rejected_request_is_sent_again_after_the_fix() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("replays", "okta");
    let first = client.created("/Users", &user("ann@replays.example"));
    client.post("/Users", &user("ANN@replays.example")).answered(409);
    client.delete(&format!("/Users/{first}")).answered(204);
    let path = page_of_request(&mut owner, &client, "Rejected: userName is taken");
    let page = owner.get(&path).answered(200);
    assert!(page.contains(&format!("href=\"{path}/replay\">Send again…")), "{}", page.text);
    let page = owner.get(&format!("{path}/replay")).answered(200);
    for text in ["POST /directory/resources/scim", "ANN@replays.example", "as if Okta had sent it", "If-Match"] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    assert!(names(&client).is_empty());
    let page = owner.submit(&format!("{path}/replay"), &[]).answered(200);
    assert!(page.contains("Sent again. The request log") && page.contains("<dt>Response</dt><dd>201"), "{}", page.text);
    assert!(page.contains(&format!("as <a href=\"{path}\">")), "the new request links to the first: {}", page.text);
    assert_eq!(names(&client), ["ANN@replays.example"]);
    let new = page.at.split('?').next().unwrap().to_owned();
    assert_ne!(new, path);
    let page = owner.get(&path).answered(200);
    assert!(page.contains("<dt>Repeated by</dt>") && page.contains(&new), "{}", page.text);
    let list = owner.get(&format!("/connections/{}/requests", client.id));
    assert!(list.contains("Sent again by "), "{}", list.text);
    let audit = app.operator().get("/directory/resources/v1/audit?action=requests.replayed").answered(200).json;
    let ids = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(audit["items"][0]["after"], json!({"request": ids(&path), "replay": ids(&new)}), "{audit}");
    assert_eq!(audit["items"][0]["configurationId"], client.id);
    let events = app.operator().get("/directory/resources/v1/events?limit=100").answered(200).json;
    assert_eq!(events["events"].as_array().unwrap().last().unwrap()["kind"], "user.created");
}

#[test]
fn a_replay_is_no_request_of_the_identity_provider() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let operator = app.operator();
    let client = app.configuration_of("replays", "okta");
    let id = client.created("/Users", &user("ann@replays.example"));
    client.patch(&format!("/Users/{id}"), &operation("replace", "title", &json!(7))).answered(400);
    let path = page_of_request(&mut owner, &client, ">400<");
    let health = || operator.get(&format!("{CONFIGURATIONS}/{}/health", client.id)).answered(200).json;
    wait_until("both calls are counted", || health()["recentCalls"] == 2);
    let before = health();
    // It fails like the first time, and this does not count as a failure of the provider.
    let page = owner.submit(&format!("{path}/replay"), &[]).answered(200);
    assert!(page.contains("<dt>Response</dt><dd>400"), "{}", page.text);
    assert_eq!(health(), before);
}

#[test]
fn the_page_says_why_a_request_cannot_be_sent_again() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("replays", "okta");
    client.created("/Users", &user_with("secret@replays.example", &json!({"password": "correct horse battery"})));
    let escaped =
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"escaped\u0040replays.example"}"#;
    client.request("POST", "/Users").body(escaped.as_bytes()).send().answered(201);
    client.created("/Users", &user_with("long@replays.example", &json!({"title": "x".repeat(20_000)})));
    Client { token: "rct_unknown".to_owned(), ..client.clone() }.delete("/Users/7").answered(401);
    let base = format!("/connections/{}/requests", client.id);
    wait_for_text(&mut owner, &base, "Created </a>");
    // Its JSON is stored in another spelling.
    let path = page_of_request(&mut owner, &client, "escaped@replays.example");
    let page = owner.submit(&format!("{path}/replay"), &[]).answered(200);
    assert!(page.contains("<dt>Response</dt><dd>409"), "{}", page.text);
    for (text, sentence) in [
        ("secret@replays.example", "A secret or unreadable text was removed from the request"),
        ("long@replays.example", "Only the beginning of the request was stored"),
        ("not issued by this server", "The request had no valid token"),
    ] {
        let path = page_of_request(&mut owner, &client, text);
        let page = owner.get(&path).answered(200);
        assert!(page.contains(sentence) && !page.contains("Send again…"), "{text}: {}", page.text);
        let page = owner.get(&format!("{path}/replay")).answered(200);
        assert!(page.contains(sentence) && !page.contains("<button class=\"primary\">Send again"), "{}", page.text);
        assert!(owner.submit(&format!("{path}/replay"), &[]).answered(409).contains(sentence));
    }
}

#[test]
fn a_replay_needs_the_permissions_to_write_users_and_to_read_requests() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("replays", "okta");
    let id = client.created("/Users", &user("ann@replays.example"));
    client.delete(&format!("/Users/{id}")).answered(204);
    let path = page_of_request(&mut owner, &client, "DELETE</td>");
    let mut manager = Browser::with_role(&app, "provisioning-manager", Some("replays"));
    manager.get(&format!("{path}/replay")).answered(200);
    manager.submit(&format!("{path}/replay"), &[]).answered(200);
    for (role, account) in [("viewer", None), ("viewer", Some("replays"))] {
        let mut other = Browser::with_role(&app, role, account);
        other.get(&format!("{path}/replay")).answered(403);
        other.submit(&format!("{path}/replay"), &[]).answered(403);
    }
    app.configuration_of("elsewhere", "okta");
    let mut other = Browser::with_role(&app, "provisioning-manager", Some("elsewhere"));
    other.get(&format!("{path}/replay")).answered(404);
    other.submit(&format!("{path}/replay"), &[]).answered(404);
    let fields = [("name", "Writer"), ("provisioning.tokens", "on"), ("directory.read", "on")];
    owner.submit("/settings/roles/new", &fields).answered(200);
    let roles = owner.get("/settings/roles");
    let role = roles.text.rsplit("/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
    let mut blind = Browser::with_role(&app, &role, None);
    let page = blind.get(&format!("{path}/replay")).answered(403);
    assert!(page.contains("requests.read"), "{}", page.text);
    blind.submit(&format!("{path}/replay"), &[]).answered(403);
}

#[test]
fn a_replay_follows_the_settings_of_now() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let operator = app.operator();
    let client = app.configuration_of("replays", "okta");
    let id = client.created("/Users", &user("ann@replays.example"));
    client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!("False"))).answered(200);
    let path = page_of_request(&mut owner, &client, "Deactivated");
    client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!(true))).answered(200);
    let settings = format!("{CONFIGURATIONS}/{}/settings", client.id);
    operator.patch(&settings, &json!({"switches": {"input": "strict"}})).answered(200);
    let rejected = owner.submit(&format!("{path}/replay"), &[]).answered(200);
    assert!(rejected.contains("<dt>Response</dt><dd>400"), "{}", rejected.text);
    operator.patch(&settings, &json!({"switches": {"input": "lenient"}})).answered(200);
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &json!({"syncToUserManagement": false})).answered(204);
    let page = owner.get(&format!("{path}/replay")).answered(200);
    assert!(page.contains("The connection is paused: the change is stored"), "{}", page.text);
    let accepted: Page = owner.submit(&format!("{path}/replay"), &[]).answered(200);
    assert!(accepted.contains("<dt>Response</dt><dd>200"), "{}", accepted.text);
    assert_eq!(client.get(&format!("/Users/{id}")).answered(200).json["active"], false);
    let events = operator.get("/directory/resources/v1/events?limit=100").answered(200).json;
    let last = events["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["data"], json!({"syncToUserManagement": false}), "the change is not published: {last}");
}

#[test]
fn a_program_sends_a_call_again() {
    let (app, _folder) = own_app();
    let operator = app.operator();
    let client = app.configuration_of("replays", "other");
    let read = client.get("/Users?count=1").answered(200);
    let id = read.header("x-request-id").to_owned();
    let log = format!("{CONFIGURATIONS}/{}/requests", client.id);
    wait_until("the call is logged", || operator.get(&format!("{log}/{id}")).status == 200);
    let done = operator.post(&format!("{log}/{id}/replay"), &json!({})).answered(200).json;
    assert_eq!((&done["status"], &done["replayOf"]), (&json!(200), &json!(id)));
    let new = operator.get(&format!("{log}/{}", done["requestId"].as_str().unwrap())).answered(200).json;
    assert_eq!(
        (&new["replayOf"], &new["path"], &new["status"]),
        (&json!(id), &json!(format!("{}/Users?count=1", client.base)), &json!(200))
    );
    assert!(new["replayedBy"].as_str().is_some_and(|name| !name.is_empty()), "{new}");
    assert_eq!(operator.get(&format!("{log}/{id}")).answered(200).json["replayOf"], json!(null));
    let wrong = Request::new(app.address, "DELETE", &format!("{}/Users/7", client.base)).send();
    assert_eq!(wrong.status, 401);
    wait_until("the rejected call is logged", || operator.get(&log).json["items"].as_array().unwrap().len() == 3);
    let items = operator.get(&format!("{log}?status=401")).answered(200).json;
    let rejected = items["items"][0]["id"].as_str().unwrap().to_owned();
    let refused = operator.post(&format!("{log}/{rejected}/replay"), &json!({})).answered(409).json;
    assert_eq!(refused["errorCode"], "replay_unauthenticated");
    operator.post(&format!("{log}/01890a5d-ac96-774b-bcce-b302099a8057/replay"), &json!({})).answered(404);
}
