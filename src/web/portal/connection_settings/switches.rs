//! The switches as a form shows them: what each is called, why one would turn it, and the values it may have.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::switches::{Changes, Shown, Switches};
use crate::web::portal::first_run::Problem;

/// What kind of field a switch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On or off.
    Flag,
    /// One of these values, with what people call them.
    Choice(&'static [(&'static str, &'static str)]),
    /// A number of resources.
    Number,
    /// Names with commas between; none is all.
    Names,
}

/// A switch as it is described.
#[derive(Debug)]
pub(super) struct Switch {
    /// Its word in the management API, and the name of the field.
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    /// Why one would turn it.
    pub(super) reason: &'static str,
    pub(super) kind: Kind,
}

const fn switch(key: &'static str, kind: Kind, label: &'static str, reason: &'static str) -> Switch {
    Switch { key, label, reason, kind }
}

/// All of them, in the order of the page.
pub(super) const SWITCHES: [Switch; 13] = [
    switch(
        "input",
        Kind::Choice(&[("lenient", "Take it and note it"), ("strict", "Refuse it")]),
        "What a provider sends besides the standard",
        "Most providers send text where a boolean belongs, or attributes nobody declared. Refusing finds such mistakes early, and stops those providers.",
    ),
    switch(
        "createOnMissingTarget",
        Kind::Flag,
        "Make what a PATCH replaces in vain",
        "Entra replaces emails[type eq \"work\"].value before there is one. Off, that is refused with noTarget.",
    ),
    switch(
        "unknownMembers",
        Kind::Choice(&[("reject", "Refuse the whole change"), ("skip", "Leave the member out and note it")]),
        "Group members that are not known here",
        "A provider that never sends a refused change again would lose all members of that push.",
    ),
    switch(
        "uniqueGroupNames",
        Kind::Flag,
        "Each group has a name of its own",
        "Two groups whose names differ in case only are refused. Switch it off where the directory really has such groups.",
    ),
    switch(
        "reactivateOnConflict",
        Kind::Flag,
        "Creating an inactive user again makes it active",
        "The user keeps its id. Off, the provider is told that the name is taken.",
    ),
    switch(
        "patchResponse",
        Kind::Choice(&[
            ("auto", "The resource, except for large groups"),
            ("full", "Always the resource"),
            ("empty", "Nothing, unless attributes are asked"),
        ]),
        "What a PATCH is answered with",
        "Large groups make large answers. Some clients insist on one kind.",
    ),
    switch(
        "bulk",
        Kind::Flag,
        "Bulk requests",
        "Several changes in one call. Few providers use them; without need, leave them as they are.",
    ),
    switch(
        "discovery",
        Kind::Choice(&[("public", "Anybody"), ("token", "Callers with a token")]),
        "Who may read the discovery documents",
        "They hold no data of people. Some providers read them before they have a token.",
    ),
    switch(
        "passwords",
        Kind::Choice(&[("ignore", "Throw them away"), ("verify", "Keep digests to compare with")]),
        "Passwords that a provider sends",
        "Keep digests only if your application asks here whether a password is right. Going back forgets all of them.",
    ),
    switch(
        "pageDefault",
        Kind::Number,
        "Resources on a page",
        "Where a caller does not say how many. No more than the most on a page.",
    ),
    switch(
        "pageMax",
        Kind::Number,
        "The most resources on a page",
        "From 1 to 1000. Smaller pages answer sooner, larger ones need fewer calls.",
    ),
    switch(
        "newerDiscoveryMembers",
        Kind::Flag,
        "Newer members in the discovery documents",
        "Such as pagination. Switch it off for a client that stumbles over members it does not know.",
    ),
    switch(
        "wantedAttributes",
        Kind::Names,
        "Attributes that are stored",
        "Empty for all. Else names with commas between, such as name, emails, title; the rest is thrown away when it comes. Store no more about people than your application needs.",
    ),
];

/// The present values by key, as a form sends them; a flag that is off is not among them.
pub(super) fn present(switches: &Switches) -> BTreeMap<String, String> {
    let Ok(Value::Object(members)) = serde_json::to_value(Shown::from(switches)) else { return BTreeMap::new() };
    let as_sent = |value: Value| match value {
        Value::Bool(on) => on.then(|| "on".to_owned()),
        Value::String(text) => Some(text),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    };
    members.into_iter().filter_map(|(key, value)| Some((key, as_sent(value)?))).collect()
}

/// What a form with all switches asks for.
pub(super) fn changes(sent: &BTreeMap<String, String>) -> Result<Changes, Vec<Problem>> {
    let mut members = Map::new();
    let mut problems = Vec::new();
    for one in &SWITCHES {
        let text = sent.get(one.key).map_or("", |text| text.trim());
        let value = match one.kind {
            Kind::Flag => Some(Value::from(text == "on")),
            Kind::Choice(known) => known.iter().any(|(value, _)| *value == text).then(|| Value::from(text)),
            Kind::Number => text.parse::<u32>().ok().map(Value::from),
            Kind::Names => Some(text.split([',', ' ', '\n']).filter(|name| !name.is_empty()).map(str::trim).collect()),
        };
        match value {
            Some(value) => drop(members.insert(one.key.to_owned(), value)),
            None => problems.push(problem(one)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(Value::Object(members)).map_err(|_| SWITCHES.iter().map(problem).collect())
}

fn problem(of: &Switch) -> Problem {
    let wanted = if of.kind == Kind::Number { "give a number from 1 to 1000" } else { "choose one" };
    Problem { field: of.key, sentence: format!("{}: {wanted}.", of.label) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switches::Preset;

    #[test]
    fn a_form_sent_back_as_it_came_changes_nothing() {
        for preset in Preset::ALL {
            let switches = preset.switches();
            let asked = changes(&present(&switches)).ok().unwrap();
            let mut after = switches.clone();
            asked.apply(&mut after);
            assert_eq!(after, switches, "{preset:?}");
        }
    }

    #[test]
    fn every_switch_of_the_api_has_a_field_and_the_other_way_round() {
        let Ok(Value::Object(members)) = serde_json::to_value(Shown::from(&Switches::default())) else { panic!() };
        let mut fields: Vec<&str> = SWITCHES.iter().map(|one| one.key).collect();
        let mut known: Vec<&str> = members.keys().map(String::as_str).collect();
        fields.sort_unstable();
        known.sort_unstable();
        assert_eq!(fields, known);
    }

    #[test]
    fn a_value_that_no_switch_has_is_named() {
        let mut sent = present(&Switches::default());
        sent.insert("input".to_owned(), "sloppy".to_owned());
        sent.insert("pageMax".to_owned(), "many".to_owned());
        let problems = changes(&sent).err().unwrap();
        assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), ["input", "pageMax"]);
    }
}
