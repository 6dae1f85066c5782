//! A list of entity tags matches each of its tags, in every form; what is strictly valid means the same leniently.

use super::scim::entity_tag::{EntityTags, VersionConditions};

pub fn check_input(data: &[u8]) {
    let Ok(header) = std::str::from_utf8(data) else { return };
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
}
