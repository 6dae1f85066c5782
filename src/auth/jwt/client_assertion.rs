//! Verification of the assertions of OAuth clients (RFC 7523 section 3): of clients with their own keys, and of federated ones,
//! whose assertions an identity provider signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::jwt::client_keys::ClientKeys;
use crate::auth::jwt::keys::KeySet;
use crate::auth::jwt::token::{
    LEEWAY_SECONDS, TokenClaims, read_numeric_date, string_claim, string_values, to_seconds,
};
use crate::auth::secret::{TokenDigest, digest_text};
use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::model::ids;
use crate::model::oauth::{ClientAuthentication, OauthClient};
use crate::scim::json::parse_case_exact_json;

/// Longest assertion, in bytes.
const ASSERTION_MAX_BYTES: usize = 16 * 1024;
/// Latest end of an assertion, in hours from now.
const HOURS_MAX: f64 = 24.0;
/// Longest value of a claim in an error, in characters.
const FOUND_MAX_CHARS: usize = 200;
/// Hosts of Microsoft's issuers. Its documentation names the issuer with and without `/v2.0`.
const MICROSOFT_HOSTS: [&str; 4] =
    ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net"];

/// Required values of an assertion.
#[derive(Debug, Clone, Copy)]
pub struct AssertionRules<'a> {
    /// The client that the request names.
    pub client: &'a OauthClient,
    /// `aud` of a client with its own keys: one of these.
    pub own_audiences: &'a [String],
    /// The current time.
    pub now: Millis,
}

/// A valid assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAssertion {
    /// Digest of its `jti`, if it has one.
    pub id: Option<TokenDigest>,
    /// When it expires.
    pub expires_at: Millis,
}

#[derive(Deserialize)]
struct AssertionHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

impl ClientKeys {
    /// Verifies an assertion of a client. Keys and URLs in its header are ignored.
    ///
    /// # Errors
    /// `AssertionMalformed`, `IssuerKeysUnavailable`, `AssertionKeyUnknown`, `AssertionSignatureWrong`, and the reason of a
    /// claim that is wrong.
    pub async fn verify_assertion(&self, assertion: &str, rules: &AssertionRules<'_>) -> Result<VerifiedAssertion> {
        if assertion.len() > ASSERTION_MAX_BYTES {
            return Err(report_malformed("it is longer than 16 KiB"));
        }
        let header = read_header(assertion)?;
        let algorithm = read_algorithm(&header.alg)?;
        let keys = self.find_keys(rules.client, header.kid.as_deref(), algorithm).await?;
        let claims = verify_signature(assertion, &keys, header.kid.as_deref(), algorithm)?;
        check_claims(&claims, rules)
    }
}

fn report_malformed(problem: &'static str) -> Error {
    Reason::AssertionMalformed.with("problem", problem)
}

fn read_header(assertion: &str) -> Result<AssertionHeader> {
    let text = assertion.split('.').next().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let header = decoded.and_then(|bytes| parse_case_exact_json(&bytes).ok());
    let has_extensions = header.as_ref().is_some_and(|header| header.get("crit").is_some());
    let header = header.and_then(|header| serde_json::from_value::<AssertionHeader>(header).ok());
    let header = header.filter(|_| assertion.split('.').count() == 3);
    let header = header.ok_or_else(|| report_malformed("it is not a signed JWT"))?;
    // RFC 7515 section 4.1.11: a token with an unsupported critical extension must be rejected; none is supported.
    if has_extensions {
        return Err(report_malformed("its header has critical extensions"));
    }
    let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    if !typ.is_none_or(|typ| ["jwt", "at+jwt", "client-authentication+jwt", "authorization-grant+jwt"].contains(&typ)) {
        return Err(report_malformed("its typ is that of another kind of token"));
    }
    Ok(header)
}

/// Returns the algorithm with this name. `none` and HMAC are not accepted (RFC 8725 section 3.1).
fn read_algorithm(name: &str) -> Result<Algorithm> {
    Ok(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        // RFC 9864 section 2.2 names the curve.
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return Err(report_malformed("its alg is not RS, PS, ES256, ES384, EdDSA or Ed25519")),
    })
}

fn verify_signature(assertion: &str, keys: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<TokenClaims> {
    let malformed = || report_malformed("it is not a signed JWT");
    let (message, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (_, payload) = message.split_once('.').ok_or_else(malformed)?;
    let is_signed = keys
        .matching_keys(kid, algorithm)
        .any(|key| crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false));
    if !is_signed {
        return Err(Reason::AssertionSignatureWrong.into());
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
    // Of a claim that occurs twice, others could read the other one (RFC 7519 section 4).
    match parse_case_exact_json(&payload) {
        Ok(Value::Object(claims)) => Ok(claims),
        _ => Err(report_malformed("its claims are not a JSON object, or one of them occurs twice")),
    }
}

fn check_claims(claims: &TokenClaims, rules: &AssertionRules<'_>) -> Result<VerifiedAssertion> {
    let client = rules.client;
    let source = &client.assertions;
    let is_federated = client.authentication == ClientAuthentication::Federated;
    let (issuer, subject) = if is_federated {
        (source.issuer.as_deref().unwrap_or_default(), source.subject.as_deref().unwrap_or_default())
    } else {
        (client.client_id.as_str(), client.client_id.as_str())
    };
    let found = string_claim(claims, "iss").unwrap_or_default();
    if found.is_empty() || !is_same_issuer(found, issuer) {
        return Err(report_claim(Reason::AssertionIssuerWrong, issuer, found));
    }
    let found = string_claim(claims, "sub").unwrap_or_default();
    if found.is_empty() || found != subject {
        return Err(report_claim(Reason::AssertionSubjectWrong, subject, found));
    }
    let accepted = if is_federated {
        accepted_audiences(source.audience.as_deref().unwrap_or_default())
    } else {
        rules.own_audiences.to_vec()
    };
    let found = string_values(claims.get("aud"));
    if !found.iter().any(|one| !one.is_empty() && accepted.iter().any(|accepted| accepted == one)) {
        let expected = accepted.first().map(String::as_str).unwrap_or_default();
        return Err(report_claim(Reason::AssertionAudienceWrong, expected, &found.join(" ")));
    }
    let expires_at = check_times(claims, rules.now)?;
    let id = string_claim(claims, "jti").map(digest_text);
    // The assertions of identity providers have no `jti`.
    if id.is_none() && !is_federated {
        return Err(Reason::AssertionIdMissing.into());
    }
    Ok(VerifiedAssertion { id, expires_at })
}

fn report_claim(reason: Reason, expected: &str, found: &str) -> Error {
    let shorten = |text: &str| -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).take(FOUND_MAX_CHARS).collect();
        if text.is_empty() { "absent".to_owned() } else { text }
    };
    reason.with("expected", shorten(expected)).with("found", shorten(found))
}

/// Checks the times of an assertion and returns when it expires.
#[expect(clippy::cast_possible_truncation, reason = "the times are near the current one")]
fn check_times(claims: &TokenClaims, now: Millis) -> Result<Millis> {
    let read = |name| read_numeric_date(claims, name).map_err(|rejected| report_malformed(rejected.0));
    let seconds = to_seconds(now);
    let end = read("exp")?.ok_or_else(|| report_malformed("it has no exp"))?;
    if end + LEEWAY_SECONDS <= seconds {
        let since = seconds - end;
        return Err(Reason::AssertionExpired.with("seconds", format!("{since:.0}")));
    }
    if end > seconds + HOURS_MAX * 3_600.0 + LEEWAY_SECONDS {
        return Err(Reason::AssertionTooLong.with("hours", HOURS_MAX));
    }
    for name in ["nbf", "iat"] {
        if let Some(start) = read(name)?.filter(|start| start - LEEWAY_SECONDS > seconds) {
            let wait = start - seconds;
            return Err(Reason::AssertionNotYetValid.with("seconds", format!("{wait:.0}")));
        }
    }
    Ok((end * 1_000.0) as Millis + 1_000 * LEEWAY_SECONDS as Millis)
}

/// Whether two issuers are the same. Those of Microsoft may have `/v2.0` at the end or not.
fn is_same_issuer(found: &str, expected: &str) -> bool {
    if found == expected {
        return true;
    }
    let without_version = |issuer: &str| issuer.strip_suffix("/v2.0").unwrap_or(issuer).to_owned();
    let host = expected.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| MICROSOFT_HOSTS.contains(&host)) && without_version(found) == without_version(expected)
}

/// Returns the values of `aud` that are accepted for a configured one: with and without `/.default` at the end, and the bare id
/// of an application in place of `api://id`.
pub fn accepted_audiences(configured: &str) -> Vec<String> {
    let base = configured.strip_suffix("/.default").unwrap_or(configured);
    let bare = base.strip_prefix("api://").filter(|id| ids::is_id(&id.to_ascii_lowercase()));
    let mut accepted = vec![configured.to_owned()];
    accepted.extend([base.to_owned(), format!("{base}/.default")].into_iter().filter(|one| one != configured));
    accepted.extend(bare.map(str::to_owned));
    accepted
}
