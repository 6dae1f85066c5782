//! Checks of data in the database: owners, tokens that expire soon, and the clock.

use crate::clock::{self, CORRECTION_MAX, EARLIEST_TIME, HeldLeap, Millis, StartDoubt};
use crate::doctor::{Finding, format_duration};
use crate::error::Result;
use crate::management::configurations::holds;
use crate::management::instance::replica;
use crate::management::oauth::{self, EndingSecret};
use crate::management::quotas::{self, QuotaWarning};
use crate::management::webhooks::lanes::{self, LaneAlert, LaneAlertLevel};
use crate::management::{admins, instance, tokens};
use crate::model::audit_context::AccountScope;
use crate::model::oauth::{SECRET_WARNING_DAYS, find_warning_days};
use crate::model::webhook::mask_url;
use crate::provisioning::feed;
use crate::replica::ProofResult;
use crate::store::Snapshot;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Tokens that expire within this time are reported.
const TOKENS_SOON: Millis = 14 * DAY;
/// Secrets that ended longer ago than this are not reported any more.
const ENDED_SINCE_MAX: Millis = 30 * DAY;
/// Maximum number of secrets that are read.
const SECRETS_MAX: u32 = 1_000;
/// Maximum number of connections that a message names.
const NAMED_MAX: usize = 3;

/// The data of the checks.
#[derive(Debug, Clone, Default)]
pub struct DatabaseSummary {
    /// Public URL of the server.
    pub public_url: String,
    /// Number of owners who can sign in.
    pub(super) owners: i64,
    /// Names of the connections whose tokens expire soon.
    pub(super) expiring: Vec<String>,
    /// The last secrets of OAuth clients that end soon, or ended lately.
    pub(super) ending_secrets: Vec<EndingSecret>,
    /// Time of the newest event.
    pub(super) newest_event: Option<Millis>,
    /// Quotas of which at least 80 % are used.
    pub(super) full_quotas: Vec<QuotaWarning>,
    /// Lanes of webhooks that fail.
    pub(super) webhook_alerts: Vec<LaneAlert>,
    /// Names of the connections whose changes wait for a decision.
    pub(super) held: Vec<String>,
    /// The last proof of the replica.
    pub(super) replica_proof: Option<ProofResult>,
}

impl DatabaseSummary {
    pub(super) fn read(at: &Snapshot<'_>, now: Millis) -> Result<Self> {
        Ok(Self {
            public_url: instance::get_public_url(at)?,
            owners: admins::count_active_owners(at)?,
            expiring: tokens::list_expiring_tokens(at, None, (now, now + TOKENS_SOON))?
                .into_iter()
                .map(|token| token.connection_name)
                .collect(),
            ending_secrets: oauth::list_ending_secrets(
                at,
                &AccountScope::AllAccounts,
                (now - ENDED_SINCE_MAX, now + Millis::from(SECRET_WARNING_DAYS[0]) * DAY),
                SECRETS_MAX,
            )?,
            newest_event: feed::find_newest_event_time(at)?,
            full_quotas: quotas::list_warnings(at)?,
            webhook_alerts: lanes::list_alerts(at, &AccountScope::AllAccounts, now)?,
            held: holds::list_held_connections(at)?,
            replica_proof: replica::find_proof(at)?,
        })
    }
}

pub(super) fn check_rows(rows: &DatabaseSummary, now: Millis) -> Vec<Finding> {
    vec![
        check_clock(rows, clock::find_held_leap(), clock::find_start_doubt(), now),
        check_owners(rows),
        check_expiring_tokens(rows),
        check_ending_secrets(rows, now),
        check_quotas(rows),
        check_webhooks(rows),
        check_holds(rows),
    ]
}

/// Reports connections whose changes wait for a decision.
fn check_holds(rows: &DatabaseSummary) -> Finding {
    const ABOUT: &str = "Holds";
    const NEXT: &str = "Decide on the page of the connection, or with `rollcall hold`: allow, or reject the removals.";
    if rows.held.is_empty() {
        return Finding::fine(ABOUT, "No connection is held.");
    }
    let message = format!(
        "Many users, memberships or groups were removed at once, so changes are held: {}.",
        rows.held.join(", ")
    );
    Finding::problem(ABOUT, message, NEXT)
}

/// Reports lanes of webhooks that have stopped or fail for an hour.
fn check_webhooks(rows: &DatabaseSummary) -> Finding {
    const ABOUT: &str = "Webhooks";
    const NEXT: &str = "Look at the attempts of the webhook in the portal under Webhooks, or with GET /directory/resources/v1/webhooks/{id}/attempts; repair the endpoint, and resume the lane.";
    let Some(worst) = rows.webhook_alerts.first() else {
        return Finding::fine(ABOUT, "No webhook has stopped or fails for an hour.");
    };
    let stopped = rows.webhook_alerts.iter().filter(|alert| alert.level == LaneAlertLevel::Stopped).count();
    let message = format!(
        "{} lanes of webhooks fail, {stopped} of them have stopped. The first is {} for the configuration {}: {}.",
        rows.webhook_alerts.len(),
        mask_url(&worst.webhook.settings.url),
        worst.configuration_id,
        worst.last_error,
    );
    if stopped > 0 { Finding::problem(ABOUT, message, NEXT) } else { Finding::warning(ABOUT, message, NEXT) }
}

const CLOCK_ABOUT: &str = "Clock";
const CLOCK_NEXT: &str = "Set the clock of the machine, preferably with an NTP service.";

/// Reports a leap of the system clock that the server does not follow, or a time at the start that it doubts.
pub(super) fn check_doubts(leap: Option<HeldLeap>, doubt: Option<StartDoubt>, now: Millis) -> Finding {
    match (leap, doubt) {
        (Some(leap), _) => report_leap(leap, now),
        (None, Some(doubt)) => report_start_doubt(doubt),
        (None, None) => Finding::fine(CLOCK_ABOUT, "The clock of the machine did not leap."),
    }
}

fn report_start_doubt(doubt: StartDoubt) -> Finding {
    let difference = doubt.difference();
    let message = format!(
        "The time at the start is {} {} the last recorded time. The server deletes no expired data for an hour after its start.",
        format_duration(difference.saturating_abs()),
        if difference > 0 { "after" } else { "before" },
    );
    let next = "Check the clock of the machine. If the server was off in the meantime and the time is right, accept it in the portal under Settings, Health, with POST /directory/resources/v1/settings/clock, or wait.";
    Finding::warning(CLOCK_ABOUT, message, next)
}

fn report_leap(leap: HeldLeap, now: Millis) -> Finding {
    let direction = if leap.difference > 0 { "forward" } else { "back" };
    let message = format!(
        "The clock of the machine leaped {} {direction}, {} ago. The server does not follow it for an hour.",
        format_duration(leap.difference.saturating_abs()),
        format_duration(now - leap.since)
    );
    let next = "Set the clock of the machine. If its new time is right, accept it: in the portal under Settings, Health, with POST /directory/resources/v1/settings/clock, or by a restart.";
    Finding::problem(CLOCK_ABOUT, message, next)
}

fn check_clock(rows: &DatabaseSummary, leap: Option<HeldLeap>, doubt: Option<StartDoubt>, now: Millis) -> Finding {
    if leap.is_some() || doubt.is_some() {
        return check_doubts(leap, doubt, now);
    }
    if now < EARLIEST_TIME {
        return Finding::problem(CLOCK_ABOUT, "The clock shows a time before the release of this program.", CLOCK_NEXT);
    }
    let ahead = rows.newest_event.map_or(0, |at| at - now);
    if ahead > CORRECTION_MAX {
        let message = format!(
            "The time of the newest event is {} in the future: the clock was wrong then or is wrong now.",
            format_duration(ahead)
        );
        return Finding::warning(CLOCK_ABOUT, message, CLOCK_NEXT);
    }
    Finding::fine(CLOCK_ABOUT, "The clock is consistent with the newest event.")
}

fn check_owners(rows: &DatabaseSummary) -> Finding {
    const ABOUT: &str = "Owners";
    match rows.owners {
        0 => Finding::warning(
            ABOUT,
            "No owner can sign in to the portal.",
            "Run rollcall setup-url, or rollcall admin create.",
        ),
        1 => {
            Finding::fine(ABOUT, "One owner can sign in. A second owner prevents a lockout if the first loses access.")
        }
        owners => Finding::fine(ABOUT, format!("{owners} owners can sign in.")),
    }
}

fn check_expiring_tokens(rows: &DatabaseSummary) -> Finding {
    const ABOUT: &str = "Tokens";
    let count = rows.expiring.len();
    if count == 0 {
        return Finding::fine(ABOUT, "No token expires within 14 days.");
    }
    let named = rows.expiring.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if count > NAMED_MAX { ", …" } else { "" };
    let message =
        format!("{count} token{} within 14 days ({named}{more}).", if count == 1 { " expires" } else { "s expire" });
    Finding::warning(ABOUT, message, "Rotate them on the tokens page of the connection, or with rollcall token rotate.")
}

/// Reports the last secrets of OAuth clients that end within 30 days. Each message names the nearest of 30, 14, 3 and 1 days.
fn check_ending_secrets(rows: &DatabaseSummary, now: Millis) -> Finding {
    const ABOUT: &str = "OAuth clients";
    const NEXT: &str = "Add a second secret on the page of the OAuth client in the portal (Credentials of the connection), or with rollcall oauth-client add-secret; enter it in the identity provider; then delete the earlier one.";
    let found: Vec<(u32, &EndingSecret)> = rows
        .ending_secrets
        .iter()
        .filter_map(|ending| Some((find_warning_days(ending.expires_at, now)?, ending)))
        .collect();
    if found.is_empty() {
        return Finding::fine(ABOUT, "No last secret of an OAuth client ends within 30 days.");
    }
    let named = found.iter().take(NAMED_MAX).map(|(days, ending)| {
        let end = match days {
            0 => "has ended".to_owned(),
            1 => "within a day".to_owned(),
            days => format!("within {days} days"),
        };
        format!("{} of {}: {end}", ending.client_label, ending.connection_name)
    });
    let named = named.collect::<Vec<_>>().join("; ");
    let more = if found.len() > NAMED_MAX { "; …" } else { "" };
    let message = format!("Last secrets of OAuth clients that end or have ended: {} ({named}{more}).", found.len());
    Finding::warning(ABOUT, message, NEXT)
}

fn check_quotas(rows: &DatabaseSummary) -> Finding {
    const ABOUT: &str = "Quotas";
    let count = rows.full_quotas.len();
    if count == 0 {
        return Finding::fine(ABOUT, "No connection and no customer uses 80 % of a quota.");
    }
    let named = rows.full_quotas.iter().take(NAMED_MAX).map(|one| {
        let percent = one.status.percent().unwrap_or_default();
        format!("{} {}: {percent} % of its {}", one.usage.owner.label(), one.name, one.status.kind.label())
    });
    let named = named.collect::<Vec<_>>().join("; ");
    let more = if count > NAMED_MAX { "; …" } else { "" };
    let message = format!("Quotas of which at least 80 % are used: {count} ({named}{more}).");
    Finding::warning(ABOUT, message, "Raise the limits with rollcall quota set, or remove users and groups.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_clock_before_the_newest_event_is_a_warning() {
        let rows = DatabaseSummary { newest_event: Some(EARLIEST_TIME + DAY), ..DatabaseSummary::default() };
        assert_eq!(check_clock(&rows, None, None, EARLIEST_TIME + DAY).grade, Severity::Fine);
        assert_eq!(check_clock(&rows, None, None, EARLIEST_TIME).grade, Severity::Warning);
        let leap = Some(HeldLeap { difference: -DAY, since: EARLIEST_TIME });
        let finding = check_clock(&rows, leap, None, EARLIEST_TIME + 60_000);
        assert_eq!(finding.grade, Severity::Problem);
        assert!(finding.message.contains("24 hours back, 1 minute ago"), "{}", finding.message);
        assert_eq!(check_clock(&rows, None, None, 0).grade, Severity::Problem);
        let doubt = Some(StartDoubt { recorded_at: EARLIEST_TIME, since: EARLIEST_TIME + 3 * DAY });
        let finding = check_clock(&rows, None, doubt, EARLIEST_TIME + 3 * DAY);
        assert_eq!(finding.grade, Severity::Warning);
        assert!(finding.message.contains("3 days after"), "{}", finding.message);
    }

    #[test]
    fn ending_secrets_are_named_with_the_nearest_threshold() {
        let ending = |expires_at| EndingSecret {
            configuration_id: "c".to_owned(),
            connection_name: "Main".to_owned(),
            client_id: "rcc_1".to_owned(),
            client_label: "Entra".to_owned(),
            expires_at,
        };
        let check = |endings: &[Millis]| {
            let ending_secrets = endings.iter().map(|end| ending(*end)).collect();
            check_ending_secrets(&DatabaseSummary { ending_secrets, ..DatabaseSummary::default() }, 0)
        };
        assert_eq!(check(&[]).grade, Severity::Fine);
        for (end, text) in [(20 * DAY, "within 30 days"), (5 * DAY, "within 14 days"), (2 * DAY, "within 3 days")] {
            let found = check(&[end]);
            assert!(found.grade == Severity::Warning && found.message.contains(text), "{}", found.message);
        }
        let message = check(&[-DAY, DAY]).message;
        assert!(message.contains("has ended") && message.contains("within a day"), "{message}");
    }

    #[test]
    fn expiring_tokens_are_counted_and_three_are_named() {
        let ending = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let found = super::check_expiring_tokens(&DatabaseSummary { expiring: ending, ..DatabaseSummary::default() });
        assert!(
            found.grade == Severity::Warning
                && found.message.contains("4 tokens")
                && found.message.contains("a, b, c, …")
        );
    }
}
