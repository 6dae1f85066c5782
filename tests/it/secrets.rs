//! No secret that was issued or received is in a file that could be stolen: the database, its write-ahead log and the
//! server's log (T5, T74).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{SEARCH, operation, user_with};

/// Secrets that must not be found, each with a description.
type Secrets = Vec<(&'static str, String)>;

/// A password that is unique for its context.
fn password(secrets: &mut Secrets, context: &'static str) -> String {
    let made = format!("Pa55-{}-{}", context.replace(' ', "-"), secrets.len() * 7_919);
    secrets.push((context, made.clone()));
    made
}

fn credentials(app: &App, operator: &Caller, client: &Client, secrets: &mut Secrets) {
    secrets.push(("first token", client.token.clone()));
    secrets.push(("secret of an API key", operator.credential.clone().unwrap()));
    let rotated: Value =
        serde_json::from_slice(&app.succeeds(&["token", "rotate", &client.id, "--output", "json"])).unwrap();
    secrets.push(("rotated token", rotated["token"].as_str().unwrap().to_owned()));
    let made = operator.post("/directory/resources/v1/api-keys", &json!({"name": "more"})).answered(201);
    let (client_id, secret) = (made.text("clientId"), made.text("secret"));
    let exchanged = operator.post("/auth/vendor", &json!({"clientId": client_id, "secret": secret})).answered(200);
    operator.with(&exchanged.text("token")).get(CONFIGURATIONS).answered(200);
    // Sent to the wrong endpoint, it is still a secret.
    let strayed =
        client.request("GET", "/Users").header("Authorization", &format!("Bearer {}", exchanged.text("token")));
    strayed.send().refused(401, "");
    client.get(&format!("/Users?token={secret}&x={}", exchanged.text("token")));
    secrets.extend([("secret of a second API key", secret), ("environment token", exchanged.text("token"))]);
    let exchange = "/identity/resources/auth/v1/api-token";
    let made = app.succeeds(&["api-key", "create", "--name", "own", "--account", "secrets", "--output", "json"]);
    let own: Value = serde_json::from_slice(&made).unwrap();
    secrets.push(("secret of an account's key", own["secret"].as_str().unwrap().to_owned()));
    let tokens = operator.post(exchange, &own).answered(200);
    for name in ["accessToken", "refreshToken"] {
        secrets.push(("token of an account", tokens.text(name)));
    }
    let other = operator.configuration("secrets", "other");
    let issued = operator.post(&format!("{CONFIGURATIONS}/{}/tokens", other.id), &json!({})).answered(201);
    secrets.extend([("token of another", other.token), ("token made by the API", issued.text("token"))]);
    let key = "0d3f7c52-an-idempotency-key";
    let once = operator.for_account("secrets").request("POST", CONFIGURATIONS).json(&json!({"source": "okta"}));
    for _ in 0..2 {
        let made = once.clone().header("Content-Type", "application/json").header("Idempotency-Key", key).send();
        secrets.push(("token of a repeated call", made.answered(201).text("token")));
    }
    secrets.push(("idempotency key", key.to_owned()));
    let link = operator.post(&format!("{CONFIGURATIONS}/{}/links", client.id), &json!({})).answered(201);
    secrets.push(("setup link", link.text("url").rsplit_once("/s/").unwrap().1.to_owned()));
}

fn wrong_tokens(operator: &Caller, client: &Client, secrets: &mut Secrets) {
    let unknown = format!("rct_{}", "Zx9".repeat(15));
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ".to_owned();
    let basic = "bm9ib2R5OndoYXRldmVy".to_owned();
    for header in [
        format!("Bearer {unknown}"),
        format!("Bearer Bearer {unknown}"),
        unknown.clone(),
        format!("Bearer {jwt}"),
        format!("Basic {basic}"),
    ] {
        client.request("GET", "/Users").header("Authorization", &header).send().refused(401, "");
        operator.request("GET", CONFIGURATIONS).header("Authorization", &header).send().problem(401);
    }
    for name in ["token", "access_token", "x"] {
        client.get(&format!("/Users?{name}={unknown}"));
        client.get(&format!("/Users?{name}={}", unknown.replace('_', "%5F")));
    }
    client.get(&format!("/Users/{unknown}")).refused(404, "");
    client.get(&format!("/Users?access_token={basic}&filter=id%20eq%20%22{jwt}%22"));
    secrets.extend([("unknown token", unknown["rct_".len()..].to_owned()), ("foreign token", jwt), ("basic", basic)]);
}

fn passwords(operator: &Caller, client: &Client, secrets: &mut Secrets) {
    let settings = format!("{CONFIGURATIONS}/{}/settings", client.id);
    operator.patch(&settings, &json!({"switches": {"passwords": "verify"}})).answered(200);
    let secret = password(secrets, "in a new user");
    let id = client.created("/Users", &user_with("secretive", &json!({ "password": secret })));
    let verify = format!("{CONFIGURATIONS}/{}/users/{id}/password/verify", client.id);
    let asked = operator.request("POST", &verify).json(&json!({ "password": secret }));
    let asked = asked.header("Content-Type", "application/json").header("Idempotency-Key", "5b0f8d1e-asked");
    assert_eq!(asked.send().answered(200).json["valid"], true);
    let secret = password(secrets, "in a wrong guess");
    operator.post(&verify, &json!({ "password": secret })).answered(200);
    let secret = password(secrets, "in a replacement");
    client.put(&format!("/Users/{id}"), &user_with("secretive", &json!({ "PASSWORD": secret }))).answered(200);
    let secret = password(secrets, "in a patch by path");
    client.patch(&format!("/Users/{id}"), &operation("replace", "password", &json!(secret)));
    let secret = password(secrets, "in a patch by member");
    let body = json!({"schemas": [crate::sample::PATCH_OP],
        "Operations": [{"op": "add", "value": {"title": "x", "password": secret}}]});
    client.patch(&format!("/Users/{id}"), &body);
    let secret = password(secrets, "in a refused user");
    client.post("/Users", &user_with("secretive", &json!({ "password": secret }))).refused(409, "uniqueness");
    let secret = password(secrets, "of a wrong type");
    client.post("/Users", &user_with("other", &json!({"password": {"value": secret}}))).with_scim_error();
    let secret = password(secrets, "in a bulk job");
    let data = user_with("bulky", &json!({ "password": secret }));
    let item = json!({"method": "POST", "path": "/Users", "bulkId": "1", "data": data});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [item]});
    client.post("/Bulk", &bulk).answered(200);
    let secret = password(secrets, "in a search");
    let search = json!({"schemas": [SEARCH], "filter": format!("password eq \"{secret}\"")});
    client.post("/Users/.search", &search).with_scim_error();
    client.get(&format!("/Users?filter=password%20sw%20%22{secret}%22")).with_scim_error();
    let secret = password(secrets, "in broken JSON");
    let broken = client.request("POST", "/Users").header("Content-Type", "application/scim+json");
    broken.body(format!("{{\"userName\": \"b\", \"password\": \"{secret}\", }}").as_bytes()).send().answered(400);
}

#[track_caller]
fn assert_absent(secrets: &Secrets, path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    for (what, secret) in secrets {
        assert!(secret.len() > 10, "{what}");
        let found = memchr::memmem::find(&bytes, secret.as_bytes()).is_some();
        assert!(!found, "{} holds: {what} {secret}", path.display());
    }
}

#[test]
fn no_secret_is_found_in_the_files_or_the_log() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = elsewhere.path().join("log");
    let mut app = App::start_in(folder.path(), &[], &[], &log);
    let operator = app.operator();
    let client = operator.configuration("secrets", "okta");
    let mut secrets = Secrets::new();
    credentials(&app, &operator, &client, &mut secrets);
    wrong_tokens(&operator, &client, &mut secrets);
    passwords(&operator, &client, &mut secrets);
    let last = client.get("/Users").answered(200).header("x-request-id").to_owned();
    let logged = format!("{CONFIGURATIONS}/{}/requests/{last}", client.id);
    let written = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        operator.get(&logged).status == 200
    });
    assert!(written, "the calls are in the request log");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_absent(&secrets, &entry.unwrap().path());
    }
    assert_eq!(app.terminate(), Some(0));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_absent(&secrets, &entry.unwrap().path());
    }
    assert_absent(&secrets, &log);
    assert!(std::fs::read_to_string(&log).unwrap().contains(&last), "the log is written");
}
