//! Valid tokens and the users that they authenticate.

use crate::auth::jwt::tests::*;
use crate::model::permission::{Permission, Permissions};

#[test]
fn each_key_type_authenticates_its_users() {
    let keys = key_set(&issuer().jwks());
    for signer in issuer().all() {
        let user = authenticate(&signer.signs(&claims()), &keys).unwrap();
        assert_eq!((user.id.as_str(), user.name.as_str()), ("user-1", "user-1"));
        assert_eq!(user.accounts, ["acme"]);
        assert_eq!(user.permissions, Permissions::from_iter([Permission::ProvisioningRead]));
    }
}

#[test]
fn an_rsa_key_without_an_algorithm_verifies_pss() {
    let keys = key_set(&issuer().jwks());
    let signer = &issuer().rsa;
    let header = Header { alg: Algorithm::PS256, ..signer.header() };
    assert!(authenticate(&signer.signs_with(&header, &claims()), &keys).is_ok());
}

#[test]
fn without_a_kid_the_algorithm_chooses_the_key() {
    let keys = key_set(&issuer().jwks());
    for signer in issuer().all() {
        let header = Header { kid: None, ..signer.header() };
        assert!(authenticate(&signer.signs_with(&header, &claims()), &keys).is_ok(), "{}", signer.id);
    }
}

#[test]
fn clocks_may_be_a_minute_apart() {
    let keys = key_set(&issuer().jwks());
    for (name, value) in [
        ("exp", json!(NOW_SECONDS - 59)),
        ("nbf", json!(NOW_SECONDS + 59)),
        ("iat", json!(NOW_SECONDS + 59)),
        ("exp", json!(1_800_000_300.75)),
        ("nbf", json!(NOW_SECONDS)),
        ("aud", json!(["another-audience", "rollcall"])),
    ] {
        let token = issuer().p256.signs(&claims_with(name, value.clone()));
        assert_eq!(authenticate(&token, &keys).err(), None, "{name} {value}");
    }
}

#[test]
fn an_access_token_may_say_that_it_is_one() {
    // RFC 9068 section 2.1
    let keys = key_set(&issuer().jwks());
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+JWT")] {
        let signer = &issuer().ed25519;
        let header = Header { typ: typ.map(str::to_owned), ..signer.header() };
        assert!(authenticate(&signer.signs_with(&header, &claims()), &keys).is_ok(), "{typ:?}");
    }
}

#[test]
fn keys_in_a_header_are_ignored() {
    let keys = key_set(&issuer().jwks());
    let signer = &issuer().p256;
    let other = serde_json::from_value(Signer::p256("other").jwk()).unwrap();
    let header = Header {
        jku: Some("http://127.0.0.1:1/jwks".to_owned()),
        x5u: Some("http://127.0.0.1:1/cert".to_owned()),
        jwk: Some(other),
        ..signer.header()
    };
    assert!(authenticate(&signer.signs_with(&header, &claims()), &keys).is_ok());
}

#[test]
fn one_public_key_in_a_file_is_enough() {
    for signer in issuer().all() {
        let jwks = format!("\n {}", json!({"keys": [signer.jwk()]}));
        for file in [jwks.as_str(), signer.pem.as_str()] {
            let keys = KeySet::from_file(file.as_bytes()).unwrap();
            let accepted = issuer().all().map(|any| authenticate(&any.signs(&claims()), &keys).is_ok());
            assert_eq!(accepted, issuer().all().map(|any| any.id == signer.id), "{}", signer.id);
        }
    }
}

#[test]
fn claims_may_have_other_names_and_permissions_be_one_text() {
    let names = ClaimNames { account: "https://x/org".into(), accounts: "orgs".into(), permissions: "scope".into() };
    let claims = json!({
        "sub": "1",
        "email": "ann@example.com",
        "https://x/org": "acme",
        "orgs": ["acme", "zeta", "zeta", 7, " "],
        "scope": "openid audit.read fe.secure.delete.*",
        "tenantId": "other",
        "permissions": ["system.admin"],
    });
    let found = user_from_claims(claims.as_object().unwrap(), &names).unwrap();
    assert_eq!(found.name, "ann@example.com");
    assert_eq!(found.accounts, ["acme", "zeta"]);
    assert_eq!(found.permissions, Permissions::from_iter([Permission::AuditRead, Permission::ProvisioningDelete]));
}

#[test]
fn a_user_without_permissions_is_authenticated_and_has_none() {
    for permissions in [Value::Null, json!([]), json!({}), json!(7), json!([["fe.*"]]), json!("*")] {
        let claims = claims_with("permissions", permissions);
        assert_eq!(user_from_claims(claims.as_object().unwrap(), &names()).unwrap().permissions, Permissions::NONE);
    }
}
