//! Users with tokens of the operator's identity system.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::identity::{AUDIENCE, ISSUER, KeyServer, Signer, answers, now};

const READ: &str = "fe.secure.read.provisioningConfiguration";
const WRITE: &str = "fe.secure.write.provisioningConfiguration";
const DELETE: &str = "fe.secure.delete.provisioningConfiguration";

/// A server that accepts the tokens of one identity system, whose keys it fetches.
struct Fixture {
    app: App,
    keys: KeyServer,
    signer: Signer,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let signer = Signer::new("one");
        let keys = KeyServer::new(answers("200 OK", &signer.jwks().to_string()));
        Self::over(keys, signer)
    }

    fn over(keys: KeyServer, signer: Signer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rest = ["--user-token-issuer", ISSUER, "--user-token-audience", AUDIENCE, "--user-token-jwks-url"];
        let app = App::start_with(folder.path(), &[&rest[..], &[&keys.url]].concat());
        Self { app, keys, signer, _folder: folder }
    }

    fn user(&self, account: &str, permissions: &[&str]) -> Caller {
        self.app.anonymous().with(&self.signer.token(account, permissions))
    }
}

#[test]
fn a_user_reads_and_creates_only_in_the_own_account() {
    // S-003, S-007
    let fixture = Fixture::new();
    let foreign = fixture.app.operator().configuration("zeta", "okta");
    let user = fixture.user("acme", &[READ, WRITE]);
    let made = user.post(CONFIGURATIONS, &json!({"source": "okta"})).answered(201);
    let listed = user.get(CONFIGURATIONS).answered(200).json;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed[0]["id"], &listed[0]["tenantId"]), (&made.json["id"], &json!("acme")));
    assert_eq!(user.get(&format!("{CONFIGURATIONS}?tenantId=zeta")).answered(200).json, json!([]));
    let unknown = user.get(&format!("{CONFIGURATIONS}/01890a5d-ac96-774b-bcce-b302099a8057")).problem(404);
    let hidden = user.get(&format!("{CONFIGURATIONS}/{}", foreign.id)).problem(404);
    let without_id = |reply: &crate::app::Reply, id: &str| reply.json.to_string().replace(id, "");
    assert_eq!(without_id(&unknown, "01890a5d-ac96-774b-bcce-b302099a8057"), without_id(&hidden, &foreign.id));
    user.for_account("acme").get(CONFIGURATIONS).answered(200);
    user.for_account("zeta").get(CONFIGURATIONS).problem(403);
    user.for_account("zeta").post(CONFIGURATIONS, &json!({"source": "okta"})).problem(403);
}

#[test]
fn a_user_of_several_accounts_chooses_one_with_the_header() {
    let fixture = Fixture::new();
    let operator = fixture.app.operator();
    let (one, other) = (operator.configuration("acme", "okta"), operator.configuration("zeta", "okta"));
    let token = fixture.signer.token_with("acme", &[READ], &json!({"tenantIds": ["acme", "zeta"]}));
    let user = fixture.app.anonymous().with(&token);
    assert_eq!(user.get(CONFIGURATIONS).answered(200).json[0]["id"], one.id);
    let listed = user.for_account("zeta").get(CONFIGURATIONS).answered(200).json;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(other.id)));
    user.for_account("beta").get(CONFIGURATIONS).problem(403);
}

#[test]
fn each_permission_allows_only_its_operations_and_wildcards_work() {
    // S-021, S-022
    let fixture = Fixture::new();
    let operator = fixture.app.operator();
    for (permissions, read, write, delete) in [
        (&[][..], 403, 403, 403),
        (&[READ], 200, 403, 403),
        (&[WRITE], 403, 201, 403),
        (&[DELETE], 403, 403, 204),
        (&["fe.*"], 200, 201, 204),
        (&["fe.secure.*"], 200, 201, 204),
        (&["fe.secure.read.*", "fe.secure.delete.*"], 200, 403, 204),
        (&["fe.secure.read.provisioningconfiguration"], 403, 403, 403),
        (&["*"], 403, 403, 403),
    ] {
        let victim = operator.configuration("acme", "okta");
        let user = fixture.user("acme", permissions);
        let found = [
            user.get(CONFIGURATIONS).status,
            user.post(CONFIGURATIONS, &json!({"source": "okta"})).status,
            user.delete(&format!("{CONFIGURATIONS}/{}", victim.id)).status,
        ];
        assert_eq!(found, [read, write, delete], "{permissions:?}");
    }
}

#[test]
fn no_user_token_grants_operator_permissions() {
    let fixture = Fixture::new();
    let user = fixture.user("acme", &["system.admin", "system.*", "fe.*"]);
    for path in ["/directory/resources/v1/api-keys", "/directory/resources/v1/settings"] {
        user.get(path).problem(403);
    }
}

#[test]
fn every_invalid_user_token_gets_the_same_401() {
    // T58; the unit tests of the verifier list everything that can be wrong.
    let fixture = Fixture::new();
    fixture.user("acme", &[READ]).get(CONFIGURATIONS).answered(200);
    let changed = |claims: Value| fixture.signer.token_with("acme", &[READ], &claims);
    let anonymous = Signer::new("one");
    let good = fixture.signer.token("acme", &[READ]);
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let wrong = [
        changed(json!({"exp": now() - 120})),
        changed(json!({"exp": null})),
        changed(json!({"nbf": now() + 120})),
        changed(json!({"iss": "https://evil.example.com"})),
        changed(json!({"aud": "other"})),
        changed(json!({"aud": null})),
        changed(json!({"tenantId": null})),
        anonymous.token("acme", &[READ]),
        Signer::new("two").token("acme", &[READ]),
        unsigned,
        good[..good.len() - 4].to_owned(),
    ];
    let mut answers: Vec<Value> = Vec::new();
    for token in &wrong {
        answers.push(fixture.app.anonymous().with(token).get(CONFIGURATIONS).problem(401).json);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the answer reveals the reason: {answers:?}");
}

#[test]
fn without_settings_no_user_token_is_accepted() {
    let token = Signer::new("one").token("acme", &["fe.*"]);
    App::shared().anonymous().with(&token).get(CONFIGURATIONS).problem(401);
}

#[test]
fn the_keys_are_fetched_with_the_first_token_and_cached() {
    let fixture = Fixture::new();
    assert_eq!(fixture.keys.asked(), 0);
    let user = fixture.user("acme", &[READ]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| user.get(CONFIGURATIONS).answered(200));
        }
    });
    user.get(CONFIGURATIONS).answered(200);
    assert_eq!(fixture.keys.asked(), 1, "one fetch serves all");
}

#[test]
fn a_new_key_is_found_when_its_first_token_comes() {
    let fixture = Fixture::new();
    fixture.user("acme", &[READ]).get(CONFIGURATIONS).answered(200);
    let next = Signer::new("two");
    fixture.keys.set_answer(answers("200 OK", &next.jwks().to_string()));
    let token = next.token("acme", &[READ]);
    fixture.app.anonymous().with(&token).get(CONFIGURATIONS).answered(200);
    fixture.user("acme", &[READ]).get(CONFIGURATIONS).problem(401);
}

#[test]
fn unknown_keys_cause_only_a_limited_number_of_fetches() {
    let fixture = Fixture::new();
    fixture.user("acme", &[READ]).get(CONFIGURATIONS).answered(200);
    for at in 0..30 {
        let token = Signer::new(&format!("unknown-{at}")).token("acme", &[READ]);
        fixture.app.anonymous().with(&token).get(CONFIGURATIONS).problem(401);
    }
    assert!(fixture.keys.asked() <= 3, "{} fetches", fixture.keys.asked());
    fixture.user("acme", &[READ]).get(CONFIGURATIONS).answered(200);
}

#[test]
fn the_last_good_keys_stay_while_the_identity_system_is_down() {
    let fixture = Fixture::new();
    let user = fixture.user("acme", &[READ]);
    user.get(CONFIGURATIONS).answered(200);
    fixture.keys.set_answer(answers("500 Internal Server Error", "{}"));
    let unknown = Signer::new("two").token("acme", &[READ]);
    fixture.app.anonymous().with(&unknown).get(CONFIGURATIONS).problem(401);
    assert_eq!(fixture.keys.asked(), 2);
    user.get(CONFIGURATIONS).answered(200);
}

#[test]
fn without_any_keys_user_tokens_are_503() {
    let signer = Signer::new("one");
    let jwks = signer.jwks().to_string();
    let elsewhere = KeyServer::new(answers("200 OK", &jwks));
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", elsewhere.url);
    let padded = format!("{jwks}{}", " ".repeat(64 * 1024));
    for useless in [redirect, answers("404 Not Found", &jwks), answers("200 OK", "<html>"), answers("200 OK", &padded)]
    {
        let fixture = Fixture::over(KeyServer::new(useless), Signer::new("one"));
        let user = fixture.user("acme", &[READ]);
        let reply = user.get(CONFIGURATIONS).problem(503);
        assert!(!reply.header("retry-after").is_empty());
        // Operators are not affected.
        fixture.app.operator().get(CONFIGURATIONS).answered(200);
        fixture.keys.set_answer(answers("200 OK", &fixture.signer.jwks().to_string()));
        user.get(CONFIGURATIONS).answered(200);
    }
    assert_eq!(elsewhere.asked(), 0, "the redirect was followed");
}

#[test]
fn the_audit_log_names_the_user_of_the_token() {
    let fixture = Fixture::new();
    let user = fixture.user("acme", &[WRITE]);
    user.post(CONFIGURATIONS, &json!({"source": "okta"})).answered(201);
    let log = std::fs::read(fixture.app.data.join("rollcall.db-wal")).unwrap();
    let contains = |what: &[u8]| log.windows(what.len()).any(|window| window == what);
    assert!(contains(b"ann@example.com"), "the audit log does not name the user");
    assert!(!contains(user.credential.unwrap().as_bytes()), "the token is in the database");
}
