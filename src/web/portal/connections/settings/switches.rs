//! The switches of a connection as form fields: their current values, and the changes of a form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::switches::{SWITCHES, SwitchChanges, SwitchInput, SwitchRow, Switches, SwitchesResponse};
use crate::web::portal::forms::FormError;
use crate::web::portal::texts;

/// Groups of switches on the page: heading, and keys.
pub(super) const SWITCH_GROUPS: [(&str, &[&str]); 5] = [
    (
        texts::connection_settings::COMPATIBILITY,
        &["input", "createOnMissingTarget", "activeRemoval", "reactivateOnConflict", "newerDiscoveryMembers"],
    ),
    (texts::labels::GROUPS, &["unknownMembers", "uniqueGroupNames"]),
    (
        texts::connection_settings::RESPONSES,
        &["patchResponse", "responseMediaType", "bulk", "discovery", "pageDefault", "pageMax"],
    ),
    (texts::connection_settings::PRIVACY, &["wantedAttributes", "tombstoneDays", "reviveDeleted"]),
    (texts::connection_settings::PASSWORDS, &["passwords"]),
];

/// The switches of a group, in the order of the page.
pub(super) fn list_group_switches(keys: &[&str]) -> Vec<&'static SwitchRow> {
    keys.iter().filter_map(|key| SWITCHES.iter().find(|row| row.key == *key)).collect()
}

/// A switch that a preset would change, with both values as the page shows them.
pub(super) struct SwitchDifference {
    pub(super) label: &'static str,
    pub(super) before: String,
    pub(super) after: String,
}

/// The switches that differ between two sets, in the order of the table.
pub(super) fn list_differences(before: &Switches, after: &Switches) -> Vec<SwitchDifference> {
    let (old, new) = (present_values(before), present_values(after));
    let differs = |row: &&SwitchRow| old.get(row.key) != new.get(row.key);
    let difference = |row: &SwitchRow| SwitchDifference {
        label: row.label,
        before: describe_value(row, old.get(row.key)),
        after: describe_value(row, new.get(row.key)),
    };
    SWITCHES.iter().filter(differs).map(difference).collect()
}

fn describe_value(row: &SwitchRow, value: Option<&String>) -> String {
    let value = value.map_or("", String::as_str);
    match row.input {
        SwitchInput::Flag => {
            if value == "on" { texts::connection_settings::ON } else { texts::connection_settings::OFF }.to_owned()
        }
        SwitchInput::Choice(choices) => {
            choices.iter().find(|(key, _)| *key == value).map_or(value, |(_, label)| label).to_owned()
        }
        _ if value.is_empty() => texts::labels::ALL_KINDS.to_owned(),
        _ => value.to_owned(),
    }
}

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

/// Reads a form. A switch that is not in it stays as it is, except that a checkbox that is off is not sent.
///
/// # Errors
/// One error for each switch with a value that it does not accept.
pub(super) fn read_changes(sent: &BTreeMap<String, String>) -> Result<SwitchChanges, Vec<FormError>> {
    let mut members = Map::new();
    let mut problems = Vec::new();
    for one in SWITCHES {
        let text = sent.get(one.key).map(String::as_str);
        let Some(text) = text.or((one.input == SwitchInput::Flag).then_some("")) else { continue };
        match one.parse(text) {
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
    let sentence = match of.input {
        SwitchInput::Number(min, max) => texts::connection_settings::ask_for_switch_number(of.label, min, max),
        _ => texts::connection_settings::ask_for_switch_choice(of.label),
    };
    FormError { field: of.key, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switches::Preset;

    #[test]
    fn each_switch_is_in_one_group() {
        let mut grouped: Vec<&str> = SWITCH_GROUPS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        let mut all: Vec<&str> = SWITCHES.iter().map(|row| row.key).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn a_difference_has_both_values_in_the_text_of_the_page() {
        let differences = list_differences(&Preset::Standard.switches(), &Preset::Entra.switches());
        let texts: Vec<String> =
            differences.iter().map(|one| format!("{}: {} > {}", one.label, one.before, one.after)).collect();
        assert_eq!(
            texts,
            [
                "Create missing values on PATCH replace: off > on",
                "Unknown group members: Reject the request > Skip and log",
                "When a provider removes the attribute active: Remove the value > Keep the value and log",
            ]
        );
        assert!(list_differences(&Preset::Okta.switches(), &Preset::Okta.switches()).is_empty());
    }

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
    fn a_value_that_no_switch_accepts_is_an_error() {
        let mut sent = present_values(&Switches::default());
        sent.insert("input".to_owned(), "sloppy".to_owned());
        sent.insert("pageMax".to_owned(), "many".to_owned());
        let problems = read_changes(&sent).err().unwrap();
        assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), ["input", "pageMax"]);
    }
}
