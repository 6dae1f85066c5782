//! The path of a PATCH operation; the target of a path without brackets prints as a path to the same target.

use super::scim::patch::path::PatchPath;
use super::scim::schema::standard_types;

pub fn check_input(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for of in standard_types() {
        let Ok(path) = PatchPath::parse(text, of) else { continue };
        let printed = path.target.to_string();
        let again = PatchPath::parse(&printed, of).map(|path| path.target.to_string());
        assert_eq!(again.as_ref(), Ok(&printed), "{text:?}");
    }
}
