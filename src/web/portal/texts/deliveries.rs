//! Attempts to deliver events, their requests, and the lanes of a webhook: one for each connection.

pub(crate) const ATTEMPTS: &str = "Attempts";
pub(crate) const NO_ANSWER: &str = "no answer";

/// `duration` is such as `35 ms`, here and below.
pub(crate) fn say_answered(status: u16, duration: &str) -> String {
    format!("Your application answered {status} after {duration}.")
}

pub(crate) fn say_not_answered(duration: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => format!("No answer after {duration}: {error}."),
        None => format!("No answer after {duration}."),
    }
}

/// An answer that was not accepted.
pub(crate) fn add_error(status: u16, error: &str) -> String {
    format!("{status}, {error}")
}

pub(crate) const TEST: &str = "Test";
pub(crate) const CURRENT_RESOURCES: &str = "Current users and groups";
pub(crate) const TEST_BODY: &str = "An empty event of the type webhook.test, in the format of the webhook.";
pub(crate) const BACKFILL_NOT_STORED: &str =
    "Users, groups and memberships that existed when the webhook began. The body is not stored.";
pub(crate) const CONNECTION_PURGED: &str = "The connection was purged, so the body cannot be built again.";
pub(crate) const EVENTS_NOT_STORED: &str = "The events are no longer stored, so the body cannot be built again.";
pub(crate) const BODY_NEEDS_PERMISSION: &str =
    "The body has values of users. To see it, you need the permission “directory.read”.";
pub(crate) const CHANGED_SINCE: &str = "The settings or the events have changed since: this is what would be sent now.";
pub(crate) const CLAIMS_ONLY: &str = "The claims of the token, without its signature.";

pub(crate) fn name_event_range(first: i64, last: i64) -> String {
    format!("Events {first} to {last}")
}

/// Advice about an answer of the application.
pub(crate) const REDIRECTED: &str = "Redirects are not followed. Write the final URL in the settings.";
pub(crate) const REQUEST_REJECTED: &str =
    "Your application rejected the request. Check the secret there, and the headers in the settings.";
pub(crate) const PATH_WRONG: &str =
    "The path is not the right one, or it does not accept POST. Check the URL in the settings.";
pub(crate) const APP_IS_GONE: &str =
    "Your application answered that it wants no more events, so the webhook was disabled.";
pub(crate) const REQUEST_TOO_LARGE: &str =
    "The request is too large for your application. Choose smaller batches or the thin payload.";
pub(crate) const TOO_MANY_REQUESTS: &str =
    "Your application asked for fewer requests. A rate limit in the settings avoids this.";
pub(crate) const APP_FAILED: &str = "Your application failed. Its log has the reason; webhook-id names the request.";
pub(crate) const STATUS_NOT_SUCCESS: &str = "Only a status from 200 to 299 is success.";
pub(crate) const URL_NOT_REACHED: &str =
    "This server must reach the URL within 5 seconds, and get the answer within 15.";

pub(crate) const DELETED_CONNECTION: &str = "a deleted connection";

/// `connection` is a name.
pub(crate) fn title_lane(connection: &str) -> String {
    format!("Events of {connection}")
}

/// Numbers of waiting events above this are not counted.
const COUNTED_MAX: u32 = 10_000;

/// Number of waiting events of a lane.
pub(crate) fn describe_waiting(waiting: u32, is_backfilling: bool) -> String {
    let number = if waiting >= COUNTED_MAX { "10,000 or more".to_owned() } else { waiting.to_string() };
    if is_backfilling { format!("{number}, after the current users and groups") } else { number }
}

/// What a skip leaves out.
pub(crate) fn say_left_out(waiting: u32, is_backfilling: bool) -> String {
    let events = match waiting {
        COUNTED_MAX.. => "10,000 or more events are".to_owned(),
        1 => "1 event is".to_owned(),
        number => format!("{number} events are"),
    };
    let first = if is_backfilling { " The rest of the current users and groups is left out too." } else { "" };
    format!("{events} left out permanently.{first} The audit log has the number.")
}

pub(crate) const CONFIRM_SKIP: &str = "Tick the box to leave the events out.";
pub(crate) const WRITE_FIRST_NUMBER: &str = "Enter the number of the first event.";
pub(crate) const WRITE_LAST_NUMBER: &str = "Enter the number of the last event. It must not be before the first.";

/// Why an event has no attempt.
pub(crate) const KIND_NOT_SENT: &str = "It does not get events of this kind.";
pub(crate) const KIND_ADDED_LATER: &str =
    "It gets events of this kind, but only later ones: the kind was added after this event.";
pub(crate) const ATTEMPT_NOT_STORED: &str =
    "No attempt is stored. It began later, the event was left out, or it was delivered more than 30 days ago.";
pub(crate) const WAITS_STOPPED: &str = "It waits. An earlier event was not accepted, and the retries have ended.";
pub(crate) const WAITS_RETRYING: &str = "It waits. An earlier event is being retried.";
pub(crate) const WAITS_PAUSED: &str = "It waits. The webhook is paused or disabled.";
pub(crate) const WAITS_FOR_TURN: &str = "It waits for its turn.";

/// Languages of the code samples.
pub(crate) const NODE: &str = "Node";
pub(crate) const PYTHON: &str = "Python";
pub(crate) const GO: &str = "Go";
pub(crate) const RUST: &str = "Rust";
