//! Cursors (RFC 9865): where a walk stands, in a text that only this server can have written.
//!
//! Nothing is kept of them. A cursor holds its place and a code over that and over the query it belongs to, so that
//! one of another configuration, of another query, or with a changed bit is refused, all with the same words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::sort::{Key, Position};
use super::{Error, ScimType};

/// How long a cursor can be used, in seconds (`pagination.cursorTimeout`).
pub const LIFETIME_SECONDS: u32 = 3_600;
/// Longest sort value that a cursor carries itself, in bytes; of a longer one it carries a digest.
const KEY_MAX_BYTES: usize = 512;
/// What the bytes look like; another layout gets another number, and old cursors are invalid.
const LAYOUT: u8 = 1;
const MAC_BYTES: usize = 16;

/// The secret that cursors are authenticated with.
pub type Secret = [u8; 32];

/// The query that a cursor belongs to. Whatever decides which resources come, and in which order, is part of it.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    parts: Vec<u8>,
}

impl Walk {
    /// Adds a part of the query; the order in which parts are added counts.
    #[must_use]
    pub fn with(mut self, part: Option<&str>) -> Self {
        match part {
            None => self.parts.push(0),
            Some(text) => {
                self.parts.push(1);
                self.parts.extend_from_slice(&(text.len() as u64).to_be_bytes());
                self.parts.extend_from_slice(text.as_bytes());
            }
        }
        self
    }
}

/// Where a page lies from the cursor's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Behind it: `nextCursor`.
    Forward,
    /// Before it: `previousCursor`.
    Backward,
}

/// What a cursor says.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Which side of the place the page lies on.
    pub direction: Direction,
    /// Size of the walk's pages.
    pub count: u64,
    /// The place; the resource there is not part of the page.
    pub mark: Mark,
}

/// The place of a resource, short enough for a URL.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The resource's number in the order of creation.
    pub row: i64,
    /// Its sort value.
    pub value: Value,
}

/// The sort value in a mark.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// All of it; `None` where there is none.
    Whole(Option<Key>),
    /// Its digest: the value has to be read from the resource again.
    Digest([u8; 32]),
}

impl From<Position> for Mark {
    fn from(position: Position) -> Self {
        let value = match position.key {
            Some(Key::Text(text)) if text.len() > KEY_MAX_BYTES => Value::Digest(Sha256::digest(text).into()),
            key => Value::Whole(key),
        };
        Self { row: position.row, value }
    }
}

impl Value {
    /// Whether the value is the one that was taken down as a digest.
    pub fn is_digest_of(&self, key: &Key) -> bool {
        matches!((self, key), (Self::Digest(digest), Key::Text(text)) if *digest == <[u8; 32]>::from(Sha256::digest(text)))
    }
}

/// Writes a cursor, in unreserved URL characters (RFC 9865 section 2). `now` is in milliseconds since 1970.
pub fn seal(secret: &Secret, walk: &Walk, cursor: Cursor, now: i64) -> String {
    let mut bytes = vec![LAYOUT, u8::from(cursor.direction == Direction::Backward)];
    bytes.extend_from_slice(&cursor.count.to_be_bytes());
    bytes.extend_from_slice(&now.to_be_bytes());
    bytes.extend_from_slice(&cursor.mark.row.to_be_bytes());
    match cursor.mark.value {
        Value::Whole(None) => bytes.push(0),
        Value::Whole(Some(Key::Whole(value))) => {
            bytes.push(1);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        Value::Whole(Some(Key::Real(value))) => {
            bytes.push(2);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        Value::Whole(Some(Key::Text(text))) => {
            bytes.push(3);
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Digest(digest) => {
            bytes.push(4);
            bytes.extend_from_slice(&digest);
        }
    }
    if let Some(mac) = mac(secret, walk, &bytes) {
        bytes.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor that [`seal`] wrote for the same walk. `count` is the page size that the request asks for.
///
/// # Errors
/// 400 with invalidCursor, expiredCursor or invalidCount (RFC 9865 section 2.1).
pub fn open(secret: &Secret, walk: &Walk, text: &str, count: Option<u64>, now: i64) -> Result<Cursor, Error> {
    let (cursor, issued) = authentic(secret, walk, text).ok_or_else(invalid)?;
    if now.saturating_sub(issued) > i64::from(LIFETIME_SECONDS) * 1_000 {
        return Err(expired());
    }
    if count.is_some_and(|count| count != cursor.count) {
        let detail = format!("count must stay the same on all pages of a walk; here it is {}", cursor.count);
        return Err(Error::bad(ScimType::InvalidCount, detail));
    }
    Ok(cursor)
}

/// The same words whatever is wrong, so that nothing can be learnt about other configurations (section 5.2).
fn invalid() -> Error {
    Error::bad(
        ScimType::InvalidCursor,
        "the cursor was not issued for this query; repeat the query that issued it, or start with an empty cursor",
    )
}

/// The cursor was good, but leads nowhere any more.
pub fn expired() -> Error {
    Error::bad(ScimType::ExpiredCursor, "the cursor can no longer be used; start again with an empty cursor")
}

fn mac(secret: &Secret, walk: &Walk, bytes: &[u8]) -> Option<Hmac<Sha256>> {
    // A key of any length is taken, so this never is `None`.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(&Sha256::digest(&walk.parts));
    mac.update(bytes);
    Some(mac)
}

fn authentic(secret: &Secret, walk: &Walk, text: &str) -> Option<(Cursor, i64)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (bytes, code) = bytes.split_last_chunk::<MAC_BYTES>()?;
    mac(secret, walk, bytes)?.verify_truncated_left(code).ok()?;
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let direction = match head {
        [LAYOUT, 0] => Direction::Forward,
        [LAYOUT, 1] => Direction::Backward,
        _ => return None,
    };
    let (count, rest) = rest.split_first_chunk()?;
    let (issued, rest) = rest.split_first_chunk()?;
    let (row, rest) = rest.split_first_chunk()?;
    let (kind, rest) = rest.split_first()?;
    let value = match kind {
        0 if rest.is_empty() => Value::Whole(None),
        1 => Value::Whole(Some(Key::Whole(i64::from_be_bytes(rest.try_into().ok()?)))),
        2 => Value::Whole(Some(Key::Real(f64::from_be_bytes(rest.try_into().ok()?)))),
        3 => Value::Whole(Some(Key::Text(String::from_utf8(rest.to_vec()).ok()?))),
        4 => Value::Digest(rest.try_into().ok()?),
        _ => return None,
    };
    let mark = Mark { row: i64::from_be_bytes(*row), value };
    Some((Cursor { direction, count: u64::from_be_bytes(*count), mark }, i64::from_be_bytes(*issued)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = [7; 32];
    const HOUR: i64 = 3_600_000;

    fn walk() -> Walk {
        Walk::default().with(Some("configuration")).with(Some("User")).with(None)
    }

    fn cursor(key: Option<Key>) -> Cursor {
        Cursor { direction: Direction::Forward, count: 10, mark: Position { key, row: 42 }.into() }
    }

    fn word(refused: Result<Cursor, Error>) -> &'static str {
        refused.unwrap_err().scim_type.unwrap().as_str()
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let long = "ä".repeat(300);
        for key in [
            None,
            Some(Key::Whole(i64::MIN)),
            Some(Key::Real(0.1)),
            Some(Key::Text(String::new())),
            Some(Key::Text("grün\u{10ffff}".to_owned())),
            Some(Key::Text(long)),
        ] {
            for direction in [Direction::Forward, Direction::Backward] {
                let sealed = Cursor { direction, ..cursor(key.clone()) };
                let text = seal(&SECRET, &walk(), sealed.clone(), 5);
                assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
                assert!(text.len() < 800, "{}", text.len());
                assert_eq!(open(&SECRET, &walk(), &text, Some(10), 5 + HOUR).unwrap(), sealed);
                assert_eq!(open(&SECRET, &walk(), &text, None, 5).unwrap(), sealed);
            }
        }
    }

    #[test]
    fn a_long_value_is_known_by_its_digest() {
        let key = Key::Text("x".repeat(513));
        let mark = Mark::from(Position { key: Some(key.clone()), row: 1 });
        assert!(mark.value.is_digest_of(&key) && !mark.value.is_digest_of(&Key::Text("y".repeat(513))));
    }

    #[test]
    fn any_change_makes_it_invalid_with_the_same_words() {
        let text = seal(&SECRET, &walk(), cursor(Some(Key::Text("ada".to_owned()))), 0);
        let mut refusals = Vec::new();
        let mut refuse = |secret: &Secret, walk: &Walk, text: &str| {
            let refused = open(secret, walk, text, Some(10), 0).unwrap_err();
            assert_eq!(refused.scim_type, Some(ScimType::InvalidCursor), "{text}");
            refusals.push(refused);
        };
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                refuse(&SECRET, &walk(), &String::from_utf8(bytes).unwrap());
            }
            refuse(&SECRET, &walk(), &text[..at]);
        }
        for wrong in ["x", "=", "%", "AAAA", &format!("{text}A"), &format!("{text}="), &"A".repeat(9_000)] {
            refuse(&SECRET, &walk(), wrong);
        }
        refuse(&[8; 32], &walk(), &text);
        refuse(&SECRET, &walk().with(None), &text);
        refuse(&SECRET, &Walk::default().with(Some("other")).with(Some("User")).with(None), &text);
        refusals.dedup();
        assert_eq!(refusals.len(), 1);
    }

    #[test]
    fn parts_of_a_walk_do_not_run_into_each_other() {
        let walks = [
            Walk::default().with(Some("ab")).with(Some("c")),
            Walk::default().with(Some("a")).with(Some("bc")),
            Walk::default().with(Some("abc")).with(None),
            Walk::default().with(Some("abc")).with(Some("")),
        ];
        for (index, walk) in walks.iter().enumerate() {
            assert!(walks[..index].iter().all(|other| other.parts != walk.parts));
        }
    }

    #[test]
    fn age_and_another_count_have_words_of_their_own() {
        let text = seal(&SECRET, &walk(), cursor(None), 0);
        assert_eq!(word(open(&SECRET, &walk(), &text, Some(10), HOUR + 1)), "expiredCursor");
        assert_eq!(word(open(&SECRET, &walk(), &text, Some(11), 0)), "invalidCount");
        assert_eq!(word(open(&SECRET, &walk().with(None), &text, Some(11), HOUR + 1)), "invalidCursor");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,80}") {
            proptest::prop_assert!(open(&SECRET, &walk(), &text, None, 0).is_err());
        }
    }
}
