//! Validation of ID tokens of an OpenID provider (OpenID Connect Core 1.0 section 3.1.3.7). A token must be issued to
//! this client, for the sign-in attempt that this server started.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use sha2::{Digest, Sha256, Sha384, Sha512};
use url::Url;

use crate::auth::jwt::remote_keys::RemoteKeySet;
use crate::auth::jwt::token::{
    self, LEEWAY_SECONDS, TokenClaims, TokenRejection, TokenRules, read_numeric_date, string_claim, string_values,
    to_seconds,
};
use crate::auth::jwt::user_tokens::TokenValidationError;
use crate::auth::secret;
use crate::clock::Millis;
use crate::outgoing::OutgoingRules;

/// Accepted algorithms: asymmetric ones only, neither `none` nor HMAC (RFC 8725 section 3.1).
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
/// Largest age of a token: it is fetched immediately after it is issued, so an older one belongs to another request.
const AGE_MAX_SECONDS: f64 = 600.0;
/// Longest `sub`, in ASCII characters (OpenID Connect Core 1.0 section 2).
const SUBJECT_MAX_BYTES: usize = 255;

/// Required values of an ID token.
#[derive(Debug, Clone, Copy)]
pub struct IdTokenRules<'a> {
    /// Required `iss`.
    pub issuer: &'a str,
    /// Client ID of this server: must be in `aud`, and equal `azp` if that is set.
    pub client_id: &'a str,
    /// Nonce of this sign-in attempt.
    pub nonce: &'a str,
    /// Access token of the same response.
    pub access_token: Option<&'a str>,
}

/// Validates the ID tokens of one provider. A clone shares the keys.
#[derive(Clone)]
pub struct IdTokens {
    keys: Arc<RemoteKeySet>,
}

impl IdTokens {
    /// Uses the keys at that URL, which are fetched for the first token.
    ///
    /// # Errors
    /// The root certificates of the system cannot be used.
    pub fn new(keys: Url, rules: OutgoingRules) -> Result<Self, reqwest::Error> {
        Ok(Self { keys: Arc::new(RemoteKeySet::new(keys, "the OpenID provider", rules)?) })
    }

    /// Validates a token at time `now` and returns its claims.
    ///
    /// # Errors
    /// The token is not valid, or no keys are available.
    pub async fn verify(
        &self,
        token: &str,
        rules: &IdTokenRules<'_>,
        now: Millis,
    ) -> Result<TokenClaims, TokenValidationError> {
        let header = token::decode_unverified_header(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenRejection("its algorithm is not among the allowed ones").into());
        }
        let audiences = [rules.client_id.to_owned()];
        let general = TokenRules { issuer: rules.issuer, audiences: &audiences, algorithms: &ALGORITHMS };
        let keys = self.keys.keys(header.kid.as_deref(), header.alg).await.map_err(|_| TokenValidationError::NoKeys)?;
        let claims = token::verify_token(token, &keys, &general, now)?;
        check_id_token(&claims, rules, header.alg, now)?;
        Ok(claims)
    }
}

/// Checks the rules that apply to ID tokens only.
pub(super) fn check_id_token(
    claims: &TokenClaims,
    rules: &IdTokenRules<'_>,
    algorithm: Algorithm,
    now: Millis,
) -> Result<(), TokenRejection> {
    let subject = string_claim(claims, "sub").ok_or(TokenRejection("it has no sub"))?;
    if subject.len() > SUBJECT_MAX_BYTES || !subject.is_ascii() {
        return Err(TokenRejection("its sub is not a valid ID"));
    }
    // A token with several audiences must be issued to this client.
    let authorized_party = string_claim(claims, "azp");
    let has_other_audience = string_values(claims.get("aud")).iter().any(|one| *one != rules.client_id);
    if authorized_party.is_some_and(|party| party != rules.client_id)
        || (has_other_audience && authorized_party.is_none())
    {
        return Err(TokenRejection("its azp is not this client"));
    }
    let issued = read_numeric_date(claims, "iat")?.ok_or(TokenRejection("it has no iat"))?;
    if issued + AGE_MAX_SECONDS + LEEWAY_SECONDS < to_seconds(now) {
        return Err(TokenRejection("it was issued too long ago"));
    }
    let nonce = string_claim(claims, "nonce").ok_or(TokenRejection("it has no nonce"))?;
    if !secret::digests_match(&secret::digest_text(nonce), &secret::digest_text(rules.nonce)) {
        return Err(TokenRejection("its nonce is not that of this attempt"));
    }
    let Some(at_hash) = claims.get("at_hash") else { return Ok(()) };
    let matches = rules.access_token.is_some_and(|access| at_hash.as_str() == Some(&half_hash(access, algorithm)));
    if matches { Ok(()) } else { Err(TokenRejection("its at_hash does not match the access token")) }
}

/// Returns the left half of the digest, with the hash function of the algorithm (OpenID Connect Core 1.0 section
/// 3.1.3.6).
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

    fn check_with(changes: &[(&str, Value)], access_token: Option<&str>) -> Result<(), TokenRejection> {
        let mut claims = json!({
            "iss": "https://id.example.com", "sub": "u1", "aud": "us", "iat": SECONDS, "exp": SECONDS + 60, "nonce": "n1",
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let Value::Object(mut claims) = claims else { panic!("claims") };
        claims.retain(|_, value| !value.is_null());
        let rules = IdTokenRules { issuer: "https://id.example.com", client_id: "us", nonce: "n1", access_token };
        check_id_token(&claims, &rules, Algorithm::RS256, NOW)
    }

    #[test]
    fn a_token_for_this_attempt_is_accepted() {
        let hash = half_hash("an access token", Algorithm::RS256);
        for (changes, access) in [
            (vec![], None),
            (vec![("azp", json!("us"))], None),
            (vec![("aud", json!(["us", "them"])), ("azp", json!("us"))], None),
            (vec![("at_hash", json!(hash))], Some("an access token")),
            (vec![("iat", json!(SECONDS - 500))], None),
        ] {
            assert_eq!(check_with(&changes, access), Ok(()), "{changes:?}");
        }
    }

    #[test]
    fn any_other_token_is_rejected() {
        for (changes, access, why) in [
            (vec![("sub", Value::Null)], None, "no sub"),
            (vec![("sub", json!(""))], None, "no sub"),
            (vec![("sub", json!(7))], None, "no sub"),
            (vec![("sub", json!("x".repeat(256)))], None, "not a valid ID"),
            (vec![("aud", json!(["us", "them"]))], None, "azp"),
            (vec![("azp", json!("them"))], None, "azp"),
            (vec![("iat", Value::Null)], None, "no iat"),
            (vec![("iat", json!("now"))], None, "not a number"),
            (vec![("iat", json!(SECONDS - 700))], None, "too long ago"),
            (vec![("nonce", Value::Null)], None, "no nonce"),
            (vec![("nonce", json!("n2"))], None, "nonce"),
            (vec![("at_hash", json!("x"))], Some("an access token"), "at_hash"),
            (vec![("at_hash", json!(half_hash("one", Algorithm::RS256)))], Some("another"), "at_hash"),
            (vec![("at_hash", json!(half_hash("one", Algorithm::RS256)))], None, "at_hash"),
        ] {
            let rejected = check_with(&changes, access).unwrap_err();
            assert!(rejected.0.contains(why), "{changes:?}: {rejected}");
        }
    }

    #[test]
    fn the_half_hash_is_that_of_the_specification() {
        // OpenID Connect Core 1.0, appendix A.3.
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_hash(access, Algorithm::RS256), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
