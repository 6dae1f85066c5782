//! A parsed document serializes to a text that parses to the same value, and another parser reads the same value.

use super::scim::json::parse_json;
use serde_json::Value;

pub fn check_input(data: &[u8]) {
    let Ok(value) = parse_json(data) else { return };
    let written = value.to_string();
    assert_eq!(parse_json(written.as_bytes()).as_ref(), Ok(&value), "{written}");
    assert_eq!(serde_json::from_slice::<Value>(data).ok(), Some(value));
}
