//! The formats `frontegg` and `set`, and asymmetric signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{Fixture, WEBHOOKS};
use crate::sample::{group, operation, user_with};

fn decode(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Value {
    let mut rules = Validation::new(algorithm);
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    jsonwebtoken::decode::<Value>(token, key, &rules).unwrap().claims
}

#[test]
fn the_format_of_frontegg_has_one_event_and_a_token_that_the_secret_verifies() {
    let fixture = Fixture::new();
    let (_, secret) = fixture.webhook(&json!({"format": "frontegg", "kinds": ["user.*", "group.*"]}));
    let client = fixture.operator.configuration("acme", "okta");
    let more = json!({"externalId": "e1", "active": true, "emails": [{"value": "ada@example.com", "primary": true}]});
    let ada = client.created("/Users", &user_with("ada", &more));
    client.patch(&format!("/Users/{ada}"), &operation("replace", "active", &json!(false))).answered(200);
    client.created("/Groups", &group("Team", &[&ada]));
    client.delete(&format!("/Users/{ada}")).answered(204);
    let received = fixture.receiver.wait_for("six requests", |received| received.len() == 6);
    let keys: Vec<Value> = received.iter().map(|one| one.json()["eventKey"].clone()).collect();
    let expected = ["user.created", "user.updated", "group.created", "group.updated", "group.updated", "user.deleted"];
    assert_eq!(keys, expected.map(|key| json!(format!("frontegg.scim.{key}"))));
    let body = received[0].json();
    assert_eq!(body["eventContext"]["tenantId"], "acme");
    assert_eq!((&body["user"]["userId"], &body["user"]["email"]), (&json!(ada), &json!("ada@example.com")));
    for request in &received {
        let key = DecodingKey::from_secret(secret.as_bytes());
        let claims = decode(request.header("x-webhook-secret"), &key, Algorithm::HS256);
        assert!(claims["exp"].as_i64() > claims["iat"].as_i64(), "{claims}");
        assert_eq!(request.count_valid_signatures(&secret), 1);
    }
}

#[test]
fn security_event_tokens_describe_changes_as_rfc_9967_says() {
    let fixture = Fixture::new();
    let (_, secret) = fixture.webhook(&json!({"format": "set"}));
    let client = fixture.operator.configuration("acme", "okta");
    let ada = client.created("/Users", &user_with("ada", &json!({"externalId": "e1"})));
    client.delete(&format!("/Users/{ada}")).answered(204);
    let received = fixture.receiver.wait_for("two requests", |received| received.len() == 2);
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims: Vec<Value> = received
        .iter()
        .map(|request| {
            assert_eq!(request.header("content-type"), "application/secevent+jwt");
            let token = std::str::from_utf8(&request.body).unwrap();
            assert_eq!(jsonwebtoken::decode_header(token).unwrap().typ.as_deref(), Some("secevent+jwt"));
            decode(token, &key, Algorithm::HS256)
        })
        .collect();
    let prefix = "urn:ietf:params:scim:event:prov";
    let content = &claims[0]["events"][format!("{prefix}:create:full")];
    assert_eq!((&content["data"]["userName"], &content["version"]), (&json!("ada"), &json!("W/\"1\"")));
    let subject = json!({"format": "scim", "uri": format!("/Users/{ada}"), "externalId": "e1"});
    assert_eq!((&claims[0]["sub_id"], claims[0].get("sub")), (&subject, None));
    assert_eq!(claims[1]["events"], json!({format!("{prefix}:delete"): {}}));
    assert_eq!(claims[0]["aud"], fixture.receiver.url());
    assert_ne!(claims[0]["txn"], claims[1]["txn"]);
    assert_eq!(claims[0]["jti"], received[0].id());
}

#[test]
fn an_asymmetric_signature_is_verified_with_the_public_key() {
    let fixture = Fixture::new();
    let created = fixture.create(&json!({"signature": "ed25519"})).answered(201).json;
    assert_eq!(created["secret"], Value::Null);
    let public = created["keys"][0]["publicKey"].as_str().unwrap().strip_prefix("whpk_").unwrap().to_owned();
    fixture.operator.configuration("acme", "okta");
    let received = fixture.receiver.wait_for("a request", |received| received.len() == 1);
    let request = &received[0];
    let signature = request.header("webhook-signature").strip_prefix("v1a,").unwrap();
    let mut content = format!("{}.{}.", request.id(), request.header("webhook-timestamp")).into_bytes();
    content.extend(&request.body);
    let key =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, STANDARD.decode(public).unwrap());
    key.verify(&content, &STANDARD.decode(signature).unwrap()).unwrap();
    let path = format!("{WEBHOOKS}/{}", created["id"].as_str().unwrap());
    assert_eq!(fixture.operator.get(&path).answered(200).json["keys"], created["keys"]);
}
