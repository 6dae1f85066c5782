//! A document that is read writes as one that reads back the same, and means what another reader takes it for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::json::read;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = read(data) else { return };
    let written = value.to_string();
    assert_eq!(read(written.as_bytes()).as_ref(), Ok(&value), "{written}");
    assert_eq!(serde_json::from_slice::<Value>(data).ok(), Some(value));
});
