//! Access tokens for signed assertions: of clients with their own keys, and of federated ones.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::identity::{KeyServer, Signer, answers, now};
use crate::oauth::{TOKEN, assert_refused, create_client, form_request, with_token};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SUBJECT: &str = "0f2b8c1e-9b4b-4d9a-8a53-5d1f0c9a7e21";

/// A server that may call this machine.
fn start_app() -> (tempfile::TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--outgoing-allow-networks", "127.0.0.1/32"]);
    (folder, app)
}

fn send_assertion(app: &App, client_id: &str, assertion: &str) -> Reply {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    form_request(app, TOKEN, &pairs).send()
}

fn own_claims(client_id: &str, audience: &str, id: &str) -> Value {
    json!({"iss": client_id, "sub": client_id, "aud": audience, "iat": now(), "exp": now() + 300, "jti": id})
}

fn federated_claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": SUBJECT, "aud": "api://scim", "iat": now(), "exp": now() + 3_600})
}

fn federated_client(operator: &Caller, configuration: &Client, issuer: &str, jwks_url: &str) -> String {
    let members = json!({
        "label": "Entra", "authentication": "federated", "issuer": issuer, "jwksUrl": jwks_url, "subject": SUBJECT,
        "audience": "api://scim/.default",
    });
    create_client(operator, configuration, &members).text("clientId")
}

#[test]
fn a_client_with_its_own_keys_gets_a_token_once_for_each_assertion() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "okta");
    let signer = Signer::new("one");
    let members = json!({"label": "Okta", "authentication": "private_key_jwt", "jwks": signer.jwks()});
    let made = create_client(&operator, &configuration, &members);
    assert_eq!(made.json["clientSecret"], Value::Null);
    let (id, token_url) = (made.text("clientId"), made.text("tokenUrl"));
    let issuer = token_url.strip_suffix(TOKEN).unwrap().to_owned();
    let scim_url = format!("{}{TOKEN}", made.text("scimUrl"));
    for (number, audience) in [&token_url, &scim_url, &issuer].into_iter().enumerate() {
        let assertion = signer.sign(&own_claims(&id, audience, &format!("id-{number}")));
        let token = send_assertion(app, &id, &assertion).answered(200).text("access_token");
        with_token(&configuration, &token).get("/Users").answered(200);
        assert_refused(send_assertion(app, &id, &assertion), 401, "invalid_client");
    }
    // Without client_id in the form, the assertion names the client.
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &signer.sign(&own_claims(&id, &token_url, "unnamed"))),
    ];
    form_request(app, TOKEN, &pairs).send().answered(200);
    // The assertion of another client opens nothing here, also with a valid signature.
    let other = create_client(&operator, &operator.configuration("rival", "okta"), &members).text("clientId");
    let foreign = signer.sign(&own_claims(&other, &token_url, "foreign"));
    assert_refused(send_assertion(app, &id, &foreign), 401, "invalid_client");
    let own = signer.sign(&own_claims(&id, &token_url, "own"));
    assert_refused(send_assertion(app, &other, &own), 401, "invalid_client");
    // A grant for federated clients is not for one with its own keys.
    let grant = [("grant_type", JWT_BEARER), ("client_id", &id), ("assertion", &own)];
    assert_refused(form_request(app, TOKEN, &grant).send(), 400, "invalid_grant");
    send_assertion(app, &id, &own).answered(200);
}

#[test]
fn a_federated_client_gets_tokens_for_assertions_of_its_identity_provider() {
    let (_folder, app) = start_app();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "azure-ad");
    let signer = Signer::new("key-1");
    let keys = KeyServer::new(answers("200 OK", &signer.jwks().to_string()));
    let issuer = "https://login.microsoftonline.com/7c0e1a52-3f6e-4b8e-9a35-1c2f4d6e8a90/v2.0";
    let id = federated_client(&operator, &configuration, issuer, &keys.url);
    let assertion = signer.sign(&federated_claims(issuer));
    // The same assertion works until it expires, in both forms.
    for _ in 0..3 {
        let token = send_assertion(&app, &id, &assertion).answered(200).text("access_token");
        with_token(&configuration, &token).get("/Users").answered(200);
    }
    let grant = [("grant_type", JWT_BEARER), ("client_id", &id), ("assertion", &assertion)];
    form_request(&app, TOKEN, &grant).send().answered(200);
    assert_eq!(keys.asked(), 1, "the keys are fetched once");
    // Forged assertions, each with a reason in the request log.
    let unknown_signer = Signer::new("key-1");
    let wrong = |name: &str, value: Value| {
        let mut claims = federated_claims(issuer);
        claims[name] = value;
        signer.sign(&claims)
    };
    let forged = [
        ("assertion_signature_wrong", unknown_signer.sign(&federated_claims(issuer))),
        ("assertion_issuer_wrong", wrong("iss", json!("https://evil.example"))),
        ("assertion_subject_wrong", wrong("sub", json!("someone"))),
        ("assertion_audience_wrong", wrong("aud", json!("api://other"))),
        ("assertion_expired", wrong("exp", json!(now() - 100))),
        ("assertion_not_yet_valid", wrong("nbf", json!(now() + 100))),
        ("assertion_malformed", "a.b.c".to_owned()),
    ];
    for (_, assertion) in &forged {
        assert_refused(send_assertion(&app, &id, assertion), 401, "invalid_client");
    }
    let path = format!("{CONFIGURATIONS}/{}/requests?status=failed", configuration.id);
    let list = || operator.get(&path).answered(200).json["items"].as_array().unwrap().clone();
    wait_until("all failed requests are in the log", || list().len() == forged.len());
    let reasons: Vec<Value> = list().iter().rev().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons, forged.each_ref().map(|(reason, _)| json!(reason)));
    // While the issuer is down, known keys work.
    keys.set_answer(answers("503 Service Unavailable", "down"));
    send_assertion(&app, &id, &assertion).answered(200);
}

#[test]
fn a_claim_occurs_once() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "okta");
    let signer = Signer::new("one");
    let members = json!({"label": "Okta", "authentication": "private_key_jwt", "jwks": signer.jwks()});
    let made = create_client(&operator, &configuration, &members);
    let (id, token_url) = (made.text("clientId"), made.text("tokenUrl"));
    let claims = own_claims(&id, &token_url, "once").to_string();
    for name in ["iss", "sub", "aud", "exp"] {
        let twice = format!("{{\"{name}\":\"other\",{}", &claims[1..]);
        assert_refused(send_assertion(app, &id, &signer.sign_text(&twice)), 401, "invalid_client");
    }
    send_assertion(app, &id, &signer.sign_text(&claims)).answered(200);
}

#[test]
fn new_keys_are_fetched_and_the_number_of_fetches_is_limited() {
    let (_folder, app) = start_app();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "azure-ad");
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = KeyServer::new(answers("200 OK", &old.jwks().to_string()));
    let id = federated_client(&operator, &configuration, "https://id.example.com", &keys.url);
    send_assertion(&app, &id, &old.sign(&federated_claims("https://id.example.com"))).answered(200);
    // The issuer changes its keys: the unknown kid makes the server fetch them.
    keys.set_answer(answers("200 OK", &new.jwks().to_string()));
    send_assertion(&app, &id, &new.sign(&federated_claims("https://id.example.com"))).answered(200);
    let asked = keys.asked();
    for number in 0..20 {
        let unknown = Signer::new(&format!("unknown-{number}")).sign(&federated_claims("https://id.example.com"));
        assert_refused(send_assertion(&app, &id, &unknown), 401, "invalid_client");
    }
    assert!(keys.asked() <= asked + 1, "{} fetches for 20 unknown keys", keys.asked() - asked);
    send_assertion(&app, &id, &new.sign(&federated_claims("https://id.example.com"))).answered(200);
}

#[test]
fn the_keys_are_found_from_the_issuer() {
    let (_folder, app) = start_app();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let signer = Signer::new("one");
    let keys = KeyServer::new(answers("200 OK", &signer.jwks().to_string()));
    let discovery = KeyServer::new(String::new());
    let issuer = discovery.url.strip_suffix("/jwks.json").unwrap().to_owned();
    let document = json!({"issuer": issuer, "jwks_uri": keys.url});
    discovery.set_answer(answers("200 OK", &document.to_string()));
    let members = json!({
        "label": "K8s", "authentication": "federated", "issuer": issuer, "subject": SUBJECT, "audience": "api://scim",
    });
    let id = create_client(&operator, &configuration, &members).text("clientId");
    send_assertion(&app, &id, &signer.sign(&federated_claims(&issuer))).answered(200);
}

#[test]
fn addresses_that_are_not_public_are_not_called() {
    let app = App::shared();
    let operator = app.operator();
    let configuration = operator.configuration("oauth", "other");
    let keys = KeyServer::new(answers("200 OK", "{}"));
    for url in [
        keys.url.as_str(),
        "https://127.0.0.1/keys",
        "https://169.254.169.254/",
        "http://id.example.com/keys",
        "file:///etc/passwd",
        "keys",
    ] {
        let members = json!({
            "label": "x", "authentication": "federated", "issuer": "https://id.example.com", "jwksUrl": url,
            "subject": SUBJECT, "audience": "api://scim",
        });
        let refused = operator.post(&super::clients_of(&configuration), &members).problem(400);
        assert!(refused.json["message"].as_str().unwrap().contains("jwksUrl"), "{url}: {}", refused.json);
    }
    // A name is checked when it is resolved.
    let id = federated_client(&operator, &configuration, "https://id.example.com", "https://localhost/keys");
    let signer = Signer::new("one");
    let assertion = signer.sign(&federated_claims("https://id.example.com"));
    assert_refused(send_assertion(app, &id, &assertion), 401, "invalid_client");
    assert_eq!(keys.asked(), 0);
}
