//! Cursors (RFC 9865): a position in a list, encoded in a text that only this server can issue.
//!
//! The server stores no cursors. A cursor contains its position and a MAC of the position and the query. A cursor of
//! another configuration or query, or with a changed bit, is rejected, always with the same message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::sort::{SortPosition, SortValue};
use crate::error::{Error, Reason};

/// Lifetime of a cursor, in seconds (`pagination.cursorTimeout`).
pub const LIFETIME_SECONDS: u32 = 3_600;
/// Maximum length of a sort value in a cursor, in bytes. For a longer value the cursor contains a digest.
const KEY_MAX_BYTES: usize = 512;
/// Version of the binary layout. A new layout has a new number, which makes old cursors invalid.
const LAYOUT: u8 = 1;
const MAC_BYTES: usize = 16;

/// The secret key of the MAC.
pub type CursorSecret = [u8; 32];

/// The query to which a cursor belongs: everything that determines the resources and their order.
#[derive(Debug, Clone, Default)]
pub struct CursorQuery {
    parts: Vec<u8>,
}

impl CursorQuery {
    /// Adds a part of the query. The order of the parts is significant.
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

/// The direction of a page from the cursor's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// After it: `nextCursor`.
    Forward,
    /// Before it: `previousCursor`.
    Backward,
}

/// The content of a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Whether the page is after or before the position.
    pub direction: Direction,
    /// Page size.
    pub count: u64,
    /// The position; its resource is not part of the page.
    pub position: CursorPosition,
}

/// The position of a resource, short enough for a URL.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPosition {
    /// The resource's number in the order of creation.
    pub row: i64,
    /// Its sort value.
    pub value: CursorValue,
}

/// The sort value of a position.
#[derive(Debug, Clone, PartialEq)]
pub enum CursorValue {
    /// The complete value; `None` if the resource has none.
    Whole(Option<SortValue>),
    /// The digest of a long value: the value must be read from the resource again.
    Digest([u8; 32]),
}

impl From<SortPosition> for CursorPosition {
    fn from(position: SortPosition) -> Self {
        let value = match position.key {
            Some(SortValue::Text(text)) if text.len() > KEY_MAX_BYTES => {
                CursorValue::Digest(Sha256::digest(text).into())
            }
            key => CursorValue::Whole(key),
        };
        Self { row: position.row, value }
    }
}

impl CursorValue {
    /// Whether this is the digest of the value.
    pub fn is_digest_of(&self, key: &SortValue) -> bool {
        matches!((self, key), (Self::Digest(digest), SortValue::Text(text)) if *digest == <[u8; 32]>::from(Sha256::digest(text)))
    }
}

/// Returns the text of a cursor, in unreserved URL characters (RFC 9865 section 2). `now` is in milliseconds since
/// 1970.
pub fn encode_cursor(secret: &CursorSecret, query: &CursorQuery, cursor: Cursor, now: i64) -> String {
    let mut bytes = vec![LAYOUT, u8::from(cursor.direction == Direction::Backward)];
    bytes.extend_from_slice(&cursor.count.to_be_bytes());
    bytes.extend_from_slice(&now.to_be_bytes());
    bytes.extend_from_slice(&cursor.position.row.to_be_bytes());
    match cursor.position.value {
        CursorValue::Whole(None) => bytes.push(0),
        CursorValue::Whole(Some(SortValue::Integer(value))) => {
            bytes.push(1);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        CursorValue::Whole(Some(SortValue::Decimal(value))) => {
            bytes.push(2);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        CursorValue::Whole(Some(SortValue::Text(text))) => {
            bytes.push(3);
            bytes.extend_from_slice(text.as_bytes());
        }
        CursorValue::Digest(digest) => {
            bytes.push(4);
            bytes.extend_from_slice(&digest);
        }
    }
    if let Some(mac) = compute_mac(secret, query, &bytes) {
        bytes.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a cursor that [`encode_cursor`] returned for the same query. `count` is the page size in the request; `now` is in
/// milliseconds since 1970.
///
/// # Errors
/// 400 with invalidCursor, expiredCursor or invalidCount (RFC 9865 section 2.1).
pub fn decode_cursor(
    secret: &CursorSecret,
    query: &CursorQuery,
    text: &str,
    count: Option<u64>,
    now: i64,
) -> Result<Cursor, Error> {
    let (cursor, issued) = verify_cursor(secret, query, text).ok_or_else(invalid_cursor_error)?;
    if now.saturating_sub(issued) > i64::from(LIFETIME_SECONDS) * 1_000 {
        return Err(expired_cursor_error());
    }
    if count.is_some_and(|count| count != cursor.count) {
        return Err(Reason::CursorCountChanged.with("count", cursor.count));
    }
    Ok(cursor)
}

/// The message is always the same, so that it reveals nothing about other configurations (RFC 9865 section 5.2).
fn invalid_cursor_error() -> Error {
    Error::new(Reason::CursorForeign)
}

/// The error of a valid cursor whose position no longer exists or whose lifetime is over.
pub fn expired_cursor_error() -> Error {
    Error::new(Reason::CursorExpired)
}

fn compute_mac(secret: &CursorSecret, query: &CursorQuery, bytes: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC accepts a key of any length, so this is never `None`.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(&Sha256::digest(&query.parts));
    mac.update(bytes);
    Some(mac)
}

fn verify_cursor(secret: &CursorSecret, query: &CursorQuery, text: &str) -> Option<(Cursor, i64)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (bytes, code) = bytes.split_last_chunk::<MAC_BYTES>()?;
    compute_mac(secret, query, bytes)?.verify_truncated_left(code).ok()?;
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
        0 if rest.is_empty() => CursorValue::Whole(None),
        1 => CursorValue::Whole(Some(SortValue::Integer(i64::from_be_bytes(rest.try_into().ok()?)))),
        2 => CursorValue::Whole(Some(SortValue::Decimal(f64::from_be_bytes(rest.try_into().ok()?)))),
        3 => CursorValue::Whole(Some(SortValue::Text(String::from_utf8(rest.to_vec()).ok()?))),
        4 => CursorValue::Digest(rest.try_into().ok()?),
        _ => return None,
    };
    let mark = CursorPosition { row: i64::from_be_bytes(*row), value };
    Some((Cursor { direction, count: u64::from_be_bytes(*count), position: mark }, i64::from_be_bytes(*issued)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ScimType;

    const SECRET: CursorSecret = [7; 32];
    const HOUR: i64 = 3_600_000;

    fn query() -> CursorQuery {
        CursorQuery::default().with(Some("configuration")).with(Some("User")).with(None)
    }

    fn cursor(key: Option<SortValue>) -> Cursor {
        Cursor { direction: Direction::Forward, count: 10, position: SortPosition { key, row: 42 }.into() }
    }

    fn scim_type(result: Result<Cursor, Error>) -> &'static str {
        result.unwrap_err().scim_type().unwrap().as_str()
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let long = "ä".repeat(300);
        for key in [
            None,
            Some(SortValue::Integer(i64::MIN)),
            Some(SortValue::Decimal(0.1)),
            Some(SortValue::Text(String::new())),
            Some(SortValue::Text("grün\u{10ffff}".to_owned())),
            Some(SortValue::Text(long)),
        ] {
            for direction in [Direction::Forward, Direction::Backward] {
                let sealed = Cursor { direction, ..cursor(key.clone()) };
                let text = encode_cursor(&SECRET, &query(), sealed.clone(), 5);
                assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
                assert!(text.len() < 800, "{}", text.len());
                assert_eq!(decode_cursor(&SECRET, &query(), &text, Some(10), 5 + HOUR).unwrap(), sealed);
                assert_eq!(decode_cursor(&SECRET, &query(), &text, None, 5).unwrap(), sealed);
            }
        }
    }

    #[test]
    fn a_long_value_is_identified_by_its_digest() {
        let key = SortValue::Text("x".repeat(513));
        let mark = CursorPosition::from(SortPosition { key: Some(key.clone()), row: 1 });
        assert!(mark.value.is_digest_of(&key) && !mark.value.is_digest_of(&SortValue::Text("y".repeat(513))));
    }

    #[test]
    fn any_change_makes_it_invalid_with_the_same_message() {
        let text = encode_cursor(&SECRET, &query(), cursor(Some(SortValue::Text("ada".to_owned()))), 0);
        let mut refusals = Vec::new();
        let mut refuse = |secret: &CursorSecret, query: &CursorQuery, text: &str| {
            let refused = decode_cursor(secret, query, text, Some(10), 0).unwrap_err();
            assert_eq!(refused.scim_type(), Some(ScimType::InvalidCursor), "{text}");
            refusals.push(refused);
        };
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                refuse(&SECRET, &query(), &String::from_utf8(bytes).unwrap());
            }
            refuse(&SECRET, &query(), &text[..at]);
        }
        for wrong in ["x", "=", "%", "AAAA", &format!("{text}A"), &format!("{text}="), &"A".repeat(9_000)] {
            refuse(&SECRET, &query(), wrong);
        }
        refuse(&[8; 32], &query(), &text);
        refuse(&SECRET, &query().with(None), &text);
        refuse(&SECRET, &CursorQuery::default().with(Some("other")).with(Some("User")).with(None), &text);
        refusals.dedup();
        assert_eq!(refusals.len(), 1);
    }

    #[test]
    fn parts_of_a_query_are_delimited() {
        let queries = [
            CursorQuery::default().with(Some("ab")).with(Some("c")),
            CursorQuery::default().with(Some("a")).with(Some("bc")),
            CursorQuery::default().with(Some("abc")).with(None),
            CursorQuery::default().with(Some("abc")).with(Some("")),
        ];
        for (index, query) in queries.iter().enumerate() {
            assert!(queries[..index].iter().all(|other| other.parts != query.parts));
        }
    }

    #[test]
    fn age_and_another_count_have_their_own_error_codes() {
        let text = encode_cursor(&SECRET, &query(), cursor(None), 0);
        assert_eq!(scim_type(decode_cursor(&SECRET, &query(), &text, Some(10), HOUR + 1)), "expiredCursor");
        assert_eq!(scim_type(decode_cursor(&SECRET, &query(), &text, Some(11), 0)), "invalidCount");
        assert_eq!(scim_type(decode_cursor(&SECRET, &query().with(None), &text, Some(11), HOUR + 1)), "invalidCursor");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,80}") {
            proptest::prop_assert!(decode_cursor(&SECRET, &query(), &text, None, 0).is_err());
        }
    }
}
