//! Accounts in the management API.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{self, encode};

const ACCOUNTS: &str = "/directory/resources/v1/accounts";

fn one(id: &str) -> String {
    format!("{ACCOUNTS}/{}", encode(id))
}

/// Ids of all accounts, page by page.
fn list_all(caller: &Caller, limit: u32) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = caller.get(&format!("{ACCOUNTS}?limit={limit}{cursor}")).answered(200).json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= usize::try_from(limit).unwrap());
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[test]
fn an_account_is_created_read_renamed_and_deleted() {
    let operator = App::shared().operator();
    let made = operator.post(ACCOUNTS, &json!({"id": "life-1", "name": "First", "more": 1})).answered(201);
    assert_eq!((made.text("id"), made.text("name")), ("life-1".to_owned(), "First".to_owned()));
    assert_eq!(made.json["configurations"], 0);
    assert!(made.text("createdAt").ends_with('Z'));
    let again = operator.post(ACCOUNTS, &json!({"id": "life-1"})).problem(409);
    assert!(again.text("message").contains("already"), "{}", again.json);
    let mut read = operator.get(&one("life-1")).answered(200).json;
    let access = read.as_object_mut().unwrap().remove("access").unwrap();
    assert_eq!(read, made.json);
    assert_eq!(access, json!({"admins": 0, "sessions": 0, "apiKeys": 0, "tokens": 0, "setupLinks": 0}));
    operator.patch(&one("life-1"), &json!({"name": "Second"})).answered(204);
    assert_eq!(operator.get(&one("life-1")).answered(200).text("name"), "Second");
    operator.delete(&one("life-1")).answered(204);
    for reply in [
        operator.get(&one("life-1")),
        operator.delete(&one("life-1")),
        operator.patch(&one("life-1"), &json!({"name": "x"})),
        operator.patch(&one("life-1"), &json!({"name": 5})),
    ] {
        reply.problem(404);
    }
    assert!(!list_all(&operator, 1_000).contains(&"life-1".to_owned()));
    assert_eq!(operator.post(ACCOUNTS, &json!({"id": "life-1"})).answered(201).text("name"), "life-1");
}

#[test]
fn an_id_may_contain_any_characters() {
    let operator = App::shared().operator();
    for id in ["Müller & Söhne", "a/b", "a%2Fb", "100%", "a b", "a+b", "?x=1#y", "☂", "ACME;1", "a\\b", "\"quoted\""]
    {
        operator.post(ACCOUNTS, &json!({"id": id})).answered(201);
        assert_eq!(operator.get(&one(id)).answered(200).text("id"), id);
        operator.patch(&one(id), &json!({"name": "renamed"})).answered(204);
        assert_eq!(operator.get(&format!("{}/", one(id))).answered(200).text("name"), "renamed");
        operator.delete(&one(id)).answered(204);
        operator.get(&one(id)).problem(404);
    }
}

#[test]
fn invalid_fields_are_refused_by_name() {
    let operator = App::shared().operator();
    for (body, named) in [
        (json!({}), "id"),
        (json!({"id": ""}), "id"),
        (json!({"id": " a"}), "id"),
        (json!({"id": "a\nb"}), "id"),
        (json!({"id": "x".repeat(129)}), "id"),
        (json!({"id": 5}), "id"),
        (json!({"id": "rules-1", "name": ""}), "name"),
        (json!({"id": "rules-1", "name": " a"}), "name"),
        (json!({"id": "rules-1", "name": "x".repeat(65)}), "name"),
        (json!([]), ""),
    ] {
        let refused = operator.post(ACCOUNTS, &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
    operator.get(&one("rules-1")).problem(404);
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?cursor=x"] {
        operator.get(&format!("{ACCOUNTS}{query}")).problem(400);
    }
}

#[test]
fn the_list_is_walked_by_cursor_in_the_order_of_the_ids() {
    let operator = App::shared().operator();
    for id in ["walk-c", "walk-a", "walk-b", "walk-Ä"] {
        operator.post(ACCOUNTS, &json!({"id": id})).answered(201);
    }
    for limit in [1, 2, 1_000] {
        let ours: Vec<String> = list_all(&operator, limit).into_iter().filter(|id| id.starts_with("walk-")).collect();
        assert_eq!(ours, ["walk-a", "walk-b", "walk-c", "walk-Ä"]);
    }
    assert_eq!(list_all(&operator.for_account("walk-b"), 10), ["walk-b"]);
}

#[test]
fn an_account_sees_only_itself_and_cannot_change_accounts() {
    let app = App::shared();
    let operator = app.operator();
    operator.post(ACCOUNTS, &json!({"id": "self-2"})).answered(201);
    let caller = app.account_key("self-1", &[]);
    assert_eq!(list_all(&caller, 10), ["self-1"]);
    assert_eq!(caller.get(&one("self-1")).answered(200).text("id"), "self-1");
    let foreign = caller.get(&one("self-2")).problem(404).json;
    assert_eq!(foreign, caller.get(&one("self-none")).problem(404).json);
    caller.post(ACCOUNTS, &json!({"id": "self-3"})).problem(403);
    caller.patch(&one("self-1"), &json!({"name": "x"})).problem(403);
    caller.delete(&one("self-1")).problem(403);
    // An operator with an account in the tenant header has no access to other accounts.
    operator.for_account("self-1").get(&one("self-2")).problem(404);
    operator.for_account("self-1").delete(&one("self-2")).problem(404);
    operator.for_account("self-1").post(ACCOUNTS, &json!({"id": "self-4"})).problem(400);
}

#[test]
fn an_account_is_deleted_only_when_it_is_empty() {
    let operator = App::shared().operator();
    let client = operator.configuration("left-1", "okta");
    client.created("/Users", &sample::user("ada"));
    assert_eq!(operator.get(&one("left-1")).answered(200).json["configurations"], 1);
    let refused = operator.delete(&one("left-1")).problem(409);
    assert!(refused.text("message").contains("1 configuration"), "{}", refused.json);
    operator.delete(&format!("{}?purge=true", one("left-1"))).problem(409);
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);
    let refused = operator.delete(&one("left-1")).problem(409);
    assert!(refused.text("message").contains("purge"), "{}", refused.json);
    operator.delete(&format!("{}?purge=maybe", one("left-1"))).problem(400);
    operator.delete(&format!("{}?purge=true", one("left-1"))).answered(204);
    operator.get(&one("left-1")).problem(404);
    let purge = App::shared().rollcall(&["configuration", "delete", &client.id, "--purge", "--yes"]);
    assert!(!purge.status.success(), "nothing is left to purge");
}

#[test]
fn a_deleted_account_loses_its_keys_and_is_recreated_with_its_next_use() {
    let app = App::shared();
    let operator = app.operator();
    let caller = app.account_key("back-1", &[]);
    operator.patch(&one("back-1"), &json!({"name": "Named"})).answered(204);
    operator.delete(&one("back-1")).answered(204);
    caller.get(CONFIGURATIONS).problem(401);
    operator.configuration("back-1", "okta");
    let account = operator.get(&one("back-1")).answered(200).json;
    assert_eq!((&account["name"], &account["configurations"]), (&json!("back-1"), &json!(1)));
    caller.get(CONFIGURATIONS).problem(401);
    assert_eq!(account["id"], Value::from("back-1"));
}
