//! Whether a token is right: one algorithm of the allowed ones, bound to the key's type; a signature of a key that was
//! configured; the claims that say from whom, for whom and when (RFC 8725).

use jsonwebtoken::{Algorithm, Header, TokenData, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::keys::KeySet;
use crate::clock::Millis;

/// How far the clocks of issuer and server may be apart, in seconds.
pub(super) const LEEWAY_SECONDS: f64 = 60.0;
/// Keys that are tried for one token: where neither names the other, more than one may fit.
const KEYS_TRIED_MAX: usize = 4;

/// What a token says of its bearer.
pub type Claims = Map<String, Value>;

/// Why a token is not taken. For the log: whoever sent it learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub &'static str);

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The one `iss`.
    pub(super) issuer: &'a str,
    /// One of these must be in `aud`.
    pub(super) audiences: &'a [String],
    /// The algorithms that are taken.
    pub(super) algorithms: &'a [Algorithm],
}

/// The header, unverified: good for choosing a key, and for nothing else. What it says of keys by value or address
/// (`jwk`, `jku`, `x5c`, `x5u`) is never looked at.
pub(super) fn header(token: &str) -> Result<Header, Rejected> {
    let header = decode_header(token).map_err(|_| Rejected("it is no signed token of a known algorithm"))?;
    // RFC 7515 section 4.1.11: who does not understand what is critical must refuse, and we understand none of it.
    if header.crit.is_some() {
        return Err(Rejected("its header has critical extensions"));
    }
    // RFC 8725 section 3.11: a token that says it is for something else is not for this.
    let is_access = |typ: &String| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    };
    if !header.typ.as_ref().is_none_or(is_access) {
        return Err(Rejected("its typ is of another use"));
    }
    Ok(header)
}

/// The claims of a token that is right at that time.
pub(super) fn verified(token: &str, keys: &KeySet, rules: &Rules<'_>, now: Millis) -> Result<Claims, Rejected> {
    let header = header(token)?;
    if !rules.algorithms.contains(&header.alg) {
        return Err(Rejected("its algorithm is not among the allowed ones"));
    }
    let claims = signed_claims(token, &header, keys)?;
    check(&claims, rules, now)?;
    Ok(claims)
}

fn signed_claims(token: &str, header: &Header, keys: &KeySet) -> Result<Claims, Rejected> {
    let mut validation = Validation::new(header.alg);
    // The claims are checked below, by a time that comes in and without the liberties that the library leaves.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let mut fitting = keys.fitting(header.kid.as_deref(), header.alg).take(KEYS_TRIED_MAX).peekable();
    if fitting.peek().is_none() {
        return Err(Rejected("no key fits its kid and algorithm"));
    }
    let mut read = fitting.map(|key| decode::<Claims>(token, key, &validation));
    let found = read.find_map(Result::ok);
    found.map(|TokenData { claims, .. }| claims).ok_or(Rejected("its signature is not of a key that is known"))
}

fn check(claims: &Claims, rules: &Rules<'_>, now: Millis) -> Result<(), Rejected> {
    if text(claims, "iss") != Some(rules.issuer) {
        return Err(Rejected("its iss is not the issuer"));
    }
    if !texts(claims.get("aud")).iter().any(|one| rules.audiences.iter().any(|wanted| wanted == one)) {
        return Err(Rejected("its aud is not for here"));
    }
    let now = seconds(now);
    if time(claims, "exp")?.ok_or(Rejected("it has no exp"))? + LEEWAY_SECONDS <= now {
        return Err(Rejected("it has expired"));
    }
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|start| start - LEEWAY_SECONDS > now) {
            return Err(Rejected("its time has not come yet"));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "the seconds of all dates fit a double exactly")]
pub(super) fn seconds(at: Millis) -> f64 {
    (at / 1_000) as f64
}

/// A `NumericDate`, which may have a fraction (RFC 7519 section 2).
pub(super) fn time(claims: &Claims, name: &str) -> Result<Option<f64>, Rejected> {
    let read =
        |value: &Value| value.as_f64().filter(|time| time.is_finite()).ok_or(Rejected("a time in it is no number"));
    claims.get(name).map(read).transpose()
}

/// A claim that is a text, and not an empty one.
pub fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A claim that is a text or a list of texts.
pub fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
