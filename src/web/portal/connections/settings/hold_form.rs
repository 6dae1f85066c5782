//! The form of the hold on mass removals and of the protected users.

use super::SettingsForm;
use crate::error::Error;
use crate::management::configuration_settings::SettingsChange;
use crate::management::configurations::holds;
use crate::model::audit_context::AccountScope;
use crate::model::hold::{HoldChanges, HoldSettings, ThresholdChanges};
use crate::store::Snapshot;
use crate::web::portal::forms::FormError;
use crate::web::portal::texts;

/// A number of the form.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldNumber {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    read: fn(&HoldSettings) -> u32,
}

/// All numbers, in the order of the form.
pub(super) const NUMBERS: [HoldNumber; 8] = [
    number("windowMinutes", texts::connection_settings::WINDOW_MINUTES, (1, 1_440), |one| one.window_minutes),
    number("graceHours", texts::connection_settings::GRACE_HOURS, (0, 168), |one| one.grace_hours),
    number("usersPercent", texts::connection_settings::USERS_PERCENT, (1, 100), |one| one.users.percent),
    number("usersCount", texts::connection_settings::USERS_COUNT, (1, 1_000_000), |one| one.users.count),
    number("membershipsPercent", texts::connection_settings::MEMBERSHIPS_PERCENT, (1, 100), |one| {
        one.memberships.percent
    }),
    number("membershipsCount", texts::connection_settings::MEMBERSHIPS_COUNT, (1, 1_000_000), |one| {
        one.memberships.count
    }),
    number("groupsPercent", texts::connection_settings::GROUPS_PERCENT, (1, 100), |one| one.groups.percent),
    number("groupsCount", texts::connection_settings::GROUPS_COUNT, (1, 1_000_000), |one| one.groups.count),
];

const fn number(
    key: &'static str,
    label: &'static str,
    (min, max): (u32, u32),
    read: fn(&HoldSettings) -> u32,
) -> HoldNumber {
    HoldNumber { key, label, min, max, read }
}

/// Returns the stored values of the fields.
pub(super) fn read_present_values(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<SettingsForm, Error> {
    let settings = holds::find_hold(at, scope, id)?.settings;
    let mut values: SettingsForm =
        NUMBERS.iter().map(|number| (number.key.to_owned(), (number.read)(&settings).to_string())).collect();
    values.insert("holdEnabled".to_owned(), if settings.enabled { "on" } else { "" }.to_owned());
    values.insert("protectedUsers".to_owned(), holds::list_protected_users(at, scope, id)?.join("\n"));
    Ok(values)
}

/// Returns the changes of the form, or its wrong fields.
pub(super) fn read_changes(fields: &SettingsForm) -> Result<SettingsChange, Vec<FormError>> {
    let mut problems = Vec::new();
    let [window, grace, rest @ ..] = NUMBERS.map(|number| match read_number(fields, number) {
        Ok(value) => Some(value),
        Err(problem) => {
            problems.push(problem);
            None
        }
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let [users_percent, users_count, memberships_percent, memberships_count, groups_percent, groups_count] = rest;
    let threshold = |percent, count| Some(ThresholdChanges { percent, count });
    let hold = HoldChanges {
        enabled: Some(fields.contains_key("holdEnabled")),
        window_minutes: window,
        grace_hours: grace,
        users: threshold(users_percent, users_count),
        memberships: threshold(memberships_percent, memberships_count),
        groups: threshold(groups_percent, groups_count),
        exempt_minutes: fields.contains_key("exempt").then_some(60),
    };
    let lines = fields.get("protectedUsers").map_or("", String::as_str).lines();
    let users = lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok(SettingsChange { hold, protected_users: Some(users), ..SettingsChange::default() })
}

fn read_number(fields: &SettingsForm, number: HoldNumber) -> Result<u32, FormError> {
    let HoldNumber { key, min, max, .. } = number;
    let value = fields.get(key).and_then(|text| text.trim().parse().ok()).filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| FormError { field: key, sentence: texts::connection_settings::ask_for_number(min, max) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(changes: &[(&str, &str)]) -> SettingsForm {
        let numbers = NUMBERS.iter().map(|number| (number.key.to_owned(), number.min.to_string()));
        numbers.chain(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).collect()
    }

    #[test]
    fn each_wrong_number_is_named() {
        let problems = read_changes(&form(&[("windowMinutes", "1441"), ("usersCount", "ten")])).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["windowMinutes", "usersCount"]);
    }

    #[test]
    fn an_absent_checkbox_ends_the_hold_and_lines_are_protected_users() {
        let change = read_changes(&form(&[("protectedUsers", " ada@x.example \n\nbob\n")])).unwrap();
        assert_eq!(change.hold.enabled, Some(false));
        assert_eq!(change.hold.exempt_minutes, None);
        assert_eq!(change.protected_users.unwrap(), ["ada@x.example", "bob"]);
    }
}
