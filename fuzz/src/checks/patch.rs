//! A PATCH applied to a fixed resource: the result is a valid resource of its type and is stored unchanged.

use super::scim::work::WorkBudget;
use super::scim::{dialect::DialectRules, json, patch, render, validate};
use super::{choices, stored_resource};
use serde_json::Value;

pub fn check_input(data: &[u8]) {
    let (of, rules, rest) = choices(data);
    let Ok(body) = json::parse_json(rest) else { return };
    let Ok(patch) = patch::parse_patch(&body, of, rules) else { return };
    let before = stored_resource(of);
    let mut after = before.clone();
    if patch::apply_edits(&patch.edits, &mut after, of, rules, &mut WorkBudget::default()).is_err() {
        return;
    }
    let required = validate::check_required(&after, of);
    assert_eq!(required, Ok(()), "{after:?}");
    let after = validate::sort_attributes(after, of);
    let stored = render::build_stored_text(&after, of);
    assert_eq!(render::parse_stored_text(&stored).ok(), Some(after.clone()));
    // An evaluation on the changed attributes only gives the same text.
    let is_changed = |name: &str| before.get(name) != after.get(name);
    let text = render::build_stored_text(&before, of);
    let (partial, mut changed) = render::PartialText::parse(&text, of, is_changed).expect("a text of this form");
    assert!(changed.keys().all(|name| is_changed(name)));
    changed =
        after.iter().filter(|(name, _)| is_changed(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(partial.build_text(&changed, of), stored);
    // The result of a PATCH equals the result of a PUT of the same document.
    let put = validate::read_resource(&Value::Object(after.clone()), of, DialectRules::LENIENT)
        .expect("a PATCH leaves a valid resource");
    assert_eq!(Value::Object(put.attributes), Value::Object(after));
}
