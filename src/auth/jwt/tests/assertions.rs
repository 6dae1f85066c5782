//! Assertions of OAuth clients: valid ones, and forged ones with one defect each.

use crate::auth::jwt::tests::*;
use crate::auth::jwt::{AssertionRules, ClientKeys, VerifiedAssertion, accepted_audiences};
use crate::error::{Error, Reason};
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{AssertionSource, ClientAuthentication, OauthClient, OauthClientState};
use crate::outgoing::OutgoingRules;

const TENANT: &str = "https://login.microsoftonline.com/7c0e1a52-3f6e-4b8e-9a35-1c2f4d6e8a90/v2.0";
const SUBJECT: &str = "0f2b8c1e-9b4b-4d9a-8a53-5d1f0c9a7e21";
const APPLICATION: &str = "3b1f6a2c-5d0e-4f77-8c19-2e4a6b8d0f13";
const TOKEN_URL: &str = "https://scim.example.com/oauth2/token";

fn client(authentication: ClientAuthentication, jwks: &Value) -> OauthClient {
    let is_federated = authentication == ClientAuthentication::Federated;
    let text = |text: String| is_federated.then_some(text);
    OauthClient {
        key: 1,
        client_id: "rcc_1".to_owned(),
        configuration: 1,
        label: "one".to_owned(),
        authentication,
        scope: OauthScope::full(),
        token_lifetime: 3_600,
        assertions: AssertionSource {
            jwks: Some(jwks.to_string()),
            jwks_url: None,
            issuer: text(TENANT.to_owned()),
            subject: text(SUBJECT.to_owned()),
            audience: text(format!("api://{APPLICATION}/.default")),
        },
        state: OauthClientState::Active,
        created_at: 0,
        last_used_at: None,
    }
}

/// The claims that Entra ID sends.
fn federated_claims() -> Value {
    json!({
        "iss": TENANT, "sub": SUBJECT, "aud": APPLICATION, "iat": NOW_SECONDS, "nbf": NOW_SECONDS,
        "exp": NOW_SECONDS + 3_900, "tid": "x", "oid": SUBJECT, "ver": "2.0",
    })
}

fn own_claims() -> Value {
    json!({
        "iss": "rcc_1", "sub": "rcc_1", "aud": TOKEN_URL, "iat": NOW_SECONDS, "exp": NOW_SECONDS + 300, "jti": "a",
    })
}

fn changed(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

async fn verify(client: &OauthClient, assertion: &str) -> Result<VerifiedAssertion, Error> {
    let audiences = [TOKEN_URL.to_owned(), "https://scim.example.com".to_owned()];
    let rules = AssertionRules { client, own_audiences: &audiences, now: NOW };
    ClientKeys::new(OutgoingRules::default()).verify_assertion(assertion, &rules).await
}

#[actix_web::test]
async fn assertions_of_every_algorithm_are_accepted() {
    let federated = client(ClientAuthentication::Federated, &issuer().jwks());
    for signer in issuer().all() {
        let verified = verify(&federated, &signer.signs(&federated_claims())).await.unwrap();
        assert_eq!((verified.id, verified.expires_at), (None, NOW + 3_960_000), "{}", signer.id);
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512] {
        let header = Header { alg: algorithm, ..issuer().rsa.header() };
        let assertion = issuer().rsa.signs_with(&header, &federated_claims());
        assert!(verify(&federated, &assertion).await.is_ok(), "{algorithm:?}");
    }
    // RFC 9864: the newer name of the algorithm, in the header and in the key.
    let mut key = issuer().ed25519.jwk();
    key["alg"] = json!("Ed25519");
    let with_name = client(ClientAuthentication::Federated, &json!({"keys": [key]}));
    let message = encode_token(&json!({"alg": "Ed25519", "kid": "ed25519"}), &federated_claims(), b"");
    let message = message.trim_end_matches('.');
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &issuer().ed25519.key, Algorithm::EdDSA).unwrap();
    assert!(verify(&with_name, &format!("{message}.{signature}")).await.is_ok());
}

#[actix_web::test]
async fn the_forms_of_microsoft_are_accepted() {
    let federated = client(ClientAuthentication::Federated, &issuer().jwks());
    for (name, value) in [
        ("iss", json!(TENANT.strip_suffix("/v2.0").unwrap())),
        ("aud", json!(format!("api://{APPLICATION}"))),
        ("aud", json!(format!("api://{APPLICATION}/.default"))),
        ("aud", json!([APPLICATION, "other"])),
        ("jti", json!("x")),
    ] {
        let assertion = issuer().rsa.signs(&changed(federated_claims(), name, value.clone()));
        assert!(verify(&federated, &assertion).await.is_ok(), "{name}: {value}");
    }
    assert_eq!(accepted_audiences("https://x.example"), ["https://x.example", "https://x.example/.default"]);
    assert_eq!(accepted_audiences("api://not-a-guid"), ["api://not-a-guid", "api://not-a-guid/.default"]);
}

#[actix_web::test]
async fn forged_claims_are_refused_with_their_reason() {
    let federated = client(ClientAuthentication::Federated, &issuer().jwks());
    for (name, value, reason) in [
        ("iss", Value::Null, Reason::AssertionIssuerWrong),
        ("iss", json!(""), Reason::AssertionIssuerWrong),
        ("iss", json!([TENANT]), Reason::AssertionIssuerWrong),
        ("iss", json!(format!("{TENANT}/")), Reason::AssertionIssuerWrong),
        ("iss", json!(TENANT.replace("7c0e", "7c0f")), Reason::AssertionIssuerWrong),
        (
            "iss",
            json!(TENANT.replace("https://login.microsoftonline.com", "https://evil.example")),
            Reason::AssertionIssuerWrong,
        ),
        ("sub", Value::Null, Reason::AssertionSubjectWrong),
        ("sub", json!(""), Reason::AssertionSubjectWrong),
        ("sub", json!(SUBJECT.to_uppercase()), Reason::AssertionSubjectWrong),
        ("sub", json!([SUBJECT]), Reason::AssertionSubjectWrong),
        ("sub", json!("rcc_1"), Reason::AssertionSubjectWrong),
        ("aud", Value::Null, Reason::AssertionAudienceWrong),
        ("aud", json!([]), Reason::AssertionAudienceWrong),
        ("aud", json!(""), Reason::AssertionAudienceWrong),
        ("aud", json!(TOKEN_URL), Reason::AssertionAudienceWrong),
        ("aud", json!("api://AzureADTokenExchange"), Reason::AssertionAudienceWrong),
        ("exp", Value::Null, Reason::AssertionMalformed),
        ("exp", json!("4000000000"), Reason::AssertionMalformed),
        ("exp", json!(NOW_SECONDS - 61), Reason::AssertionExpired),
        ("exp", json!(NOW_SECONDS + 86_400 + 120), Reason::AssertionTooLong),
        ("nbf", json!(NOW_SECONDS + 61), Reason::AssertionNotYetValid),
        ("iat", json!(NOW_SECONDS + 61), Reason::AssertionNotYetValid),
    ] {
        let assertion = issuer().rsa.signs(&changed(federated_claims(), name, value.clone()));
        let refused = verify(&federated, &assertion).await.unwrap_err();
        assert_eq!(refused.reason(), reason, "{name}: {value}");
    }
}

#[actix_web::test]
async fn forged_signatures_and_headers_are_refused_with_their_reason() {
    let Issuer { rsa, p256, .. } = issuer();
    let federated = client(ClientAuthentication::Federated, &issuer().jwks());
    let unknown_signer = Signer::rsa("rsa");
    let jwk: Jwk = serde_json::from_value(unknown_signer.jwk()).unwrap();
    let good = rsa.signs(&federated_claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let hmac = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::HS256) };
    let hmac = encode(&hmac, &federated_claims(), &EncodingKey::from_secret(b"rsa")).unwrap();
    let with = |signer: &Signer, change: &dyn Fn(&mut Header)| {
        let mut header = signer.header();
        change(&mut header);
        signer.signs_with(&header, &federated_claims())
    };
    let other = changed(federated_claims(), "sub", json!("x")).to_string();
    let (header, _) = message.split_once('.').unwrap();
    for (what, assertion, reason) in [
        ("unsigned", encode_token(&json!({"alg": "none"}), &federated_claims(), b""), Reason::AssertionMalformed),
        ("HMAC", hmac, Reason::AssertionMalformed),
        ("another key with the same kid", unknown_signer.signs(&federated_claims()), Reason::AssertionSignatureWrong),
        (
            "a key in the header",
            with(&unknown_signer, &|header| header.jwk = Some(jwk.clone())),
            Reason::AssertionSignatureWrong,
        ),
        (
            "jku",
            with(&unknown_signer, &|header| header.jku = Some("https://evil.example".into())),
            Reason::AssertionSignatureWrong,
        ),
        (
            "x5u",
            with(&unknown_signer, &|header| header.x5u = Some("https://evil.example".into())),
            Reason::AssertionSignatureWrong,
        ),
        ("an unknown kid", with(rsa, &|header| header.kid = Some("other".into())), Reason::AssertionKeyUnknown),
        ("the kid of another type", with(p256, &|header| header.kid = Some("rsa".into())), Reason::AssertionKeyUnknown),
        ("crit", with(rsa, &|header| header.crit = Some(vec!["exp".into()])), Reason::AssertionMalformed),
        ("a logout token", with(rsa, &|header| header.typ = Some("logout+jwt".into())), Reason::AssertionMalformed),
        (
            "other claims",
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(other)),
            Reason::AssertionSignatureWrong,
        ),
        ("no signature", format!("{message}."), Reason::AssertionSignatureWrong),
        ("two parts", message.to_owned(), Reason::AssertionMalformed),
        ("four parts", format!("{good}.x"), Reason::AssertionMalformed),
        ("nothing", String::new(), Reason::AssertionMalformed),
        ("much", "a".repeat(20_000), Reason::AssertionMalformed),
    ] {
        assert_eq!(verify(&federated, &assertion).await.unwrap_err().reason(), reason, "{what}");
    }
}

#[actix_web::test]
async fn without_a_kid_the_key_must_be_clear() {
    let bare = |signer: &Signer| signer.signs_with(&Header { kid: None, ..signer.header() }, &federated_claims());
    let federated = client(ClientAuthentication::Federated, &issuer().jwks());
    assert!(verify(&federated, &bare(&issuer().rsa)).await.is_ok());
    let two = json!({"keys": [issuer().rsa.jwk(), Signer::rsa("second").jwk()]});
    let refused = verify(&client(ClientAuthentication::Federated, &two), &bare(&issuer().rsa)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::AssertionKeyUnknown);
}

#[actix_web::test]
async fn a_client_with_its_own_keys_names_itself() {
    let own = client(ClientAuthentication::PrivateKeyJwt, &issuer().jwks());
    for (name, value, expected) in [
        ("x", json!(1), None),
        ("aud", json!("https://scim.example.com"), None),
        ("aud", json!([TOKEN_URL, "other"]), None),
        ("aud", json!("https://scim.example.com/"), Some(Reason::AssertionAudienceWrong)),
        ("iss", json!("rcc_2"), Some(Reason::AssertionIssuerWrong)),
        ("sub", json!("rcc_2"), Some(Reason::AssertionSubjectWrong)),
        ("jti", Value::Null, Some(Reason::AssertionIdMissing)),
        ("jti", json!(""), Some(Reason::AssertionIdMissing)),
    ] {
        let assertion = issuer().p256.signs(&changed(own_claims(), name, value.clone()));
        let result = verify(&own, &assertion).await;
        assert_eq!(result.as_ref().err().map(Error::reason), expected, "{name}: {value}");
        assert!(result.is_err() || result.unwrap().id.is_some());
    }
}
