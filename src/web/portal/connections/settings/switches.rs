//! The switches of a connection as form fields: label, help text and accepted values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::switches::{SwitchChanges, Switches, SwitchesResponse};
use crate::web::portal::sign_in::first_run::FormError;

/// The input of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SwitchInput {
    /// A checkbox.
    Flag,
    /// One of these values, each with its label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A number of resources.
    Number,
    /// Names separated by commas; empty for all.
    Names,
}

/// A switch with its texts.
#[derive(Debug)]
pub(super) struct SwitchRow {
    /// Key in the management API, and name of the field.
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    /// Help text: when to change the switch.
    pub(super) reason: &'static str,
    pub(super) kind: SwitchInput,
}

const fn switch_row(key: &'static str, kind: SwitchInput, label: &'static str, reason: &'static str) -> SwitchRow {
    SwitchRow { key, label, reason, kind }
}

/// All switches, in the order of the page.
pub(super) const SWITCHES: [SwitchRow; 13] = [
    switch_row(
        "input",
        SwitchInput::Choice(&[("lenient", "Accept it and note it"), ("strict", "Refuse it")]),
        "What a provider sends besides the standard",
        "Most providers send text where a boolean belongs, or undeclared attributes. Refusing finds such mistakes early, and stops those providers.",
    ),
    switch_row(
        "createOnMissingTarget",
        SwitchInput::Flag,
        "Create the missing target of a PATCH replace",
        "Entra replaces emails[type eq \"work\"].value before there is one. Off, that is refused with noTarget.",
    ),
    switch_row(
        "unknownMembers",
        SwitchInput::Choice(&[("reject", "Refuse the whole change"), ("skip", "Leave the member out and note it")]),
        "Group members that do not exist here",
        "A provider that never sends a refused change again would lose all members of that push.",
    ),
    switch_row(
        "uniqueGroupNames",
        SwitchInput::Flag,
        "Each group has a name of its own",
        "Two groups whose names differ in case only are refused. Switch it off where the directory really has such groups.",
    ),
    switch_row(
        "reactivateOnConflict",
        SwitchInput::Flag,
        "Creating an inactive user again makes it active",
        "The user keeps its id. Off, the provider gets the error that the name is in use.",
    ),
    switch_row(
        "patchResponse",
        SwitchInput::Choice(&[
            ("auto", "The resource, except for large groups"),
            ("full", "Always the resource"),
            ("empty", "Nothing, unless attributes are asked"),
        ]),
        "What a PATCH is answered with",
        "Large groups make large answers. Some clients insist on one kind.",
    ),
    switch_row(
        "bulk",
        SwitchInput::Flag,
        "Bulk requests",
        "Several changes in one call. Few providers use them; without need, leave them as they are.",
    ),
    switch_row(
        "discovery",
        SwitchInput::Choice(&[("public", "Any client"), ("token", "Callers with a token")]),
        "Who may read the discovery documents",
        "They contain no personal data. Some providers read them before they have a token.",
    ),
    switch_row(
        "passwords",
        SwitchInput::Choice(&[("ignore", "Discard them"), ("verify", "Keep digests to compare with")]),
        "Passwords that a provider sends",
        "Keep digests only if your application asks here whether a password is right. Going back forgets all of them.",
    ),
    switch_row(
        "pageDefault",
        SwitchInput::Number,
        "Resources on a page",
        "Where a caller does not say how many. No more than the most on a page.",
    ),
    switch_row(
        "pageMax",
        SwitchInput::Number,
        "The most resources on a page",
        "From 1 to 1000. Smaller pages answer sooner, larger ones need fewer calls.",
    ),
    switch_row(
        "newerDiscoveryMembers",
        SwitchInput::Flag,
        "Newer members in the discovery documents",
        "Such as pagination. Switch it off for a client that stumbles over members it does not know.",
    ),
    switch_row(
        "wantedAttributes",
        SwitchInput::Names,
        "Attributes that are stored",
        "Empty for all. Else names with commas between, such as name, emails, title; the rest is discarded when it comes. Store no more personal data than your application needs.",
    ),
];

/// The current values by key, as a form sends them. A flag that is off is left out.
pub(super) fn present_values(switches: &Switches) -> BTreeMap<String, String> {
    let Ok(Value::Object(members)) = serde_json::to_value(SwitchesResponse::from(switches)) else {
        return BTreeMap::new();
    };
    let as_sent = |value: Value| match value {
        Value::Bool(on) => on.then(|| "on".to_owned()),
        Value::String(text) => Some(text),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    };
    members.into_iter().filter_map(|(key, value)| Some((key, as_sent(value)?))).collect()
}

/// Reads a form with all switches.
///
/// # Errors
/// One error for each switch with a value that it does not accept.
pub(super) fn read_changes(sent: &BTreeMap<String, String>) -> Result<SwitchChanges, Vec<FormError>> {
    let mut members = Map::new();
    let mut problems = Vec::new();
    for one in &SWITCHES {
        let text = sent.get(one.key).map_or("", |text| text.trim());
        let value = match one.kind {
            SwitchInput::Flag => Some(Value::from(text == "on")),
            SwitchInput::Choice(options) => options.iter().any(|(value, _)| *value == text).then(|| Value::from(text)),
            SwitchInput::Number => text.parse::<u32>().ok().map(Value::from),
            SwitchInput::Names => {
                Some(text.split([',', ' ', '\n']).filter(|name| !name.is_empty()).map(str::trim).collect())
            }
        };
        match value {
            Some(value) => drop(members.insert(one.key.to_owned(), value)),
            None => problems.push(switch_error(one)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(Value::Object(members)).map_err(|_| SWITCHES.iter().map(switch_error).collect())
}

fn switch_error(of: &SwitchRow) -> FormError {
    let hint = if of.kind == SwitchInput::Number { "give a number from 1 to 1000" } else { "choose one" };
    FormError { field: of.key, sentence: format!("{}: {hint}.", of.label) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switches::Preset;

    #[test]
    fn an_unchanged_form_changes_nothing() {
        for preset in Preset::ALL {
            let switches = preset.switches();
            let asked = read_changes(&present_values(&switches)).ok().unwrap();
            let mut after = switches.clone();
            asked.apply(&mut after);
            assert_eq!(after, switches, "{preset:?}");
        }
    }

    #[test]
    fn every_switch_of_the_api_has_a_field_and_the_other_way_round() {
        let Ok(Value::Object(members)) = serde_json::to_value(SwitchesResponse::from(&Switches::default())) else {
            panic!()
        };
        let mut fields: Vec<&str> = SWITCHES.iter().map(|one| one.key).collect();
        let mut keys: Vec<&str> = members.keys().map(String::as_str).collect();
        fields.sort_unstable();
        keys.sort_unstable();
        assert_eq!(fields, keys);
    }

    #[test]
    fn a_value_that_no_switch_accepts_is_an_error() {
        let mut sent = present_values(&Switches::default());
        sent.insert("input".to_owned(), "sloppy".to_owned());
        sent.insert("pageMax".to_owned(), "many".to_owned());
        let problems = read_changes(&sent).err().unwrap();
        assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), ["input", "pageMax"]);
    }
}
