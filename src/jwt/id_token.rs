//! ID tokens of an OpenID provider (OpenID Connect Core 1.0 section 3.1.3.7): who has just signed in there, said for us
//! and for the very attempt that was begun here.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use reqwest::Url;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::remote::Remote;
use super::token::{self, Claims, LEEWAY_SECONDS, Rejected, Rules, seconds, text, texts, time};
use super::user::Denied;
use crate::clock::Millis;
use crate::secret;

/// What a provider may sign with: keys that only it has. Neither `none` nor a secret that is shared (RFC 8725 section 3.1).
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// It was fetched a moment ago, so one that was issued longer ago is not the answer to what was asked.
const AGE_MAX_SECONDS: f64 = 600.0;
/// Longest `sub`, in ASCII characters (OpenID Connect Core 1.0 section 2).
const SUBJECT_MAX_BYTES: usize = 255;

/// What an ID token must say.
#[derive(Debug, Clone, Copy)]
pub struct IdTokenRules<'a> {
    /// The one `iss`.
    pub issuer: &'a str,
    /// Our own id there: in `aud`, and `azp` where that is said.
    pub client_id: &'a str,
    /// What this attempt was begun with.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
}

/// What takes the ID tokens of one provider. A clone shares the keys.
#[derive(Clone)]
pub struct IdTokens {
    keys: Arc<Remote>,
}

impl IdTokens {
    /// With the keys at that address, fetched when the first token comes.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub fn new(keys: Url) -> Result<Self, reqwest::Error> {
        Ok(Self { keys: Arc::new(Remote::new(keys, "the OpenID provider")?) })
    }

    /// What a token says, where it is right at that time.
    ///
    /// # Errors
    /// The token is not right, or cannot be judged yet.
    pub async fn verified(&self, token: &str, rules: &IdTokenRules<'_>, now: Millis) -> Result<Claims, Denied> {
        let header = token::header(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Rejected("its algorithm is not among the allowed ones").into());
        }
        let audiences = [rules.client_id.to_owned()];
        let general = Rules { issuer: rules.issuer, audiences: &audiences, algorithms: &ALGORITHMS };
        let keys = self.keys.keys(header.kid.as_deref(), header.alg).await.map_err(|_| Denied::NoKeys)?;
        let claims = token::verified(token, &keys, &general, now)?;
        check(&claims, rules, header.alg, now)?;
        Ok(claims)
    }
}

/// What an ID token must say beyond any other token.
pub(super) fn check(
    claims: &Claims,
    rules: &IdTokenRules<'_>,
    algorithm: Algorithm,
    now: Millis,
) -> Result<(), Rejected> {
    let subject = text(claims, "sub").ok_or(Rejected("it has no sub"))?;
    if subject.len() > SUBJECT_MAX_BYTES || !subject.is_ascii() {
        return Err(Rejected("its sub is no id"));
    }
    // Whoever else it is for as well, it was issued to us.
    let party = text(claims, "azp");
    let is_for_others = texts(claims.get("aud")).iter().any(|one| *one != rules.client_id);
    if party.is_some_and(|party| party != rules.client_id) || (is_for_others && party.is_none()) {
        return Err(Rejected("its azp is not this client"));
    }
    let issued = time(claims, "iat")?.ok_or(Rejected("it has no iat"))?;
    if issued + AGE_MAX_SECONDS + LEEWAY_SECONDS < seconds(now) {
        return Err(Rejected("it was issued long ago"));
    }
    let nonce = text(claims, "nonce").ok_or(Rejected("it has no nonce"))?;
    if !secret::same(&secret::digest(nonce), &secret::digest(rules.nonce)) {
        return Err(Rejected("its nonce is not the one of this attempt"));
    }
    let Some(said) = claims.get("at_hash") else { return Ok(()) };
    let is_of_it = rules.access_token.is_some_and(|access| said.as_str() == Some(&half_hash(access, algorithm)));
    if is_of_it { Ok(()) } else { Err(Rejected("its at_hash is not of the access token")) }
}

/// The left half of the digest that goes with an algorithm (OpenID Connect Core 1.0 section 3.1.3.6).
pub(super) fn half_hash(text: &str, algorithm: Algorithm) -> String {
    let digest = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Sha384::digest(text).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => Sha512::digest(text).to_vec(),
        _ => Sha256::digest(text).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Millis = 1_800_000_000_000;
    const SECONDS: i64 = NOW / 1000;

    fn judged(changes: &[(&str, Value)], access_token: Option<&str>) -> Result<(), Rejected> {
        let mut claims = json!({
            "iss": "https://id.example.com", "sub": "u1", "aud": "us", "iat": SECONDS, "exp": SECONDS + 60, "nonce": "n1",
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let Value::Object(mut claims) = claims else { panic!("claims") };
        claims.retain(|_, value| !value.is_null());
        let rules = IdTokenRules { issuer: "https://id.example.com", client_id: "us", nonce: "n1", access_token };
        check(&claims, &rules, Algorithm::RS256, NOW)
    }

    #[test]
    fn a_token_for_this_attempt_is_taken() {
        let hash = half_hash("an access token", Algorithm::RS256);
        for (changes, access) in [
            (vec![], None),
            (vec![("azp", json!("us"))], None),
            (vec![("aud", json!(["us", "them"])), ("azp", json!("us"))], None),
            (vec![("at_hash", json!(hash))], Some("an access token")),
            (vec![("iat", json!(SECONDS - 500))], None),
        ] {
            assert_eq!(judged(&changes, access), Ok(()), "{changes:?}");
        }
    }

    #[test]
    fn a_token_for_anything_else_is_not() {
        for (changes, access, why) in [
            (vec![("sub", Value::Null)], None, "no sub"),
            (vec![("sub", json!(""))], None, "no sub"),
            (vec![("sub", json!(7))], None, "no sub"),
            (vec![("sub", json!("x".repeat(256)))], None, "no id"),
            (vec![("aud", json!(["us", "them"]))], None, "azp"),
            (vec![("azp", json!("them"))], None, "azp"),
            (vec![("iat", Value::Null)], None, "no iat"),
            (vec![("iat", json!("now"))], None, "no number"),
            (vec![("iat", json!(SECONDS - 700))], None, "long ago"),
            (vec![("nonce", Value::Null)], None, "no nonce"),
            (vec![("nonce", json!("n2"))], None, "nonce"),
            (vec![("at_hash", json!("x"))], Some("an access token"), "at_hash"),
            (vec![("at_hash", json!(half_hash("one", Algorithm::RS256)))], Some("another"), "at_hash"),
            (vec![("at_hash", json!(half_hash("one", Algorithm::RS256)))], None, "at_hash"),
        ] {
            let rejected = judged(&changes, access).unwrap_err();
            assert!(rejected.0.contains(why), "{changes:?}: {rejected}");
        }
    }

    #[test]
    fn half_of_the_digest_is_that_of_the_specification() {
        // OpenID Connect Core 1.0, appendix A.3.
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_hash(access, Algorithm::RS256), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
