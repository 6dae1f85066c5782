//! A cursor cannot be forged. A sealed cursor opens unchanged, and only with the same query.

use super::scim::cursor::{Cursor, CursorPosition, CursorQuery, Direction, decode_cursor, encode_cursor};
use super::scim::sort::{SortPosition, SortValue};

const SECRET: [u8; 32] = [7; 32];

/// One byte of flags, three numbers of eight bytes, and a text.
pub fn check_input(data: &[u8]) {
    let Some((flags, rest)) = data.split_first() else { return };
    let Some((number, rest)) = rest.split_first_chunk() else { return };
    let Some((count, rest)) = rest.split_first_chunk() else { return };
    let Some((row, rest)) = rest.split_first_chunk() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (backward, number) = (flags & 1 != 0, (flags & 2 != 0).then_some(i64::from_le_bytes(*number)));
    check_cursor(text, number, backward, u64::from_le_bytes(*count), i64::from_le_bytes(*row));
}

fn check_cursor(text: &str, number: Option<i64>, backward: bool, count: u64, row: i64) {
    let query = CursorQuery::default().with(Some(text)).with(None);
    assert!(decode_cursor(&SECRET, &query, text, None, 0).is_err(), "{text:?} was not written here");

    let direction = if backward { Direction::Backward } else { Direction::Forward };
    let keys = [
        None,
        number.map(SortValue::Integer),
        number.map(|number| SortValue::Decimal(number as f64)),
        Some(SortValue::Text(text.to_owned())),
    ];
    for key in keys {
        let cursor = Cursor { direction, count, position: CursorPosition::from(SortPosition { key, row }) };
        let sealed = encode_cursor(&SECRET, &query, cursor.clone(), 0);
        assert_eq!(decode_cursor(&SECRET, &query, &sealed, Some(count), 0), Ok(cursor), "{sealed}");
        assert!(decode_cursor(&SECRET, &query.clone().with(None), &sealed, None, 0).is_err());
        let _ = decode_cursor(&SECRET, &query, &sealed, None, number.unwrap_or(i64::MIN));
        // One character more, less or changed.
        let at = usize::from(text.len() as u8) % sealed.len();
        let mut other = sealed.clone();
        let by = if &sealed[at..=at] == "A" { "B" } else { "A" };
        other.replace_range(at..=at, by);
        for wrong in [other, format!("{sealed}A"), sealed[1..].to_owned()] {
            assert!(decode_cursor(&SECRET, &query, &wrong, None, 0).is_err(), "{wrong} for {sealed}");
        }
    }
}
