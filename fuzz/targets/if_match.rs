//! A list of entity tags matches each of its tags, in every form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::entity_tag::{EntityTags, check_if_match};

fuzz_target!(|header: &str| {
    let Ok(tags) = EntityTags::parse(header) else { return };
    let _ = check_if_match(Some(&tags), "W/\"1.2a\"");
    let EntityTags::OneOf(list) = &tags else { return };
    assert!(!list.is_empty());
    for tag in list.iter().filter(|tag| !tag.contains('"')) {
        for form in [format!("W/\"{tag}\""), format!("\"{tag}\"")] {
            assert!(tags.contains(&form), "{header:?} does not name {form}");
        }
    }
});
