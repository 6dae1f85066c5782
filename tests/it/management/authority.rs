//! What a caller creates, changes or revokes never has more permissions than the caller and never lasts longer.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::identity::now;
use crate::management::token_exchange;
use crate::sample::user;

const KEYS: &str = "/directory/resources/v1/api-keys";

/// A key of the operator that lives until 2099, and its end.
fn short_lived(app: &App) -> (Caller, String) {
    let body = json!({"name": "short", "expiresAt": "2099-01-01T00:00:00Z"});
    let made = app.operator().post(KEYS, &body).answered(201);
    (app.anonymous().with(&made.text("secret")), made.text("expiresAt"))
}

#[test]
fn a_key_creates_and_revokes_only_keys_that_may_do_no_more() {
    let app = App::shared();
    let operator = app.operator();
    let weak = app.keyed(&["--permission", "system.admin", "--permission", "audit.read"]);
    for (permissions, is_covered) in [
        (vec!["audit.read"], true),
        (vec!["audit.read", "system.admin"], true),
        (vec!["directory.read"], false),
        (vec!["audit.read", "provisioning.delete"], false),
    ] {
        let body = json!({"name": "made", "permissions": permissions});
        let created = weak.post(KEYS, &body).status;
        assert_eq!(created == 403, !is_covered, "{permissions:?}: {created}");
        for account in [None, Some("authority-keys")] {
            if account.is_some() && permissions.contains(&"system.admin") {
                continue;
            }
            let made = match account {
                None => operator.post(KEYS, &body).answered(201),
                Some(account) => operator.for_account(account).post(KEYS, &body).answered(201),
            };
            let path = format!("{KEYS}/{}", made.text("clientId"));
            if is_covered {
                weak.delete(&path).answered(204);
            } else {
                assert_eq!(weak.delete(&path).problem(403).json["errorCode"], "authority_exceeded", "{permissions:?}");
                operator.get(&path).answered(200);
                operator.delete(&path).answered(204);
            }
        }
    }
}

#[test]
fn nothing_that_a_key_creates_outlives_it() {
    let app = App::shared();
    let (short, end) = short_lived(app);
    let later = "2100-01-01T00:00:00Z";
    let is_refused = |caller: &Caller, path: &str, body: &Value| {
        let refused = caller.post(path, body).problem(403);
        assert_eq!(refused.json["errorCode"], "expiry_beyond_caller", "{path}");
    };
    // API keys.
    is_refused(&short, KEYS, &json!({"name": "long", "expiresAt": later}));
    let made = short.post(KEYS, &json!({"name": "same"})).answered(201);
    assert_eq!(made.json["expiresAt"], end);
    // The first token of a configuration.
    let client = short.configuration("authority-expiry", "other");
    let tokens = format!("{CONFIGURATIONS}/{}/tokens", client.id);
    assert_eq!(short.get(&tokens).answered(200).json["items"][0]["expiresAt"], end);
    // Further tokens, at both paths.
    is_refused(&short, &tokens, &json!({"expiresAt": later}));
    is_refused(&short, &format!("{CONFIGURATIONS}/{}/token", client.id), &json!({"expiresAt": later}));
    let rotated = short.post(&tokens, &json!({})).answered(201);
    assert_eq!(rotated.json["expiresAt"], end);
    let one = format!("{tokens}/{}", rotated.text("id"));
    for body in [json!({"expiresAt": later}), json!({"expiresAt": null})] {
        assert_eq!(short.patch(&one, &body).problem(403).json["errorCode"], "expiry_beyond_caller", "{body}");
    }
    short.patch(&one, &json!({"label": "renamed"})).answered(204);
    app.operator().patch(&one, &json!({"expiresAt": later})).answered(204);
    short.patch(&one, &json!({"label": "named again"})).answered(204);
    short.patch(&one, &json!({"expiresAt": end})).answered(204);
    // Setup links.
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    let hour = app.keyed(&["--expires-in", "1h"]);
    is_refused(&hour, &links, &json!({"expiresIn": 86_400}));
    let link = hour.post(&links, &json!({})).answered(201);
    let until = hour.post(&tokens, &json!({})).answered(201).text("expiresAt");
    assert!(link.text("expiresAt") <= until, "{} after {until}", link.json);
}

#[test]
fn exchanged_tokens_end_with_their_key() {
    let app = App::shared();
    let arguments = ["api-key", "create", "--name", "short", "--expires-in", "10m", "--output", "json"];
    let made: Value = serde_json::from_slice(&app.succeeds(&arguments)).unwrap();
    let body = json!({"clientId": made["clientId"], "secret": made["secret"]});
    let until = now() + 600;
    let issued = app.anonymous().post("/auth/vendor", &body).answered(200).json;
    assert!(issued["expiresIn"].as_i64().is_some_and(|seconds| (590..=600).contains(&seconds)), "{issued}");
    let pair = app.anonymous().post("/identity/resources/auth/v1/api-token", &body).answered(200).json;
    for token in [&issued["token"], &pair["accessToken"], &pair["refreshToken"]] {
        let claims = token_exchange::claims(token.as_str().unwrap());
        assert!(claims["exp"].as_i64().is_some_and(|end| end <= until), "{claims}");
    }
}

/// The number of users that a token of the configuration can read.
fn readable_users(client: &Client, token: &str) -> Option<u64> {
    let reply = Client { token: token.to_owned(), ..client.clone() }.get("/Users?count=0");
    (reply.status == 200).then(|| reply.json["totalResults"].as_u64().unwrap())
}

#[test]
fn the_permission_for_tokens_alone_reads_no_users() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("authority-tokens", "other");
    client.created("/Users", &user("ada"));
    let base = format!("{CONFIGURATIONS}/{}", client.id);
    for (permissions, reads) in [
        (&["provisioning.tokens"][..], false),
        (&["directory.read"], false),
        (&["provisioning.tokens", "provisioning.read", "provisioning.create", "requests.read"], false),
        (&["provisioning.tokens", "directory.read"], true),
    ] {
        let caller = app.account_key("authority-tokens", permissions);
        for path in ["tokens", "token"] {
            for rights in ["all", "read", "users", "groups"] {
                let reply = caller.post(&format!("{base}/{path}"), &json!({"rights": rights}));
                assert_eq!(reply.status, if reads { 201 } else { 403 }, "{permissions:?} {rights}");
                if reads && rights != "groups" {
                    assert_eq!(readable_users(&client, &reply.text("token")), Some(1), "{permissions:?} {rights}");
                }
            }
        }
        let link = caller.post(&format!("{base}/links"), &json!({}));
        assert_eq!(link.status, if reads { 201 } else { 403 }, "{permissions:?}");
    }
    // A token that is no longer wanted can be revoked without the right to read.
    let revoking = app.account_key("authority-tokens", &["provisioning.tokens"]);
    let id = operator.post(&format!("{base}/tokens"), &json!({})).answered(201).text("id");
    revoking.delete(&format!("{base}/tokens/{id}")).answered(204);
}

#[test]
fn a_deleted_configuration_is_not_found_whatever_the_body() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("authority-deleted", "other");
    client.created("/Users", &user("ada"));
    let path = format!("{CONFIGURATIONS}/{}", client.id);
    let broken =
        |path: &str| operator.request("DELETE", path).header("Content-Type", "application/json").body(b"{").send();
    broken(&path).problem(400);
    operator.delete(&path).answered(204);
    broken(&path).problem(404);
    operator.request("DELETE", &path).json(&json!({"deleteAll": "x"})).send().problem(404);
    operator.delete(&format!("{path}?purge=perhaps")).problem(404);
    operator.delete(&format!("{path}?purge=true")).answered(204);
    broken(&path).problem(404);
}

#[test]
fn a_key_that_cannot_create_tokens_cannot_prolong_one() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("authority-prolong", "other");
    let tokens = format!("{CONFIGURATIONS}/{}/tokens", client.id);
    let made = operator.post(&tokens, &json!({"expiresAt": "2090-01-01T00:00:00Z"})).answered(201);
    let one = format!("{tokens}/{}", made.text("id"));
    let weak = app.keyed(&["--permission", "provisioning.tokens"]);
    for body in [json!({"expiresAt": "2091-01-01T00:00:00Z"}), json!({"expiresAt": null})] {
        assert_eq!(weak.patch(&one, &body).problem(403).json["errorCode"], "authority_exceeded", "{body}");
    }
    // A new label and an earlier end are no grant.
    weak.patch(&one, &json!({"label": "renamed"})).answered(204);
    weak.patch(&one, &json!({"expiresAt": "2089-01-01T00:00:00Z"})).answered(204);
    assert_eq!(weak.patch(&one, &json!({"expiresAt": "2090-01-01T00:00:00Z"})).problem(403).status, 403);
    let strong = app.keyed(&["--permission", "provisioning.tokens", "--permission", "directory.read"]);
    strong.patch(&one, &json!({"expiresAt": null})).answered(204);
    weak.delete(&one).answered(204);
}
