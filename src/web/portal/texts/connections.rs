//! The list of connections, the form for a new one, its overview, and its deletion.

use super::formats::{count_groups, count_users};

pub(crate) const COPY_URL_AND_TOKEN: &str = "Copy the URL and token";
pub(crate) const STATE: &str = "State";
pub(crate) const LAST_REQUEST: &str = "Last request";
pub(crate) const SETUP: &str = "Setup";
pub(crate) const SETUP_LINKS: &str = "Setup links";
pub(crate) const NO_REQUEST_YET: &str = "no request yet";

/// `ago` is the time since the last request.
pub(crate) fn say_last_request(ago: &str) -> String {
    format!("last request {ago}")
}

/// The line below the name of a connection: provider, last request, and what it has.
pub(crate) fn summarize_connection(provider: &str, last_request: &str, users: i64, groups: i64) -> String {
    format!("{provider} · {last_request} · {}, {}", count_users(users), count_groups(groups))
}

pub(crate) const NAME_IN_USE: &str = "This customer already has a connection with this name. Choose another.";
pub(crate) const CHOOSE_PROVIDER: &str = "Choose the identity provider.";
pub(crate) const ENTER_ACCOUNT_ID: &str = "Enter a customer ID.";

pub(crate) const DELETED_CONNECTIONS: &str = "Deleted connections";
pub(crate) const CONNECTION_DELETED: &str = "Connection deleted";

pub(crate) fn title_purge(name: &str) -> String {
    format!("Purge · {name}")
}
