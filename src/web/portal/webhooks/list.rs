//! The list of webhooks.

use askama::Template;

use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::format_ago;
use crate::management::accounts::account_names::AccountNames;
use crate::management::webhooks::deliveries::{self, WebhookSummary};
use crate::model::webhook::mask_url;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::texts;
use crate::web::portal::webhooks::alerts::WebhookAlerts;
use crate::web::portal::webhooks::{WebhookAdmin, describe_state, webhook_name};

/// A webhook in the list.
pub(crate) struct WebhookLine {
    id: String,
    name: String,
    url: String,
    /// Class and label.
    state: (&'static str, &'static str),
    /// Lanes that retry or have stopped, in words.
    lanes: String,
    account: Option<AccountLabel>,
    oldest: String,
    delivered: String,
}

impl WebhookLine {
    fn new(summary: WebhookSummary, names: &AccountNames, now: Millis) -> Self {
        Self {
            name: webhook_name(&summary.webhook),
            url: mask_url(&summary.webhook.settings.url),
            state: describe_state(&summary),
            lanes: describe_lanes(&summary),
            oldest: summary
                .oldest_waiting
                .map_or_else(|| texts::webhooks::NONE_WAITS.to_owned(), |at| format_ago(now - at)),
            delivered: describe_attempts(&summary),
            account: summary.webhook.account.as_ref().map(|account| AccountLabel::find(names, account)),
            id: summary.webhook.id,
        }
    }
}

/// The lanes that fail, in words; empty if there are none.
pub(crate) fn describe_lanes(summary: &WebhookSummary) -> String {
    texts::webhooks::describe_failing_lanes(summary.stopped_lanes, summary.retrying_lanes)
}

/// The attempts of the last 24 hours, in words.
pub(crate) fn describe_attempts(summary: &WebhookSummary) -> String {
    match summary.attempts {
        0 => texts::webhooks::NO_ATTEMPT.to_owned(),
        attempts => texts::webhooks::count_succeeded(summary.succeeded, attempts),
    }
}

#[derive(Template)]
#[template(path = "portal/webhooks.html")]
struct WebhooksPage {
    layout: PageLayout,
    lines: Vec<WebhookLine>,
    alerts: WebhookAlerts,
}

/// `GET /webhooks`
pub(crate) async fn list_webhooks(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let (scope, signed, now) = (admin.context.scope, admin.signed.clone(), clock::current_millis());
    let (summaries, names, alerts) = page_request
        .read(move |at| {
            let summaries = deliveries::list_summaries(at, &scope, now)?;
            let names = AccountNames::read(at, summaries.iter().filter_map(|one| one.webhook.account.as_ref()))?;
            Ok((summaries, names, WebhookAlerts::read(at, &signed, &scope, now)?))
        })
        .await?;
    let lines = summaries.into_iter().map(|summary| WebhookLine::new(summary, &names, now)).collect();
    let layout = PageLayout::new(texts::webhooks::WEBHOOKS, Some(&admin.signed), NavigationEntry::Webhooks);
    Ok(render_page(200, &WebhooksPage { layout, lines, alerts }))
}
