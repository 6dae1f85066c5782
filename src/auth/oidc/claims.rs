//! Reads an identity from the claims of the ID token and of the userinfo endpoint.

use serde_json::Value;

use crate::auth::jwt::{TokenClaims, string_claim};
use crate::auth::oidc::{Registration, SignInFailure};
use crate::model::sso::SsoIdentity;

/// Longest e-mail address, name or group that is accepted, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// Largest number of groups that are read.
const GROUPS_MAX: usize = 1_000;

/// Checks that the user signed in at the provider as required: `acr` is one of the accepted values, and `amr` contains all
/// required ones (OpenID Connect Core 1.0 section 2).
pub(super) fn check_assurance(claims: &TokenClaims, registration: &Registration) -> Result<(), SignInFailure> {
    let Registration { required_acr, required_amr, .. } = registration;
    let is_accepted = |acr: &str| required_acr.iter().any(|accepted| accepted == acr);
    if !required_acr.is_empty() && !string_claim(claims, "acr").is_some_and(is_accepted) {
        return Err(SignInFailure::Assurance("acr"));
    }
    let amr: Vec<&str> =
        claims.get("amr").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if required_amr.iter().all(|required| amr.contains(&required.as_str())) {
        Ok(())
    } else {
        Err(SignInFailure::Assurance("amr"))
    }
}

/// Whether claims are absent from the ID token that the userinfo endpoint may return. With an access token, a provider
/// may return claims there only (OpenID Connect Core 1.0 section 5.4).
pub(super) fn needs_userinfo(claims: &TokenClaims, registration: &Registration) -> bool {
    let lacks_groups = !registration.role_claim.is_empty() && find_claim(claims, &registration.role_claim).is_none();
    string_claim(claims, "email").is_none() || lacks_groups
}

/// Merges the claims of ID token and userinfo endpoint. The ID token takes precedence because it is signed. The e-mail
/// address and its verification status are taken from the same source.
pub(super) fn merge_claims(mut claims: TokenClaims, more: TokenClaims) -> TokenClaims {
    let is_about_email = |name: &str| matches!(name, "email" | "email_verified" | "xms_edov");
    let has_email = string_claim(&claims, "email").is_some();
    if !has_email {
        claims.retain(|name, _| !is_about_email(name));
    }
    for (name, value) in more {
        if !(is_about_email(&name) && has_email) {
            claims.entry(name).or_insert(value);
        }
    }
    claims
}

/// Returns the identity that verified claims describe.
pub(super) fn identity_from_claims(claims: &TokenClaims, registration: &Registration) -> SsoIdentity {
    let short = |name: &str| string_claim(claims, name).filter(|text| text.len() <= TEXT_MAX_BYTES).map(str::to_owned);
    SsoIdentity {
        issuer: registration.issuer.clone(),
        subject: string_claim(claims, "sub").unwrap_or_default().to_owned(),
        email: short("email"),
        is_verified: is_verified(claims),
        name: short("name").or_else(|| short("preferred_username")),
        groups: read_groups(claims, &registration.role_claim),
    }
}

/// Reads `email_verified`, or the claim of Entra ID for a verified owner of the domain (`xms_edov`).
fn is_verified(claims: &TokenClaims) -> Option<bool> {
    let flag = |name: &str| match claims.get(name)? {
        Value::Bool(value) => Some(*value),
        Value::String(value) => Some(value == "true" || value == "1"),
        Value::Number(value) => Some(value.as_i64() == Some(1)),
        _ => Some(false),
    };
    flag("email_verified").or_else(|| flag("xms_edov"))
}

/// Returns the strings of a claim: one string, a list, or the member names of an object.
pub fn read_groups(claims: &TokenClaims, name: &str) -> Vec<String> {
    let found = if name.is_empty() { None } else { find_claim(claims, name) };
    let texts: Vec<&str> = match found {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Object(named)) => named.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let is_valid = |text: &&str| !text.is_empty() && text.len() <= TEXT_MAX_BYTES;
    texts.into_iter().filter(is_valid).take(GROUPS_MAX).map(str::to_owned).collect()
}

/// Returns a claim by its name. If no claim has that name, the name is used as a path (`realm_access.roles`).
fn find_claim<'c>(claims: &'c TokenClaims, name: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> TokenClaims {
        let Value::Object(claims) = value else { panic!("claims") };
        claims
    }

    #[test]
    fn groups_are_read_from_every_supported_type() {
        for (given, name, expected) in [
            (json!({"groups": ["a", "b", 7, ""]}), "groups", vec!["a", "b"]),
            (json!({"role": "admin"}), "role", vec!["admin"]),
            (json!({"https://x.example/roles": ["a"]}), "https://x.example/roles", vec!["a"]),
            (json!({"realm_access": {"roles": ["a"]}}), "realm_access.roles", vec!["a"]),
            (json!({"urn:zitadel:roles": {"a": {}, "b": {}}}), "urn:zitadel:roles", vec!["a", "b"]),
            (json!({"groups": 7}), "groups", vec![]),
            (json!({"": ["a"]}), "", vec![]),
            (json!({}), "groups", vec![]),
        ] {
            assert_eq!(read_groups(&claims(given), name), expected, "{name}");
        }
    }

    #[test]
    fn an_address_and_its_verification_come_from_the_same_source() {
        let signed = claims(json!({"sub": "u1", "email": "a@x.example"}));
        let more = claims(json!({"sub": "u2", "email": "b@x.example", "email_verified": true, "name": "Ann"}));
        let both = merge_claims(signed, more.clone());
        assert_eq!(string_claim(&both, "sub"), Some("u1"));
        assert_eq!(string_claim(&both, "email"), Some("a@x.example"));
        assert_eq!(string_claim(&both, "name"), Some("Ann"));
        assert_eq!(is_verified(&both), None);
        let both = merge_claims(claims(json!({"sub": "u1"})), more);
        assert_eq!((string_claim(&both, "email"), is_verified(&both)), (Some("b@x.example"), Some(true)));
        // A verification without an address does not apply to the address of the other source.
        let both = merge_claims(claims(json!({"email_verified": true})), claims(json!({"email": "b@x.example"})));
        assert_eq!(is_verified(&both), None);
    }

    #[test]
    fn verification_is_read_from_several_claims() {
        for (given, expected) in [
            (json!({}), None),
            (json!({"email_verified": true}), Some(true)),
            (json!({"email_verified": "true"}), Some(true)),
            (json!({"email_verified": false}), Some(false)),
            (json!({"email_verified": "false", "xms_edov": true}), Some(false)),
            (json!({"email_verified": null}), Some(false)),
            (json!({"xms_edov": true}), Some(true)),
            (json!({"xms_edov": 1}), Some(true)),
            (json!({"xms_edov": "1"}), Some(true)),
            (json!({"xms_edov": false}), Some(false)),
        ] {
            assert_eq!(is_verified(&claims(given.clone())), expected, "{given}");
        }
    }
}
