//! The audit log: every change with its actor, for changes by API and by command line.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};

const AUDIT: &str = "/directory/resources/v1/audit";

fn listed(caller: &Caller, query: &str) -> Vec<Value> {
    let reply = caller.get(&format!("{AUDIT}{query}")).answered(200);
    reply.json["items"].as_array().unwrap_or_else(|| panic!("items in {}", reply.json)).clone()
}

fn actions(found: &[Value]) -> Vec<&str> {
    found.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[test]
fn every_change_is_audited_with_actor_address_and_previous_values() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("audited", "okta");
    let one = format!("{CONFIGURATIONS}/{}", client.id);
    let patched = operator.patch(&one, &json!({"syncToUserManagement": false})).answered(204);
    app.succeeds(&["token", "rotate", &client.id]);
    operator.delete(&one).answered(204);
    let found = listed(&operator, "?account=audited");
    let expected = ["configuration.deleted", "token.created", "configuration.updated", "configuration.created"];
    assert_eq!(actions(&found), expected);
    let updated = &found[2];
    assert_eq!(updated["before"], json!({"syncToUserManagement": true}));
    assert_eq!(updated["after"], json!({"syncToUserManagement": false}));
    assert_eq!(updated["requestId"], patched.header("x-request-id"));
    assert_eq!(updated["address"], "127.0.0.1");
    assert_eq!((&updated["actor"]["kind"], &updated["actor"]["name"]), (&json!("api_key"), &json!("test")));
    assert_eq!(updated["configurationId"], client.id);
    assert_eq!(found[1]["actor"]["kind"], "command_line");
    assert!(!json!(found).to_string().contains(&client.token));
}

#[test]
fn it_is_filtered_and_paged() {
    let operator = App::shared().operator();
    let first = operator.configuration("audit-pages", "okta");
    let second = operator.configuration("audit-pages", "other");
    operator.delete(&format!("{CONFIGURATIONS}/{}", second.id)).answered(204);
    let all = listed(&operator, "?account=audit-pages");
    assert_eq!(all.len(), 3);
    for (query, expected) in [
        (format!("?configuration={}", second.id), vec![0, 1]),
        (format!("?configuration={}&account=audit-pages", first.id), vec![2]),
        (format!("?configuration={}&account=elsewhere", first.id), vec![]),
        ("?account=audit-pages&action=configuration".to_owned(), vec![0, 1, 2]),
        ("?account=audit-pages&action=configuration.deleted".to_owned(), vec![0]),
        ("?account=audit-pages&action=config".to_owned(), vec![]),
        ("?account=audit-pages&actor=test".to_owned(), vec![0, 1, 2]),
        ("?account=audit-pages&actor=unknown".to_owned(), vec![]),
        ("?account=audit-pages&until=2020-01-01T00:00:00Z".to_owned(), vec![]),
        ("?account=audit-pages&since=2020-01-01T00:00:00Z".to_owned(), vec![0, 1, 2]),
    ] {
        let expected: Vec<Value> = expected.into_iter().map(|number: usize| all[number].clone()).collect();
        assert_eq!(listed(&operator, &query), expected, "{query}");
    }
    let (mut walked, mut next) = (Vec::new(), String::new());
    loop {
        let page = operator.get(&format!("{AUDIT}?account=audit-pages&limit=1{next}")).answered(200).json;
        walked.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(walked, all);
    for wrong in ["?since=now", "?limit=1001", "?cursor=x"] {
        operator.get(&format!("{AUDIT}{wrong}")).problem(400);
    }
}

#[test]
fn an_account_sees_only_its_own_changes() {
    let app = App::shared();
    let operator = app.operator();
    operator.configuration("audit-one", "okta");
    operator.configuration("audit-two", "okta");
    let one = app.account_key("audit-one", &["audit.read"]);
    let found = listed(&one, "");
    assert!(actions(&found).contains(&"configuration.created"));
    assert!(found.iter().all(|entry| entry["accountId"] == "audit-one"), "{found:#?}");
    assert!(listed(&one, "?account=audit-two").is_empty());
    assert!(!listed(&operator, "?account=audit-two").is_empty());
    app.account_key("audit-one", &["provisioning.read"]).get(AUDIT).problem(403);
}

#[test]
fn changes_of_accounts_tokens_settings_and_schemas_are_audited() {
    let app = App::shared();
    let operator = app.operator();
    let account = "/directory/resources/v1/accounts/audit-marks";
    operator.post("/directory/resources/v1/accounts", &json!({"id": "audit-marks", "name": "First"})).answered(201);
    operator.patch(account, &json!({"name": "Second"})).answered(204);
    let client = operator.configuration("audit-marks", "okta");
    let one = format!("{CONFIGURATIONS}/{}", client.id);
    let token = operator.post(&format!("{one}/tokens"), &json!({"rights": "read"})).answered(201);
    let token_path = format!("{one}/tokens/{}", token.text("id"));
    operator.patch(&token_path, &json!({"label": "Nightly"})).answered(204);
    operator.delete(&token_path).answered(204);
    operator.patch(&format!("{one}/settings"), &json!({"switches": {"pageMax": 200}})).answered(200);
    let schema = json!({"id": "urn:example:badge:1", "attributes": [{"name": "number"}]});
    let body = json!({"resourceType": "User", "schema": schema});
    operator.post(&format!("{one}/schemas"), &body).answered(201);
    operator.delete(&format!("{one}/schemas/urn:example:badge:1")).answered(204);
    operator.delete(&one).answered(204);
    operator.delete(account).answered(204);
    let found = listed(&operator, "?account=audit-marks");
    let expected = [
        "account.deleted",
        "configuration.deleted",
        "schema.removed",
        "schema.added",
        "configuration.updated",
        "token.revoked",
        "token.updated",
        "token.created",
        "configuration.created",
        "account.updated",
        "account.created",
    ];
    assert_eq!(actions(&found), expected);
    let (settings, updated, created) = (&found[4], &found[6], &found[7]);
    assert_eq!(settings["before"], json!({"switches": {"pageMax": 500}}));
    assert_eq!(settings["after"], json!({"switches": {"pageMax": 200}}));
    assert_eq!((&updated["before"]["label"], &updated["after"]["label"]), (&json!("rotated token"), &json!("Nightly")));
    assert_eq!((&updated["subjectId"], &updated["configurationId"]), (&token.json["id"], &json!(client.id)));
    assert_eq!((&created["subjectId"], &created["after"]["token"]["rights"]), (&token.json["id"], &json!("read")));
    assert_eq!((&found[9]["before"], &found[9]["after"]), (&json!({"name": "First"}), &json!({"name": "Second"})));
    assert!(!json!(found).to_string().contains(&token.text("token")));
}
