//! Valid and invalid tokens, signed with real keys.

mod assertions;
mod invalid;
mod own;
mod valid;

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::auth::jwt::keys::KeySet;
use crate::auth::jwt::token::{self, TokenClaims, TokenRejection, TokenRules};
use crate::auth::jwt::user_tokens::user_from_claims;
use crate::clock::Millis;
use crate::settings::ClaimNames;

/// 2027-01-15T08:00:00Z
const NOW: Millis = 1_800_000_000_000;
const NOW_SECONDS: i64 = NOW / 1_000;
const ISSUER: &str = "https://id.example.com";
const ALLOWED: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// A private key with its ID.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: &'static str,
    /// The public half in PEM.
    pem: String,
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der))
}

fn public_pem(key: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    pem("PUBLIC KEY", key.as_der().unwrap().as_ref())
}

impl Signer {
    fn rsa(id: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", der.as_ref()).as_bytes()).unwrap();
        Self { key, algorithm: Algorithm::RS256, id, pem: public_pem(pair.public_key()) }
    }

    fn p256(id: &'static str) -> Self {
        Self::ec(id, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn p384(id: &'static str) -> Self {
        Self::ec(id, Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ec(id: &'static str, algorithm: Algorithm, curve: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { key, algorithm, id, pem: public_pem(pair.public_key()) }
    }

    fn ed25519(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { key, algorithm: Algorithm::EdDSA, id, pem: public_pem(pair.public_key()) }
    }

    /// The public half.
    fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk["kid"] = json!(self.id);
        jwk
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) }
    }

    fn signs(&self, claims: &Value) -> String {
        self.signs_with(&self.header(), claims)
    }

    fn signs_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }
}

/// The keys of the issuer, one of each type.
struct Issuer {
    rsa: Signer,
    p256: Signer,
    p384: Signer,
    ed25519: Signer,
}

fn issuer() -> &'static Issuer {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    ISSUER.get_or_init(|| Issuer {
        rsa: Signer::rsa("rsa"),
        p256: Signer::p256("p256"),
        p384: Signer::p384("p384"),
        ed25519: Signer::ed25519("ed25519"),
    })
}

impl Issuer {
    fn all(&self) -> [&Signer; 4] {
        [&self.rsa, &self.p256, &self.p384, &self.ed25519]
    }

    fn jwks(&self) -> Value {
        json!({"keys": self.all().map(Signer::jwk)})
    }
}

fn key_set(jwks: &Value) -> KeySet {
    KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap()
}

/// Valid claims.
fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "rollcall",
        "sub": "user-1",
        "iat": NOW_SECONDS,
        "exp": NOW_SECONDS + 300,
        "tenantId": "acme",
        "permissions": ["fe.secure.read.provisioningConfiguration"],
    })
}

/// Valid claims with one of them changed, or removed if the value is null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

fn names() -> ClaimNames {
    ClaimNames { account: "tenantId".into(), accounts: "tenantIds".into(), permissions: "permissions".into() }
}

fn verified(token: &str, keys: &KeySet) -> Result<TokenClaims, TokenRejection> {
    let audiences = ["other".to_owned(), "rollcall".to_owned()];
    token::verify_token(token, keys, &TokenRules { issuer: ISSUER, audiences: &audiences, algorithms: &ALLOWED }, NOW)
}

/// Validates a token and returns its user.
fn authenticate(token: &str, keys: &KeySet) -> Result<crate::auth::jwt::TokenUser, TokenRejection> {
    user_from_claims(&verified(token, keys)?, &names())
}

/// Encodes a token with any header, claims and signature.
fn encode_token(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let encode_part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", encode_part(header), encode_part(claims), URL_SAFE_NO_PAD.encode(signature))
}
