//! The live test of a connection: its checklist, what the operator's application has read, and the failed requests.

use super::formats::{choose_form, count_groups, count_users};
use super::labels::UP_TO_DATE;

pub(crate) const REQUEST_RECEIVED: &str = "Request received";
pub(crate) const TOKEN_ACCEPTED: &str = "Token accepted";
pub(crate) const TOKEN_WAS_VALID: &str = "A request had a valid token of this connection.";
pub(crate) const TEST_PASSED: &str = "Test passed";
pub(crate) const FIRST_USER_SYNCED: &str = "First user synced";
pub(crate) const FIRST_GROUP_SYNCED: &str = "First group synced";
pub(crate) const PUSH_GROUP: &str = "Optional: push or assign a group.";
pub(crate) const ACCESS_TOKEN_FETCHED: &str = "Access token fetched";
pub(crate) const DELIVERED_TO_APP: &str = "Delivered to your app";
pub(crate) const CONNECTION_TESTED: &str = "The connection was tested successfully.";
pub(crate) const READ_ANSWERED: &str = "A read request was answered.";
pub(crate) const USER_HAS_ARRIVED: &str = "A user arrived, so the connection works.";

/// `ago` is the time since then, such as `2 hours ago`.
pub(crate) fn say_last_request(ago: &str) -> String {
    format!("Last request {ago}.")
}

pub(crate) fn say_last_token(ago: &str) -> String {
    format!("Last token {ago}.")
}

/// `provider` is the name of the identity provider, here and below.
pub(crate) fn ask_for_url(provider: &str) -> String {
    format!("Nothing received. Enter the URL in {provider}.")
}

pub(crate) fn ask_for_token(provider: &str) -> String {
    format!("Enter the token in {provider}, without the word “Bearer” unless its help asks for it.")
}

pub(crate) fn ask_for_token_url(provider: &str) -> String {
    format!("Enter token URL and client id in {provider}. No access token was requested yet.")
}

pub(crate) fn ask_for_test(provider: &str) -> String {
    format!("Test the connection in {provider}.")
}

pub(crate) fn ask_for_test_with_token(provider: &str) -> String {
    format!("No request with a valid token yet. {}", ask_for_test(provider))
}

pub(crate) fn ask_for_user(provider: &str) -> String {
    format!("Assign a user to the app in {provider}.")
}

pub(crate) fn say_provider_tested(provider: &str) -> String {
    format!("{provider} tested the connection successfully.")
}

pub(crate) fn say_users_arrived(count: i64) -> String {
    format!("{}.", count_users(count))
}

pub(crate) fn say_groups_arrived(count: i64) -> String {
    format!("{}.", count_groups(count))
}

/// `count` requests to create a user were rejected. `cause` is that of the last one.
pub(crate) fn say_users_rejected(count: usize, cause: Option<&str>, provider: &str) -> String {
    let users = choose_form(
        &count,
        "A user was rejected".to_owned(),
        format!("{count} requests to create a user were rejected, the last one"),
    );
    let cause = cause.map_or_else(String::new, |cause| format!(": {}", cause.trim_end_matches('.')));
    format!("{users}{cause}. Correct it in {provider}, then provision the user again.")
}

/// The last request for an access token failed, with this sentence about the cause and this advice.
pub(crate) fn explain_token_failure(cause: &str, advice: &str) -> String {
    format!("{} {advice}", say_token_failure(cause))
}

pub(crate) fn say_token_failure(cause: &str) -> String {
    format!("The last request failed: {}.", cause.trim_end_matches('.'))
}

pub(crate) fn say_token_failure_status(status: u16) -> String {
    format!("The last request failed with the status {status}.")
}

pub(crate) const APP_HAS_NO_EVENTS: &str = "No events";
pub(crate) const APP_IS_NOT_READING: &str = "Not reading";
pub(crate) const APP_IS_CATCHING_UP: &str = "Catching up";
pub(crate) const APP_IS_PAUSED: &str = "Paused: your app gets no changes.";
pub(crate) const NO_EVENTS_YET: &str = "No events yet.";
pub(crate) const APP_DOES_NOT_READ_YET: &str = "Your app isn’t reading events yet.";

pub(crate) fn say_webhook_delivered(ago: &str) -> String {
    format!("A webhook delivered the first event {ago}.")
}

/// `webhook` and `feed` are sentences.
pub(crate) fn add_feed(webhook: &str, feed: &str) -> String {
    format!("{webhook} The event feed: {feed}")
}

pub(crate) fn say_app_catches_up(ago: &str) -> String {
    format!("Your app is catching up. Last read {ago}.")
}

pub(crate) fn say_app_up_to_date(ago: &str) -> String {
    format!("{UP_TO_DATE}. Last read {ago}.")
}

pub(crate) fn say_app_reads_old_events(ago: &str) -> String {
    format!("Your app is far behind; these events come later in the feed. Last read {ago}.")
}

/// `waiting` events are not read, or more if `is_more`.
pub(crate) fn say_events_wait(waiting: u32, is_more: bool, ago: &str) -> String {
    let at_least = if is_more { "At least " } else { "" };
    let events = choose_form(&waiting, "event is", "events are");
    format!("{at_least}{waiting} {events} not read yet. Last read {ago}.")
}

/// Short descriptions of failed requests.
pub(crate) const UNKNOWN_TOKEN: &str = "Unknown token";
pub(crate) const FOREIGN_TOKEN: &str = "Not a token of this server";
pub(crate) const EXPIRED_TOKEN: &str = "Expired token";
pub(crate) const REVOKED_TOKEN: &str = "Revoked token";
pub(crate) const NO_BEARER_TOKEN: &str = "Not a bearer token";
pub(crate) const OLD_VERSION: &str = "The client uses SCIM 1.1";
pub(crate) const URL_TWICE: &str = "The URL is entered twice";
pub(crate) const URL_ENDS_IN_USERS: &str = "The URL ends in /Users";
