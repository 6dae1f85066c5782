//! Limits of active users: what is refused with the operator's own sentence, what frees a seat, and that the counters stay
//! right.

use std::thread;

use serde_json::{Value, json};

use super::quotas::{account_quotas, limit, quota, quotas_of, used};
use crate::app::{App, Client, Reply, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::{Browser, wait_for_text};
use crate::sample::{group, operation, user, user_with};

const SENTENCE: &str = "All \"seats\" are in use: write to sales@example.com.";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// Checks a SCIM error with this sentence as its detail.
#[track_caller]
fn refused_with(reply: Reply, sentence: &str) {
    let reply = reply.refused(403, "");
    assert_eq!(reply.json["detail"], sentence);
}

fn inactive(name: &str) -> Value {
    user_with(name, &json!({"active": false}))
}

fn set_active(client: &Client, id: &str, active: bool) -> Reply {
    client.patch(&format!("/Users/{id}"), &operation("replace", "active", &json!(active)))
}

/// The calls that were refused, after they were counted.
fn wait_for_refused(operator: &Caller, path: &str, expected: u64) {
    let refused = || quota(&operator.get(path).answered(200).json, "activeUsers")["refused"].as_u64().unwrap();
    wait_until("refused calls are counted", || refused() >= expected);
    assert_eq!(refused(), expected);
}

#[test]
fn active_users_above_the_limit_are_refused_with_the_sentence_of_the_operator() {
    let operator = App::shared().operator();
    let client = operator.configuration("seats", "other");
    let path = quotas_of(&client);
    let after = limit(&operator, &path, &json!({"activeUsers": 2, "message": format!("  {SENTENCE} ")}));
    let expected = json!({"quota": "activeUsers", "used": 0, "limit": 2, "percent": 0, "isOverride": true,
        "message": SENTENCE, "refused": 0});
    assert_eq!(quota(&after, "activeUsers"), expected);
    let ada = client.created("/Users", &user("ada"));
    let bob = client.created("/Users", &user_with("bob", &json!({"active": true})));
    let off = client.created("/Users", &inactive("off"));
    refused_with(client.post("/Users", &user("eve")), SENTENCE);
    refused_with(client.post("/Users", &user_with("eve", &json!({"active": true}))), SENTENCE);
    refused_with(set_active(&client, &off, true), SENTENCE);
    refused_with(client.put(&format!("/Users/{off}"), &user_with("off", &json!({"active": true}))), SENTENCE);
    assert_eq!(client.get(&format!("/Users/{off}")).answered(200).json["active"], false);
    // A name in use is the better message, and other changes need no seat.
    client.post("/Users", &user("ada")).refused(409, "uniqueness");
    client.patch(&format!("/Users/{ada}"), &operation("replace", "title", &json!("Countess"))).answered(200);
    client.put(&format!("/Users/{off}"), &user_with("off", &json!({"title": "x"}))).answered(200);
    set_active(&client, &ada, true).answered(200);
    client.created("/Groups", &group("Team", &[&ada, &off]));
    wait_for_refused(&operator, &path, 4);
    // A deactivation and a deletion free a seat, and so does a PATCH that removes the attribute.
    set_active(&client, &ada, false).answered(200);
    set_active(&client, &off, true).answered(200);
    refused_with(set_active(&client, &ada, true), SENTENCE);
    client.delete(&format!("/Users/{bob}")).answered(204);
    client.created("/Users", &user("eve"));
    assert_eq!(used(&operator, &path, "activeUsers"), 2);
    assert_eq!(used(&operator, &path, "users"), 3);
    // A limit below the usage changes no user.
    limit(&operator, &path, &json!({"activeUsers": 1}));
    client.patch(&format!("/Users/{off}"), &operation("replace", "title", &json!("y"))).answered(200);
    set_active(&client, &off, false).answered(200);
    refused_with(set_active(&client, &off, true), SENTENCE);
    limit(&operator, &path, &json!({"activeUsers": null, "message": null}));
    set_active(&client, &off, true).answered(200);
    wait_for_refused(&operator, &account_quotas("seats"), 6);
    let found = quota(&operator.get(&path).answered(200).json, "activeUsers");
    assert_eq!((found.get("message"), &found["limit"]), (None, &Value::Null));
    assert!(found["lastRefusedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{found}");
}

#[test]
fn a_reactivation_by_a_post_needs_a_seat() {
    let operator = App::shared().operator();
    let client = operator.configuration("seats-reactivate", "other");
    let settings = format!("{CONFIGURATIONS}/{}/settings", client.id);
    operator.patch(&settings, &json!({"switches": {"reactivateOnConflict": true}})).answered(200);
    limit(&operator, &quotas_of(&client), &json!({"activeUsers": 1}));
    let off = client.created("/Users", &inactive("off"));
    let ada = client.created("/Users", &user("ada"));
    let sentence = "the connection has reached its limit of 1 active users; deactivate or delete some, or ask the \
                    operator for a higher limit";
    refused_with(client.post("/Users", &user("off")), sentence);
    client.delete(&format!("/Users/{ada}")).answered(204);
    assert_eq!(client.post("/Users", &user("off")).answered(201).id(), off);
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 1);
}

#[test]
fn the_limit_of_an_account_counts_all_its_connections() {
    let operator = App::shared().operator();
    let (one, other) =
        (operator.configuration("seats-account", "other"), operator.configuration("seats-account", "okta"));
    let account = account_quotas("seats-account");
    limit(&operator, &account, &json!({"activeUsers": 2, "message": "The account is full."}));
    limit(&operator, &quotas_of(&other), &json!({"activeUsers": 1}));
    let ada = one.created("/Users", &user("ada"));
    other.created("/Users", &user("bob"));
    // The limit of the connection is reached first, and has no sentence of its own.
    refused_with(other.post("/Users", &user("eve")), "The account is full.");
    limit(&operator, &quotas_of(&other), &json!({"message": "This connection is full."}));
    refused_with(other.post("/Users", &user("eve")), "This connection is full.");
    refused_with(one.post("/Users", &user("eve")), "The account is full.");
    limit(&operator, &account, &json!({"message": ""}));
    let detail = one.post("/Users", &user("eve")).refused(403, "").text("detail");
    assert!(detail.starts_with("the account has reached its limit of 2 active users;"), "{detail}");
    assert_eq!(used(&operator, &account, "activeUsers"), 2);
    wait_for_refused(&operator, &account, 4);
    wait_for_refused(&operator, &quotas_of(&one), 2);
    // A deleted connection has its seats until it is purged.
    operator.delete(&format!("{CONFIGURATIONS}/{}", other.id)).answered(204);
    one.post("/Users", &user("eve")).refused(403, "");
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", other.id)).answered(204);
    one.created("/Users", &user("eve"));
    set_active(&one, &ada, false).answered(200);
    assert_eq!(used(&operator, &account, "activeUsers"), 1);
}

#[test]
fn each_operation_of_a_bulk_request_needs_its_seat() {
    let operator = App::shared().operator();
    let client = operator.configuration("seats-bulk", "other");
    limit(&operator, &quotas_of(&client), &json!({"activeUsers": 3, "message": SENTENCE}));
    let item = |n: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"),
            "data": user_with(&format!("b{n}"), &json!({"active": n.is_multiple_of(2)}))})
    };
    let job = json!({"schemas": [BULK], "Operations": (0..10).map(item).collect::<Vec<_>>()});
    let answer = client.post("/Bulk", &job).answered(200).json;
    let results = answer["Operations"].as_array().unwrap();
    let with = |status: &str| results.iter().filter(|result| result["status"] == status).collect::<Vec<_>>();
    assert_eq!((with("201").len(), with("403").len()), (8, 2), "{answer}");
    assert_eq!(with("403")[0]["response"]["detail"], SENTENCE);
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 3);
    assert_eq!(used(&operator, &quotas_of(&client), "users"), 8);
    wait_for_refused(&operator, &quotas_of(&client), 2);
    // Changes of one user in one request: the seat is free again in between.
    let first = client.find("/Users", "userName eq \"b0\"")[0]["id"].as_str().unwrap().to_owned();
    let change = |active: bool| {
        json!({"method": "PATCH", "path": format!("/Users/{first}"),
            "data": operation("replace", "active", &json!(active))})
    };
    let job = json!({"schemas": [BULK], "Operations": [change(false), change(true)]});
    let answer = client.post("/Bulk", &job).answered(200).json;
    assert!(answer["Operations"].as_array().unwrap().iter().all(|result| result["status"] == "200"), "{answer}");
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 3);
}

#[test]
fn concurrent_activations_never_exceed_the_limit() {
    let operator = App::shared().operator();
    let client = operator.configuration("seats-race", "other");
    limit(&operator, &quotas_of(&client), &json!({"activeUsers": 7}));
    let ids: Vec<String> = (0..24).map(|n| client.created("/Users", &inactive(&format!("r{n}")))).collect();
    let statuses = thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = ids
            .chunks(6)
            .map(|part| {
                scope.spawn(move || part.iter().map(|id| set_active(client, id, true).status).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<u16>>()
    });
    let with = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((with(200), with(403)), (7, 17), "{statuses:?}");
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 7);
    wait_for_refused(&operator, &quotas_of(&client), 17);
}

#[test]
fn the_counters_are_right_after_a_kill_a_pause_and_a_purge() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let operator = app.operator();
    let (client, gone) = (operator.configuration("acme", "other"), operator.configuration("acme", "okta"));
    let path = format!("{CONFIGURATIONS}/{}", client.id);
    limit(&operator, &quotas_of(&client), &json!({"activeUsers": 3, "message": SENTENCE}));
    let ids: Vec<String> = (0..3).map(|n| client.created("/Users", &user(&format!("u{n}")))).collect();
    gone.created("/Users", &user("gone"));
    client.post("/Users", &user("late")).answered(403);
    wait_for_refused(&operator, &quotas_of(&client), 1);
    operator.patch(&path, &json!({"syncToUserManagement": false})).answered(204);
    set_active(&client, &ids[0], false).answered(200);
    client.created("/Users", &user("held"));
    client.delete(&format!("/Users/{}", ids[1])).answered(204);
    app.kill();

    let app = App::start(data.path());
    let operator = Caller { address: app.address, ..operator };
    let client = client.at(app.address);
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 2);
    operator.patch(&path, &json!({"syncToUserManagement": true})).answered(204);
    assert_eq!(used(&operator, &quotas_of(&client), "activeUsers"), 2);
    assert_eq!(used(&operator, &account_quotas("acme"), "activeUsers"), 3);
    let found = quota(&operator.get(&quotas_of(&client)).answered(200).json, "activeUsers");
    assert_eq!((&found["refused"], &found["message"]), (&json!(1), &json!(SENTENCE)));
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", gone.id)).answered(204);
    assert_eq!(used(&operator, &account_quotas("acme"), "activeUsers"), 2);
    client.created("/Users", &user("next"));
    refused_with(client.post("/Users", &user("late")), SENTENCE);
    app.succeeds(&["check"]);
    // The same answer after another start.
    drop(app);
    let app = App::start(data.path());
    refused_with(client.at(app.address).post("/Users", &user("late")), SENTENCE);
}

#[test]
fn the_sentence_is_checked_audited_and_displayed() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("seats-displayed", "other");
    let path = quotas_of(&client);
    let long = "x".repeat(501);
    for wrong in [json!("two\nlines"), json!(long), json!(5)] {
        let refused = operator.patch(&path, &json!({"message": wrong})).problem(400);
        assert!(refused.text("message").contains("message"), "{}", refused.json);
    }
    operator.patch(&account_quotas("seats-displayed"), &json!({"message": "\u{0}"})).problem(400);
    let own = app.account_key("seats-displayed", &["provisioning.read", "provisioning.create"]);
    own.patch(&path, &json!({"message": "mine"})).problem(403);
    app.succeeds(&["quota", "set", "--configuration", &client.id, "activeUsers=1", "--message", "Ask <b>Bob</b>."]);
    let displayed = String::from_utf8(app.succeeds(&["quota", "show", "--configuration", &client.id])).unwrap();
    assert!(displayed.contains("Answer above activeUsers: Ask <b>Bob</b>."), "{displayed}");
    let audit = operator.for_account("seats-displayed");
    let audit = audit.get("/directory/resources/v1/audit?action=configuration.quotas_changed").answered(200);
    assert!(audit.json.to_string().contains("Ask <b>Bob</b>."), "{}", audit.json);
    client.created("/Users", &user("ada"));
    refused_with(client.post("/Users", &user("bob")), "Ask <b>Bob</b>.");
    let page = format!("/connections/{}", client.id);
    let mut manager = Browser::with_role(app, "provisioning-manager", Some("seats-displayed"));
    let text = wait_for_text(&mut manager, &page, "1 request was rejected because of the limit of active users");
    assert!(text.contains("Active users: the limit of 1 is reached (1)."), "{}", text.text);
    assert!(text.contains("this answer: “Ask &#60;b&#62;Bob&#60;/b&#62;.”"), "{}", text.text);
    let mut owner = Browser::owner(app);
    let wrong = owner.submit_only(&format!("{page}/quotas"), &[("message", &long)]).answered(422);
    assert!(wrong.contains("at most 500 characters and no control characters"), "{}", wrong.text);
    owner.submit(&format!("{page}/quotas"), &[("activeUsers", "2"), ("message", "Full.")]).answered(200);
    client.created("/Users", &user("bob"));
    refused_with(client.post("/Users", &user("eve")), "Full.");
    let failed = wait_for_text(&mut owner, &format!("{page}/requests?only=failed"), "the limit of active users");
    assert!(failed.contains("the limit of active users is reached"), "{}", failed.text);
    app.succeeds(&["quota", "set", "--configuration", &client.id, "--message", ""]);
    let displayed = app.succeeds(&["quota", "show", "--configuration", &client.id, "--output", "json"]);
    let displayed: Value = serde_json::from_slice(&displayed).unwrap();
    let found = displayed.as_array().unwrap().iter().find(|one| one["quota"] == "activeUsers").unwrap();
    assert_eq!((&found["limit"], &found["message"]), (&json!(2), &Value::Null));
}
