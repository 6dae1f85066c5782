//! Staged configurations: paused from the start, with a preview of what the application would receive.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::Consumer;
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::Browser;
use crate::sample::{ENTERPRISE, group, operation, user, user_with};

/// Bulk requests and users of the test of costs.
const JOBS: usize = 6;
const USERS_PER_JOB: usize = 500;
/// Most milliseconds of one preview of them, in a build without optimization.
const PREVIEW_MILLIS_MAX: u64 = 1_500;

fn path_of(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}", client.id)
}

/// A new staged configuration.
fn staged(operator: &Caller, account: &str) -> Client {
    let made = operator.for_account(account).post(CONFIGURATIONS, &json!({"source": "other", "staged": true}));
    let made = made.answered(201);
    let base = format!("/directory/resources/scim/v2.0/{}", made.text("id"));
    let url = format!("http://{}{base}", operator.address);
    Client { address: operator.address, token: made.text("token"), id: made.text("id"), base, url }
}

fn go_live(operator: &Caller, client: &Client) {
    operator.patch(&path_of(client), &json!({"syncToUserManagement": true})).answered(204);
}

fn preview(caller: &Caller, client: &Client, query: &str) -> Value {
    caller.get(&format!("{}/preview{query}", path_of(client))).answered(200).json
}

/// A problem of a preview: its count, and the names of its items.
#[track_caller]
fn problem(preview: &Value, name: &str) -> (u64, Vec<String>) {
    let problems = preview["problems"].as_array().unwrap();
    let found = problems.iter().find(|one| one["problem"] == name).unwrap_or_else(|| panic!("{name} in {preview}"));
    let items = found["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
    (found["count"].as_u64().unwrap(), items.collect())
}

fn with_email(name: &str, address: &str) -> Value {
    user_with(name, &json!({"emails": [{"value": address, "primary": true}]}))
}

#[test]
fn a_staged_configuration_publishes_nothing_until_it_goes_live() {
    let operator = App::shared().operator();
    let client = staged(&operator, "staged");
    let account = operator.for_account("staged");
    let mut consumer = Consumer::from_now(&account);
    let document = operator.get(&path_of(&client)).answered(200).json;
    assert_eq!((&document["staged"], &document["syncToUserManagement"]), (&json!(true), &json!(false)));
    let listed = operator.get(&format!("{CONFIGURATIONS}?tenantId=staged")).answered(200).json;
    assert_eq!(listed[0]["staged"], true);
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    client.patch(&format!("/Users/{bob}"), &operation("replace", "active", &json!(false))).answered(200);
    let team = client.created("/Groups", &group("Team", &[&ada, &bob]));
    assert_eq!(consumer.kinds(), [] as [&str; 0]);
    assert!(all(&account, "/directory/resources/v1/users", "").is_empty());
    let found = preview(&operator, &client, "");
    assert_eq!(found["counts"], json!({"users": 2, "activeUsers": 1, "groups": 1, "memberships": 2}));
    assert_eq!((&found["staged"], &found["syncToUserManagement"]), (&json!(true), &json!(false)));
    // Another pause of a staged configuration changes nothing.
    operator.patch(&path_of(&client), &json!({"syncToUserManagement": false})).answered(204);
    assert_eq!(operator.get(&path_of(&client)).answered(200).json["staged"], true);
    go_live(&operator, &client);
    let expected = ["configuration.updated", "user.created", "user.created", "group.created", "group.member_added"];
    assert_eq!(consumer.kinds(), expected);
    assert_eq!(ids(&all(&account, "/directory/resources/v1/users", "")), [ada.as_str(), &bob]);
    assert_eq!(ids(&all(&account, "/directory/resources/v1/groups", "")), [team.as_str()]);
    let document = operator.get(&path_of(&client)).answered(200).json;
    assert_eq!((document.get("staged"), &document["syncToUserManagement"]), (None, &json!(true)));
    // A later pause is an ordinary one.
    operator.patch(&path_of(&client), &json!({"syncToUserManagement": false})).answered(204);
    let document = operator.get(&path_of(&client)).answered(200).json;
    assert_eq!((document.get("staged"), &document["syncToUserManagement"]), (None, &json!(false)));
    assert_eq!(preview(&operator, &client, "")["staged"], false);
}

#[test]
fn the_command_creates_a_staged_configuration() {
    let app = App::shared();
    let arguments = ["configuration", "create", "--account", "staged-cli", "--staged", "--output", "json"];
    let made: Value = serde_json::from_slice(&app.succeeds(&arguments)).unwrap();
    assert_eq!(made["staged"], true);
    let list = app.succeeds(&["configuration", "list", "--account", "staged-cli", "--output", "json"]);
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!((&list[0]["staged"], &list[0]["syncToUserManagement"]), (&json!(true), &json!(false)));
    let text = String::from_utf8(app.succeeds(&["configuration", "create", "--account", "staged-cli", "--staged"]));
    assert!(text.unwrap().contains("Staged: nothing is published until it goes live"));
    app.succeeds(&["configuration", "update", made["id"].as_str().unwrap(), "--sync", "on"]);
    let document = app.operator().get(&format!("{CONFIGURATIONS}/{}", made["id"].as_str().unwrap())).answered(200).json;
    assert_eq!((document.get("staged"), &document["syncToUserManagement"]), (None, &json!(true)));
    let audit = app.operator().for_account("staged-cli");
    let audit = audit.get("/directory/resources/v1/audit?action=configuration.created").answered(200);
    assert!(audit.json.to_string().contains("\"staged\":true"), "{}", audit.json);
}

#[test]
fn a_preview_has_attributes_samples_groups_and_problems() {
    let operator = App::shared().operator();
    let other = operator.configuration("preview", "okta");
    other.created("/Users", &with_email("ada", "Ada@acme.example"));
    let elsewhere = operator.configuration("preview-elsewhere", "okta");
    elsewhere.created("/Users", &with_email("cleo", "cleo@acme.example"));
    let client = staged(&operator, "preview");
    let extended = json!({"emails": [{"value": "ada@ACME.example"}], ENTERPRISE: {"department": "R"}});
    let ada = client.created("/Users", &user_with("ada", &extended));
    let cleo = client.created("/Users", &with_email("cleo", "cleo@acme.example"));
    let robot = client.created("/Users", &user("robot"));
    for number in 0..21 {
        client.created("/Users", &with_email(&format!("u{number:02}"), &format!("u{number:02}@acme.example")));
    }
    let guest = client.created("/Users", &with_email("guest", "guest@mail.example"));
    let large = client.created("/Groups", &group("Large", &[&ada, &cleo, &guest]));
    let small = client.created("/Groups", &group("Small", &[&robot]));
    let empty = client.created("/Groups", &group("Empty", &[]));
    let found = preview(&operator, &client, "");
    let examined = json!({"users": 25, "groups": 3, "otherAddresses": 1, "isCut": false});
    assert_eq!((&found["examined"], &found["counts"]["users"]), (&examined, &json!(25)));
    let fill = |path: &str| {
        let attributes = found["attributes"].as_array().unwrap();
        attributes.iter().find(|one| one["attribute"] == path).unwrap_or_else(|| panic!("{path} in {found}")).clone()
    };
    assert_eq!(fill("userName"), json!({"attribute": "userName", "users": 25, "percent": 100}));
    assert_eq!((&fill("emails")["users"], &fill("emails")["percent"]), (&json!(24), &json!(96)));
    assert_eq!(fill(&format!("{ENTERPRISE}:department"))["percent"], 4);
    assert_eq!(fill("name.givenName")["users"], 0);
    let sample = found["sampleUsers"].as_array().unwrap();
    assert_eq!((sample.len(), &sample[0]["id"], &sample[0]["userName"]), (10, &json!(ada), &json!("ada")));
    assert_eq!(ids(found["groups"].as_array().unwrap()), [large.as_str(), &small, &empty]);
    assert_eq!(found["groups"][0]["memberCount"], 3);
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(problem(&found, "usersWithoutEmail"), (1, names(&["robot"])));
    assert_eq!(problem(&found, "sharedEmails"), (1, names(&["ada@acme.example"])));
    assert_eq!(problem(&found, "groupsWithoutMembers"), (1, names(&["Empty"])));
    assert_eq!(problem(&found, "unmappedDomains"), (1, names(&["mail.example"])));
    let item = |name: &str| {
        let problems = found["problems"].as_array().unwrap();
        problems.iter().find(|one| one["problem"] == name).unwrap()["items"][0].clone()
    };
    assert_eq!(item("usersWithoutEmail"), json!({"name": "robot", "resourceId": robot}));
    assert_eq!(item("sharedEmails"), json!({"name": "ada@acme.example", "configurations": [other.id]}));
    assert_eq!(item("unmappedDomains"), json!({"name": "mail.example", "users": 1}));
    let listed = preview(&operator, &client, "?domains=Mail.example,x.example");
    assert_eq!(problem(&listed, "unmappedDomains"), (1, names(&["acme.example"])));
    assert_eq!(problem(&preview(&operator, &client, "?domains="), "unmappedDomains").0, 1);
    for wrong in ["a@b", "a%20b", &"x".repeat(254), &"a,".repeat(101)] {
        let refused = operator.get(&format!("{}/preview?domains={wrong}", path_of(&client))).problem(400);
        assert_eq!(refused.text("errorCode"), "domains_invalid", "{wrong}");
    }
}

#[test]
fn only_callers_of_the_account_with_the_right_to_read_get_a_preview() {
    let app = App::shared();
    let operator = app.operator();
    let client = staged(&operator, "preview-rights");
    let path = format!("{}/preview", path_of(&client));
    app.account_key("preview-rights", &["directory.read"]).get(&path).answered(200);
    app.account_key("preview-rights", &["provisioning.read"]).get(&path).problem(403);
    app.account_key("preview-rights-other", &["directory.read"]).get(&path).problem(404);
    app.anonymous().get(&path).problem(401);
    operator.delete(&path_of(&client)).answered(204);
    operator.get(&path).problem(404);
}

#[test]
fn previews_of_many_users_are_fast_and_delay_no_write() {
    let operator = App::shared().operator();
    let (client, busy) = (staged(&operator, "preview-cost"), operator.configuration("preview-cost", "okta"));
    for job in 0..JOBS {
        let one = |number: usize| {
            let name = format!("user-{job}-{number}");
            json!({"method": "POST", "path": "/Users", "bulkId": name, "data": with_email(&name, &format!("{name}@x.example"))})
        };
        let operations: Vec<Value> = (0..USERS_PER_JOB).map(one).collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
        client.post("/Bulk", &body).answered(200);
    }
    let counted = std::thread::scope(|scope| {
        let previews = scope.spawn(|| {
            let one = |_| {
                let begun = Instant::now();
                let found = preview(&operator, &client, "");
                let length = found.to_string().len();
                assert!(length < 64 * 1024, "{length} bytes");
                (found["examined"]["users"].as_u64().unwrap(), begun.elapsed())
            };
            (0..5).map(one).collect::<Vec<_>>()
        });
        let mut slowest = Duration::ZERO;
        for number in 0.. {
            if previews.is_finished() {
                break;
            }
            let begun = Instant::now();
            busy.created("/Users", &user(&format!("busy-{number}")));
            slowest = slowest.max(begun.elapsed());
        }
        assert!(slowest < Duration::from_secs(1), "a write took {slowest:?}");
        previews.join().unwrap()
    });
    for (users, took) in counted {
        assert_eq!(users, (JOBS * USERS_PER_JOB) as u64);
        assert!(took < Duration::from_millis(PREVIEW_MILLIS_MAX), "a preview took {took:?}");
    }
}

#[test]
fn the_portal_stages_a_connection_and_goes_live() {
    let app = App::shared();
    let operator = app.operator();
    operator.post("/directory/resources/v1/accounts", &json!({"id": "staged-portal"})).answered(201);
    let mut browser = Browser::with_role(app, "provisioning-manager", Some("staged-portal"));
    let fields = [("provider", "okta"), ("name", "First load"), ("sync", "on"), ("staged", "on")];
    let made = browser.submit("/connections/new", &fields).answered(200);
    let id = made.at.split('/').nth(2).unwrap().to_owned();
    let page = format!("/connections/{id}");
    let overview = browser.get(&page).answered(200);
    assert!(overview.contains("Staged. What Okta sends is stored") && overview.contains(&format!("{page}/preview")));
    let token: Value = operator.post(&format!("{CONFIGURATIONS}/{id}/tokens"), &json!({})).answered(201).json;
    let base = format!("/directory/resources/scim/v2.0/{id}");
    let secret = token["token"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned();
    let url = format!("http://{}{base}", app.address);
    let client = Client { address: app.address, token: secret, id: id.clone(), base, url };
    let mut consumer = Consumer::from_now(&operator.for_account("staged-portal"));
    let ada = client.created("/Users", &with_email("ada", "ada@acme.example"));
    client.created("/Users", &user("<b>robot</b>"));
    client.created("/Groups", &group("Team", &[&ada]));
    client.created("/Groups", &group("Nothing in it", &[]));
    let displayed = browser.get(&format!("{page}/preview")).answered(200);
    for text in [
        "2, 2 of them active",
        "1 user has no e-mail address",
        "&#60;b&#62;robot&#60;/b&#62;",
        "1 group has no members",
        ">Nothing in it<",
        "ada@acme.example",
        "<code>userName</code>",
        "Go live now",
        "receives 2 users and 2 groups now",
    ] {
        assert!(displayed.contains(text), "{text}: {}", displayed.text);
    }
    let listed = browser.get(&format!("{page}/preview?domains=other.example")).answered(200);
    assert!(
        listed.contains("1 e-mail domain is not expected") && listed.contains("acme.example: 1 user"),
        "{}",
        listed.text
    );
    let wrong = browser.get(&format!("{page}/preview?domains=a%40b")).answered(422);
    assert!(wrong.contains("Domains must be a list of at most 100 domains"), "{}", wrong.text);
    let mut viewer = Browser::with_role(app, "viewer", Some("staged-portal"));
    let displayed = viewer.get(&format!("{page}/preview")).answered(200);
    assert!(displayed.contains("1 user has no e-mail address") && !displayed.contains("Go live"), "{}", displayed.text);
    assert_eq!(consumer.kinds(), [] as [&str; 0]);
    browser.submit(&format!("{page}/sync"), &[("sync", "on")]).answered(200);
    assert_eq!(consumer.kinds().len(), 6);
    let overview = browser.get(&page).answered(200);
    assert!(!overview.contains("Staged") && !overview.contains(&format!("{page}/preview")), "{}", overview.text);
    let displayed = browser.get(&format!("{page}/preview")).answered(200);
    assert!(
        displayed.contains("This connection is not staged") && !displayed.contains("Go live"),
        "{}",
        displayed.text
    );
}
