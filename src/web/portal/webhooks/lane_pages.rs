//! One lane of a webhook: the events of one connection. An admin resumes it, or sends earlier events again.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use crate::diagnosis::connection_status::format_ago;
use crate::error::{Error, ErrorKind, Reason, Result};
use crate::management::webhooks as management;
use crate::management::webhooks::lanes::{self, ResumeFrom, WebhookLane};
use crate::management::{accounts, configurations};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::webhook::{LaneState, Webhook};
use crate::provisioning::directory::DirectorySource;
use crate::store::{Snapshot, Tx};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::{WebhookAdmin, WebhookView};

/// A connection as pages of webhooks name it.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionName {
    pub(crate) id: String,
    /// Its name. `None` if it was deleted.
    pub(crate) name: Option<String>,
}

impl ConnectionName {
    /// Reads the name of a connection.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn read(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Self> {
        match configurations::find_configuration(at, scope, id) {
            Ok(found) => Ok(Self { id: found.id, name: Some(found.connection_name) }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self { id: id.to_owned(), name: None }),
            Err(error) => Err(error),
        }
    }

    /// Text for pages without a link.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(texts::deliveries::DELETED_CONNECTION)
    }
}

/// Class and label of the state of a lane.
pub(crate) fn state_of_lane(lane: &WebhookLane) -> (&'static str, &'static str) {
    match lane.state {
        LaneState::Idle => ("live", texts::labels::UP_TO_DATE),
        LaneState::Sending => ("testing", texts::webhooks::SENDING),
        LaneState::Retrying => ("quiet", texts::webhooks::RETRYING),
        LaneState::Paused => ("paused", texts::labels::PAUSED),
        LaneState::Stopped => ("failing", texts::labels::STOPPED),
    }
}

/// Number of waiting events of a lane, in words.
pub(crate) fn describe_waiting(lane: &WebhookLane) -> String {
    texts::deliveries::describe_waiting(lane.waiting, lane.is_backfilling)
}

/// Returns the lane of a configuration.
///
/// # Errors
/// The errors of the database.
pub(crate) fn find_lane(at: &Snapshot<'_>, webhook: &Webhook, source: &DirectorySource) -> Result<Option<WebhookLane>> {
    let found = lanes::list_lanes(at, webhook, source.configuration - 1, 1)?;
    Ok(found.into_iter().next().map(|(_, lane)| lane).filter(|lane| lane.configuration_id == source.id))
}

#[derive(Template)]
#[template(path = "portal/webhook_lane.html")]
struct LanePage {
    layout: PageLayout,
    view: WebhookView,
    connection: ConnectionName,
    lane: WebhookLane,
    account: AccountLabel,
    form: ResendForm,
    problems: Vec<FormError>,
}

impl LanePage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn state(&self) -> (&'static str, &'static str) {
        state_of_lane(&self.lane)
    }

    fn waiting(&self) -> String {
        describe_waiting(&self.lane)
    }

    fn oldest(&self) -> Option<String> {
        self.lane.waiting_since.map(|since| format_ago(self.view.now - since))
    }

    fn next_attempt(&self) -> Option<PageTime> {
        self.lane.next_attempt_at.map(PageTime::from_millis)
    }

    fn stopped(&self) -> Option<PageTime> {
        self.lane.stopped_at.map(PageTime::from_millis)
    }

    fn is_failing(&self) -> bool {
        matches!(self.lane.state, LaneState::Retrying | LaneState::Stopped)
    }

    /// Whether there is something to skip.
    fn has_waiting(&self) -> bool {
        self.lane.waiting > 0 || self.lane.is_backfilling
    }

    /// What a skip leaves out, in a sentence.
    fn skipped(&self) -> String {
        texts::deliveries::say_left_out(self.lane.waiting, self.lane.is_backfilling)
    }
}

async fn render_lane(
    admin: &WebhookAdmin,
    page_request: &PageRequest,
    (form, problems): (ResendForm, Vec<FormError>),
) -> PageResult {
    let view = WebhookView::read(page_request, &admin.context.scope, "overview")?;
    let (scope, webhook, configuration) =
        (admin.context.scope.clone(), view.webhook.id.clone(), page_request.path_parameter("configuration"));
    let read = move |at: &Snapshot<'_>| {
        let (webhook, source) = lanes::find_lane_source(at, &scope, &webhook, &configuration)?;
        let account = AccountLabel::new(&accounts::find_name(at, &source.account)?, &source.account.id);
        Ok((ConnectionName::read(at, &scope, &source.id)?, find_lane(at, &webhook, &source)?, account))
    };
    let (connection, lane, account) = page_request.read(read).await?;
    let lane = lane.ok_or(PageError::NotFound)?;
    let mut layout = view.layout(&admin.signed, "");
    layout.title = texts::deliveries::title_lane(connection.label());
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &LanePage { layout, view, connection, lane, account, form, problems }))
}

/// `GET /webhooks/{id}/lanes/{configuration}`
pub(crate) async fn show_lane(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    render_lane(&admin, &page_request, (ResendForm::default(), Vec::new())).await
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LaneResumeForm {
    from: String,
    confirmed: String,
}

/// `POST /webhooks/{id}/lanes/{configuration}`: resumes a lane with the batch that was not accepted, or skips what waits.
pub(crate) async fn resume_lane(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let (id, configuration) = (page_request.path_parameter("id"), page_request.path_parameter("configuration"));
    let form = page_request.form::<LaneResumeForm>(&admin.signed).await?;
    let skips = form.from == "latest";
    if skips && form.confirmed != "on" {
        let problem = FormError { field: "confirmed", sentence: texts::deliveries::CONFIRM_SKIP.to_owned() };
        return render_lane(&admin, &page_request, (ResendForm::default(), vec![problem])).await;
    }
    let from = if skips { ResumeFrom::Latest } else { ResumeFrom::Next };
    let (context, webhook_id) = (admin.context, id.clone());
    page_request.write(move |tx| lanes::resume_lane(tx, &context, (&webhook_id, &configuration), from)).await?;
    page_request.state.delivery.notify_change();
    let done = if skips { "lane-skipped" } else { "lane-resumed" };
    Ok(redirect_to(&format!("/webhooks/{id}?done={done}")).finish())
}

/// A range of events as the form has it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResendForm {
    from: String,
    to: String,
}

impl ResendForm {
    fn range(&self) -> std::result::Result<(i64, i64), Vec<FormError>> {
        let number = |text: &str| text.trim().parse::<i64>().ok().filter(|seq| *seq >= 1);
        let (from, to) = (number(&self.from), number(&self.to));
        let mut problems = Vec::new();
        if from.is_none() {
            problems.push(FormError { field: "from", sentence: texts::deliveries::WRITE_FIRST_NUMBER.to_owned() });
        }
        if to.is_none_or(|to| from.is_some_and(|from| to < from)) {
            let sentence = texts::deliveries::WRITE_LAST_NUMBER.to_owned();
            problems.push(FormError { field: "to", sentence });
        }
        match (from, to, problems.is_empty()) {
            (Some(from), Some(to), true) => Ok((from, to)),
            _ => Err(problems),
        }
    }
}

/// `POST /webhooks/{id}/lanes/{configuration}/resend`: sends delivered events again.
pub(crate) async fn resend_range(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let configuration = page_request.path_parameter("configuration");
    let id = page_request.path_parameter("id");
    let form = page_request.form::<ResendForm>(&admin.signed).await?;
    let range = match form.range() {
        Ok(range) => range,
        Err(problems) => return render_lane(&admin, &page_request, (form, problems)).await,
    };
    match send_again(&page_request, &admin.context, (&id, &configuration), range).await {
        Ok(()) => Ok(redirect_to(&format!("/webhooks/{id}/attempts?connection={configuration}&done=resent")).finish()),
        Err(error) if error.reason() == Reason::WebhookRangeEmpty => {
            let problem = FormError { field: "from", sentence: render_sentence(&error) };
            render_lane(&admin, &page_request, (form, vec![problem])).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Sends the requests again that contained events of a range. The attempts show the results.
///
/// # Errors
/// `NotFound`. `WebhookRangeEmpty` if no request with such an event was delivered. `WebhookSendingBusy`.
pub(crate) async fn send_again(
    page_request: &PageRequest,
    context: &AuditContext,
    (id, configuration): (&str, &str),
    range: (i64, i64),
) -> Result<()> {
    let (scope, webhook_id, configuration) = (context.scope.clone(), id.to_owned(), configuration.to_owned());
    let found = page_request.read(move |at| {
        let (webhook, source) = lanes::find_lane_source(at, &scope, &webhook_id, &configuration)?;
        let batches = management::list_delivered_batches(at, &webhook, source.configuration, range)?;
        Ok((webhook, source, batches))
    });
    let (webhook, source, batches) = found.await?;
    let (Some(first), Some(last)) = (batches.first().copied(), batches.last().copied()) else {
        return Err(Error::from(Reason::WebhookRangeEmpty));
    };
    let after = json!({"configurationId": source.id, "fromSeq": first.0, "toSeq": last.1, "requests": batches.len()});
    let (context, id) = (context.clone(), id.to_owned());
    let record =
        move |tx: &Tx<'_>| management::record_request(tx, &context, &id, "webhook.resent", Some(after.clone()));
    page_request.write(record).await?;
    page_request.state.delivery.resend(webhook, source.configuration, batches)
}

/// How the events of a connection stand with a webhook that has no stored attempt for one of them.
pub(crate) fn describe_undelivered(webhook: &Webhook, lane: &WebhookLane, event: (i64, &str)) -> &'static str {
    let (seq, kind) = event;
    let kinds = webhook.list_sent_kinds();
    if !kinds.as_ref().is_ok_and(|kinds| kinds.includes(kind, i64::MAX)) {
        return texts::deliveries::KIND_NOT_SENT;
    }
    if !kinds.is_ok_and(|kinds| kinds.includes(kind, seq)) {
        return texts::deliveries::KIND_ADDED_LATER;
    }
    if seq <= lane.position {
        return texts::deliveries::ATTEMPT_NOT_STORED;
    }
    match lane.state {
        LaneState::Stopped => texts::deliveries::WAITS_STOPPED,
        LaneState::Retrying => texts::deliveries::WAITS_RETRYING,
        LaneState::Paused => texts::deliveries::WAITS_PAUSED,
        LaneState::Idle | LaneState::Sending => texts::deliveries::WAITS_FOR_TURN,
    }
}
