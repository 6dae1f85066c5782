//! A cursor: nobody else can write one, and what is written reads back the same and under no other query.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::cursor::{Cursor, Direction, Mark, Walk, open, seal};
use rollcall_fuzz::scim::sort::{Key, Position};

const SECRET: [u8; 32] = [7; 32];

fuzz_target!(|data: (&str, Option<i64>, bool, u64, i64)| {
    let (text, number, backward, count, row) = data;
    let walk = Walk::default().with(Some(text)).with(None);
    assert!(open(&SECRET, &walk, text, None, 0).is_err(), "{text:?} was not written here");

    let direction = if backward { Direction::Backward } else { Direction::Forward };
    let keys =
        [None, number.map(Key::Whole), number.map(|number| Key::Real(number as f64)), Some(Key::Text(text.to_owned()))];
    for key in keys {
        let cursor = Cursor { direction, count, mark: Mark::from(Position { key, row }) };
        let sealed = seal(&SECRET, &walk, cursor.clone(), 0);
        assert_eq!(open(&SECRET, &walk, &sealed, Some(count), 0), Ok(cursor), "{sealed}");
        assert!(open(&SECRET, &walk.clone().with(None), &sealed, None, 0).is_err());
        let _ = open(&SECRET, &walk, &sealed, None, number.unwrap_or(i64::MIN));
        // One character more, less or other.
        let at = usize::from(data.0.len() as u8) % sealed.len();
        let mut other = sealed.clone();
        let by = if &sealed[at..=at] == "A" { "B" } else { "A" };
        other.replace_range(at..=at, by);
        for wrong in [other, format!("{sealed}A"), sealed[1..].to_owned()] {
            assert!(open(&SECRET, &walk, &wrong, None, 0).is_err(), "{wrong} for {sealed}");
        }
    }
});
