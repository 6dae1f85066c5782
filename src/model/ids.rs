//! The form of our ids: UUIDs in lower case with hyphens. They are made by `clock::new_id`, at the edges.

const LENGTH: usize = 36;

/// Whether the text can be one of our ids, by its form alone. What fails here need not be looked up.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == LENGTH
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// The end of an id, for names that people read. An id begins with its time, so only the end tells two apart.
pub fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(6)..).unwrap_or(id)
}

/// The time at which an id was made, in milliseconds; none where it is no id.
pub fn made_at(id: &str) -> Option<i64> {
    let (high, low) = (id.get(..8)?, id.get(9..13)?);
    Some(i64::from_str_radix(high, 16).ok()? << 16 | i64::from_str_radix(low, 16).ok()?)
}

/// The least id that can be made at that time, in milliseconds: an id begins with its time in 48 bits.
pub fn first_at(ms: i64) -> String {
    let ms = ms.clamp(0, (1 << 48) - 1);
    format!("{:08x}-{:04x}-0000-0000-000000000000", ms >> 16, ms & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_time_sorts_between_its_neighbours() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let ms = 0x0189_0a5d_ac96;
        assert!(first_at(ms).as_str() < id && id < first_at(ms + 1).as_str());
        assert!(is_id(&first_at(ms)));
        assert_eq!((made_at(id), made_at(&first_at(ms)), made_at("x")), (Some(ms), Some(ms), None));
        assert!(first_at(-1) == first_at(0) && is_id(&first_at(i64::MAX)));
    }

    #[test]
    fn only_lower_case_uuids_with_hyphens_are_ids() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(is_id(id));
        assert_eq!(short(id), "9a8057");
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
