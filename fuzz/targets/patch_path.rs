//! The path of a PATCH operation; the target of a path without brackets prints as a path to the same target.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::patch::path::PatchPath;
use rollcall_fuzz::scim::schema::standard_types;

fuzz_target!(|text: &str| {
    for of in standard_types() {
        let Ok(path) = PatchPath::parse(text, of) else { continue };
        let printed = path.target.to_string();
        let again = PatchPath::parse(&printed, of).map(|path| path.target.to_string());
        assert_eq!(again.as_ref(), Ok(&printed), "{text:?}");
    }
});
