//! Passwords that a configuration stores, so that the operator's application can verify them.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{operation, removal, user, user_with};

/// A configuration that stores passwords, and the operator that verifies them.
struct PasswordFixture {
    client: Client,
    operator: Caller,
}

impl PasswordFixture {
    fn new() -> Self {
        let client = App::shared().configuration("other");
        let operator = App::shared().operator();
        let settings = format!("{CONFIGURATIONS}/{}/settings", client.id);
        operator.patch(&settings, &json!({"switches": {"passwords": "verify"}})).answered(200);
        Self { client, operator }
    }

    #[track_caller]
    fn ask(&self, user: &str, body: &Value) -> Reply {
        self.asked_by(&self.operator, user, body)
    }

    #[track_caller]
    fn asked_by(&self, caller: &Caller, user: &str, body: &Value) -> Reply {
        caller.post(&format!("{CONFIGURATIONS}/{}/users/{user}/password/verify", self.client.id), body)
    }

    #[track_caller]
    fn is_right(&self, user: &str, password: &str) -> bool {
        let reply = self.ask(user, &json!({"password": password})).answered(200);
        reply.json["valid"].as_bool().unwrap_or_else(|| panic!("valid in {}", reply.json))
    }

    /// A new user with this password.
    #[track_caller]
    fn user(&self, name: &str, password: &str) -> String {
        self.client.created("/Users", &user_with(name, &json!({"password": password})))
    }
}

fn database() -> rusqlite::Connection {
    crate::app::open_database(App::shared().data.join("rollcall.db"))
}

#[test]
fn the_password_of_the_last_write_is_right_and_any_other_is_wrong() {
    // R-039, R-040, R-198
    let fixture = PasswordFixture::new();
    let id = fixture.user("ada", "First 1!");
    let path = format!("/Users/{id}");
    assert!(fixture.is_right(&id, "First 1!") && !fixture.is_right(&id, "first 1!"));
    fixture.client.patch(&path, &operation("replace", "password", &json!("Second 2!"))).answered(200);
    assert!(fixture.is_right(&id, "Second 2!") && !fixture.is_right(&id, "First 1!"));
    fixture.client.put(&path, &user_with("ada", &json!({"title": "T"}))).answered(200);
    assert!(fixture.is_right(&id, "Second 2!"), "clients cannot read the password, so a replace may omit it");
    fixture.client.put(&path, &user_with("ada", &json!({"password": "Third 3!"}))).answered(200);
    assert!(fixture.is_right(&id, "Third 3!"));
    fixture.client.patch(&path, &removal("password")).answered(200);
    assert!(!fixture.is_right(&id, "Third 3!"));
}

#[test]
fn a_password_is_the_same_however_its_letters_are_composed() {
    // R-033
    let fixture = PasswordFixture::new();
    let id = fixture.user("eva", "ma\u{f1}ana\u{a0}x");
    assert!(fixture.is_right(&id, "man\u{303}ana x"));
}

#[test]
fn a_password_change_is_reported_without_the_password() {
    let fixture = PasswordFixture::new();
    let id = fixture.user("x", "Tr0ub4dor&3");
    let path = format!("/Users/{id}");
    let before = fixture.client.get(&path).answered(200);
    let set = operation("replace", "password", &json!("C0rrect-Horse"));
    let after = fixture.client.patch(&path, &set).answered(200);
    assert_ne!(after.version(), before.version());
    assert_ne!(after.json["meta"]["lastModified"], before.json["meta"]["lastModified"]);
    fixture.client.patch(&path, &removal("password")).answered(200);
    let gone = fixture.client.get(&path).answered(200).version();
    assert_eq!(fixture.client.patch(&path, &removal("password")).answered(200).version(), gone);
    let database = database();
    let mut events = database.prepare("SELECT payload FROM events WHERE resource_id = ?1 ORDER BY seq").unwrap();
    let payloads: Vec<String> = events.query_map([&id], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let change = r#"","changed":["password"],"before":{},"after":{}}"#;
    assert!(payloads.len() == 3 && payloads[1..].iter().all(|payload| payload.ends_with(change)), "{payloads:?}");
    for text in [payloads.concat(), before.json.to_string(), after.json.to_string()] {
        assert!(!text.contains("Tr0ub4dor") && !text.contains("C0rrect") && !text.contains("argon2"), "{text}");
    }
}

#[test]
fn a_password_that_is_set_during_a_pause_is_reported_afterwards() {
    let operator = App::shared().operator();
    let client = operator.configuration("paused-password", "other");
    let account = operator.for_account("paused-password");
    let (ada, bob) = (client.created("/Users", &user_with("ada", &json!({}))), client.created("/Users", &user("bob")));
    let after = account.get("/directory/resources/v1/events?after=latest").answered(200).text("nextAfter");
    let path = format!("{CONFIGURATIONS}/{}", client.id);
    operator.patch(&format!("{path}/settings"), &json!({"switches": {"passwords": "verify"}})).answered(200);
    operator.patch(&path, &json!({"syncToUserManagement": false})).answered(204);
    let set = operation("replace", "password", &json!("C0rrect-Horse"));
    client.patch(&format!("/Users/{ada}"), &set).answered(200);
    client.patch(&format!("/Users/{bob}"), &operation("replace", "title", &json!("T"))).answered(200);
    client.patch(&format!("/Users/{bob}"), &set).answered(200);
    operator.patch(&path, &json!({"syncToUserManagement": true})).answered(204);
    let query = format!("/directory/resources/v1/events?kind=user.*&after={after}");
    let page = account.get(&query).answered(200).json;
    let data: Vec<Value> = page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
    let expected = [
        json!({"changed": ["password"], "before": {}, "after": {}}),
        json!({"changed": ["password", "title"], "before": {}, "after": {"title": "T"}}),
    ];
    assert_eq!(data, expected);
    assert!(!page.to_string().contains("C0rrect"));
}

#[test]
fn a_refused_write_does_not_change_the_password() {
    let fixture = PasswordFixture::new();
    let (id, _) = (fixture.user("one", "stored"), fixture.user("two", "other"));
    let path = format!("/Users/{id}");
    let both = json!({"userName": "two", "password": "lost"});
    let body = json!({"Operations": [{"op": "replace", "value": both}]});
    fixture.client.patch(&path, &body).refused(409, "uniqueness");
    let stale = fixture.client.request("PATCH", &path).header("If-Match", "W/\"99\"");
    stale.json(&operation("replace", "password", &json!("lost"))).send().refused(412, "");
    fixture.client.post("/Users", &user_with("one", &json!({"password": "lost"}))).refused(409, "uniqueness");
    assert!(fixture.is_right(&id, "stored") && !fixture.is_right(&id, "lost"));
}

#[test]
fn a_job_sets_passwords_in_the_order_of_its_operations() {
    let fixture = PasswordFixture::new();
    let id = fixture.user("x", "before");
    let path = format!("/Users/{id}");
    let patch = |password: &str| json!({"method": "PATCH", "path": path, "data": operation("replace", "password", &json!(password))});
    let job = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": user_with("y", &json!({"password": "of y"}))},
        patch("one"), patch("two"),
        {"method": "PUT", "path": path, "data": user_with("x", &json!({"password": "three"}))},
        patch("four"),
        {"method": "PATCH", "path": path, "data": operation("replace", "title", &json!("T"))},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": user_with("z", &json!({"password": ""}))},
    ]});
    let done = fixture.client.post("/Bulk", &job).answered(200).json;
    let statuses: Vec<&str> =
        done["Operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "200", "200", "200", "200", "200", "400"], "{done}");
    let other = done["Operations"][0]["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert!(fixture.is_right(&other, "of y"));
    assert!(fixture.is_right(&id, "four") && !fixture.is_right(&id, "two"));
}

#[test]
fn an_invalid_password_is_refused_by_name() {
    let fixture = PasswordFixture::new();
    for value in [json!(""), json!("x".repeat(1_025)), json!(7), json!(["a", "b"])] {
        let reply = fixture.client.post("/Users", &user_with("x", &json!({"password": value})));
        let reply = reply.refused(400, "invalidValue");
        assert!(reply.json["detail"].as_str().is_some_and(|detail| detail.contains("password")), "{}", reply.json);
    }
    fixture.client.post("/Users", &user_with("x", &json!({"password": null}))).answered(201);
}

#[test]
fn change_password_is_supported_only_when_passwords_are_stored() {
    let fixture = PasswordFixture::new();
    let config = fixture.client.get("/ServiceProviderConfig").answered(200).json;
    assert_eq!(config["changePassword"], json!({"supported": true}));
    let schema = fixture.client.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User").answered(200).json;
    let password = schema["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "password").unwrap();
    assert_eq!((&password["mutability"], &password["returned"]), (&json!("writeOnly"), &json!("never")));
    fixture.client.get("/Users?filter=password%20pr").refused(400, "invalidFilter");
    fixture.client.get("/Users?sortBy=password").refused(400, "invalidPath|invalidValue");
}

#[test]
fn a_password_is_deleted_with_its_user() {
    let fixture = PasswordFixture::new();
    let id = fixture.user("x", "secret");
    let stored = || -> i64 {
        let of_this = "SELECT count(*) FROM passwords p JOIN resources r ON r.resource = p.resource
             JOIN configurations c ON c.configuration = r.configuration WHERE c.id = ?1";
        database().query_row(of_this, [&fixture.client.id], |row| row.get(0)).unwrap()
    };
    assert_eq!(stored(), 1);
    fixture.client.delete(&format!("/Users/{id}")).answered(204);
    assert_eq!(stored(), 0);
    let orphans = "SELECT count(*) FROM passwords WHERE resource NOT IN (SELECT resource FROM resources)";
    assert_eq!(database().query_row(orphans, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    fixture.ask(&id, &json!({"password": "secret"})).answered(404);
}

#[test]
fn password_checks_reveal_nothing_to_unauthorized_callers() {
    let fixture = PasswordFixture::new();
    let body = json!({"password": "secret"});
    let without = fixture.client.created("/Users", &user("without"));
    assert!(!fixture.is_right(&without, "secret"), "no password is not any password");
    fixture.ask("00000000-0000-7000-8000-000000000000", &body).answered(404);
    for broken in [json!({}), json!({"password": 7}), json!({"password": ""}), json!([])] {
        fixture.ask(&without, &broken).answered(400);
    }
    let app = App::shared();
    for (caller, status) in [
        (app.anonymous(), 401),
        (app.anonymous().with(&fixture.client.token), 401),
        (app.keyed(&["--permission", "provisioning.read"]), 403),
        (app.account_key("unrelated-account", &["directory.read"]), 403),
        (fixture.operator.for_account("other-account"), 404),
        (app.keyed(&["--permission", "directory.read"]), 200),
    ] {
        fixture.asked_by(&caller, &without, &body).answered(status);
    }
    let ignoring = PasswordFixture { client: App::shared().configuration("other"), ..fixture };
    let id = ignoring.user("x", "discarded");
    let reply = ignoring.ask(&id, &body).answered(409);
    assert!(reply.json["message"].as_str().is_some_and(|said| said.contains("verify")), "{}", reply.json);
}

#[test]
fn wrong_passwords_for_one_user_are_throttled() {
    let fixture = PasswordFixture::new();
    let (one, other) = (fixture.user("one", "x1"), fixture.user("other", "x2"));
    let replies: Vec<Reply> =
        (0..12).map(|guess| fixture.ask(&one, &json!({"password": format!("guess {guess}")}))).collect();
    let refused = replies.iter().find(|reply| reply.status == 429).expect("a limit is reached");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)));
    assert!(fixture.is_right(&other, "x2"), "others are not held up");
}
