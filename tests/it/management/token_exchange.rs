//! Tokens in exchange for API keys, as clients of the configuration API request them.

use serde_json::{Value, json};

use crate::app::{App, Reply};
use crate::caller::{CONFIGURATIONS, Caller};

const VENDOR: &str = "/auth/vendor";
const ACCOUNT: &str = "/identity/resources/auth/v1/api-token";
const REFRESH: &str = "/identity/resources/auth/v1/api-token/token/refresh";

/// The request body to exchange a new key.
fn credentials(app: &App, flags: &[&str]) -> Value {
    let mut arguments = vec!["api-key", "create", "--name", "exchanged", "--output", "json"];
    arguments.extend(flags);
    serde_json::from_slice(&app.succeeds(&arguments)).unwrap()
}

/// A caller with a token from the exchange.
fn exchanged(app: &App, credentials: &Value) -> Caller {
    let reply = app.anonymous().post(VENDOR, credentials).answered(200);
    app.anonymous().with(&reply.text("token"))
}

pub(super) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The error body, which must be the same for every reason.
#[track_caller]
fn error_body(reply: Reply) -> Value {
    let reply = reply.problem(401);
    assert!(reply.header("www-authenticate").starts_with("Bearer"));
    reply.json
}

#[test]
fn a_client_id_and_its_secret_give_a_token_for_all_accounts() {
    let app = App::shared();
    let credentials = credentials(app, &[]);
    let reply = app.anonymous().post(VENDOR, &credentials).answered(200);
    assert_eq!(reply.json["expiresIn"], 3600);
    assert_eq!(reply.json.as_object().unwrap().len(), 2, "{}", reply.json);
    assert_eq!(reply.header("cache-control"), "no-store");
    let caller = app.anonymous().with(&reply.text("token"));
    let client = caller.configuration("tokens-all", "okta");
    client.get("/Users").answered(200);
    caller.get(&format!("{CONFIGURATIONS}/{}", client.id)).answered(200);
    let claims = claims(&reply.text("token"));
    assert_eq!((&claims["sub"], &claims["type"]), (&credentials["clientId"], &json!("vendor")));
    assert_eq!(claims["iss"], format!("http://{}", app.address));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert!(claims["jti"].is_string());
}

#[test]
fn the_exchange_is_served_under_every_path_that_clients_use() {
    let app = App::shared();
    let credentials = credentials(app, &[]);
    for path in ["/auth/vendor", "/auth/vendor/", "/frontegg/auth/vendor", "/frontegg/auth/vendor/"] {
        app.anonymous().post(path, &credentials).answered(200);
    }
    for path in [ACCOUNT.to_owned(), format!("{ACCOUNT}/"), format!("/frontegg{ACCOUNT}")] {
        app.anonymous().post(&path, &credentials).answered(200);
    }
}

#[test]
fn the_token_may_come_in_the_header_that_the_node_client_uses() {
    let app = App::shared();
    let token = exchanged(app, &credentials(app, &[])).credential.unwrap();
    let request = app.anonymous().request("GET", CONFIGURATIONS).header("x-access-token", &token);
    request.send().answered(200);
    // The environment id that portals also send has no effect.
    request.header("frontegg-environment-id", "any").send().answered(200);
}

#[test]
fn all_invalid_credentials_get_the_same_answer() {
    let app = App::shared();
    let good = credentials(app, &[]);
    let other = credentials(app, &[]);
    let revoked = credentials(app, &[]);
    app.succeeds(&["api-key", "revoke", revoked["clientId"].as_str().unwrap(), "--yes"]);
    let pair = |id: &Value, secret: &Value| json!({"clientId": id, "secret": secret});
    let wrong = [
        pair(&good["clientId"], &other["secret"]),
        pair(&other["clientId"], &good["secret"]),
        pair(&json!("unknown"), &good["secret"]),
        pair(&good["clientId"], &json!("wrong")),
        pair(&json!(""), &json!("")),
        pair(&good["clientId"], &json!("x".repeat(6_000))),
        revoked,
    ];
    let mut answers: Vec<Value> = Vec::new();
    for body in &wrong {
        for path in [VENDOR, ACCOUNT] {
            answers.push(error_body(app.anonymous().post(path, body)));
        }
    }
    answers.push(error_body(app.anonymous().post(REFRESH, &json!({"refreshToken": "a.b.c"}))));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_body_without_credentials_is_refused_with_the_name_of_the_absent_field() {
    let app = App::shared();
    for (body, field) in [
        (json!({}), "clientId"),
        (json!({"clientId": "x"}), "secret"),
        (json!({"clientId": 7, "secret": "x"}), "clientId"),
        (json!({"clientId": "x", "secret": null}), "secret"),
    ] {
        let reply = app.anonymous().post(VENDOR, &body).problem(400);
        assert!(reply.json["message"].as_str().unwrap().contains(field), "{body}: {}", reply.json);
    }
    app.anonymous().post(REFRESH, &json!({})).problem(400);
}

#[test]
fn a_token_is_refused_as_soon_as_its_key_is_revoked() {
    let app = App::shared();
    let credentials = credentials(app, &[]);
    let caller = exchanged(app, &credentials);
    let both = app.anonymous().post(ACCOUNT, &credentials).answered(200);
    caller.get(CONFIGURATIONS).answered(200);
    app.succeeds(&["api-key", "revoke", credentials["clientId"].as_str().unwrap(), "--yes"]);
    caller.get(CONFIGURATIONS).problem(401);
    app.anonymous().with(&both.text("accessToken")).get(CONFIGURATIONS).problem(401);
    app.anonymous().post(REFRESH, &json!({"refreshToken": both.text("refreshToken")})).problem(401);
    app.anonymous().with(credentials["secret"].as_str().unwrap()).get(CONFIGURATIONS).problem(401);
}

#[test]
fn the_key_of_an_account_gives_a_token_for_that_account_alone() {
    let app = App::shared();
    let own = app.operator().configuration("tokens-own", "okta");
    let foreign = app.operator().configuration("tokens-foreign", "okta");
    let credentials = credentials(app, &["--account", "tokens-own", "--permission", "provisioning.read"]);
    let reply = app.anonymous().post(ACCOUNT, &credentials).answered(200);
    assert_eq!(reply.json["expiresIn"], 3600);
    assert!(reply.text("expires").ends_with(" GMT"), "{}", reply.json);
    let claims = claims(&reply.text("accessToken"));
    assert_eq!((&claims["type"], &claims["tenantId"]), (&json!("tenantApiToken"), &json!("tokens-own")));
    assert_eq!(claims["permissions"], json!(["fe.secure.read.provisioningConfiguration"]));
    // Both paths return it.
    for caller in [app.anonymous().with(&reply.text("accessToken")), exchanged(app, &credentials)] {
        let listed = caller.get(CONFIGURATIONS).answered(200).json;
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(own.id)));
        caller.get(&format!("{CONFIGURATIONS}/{}", foreign.id)).problem(404);
        caller.for_account("tokens-foreign").get(CONFIGURATIONS).problem(403);
        caller.post(CONFIGURATIONS, &json!({"source": "okta"})).problem(403);
    }
}

#[test]
fn a_refresh_token_returns_new_tokens_and_grants_no_access_itself() {
    let app = App::shared();
    let credentials = credentials(app, &["--account", "tokens-refresh"]);
    let first = app.anonymous().post(ACCOUNT, &credentials).answered(200);
    let refresh = first.text("refreshToken");
    app.anonymous().with(&refresh).get(CONFIGURATIONS).problem(401);
    let second = app.anonymous().post(REFRESH, &json!({"refreshToken": refresh})).answered(200);
    app.anonymous().with(&second.text("accessToken")).get(CONFIGURATIONS).answered(200);
    let access = json!({"refreshToken": first.text("accessToken")});
    app.anonymous().post(REFRESH, &access).problem(401);
}

#[test]
fn a_modified_token_is_refused() {
    let app = App::shared();
    let token = exchanged(app, &credentials(app, &[])).credential.unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let other = exchanged(app, &credentials(app, &["--account", "touched"])).credential.unwrap();
    let other_payload = other.split('.').nth(1).unwrap();
    for touched in [
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        format!("{header}.{other_payload}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!("{token}.{signature}"),
        message.to_owned(),
    ] {
        app.anonymous().with(&touched).get(CONFIGURATIONS).problem(401);
    }
}

#[test]
fn tokens_of_another_server_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = App::start(folder.path());
    let token = exchanged(&other, &credentials(&other, &[])).credential.unwrap();
    App::shared().anonymous().with(&token).get(CONFIGURATIONS).problem(401);
}

#[test]
fn tokens_are_valid_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--public-url", "https://scim.example.com"]);
    let caller = exchanged(&app, &credentials(&app, &[]));
    app.kill();
    let app = App::start(folder.path());
    app.anonymous().with(&caller.credential.unwrap()).get(CONFIGURATIONS).answered(200);
}

#[test]
fn the_public_key_is_published_for_verification() {
    let app = App::shared();
    let reply = app.anonymous().get("/.well-known/jwks.json").answered(200);
    assert!(reply.header("cache-control").contains("public"), "{}", reply.header("cache-control"));
    let key = &reply.json["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    assert!(key.get("d").is_none(), "the private key is published");
    let token = exchanged(app, &credentials(app, &[])).credential.unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(reply.json.clone()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    let own = format!("http://{}", app.address);
    validation.set_issuer(&[&own]);
    validation.set_audience(&[&own]);
    let key = jsonwebtoken::DecodingKey::from_jwk(&set.keys[0]).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok());
}

#[test]
fn wrong_secrets_are_throttled_and_valid_ones_still_pass() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let good = credentials(&app, &[]);
    let wrong = json!({"clientId": good["clientId"], "secret": "wrong"});
    let refused = (0..700).find_map(|_| {
        let reply = app.anonymous().post(VENDOR, &wrong);
        (reply.status == 429).then_some(reply)
    });
    let reply = refused.expect("700 guesses were not throttled").problem(429);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    app.anonymous().post(VENDOR, &good).answered(200);
}

#[test]
fn no_credential_is_accepted_for_another_kind_of_endpoint() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("kinds", "okta");
    let token = exchanged(app, &credentials(app, &[])).credential.unwrap();
    for credential in [operator.credential.as_deref().unwrap(), token.as_str()] {
        client
            .request("GET", "/Users")
            .header("Authorization", &format!("Bearer {credential}"))
            .send()
            .refused(401, "");
    }
    app.anonymous().with(&client.token).get(CONFIGURATIONS).problem(401);
}
