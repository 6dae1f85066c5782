//! Status of a configuration: a label and a sentence for the overview pages.

use crate::clock::Millis;
use crate::diagnosis::describe_cause;
use crate::model::configuration::Configuration;
use crate::model::request::{CallHealth, FailureCause};
use crate::model::webhook::DeliveryHealth;
use crate::providers::IdentityProvider;

/// Status of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// No call with its token yet.
    Waiting,
    /// Calls arrived, but no write yet.
    Testing,
    /// The last call was within the expected interval.
    Live,
    /// No call for two expected intervals.
    Quiet,
    /// Too many of the recent calls failed, or a webhook does not accept the events.
    Failing,
    /// Publication is paused by an admin.
    Paused,
    /// The identity provider removed too much at once: its changes wait for a decision.
    Held,
}

/// The last request to a configuration that never got one with a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedAttempt {
    /// When it arrived.
    pub at: Millis,
    /// Why it was rejected, if that is recorded.
    pub cause: Option<FailureCause>,
}

/// What the status of a configuration depends on.
#[derive(Debug, Clone, Copy)]
pub struct StatusFacts<'a> {
    /// The configuration.
    pub configuration: &'a Configuration,
    /// Health of its recent calls.
    pub calls: &'a CallHealth,
    /// The last request, if none had a valid token yet.
    pub attempt: Option<RejectedAttempt>,
    /// Health of the deliveries of its events.
    pub deliveries: &'a DeliveryHealth,
    /// Its provider.
    pub provider: &'a IdentityProvider,
    /// The current time.
    pub now: Millis,
}

impl ConnectionStatus {
    /// All values in the order of the filter.
    pub const ALL: [Self; 7] =
        [Self::Held, Self::Failing, Self::Quiet, Self::Waiting, Self::Testing, Self::Live, Self::Paused];

    /// Returns the status.
    pub fn from_facts(facts: &StatusFacts<'_>) -> Self {
        let one = facts.configuration;
        if one.held {
            return Self::Held;
        }
        if !one.sync {
            return Self::Paused;
        }
        if facts.calls.is_failing() || facts.deliveries.is_failing() {
            return Self::Failing;
        }
        match (one.last_seen, one.last_sync) {
            (None, _) => Self::Waiting,
            (Some(_), None) => Self::Testing,
            (Some(seen), Some(_)) if facts.now - seen > 2 * facts.provider.max_call_interval => Self::Quiet,
            (Some(_), Some(_)) => Self::Live,
        }
    }

    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Testing => "Testing",
            Self::Live => "Live",
            Self::Quiet => "Quiet",
            Self::Failing => "Failing",
            Self::Paused => "Paused",
            Self::Held => "Held",
        }
    }

    /// The key in URLs and style sheets.
    pub fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Testing => "testing",
            Self::Live => "live",
            Self::Quiet => "quiet",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Held => "held",
        }
    }

    /// Returns a sentence with the reason and the next step.
    pub fn describe(self, facts: &StatusFacts<'_>) -> String {
        let StatusFacts { configuration: one, provider, now, .. } = *facts;
        let name = provider.name;
        let ago = |at: Option<Millis>| at.map_or_else(|| "never".to_owned(), |at| format_ago(now - at));
        match self {
            Self::Waiting => facts.attempt.map_or_else(
                || format!("Nothing received yet. Follow the setup steps, then test the connection in {name}."),
                |attempt| describe_attempt(attempt, name, now),
            ),
            Self::Testing if facts.calls.failures > 0 => describe_rejected_test(facts.calls, name),
            Self::Testing => format!("{name} is connected. Assign a user to start syncing."),
            Self::Live => format!("Last change {}, last request {}.", ago(one.last_sync), ago(one.last_seen)),
            Self::Quiet => {
                let last = ago(one.last_seen);
                let span = last.strip_suffix(" ago").unwrap_or(&last);
                format!("No requests for {span}. Check that provisioning is still on in {name}.")
            }
            Self::Failing => {
                let calls = facts.calls.is_failing().then(|| describe_failing_calls(facts.calls, name));
                let deliveries =
                    facts.deliveries.is_failing().then(|| describe_failing_deliveries(facts.deliveries, now));
                calls.into_iter().chain(deliveries).collect::<Vec<_>>().join(" ")
            }
            Self::Held => format!(
                "{name} removed much at once. Its changes are stored, but do not reach your application until you decide."
            ),
            Self::Paused if one.staged => {
                format!("Staged. What {name} sends is stored, but nothing reaches your application until you go live.")
            }
            Self::Paused => {
                "Paused. Requests still succeed and are stored, but no changes reach your application.".to_owned()
            }
        }
    }
}

/// Why a connection waits although requests arrive.
fn describe_attempt(attempt: RejectedAttempt, name: &str, now: Millis) -> String {
    let ago = format_ago(now - attempt.at);
    let cause = attempt.cause.and_then(describe_cause).map_or_else(String::new, |cause| format!(": {cause}"));
    format!(
        "Requests arrive, but none had a valid token yet. The last one was rejected {ago}{cause}. Enter URL and token again in {name}."
    )
}

/// Why a connection has no user although requests have a valid token.
fn describe_rejected_test(health: &CallHealth, name: &str) -> String {
    let cause = health.last_cause.and_then(describe_cause).map_or_else(String::new, |cause| format!(": {cause}"));
    let last = match health.failures {
        1 => "the last request was rejected".to_owned(),
        count => format!("the last {count} requests were rejected"),
    };
    format!("{name} is connected, but {last}{cause}. See the request log.")
}

fn describe_failing_calls(health: &CallHealth, name: &str) -> String {
    let cause = health.last_cause.and_then(describe_cause);
    let cause = cause.map_or_else(String::new, |cause| format!(" The last one: {cause}."));
    if health.auth_failures >= 3 {
        let failures = health.auth_failures;
        format!("The last {failures} requests used an invalid token.{cause} Enter the current token in {name}.")
    } else {
        let (failures, calls) = (health.recent_failures(), health.recent_calls());
        format!("{failures} of the last {calls} requests were rejected.{cause} See the request log.")
    }
}

fn describe_failing_deliveries(health: &DeliveryHealth, now: Millis) -> String {
    let ago = health.since.map_or_else(|| "just now".to_owned(), |since| format_ago(now - since));
    let webhooks = match health.retrying + health.stopped {
        1 => "A webhook does not accept its events".to_owned(),
        count => format!("{count} webhooks do not accept its events"),
    };
    let next_step = match health.stopped {
        0 => "They are retried. See the attempts of the webhook.",
        1 => "All retries of one have failed: fix your application, then resume the webhook.",
        _ => "All retries of several have failed: fix your application, then resume the webhooks.",
    };
    format!("{webhooks}. The first failure was {ago}. {next_step}")
}

/// Returns a duration in its largest unit, such as `2 hours ago`.
pub fn format_ago(span: Millis) -> String {
    const UNITS: [(Millis, &str); 4] =
        [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    for (length, unit) in UNITS {
        let count = span / length;
        if count >= 1 {
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {unit}{plural} ago");
        }
    }
    "just now".to_owned()
}

/// Formats the end of something relative to `now`, such as `in 12 days`.
pub fn format_until(at: Millis, now: Millis) -> String {
    let left = at - now;
    if left <= 0 {
        return format_ago(-left);
    }
    // Rounded, so that a lifetime of seven days starts as seven days, not as six.
    let unit = [86_400_000, 3_600_000, 60_000].into_iter().find(|unit| left >= *unit).unwrap_or(0);
    format_ago(left + unit / 2).strip_suffix(" ago").map_or_else(|| "at once".to_owned(), |span| format!("in {span}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::model::account::AccountRef;
    use crate::model::configuration::ConfigurationSource;
    use crate::model::request::{CallOutcome, TokenRefusal};
    use crate::model::switches::Switches;
    use crate::providers::find_provider;

    const HOUR: Millis = 3_600_000;

    fn one(seen: Option<Millis>, synced: Option<Millis>, sync: bool) -> Configuration {
        Configuration {
            key: 1,
            id: "x".to_owned(),
            account: AccountRef { key: 1, id: "acme".to_owned() },
            connection_name: "Main".to_owned(),
            source: ConfigurationSource::AzureAd,
            provider: None,
            switches: Switches::default(),
            revision: 1,
            sync,
            staged: false,
            created_at: 0,
            last_sync: synced,
            last_seen: seen,
            deleted_at: None,
            held: false,
        }
    }

    const DELIVERED: DeliveryHealth = DeliveryHealth { retrying: 0, stopped: 0, since: None };

    fn facts<'a>(configuration: &'a Configuration, calls: &'a CallHealth, now: Millis) -> StatusFacts<'a> {
        let provider = find_provider("entra").unwrap();
        StatusFacts { configuration, calls, attempt: None, deliveries: &DELIVERED, provider, now }
    }

    #[test]
    fn events_that_a_webhook_does_not_accept_are_named_in_the_sentence() {
        let (configuration, fine) = (one(Some(0), Some(0), true), CallHealth::default());
        for (retrying, stopped, sentence) in [
            (
                1,
                0,
                "A webhook does not accept its events. The first failure was 2 hours ago. They are retried. See the \
                 attempts of the webhook.",
            ),
            (
                1,
                1,
                "2 webhooks do not accept its events. The first failure was 2 hours ago. All retries of one have \
                 failed: fix your application, then resume the webhook.",
            ),
        ] {
            let deliveries = DeliveryHealth { retrying, stopped, since: Some(0) };
            let facts = StatusFacts { deliveries: &deliveries, ..facts(&configuration, &fine, 2 * HOUR) };
            assert_eq!(ConnectionStatus::from_facts(&facts), ConnectionStatus::Failing);
            assert_eq!(ConnectionStatus::Failing.describe(&facts), sentence);
        }
    }

    #[test]
    fn a_configuration_goes_from_waiting_to_live_and_quiet() {
        let fine = CallHealth::default();
        for (configuration, now, status) in [
            (one(None, None, true), HOUR, ConnectionStatus::Waiting),
            (one(Some(0), None, true), HOUR, ConnectionStatus::Testing),
            (one(Some(0), Some(0), true), HOUR, ConnectionStatus::Live),
            (one(Some(0), Some(0), true), 2 * HOUR, ConnectionStatus::Quiet),
            (one(Some(0), Some(0), false), 2 * HOUR, ConnectionStatus::Paused),
        ] {
            let facts = facts(&configuration, &fine, now);
            assert_eq!(ConnectionStatus::from_facts(&facts), status);
            assert!(!status.describe(&facts).is_empty());
        }
    }

    #[test]
    fn rejected_requests_before_the_first_success_are_named_in_the_sentence() {
        let (waiting, mut calls) = (one(None, None, true), CallHealth::default());
        let cause = Some(FailureCause::Token(TokenRefusal::UnknownToken));
        let attempt = Some(RejectedAttempt { at: 0, cause });
        let facts_of_waiting = StatusFacts { attempt, ..facts(&waiting, &calls, HOUR) };
        let sentence = ConnectionStatus::Waiting.describe(&facts_of_waiting);
        assert!(!sentence.contains("Nothing received"), "{sentence}");
        assert!(sentence.contains("The last one was rejected 1 hour ago: the token is unknown."), "{sentence}");
        calls.add_call(CallOutcome::Failed, 1, Some(FailureCause::Reason(Reason::UserNameTaken)));
        let testing = one(Some(0), None, true);
        let sentence = ConnectionStatus::Testing.describe(&facts(&testing, &calls, HOUR));
        assert!(sentence.contains("the last request was rejected: userName is taken."), "{sentence}");
        calls.add_call(CallOutcome::Succeeded, 2, None);
        let sentence = ConnectionStatus::Testing.describe(&facts(&testing, &calls, HOUR));
        assert!(sentence.contains("Assign a user"), "{sentence}");
    }

    #[test]
    fn a_staged_configuration_says_so() {
        let (staged, fine) = (Configuration { staged: true, ..one(None, None, false) }, CallHealth::default());
        let facts = facts(&staged, &fine, HOUR);
        let status = ConnectionStatus::from_facts(&facts);
        assert_eq!(status, ConnectionStatus::Paused);
        assert!(status.describe(&facts).starts_with("Staged. What Microsoft Entra ID sends is stored"));
    }

    #[test]
    fn a_hold_comes_before_every_other_status() {
        let (fine, held) = (CallHealth::default(), Configuration { held: true, ..one(Some(0), Some(0), false) });
        let facts = facts(&held, &fine, HOUR);
        let status = ConnectionStatus::from_facts(&facts);
        assert_eq!(status, ConnectionStatus::Held);
        assert!(status.describe(&facts).contains("until you decide"));
    }

    #[test]
    fn three_wrong_tokens_in_a_row_are_named_in_the_sentence() {
        let mut health = CallHealth::default();
        let cause = Some(FailureCause::Token(TokenRefusal::RevokedToken));
        (0..3).for_each(|_| health.add_call(CallOutcome::TokenRefused, 1, cause));
        let configuration = one(Some(0), Some(0), true);
        let facts = facts(&configuration, &health, HOUR);
        let status = ConnectionStatus::from_facts(&facts);
        assert_eq!(status, ConnectionStatus::Failing);
        let sentence = status.describe(&facts);
        assert!(
            sentence.contains("The last 3 requests used an invalid token. The last one: the token was revoked."),
            "{sentence}"
        );
    }

    #[test]
    fn durations_have_their_largest_unit() {
        for (span, text) in [
            (0, "just now"),
            (1_000, "1 second ago"),
            (120_000, "2 minutes ago"),
            (HOUR, "1 hour ago"),
            (50 * HOUR, "2 days ago"),
        ] {
            assert_eq!(format_ago(span), text);
        }
    }

    #[test]
    fn an_end_is_relative_to_now() {
        assert_eq!(format_until(12 * 24 * HOUR, 0), "in 12 days");
        assert_eq!(format_until(7 * 24 * HOUR - 1, 0), "in 7 days");
        assert_eq!(format_until(500, 0), "at once");
        assert_eq!(format_until(0, 48 * HOUR), "2 days ago");
    }
}
