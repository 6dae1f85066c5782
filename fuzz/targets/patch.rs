//! A PATCH applied to a fixed resource: what comes out still is a resource of its type, and is kept as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::patch::{self, Edit};
use rollcall_fuzz::scim::{dialect::Rules, json, render, validate};
use rollcall_fuzz::{choices, kept};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (of, rules, rest) = choices(data);
    let Ok(body) = json::read(rest) else { return };
    let Ok(patch) = patch::read(&body, of, rules) else { return };
    let mut after = kept(of);
    for edit in &patch.edits {
        if let Edit::Attribute(edit) = edit
            && patch::apply(edit, &mut after, of, rules).is_err()
        {
            return;
        }
    }
    let required = validate::check_required(&after, of);
    assert_eq!(required, Ok(()), "{after:?}");
    let after = validate::in_order(after, of);
    let stored = render::body(&after, of);
    assert_eq!(render::attributes(&stored).ok(), Some(after.clone()));
    // What a PATCH leaves is what a PUT of the same document would leave.
    let put =
        validate::resource(&Value::Object(after.clone()), of, Rules::LENIENT).expect("a PATCH leaves a valid resource");
    assert_eq!(Value::Object(put.attributes), Value::Object(after));
});
