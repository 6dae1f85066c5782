//! Access tokens by client credentials with a secret, and what they may do.

use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::app::{App, wait_until};
use crate::caller::CONFIGURATIONS;
use crate::oauth::{
    TOKEN, assert_refused, clients_of, create_client, create_secret_client, form_request, request_token, with_token,
};
use crate::sample::{operations, user};

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[test]
fn an_access_token_works_like_a_token_of_the_configuration() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "azure-ad");
    let other = operator.configuration("oauth", "okta");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let reply = request_token(app, (&id, &secret), &[]).answered(200);
    assert_eq!((&reply.json["token_type"], &reply.json["scope"]), (&json!("Bearer"), &json!("scim")));
    assert_eq!(reply.json["expires_in"], 3_600);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    let token = reply.text("access_token");
    assert!(token.starts_with("rca_") && token.len() == 47);
    let scim = with_token(&configuration, &token);
    let user = scim.created("/Users", &user("bjensen"));
    scim.get(&format!("/Users/{user}")).answered(200);
    with_token(&other, &token).get("/Users").refused(401, "");
    // Both URLs of the endpoint, with HTTP Basic; the parts may be encoded like a form.
    for header in [basic(&id, &secret), basic(&id.replace('_', "%5F"), &secret.replace('_', "%5F"))] {
        for path in [
            TOKEN.to_owned(),
            format!("{}{TOKEN}", configuration.base),
            format!("/scim/v2/{}{TOKEN}", configuration.id),
        ] {
            let request = form_request(app, &path, &[("grant_type", "client_credentials"), ("client_id", &id)]);
            request.header("Authorization", &header).send().answered(200);
        }
    }
    // The client of another configuration is unknown there.
    let elsewhere = form_request(app, &format!("{}{TOKEN}", other.base), &[("grant_type", "client_credentials")]);
    let refused = assert_refused(elsewhere.header("Authorization", &basic(&id, &secret)).send(), 401, "invalid_client");
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    // The list of tokens shows those of admins only.
    let tokens = operator.get(&format!("{CONFIGURATIONS}/{}/tokens", configuration.id)).answered(200);
    assert_eq!(tokens.json["items"].as_array().unwrap().len(), 1);
    // ServiceProviderConfig lists OAuth first.
    let kinds = |reply: Value| -> Vec<Value> {
        reply["authenticationSchemes"].as_array().unwrap().iter().map(|scheme| scheme["type"].clone()).collect()
    };
    assert_eq!(kinds(scim.get("/ServiceProviderConfig").answered(200).json.clone()), ["oauth2", "oauthbearertoken"]);
    assert_eq!(kinds(other.get("/ServiceProviderConfig").answered(200).json.clone()), ["oauthbearertoken"]);
}

#[test]
fn a_wrong_request_gets_the_code_of_the_standard() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let send = |pairs: &[(&str, &str)]| form_request(app, TOKEN, pairs).send();
    let grant = ("grant_type", "client_credentials");
    let (client, right) = (("client_id", id.as_str()), ("client_secret", secret.as_str()));
    for (status, code, pairs) in [
        (400, "invalid_request", vec![client, right]),
        (400, "unsupported_grant_type", vec![("grant_type", "password"), client, right]),
        (400, "unsupported_grant_type", vec![("grant_type", "authorization_code"), client, right]),
        (401, "invalid_client", vec![grant]),
        (401, "invalid_client", vec![grant, client]),
        (401, "invalid_client", vec![grant, client, ("client_secret", "rcs_wrong")]),
        (401, "invalid_client", vec![grant, client, ("client_secret", &secret[..secret.len() - 1])]),
        (401, "invalid_client", vec![grant, ("client_id", "rcc_unknown"), right]),
        (400, "invalid_request", vec![grant, client, right, ("client_assertion", "a.b.c")]),
        (400, "invalid_request", vec![grant, client, right, grant]),
        (400, "invalid_request", vec![grant, client, ("client_assertion", "a.b.c")]),
        (400, "invalid_scope", vec![grant, client, right, ("scope", "openid")]),
        (400, "invalid_request", vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), client]),
    ] {
        assert_refused(send(&pairs), status, code);
    }
    // Neither the message nor the code says whether a client exists.
    let known = send(&[grant, client, ("client_secret", "x")]);
    let unknown = send(&[grant, ("client_id", "rcc_x"), ("client_secret", "x")]);
    assert_eq!(known.json, unknown.json);
    let form = form_request(app, TOKEN, &[grant, client, right]);
    assert_refused(form.clone().header("Authorization", &basic(&id, &secret)).send(), 400, "invalid_request");
    assert_refused(form.clone().header("Authorization", "Bearer x").send(), 400, "invalid_request");
    // RFC 6749 section 5.2: a client that tried HTTP Basic is asked for it again.
    for (user, password) in [(id.as_str(), ""), ("", ""), ("", "x"), (id.as_str(), "wrong")] {
        let with_basic = form_request(app, TOKEN, &[grant]).header("Authorization", &basic(user, password));
        let refused = assert_refused(with_basic.send(), 401, "invalid_client");
        assert!(refused.header("www-authenticate").starts_with("Basic "), "{user}:{password}");
    }
    // The assertion of a grant is the only credential of its request.
    let bearer = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = ("assertion", "a.b.c");
    assert_refused(send(&[grant, client, right, assertion]), 400, "invalid_request");
    for other in [right, ("client_assertion", "a.b.c")] {
        assert_refused(send(&[bearer, client, assertion, other]), 400, "invalid_request");
    }
    let both = form_request(app, TOKEN, &[bearer, client, assertion]).header("Authorization", &basic(&id, &secret));
    assert_refused(both.send(), 400, "invalid_request");
    let json = app.anonymous().request("POST", TOKEN).json(&json!({"grant_type": "client_credentials"}));
    assert_refused(json.header("Content-Type", "application/json").send(), 400, "invalid_request");
    let get = app.anonymous().get(TOKEN);
    assert_eq!(assert_refused(get, 405, "invalid_request").header("allow"), "POST");
    form_request(app, &format!("/elsewhere{TOKEN}"), &[grant, client, right]).send().answered(404);
    let large = "x".repeat(40_000);
    form_request(app, TOKEN, &[grant, ("client_id", &large)]).send().answered(413);
}

#[test]
fn a_scope_limits_what_a_token_may_do() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let user_id = configuration.created("/Users", &user("scoped"));
    let group_id = configuration.created("/Groups", &json!({"displayName": "scoped"}));
    let scoped = |scope: &str| {
        let reply = request_token(app, (&id, &secret), &[("scope", scope)]).answered(200);
        assert_eq!(reply.json["scope"], scope);
        with_token(&configuration, &reply.text("access_token"))
    };
    let (users, groups) = (format!("/Users/{user_id}"), format!("/Groups/{group_id}"));
    let change =
        json!({"schemas": [crate::sample::PATCH_OP], "Operations": [{"op": "replace", "value": {"displayName": "x"}}]});
    for (scope, allowed, forbidden) in [
        (
            "scim.read",
            vec![("GET", &*users), ("GET", &*groups), ("GET", "/Users"), ("GET", "/")],
            vec![("PATCH", &*users), ("POST", "/Users"), ("DELETE", &*groups)],
        ),
        (
            "scim.users",
            vec![("GET", &*users), ("PATCH", &*users), ("GET", "/")],
            vec![("GET", &*groups), ("PATCH", &*groups)],
        ),
        ("scim.groups", vec![("GET", &*groups), ("PATCH", &*groups)], vec![("GET", &*users), ("POST", "/Users")]),
        (
            "scim:user:read scim:group:update",
            vec![("GET", &*users), ("PATCH", &*groups)],
            vec![("PATCH", &*users), ("GET", &*groups), ("GET", "/Groups")],
        ),
        ("scim:schemas:read", vec![], vec![("GET", &*users), ("GET", "/"), ("POST", "/Groups")]),
    ] {
        let scim = scoped(scope);
        let send = |method: &str, path: &str| match method {
            "GET" => scim.get(path),
            "DELETE" => scim.delete(path),
            "POST" => scim.post(path, &user("another")),
            _ => scim.patch(path, &change),
        };
        for (method, path) in allowed {
            send(method, path).answered(200);
        }
        for (method, path) in forbidden {
            let reply = send(method, path).refused(403, "");
            assert!(reply.header("www-authenticate").contains("insufficient_scope"), "{scope} {method} {path}");
        }
        for path in ["/ServiceProviderConfig", "/Schemas", "/ResourceTypes"] {
            scim.get(path).answered(200);
        }
    }
}

#[test]
fn a_change_by_a_token_that_may_not_read_returns_no_attributes() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let ada = configuration.created("/Users", &user("ada"));
    let scope = [("scope", "scim:user:update")];
    let token = request_token(app, (&id, &secret), &scope).answered(200).text("access_token");
    let client = with_token(&configuration, &token);
    let path = format!("/Users/{ada}");
    client.get(&path).answered(403);
    for reply in [
        client.patch(&path, &operations(&json!([]))).answered(200),
        client.patch(&format!("{path}?attributes=userName"), &operations(&json!([]))).answered(200),
        client.put(&path, &user("ada")).answered(200),
    ] {
        assert_eq!((&reply.json["id"], &reply.json["userName"]), (&json!(ada), &Value::Null), "{}", reply.json);
    }
}

#[test]
fn a_scope_counts_for_each_operation_of_a_bulk_request_and_is_limited_by_the_client() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let group_id = configuration.created("/Groups", &json!({"displayName": "scoped"}));
    let creator = request_token(app, (&id, &secret), &[("scope", "scim:user:create")]).answered(200);
    let creator = with_token(&configuration, &creator.text("access_token"));
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": user("bulk-scoped")},
        {"method": "DELETE", "path": format!("/Groups/{group_id}")},
    ]});
    let reply = creator.post("/Bulk", &bulk).answered(200);
    let statuses: Vec<&Value> = reply.json["Operations"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["201", "403"]);
    // A client cannot get more than its own scope.
    let narrow = json!({"label": "narrow", "authentication": "secret", "scope": "scim.users"});
    let made = create_client(&operator, &configuration, &narrow);
    let narrow = (made.text("clientId"), made.text("clientSecret"));
    let narrow = (narrow.0.as_str(), narrow.1.as_str());
    assert_eq!(request_token(app, narrow, &[]).answered(200).json["scope"], "scim.users");
    request_token(app, narrow, &[("scope", "scim:user:read")]).answered(200);
    for scope in ["scim", "scim.read", "scim.users scim.groups"] {
        assert_refused(request_token(app, narrow, &[("scope", scope)]), 400, "invalid_scope");
    }
}

#[test]
fn a_secret_is_replaced_without_a_failed_call() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let path = format!("{}/{id}", clients_of(&configuration));
    let first = request_token(app, (&id, &secret), &[]).answered(200).text("access_token");
    let added =
        operator.post(&format!("{path}/secrets"), &json!({"label": "second", "secretExpiresIn": 86_400})).answered(201);
    let second_secret = added.text("clientSecret");
    operator.post(&format!("{path}/secrets"), &json!({})).problem(409);
    let second = request_token(app, (&id, &second_secret), &[]).answered(200).text("access_token");
    request_token(app, (&id, &secret), &[]).answered(200);
    let listed = operator.get(&path).answered(200);
    let secrets = listed.json["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 2);
    assert!(secrets.iter().all(|secret| secret["lastUsedAt"].is_string()));
    assert!(!listed.json.to_string().contains(&second_secret[4..]));
    // The first secret ends with the tokens that it obtained; those of the other one stay.
    let first_id = secrets[1]["id"].as_str().unwrap();
    operator.delete(&format!("{path}/secrets/{first_id}")).answered(204);
    assert_refused(request_token(app, (&id, &secret), &[]), 401, "invalid_client");
    with_token(&configuration, &first).get("/Users").refused(401, "");
    with_token(&configuration, &second).get("/Users").answered(200);
    operator.delete(&format!("{path}/secrets/{first_id}")).problem(404);
    // A disabled client gets no tokens, and those that it had do not work.
    operator.patch(&path, &json!({"state": "disabled"})).answered(200);
    with_token(&configuration, &second).get("/Users").refused(401, "");
    assert_refused(request_token(app, (&id, &second_secret), &[]), 401, "invalid_client");
    operator.patch(&path, &json!({"state": "active"})).answered(200);
    let third = request_token(app, (&id, &second_secret), &[]).answered(200).text("access_token");
    operator.delete(&path).answered(204);
    with_token(&configuration, &third).get("/Users").refused(401, "");
    operator.get(&path).problem(404);
}

#[test]
fn a_client_revokes_its_own_tokens_only() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (one, other) =
        (create_secret_client(&operator, &configuration), create_secret_client(&operator, &configuration));
    let token = request_token(app, (&one.0, &one.1), &[]).answered(200).text("access_token");
    let revoke = |(id, secret): &(String, String), token: &str| {
        let pairs =
            [("token", token), ("token_type_hint", "access_token"), ("client_id", id), ("client_secret", secret)];
        form_request(app, "/oauth2/revoke", &pairs).send()
    };
    revoke(&other, &token).answered(200);
    revoke(&one, "rca_unknown").answered(200);
    revoke(&one, &configuration.token).answered(200);
    with_token(&configuration, &token).get("/Users").answered(200);
    configuration.get("/Users").answered(200);
    assert_refused(revoke(&(one.0.clone(), "x".to_owned()), &token), 401, "invalid_client");
    revoke(&one, &token).answered(200);
    with_token(&configuration, &token).get("/Users").refused(401, "");
}

#[test]
fn the_metadata_name_the_endpoints() {
    let app = App::shared();
    let found = app.anonymous().get("/.well-known/oauth-authorization-server").answered(200).json;
    let issuer = found["issuer"].as_str().unwrap();
    assert_eq!(found["token_endpoint"], format!("{issuer}/oauth2/token"));
    assert_eq!(found["revocation_endpoint"], format!("{issuer}/oauth2/revoke"));
    let has = |name: &str, value: &str| found[name].as_array().unwrap().iter().any(|one| one == value);
    assert!(has("grant_types_supported", "client_credentials"));
    assert!(has("token_endpoint_auth_methods_supported", "private_key_jwt"));
    assert!(has("scopes_supported", "scim") && has("scopes_supported", "scim:user:create"));
    app.anonymous().get("/.well-known/oauth-authorization-server/other").answered(404);
    let folder = tempfile::tempdir().unwrap();
    let with_path = App::start_with(folder.path(), &["--public-url", "https://scim.example.com/base"]);
    for path in ["/.well-known/oauth-authorization-server/base", "/base/.well-known/oauth-authorization-server"] {
        let found = with_path.anonymous().get(path).answered(200).json;
        assert_eq!(found["issuer"], "https://scim.example.com/base");
    }
}

#[test]
fn the_number_of_tokens_and_of_failed_requests_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    for _ in 0..60 {
        request_token(&app, (&id, &secret), &[]).answered(200);
    }
    let limited = assert_refused(request_token(&app, (&id, &secret), &[]), 429, "slow_down");
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // Another client of the same configuration is not affected.
    let (second, second_secret) = create_secret_client(&operator, &configuration);
    let attempt = || request_token(&app, (&second, "rcs_wrong"), &[]);
    let limited = (0..200).map(|_| attempt()).find(|reply| reply.status == 429);
    assert!(assert_refused(limited.unwrap(), 429, "slow_down").header("retry-after").parse::<u64>().unwrap() >= 1);
    // A right secret always passes.
    request_token(&app, (&second, &second_secret), &[]).answered(200);
}

#[test]
fn token_requests_are_in_the_request_log_with_their_reason() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let token = request_token(app, (&id, &secret), &[]).answered(200).text("access_token");
    request_token(app, (&id, "rcs_0123456789012345678901234567890123456789012"), &[]).answered(401);
    request_token(app, (&id, &secret), &[("scope", "openid")]).answered(400);
    form_request(app, TOKEN, &[("grant_type", "password"), ("client_id", &id), ("password", "hunter2hunter2")]).send();
    let list = || operator.get(&format!("{CONFIGURATIONS}/{}/requests", configuration.id)).answered(200).json;
    wait_until("all token requests are in the log", || list()["items"].as_array().unwrap().len() == 4);
    let items = list();
    let items = items["items"].as_array().unwrap();
    let reasons: Vec<&Value> = items.iter().map(|item| &item["reason"]).collect();
    assert_eq!(
        reasons,
        ["grant_type_unsupported", "oauth_scope_unknown", "client_secret_wrong", "null"]
            .map(|code| { if code == "null" { json!(null) } else { json!(code) } })
            .iter()
            .collect::<Vec<_>>()
    );
    for item in items {
        let call =
            operator.get(&format!("{CONFIGURATIONS}/{}/requests/{}", configuration.id, item["id"].as_str().unwrap()));
        let text = call.answered(200).json.to_string();
        for hidden in [&secret[4..], &token[4..], "hunter2hunter2", "01234567890123456789"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        assert!(text.contains("/oauth2/token"));
    }
    let wrong =
        operator.get(&format!("{CONFIGURATIONS}/{}/requests/{}", configuration.id, items[2]["id"].as_str().unwrap()));
    assert!(wrong.json["detail"].as_str().unwrap().contains("secret"), "{}", wrong.json);
}

#[test]
fn access_tokens_survive_a_restart_and_end_with_their_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let (id, secret) = create_secret_client(&operator, &configuration);
    let token = request_token(&app, (&id, &secret), &[]).answered(200).text("access_token");
    app.kill();
    let app = App::start(folder.path());
    let scim = with_token(&configuration, &token).at(app.address);
    scim.get("/Users").answered(200);
    request_token(&app, (&id, &secret), &[]).answered(200);
    let operator = app.operator();
    operator.delete(&format!("{CONFIGURATIONS}/{}", configuration.id)).answered(204);
    scim.get("/Users").refused(401, "");
    assert_refused(request_token(&app, (&id, &secret), &[]), 401, "invalid_client");
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", configuration.id));
    sleep(Duration::from_millis(100));
    assert_refused(request_token(&app, (&id, &secret), &[]), 401, "invalid_client");
}
