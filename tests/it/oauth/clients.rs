//! OAuth clients in the management API and on the command line.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::CONFIGURATIONS;
use crate::identity::Signer;
use crate::oauth::{assert_refused, clients_of, create_client, create_secret_client, request_token, with_token};

#[test]
fn a_client_is_created_read_changed_and_deleted() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("clients", "azure-ad");
    let path = clients_of(&configuration);
    let made = create_client(&operator, &configuration, &json!({"label": "Entra", "authentication": "secret"}));
    let id = made.text("clientId");
    assert!(id.starts_with("rcc_") && made.text("clientSecret").starts_with("rcs_"));
    assert!(made.text("tokenUrl").ends_with("/oauth2/token") && made.text("scimUrl").ends_with(&configuration.id));
    assert_eq!((&made.json["scope"], &made.json["state"]), (&json!("scim"), &json!("active")));
    assert_eq!(made.json["secrets"][0]["expiresAt"], made.json["expiresAt"]);
    let listed = operator.get(&path).answered(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 1);
    assert!(listed.json["items"][0].get("clientSecret").is_none());
    let changed = operator
        .patch(&format!("{path}/{id}"), &json!({"label": "New", "scope": "scim.read", "accessTokenLifetime": 7_200}));
    let changed = changed.answered(200);
    assert_eq!((&changed.json["label"], &changed.json["scope"]), (&json!("New"), &json!("scim.read")));
    assert_eq!(changed.json["accessTokenLifetime"], 7_200);
    let audit =
        operator.get(&format!("/directory/resources/v1/audit?configuration={}", configuration.id)).answered(200);
    let actions: Vec<&Value> = audit.json["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions[..2], ["oauth_client.updated", "oauth_client.created"]);
    assert!(!audit.json.to_string().contains(&made.text("clientSecret")[4..]));
    operator.delete(&format!("{path}/{id}")).answered(204);
    operator.delete(&format!("{path}/{id}")).problem(404);
}

#[test]
fn wrong_members_are_named() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("clients", "other");
    let path = clients_of(&configuration);
    let keys = Signer::new("one").jwks();
    let mut private = keys.clone();
    let secret = json!({"kty": "oct", "kid": "two", "k": "c2VjcmV0"});
    private["keys"].as_array_mut().unwrap().push(secret);
    for (members, named) in [
        (json!({"authentication": "secret"}), "label"),
        (json!({"label": "x", "authentication": "basic"}), "authentication"),
        (json!({"label": "x", "authentication": "secret", "scope": "openid"}), "scope"),
        (json!({"label": "x", "authentication": "secret", "accessTokenLifetime": 60}), "accessTokenLifetime"),
        (json!({"label": "x", "authentication": "secret", "secretExpiresIn": 60}), "secretExpiresIn"),
        (json!({"label": "x", "authentication": "secret", "issuer": "https://x.example"}), "issuer"),
        (json!({"label": "x", "authentication": "private_key_jwt"}), "jwksUrl"),
        (json!({"label": "x", "authentication": "private_key_jwt", "jwks": {"keys": []}}), "jwks"),
        (
            json!({"label": "x", "authentication": "private_key_jwt", "jwks": keys, "jwksUrl": "https://x.example/k"}),
            "jwksUrl",
        ),
        (json!({"label": "x", "authentication": "federated", "issuer": "https://x.example"}), "subject"),
        (
            json!({"label": "x", "authentication": "federated", "issuer": "https://x.example", "subject": "s"}),
            "audience",
        ),
        (
            json!({"label": "x", "authentication": "federated", "issuer": "x", "subject": "s", "audience": "a"}),
            "issuer",
        ),
        (json!({"label": "x", "authentication": "private_key_jwt", "jwks": private}), "keys[1] is a private"),
        (json!({"label": "x", "authentication": "private_key_jwt", "jwksUrl": "https://u:p@x.example/k"}), "jwksUrl"),
        (
            json!({"label": "x", "authentication": "private_key_jwt", "jwks": keys, "secretExpiresIn": 90_000}),
            "secretExpiresIn",
        ),
    ] {
        let refused = operator.post(&path, &members).problem(400);
        assert!(refused.json["message"].as_str().unwrap().contains(named), "{named}: {}", refused.json);
    }
    for number in 0..5 {
        create_client(&operator, &configuration, &json!({"label": format!("{number}"), "authentication": "secret"}));
    }
    operator.post(&path, &json!({"label": "sixth", "authentication": "secret"})).problem(409);
    let federated = json!({
        "label": "x", "authentication": "federated", "issuer": "https://x.example", "subject": "s", "audience": "a",
    });
    let other = operator.configuration("clients", "other");
    let id = create_client(&operator, &other, &federated).text("clientId");
    operator.post(&format!("{}/{id}/secrets", clients_of(&other)), &json!({})).problem(409);
}

#[test]
fn a_client_belongs_to_its_account() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let operator = app.operator();
    let configuration = operator.configuration("clients-one", "other");
    let (id, _) = create_secret_client(&operator, &configuration);
    let path = clients_of(&configuration);
    operator.patch("/directory/resources/v1/settings", &json!({"selfService": true})).answered(200);
    let own = app.account_key("clients-one", &[]);
    own.get(&format!("{path}/{id}")).answered(200);
    let other = app.account_key("clients-two", &[]);
    for reply in [
        other.get(&path),
        other.get(&format!("{path}/{id}")),
        other.post(&path, &json!({"label": "x", "authentication": "secret"})),
        other.delete(&format!("{path}/{id}")),
        other.post(&format!("{path}/{id}/secrets"), &json!({})),
    ] {
        reply.problem(404);
    }
    // Reading needs no right to tokens; everything else does.
    let reader = app.account_key("clients-one", &["provisioning.read"]);
    reader.get(&path).answered(200);
    reader.post(&path, &json!({"label": "x", "authentication": "secret"})).problem(403);
    reader.delete(&format!("{path}/{id}")).problem(403);
}

#[test]
fn the_command_manages_clients() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let configuration = app.operator().configuration("cli", "other");
    let run = |arguments: &[&str]| -> Value { serde_json::from_slice(&app.succeeds(arguments)).unwrap() };
    let made = run(&["oauth-client", "create", &configuration.id, "--label", "cli", "--output", "json"]);
    let (id, secret) = (made["clientId"].as_str().unwrap(), made["clientSecret"].as_str().unwrap());
    request_token(&app, (id, secret), &[]).answered(200);
    let added = run(&["oauth-client", "add-secret", &configuration.id, id, "--expires-in", "30d", "--output", "json"]);
    let second = added["clientSecret"].as_str().unwrap();
    let token = request_token(&app, (id, second), &[]).answered(200).text("access_token");
    app.succeeds(&["oauth-client", "update", &configuration.id, id, "--scope", "scim.users", "--label", "renamed"]);
    with_token(&configuration, &token).get("/Users").refused(401, "");
    assert_eq!(request_token(&app, (id, second), &[]).answered(200).json["scope"], "scim.users");
    let listed = run(&["oauth-client", "list", &configuration.id, "--output", "json"]);
    assert_eq!((&listed[0]["label"], listed[0]["secrets"].as_array().unwrap().len()), (&json!("renamed"), 2));
    app.succeeds(&["oauth-client", "list", &configuration.id]);
    let first = listed[0]["secrets"][1]["id"].as_str().unwrap();
    app.succeeds(&["oauth-client", "delete-secret", &configuration.id, id, first, "--yes"]);
    assert_refused(request_token(&app, (id, secret), &[]), 401, "invalid_client");
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, Signer::new("one").jwks().to_string()).unwrap();
    let keyed = ["oauth-client", "create", &configuration.id, "--label", "keys", "--authentication", "private_key_jwt"];
    app.succeeds(&[&keyed[..], &["--jwks-file", keys.to_str().unwrap()]].concat());
    assert!(!app.rollcall(&keyed).status.success());
    app.succeeds(&["oauth-client", "delete", &configuration.id, id, "--yes"]);
    assert_refused(request_token(&app, (id, second), &[]), 401, "invalid_client");
}

#[test]
fn a_restore_does_not_bring_back_what_was_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy.db"));
    let mut app = App::start(&data);
    let operator = app.operator();
    let configuration = operator.configuration("restored", "other");
    let path = clients_of(&configuration);
    let (deleted, rotated) =
        (create_secret_client(&operator, &configuration), create_secret_client(&operator, &configuration));
    let tokens = [&deleted, &rotated]
        .map(|(id, secret)| request_token(&app, (id, secret), &[]).answered(200).text("access_token"));
    app.succeeds(&["backup", copy.to_str().unwrap()]);
    operator.delete(&format!("{path}/{}", deleted.0)).answered(204);
    let added = operator.post(&format!("{path}/{}/secrets", rotated.0), &json!({})).answered(201);
    let secrets = operator.get(&format!("{path}/{}", rotated.0)).answered(200);
    let first = secrets.json["secrets"][1]["id"].as_str().unwrap();
    operator.delete(&format!("{path}/{}/secrets/{first}", rotated.0)).answered(204);
    assert_eq!(app.terminate(), Some(0));
    app.succeeds(&["restore", "--force", copy.to_str().unwrap()]);
    let app = App::start(&data);
    for (id, secret) in [&deleted, &rotated] {
        assert_refused(request_token(&app, (id, secret), &[]), 401, "invalid_client");
    }
    for token in tokens {
        with_token(&configuration, &token).at(app.address).get("/Users").refused(401, "");
    }
    // What was made after the backup is not in it.
    assert_refused(request_token(&app, (&rotated.0, &added.text("clientSecret")), &[]), 401, "invalid_client");
    let state = app.operator().get(&format!("{path}/{}", deleted.0)).answered(200);
    assert_eq!(state.json["state"], "disabled");
    app.operator().get(&format!("{CONFIGURATIONS}/{}", configuration.id)).answered(200);
}

#[test]
fn a_key_that_ends_gets_no_lasting_access_by_a_change() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("clients", "okta");
    let short = app.keyed(&["--expires-in", "2d"]);
    let path = clients_of(&configuration);
    let (own, other) = (Signer::new("own").jwks(), Signer::new("other").jwks());
    let lasting = json!({"label": "Okta", "authentication": "private_key_jwt", "jwks": own});
    short.post(&path, &lasting).problem(403);
    let one = format!("{path}/{}", create_client(&operator, &configuration, &lasting).text("clientId"));
    short.patch(&one, &json!({"jwks": other})).problem(403);
    short.patch(&one, &json!({"state": "disabled"})).answered(200);
    short.patch(&one, &json!({"state": "active"})).problem(403);
    short.patch(&one, &json!({"label": "Okta of Acme"})).answered(200);
    operator.patch(&one, &json!({"state": "active", "jwks": other})).answered(200);
    operator.patch(&one, &json!({"authentication": "secret"})).problem(400);
    // A secret without a requested end is not valid longer than the key; a later end is refused.
    let new = json!({"label": "Entra", "authentication": "secret"});
    let made = short.post(&path, &new).answered(201);
    let secrets = format!("{path}/{}/secrets", made.text("clientId"));
    short.post(&secrets, &json!({"secretExpiresIn": 30 * 86_400})).problem(403);
    short.post(&secrets, &json!({"secretExpiresIn": 86_400})).answered(201);
}
