//! Validation of tokens (RFC 8725): an allowed algorithm that fits the key type, the signature of a configured key, and
//! the claims for issuer, audience and time.

use jsonwebtoken::{Algorithm, Header, TokenData, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::auth::jwt::keys::KeySet;
use crate::clock::Millis;

/// Accepted difference between the clocks of issuer and server, in seconds.
pub(super) const LEEWAY_SECONDS: f64 = 60.0;
/// Keys that are tried for one token: without a `kid`, more than one key may match.
const KEYS_TRIED_MAX: usize = 4;

/// Claims of a token.
pub type TokenClaims = Map<String, Value>;

/// Why a token is rejected. For the log only: it is not sent to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenRejection(pub &'static str);

/// Required values of a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenRules<'a> {
    /// Required `iss`.
    pub(super) issuer: &'a str,
    /// `aud` must contain one of these.
    pub(super) audiences: &'a [String],
    /// Accepted algorithms.
    pub(super) algorithms: &'a [Algorithm],
}

/// Decodes the header without verification; use it only to choose a key. Keys in the header (`jwk`, `jku`, `x5c`,
/// `x5u`) are ignored.
pub(super) fn decode_unverified_header(token: &str) -> Result<Header, TokenRejection> {
    let header = decode_header(token).map_err(|_| TokenRejection("it is not a signed token with a known algorithm"))?;
    // RFC 7515 section 4.1.11: a token with an unsupported critical extension must be rejected; none is supported.
    if header.crit.is_some() {
        return Err(TokenRejection("its header has critical extensions"));
    }
    // RFC 8725 section 3.11: a token of another type must be rejected.
    let is_access = |typ: &String| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    };
    if !header.typ.as_ref().is_none_or(is_access) {
        return Err(TokenRejection("its typ is that of another kind of token"));
    }
    Ok(header)
}

/// Validates a token at time `now` and returns its claims.
pub(super) fn verify_token(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules<'_>,
    now: Millis,
) -> Result<TokenClaims, TokenRejection> {
    let header = decode_unverified_header(token)?;
    if !rules.algorithms.contains(&header.alg) {
        return Err(TokenRejection("its algorithm is not among the allowed ones"));
    }
    let claims = verify_signature(token, &header, keys)?;
    check_claims(&claims, rules, now)?;
    Ok(claims)
}

fn verify_signature(token: &str, header: &Header, keys: &KeySet) -> Result<TokenClaims, TokenRejection> {
    let mut validation = Validation::new(header.alg);
    // `check_claims` validates the claims: it takes the time as an argument and is stricter than the library.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let mut fitting = keys.matching_keys(header.kid.as_deref(), header.alg).take(KEYS_TRIED_MAX).peekable();
    if fitting.peek().is_none() {
        return Err(TokenRejection("no key matches its kid and algorithm"));
    }
    let mut read = fitting.map(|key| decode::<TokenClaims>(token, key, &validation));
    let found = read.find_map(Result::ok);
    found.map(|TokenData { claims, .. }| claims).ok_or(TokenRejection("its signature does not match a known key"))
}

fn check_claims(claims: &TokenClaims, rules: &TokenRules<'_>, now: Millis) -> Result<(), TokenRejection> {
    if string_claim(claims, "iss") != Some(rules.issuer) {
        return Err(TokenRejection("its iss is not the issuer"));
    }
    if !string_values(claims.get("aud")).iter().any(|one| rules.audiences.iter().any(|accepted| accepted == one)) {
        return Err(TokenRejection("its aud is not this server"));
    }
    let now = to_seconds(now);
    if read_numeric_date(claims, "exp")?.ok_or(TokenRejection("it has no exp"))? + LEEWAY_SECONDS <= now {
        return Err(TokenRejection("it has expired"));
    }
    for name in ["nbf", "iat"] {
        if read_numeric_date(claims, name)?.is_some_and(|start| start - LEEWAY_SECONDS > now) {
            return Err(TokenRejection("it is not valid yet"));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "the seconds of all dates fit a double exactly")]
pub(super) fn to_seconds(at: Millis) -> f64 {
    (at / 1_000) as f64
}

/// Reads a `NumericDate`, which may have a fraction (RFC 7519 section 2).
pub(super) fn read_numeric_date(claims: &TokenClaims, name: &str) -> Result<Option<f64>, TokenRejection> {
    let read = |value: &Value| {
        value.as_f64().filter(|time| time.is_finite()).ok_or(TokenRejection("a time in it is not a number"))
    };
    claims.get(name).map(read).transpose()
}

/// Returns a claim that is a non-empty string.
pub fn string_claim<'a>(claims: &'a TokenClaims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Returns the strings of a claim that is a string or a list.
pub fn string_values(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
