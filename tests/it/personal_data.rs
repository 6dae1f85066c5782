//! Export and erasure of the personal data of one user: what is found, what is left, and that others are not touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, rollcall, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::management::directory::all;
use crate::management::event_contract::conforms;
use crate::management::events::Consumer;
use crate::sample::{ENTERPRISE, encode, group, operation, operations, user, user_with};

const PERSONAL_DATA: &str = "/directory/resources/v1/personal-data";
const BADGE: &str = "urn:example:2.0:Badge";

fn start(caller: &Caller, kind: &str, account: &str, subject: &Value) -> Reply {
    let mut body = subject.clone();
    body["accountId"] = json!(account);
    caller.post(&format!("{PERSONAL_DATA}/{kind}"), &body)
}

/// Starts a request and waits for its end.
fn complete(caller: &Caller, kind: &str, account: &str, subject: &Value) -> Value {
    let started = start(caller, kind, account, subject).answered(202).json;
    assert_eq!((&started["state"], &started["receipt"]), (&json!("running"), &Value::Null));
    wait_for(caller, started["id"].as_str().unwrap())
}

fn wait_for(caller: &Caller, id: &str) -> Value {
    let path = format!("{PERSONAL_DATA}/{id}");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let request = caller.get(&path).answered(200).json;
        if request["state"] == "done" {
            return request;
        }
        assert!(Instant::now() < deadline, "{request}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn read_file(caller: &Caller, request: &Value) -> Value {
    caller.get(&format!("{PERSONAL_DATA}/{}/file", request["id"].as_str().unwrap())).answered(200).json
}

fn sync(operator: &Caller, client: &Client, sync: bool) {
    let body = json!({"syncToUserManagement": sync});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
}

/// A user whose every value contains the marker.
fn marked_user(marker: &str, address: &str) -> Value {
    user_with(
        address,
        &json!({
            "externalId": format!("ext-{marker}"), "displayName": format!("Display {marker}"), "active": true,
            "name": {"familyName": format!("Family {marker}"), "formatted": format!("Formatted {marker}")},
            "title": format!("Title {marker}"), "emails": [{"value": address, "type": "work", "primary": true}],
            "phoneNumbers": [{"value": format!("+49-{marker}"), "type": "work"}],
            ENTERPRISE: {"department": format!("Department {marker}")},
            BADGE: {"badge": format!("Badge {marker}")},
        }),
    )
}

fn add_badge_schema(operator: &Caller, client: &Client) {
    let schema = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": BADGE, "name": "Badge", "description": "Badge",
        "attributes": [{"name": "badge", "type": "string", "multiValued": false, "description": "Badge", "required": false,
            "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none"}],
    });
    let body = json!({"resourceType": "User", "required": false, "schema": schema});
    operator.post(&format!("{CONFIGURATIONS}/{}/schemas", client.id), &body).answered(201);
}

/// What the identity provider does with a user: every form of a call that names it.
fn use_user(client: &Client, marker: &str, address: &str) -> (String, String) {
    let id = client.created("/Users", &marked_user(marker, address));
    let path = format!("/Users/{id}");
    client.patch(&path, &operation("replace", "nickName", &json!(format!("Nick {marker}")))).answered(200);
    client.get(&format!("{path}?attributes=title")).answered(200);
    client.get(&format!("/Users?filter={}", encode(&format!("userName eq \"{address}\"")))).answered(200);
    client.get(&format!("/Users?filter={}", encode(&format!("title eq \"Title {marker}\"")))).answered(200);
    client
        .get(&format!("/Users?filter={}", encode(&format!("emails.value eq \"{}\"", address.to_uppercase()))))
        .answered(200);
    client.post("/Users", &marked_user(marker, address)).refused(409, "uniqueness");
    let members = json!([{"value": id, "display": format!("Display {marker}")}]);
    let team = client.created("/Groups", &group(&format!("Team {}", &id[30..]), &[]));
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &members)).answered(200);
    client.get(&format!("/Groups/{team}")).answered(200);
    (id, team)
}

fn count_rows(data: &Path, sql: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(data.join("rollcall.db"), flags).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The files of a folder that contain a text, also with other letters in upper and lower case.
fn list_files_with(data: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        if memchr::memmem::find(&bytes, text.to_ascii_lowercase().as_bytes()).is_some() {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// Calls are stored up to a second after their response.
fn wait_for_calls(operator: &Caller, client: &Client, id: &str) {
    wait_until("the calls are logged", || {
        let path = format!("{CONFIGURATIONS}/{}/requests", client.id);
        all(operator, &path, &format!("&resource={id}")).len() >= 3
    });
}

#[test]
fn an_export_has_everything_about_a_user_of_two_configurations_and_nothing_about_others() {
    let operator = App::shared().operator();
    let (account, marker) = ("export-all", "mkq7e1");
    let address = format!("ann.{marker}@x.example");
    let (one, two) = (operator.configuration(account, "other"), operator.configuration(account, "okta"));
    for client in [&one, &two] {
        add_badge_schema(&operator, client);
    }
    let (first, team) = use_user(&one, marker, &address);
    let (second, _) = use_user(&two, marker, &address.to_uppercase());
    // Another user, whose address contains that of the first, and references to the first.
    let other = one.created("/Users", &user_with(&format!("jo{address}"), &json!({"displayName": "Jo Secret"})));
    let report =
        user_with("report@x.example", &json!({ENTERPRISE: {"manager": {"value": first}}, "displayName": "Rita"}));
    one.created("/Users", &report);
    one.get("/Users").answered(200);
    // Deleted in one configuration, and changed during a pause in the other.
    let gone = two.created("/Users", &user_with("gone", &json!({"emails": [{"value": address, "type": "home"}]})));
    two.delete(&format!("/Users/{gone}")).answered(204);
    sync(&operator, &two, false);
    two.patch(&format!("/Users/{second}"), &operation("replace", "title", &json!("Paused"))).answered(200);
    wait_for_calls(&operator, &one, &first);
    wait_for_calls(&operator, &two, &second);

    let done = complete(&operator, "export", account, &json!({"email": address}));
    let ids: BTreeSet<&str> = done["userIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([&*first, &*second, &*gone]));
    assert!(done["expiresAt"].as_str() > done["completedAt"].as_str());
    let file = read_file(&operator, &done);
    let section = |name: &str| file[name].as_array().unwrap().clone();
    assert_eq!((file["format"].as_str(), &file["accountId"]), (Some("rollcall-personal-data-1"), &json!(account)));
    let users = section("users");
    assert_eq!(users.len(), 2);
    let own = users.iter().find(|user| user["id"] == json!(first)).unwrap();
    assert_eq!(own["attributes"][BADGE]["badge"], format!("Badge {marker}"));
    assert_eq!(own["attributes"]["externalId"], format!("ext-{marker}"));
    assert_eq!(own["groups"][0]["value"], team.as_str());
    assert_eq!(own["configurationId"], one.id.as_str());
    assert_eq!(section("deletedUsers")[0]["id"], gone.as_str());
    let held = section("heldChanges");
    assert!(held.iter().any(|state| state["id"] == json!(second)), "{held:?}");
    let kinds: BTreeSet<String> =
        section("events").iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["user.created", "user.updated", "user.deleted", "group.member_added"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    let requests = section("requests");
    let methods: BTreeSet<&str> = requests.iter().map(|call| call["method"].as_str().unwrap()).collect();
    assert_eq!(methods, BTreeSet::from(["DELETE", "GET", "PATCH", "POST"]));
    assert!(requests.iter().any(|call| call["status"] == 409));
    assert!(requests.iter().any(|call| call["path"].as_str().unwrap().contains("emails.value")));
    for name in ["users", "deletedUsers", "heldChanges", "events", "requests", "auditEntries"] {
        assert_eq!(done["counts"][name], json!(section(name).len()), "{name}");
    }
    // Nothing about the others.
    let text = file.to_string();
    for absent in ["Jo Secret", "Rita", "report@x.example", &other] {
        assert!(!text.contains(absent), "{absent}");
    }
    check_export_by_id(&operator, account, &first, &ids);
    assert_audit_is_clean(&operator, account, marker);
}

/// The request by id finds the same users.
fn check_export_by_id(operator: &Caller, account: &str, id: &str, expected: &BTreeSet<&str>) {
    let by_id = complete(operator, "export", account, &json!({"userId": id}));
    let ids: BTreeSet<&str> = by_id["userIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids, *expected);
}

fn assert_audit_is_clean(operator: &Caller, account: &str, marker: &str) {
    let audit = all(operator, "/directory/resources/v1/audit", &format!("&account={account}&action=personal_data"));
    let actions: BTreeSet<&str> = audit.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected = ["personal_data.completed", "personal_data.downloaded", "personal_data.requested"];
    assert_eq!(actions, BTreeSet::from(expected));
    assert!(!json!(audit).to_string().contains(marker));
}

/// A user in two configurations of an account, and others next to it.
struct ErasureFixture {
    operator: Caller,
    one: Client,
    two: Client,
    elsewhere: Client,
    first: String,
    second: String,
    team: String,
    similar: String,
    report: String,
    foreign: String,
}

const MARKER: &str = "zq9mark7";
const ADDRESS: &str = "ann.zq9mark7@x.example";

impl ErasureFixture {
    fn new(operator: Caller) -> Self {
        let (one, two) = (operator.configuration("acme", "other"), operator.configuration("acme", "okta"));
        let elsewhere = operator.configuration("elsewhere", "other");
        for client in [&one, &two] {
            add_badge_schema(&operator, client);
        }
        let (first, team) = use_user(&one, MARKER, ADDRESS);
        let (second, _) = use_user(&two, MARKER, ADDRESS);
        let similar = one.created("/Users", &user_with("jo.annother@x.example", &json!({"displayName": "Similar"})));
        let report = json!({ENTERPRISE: {"manager": {"value": first, "displayName": format!("Display {MARKER}")}}});
        let report = one.created("/Users", &user_with("report@x.example", &report));
        let members = json!([{"value": similar}]);
        one.patch(&format!("/Groups/{team}"), &operation("add", "members", &members)).answered(200);
        let foreign = elsewhere.created("/Users", &user_with("ann@y.example", &json!({"externalId": "e-1"})));
        Self { operator, one, two, elsewhere, first, second, team, similar, report, foreign }
    }

    /// Bulk, a list of several users, a deletion with a restore, an earlier user, and a pause with changes.
    fn use_more(&self) {
        let Self { operator, one, two, first, second, similar, .. } = self;
        let change = |id: &str, title: &str| {
            let data = operations(&json!([{"op": "replace", "path": "title", "value": title}]));
            json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": data})
        };
        let items = json!([change(first, &format!("Bulk {MARKER}")), change(similar, "Similar title")]);
        let urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        one.post("/Bulk", &json!({"schemas": [urn], "Operations": items})).answered(200);
        one.get("/Users").answered(200);
        one.delete(&format!("/Users/{first}")).answered(204);
        operator.post(&format!("{CONFIGURATIONS}/{}/deleted/{first}/restore", one.id), &json!({})).answered(200);
        let emails = json!({"emails": [{"value": ADDRESS, "primary": true}]});
        let gone = one.created("/Users", &user_with(&format!("old-{MARKER}"), &emails));
        one.delete(&format!("/Users/{gone}")).answered(204);
        let protected = json!({"protectedUsers": [format!("ext-{MARKER}")]});
        operator.patch(&format!("{CONFIGURATIONS}/{}/settings", one.id), &protected).answered(200);
        sync(operator, two, false);
        let title = json!(format!("Paused {MARKER}"));
        two.patch(&format!("/Users/{second}"), &operation("replace", "title", &title)).answered(200);
        wait_for_calls(operator, one, first);
        wait_for_calls(operator, two, second);
    }

    fn read_others(&self) -> [Value; 2] {
        let list = |client: &Client, path: &str| client.get(path).answered(200).json;
        [
            list(&self.one, &format!("/Users/{}", self.similar)),
            list(&self.elsewhere, &format!("/Users/{}", self.foreign)),
        ]
    }

    fn check_resources(&self) {
        for (client, id) in [(&self.one, &self.first), (&self.two, &self.second)] {
            client.get(&format!("/Users/{id}")).refused(404, "");
        }
        let reference = self.one.get(&format!("/Users/{}", self.report)).answered(200).json;
        assert_eq!(reference.get(ENTERPRISE), None);
        let members = self.one.get(&format!("/Groups/{}", self.team)).answered(200).json["members"].clone();
        let ids: Vec<&str> =
            members.as_array().unwrap().iter().map(|member| member["value"].as_str().unwrap()).collect();
        assert_eq!(ids, [&self.similar]);
        let path = "/directory/resources/v1/audit";
        let audit = all(&self.operator, path, "&account=acme&action=user.erased");
        let erased: BTreeSet<&str> = audit.iter().map(|entry| entry["subjectId"].as_str().unwrap()).collect();
        assert_eq!(erased, BTreeSet::from([&*self.first, &*self.second]));
    }

    /// The feed is complete and valid, with the deletions.
    fn check_feed(&self, consumer: &mut Consumer, document: &Value) {
        let schema = json!({"$ref": "#/components/schemas/ProvisioningEvent"});
        let events = consumer.rest();
        for event in &events {
            assert!(conforms(document, &schema, event), "{event}");
        }
        let of_first = |event: &&Value| event["resourceId"] == json!(self.first);
        assert_eq!(events.iter().rev().find(of_first).unwrap()["kind"], "user.deleted");
        for event in events.iter().filter(of_first) {
            let mark = if event["kind"] == "user.deleted" { "purged" } else { "redacted" };
            assert_eq!(event["data"], json!({mark: true}), "{event}");
        }
        assert!(events.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()));
        // The end of the pause publishes the deletion, without the data.
        sync(&self.operator, &self.two, true);
        let later = consumer.rest();
        assert!(later.iter().all(|event| conforms(document, &schema, event)), "{later:?}");
        let deleted = |event: &Value| event["kind"] == "user.deleted" && event["resourceId"] == json!(self.second);
        assert!(later.iter().any(deleted));
    }

    /// The request log is readable.
    fn check_log(&self) {
        let requests = all(&self.operator, &format!("{CONFIGURATIONS}/{}/requests", self.one.id), "");
        assert!(requests.len() > 10);
        for call in &requests {
            let path = format!("{CONFIGURATIONS}/{}/requests/{}", self.one.id, call["id"].as_str().unwrap());
            self.operator.get(&path).answered(200);
        }
    }
}

#[test]
fn an_erasure_leaves_no_byte_of_the_user_in_the_files_and_others_untouched() {
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup_folder = backups.path().display().to_string();
    let app = App::start_with(data.path(), &["--backup-dir", &backup_folder]);
    let operator = app.operator();
    operator.configuration("acme", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("acme"));
    let fixture = ErasureFixture::new(operator.clone());
    fixture.use_more();
    let export = complete(&operator, "export", "acme", &json!({"email": ADDRESS}));
    let before = fixture.read_others();
    wait_until("a backup is there", || std::fs::read_dir(backups.path()).unwrap().count() > 0);
    assert!(!list_files_with(data.path(), MARKER).is_empty());

    let done = complete(&operator, "erase", "acme", &json!({"email": ADDRESS}));
    let counts = &done["counts"];
    assert_eq!((&done["email"], &counts["users"], &counts["exports"]), (&Value::Null, &json!(2), &json!(1)));
    for (name, least) in [("deletedUsers", 1), ("heldChanges", 1), ("events", 8), ("requests", 10)] {
        assert!(counts[name].as_u64().unwrap() >= least, "{name}: {counts}");
    }
    let receipt = done["receipt"]["backups"].as_array().unwrap();
    assert!(receipt[0]["file"].as_str().unwrap().starts_with(&backup_folder) && receipt[0]["createdAt"].is_string());
    // Not a byte is left, also not in the log and in free pages, while the server runs.
    assert_eq!(list_files_with(data.path(), MARKER), [""; 0]);
    operator.get(&format!("{PERSONAL_DATA}/{}", export["id"].as_str().unwrap())).problem(404);
    assert_eq!(fixture.read_others(), before);
    assert!(list_files_with(data.path(), "jo.annother@x.example").contains(&"rollcall.db".to_owned()));
    fixture.check_resources();
    fixture.check_log();
    fixture.check_feed(&mut consumer, &app.anonymous().get("/openapi.json").answered(200).json);
    app.kill();
    let check = rollcall(data.path(), &["check", "--deep"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    assert_eq!(list_files_with(data.path(), MARKER), [""; 0]);
}

#[test]
fn a_user_of_a_deleted_configuration_is_exported_and_erased() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let (account, marker) = ("leftover", "lo4mark2");
    let address = format!("ann.{marker}@x.example");
    let client = operator.configuration(account, "other");
    add_badge_schema(&operator, &client);
    let (id, _) = use_user(&client, marker, &address);
    let other = client.created("/Users", &user("bob@x.example"));
    wait_for_calls(&operator, &client, &id);
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);
    let exported = read_file(&operator, &complete(&operator, "export", account, &json!({"userId": id})));
    assert_eq!(exported["users"][0]["attributes"]["displayName"], format!("Display {marker}"));
    let done = complete(&operator, "erase", account, &json!({"userId": id}));
    assert_eq!(done["counts"]["users"], 1);
    assert_eq!(list_files_with(data.path(), marker), [""; 0]);
    assert_eq!(count_rows(data.path(), &format!("SELECT count(*) FROM resources WHERE id = '{other}'")), 1);
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn an_account_reads_and_erases_only_its_own_users() {
    let app = App::shared();
    let operator = app.operator();
    let (own, foreign) = ("personal-own", "personal-foreign");
    let address = "same.address@x.example";
    let (client, theirs) = (operator.configuration(own, "other"), operator.configuration(foreign, "other"));
    client.created("/Users", &user(address));
    // A user whose address contains this one.
    let similar = client.created("/Users", &user_with(&format!("jo.{address}"), &json!({"displayName": "Jo"})));
    let filter = encode(&format!("userName eq \"jo.{address}\""));
    client.get(&format!("/Users?filter={filter}")).answered(200);
    let before = client.get(&format!("/Users/{similar}")).answered(200).json;
    let id = theirs.created("/Users", &user_with(address, &json!({"displayName": "Foreign Name"})));
    let rights = ["requests.read", "directory.read", "provisioning.delete"];
    let key = app.account_key(own, &rights);
    // The id of a user of another account is as unknown as any id.
    for kind in ["export", "erase"] {
        let done = complete(&key, kind, own, &json!({"userId": id}));
        assert_eq!((&done["userIds"], &done["counts"]["events"]), (&json!([]), &json!(0)), "{kind}");
        start(&key, kind, foreign, &json!({"email": address})).problem(404);
        start(&key, kind, "no-such-account", &json!({"email": address})).problem(404);
    }
    let exported = read_file(&key, &complete(&key, "export", own, &json!({"email": address})));
    assert!(!exported.to_string().contains("Foreign Name") && exported["users"].as_array().unwrap().len() == 1);
    let erased = complete(&key, "erase", own, &json!({"email": address}));
    assert_eq!(erased["counts"]["users"], 1);
    theirs.get(&format!("/Users/{id}")).answered(200);
    assert_eq!(client.get(&format!("/Users/{similar}")).answered(200).json, before);
    let path = format!("{CONFIGURATIONS}/{}/requests", client.id);
    let calls = all(&operator, &path, "");
    let paths: Vec<&str> = calls.iter().map(|call| call["path"].as_str().unwrap()).collect();
    assert!(paths.iter().any(|path| path.contains(&format!("jo.{}", encode(address)))), "{paths:?}");
    let created = calls.iter().find(|call| call["resourceId"] == json!(similar) && call["method"] == "POST").unwrap();
    let call = operator.get(&format!("{path}/{}", created["id"].as_str().unwrap())).answered(200).json;
    assert!(call.to_string().contains(&format!("jo.{address}")), "{call}");
    // Requests of the other account are not found.
    let other = complete(&operator, "export", foreign, &json!({"userId": id}));
    let path = format!("{PERSONAL_DATA}/{}", other["id"].as_str().unwrap());
    key.get(&path).problem(404);
    key.get(&format!("{path}/file")).problem(404);
    let listed = all(&key, PERSONAL_DATA, "");
    assert!(listed.len() >= 3 && listed.iter().all(|request| request["accountId"] == own), "{listed:?}");
    assert!(
        all(&operator, PERSONAL_DATA, &format!("&account={foreign}")).iter().all(|one| one["accountId"] == foreign)
    );
    // The folders of the server are not shown to an account.
    let backups = erased["receipt"]["backups"].as_array().unwrap();
    assert!(backups.iter().all(|backup| !backup["file"].as_str().unwrap().contains('/')));
}

#[test]
fn wrong_requests_are_refused_with_the_reason() {
    let app = App::shared();
    let operator = app.operator();
    operator.configuration("personal-wrong", "other");
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (body, status, code) in [
        (json!({}), 400, "personal_data_subject_invalid"),
        (json!({"userId": id, "email": "a@x.example"}), 400, "personal_data_subject_invalid"),
        (json!({"userId": "7"}), 400, "personal_data_subject_invalid"),
        (json!({"email": "not an address"}), 400, "email_invalid"),
        (json!({"email": 7}), 400, "body_field_invalid"),
    ] {
        for kind in ["export", "erase"] {
            let refused = start(&operator, kind, "personal-wrong", &body).problem(status);
            assert_eq!(refused.json["errorCode"], code, "{body}");
        }
    }
    let body = json!({"email": "a@x.example"});
    let missing = operator.post(&format!("{PERSONAL_DATA}/export"), &body).problem(400);
    assert_eq!(missing.json["errorCode"], "personal_data_account_missing");
    let own = operator.for_account("personal-wrong").post(&format!("{PERSONAL_DATA}/erase"), &body).answered(202).json;
    let done = wait_for(&operator, own["id"].as_str().unwrap());
    assert_eq!((&done["accountId"], &done["counts"]["users"]), (&json!("personal-wrong"), &json!(0)));
    let file = operator.get(&format!("{PERSONAL_DATA}/{}/file", done["id"].as_str().unwrap())).problem(404);
    assert_eq!(file.json["errorCode"], "personal_data_no_file");
    for unknown in [id, "unknown"] {
        operator.get(&format!("{PERSONAL_DATA}/{unknown}")).problem(404);
    }
    // A repeated call has no further effect.
    let request = operator.request("POST", &format!("{PERSONAL_DATA}/export"));
    let body = json!({"accountId": "personal-wrong", "email": "once@x.example"});
    let request =
        request.json(&body).header("Content-Type", "application/json").header("Idempotency-Key", "personal-0001");
    let first = request.send().answered(202).json;
    assert_eq!(request.send().answered(202).json["id"], first["id"]);
}

#[test]
fn an_erasure_goes_on_after_the_server_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let (account, marker) = ("killed", "ki8mark3");
    let address = format!("ann.{marker}@x.example");
    let client = app.operator().configuration(account, "other");
    add_badge_schema(&app.operator(), &client);
    let (id, _) = use_user(&client, marker, &address);
    for number in 0..150 {
        let title = json!(format!("Title {number} {marker}"));
        client.patch(&format!("/Users/{id}"), &operation("replace", "title", &title)).answered(200);
    }
    wait_for_calls(&app.operator(), &client, &id);
    let started = start(&app.operator(), "erase", account, &json!({"email": address})).answered(202).json;
    let request = started["id"].as_str().unwrap().to_owned();
    let mut stages = BTreeSet::new();
    for round in 0..12_u64 {
        std::thread::sleep(Duration::from_millis(5 + round * 11));
        app.kill();
        app = App::start(data.path());
        let state = app.operator().get(&format!("{PERSONAL_DATA}/{request}")).answered(200).json;
        stages.insert(state["stage"].as_str().unwrap().to_owned());
        if state["state"] == "done" {
            break;
        }
    }
    let done = wait_for(&app.operator(), &request);
    assert_eq!(done["counts"]["users"], 1, "{stages:?}");
    assert_eq!(list_files_with(data.path(), marker), [""; 0], "{stages:?}");
    app.kill();
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn the_command_line_exports_and_erases_with_and_without_a_server() {
    let data = tempfile::tempdir().unwrap();
    let (account, marker) = ("commands", "cl5mark1");
    let app = App::start(data.path());
    let client = app.operator().configuration(account, "other");
    add_badge_schema(&app.operator(), &client);
    let address = |name: &str| format!("{name}.{marker}@x.example");
    let (id, _) = use_user(&client, marker, &address("ann"));
    let bob = client.created("/Users", &user(&address("bob")));
    wait_for_calls(&app.operator(), &client, &id);
    let file = data.path().join("sub/export.json");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let path = file.display().to_string();
    app.succeeds(&["personal-data", "export", "--account", account, "--email", &address("ann"), "--file", &path]);
    let exported: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(exported["users"][0]["id"], id.as_str());
    // The file is not replaced.
    let again = ["personal-data", "export", "--account", account, "--email", &address("ann"), "--file", &path];
    assert!(!app.rollcall(&again).status.success());
    let erased =
        app.succeeds(&["personal-data", "erase", "--account", account, "--user-id", &bob, "--yes", "--output", "json"]);
    let erased: Value = serde_json::from_slice(&erased).unwrap();
    assert_eq!((&erased["state"], &erased["counts"]["users"]), (&json!("done"), &json!(1)));
    client.get(&format!("/Users/{bob}")).refused(404, "");
    app.kill();
    let run = |arguments: &[&str]| {
        let output = rollcall(data.path(), arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        !rollcall(data.path(), &["personal-data", "erase", "--account", account, "--email", &address("ann")])
            .status
            .success()
    );
    let printed = run(&["personal-data", "erase", "--account", account, "--email", &address("ann"), "--yes"]);
    assert!(printed.contains("done") && printed.contains(&id), "{printed}");
    assert_eq!(list_files_with(data.path(), marker), [""; 0]);
    let listed: Value = serde_json::from_str(&run(&["personal-data", "list", "--output", "json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let one = run(&["personal-data", "show", listed[0]["id"].as_str().unwrap()]);
    assert!(one.contains("erasure"), "{one}");
}

#[test]
fn the_number_of_running_requests_is_limited() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    operator.configuration("limits", "other");
    let body = json!({"email": "a@x.example"});
    let statuses: Vec<Reply> = (0..12).map(|_| start(&operator, "export", "limits", &body)).collect();
    let refused: Vec<&Reply> = statuses.iter().filter(|reply| reply.status == 409).collect();
    assert!(refused.iter().all(|reply| reply.json["errorCode"] == "personal_data_limit"));
    assert!(!refused.is_empty() && statuses.iter().filter(|reply| reply.status == 202).count() >= 5);
}

#[test]
fn the_portal_exports_and_erases_with_a_confirmation() {
    use crate::portal::browser::{Browser, wait_for_text};
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("portal-personal", "other");
    let address = "ann.portal@x.example";
    let id = client.created("/Users", &user(address));
    let mut owner = Browser::owner(app);
    let fields = |user: &str, confirmation: &str| {
        [("account", "portal-personal"), ("user", user), ("confirmation", confirmation)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let submit = |owner: &mut Browser, path: &str, user: &str, confirmation: &str| {
        let fields = fields(user, confirmation);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        owner.submit(path, &fields)
    };
    let wrong = submit(&mut owner, "/personal-data/export", "nothing", "");
    assert!(wrong.answered(422).text.contains("Enter the ID of a user"));
    let page = submit(&mut owner, "/personal-data/export", address, "").answered(200);
    let path = page.at.clone();
    assert!(wait_for_text(&mut owner, &path, "Download the JSON file").text.contains(address));
    let file = owner.get(&format!("{path}/file")).answered(200);
    assert!(file.text.contains(&id) && file.text.contains("rollcall-personal-data-1"));
    let unconfirmed = submit(&mut owner, "/personal-data/erase", address, "ann");
    assert!(unconfirmed.answered(422).text.contains("Type exactly the same"));
    client.get(&format!("/Users/{id}")).answered(200);
    let page = submit(&mut owner, "/personal-data/erase", address, address).answered(200);
    let path = page.at.clone();
    let receipt = wait_for_text(&mut owner, &path, "Backups");
    assert!(!receipt.text.contains(address) && receipt.text.contains("Deleted or changed"));
    client.get(&format!("/Users/{id}")).refused(404, "");
    let list = owner.get("/personal-data").answered(200);
    assert!(list.text.contains("Erasure"));
}
