//! Tokens of a configuration: listed, rotated with an overlap, given an expiry, revoked.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};

fn tokens(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/tokens", client.id)
}

fn listed(caller: &Caller, client: &Client) -> Vec<Value> {
    caller.get(&tokens(client)).answered(200).json["items"].as_array().unwrap().clone()
}

fn states(caller: &Caller, client: &Client) -> Vec<String> {
    listed(caller, client).iter().map(|token| token["state"].as_str().unwrap().to_owned()).collect()
}

/// The same client with a new token.
#[track_caller]
fn rotated(caller: &Caller, client: &Client, body: &Value) -> Client {
    let made = caller.post(&tokens(client), body).answered(201);
    Client { token: made.text("token"), ..client.clone() }
}

#[test]
fn the_list_shows_hints_and_never_a_token() {
    let operator = App::shared().operator();
    let client = operator.configuration("tokens-list", "other");
    let body = json!({"label": "Second", "rights": "read", "expiresAt": "2999-12-31T23:59:59+01:00", "more": 1});
    let made = operator.post(&tokens(&client), &body).answered(201);
    let items = listed(&operator, &client);
    assert_eq!(items.len(), 2);
    let (second, first) = (&items[0], &items[1]);
    let mut names: Vec<&String> = second.as_object().unwrap().keys().collect();
    names.sort();
    let all = ["createdAt", "expiresAt", "firstUsedAt", "hint", "id", "label", "lastUsedAt", "revokedAt", "rights"];
    assert_eq!(names, [&all[..], &["state"]].concat());
    assert_eq!(second["label"], "Second");
    assert_eq!((&second["rights"], &second["expiresAt"]), (&json!("read"), &json!("2999-12-31T22:59:59.000Z")));
    assert_eq!((&second["id"], &second["expiresAt"]), (&made.json["id"], &made.json["expiresAt"]));
    assert!(made.text("token").ends_with(second["hint"].as_str().unwrap()));
    assert!(client.token.ends_with(first["hint"].as_str().unwrap()));
    assert_eq!(
        (&first["rights"], &first["expiresAt"], &first["lastUsedAt"]),
        (&json!("all"), &Value::Null, &Value::Null)
    );
    assert_eq!(states(&operator, &client), ["live", "live"]);
    let text = operator.get(&tokens(&client)).json.to_string();
    assert!(!text.contains("rct_") && !text.contains(&client.token));

    client.get("/Users").answered(200);
    let used = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let first = listed(&operator, &client).remove(1);
        first["lastUsedAt"].is_string() && first["firstUsedAt"].is_string()
    });
    assert!(used, "the use of a token is noted soon");
}

#[test]
fn of_the_live_tokens_the_two_newest_stay() {
    let operator = App::shared().operator();
    let first = operator.configuration("tokens-rotate", "other");
    let second = rotated(&operator, &first, &json!({}));
    let made = operator.request("POST", &format!("{CONFIGURATIONS}/{}/token", first.id)).send().answered(201);
    let third = Client { token: made.text("token"), ..first.clone() };
    first.get("/Users").refused(401, "");
    second.get("/Users").answered(200);
    third.get("/Users").answered(200);
    assert_eq!(states(&operator, &first), ["live", "live", "revoked"]);
    let page = operator.get(&format!("{}?limit=2", tokens(&first))).answered(200).json;
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = operator.get(&format!("{}?limit=2&cursor={cursor}", tokens(&first))).answered(200).json;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["nextCursor"]), (1, &Value::Null));
    assert_eq!(rest["items"][0]["state"], "revoked");
}

#[test]
fn the_overlap_ends_when_it_should() {
    let operator = App::shared().operator();
    let first = operator.configuration("tokens-overlap", "other");
    let second = rotated(&operator, &first, &json!({"revokeOldAfter": 3600.0}));
    first.get("/Users").answered(200);
    assert!(listed(&operator, &first)[1]["expiresAt"].is_string());
    let third = rotated(&operator, &first, &json!({"revokeOldAfter": 0}));
    second.get("/Users").refused(401, "");
    third.get("/Users").answered(200);
    assert_eq!(states(&operator, &first), ["live", "expired", "revoked"]);
}

#[test]
fn an_expired_token_is_refused() {
    // the token is refused after its expiry.
    let operator = App::shared().operator();
    let first = operator.configuration("tokens-expiry", "other");
    let second = rotated(&operator, &first, &json!({"expiresIn": 1, "expiresAt": "2999-01-01T00:00:00Z"}));
    let expired = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        second.get("/Users").status == 401
    });
    assert!(expired, "the earlier of the two ends counts");
    let refused = second.get("/Users").refused(401, "");
    let wrong = second.request("GET", "/Users").header("Authorization", "Bearer wrong").send();
    assert_eq!(refused.json, wrong.json);
    second.get("/ServiceProviderConfig").refused(401, "");
    first.get("/Users").answered(200);
    assert_eq!(states(&operator, &first), ["expired", "live"]);
    let id = listed(&operator, &first)[0]["id"].as_str().unwrap().to_owned();
    let dead = operator.patch(&format!("{}/{id}", tokens(&first)), &json!({"expiresAt": null})).problem(409);
    assert!(dead.text("message").contains("revoked or expired"), "{}", dead.json);
}

#[test]
fn a_live_token_can_be_renamed_and_get_another_expiry() {
    let operator = App::shared().operator();
    let client = operator.configuration("tokens-change", "other");
    let path = format!("{}/{}", tokens(&client), listed(&operator, &client)[0]["id"].as_str().unwrap());
    operator.patch(&path, &json!({"label": "Okta", "expiresAt": "2999-01-01T00:00:00.5Z"})).answered(204);
    let current = listed(&operator, &client).remove(0);
    assert_eq!((&current["label"], &current["expiresAt"]), (&json!("Okta"), &json!("2999-01-01T00:00:00.500Z")));
    operator.patch(&path, &json!({})).answered(204);
    assert_eq!(listed(&operator, &client)[0], current);
    operator.patch(&path, &json!({"expiresAt": null})).answered(204);
    assert_eq!(listed(&operator, &client)[0]["expiresAt"], Value::Null);
    operator.patch(&path, &json!({"expiresAt": "1999-01-01T00:00:00Z"})).problem(409);
    client.get("/Users").answered(200);
    for (body, named) in [
        (json!({"label": ""}), "label"),
        (json!({"label": " x"}), "label"),
        (json!({"label": "x".repeat(65)}), "label"),
        (json!({"expiresAt": "tomorrow"}), "expiresAt"),
        (json!({"expiresAt": "2999-01-01T00:00:00"}), "expiresAt"),
        (json!({"expiresAt": 5}), "expiresAt"),
    ] {
        let refused = operator.patch(&path, &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
}

#[test]
fn a_revoked_token_is_refused_at_once_and_permanently() {
    let operator = App::shared().operator();
    let client = operator.configuration("tokens-revoke", "other");
    let path = format!("{}/{}", tokens(&client), listed(&operator, &client)[0]["id"].as_str().unwrap());
    client.get("/Users").answered(200);
    operator.delete(&path).answered(204);
    client.get("/Users").refused(401, "");
    client.get("/ServiceProviderConfig").refused(401, "");
    operator.delete(&path).problem(404);
    operator.patch(&path, &json!({"expiresAt": null})).problem(409);
    assert_eq!(states(&operator, &client), ["revoked"]);
    let none = format!("{}/01890a5d-ac96-774b-bcce-b302099a8057", tokens(&client));
    operator.delete(&none).problem(404);
    operator.patch(&none, &json!({"label": 5})).problem(404);
    rotated(&operator, &client, &json!({})).get("/Users").answered(200);
}

#[test]
fn an_invalid_request_is_refused_by_name_and_changes_nothing() {
    let operator = App::shared().operator();
    let client = operator.configuration("tokens-wishes", "other");
    for (body, named) in [
        (json!({"rights": "write"}), "rights"),
        (json!({"rights": ["read"]}), "rights"),
        (json!({"label": "a\u{7}"}), "label"),
        (json!({"expiresIn": 0}), "expiresIn"),
        (json!({"expiresIn": -1}), "expiresIn"),
        (json!({"expiresIn": 315_360_001}), "expiresIn"),
        (json!({"expiresIn": "90d"}), "expiresIn"),
        (json!({"revokeOldAfter": 2_592_001}), "revokeOldAfter"),
        (json!({"expiresAt": "2026"}), "expiresAt"),
    ] {
        let refused = operator.post(&tokens(&client), &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
    operator.post(&tokens(&client), &json!({"expiresAt": "2000-01-01T00:00:00Z"})).problem(409);
    assert_eq!(states(&operator, &client), ["live"]);
}

#[test]
fn tokens_of_a_foreign_configuration_are_not_found() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("tokens-theirs", "other");
    let id = listed(&operator, &client)[0]["id"].as_str().unwrap().to_owned();
    let foreign = app.account_key("tokens-mine", &[]);
    let own = app.account_key("tokens-theirs", &[]);
    let path = tokens(&client);
    foreign.get(&path).problem(404);
    foreign.post(&path, &json!({})).problem(404);
    foreign.post(&path, &json!({"rights": 5})).problem(404);
    foreign.post(&format!("{CONFIGURATIONS}/{}/token", client.id), &json!({})).problem(404);
    foreign.patch(&format!("{path}/{id}"), &json!({"label": "x"})).problem(404);
    foreign.delete(&format!("{path}/{id}")).problem(404);
    // Another configuration of the same account gives no access to the token either.
    let other = operator.configuration("tokens-theirs", "other");
    own.delete(&format!("{}/{id}", tokens(&other))).problem(404);
    client.get("/Users").answered(200);
    own.patch(&format!("{path}/{id}"), &json!({"label": "Ours"})).answered(204);
    assert_eq!(listed(&own, &client)[0]["label"], "Ours");
    own.delete(&format!("{path}/{id}")).answered(204);
    client.get("/Users").refused(401, "");
}

#[test]
fn the_command_line_rotates_lists_and_revokes() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("tokens-cli", "other");
    let rotate = ["token", "rotate", &client.id, "--rights", "groups", "--label", "Nightly", "--expires-in", "90d"];
    let made: Value = serde_json::from_slice(&app.succeeds(&[&rotate[..], &["--output", "json"]].concat())).unwrap();
    let current = listed(&operator, &client).remove(0);
    assert_eq!((&current["rights"], &current["label"]), (&json!("groups"), &json!("Nightly")));
    assert!(
        current["expiresAt"].is_string()
            && made["token"].as_str().unwrap().ends_with(current["hint"].as_str().unwrap())
    );
    let table = String::from_utf8(app.succeeds(&["token", "list", &client.id])).unwrap();
    assert!(table.contains("Nightly") && table.contains("groups") && !table.contains("rct_"), "{table}");
    let list: Value =
        serde_json::from_slice(&app.succeeds(&["token", "list", &client.id, "--output", "json"])).unwrap();
    assert_eq!((list[0]["state"].as_str(), &list[0]["id"]), (Some("live"), &current["id"]));
    app.succeeds(&["token", "revoke", &client.id, list[1]["id"].as_str().unwrap(), "--yes"]);
    client.get("/Users").refused(401, "");
    let again = app.rollcall(&["token", "revoke", &client.id, list[1]["id"].as_str().unwrap(), "--yes"]);
    assert_eq!(again.status.code(), Some(1));
}
