//! The request log, its chart, and sending a request again.

use super::formats::add_utc;

pub(crate) const CHANGES: &str = "Changes";
pub(crate) const SEARCHES: &str = "Searches";

/// Names of the filters in the summary.
pub(crate) const CAUSE: &str = "cause";
pub(crate) const METHOD: &str = "method";
pub(crate) const USER_OR_GROUP: &str = "user or group";
pub(crate) const TEXT: &str = "text";
pub(crate) const FROM: &str = "from";
pub(crate) const TO: &str = "to";

pub(crate) const LABEL_FROM: &str = "From";
pub(crate) const LABEL_TO: &str = "To";

pub(crate) fn say_time_invalid(text: &str) -> String {
    format!("“{text}” is not a valid time. Write it like 2026-07-14T09:30.")
}

pub(crate) const REQUEST_BODY: &str = "Request body";
pub(crate) const RESPONSE_BODY: &str = "Response body";
pub(crate) const NO_BODY: &str = "There was none.";
pub(crate) const SEND_AGAIN: &str = "Send again";

pub(crate) fn say_body_not_stored(bytes: u64) -> String {
    format!("Its {bytes} bytes were not stored.")
}

/// The totals of the chart, such as `2204 accepted · 40 rejected`.
pub(crate) fn describe_totals(accepted: i64, rejected: i64, missed: i64) -> String {
    let more = if missed > 0 { format!(" · {missed} not recorded (log was full)") } else { String::new() };
    format!("{accepted} accepted · {rejected} rejected{more}")
}

pub(crate) fn describe_peak(requests: i64) -> String {
    format!("Peak hour: {requests}.")
}

/// `time` is the begin of the hour in UTC.
pub(crate) fn describe_hour(time: &str, accepted: i64, rejected: i64) -> String {
    format!("{}: {accepted} accepted, {rejected} rejected", add_utc(time))
}
