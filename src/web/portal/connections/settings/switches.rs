//! The switches of a connection as form fields: their current values, and the changes of a form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::switches::{SWITCHES, SwitchChanges, SwitchInput, SwitchRow, Switches, SwitchesResponse};
use crate::web::portal::forms::FormError;

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
    let hint = match of.input {
        SwitchInput::Number(min, max) => format!("give a number from {min} to {max}"),
        _ => "choose one".to_owned(),
    };
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
    fn a_value_that_no_switch_accepts_is_an_error() {
        let mut sent = present_values(&Switches::default());
        sent.insert("input".to_owned(), "sloppy".to_owned());
        sent.insert("pageMax".to_owned(), "many".to_owned());
        let problems = read_changes(&sent).err().unwrap();
        assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), ["input", "pageMax"]);
    }
}
