//! A list of entity tags matches each of its tags, in every form; what is strictly valid means the same leniently.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::entity_tag::{EntityTags, VersionConditions};

fuzz_target!(|header: &str| {
    let lenient = EntityTags::parse(header, false);
    if let Ok(strict) = EntityTags::parse(header, true) {
        assert_eq!(lenient.as_ref().ok(), Some(&strict), "{header:?}");
    }
    let Ok(tags) = lenient else { return };
    let conditions = VersionConditions { if_match: Some(tags.clone()), if_none_match: Some(tags.clone()) };
    assert!(conditions.check("W/\"1.2a\"").is_err(), "{header:?} matches and does not match");
    let EntityTags::OneOf(list) = &tags else { return };
    assert!(!list.is_empty());
    for tag in list {
        for form in [format!("W/\"{tag}\""), format!("\"{tag}\"")] {
            assert!(tags.contains(&form), "{header:?} does not name {form}");
        }
    }
});
