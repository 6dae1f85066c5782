//! Who somebody is, read from the ID token and from the userinfo endpoint.

use serde_json::Value;

use super::Registration;
use crate::jwt::{Claims, text};
use crate::model::sso::Identity;

/// Longest e-mail address, name or group that is read, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// Most groups that are read.
const GROUPS_MAX: usize = 1_000;

/// Whether the ID token leaves open what the userinfo endpoint may know (OpenID Connect Core 1.0 section 5.4: where there
/// is an access token, it is there that a provider tells).
pub(super) fn asks_for_more(claims: &Claims, by: &Registration) -> bool {
    let lacks_groups = !by.role_claim.is_empty() && value(claims, &by.role_claim).is_none();
    text(claims, "email").is_none() || lacks_groups
}

/// The claims of both; the ID token, which is signed, has the first word. An address and whether it is verified come from
/// the same side.
pub(super) fn joined(mut claims: Claims, more: Claims) -> Claims {
    let is_about_email = |name: &str| matches!(name, "email" | "email_verified" | "xms_edov");
    let has_email = text(&claims, "email").is_some();
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

/// Somebody with these claims, which have been verified.
pub(super) fn identity(claims: &Claims, by: &Registration) -> Identity {
    let short = |name: &str| text(claims, name).filter(|text| text.len() <= TEXT_MAX_BYTES).map(str::to_owned);
    Identity {
        issuer: by.issuer.clone(),
        subject: text(claims, "sub").unwrap_or_default().to_owned(),
        email: short("email"),
        is_verified: is_verified(claims),
        name: short("name").or_else(|| short("preferred_username")),
        groups: groups(claims, &by.role_claim),
    }
}

/// `email_verified`, or what Entra ID says in its place: that the owner of the domain was verified (`xms_edov`).
fn is_verified(claims: &Claims) -> Option<bool> {
    let said = |name: &str| match claims.get(name)? {
        Value::Bool(said) => Some(*said),
        Value::String(said) => Some(said == "true" || said == "1"),
        Value::Number(said) => Some(said.as_i64() == Some(1)),
        _ => Some(false),
    };
    said("email_verified").or_else(|| said("xms_edov"))
}

/// The texts of a claim: one text, a list of them, or the names of an object.
pub fn groups(claims: &Claims, name: &str) -> Vec<String> {
    let found = if name.is_empty() { None } else { value(claims, name) };
    let texts: Vec<&str> = match found {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Object(named)) => named.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let is_taken = |text: &&str| !text.is_empty() && text.len() <= TEXT_MAX_BYTES;
    texts.into_iter().filter(is_taken).take(GROUPS_MAX).map(str::to_owned).collect()
}

/// A claim by its name; where there is none, the name is a path (`realm_access.roles`).
fn value<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
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

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("claims") };
        claims
    }

    #[test]
    fn groups_are_read_from_whatever_shape_they_come_in() {
        for (shape, name, wanted) in [
            (json!({"groups": ["a", "b", 7, ""]}), "groups", vec!["a", "b"]),
            (json!({"role": "admin"}), "role", vec!["admin"]),
            (json!({"https://x.example/roles": ["a"]}), "https://x.example/roles", vec!["a"]),
            (json!({"realm_access": {"roles": ["a"]}}), "realm_access.roles", vec!["a"]),
            (json!({"urn:zitadel:roles": {"a": {}, "b": {}}}), "urn:zitadel:roles", vec!["a", "b"]),
            (json!({"groups": 7}), "groups", vec![]),
            (json!({"": ["a"]}), "", vec![]),
            (json!({}), "groups", vec![]),
        ] {
            assert_eq!(groups(&claims(shape), name), wanted, "{name}");
        }
    }

    #[test]
    fn an_address_is_verified_only_where_the_same_side_says_so() {
        let signed = claims(json!({"sub": "u1", "email": "a@x.example"}));
        let more = claims(json!({"sub": "u2", "email": "b@x.example", "email_verified": true, "name": "Ann"}));
        let both = joined(signed, more.clone());
        assert_eq!(text(&both, "sub"), Some("u1"));
        assert_eq!(text(&both, "email"), Some("a@x.example"));
        assert_eq!(text(&both, "name"), Some("Ann"));
        assert_eq!(is_verified(&both), None);
        let both = joined(claims(json!({"sub": "u1"})), more);
        assert_eq!((text(&both, "email"), is_verified(&both)), (Some("b@x.example"), Some(true)));
        // What the signed side says of an address that it does not name is not about the other side's.
        let both = joined(claims(json!({"email_verified": true})), claims(json!({"email": "b@x.example"})));
        assert_eq!(is_verified(&both), None);
    }

    #[test]
    fn whether_an_address_is_verified_is_said_in_several_ways() {
        for (said, wanted) in [
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
            assert_eq!(is_verified(&claims(said.clone())), wanted, "{said}");
        }
    }
}
