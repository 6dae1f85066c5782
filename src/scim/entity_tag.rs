//! Resource versions as entity tags, and the preconditions that use them (RFC 7644 section 3.14, RFC 9110 section 13).

use crate::error::{Error, Reason};
use sha2::{Digest, Sha256};

/// Returns the entity tag of a resource, such as `W/"7"`. It is weak because projections of one version differ in their
/// bytes.
///
/// The number counts the resource's own changes, so it never repeats. The response for a user also contains its groups.
/// Their fingerprint is the second part, `W/"7.1f00ab3c"`, so that the tag changes whenever the response changes.
pub fn format_entity_tag(number: i64, derived: Option<u64>) -> String {
    match derived {
        None => format!("W/\"{number}\""),
        Some(derived) => format!("W/\"{number}.{derived:x}\""),
    }
}

/// Returns a hash of a user's groups for [`format_entity_tag`]. It covers the id, direct flag and name of each group. `None` if there
/// are no groups.
pub fn hash_groups<'g>(groups: impl Iterator<Item = (&'g str, bool, &'g str)>) -> Option<u64> {
    let mut digest = None;
    for (id, direct, display) in groups {
        let digest = digest.get_or_insert_with(Sha256::new);
        digest.update(id.as_bytes());
        digest.update([u8::from(direct)]);
        digest.update(display.as_bytes());
        digest.update([0]);
    }
    Some(digest?.finalize()[..4].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// A list of entity tags from If-Match or If-None-Match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any version.
    Any,
    /// One of these tags, without `W/` and quotes.
    OneOf(Vec<String>),
}

impl EntityTags {
    /// Parses a header. Weak and strong tags are equal here, and quotes are optional: clients send the value of
    /// `meta.version` in either form (RFC 7644 section 3.14 uses weak tags in If-Match).
    ///
    /// # Errors
    /// 400 invalidValue if the header contains no valid tag.
    pub fn parse(header: &str) -> Result<Self, Error> {
        let mut tags = Vec::new();
        for part in split_tags(header) {
            let part = part.trim();
            if part == "*" {
                return Ok(Self::Any);
            }
            let opaque = part.strip_prefix("W/").or_else(|| part.strip_prefix("w/")).unwrap_or(part);
            let opaque = match (opaque.strip_prefix('"'), opaque.ends_with('"')) {
                (Some(rest), true) if !rest.is_empty() => &rest[..rest.len() - 1],
                (None, false) => opaque,
                _ => return Err(invalid_tag_error()),
            };
            if !opaque.is_empty() {
                tags.push(opaque.to_owned());
            }
        }
        if tags.is_empty() { Err(invalid_tag_error()) } else { Ok(Self::OneOf(tags)) }
    }

    /// Whether the list contains this tag.
    pub fn contains(&self, tag: &str) -> bool {
        let opaque = tag.trim_start_matches("W/").trim_matches('"');
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|candidate| candidate == opaque),
        }
    }
}

fn invalid_tag_error() -> Error {
    Error::new(Reason::EntityTagInvalid)
}

/// Splits at commas outside quotes.
fn split_tags(header: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    header.split(move |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

/// Checks that the resource has the version that the client expects. Without If-Match any version is accepted.
///
/// # Errors
/// 412 if If-Match names only other versions.
pub fn check_if_match(if_match: Option<&EntityTags>, tag: &str) -> Result<(), Error> {
    match if_match {
        Some(tags) if !tags.contains(tag) => Err(Reason::VersionMismatch.with("version", tag)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_strong_and_bare_tags_are_the_same() {
        for header in ["W/\"1\"", "\"1\"", "1", "w/\"1\"", "\"0\", W/\"1\"", " 1 ", "*", "\"a,b\",\"1\""] {
            assert!(EntityTags::parse(header).unwrap().contains("W/\"1\""), "{header}");
        }
        for header in ["W/\"2\"", "\"11\"", "\"1.0\"", "\"a,1\""] {
            assert!(!EntityTags::parse(header).unwrap().contains("W/\"1\""), "{header}");
        }
    }

    #[test]
    fn a_header_without_a_tag_is_rejected() {
        for header in ["", "\"", "W/", "\"1", "1\"", ","] {
            assert!(EntityTags::parse(header).is_err(), "{header}");
        }
    }

    #[test]
    fn a_stale_tag_is_412() {
        assert_eq!(check_if_match(Some(&EntityTags::OneOf(vec!["1".into()])), "W/\"2\"").unwrap_err().status(), 412);
        assert!(check_if_match(None, "W/\"2\"").is_ok());
    }
}
