//! Positions in the event feed, as text for consumers. The text is opaque to them: it carries the id of the feed, so that a
//! position of another database is noticed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::tables::feed_gap::{FEED_ID_BYTES, FeedId};

/// First byte of an encoded position.
const ENCODING_VERSION: u8 = 1;

/// A position: after the event with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPosition {
    /// The feed. `None` for a position of an earlier version, which is a number.
    pub(super) feed: Option<FeedId>,
    pub(super) seq: i64,
}

impl FeedPosition {
    /// Parses a position. Returns `None` if no version has issued such a text.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit was never issued: it is after the end of any feed.
            return Some(Self { feed: None, seq: text.parse().unwrap_or(i64::MAX) });
        }
        let bytes: [u8; 1 + FEED_ID_BYTES + 8] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let [ENCODING_VERSION, rest @ ..] = bytes else { return None };
        let (mut feed, mut seq) = ([0; FEED_ID_BYTES], [0; 8]);
        feed.copy_from_slice(&rest[..FEED_ID_BYTES]);
        seq.copy_from_slice(&rest[FEED_ID_BYTES..]);
        let seq = i64::try_from(u64::from_be_bytes(seq)).unwrap_or(i64::MAX);
        Some(Self { feed: Some(feed), seq })
    }

    /// The position after another event of the same feed.
    #[must_use]
    pub fn at_event(self, seq: i64) -> Self {
        Self { seq, ..self }
    }

    /// The number of the last event before this position.
    pub fn seq(self) -> i64 {
        self.seq
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(feed) = self.feed else { return self.seq.fmt(f) };
        let mut bytes = vec![ENCODING_VERSION];
        bytes.extend(feed);
        bytes.extend(self.seq.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_the_same_after_encoding_and_parsing() {
        for seq in [0, 1, 4_711, i64::MAX] {
            for feed in [Some([0; FEED_ID_BYTES]), Some([0xFF; FEED_ID_BYTES]), Some(*b"\0\x01\x02feed\xFE")] {
                let position = FeedPosition { feed, seq };
                let text = position.to_string();
                assert_eq!(FeedPosition::parse(&text), Some(position), "{text}");
                assert!(text.len() == 23 && text.starts_with('A'), "{text}");
            }
        }
        assert_eq!(FeedPosition::parse("4711").map(|position| position.to_string()).as_deref(), Some("4711"));
    }

    #[test]
    fn a_text_that_was_never_issued_is_refused() {
        let issued = FeedPosition { feed: Some([7; FEED_ID_BYTES]), seq: 9 }.to_string();
        let other_version = URL_SAFE_NO_PAD.encode([2; 17]);
        for large in ["9223372036854775807", "9999999999999999999", &"9".repeat(40)] {
            assert_eq!(FeedPosition::parse(large), Some(FeedPosition { feed: None, seq: i64::MAX }), "{large}");
        }
        let refused = ["", "-1", "+1", "x", "1x", &issued[1..], &format!("{issued}A"), &other_version];
        for text in refused {
            assert_eq!(FeedPosition::parse(text), None, "{text}");
        }
    }
}
