//! Tokens of this server, and the key in the data folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::auth::jwt::tests::*;
use crate::auth::jwt::{OpenKeyError, SigningKey, TokenGrant, TokenKind};
use crate::model::permission::Permissions;

const URL: &str = "https://scim.example.com";

fn issued(key: &SigningKey, kind: TokenKind, account: Option<&str>) -> String {
    let permissions = Permissions::from_key_list("provisioning.read audit.read");
    let grant =
        TokenGrant { issuer: URL, key: "key-1", kind, account, permissions, id: "1".into(), now: NOW, seconds: 3_600 };
    key.issue(&grant).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_key_is_created_once_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let first = SigningKey::open(folder.path()).unwrap();
    let path = folder.path().join("signing-key.pem");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    let token = issued(&first, TokenKind::Environment, None);
    let again = SigningKey::open(folder.path()).unwrap();
    assert!(again.is_named_by(&token));
    assert!(again.verify(&token, URL, NOW).is_ok());
    let elsewhere = SigningKey::open(tempfile::tempdir().unwrap().path()).unwrap();
    assert!(!elsewhere.is_named_by(&token));
    assert!(elsewhere.verify(&token, URL, NOW).is_err());
}

#[test]
fn a_key_that_is_readable_by_others_or_unusable_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing-key.pem");
    SigningKey::open(folder.path()).unwrap();
    for open in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let error = SigningKey::open(folder.path()).err().unwrap();
        assert!(matches!(&error, OpenKeyError::OpenToOthers { .. }), "{open:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for broken in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(SigningKey::open(folder.path()), Err(OpenKeyError::Unusable(_))), "{broken:?}");
    }
    let target = folder.path().join("elsewhere.pem");
    fs::rename(&path, &target).unwrap();
    symlink(&target, &path).unwrap();
    assert!(matches!(SigningKey::open(folder.path()), Err(OpenKeyError::Unusable(_))));
}

#[test]
fn a_token_contains_its_key_and_its_expiry() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::open(folder.path()).unwrap();
    for (kind, account) in
        [(TokenKind::Environment, None), (TokenKind::Account, Some("acme")), (TokenKind::Refresh, Some("acme"))]
    {
        let token = issued(&key, kind, account);
        let read = key.verify(&token, URL, NOW).unwrap();
        assert_eq!((read.key.as_str(), read.kind, read.account.as_deref()), ("key-1", kind, account));
        assert!(key.verify(&token, URL, NOW + 3_659_000).is_ok());
        assert!(key.verify(&token, URL, NOW + 3_661_000).is_err(), "expired");
        assert!(key.verify(&token, "https://other.example.com", NOW).is_err(), "another server's");
    }
}

#[test]
fn any_service_with_the_public_key_can_verify_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::open(folder.path()).unwrap();
    let public = serde_json::to_value(key.public_keys()).unwrap();
    assert_eq!(public["keys"][0]["kty"], "OKP");
    assert!(public["keys"][0].get("d").is_none());
    let keys = key_set(&public);
    let token = issued(&key, TokenKind::Account, Some("acme"));
    let rules = TokenRules { issuer: URL, audiences: &[URL.to_owned()], algorithms: &[Algorithm::EdDSA] };
    let claims = token::verify_token(&token, &keys, &rules, NOW).unwrap();
    assert_eq!(claims["type"], "tenantApiToken");
    assert_eq!(claims["tenantId"], "acme");
    assert_eq!(claims["permissions"], json!(["fe.secure.read.provisioningConfiguration", "audit.read"]));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW_SECONDS), &json!(NOW_SECONDS + 3_600)));
}

#[test]
fn a_valid_signature_with_other_claims_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::open(folder.path()).unwrap();
    let token = issued(&key, TokenKind::Environment, None);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = message.split('.').next().unwrap();
    let other = URL_SAFE_NO_PAD.encode(json!({"iss": URL, "aud": URL, "sub": "key-2", "type": "vendor"}).to_string());
    assert!(key.verify(&format!("{header}.{other}.{signature}"), URL, NOW).is_err());
    // A user token that names the key of this server is rejected.
    let user_signer = &issuer().ed25519;
    let named = Header { kid: key.public_keys().keys[0].common.key_id.clone(), ..user_signer.header() };
    let forged = user_signer.signs_with(
        &named,
        &json!({"iss": URL, "aud": URL, "sub": "key-1", "type": "vendor",
        "iat": NOW_SECONDS, "exp": NOW_SECONDS + 60, "jti": "1", "permissions": []}),
    );
    assert!(key.is_named_by(&forged));
    assert!(key.verify(&forged, URL, NOW).is_err());
}
