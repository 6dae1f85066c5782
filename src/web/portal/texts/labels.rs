//! Labels and sentences that several pages have.

use crate::error::Error;
use crate::messages::render_message;

pub(crate) const ACTIVE: &str = "Active";
pub(crate) const ALL: &str = "All";
pub(crate) const ALL_KINDS: &str = "all";
pub(crate) const ANY: &str = "any";
pub(crate) const CONNECTIONS: &str = "Connections";
pub(crate) const CREDENTIALS: &str = "Credentials";
pub(crate) const DEACTIVATED: &str = "Deactivated";
pub(crate) const DELETE: &str = "Delete";
pub(crate) const DISABLED: &str = "Disabled";
pub(crate) const EMAIL: &str = "Email";
pub(crate) const ENDED: &str = "Ended";
pub(crate) const EXPIRED: &str = "Expired";
pub(crate) const GROUP: &str = "Group";
pub(crate) const GROUPS: &str = "Groups";
pub(crate) const LIVE: &str = "Live";
pub(crate) const NEVER: &str = "never";
pub(crate) const NONE: &str = "none";
pub(crate) const OPEN: &str = "Open";
pub(crate) const PAUSED: &str = "Paused";
pub(crate) const REJECTED: &str = "Rejected";
pub(crate) const REQUESTS: &str = "Requests";
pub(crate) const ROLLCALL: &str = "Rollcall";
pub(crate) const SECRET: &str = "Secret";
pub(crate) const SETTINGS: &str = "Settings";
pub(crate) const STOPPED: &str = "Stopped";
pub(crate) const TOKEN: &str = "Token";
pub(crate) const UP_TO_DATE: &str = "Up to date";
pub(crate) const USERS: &str = "Users";
pub(crate) const WEBHOOK: &str = "Webhook";
pub(crate) const ONE_HOUR: &str = "1 hour";
pub(crate) const ONE_DAY: &str = "1 day";
pub(crate) const HOURS_24: &str = "24 hours";
pub(crate) const DAYS_7: &str = "7 days";
pub(crate) const DAYS_30: &str = "30 days";
/// Subject of the error of a name.
pub(crate) const THE_NAME: &str = "The name";
pub(crate) const ADD_CONNECTION: &str = "Add a connection";

pub(crate) fn say_nothing_changed(error: &Error) -> String {
    format!("Nothing was changed: {}.", render_message(error))
}

pub(crate) fn say_not_removed(error: &Error) -> String {
    format!("Not removed: {}.", render_message(error))
}

pub(crate) fn say_not_saved(error: &Error) -> String {
    format!("Not saved: {}.", render_message(error))
}

/// `problem` is a sentence with or without its full stop.
pub(crate) fn say_url_refused(problem: &str) -> String {
    format!("This URL cannot be called: {}.", problem.trim_end_matches('.'))
}

pub(crate) fn say_beginning_of(bytes: impl std::fmt::Display) -> String {
    format!("The beginning of {bytes} bytes.")
}

/// Label of the field that confirms a deletion.
pub(crate) fn label_confirmation(name: &str) -> String {
    format!("Type {name} to confirm")
}

pub(crate) fn say_name_differs(name: &str) -> String {
    format!("Type the name exactly: {name}")
}

/// When a credential expires. `end` is relative, such as `in 12 days`; `None` if it does not expire.
pub(crate) fn describe_expiry(end: Option<&str>) -> String {
    end.map_or_else(|| "never expires".to_owned(), |end| format!("expires {end}"))
}

/// An attribute or filter with its value.
pub(crate) fn name_value(name: &str, value: &str) -> String {
    format!("{name} {value}")
}

pub(crate) const DOCUMENTS: &str = "Documents";

/// Label of a table for screen readers. Tables are numbered from 1.
pub(crate) fn name_table(number: usize) -> String {
    format!("Table {number}")
}
