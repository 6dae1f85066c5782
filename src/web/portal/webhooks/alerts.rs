//! Alerts about lanes of webhooks that fail: on the start page, in the list, and on the pages of a webhook and a connection.

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_ago;
use crate::error::Result;
use crate::management::accounts::account_names::AccountNames;
use crate::management::webhooks as management;
use crate::management::webhooks::lanes::{self, LaneAlert, LaneAlertLevel};
use crate::model::audit_context::AccountScope;
use crate::store::Snapshot;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::webhooks::webhook_name;

/// Most alerts on a page.
const ALERTS_MAX: usize = 20;

/// The alerts that a page shows, most serious first.
#[derive(Default)]
pub(crate) struct WebhookAlerts {
    pub(crate) lines: Vec<WebhookAlertLine>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// An alert in one sentence.
pub(crate) struct WebhookAlertLine {
    webhook_id: String,
    configuration_id: String,
    pub(crate) webhook_name: String,
    pub(crate) sentence: String,
    pub(crate) last_error: String,
    pub(crate) is_stopped: bool,
}

impl WebhookAlertLine {
    fn new(alert: LaneAlert, names: &AccountNames, now: Millis) -> Self {
        let since = format_ago(now - alert.since);
        let of = names.find(&alert.account);
        let sentence = match alert.level {
            LaneAlertLevel::FailingForAnHour => texts::webhooks::warn_failing_since(of, &since),
            LaneAlertLevel::HalfOfRetries => texts::webhooks::warn_half_of_retries(of),
            LaneAlertLevel::MostRetries => texts::webhooks::warn_most_retries(of),
            LaneAlertLevel::LastRetries => texts::webhooks::warn_last_retries(of),
            LaneAlertLevel::Stopped => texts::webhooks::warn_stopped(of),
        };
        Self {
            webhook_name: webhook_name(&alert.webhook),
            webhook_id: alert.webhook.id,
            configuration_id: alert.configuration_id,
            sentence,
            last_error: alert.last_error,
            is_stopped: alert.level == LaneAlertLevel::Stopped,
        }
    }

    /// Path of the page of the lane.
    pub(crate) fn lane_path(&self) -> String {
        format!("/webhooks/{}/lanes/{}", self.webhook_id, self.configuration_id)
    }
}

impl WebhookAlerts {
    /// Reads the alerts for an admin; none without access to webhooks.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn read(at: &Snapshot<'_>, signed: &SignedIn, scope: &AccountScope, now: Millis) -> Result<Self> {
        if !signed.sees_webhooks {
            return Ok(Self::default());
        }
        Self::select(at, scope, now, |_| true)
    }

    /// The same for one webhook.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn of_webhook(at: &Snapshot<'_>, scope: &AccountScope, id: &str, now: Millis) -> Result<Self> {
        Self::select(at, scope, now, |alert| alert.webhook.id == id)
    }

    /// Only those of one connection.
    #[must_use]
    pub(crate) fn of_configuration(mut self, id: &str) -> Self {
        self.lines.retain(|line| line.configuration_id == id);
        Self { more: 0, ..self }
    }

    fn select(
        at: &Snapshot<'_>,
        scope: &AccountScope,
        now: Millis,
        is_selected: impl Fn(&LaneAlert) -> bool,
    ) -> Result<Self> {
        // An admin of an account sees its own webhooks only, not those of the operator that send the same events.
        let visible: Vec<i64> = management::list_webhooks(at, scope)?.iter().map(|webhook| webhook.key).collect();
        let mut found = lanes::list_alerts(at, scope, now)?;
        found.retain(|alert| visible.contains(&alert.webhook.key) && is_selected(alert));
        let more = found.len().saturating_sub(ALERTS_MAX);
        found.truncate(ALERTS_MAX);
        let names = AccountNames::read(at, found.iter().map(|alert| &alert.account))?;
        let lines = found.into_iter().map(|alert| WebhookAlertLine::new(alert, &names, now)).collect();
        Ok(Self { lines, more })
    }
}
