//! The memory of documents, counted by the allocator: parsing needs no more than what is reserved for it, and checking a
//! parsed document needs little more. The allocator counts per thread.

use rollcall::scim::dialect::DialectRules;
use rollcall::scim::json::{JsonLayout, VALUES_MAX, parse_json, parse_measured_json};
use rollcall::scim::schema::{GROUP_TYPE, USER_TYPE};
use rollcall::scim::validate::read_new_resource;

const MIB: usize = 1024 * 1024;

/// Returns the result, and the most memory that was used at the same time, in bytes.
fn count_memory<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(run()));
    (result.unwrap(), usize::try_from(counted.bytes_max).unwrap())
}

/// A document whose size is a limit, and the most memory for it in MiB.
struct LargeDocument {
    what: &'static str,
    text: String,
    memory_max: usize,
}

fn repeat(count: usize, element: impl Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<Vec<_>>().join(",")
}

fn user_with(value: &str) -> String {
    format!(r#"{{"userName":"a","x":[{value}]}}"#)
}

fn list_large_documents() -> Vec<LargeDocument> {
    let half = VALUES_MAX / 2 - 10;
    let document = |what, text, memory_max| LargeDocument { what, text, memory_max };
    let names = repeat(290_000, |number| format!("\"x{number}\":1"));
    let nested = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    let member = |number: usize| format!(r#"{{"value":"{number:016}","type":"User","display":"abc","$ref":"/U/1"}}"#);
    vec![
        document("many names", format!(r#"{{"userName":"a",{names}}}"#), 48),
        document("numbers", user_with(&repeat(290_000, |_| "1234567".to_owned())), 24),
        document("short strings", user_with(&repeat(2 * half, |_| "\"abcdefgh\"".to_owned())), 56),
        document("empty objects", user_with(&repeat(2 * half, |_| "{}".to_owned())), 52),
        document("objects with one member", user_with(&repeat(half, |_| r#"{"a":1}"#.to_owned())), 81),
        document("lists with one element", user_with(&repeat(half, |_| "[1]".to_owned())), 52),
        document("nested objects", user_with(&repeat(VALUES_MAX / 64, |_| nested.clone())), 112),
        document("members", format!(r#"{{"displayName":"a","members":[{}]}}"#, repeat(100_000, member)), 80),
    ]
}

/// A document of a shape that is derived from `seed`.
fn random_document(seed: &mut u64, depth: usize) -> String {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let bytes = seed.to_le_bytes();
    let (kind, size) = (bytes[5] % 6, usize::from(bytes[6] % 40));
    match kind {
        0 | 1 if depth > 0 => format!("[{}]", repeat_random(seed, size, depth, |_| String::new())),
        2 | 3 if depth > 0 => format!("{{{}}}", repeat_random(seed, size, depth, |number| format!("\"n{number}\":"))),
        4 => format!("\"{}\"", "\\n".repeat(size)),
        _ => size.to_string(),
    }
}

fn repeat_random(seed: &mut u64, count: usize, depth: usize, prefix: impl Fn(usize) -> String) -> String {
    let elements: Vec<String> =
        (0..count).map(|number| format!("{}{}", prefix(number), random_document(seed, depth - 1))).collect();
    elements.join(" , ")
}

#[test]
fn a_document_uses_no_more_memory_than_is_reserved_for_it() {
    for LargeDocument { what, text, memory_max } in list_large_documents() {
        let layout = JsonLayout::measure(text.as_bytes()).unwrap();
        let (value, parsing) = count_memory(|| parse_measured_json(text.as_bytes(), &layout));
        let (value, reserved) = (value.unwrap(), layout.memory());
        println!("{what}: {parsing} bytes used, {reserved} reserved, {} of text", text.len());
        assert!(parsing <= reserved, "{what}: {parsing} bytes used, {reserved} reserved");
        assert!(reserved <= memory_max * MIB, "{what}: {reserved} bytes");
        // The check copies what is stored, and nothing else. The text no longer exists then.
        let of = if what == "members" { &GROUP_TYPE } else { &USER_TYPE };
        let (draft, checking) = count_memory(|| read_new_resource(&value, of, DialectRules::LENIENT));
        draft.unwrap();
        assert!(checking <= 2 * text.len(), "{what}: the check used {checking} bytes, the text has {}", text.len());
    }
    let (mut seed, mut documents) = (17, 0);
    while documents < 300 {
        let text = random_document(&mut seed, 3);
        let layout = JsonLayout::measure(text.as_bytes()).unwrap();
        let (value, parsing) = count_memory(|| parse_measured_json(text.as_bytes(), &layout));
        // The reader itself needs a buffer for strings with escapes, and state.
        assert!(parsing <= layout.memory() + 4_096, "{parsing} bytes used, {} reserved: {text}", layout.memory());
        assert_eq!(value.unwrap(), parse_json(text.as_bytes()).unwrap());
        documents += usize::from(text.len() > 1_000);
    }
}
