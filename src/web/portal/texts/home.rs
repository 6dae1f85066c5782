//! The home page, the page that connects the operator's application, and the simulated provider.

use super::formats::{choose_form, count_connections};

pub(crate) const HOME: &str = "Home";
pub(crate) const SERVER: &str = "Server";
pub(crate) const DETAILS: &str = "Details";
pub(crate) const HELD: &str = "Held";
pub(crate) const DECIDE: &str = "Decide";
pub(crate) const RESUME: &str = "Resume";
pub(crate) const REPLACE: &str = "Replace";
pub(crate) const REVIEW: &str = "Review";
pub(crate) const EVENTS_NOT_DELIVERED: &str = "Events do not reach your application";

/// `removals` is the sentence about what the provider has removed.
pub(crate) fn describe_hold(removals: &str) -> String {
    format!("{removals} Your application gets none of its changes until you decide.")
}

/// `sentence` is about the alert of a webhook.
pub(crate) fn add_last_error(sentence: &str, error: &str) -> String {
    if error.is_empty() { sentence.to_owned() } else { format!("{sentence} Last error: {error}.") }
}

/// `end` is relative, such as `in 12 days`.
pub(crate) fn say_token_expires(end: &str) -> String {
    format!("This token expires {end}. Create a new one, and enter it at the identity provider.")
}

/// Title and sentence of the item about connections that were never used.
pub(crate) fn describe_unused(count: usize) -> (String, &'static str) {
    let sentence = choose_form(
        &count,
        "Created more than a week ago and never used. Send its admin a setup link.",
        "Created more than a week ago and never used. Send their admins a setup link.",
    );
    (count_connections(count), sentence)
}

pub(crate) const RECEIVE_FIRST_USER: &str = "Receive the first user";
pub(crate) const READ_EVENTS: &str = "Read the event feed, or add a webhook";
pub(crate) const SET_PUBLIC_URL: &str = "Set a public HTTPS URL";
pub(crate) const SCHEDULE_BACKUPS: &str = "Schedule backups";
pub(crate) const ADD_SECOND_OWNER: &str = "Add a second owner";

pub(crate) const CONNECT_YOUR_APP: &str = "Connect your app";
pub(crate) const ALL_EVENTS: &str = "all events";

pub(crate) fn name_account(id: &str) -> String {
    format!("customer {id}")
}

pub(crate) const SIMULATED_TEAM: &str = "Simulated team";
pub(crate) const SIMULATED_PROVIDER_TOKEN: &str = "simulated provider";

/// Why a simulation stopped, for the log.
pub(crate) const ADDRESS_NOT_STORED: &str = "the address of the server is not stored";
pub(crate) const THREAD_HAS_ENDED: &str = "the thread has ended";
pub(crate) const TAKES_TOO_LONG: &str = "it takes too long";

pub(crate) fn name_simulated_connection(name: &str) -> String {
    format!("{name} (simulated)")
}
