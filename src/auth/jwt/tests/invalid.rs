//! Tokens with one defect each (threat T58), and unusable key files and sets.

use jsonwebtoken::jwk::Jwk;

use crate::auth::jwt::tests::*;

/// Invalid claims, in tokens that are otherwise valid.
fn wrong_claims() -> Vec<(&'static str, Value)> {
    vec![
        ("iss", Value::Null),
        ("iss", json!("https://id.example.com/")),
        ("iss", json!([ISSUER])),
        ("iss", json!(7)),
        ("aud", Value::Null),
        ("aud", json!("rollcall2")),
        ("aud", json!([])),
        ("aud", json!(["another-audience"])),
        ("aud", json!({"rollcall": true})),
        ("exp", Value::Null),
        ("exp", json!(NOW_SECONDS - 61)),
        ("exp", json!(-1)),
        ("exp", json!((NOW_SECONDS + 300).to_string())),
        ("exp", json!([NOW_SECONDS + 300])),
        ("nbf", json!(NOW_SECONDS + 61)),
        ("nbf", json!("0")),
        ("iat", json!(NOW_SECONDS + 61)),
        ("iat", json!(true)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("tenantId", Value::Null),
        ("tenantId", json!("")),
        ("tenantId", json!(["acme"])),
        ("tenantId", json!("a\u{0}b")),
        ("tenantId", json!(" acme")),
        ("tenantId", json!("x".repeat(129))),
    ]
}

/// Tokens with an invalid header, signature or encoding.
fn wrong_tokens() -> Vec<(&'static str, String)> {
    let Issuer { rsa, p256, .. } = issuer();
    let unknown_signer = Signer::rsa("rsa");
    let unknown_jwk: Jwk = serde_json::from_value(unknown_signer.jwk()).unwrap();
    let good = rsa.signs(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let other_payload = URL_SAFE_NO_PAD.encode(claims_with("tenantId", json!("zeta")).to_string());
    let header_hs256 = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::HS256) };
    let hmac = |secret: &[u8]| encode(&header_hs256, &claims(), &EncodingKey::from_secret(secret)).unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(rsa.jwk()["n"].as_str().unwrap()).unwrap();
    let with = |signer: &Signer, change: &dyn Fn(&mut Header)| {
        let mut header = signer.header();
        change(&mut header);
        signer.signs_with(&header, &claims())
    };
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[100] ^= 1;
    vec![
        ("unsigned", encode_token(&json!({"alg": "none", "kid": "rsa"}), &claims(), b"")),
        ("unsigned in another case", encode_token(&json!({"alg": "nOnE", "kid": "rsa"}), &claims(), b"")),
        ("unsigned with a signature", encode_token(&json!({"alg": "none", "kid": "rsa"}), &claims(), &flipped)),
        ("no algorithm", encode_token(&json!({"kid": "rsa"}), &claims(), &flipped)),
        ("HMAC with the public modulus", hmac(&modulus)),
        ("HMAC with the public JWK", hmac(rsa.jwk().to_string().as_bytes())),
        ("HMAC with nothing", hmac(b"")),
        ("another key with the same ID", unknown_signer.signs(&claims())),
        ("a key in the header", with(&unknown_signer, &|header| header.jwk = Some(unknown_jwk.clone()))),
        ("a key URL in the header", with(&unknown_signer, &|header| header.jku = Some("https://evil.example".into()))),
        ("a certificate URL", with(&unknown_signer, &|header| header.x5u = Some("https://evil.example".into()))),
        ("a certificate in the header", with(&unknown_signer, &|header| header.x5c = Some(vec!["AA==".into()]))),
        ("critical extensions", with(rsa, &|header| header.crit = Some(vec!["exp".into()]))),
        ("no critical extensions, said so", with(rsa, &|header| header.crit = Some(vec![]))),
        ("a logout token", with(rsa, &|header| header.typ = Some("logout+jwt".into()))),
        ("a security event", with(rsa, &|header| header.typ = Some("secevent+jwt".into()))),
        ("an algorithm that is not allowed", with(rsa, &|header| header.alg = Algorithm::RS512)),
        ("an unknown kid", with(rsa, &|header| header.kid = Some("other".into()))),
        ("a kid that is a path", with(rsa, &|header| header.kid = Some("../../dev/null".into()))),
        ("the kid of a key of another type", with(p256, &|header| header.kid = Some("rsa".into()))),
        ("no signature", format!("{message}.")),
        ("half a signature", format!("{message}.{}", &signature[..signature.len() / 2])),
        ("a changed signature", format!("{message}.{}", URL_SAFE_NO_PAD.encode(&flipped))),
        ("other claims under the signature", format!("{header}.{other_payload}.{signature}")),
        ("a signature with padding", format!("{good}==")),
        ("two parts", message.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as if encrypted", format!("{header}.{payload}.{payload}.{payload}.{signature}")),
        ("claims that are a list", rsa.signs(&json!([claims()]))),
        ("claims that are a text", rsa.signs(&json!("acme"))),
        ("a blank before it", format!(" {good}")),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("no token", "rollcall".to_owned()),
    ]
}

#[test]
fn an_invalid_token_does_not_authenticate() {
    let keys = key_set(&issuer().jwks());
    assert!(authenticate(&issuer().rsa.signs(&claims()), &keys).is_ok(), "the unchanged token is valid");
    for (what, token) in wrong_tokens() {
        assert!(authenticate(&token, &keys).is_err(), "{what}: {token}");
    }
    for (name, value) in wrong_claims() {
        let token = issuer().p256.signs(&claims_with(name, value.clone()));
        assert!(authenticate(&token, &keys).is_err(), "{name}: {value}");
    }
}

#[test]
fn a_key_serves_the_algorithm_and_the_use_that_it_names() {
    let signer = &issuer().rsa;
    let token = signer.signs(&claims());
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        // A second key, so that the set is usable even if the first key is not.
        key_set(&json!({"keys": [jwk, issuer().ed25519.jwk()]}))
    };
    assert!(authenticate(&token, &with("alg", json!("RS256"))).is_ok());
    assert!(authenticate(&token, &with("use", json!("sig"))).is_ok());
    assert!(authenticate(&token, &with("key_ops", json!(["verify"]))).is_ok());
    for (name, value) in [
        ("alg", json!("PS256")),
        ("alg", json!("ES256")),
        ("alg", json!("HS256")),
        ("alg", json!("XX999")),
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
    ] {
        assert!(authenticate(&token, &with(name, value.clone())).is_err(), "{name}: {value}");
    }
}

#[test]
fn a_set_without_a_usable_key_is_rejected() {
    let short = URL_SAFE_NO_PAD.encode([0xc1_u8; 128]);
    let padded: Vec<u8> = [0_u8; 128].into_iter().chain([0xc1_u8; 128]).collect();
    for (what, jwks) in [
        ("no keys", json!({"keys": []})),
        ("no set", json!([])),
        ("a shared secret", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]})),
        ("a short RSA key", json!({"keys": [{"kty": "RSA", "n": short, "e": "AQAB"}]})),
        (
            "a short RSA key made longer",
            json!({"keys": [{"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(padded), "e": "AQAB"}]}),
        ),
        ("a point that is none", json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]})),
        ("a curve that is not supported", json!({"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]})),
        ("an unknown key type", json!({"keys": [{"kty": "AKP", "pub": "AA"}]})),
    ] {
        assert!(KeySet::from_jwks(jwks.to_string().as_bytes()).is_err(), "{what}");
    }
    let mixed = json!({"keys": [{"kty": "AKP", "pub": "AA"}, 7, issuer().p256.jwk()]});
    assert!(authenticate(&issuer().p256.signs(&claims()), &key_set(&mixed)).is_ok(), "one good key is enough");
}

#[test]
fn an_unusable_key_file_is_rejected_with_the_reason() {
    let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (text, reason) in [
        (String::new(), "nor a public key"),
        ("rollcall".to_owned(), "nor a public key"),
        ("{}".to_owned(), "not a JWK set"),
        (public.to_owned(), "nor a public key"),
        (public.repeat(2), "more than one key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(), "private key"),
    ] {
        let error = KeySet::from_file(text.as_bytes()).err().unwrap();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}
