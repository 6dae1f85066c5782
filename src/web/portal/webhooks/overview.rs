//! One webhook: its state, its alerts and lanes, the test, pause and resume, and its deletion.

use askama::Template;
use serde::Deserialize;

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_ago;
use crate::error::Result;
use crate::management::accounts::account_names::AccountNames;
use crate::management::webhooks as management;
use crate::management::webhooks::AttemptsQuery;
use crate::management::webhooks::deliveries::{self, WebhookSummary};
use crate::management::webhooks::lanes::{WebhookLane, list_lanes};
use crate::model::webhook::{DISABLED_RESTORED, LaneState, PAUSED_ACCOUNT_WEBHOOKS_OFF, SignatureKind, WebhookState};
use crate::provisioning::webhook_delivery::DISABLED_GONE;
use crate::store::Snapshot;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::alerts::WebhookAlerts;
use crate::web::portal::webhooks::form::WebhookForm;
use crate::web::portal::webhooks::lane_pages::{ConnectionName, describe_waiting, state_of_lane};
use crate::web::portal::webhooks::list::{describe_attempts, describe_lanes};
use crate::web::portal::webhooks::{WebhookAdmin, WebhookView, describe_state};

/// Lanes on a page.
const LANES_PER_PAGE: u32 = 50;
/// Interval in seconds at which the page of a webhook with waiting events reloads itself.
const REFRESH_SECONDS: u32 = 10;
/// Newest tests among which the one that was just sent is searched.
const SEARCHED_TESTS: u32 = 10;

/// A lane in the table.
struct LaneLine {
    connection: ConnectionName,
    account: AccountLabel,
    /// Class and label.
    state: (&'static str, &'static str),
    waiting: String,
    oldest: Option<String>,
    next_attempt: Option<PageTime>,
    last_error: String,
    is_failing: bool,
    is_idle: bool,
}

impl LaneLine {
    fn new(connection: ConnectionName, lane: WebhookLane, names: &AccountNames, now: Millis) -> Self {
        Self {
            connection,
            account: AccountLabel::find(names, &lane.account),
            state: state_of_lane(&lane),
            waiting: describe_waiting(&lane),
            oldest: lane.waiting_since.map(|since| format_ago(now - since)),
            next_attempt: lane.next_attempt_at.map(PageTime::from_millis),
            is_idle: lane.state == LaneState::Idle,
            is_failing: matches!(lane.state, LaneState::Retrying | LaneState::Stopped),
            last_error: lane.last_error.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/webhook.html")]
struct WebhookDetailPage {
    layout: PageLayout,
    view: WebhookView,
    summary: WebhookSummary,
    alerts: WebhookAlerts,
    lanes: Vec<LaneLine>,
    next: Option<i64>,
    is_later: bool,
    created: PageTime,
}

impl WebhookDetailPage {
    fn state(&self) -> (&'static str, &'static str) {
        describe_state(&self.summary)
    }

    fn is_active(&self) -> bool {
        self.view.webhook.state == WebhookState::Active
    }

    /// What the state means, in a sentence.
    fn sentence(&self) -> String {
        let failing = describe_lanes(&self.summary);
        match self.view.webhook.state {
            WebhookState::Active if !failing.is_empty() => texts::webhooks::say_events_not_accepted(&failing),
            WebhookState::Active => match self.summary.oldest_waiting {
                Some(since) => texts::webhooks::say_events_are_sent(&format_ago(self.view.now - since)),
                None => texts::webhooks::ALL_DELIVERED.to_owned(),
            },
            WebhookState::Paused if self.has_reason(PAUSED_ACCOUNT_WEBHOOKS_OFF) => {
                texts::webhooks::PAUSED_BY_OPERATOR.to_owned()
            }
            WebhookState::Paused => texts::webhooks::PAUSED_BY_ADMIN.to_owned(),
            WebhookState::Disabled if self.has_reason(DISABLED_RESTORED) => {
                texts::webhooks::DISABLED_BY_RESTORE.to_owned()
            }
            WebhookState::Disabled if self.has_reason(DISABLED_GONE) => texts::webhooks::DISABLED_BY_APP.to_owned(),
            WebhookState::Disabled => texts::webhooks::DISABLED_BY_FAILURES.to_owned(),
        }
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.view.webhook.disabled_reason.as_deref() == Some(reason)
    }

    fn delivered(&self) -> String {
        describe_attempts(&self.summary)
    }

    fn kinds(&self) -> String {
        self.view
            .webhook
            .settings
            .kinds
            .as_ref()
            .map_or_else(|| texts::labels::ALL_KINDS.to_owned(), |kinds| kinds.join(", "))
    }

    fn format(&self) -> &'static str {
        let format = self.view.webhook.settings.format.as_str();
        WebhookForm::formats().into_iter().find(|(key, ..)| *key == format).map_or(format, |(_, label, _)| label)
    }

    fn signature(&self) -> &'static str {
        match self.view.webhook.signature {
            SignatureKind::Hmac => texts::webhooks::SIGNED_WITH_SECRET,
            SignatureKind::Ed25519 => texts::webhooks::SIGNED_WITH_KEY_PAIR,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LanesQuery {
    after: i64,
}

/// `GET /webhooks/{id}`
pub(crate) async fn show_webhook(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "overview")?;
    let after = page_request.query::<LanesQuery>().unwrap_or_default().after.max(0);
    let (scope, webhook, now) = (admin.context.scope, view.webhook.clone(), view.now);
    let read = move |at: &Snapshot<'_>| {
        let mut found = list_lanes(at, &webhook, after, LANES_PER_PAGE + 1)?;
        let has_more = found.len() > LANES_PER_PAGE as usize;
        found.truncate(LANES_PER_PAGE as usize);
        let next = found.last().filter(|_| has_more).map(|(key, _)| *key);
        let names = AccountNames::read(at, found.iter().map(|(_, lane)| &lane.account))?;
        let lines = found.into_iter().map(|(_, lane)| {
            let connection = ConnectionName::read(at, &scope, &lane.configuration_id)?;
            Ok(LaneLine::new(connection, lane, &names, now))
        });
        let mut lanes = lines.collect::<Result<Vec<_>>>()?;
        // A deleted connection is listed only while something of it waits.
        lanes.retain(|line| line.connection.name.is_some() || !line.is_idle);
        let alerts = WebhookAlerts::of_webhook(at, &scope, &webhook.id, now)?;
        Ok((deliveries::load_summary(at, webhook.clone(), now)?, alerts, lanes, next))
    };
    let (summary, alerts, lanes, next) = page_request.read(read).await?;
    let mut layout = view.layout(&admin.signed, "");
    layout.refresh = summary.oldest_waiting.is_some().then_some(REFRESH_SECONDS);
    let created = PageTime::from_millis(view.webhook.created_at);
    let is_later = after > 0;
    Ok(render_page(200, &WebhookDetailPage { layout, view, summary, alerts, lanes, next, is_later, created }))
}

#[derive(Deserialize)]
struct WebhookStateForm {
    state: String,
}

/// `POST /webhooks/{id}/state`: pause and resume.
pub(crate) async fn set_state(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<WebhookStateForm>(&admin.signed).await?;
    let (context, target_id, is_pause) = (admin.context, id.clone(), form.state == "paused");
    let written = page_request.write(move |tx| {
        if is_pause {
            management::pause_webhook(tx, &context, &target_id)
        } else {
            management::resume_webhook(tx, &context, &target_id)
        }
    });
    written.await?;
    page_request.state.delivery.notify_change();
    let done = if is_pause { "webhook-paused" } else { "webhook-resumed" };
    Ok(redirect_to(&format!("/webhooks/{id}?done={done}")).finish())
}

#[derive(Deserialize)]
struct EmptyWebhookForm {}

/// `POST /webhooks/{id}/test`: sends a test and opens the page of the attempt.
pub(crate) async fn send_test(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "overview")?;
    page_request.form::<EmptyWebhookForm>(&admin.signed).await?;
    let (context, id) = (admin.context, view.id().to_owned());
    page_request.write(move |tx| management::record_request(tx, &context, &id, "webhook.tested", None)).await?;
    let outcome = page_request.state.delivery.send_test(view.webhook.clone()).await?;
    let tests = AttemptsQuery { webhook: view.webhook.key, configuration: Some(0), ..AttemptsQuery::default() };
    let tests = page_request.read(move |at| management::list_attempts(at, tests, SEARCHED_TESTS)).await?;
    let own = tests.iter().find(|test| test.at == outcome.at && test.duration_ms == outcome.duration_ms);
    let path = own.map_or_else(String::new, |test| format!("/{}", test.attempt));
    Ok(redirect_to(&format!("/webhooks/{}/attempts{path}", view.id())).finish())
}

#[derive(Template)]
#[template(path = "portal/delete_webhook.html")]
struct DeleteWebhookPage {
    layout: PageLayout,
    view: WebhookView,
    oldest: Option<String>,
    problems: Vec<FormError>,
}

impl DeleteWebhookPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

async fn render_delete(
    admin: &WebhookAdmin,
    page_request: &PageRequest,
    view: WebhookView,
    problems: Vec<FormError>,
) -> PageResult {
    let (webhook, now) = (view.webhook.clone(), view.now);
    let summary = page_request.read(move |at| deliveries::load_summary(at, webhook, now)).await?;
    let oldest = summary.oldest_waiting.map(|since| format_ago(now - since));
    let layout = view.layout(&admin.signed, texts::labels::DELETE);
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &DeleteWebhookPage { layout, view, oldest, problems }))
}

/// `GET /webhooks/{id}/delete`
pub(crate) async fn show_delete_webhook(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "overview")?;
    render_delete(&admin, &page_request, view, Vec::new()).await
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteWebhookForm {
    confirmed: String,
}

/// `POST /webhooks/{id}/delete`
pub(crate) async fn delete_webhook(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "overview")?;
    let form = page_request.form::<DeleteWebhookForm>(&admin.signed).await?;
    if form.confirmed != "on" {
        let sentence = texts::webhooks::CONFIRM_DELETION.to_owned();
        let problems = vec![FormError { field: "confirmed", sentence }];
        return render_delete(&admin, &page_request, view, problems).await;
    }
    let (context, id) = (admin.context, view.id().to_owned());
    page_request.write(move |tx| management::delete_webhook(tx, &context, &id)).await?;
    page_request.state.delivery.notify_change();
    Ok(redirect_to("/webhooks?done=webhook-deleted").finish())
}
