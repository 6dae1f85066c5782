//! Resource versions as entity tags, and the preconditions that name them (RFC 7644 section 3.14, RFC 9110 section 13).

use sha2::{Digest, Sha256};

use super::Error;

/// The entity tag of a resource: `W/"7"`, weak because projections of one version differ in their bytes.
///
/// The number counts the resource's own changes, so it never repeats. A user also shows the groups it is in;
/// what of them is shown goes in as a second part, `W/"7.1f00ab3c"`, so that a tag changes whenever the answer does.
pub fn tag(number: i64, derived: Option<u64>) -> String {
    match derived {
        None => format!("W/\"{number}\""),
        Some(derived) => format!("W/\"{number}.{derived:x}\""),
    }
}

/// What a user shows of its groups, as a number for [`tag`]: of each its id, whether it is direct, and its name. Nothing
/// where there are none.
pub fn fingerprint<'g>(groups: impl Iterator<Item = (&'g str, bool, &'g str)>) -> Option<u64> {
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
pub enum Tags {
    /// `*`: whatever there is.
    Any,
    /// One of these, without weakness mark and quotes.
    OneOf(Vec<String>),
}

impl Tags {
    /// Reads a header. Weak and strong tags are the same here, and quotes may be missing: clients send what
    /// they found in `meta.version`, in one form or the other (RFC 7644 section 3.14 shows weak tags in If-Match).
    ///
    /// # Errors
    /// 400 invalidValue where nothing in the header can be a tag.
    pub fn parse(header: &str) -> Result<Self, Error> {
        let mut tags = Vec::new();
        for part in split(header) {
            let part = part.trim();
            if part == "*" {
                return Ok(Self::Any);
            }
            let opaque = part.strip_prefix("W/").or_else(|| part.strip_prefix("w/")).unwrap_or(part);
            let opaque = match (opaque.strip_prefix('"'), opaque.ends_with('"')) {
                (Some(rest), true) if !rest.is_empty() => &rest[..rest.len() - 1],
                (None, false) => opaque,
                _ => return Err(malformed()),
            };
            if !opaque.is_empty() {
                tags.push(opaque.to_owned());
            }
        }
        if tags.is_empty() { Err(malformed()) } else { Ok(Self::OneOf(tags)) }
    }

    /// Whether the list names this tag.
    pub fn name(&self, tag: &str) -> bool {
        let opaque = tag.trim_start_matches("W/").trim_matches('"');
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|known| known == opaque),
        }
    }
}

fn malformed() -> Error {
    Error::value("If-Match and If-None-Match take entity tags such as W/\"3\", a list of them, or *")
}

/// Splits at commas outside quotes.
fn split(header: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    header.split(move |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

/// Fails unless the resource is the one the client knows.
///
/// # Errors
/// 412 where If-Match names another version.
pub fn check_if_match(wanted: Option<&Tags>, tag: &str) -> Result<(), Error> {
    match wanted {
        Some(tags) if !tags.name(tag) => {
            Err(Error::plain(412, format!("the resource has changed: its version is now {tag}; read it again")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_strong_and_bare_tags_are_the_same() {
        for header in ["W/\"1\"", "\"1\"", "1", "w/\"1\"", "\"0\", W/\"1\"", " 1 ", "*", "\"a,b\",\"1\""] {
            assert!(Tags::parse(header).unwrap().name("W/\"1\""), "{header}");
        }
        for header in ["W/\"2\"", "\"11\"", "\"1.0\"", "\"a,1\""] {
            assert!(!Tags::parse(header).unwrap().name("W/\"1\""), "{header}");
        }
    }

    #[test]
    fn a_header_without_a_tag_is_refused() {
        for header in ["", "\"", "W/", "\"1", "1\"", ","] {
            assert!(Tags::parse(header).is_err(), "{header}");
        }
    }

    #[test]
    fn a_stale_tag_is_412() {
        assert_eq!(check_if_match(Some(&Tags::OneOf(vec!["1".into()])), "W/\"2\"").unwrap_err().status, 412);
        assert!(check_if_match(None, "W/\"2\"").is_ok());
    }
}
