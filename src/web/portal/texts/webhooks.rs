//! Webhooks: their form, state, keys and alerts.

use super::formats::count_connections;

pub(crate) const WEBHOOKS: &str = "Webhooks";
pub(crate) const ADD_WEBHOOK: &str = "Add a webhook";
pub(crate) const KEYS: &str = "Keys";
pub(crate) const RETRYING: &str = "Retrying";
pub(crate) const SENDING: &str = "Sending";

pub(crate) const FORMAT_FRONTEGG: &str = "Frontegg";
pub(crate) const FORMAT_SET: &str = "Security Event Tokens";
pub(crate) const ABOUT_FORMAT_STANDARD: &str =
    "Batches of events, the same as in the event feed. Signed as the Standard Webhooks specification says.";
pub(crate) const ABOUT_FORMAT_FRONTEGG: &str =
    "One event in each request, with the names of Frontegg. For an application that was written for it.";
pub(crate) const ABOUT_FORMAT_SET: &str =
    "One signed token in each request (RFC 8417, RFC 9967). For receivers of security events.";
pub(crate) const PAYLOAD_FULL: &str = "Full";
pub(crate) const PAYLOAD_THIN: &str = "Thin";
pub(crate) const ABOUT_PAYLOAD_FULL: &str = "Each event has the values before and after the change.";
pub(crate) const ABOUT_PAYLOAD_THIN: &str =
    "Each event has only its kind and the ids. Your application reads the rest from the API.";
pub(crate) const START_LATEST: &str = "With the next event";
pub(crate) const START_BACKFILL: &str = "With the current users and groups";
pub(crate) const ABOUT_START_LATEST: &str = "What happened before is not sent.";
pub(crate) const ABOUT_START_BACKFILL: &str =
    "They are sent first, as events. Then the new events follow, without a gap.";
pub(crate) const KEY_PAIR: &str = "Key pair";
pub(crate) const ABOUT_SECRET: &str =
    "Both sides have the same secret (HMAC with SHA-256). Every library can verify it.";
pub(crate) const ABOUT_KEY_PAIR: &str = "Your application has only a public key (Ed25519), which need not be secret.";

pub(crate) const CHOOSE_SIGNATURE: &str = "Choose how requests are signed.";
pub(crate) const CHOOSE_START: &str = "Choose where the events begin.";
pub(crate) const CHOOSE_FORMAT: &str = "Choose a format.";
pub(crate) const CHOOSE_PAYLOAD: &str = "Choose how much of an event is sent.";
pub(crate) const CHOOSE_KIND: &str = "Choose at least one kind of event, or all.";
pub(crate) const CHOOSE_KIND_OF_SET: &str =
    "Security Event Tokens are about users and groups only. Choose a kind of those.";
pub(crate) const ACCOUNT_UNKNOWN: &str = "There is no customer with this ID.";
pub(crate) const WRITE_URL_WITHOUT_MASK: &str =
    "Write the whole URL. The part *** stands for values that are not shown.";
pub(crate) const WRITE_URL_OF_APP: &str =
    "Write the whole URL of your application, such as https://app.example.com/events, without #.";
pub(crate) const WRITE_HEADER_LINES: &str = "Write one header on each line, as Name: value.";

pub(crate) fn ask_for_number(max: impl std::fmt::Display) -> String {
    format!("Write a whole number from 1 to {max}.")
}

pub(crate) fn ask_for_header_value(name: &str) -> String {
    format!("Write the value of {name}.")
}

/// What an event reports.
pub(crate) const USER_CREATED: &str = "a user was added";
pub(crate) const USER_UPDATED: &str = "attributes of a user changed";
pub(crate) const USER_DEACTIVATED: &str = "a user was deactivated";
pub(crate) const USER_REACTIVATED: &str = "a user was activated again";
pub(crate) const USER_DELETED: &str = "a user was deleted";
pub(crate) const USER_RESTORED: &str = "a deleted user was brought back";
pub(crate) const GROUP_CREATED: &str = "a group was added";
pub(crate) const GROUP_UPDATED: &str = "attributes of a group changed";
pub(crate) const GROUP_DELETED: &str = "a group was deleted";
pub(crate) const GROUP_RESTORED: &str = "a deleted group was brought back";
pub(crate) const GROUP_MEMBER_ADDED: &str = "members joined a group";
pub(crate) const GROUP_MEMBER_REMOVED: &str = "members left a group";
pub(crate) const CONNECTION_CREATED: &str = "a connection was added";
pub(crate) const CONNECTION_UPDATED: &str = "settings of a connection changed";
pub(crate) const CONNECTION_DELETED: &str = "a connection was deleted";
pub(crate) const CONNECTION_HELD: &str = "a connection is held, because its provider removed much at once";
pub(crate) const TEST_EVENT_SENT: &str = "an admin sent a test event; nothing changed";

pub(crate) const SIGNED_WITH_SECRET: &str = "Secret (HMAC with SHA-256)";
pub(crate) const SIGNED_WITH_KEY_PAIR: &str = "Key pair (Ed25519)";
pub(crate) const CONFIRM_DELETION: &str = "Tick the box to delete the webhook.";

pub(crate) const OVERLAP_NONE: &str = "not at all: the secret has leaked";

/// `failing` is the text of [`describe_failing_lanes`].
pub(crate) fn say_events_not_accepted(failing: &str) -> String {
    format!("Some events are not accepted: {failing}.")
}

/// `ago` is the age of the oldest event that waits.
pub(crate) fn say_events_are_sent(ago: &str) -> String {
    format!("Events are being sent. The oldest one that waits is from {ago}.")
}

pub(crate) const ALL_DELIVERED: &str = "Everything was delivered. Nothing waits.";
pub(crate) const PAUSED_BY_OPERATOR: &str =
    "Paused, because the operator does not allow webhooks of customers. Events wait until that changes.";
pub(crate) const PAUSED_BY_ADMIN: &str = "Paused by an admin. Events wait until you resume it.";
pub(crate) const DISABLED_BY_RESTORE: &str =
    "Disabled, because it did not send any more when the database was restored. Resume it to send again.";
pub(crate) const DISABLED_BY_APP: &str =
    "Disabled, because your application answered 410 (Gone). Events are not stored for it.";
pub(crate) const DISABLED_BY_FAILURES: &str =
    "Disabled, because events were not accepted for 90 days. Events are not stored for it.";

/// The connections whose events are not accepted, in words; empty if there are none.
pub(crate) fn describe_failing_lanes(stopped: u32, retrying: u32) -> String {
    let count = |number: u32, what| (number > 0).then(|| format!("{what} for {}", count_connections(number)));
    let parts = [count(stopped, "stopped"), count(retrying, "retrying")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(crate) const NONE_WAITS: &str = "none waits";
pub(crate) const NO_ATTEMPT: &str = "no attempt";

pub(crate) fn count_succeeded(succeeded: u32, attempts: u32) -> String {
    format!("{succeeded} of {attempts}")
}

/// `of` is the id of an account, here and below.
pub(crate) fn warn_failing_since(of: &str, since: &str) -> String {
    format!("Events of {of} are not accepted. The first failure was {since}.")
}

pub(crate) fn warn_half_of_retries(of: &str) -> String {
    format!("Events of {of} are not accepted. Half of the retries have failed.")
}

pub(crate) fn warn_most_retries(of: &str) -> String {
    format!("Events of {of} are not accepted. 70 % of the retries have failed.")
}

pub(crate) fn warn_last_retries(of: &str) -> String {
    format!("Events of {of} are not accepted. 90 % of the retries have failed: it stops soon.")
}

pub(crate) fn warn_stopped(of: &str) -> String {
    format!("Events of {of} wait. All retries have failed, so nothing is sent until you resume it.")
}
