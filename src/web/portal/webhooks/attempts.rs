//! Attempts of a webhook: the list with filters, one attempt, and sending its events again.

use askama::Template;
use serde::Deserialize;

use crate::error::Result;
use crate::management::webhooks as management;
use crate::management::webhooks::lanes::find_lane_source;
use crate::management::webhooks::{AttemptsQuery, WebhookAttempt};
use crate::model::audit_context::AccountScope;
use crate::model::permission::Permission;
use crate::store::Snapshot;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::encode_query;
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::lane_pages::{ConnectionName, send_again};
use crate::web::portal::webhooks::request_view::{AttemptContent, RequestReader, RequestView, advise_on_failure};
use crate::web::portal::webhooks::{WebhookAdmin, WebhookView};

/// Attempts on a page.
const PER_PAGE: u32 = 50;

/// An attempt in the list.
struct AttemptLine {
    attempt: i64,
    at: PageTime,
    content: String,
    connection: Option<ConnectionName>,
    succeeded: bool,
    outcome: String,
    is_resend: bool,
    number: u32,
    duration: String,
}

impl AttemptLine {
    fn read(at: &Snapshot<'_>, scope: &AccountScope, attempt: WebhookAttempt) -> Result<Self> {
        let source = management::find_attempt_source(at, &attempt)?;
        Ok(Self {
            attempt: attempt.attempt,
            at: PageTime::from_millis(attempt.at),
            content: AttemptContent::of_attempt(&attempt).describe(&attempt),
            connection: source.map(|source| ConnectionName::read(at, scope, &source.id)).transpose()?,
            succeeded: attempt.succeeded,
            outcome: describe_outcome(&attempt),
            is_resend: attempt.resend,
            number: attempt.number,
            duration: texts::formats::format_milliseconds(attempt.duration_ms),
        })
    }
}

/// The status, or why there is none.
fn describe_outcome(attempt: &WebhookAttempt) -> String {
    match (attempt.status, &attempt.error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(error)) => texts::deliveries::add_error(status, error),
        (None, Some(error)) => error.clone(),
        (None, None) => texts::deliveries::NO_ANSWER.to_owned(),
    }
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct AttemptFilters {
    outcome: String,
    connection: String,
    before: String,
}

impl AttemptFilters {
    fn is_empty(&self) -> bool {
        self.outcome.is_empty() && self.connection.is_empty()
    }

    fn succeeded(&self) -> Option<bool> {
        match &*self.outcome {
            "success" => Some(true),
            "failure" => Some(false),
            _ => None,
        }
    }

    /// The query string of the page with the attempts before this one.
    fn url_before(&self, before: &str) -> String {
        let (outcome, connection) = (encode_query(&self.outcome), encode_query(&self.connection));
        format!("?outcome={outcome}&connection={connection}&before={before}")
    }
}

#[derive(Template)]
#[template(path = "portal/webhook_attempts.html")]
struct AttemptsPage {
    layout: PageLayout,
    view: WebhookView,
    filters: AttemptFilters,
    lines: Vec<AttemptLine>,
    next: Option<String>,
}

/// `GET /webhooks/{id}/attempts`
pub(crate) async fn list_attempts(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "attempts")?;
    let filters: AttemptFilters = page_request.query().unwrap_or_default();
    let (scope, webhook, asked) = (admin.context.scope, view.webhook.clone(), filters.clone());
    let read = move |at: &Snapshot<'_>| {
        let connection = asked.connection.trim();
        let configuration = match connection {
            "" => None,
            // A connection that does not exist has no attempts: its key is below all others.
            id => Some(find_lane_source(at, &scope, &webhook.id, id).map_or(-1, |(_, source)| source.configuration)),
        };
        let query = AttemptsQuery {
            webhook: webhook.key,
            configuration,
            succeeded: asked.succeeded(),
            before: asked.before.parse().ok(),
        };
        let found = management::list_attempts(at, query, PER_PAGE + 1)?;
        found.into_iter().map(|attempt| AttemptLine::read(at, &scope, attempt)).collect::<Result<Vec<_>>>()
    };
    let mut lines = page_request.read(read).await?;
    let has_more = lines.len() > PER_PAGE as usize;
    lines.truncate(PER_PAGE as usize);
    let next = lines.last().filter(|_| has_more).map(|last| last.attempt.to_string());
    let layout = view.layout(&admin.signed, texts::deliveries::ATTEMPTS);
    Ok(render_page(200, &AttemptsPage { layout, view, filters, lines, next }))
}

#[derive(Template)]
#[template(path = "portal/webhook_attempt.html")]
struct AttemptPage {
    layout: PageLayout,
    view: WebhookView,
    attempt: WebhookAttempt,
    at: PageTime,
    request: RequestView,
}

impl AttemptPage {
    fn content(&self) -> AttemptContent {
        AttemptContent::of_attempt(&self.attempt)
    }

    fn has_events(&self) -> bool {
        self.content() == AttemptContent::Events
    }

    fn duration(&self) -> String {
        texts::formats::format_milliseconds(self.attempt.duration_ms)
    }

    fn advice(&self) -> &'static str {
        advise_on_failure(&self.attempt)
    }

    /// The result, in a sentence.
    fn sentence(&self) -> String {
        let duration = self.duration();
        match (self.attempt.status, &self.attempt.error) {
            (Some(status), _) => texts::deliveries::say_answered(status, &duration),
            (None, error) => texts::deliveries::say_not_answered(&duration, error.as_deref()),
        }
    }
}

/// Reads the attempt in the path.
///
/// # Errors
/// `NotFound` if the webhook has no such attempt.
fn read_attempt(page_request: &PageRequest, view: &WebhookView) -> std::result::Result<WebhookAttempt, PageError> {
    let number = page_request.path_parameter("attempt").parse::<i64>().map_err(|_| PageError::NotFound)?;
    Ok(page_request.read_inline(|at| management::find_attempt(at, &view.webhook, number))?)
}

/// `GET /webhooks/{id}/attempts/{attempt}`
pub(crate) async fn show_attempt(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "attempts")?;
    let attempt = read_attempt(&page_request, &view)?;
    let sees_values = admin.signed.permissions.contains(Permission::DirectoryRead);
    let issuer = page_request.state.server.public_url();
    let (scope, webhook, target) = (admin.context.scope, view.webhook.clone(), attempt.clone());
    let read = move |at: &Snapshot<'_>| {
        RequestReader { scope: &scope, webhook: &webhook, sees_values, issuer: &issuer }.read(at, &target)
    };
    let request = page_request.read(read).await?;
    let mut layout = view.layout(&admin.signed, "");
    layout.title = AttemptContent::of_attempt(&attempt).describe(&attempt);
    let at = PageTime::from_millis(attempt.at);
    Ok(render_page(200, &AttemptPage { layout, view, attempt, at, request }))
}

#[derive(Deserialize)]
struct EmptyResendForm {}

/// `POST /webhooks/{id}/attempts/{attempt}/resend`: sends the events of a delivered request again.
pub(crate) async fn resend_attempt(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "attempts")?;
    page_request.form::<EmptyResendForm>(&admin.signed).await?;
    let attempt = read_attempt(&page_request, &view)?;
    let source = page_request.read_inline(|at| management::find_attempt_source(at, &attempt))?;
    let (Some(source), Some(range)) = (source, attempt.from_seq.zip(attempt.to_seq)) else {
        return Err(PageError::NotFound);
    };
    send_again(&page_request, &admin.context, (view.id(), &source.id), range).await?;
    Ok(redirect_to(&format!("/webhooks/{}/attempts?done=resent", view.id())).finish())
}
