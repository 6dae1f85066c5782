//! The form of our ids: lowercase UUIDs with hyphens, version 7. `clock::new_id` creates them.

const LENGTH: usize = 36;

/// Returns an id of a request for an error message. A text of another form is not repeated: it could be a secret, such as a
/// token that was entered in the wrong place.
pub fn name_in_message(text: &str) -> &str {
    if is_id(text) { text } else { "with this id" }
}

/// Returns whether the text has the form of an id. Text of another form needs no lookup.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == LENGTH
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Returns the last six characters of an id, for display names. An id begins with its timestamp, so only the end
/// differs between ids of the same time.
pub fn shorten_id(id: &str) -> &str {
    id.get(id.len().saturating_sub(6)..).unwrap_or(id)
}

/// Returns the timestamp in an id, in milliseconds; none if the text is not an id.
pub fn parse_created_at(id: &str) -> Option<i64> {
    let (high, low) = (id.get(..8)?, id.get(9..13)?);
    Some(i64::from_str_radix(high, 16).ok()? << 16 | i64::from_str_radix(low, 16).ok()?)
}

/// Returns the smallest id with this timestamp, in milliseconds: the first 48 bits of an id are its timestamp.
pub fn first_id_at(ms: i64) -> String {
    let ms = ms.clamp(0, (1 << 48) - 1);
    format!("{:08x}-{:04x}-0000-0000-000000000000", ms >> 16, ms & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_timestamp_sorts_before_its_ids() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let ms = 0x0189_0a5d_ac96;
        assert!(first_id_at(ms).as_str() < id && id < first_id_at(ms + 1).as_str());
        assert!(is_id(&first_id_at(ms)));
        assert_eq!(
            (parse_created_at(id), parse_created_at(&first_id_at(ms)), parse_created_at("x")),
            (Some(ms), Some(ms), None)
        );
        assert!(first_id_at(-1) == first_id_at(0) && is_id(&first_id_at(i64::MAX)));
    }

    #[test]
    fn only_lowercase_uuids_with_hyphens_are_ids() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(is_id(id));
        assert_eq!(shorten_id(id), "9a8057");
        for other in [
            "",
            "1",
            "01890A5D-AC96-774B-BCCE-B302099A8057",
            "01890a5dac96774bbcceb302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a805",
            "01890a5d-ac96-774b-bcce-b302099a80577",
            "01890a5d+ac96-774b-bcce-b302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a80é",
        ] {
            assert!(!is_id(other), "{other}");
        }
    }
}
