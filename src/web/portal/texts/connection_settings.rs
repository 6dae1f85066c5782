//! The settings of one connection: presets, switches, the hold on mass removals, and schemas.

use crate::error::Error;
use crate::messages::render_message;

pub(crate) const PRESET_STANDARD: &str = "Standard";
pub(crate) const PRESET_STRICT: &str = "Strict: rejects what the standard leaves open";
pub(crate) const CHOOSE_PRESET: &str = "Choose one of the presets.";
pub(crate) const SCHEMAS: &str = "Schemas";

/// Headings of groups of switches.
pub(crate) const COMPATIBILITY: &str = "Compatibility";
pub(crate) const RESPONSES: &str = "Responses";
pub(crate) const PRIVACY: &str = "Privacy";
pub(crate) const PASSWORDS: &str = "Passwords";

pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";

pub(crate) const WINDOW_MINUTES: &str = "Minutes within which removals are counted together";
pub(crate) const GRACE_HOURS: &str = "Hours after the creation without a hold";
pub(crate) const USERS_PERCENT: &str = "Percent of the active users";
pub(crate) const USERS_COUNT: &str = "and at least this many users";
pub(crate) const MEMBERSHIPS_PERCENT: &str = "Percent of the memberships";
pub(crate) const MEMBERSHIPS_COUNT: &str = "and at least this many memberships";
pub(crate) const GROUPS_PERCENT: &str = "Percent of the groups";
pub(crate) const GROUPS_COUNT: &str = "and at least this many groups";

/// `label` is that of a switch.
pub(crate) fn ask_for_switch_number(label: &str, min: impl std::fmt::Display, max: impl std::fmt::Display) -> String {
    format!("{label}: enter a number from {min} to {max}.")
}

pub(crate) fn ask_for_switch_choice(label: &str) -> String {
    format!("{label}: choose one.")
}

pub(crate) fn ask_for_number(min: u32, max: u32) -> String {
    format!("Enter a number from {min} to {max}")
}

pub(crate) fn say_schema_not_json(problem: &serde_json::Error) -> String {
    format!("The schema is not valid JSON: {problem}.")
}

pub(crate) fn say_not_added(error: &Error) -> String {
    format!("Not added: {}.", render_message(error))
}
