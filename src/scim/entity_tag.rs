//! Resource versions as entity tags, and the preconditions that use them (RFC 7644 section 3.14, RFC 9110 section 13).

use std::io::Write;

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

/// Appends the entity tag as JSON text, with quotation marks.
pub fn append_json_tag(out: &mut Vec<u8>, number: i64, derived: Option<u64>) {
    // Writing to a vector does not fail.
    let _ = match derived {
        None => write!(out, r#""W/\"{number}\"""#),
        Some(derived) => write!(out, r#""W/\"{number}.{derived:x}\"""#),
    };
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
    /// Parses a header: `*`, or a list of entity tags (RFC 9110 sections 8.8.3 and 13.1). Header lines of the same name are
    /// one list. Empty list elements are skipped (section 5.6.1). Unless `strict`, quotes are optional and `w/` is `W/`,
    /// because clients send the value of `meta.version` in these forms.
    ///
    /// # Errors
    /// 400 invalidValue if the header has no tag or is malformed.
    pub fn parse(header: &str, strict: bool) -> Result<Self, Error> {
        let invalid = || Error::new(Reason::EntityTagInvalid);
        let mut rest = header.trim_matches(is_space);
        if rest == "*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            rest = rest.trim_start_matches(|letter| is_space(letter) || letter == ',');
            if rest.is_empty() {
                break;
            }
            let (tag, after) = split_tag(rest, strict).ok_or_else(invalid)?;
            if !tag.chars().all(is_tag_char) {
                return Err(invalid());
            }
            tags.push(tag.to_owned());
            rest = after.trim_start_matches(is_space);
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(invalid());
            }
        }
        if tags.is_empty() { Err(invalid()) } else { Ok(Self::OneOf(tags)) }
    }

    /// Whether the list contains this tag. Weak and strong tags are equal here. RFC 9110 section 13.1.1 asks for the strong
    /// comparison in If-Match, with which the weak tags of RFC 7644 section 3.14 would never match; that section sends
    /// them in If-Match.
    pub fn contains(&self, tag: &str) -> bool {
        let opaque = tag.trim_start_matches("W/").trim_matches('"');
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|candidate| candidate == opaque),
        }
    }
}

/// Splits the first tag of a list from the rest. Returns it without `W/` and quotes.
fn split_tag(list: &str, strict: bool) -> Option<(&str, &str)> {
    let tag = list.strip_prefix("W/").or_else(|| list.strip_prefix("w/").filter(|_| !strict)).unwrap_or(list);
    if let Some(quoted) = tag.strip_prefix('"') {
        return quoted.split_once('"');
    }
    let end = tag.find(',').unwrap_or(tag.len());
    let bare = tag[..end].trim_end_matches(is_space);
    let is_valid = !strict && !bare.is_empty() && bare != "*";
    is_valid.then_some((bare, &tag[end..]))
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

/// Whether the character can be in a tag: `etagc` of RFC 9110 section 8.8.3.
fn is_tag_char(letter: char) -> bool {
    matches!(letter, '!' | '#'..='~') || !letter.is_ascii()
}

/// The conditions of a request on the version of the resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionConditions {
    /// The resource must have one of these versions.
    pub if_match: Option<EntityTags>,
    /// The resource must have none of these versions.
    pub if_none_match: Option<EntityTags>,
}

impl VersionConditions {
    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Checks that the resource has a version that the client expects (RFC 9110 section 13.2.2).
    ///
    /// # Errors
    /// 412 if If-Match names only other versions, or If-None-Match names this one.
    pub fn check(&self, tag: &str) -> Result<(), Error> {
        if self.check_read(tag)? { Err(Reason::VersionExcluded.with("version", tag)) } else { Ok(()) }
    }

    /// Checks the conditions of a read. Returns whether the client has this version, so that the response is 304.
    ///
    /// # Errors
    /// 412 if If-Match names only other versions.
    pub fn check_read(&self, tag: &str) -> Result<bool, Error> {
        if self.if_match.as_ref().is_some_and(|tags| !tags.contains(tag)) {
            return Err(Reason::VersionMismatch.with("version", tag));
        }
        Ok(self.if_none_match.as_ref().is_some_and(|tags| tags.contains(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the header matches the tag `W/"1"`; `None` if it is malformed. Leniently and strictly.
    fn compare(header: &str) -> [Option<bool>; 2] {
        [false, true].map(|strict| EntityTags::parse(header, strict).ok().map(|tags| tags.contains("W/\"1\"")))
    }

    #[test]
    fn headers_are_read_as_rfc_9110_defines_them() {
        let (yes, no, malformed) = (Some(true), Some(false), None);
        for (header, expected) in [
            ("*", [yes, yes]),
            (" *\t", [yes, yes]),
            ("W/\"1\"", [yes, yes]),
            ("\"1\"", [yes, yes]),
            ("\"0\", W/\"1\"", [yes, yes]),
            ("\"a,b\",\"1\"", [yes, yes]),
            (", ,\"1\" ,,", [yes, yes]),
            ("\"1\"\t,\"2\"", [yes, yes]),
            ("W/\"2\"", [no, no]),
            ("\"11\"", [no, no]),
            ("\"1.0\"", [no, no]),
            ("\"a,1\"", [no, no]),
            ("\"\"", [no, no]),
            ("\"\u{e9}\"", [no, no]),
            // Forms of clients that do not send an entity tag.
            ("1", [yes, malformed]),
            (" 1 , 2", [yes, malformed]),
            ("w/\"1\"", [yes, malformed]),
            ("W/1", [yes, malformed]),
            // Malformed.
            ("", [malformed; 2]),
            (" ", [malformed; 2]),
            (",", [malformed; 2]),
            ("\"", [malformed; 2]),
            ("W/", [malformed; 2]),
            ("\"1", [malformed; 2]),
            ("1\"", [malformed; 2]),
            ("\"1\" \"2\"", [malformed; 2]),
            ("\"1\"x", [malformed; 2]),
            ("\"1 2\"", [malformed; 2]),
            ("1 2", [malformed; 2]),
            ("\"1\", *", [malformed; 2]),
            ("*, \"1\"", [malformed; 2]),
            ("**", [no, malformed]),
            ("\"1\", W/", [malformed; 2]),
            ("\"1\u{7f}\"", [malformed; 2]),
        ] {
            assert_eq!(compare(header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_long_list_is_read_in_one_pass() {
        let list = (2..200_000).map(|number| format!("W/\"{number}\"")).collect::<Vec<_>>().join(",");
        assert_eq!(compare(&list), [Some(false); 2]);
        assert_eq!(compare(&format!("{list},\"1\"")), [Some(true); 2]);
    }

    #[test]
    fn conditions_are_checked_in_order() {
        let tags = |header: &str| Some(EntityTags::parse(header, true).unwrap());
        let check = |if_match: Option<EntityTags>, if_none_match: Option<EntityTags>| {
            let conditions = VersionConditions { if_match, if_none_match };
            (conditions.check("W/\"2\"").map_err(|error| error.reason()), conditions.check_read("W/\"2\"").ok())
        };
        assert_eq!(check(None, None), (Ok(()), Some(false)));
        assert_eq!(check(tags("\"1\""), None), (Err(Reason::VersionMismatch), None));
        assert_eq!(check(tags("\"1\""), tags("*")), (Err(Reason::VersionMismatch), None));
        assert_eq!(check(tags("\"2\""), tags("*")), (Err(Reason::VersionExcluded), Some(true)));
        assert_eq!(check(None, tags("W/\"2\"")), (Err(Reason::VersionExcluded), Some(true)));
        assert_eq!(check(None, tags("W/\"1\"")), (Ok(()), Some(false)));
    }
}
