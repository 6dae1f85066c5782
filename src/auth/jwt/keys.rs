//! Public keys of a JWK set (RFC 7517) or a PEM file, each bound to the algorithms of its key type.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// Shortest RSA modulus that is accepted, in bytes: 2048 bits (RFC 7518 section 3.3).
const RSA_MIN_BYTES: usize = 256;
/// Length of an uncompressed P-256 point in bytes: one byte and two coordinates.
const P256_POINT_BYTES: usize = 65;
/// Length of an uncompressed P-384 point in bytes.
const P384_POINT_BYTES: usize = 97;
const ED25519_BYTES: usize = 32;

struct VerificationKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

/// Members of a JWK that only its owner may know (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Checks that a text is a JWK set with at least one key for signatures, and without private and symmetric keys: it is stored
/// and shown.
///
/// # Errors
/// It is not, as a sentence.
pub fn check_key_set(text: &[u8]) -> Result<(), String> {
    KeySet::from_jwks(text)?;
    let set: JwkSet = serde_json::from_slice(text).map_err(|problem| format!("it is not a JWK set: {problem}"))?;
    let found = set.keys.iter().position(|key| PRIVATE_MEMBERS.iter().any(|member| key.get(member).is_some()));
    match found {
        None => Ok(()),
        Some(at) => Err(format!(
            "keys[{at}] is a private or symmetric key, and is not secret any more; make another pair, and send the public key only"
        )),
    }
}

/// Keys for verifying signatures.
pub(super) struct KeySet(Vec<VerificationKey>);

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a JWK set. Keys that are not for verifying signatures, or of an unsupported type, are ignored (RFC 7517
    /// section 5).
    ///
    /// # Errors
    /// The text is not a JWK set or contains no usable key, as a sentence.
    pub(super) fn from_jwks(text: &[u8]) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(text).map_err(|problem| format!("it is not a JWK set: {problem}"))?;
        let keys: Vec<VerificationKey> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(rename_ed25519(key)).ok())
            .filter_map(|key| key_from_jwk(&key))
            .collect();
        if keys.is_empty() {
            return Err(
                "it has no usable key: RSA of 2048 bits or more, P-256, P-384 or Ed25519, for signatures".into()
            );
        }
        Ok(Self(keys))
    }

    /// Parses the content of a key file: a JWK set, or one public key in PEM.
    ///
    /// # Errors
    /// The problem and what is accepted, as a sentence.
    pub(super) fn from_file(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii_start().starts_with(b"{") { Self::from_jwks(text) } else { Self::from_pem(text) }
    }

    fn from_pem(text: &[u8]) -> Result<Self, String> {
        let lossy = String::from_utf8_lossy(text);
        if lossy.contains("PRIVATE KEY") {
            return Err("it contains a private key; use the public key".into());
        }
        if lossy.matches("-----BEGIN").count() > 1 {
            return Err("it contains more than one key; use a JWK set for several keys".into());
        }
        let read = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
        let key = read.iter().find_map(|read| read(text).ok());
        let key = key.ok_or("it is neither a JWK set nor a public key in PEM (BEGIN PUBLIC KEY)")?;
        let algorithms = Jwk::from_decoding_key(&key, None).ok().and_then(|jwk| algorithms_of_key(&jwk));
        let algorithms = algorithms.ok_or("its key must be RSA of 2048 bits or more, P-256, P-384 or Ed25519")?;
        Ok(Self(vec![VerificationKey { id: None, algorithms: algorithms.to_vec(), public: key }]))
    }

    /// A set of one key: that of this server.
    pub(super) fn from_own_jwk(jwk: &Jwk) -> Option<Self> {
        key_from_jwk(jwk).map(|key| Self(vec![key]))
    }

    /// Returns the keys that may have signed a token with that `kid` and algorithm. If the token or the key has no ID,
    /// only the algorithm is compared.
    pub(super) fn matching_keys(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&VerificationKey| {
            let is_named = key.id.as_deref().is_none_or(|own| id.is_none_or(|requested| own == requested));
            is_named && key.algorithms.contains(&algorithm)
        };
        self.0.iter().filter(fits).map(|key| &key.public)
    }
}

/// `Ed25519` is the name of `EdDSA` with that curve (RFC 9864 section 2.2).
fn rename_ed25519(mut key: Value) -> Value {
    if key.get("alg").is_some_and(|algorithm| algorithm == "Ed25519") {
        key["alg"] = "EdDSA".into();
    }
    key
}

fn key_from_jwk(jwk: &Jwk) -> Option<VerificationKey> {
    let common = &jwk.common;
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = common.key_operations.as_ref().is_none_or(|list| list.contains(&KeyOperations::Verify));
    if !is_for_signatures || !verifies {
        return None;
    }
    let fitting = algorithms_of_key(jwk)?;
    let algorithms = match common.key_algorithm {
        None => fitting.to_vec(),
        Some(named) => vec![Algorithm::try_from(named).ok().filter(|named| fitting.contains(named))?],
    };
    Some(VerificationKey { id: common.key_id.clone(), algorithms, public: DecodingKey::from_jwk(jwk).ok()? })
}

/// Returns the algorithms of the key type. A symmetric key has none, so that HMAC is never accepted.
fn algorithms_of_key(jwk: &Jwk) -> Option<&'static [Algorithm]> {
    let length = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len());
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            (modulus.len() - leading >= RSA_MIN_BYTES).then_some(RSA)
        }
        AlgorithmParameters::EllipticCurve(point) => {
            let length = 1 + length(&point.x)? + length(&point.y)?;
            match point.curve {
                EllipticCurve::P256 if length == P256_POINT_BYTES => Some(P256),
                EllipticCurve::P384 if length == P384_POINT_BYTES => Some(P384),
                _ => None,
            }
        }
        AlgorithmParameters::OctetKeyPair(pair) => {
            let fits = pair.curve == EllipticCurve::Ed25519 && length(&pair.x) == Some(ED25519_BYTES);
            fits.then_some(ED25519)
        }
        _ => None,
    }
}
