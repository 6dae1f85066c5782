//! One event of a connection: what changed, and its deliveries to webhooks.

use askama::Template;

use crate::error::Result;
use crate::management::webhooks as management;
use crate::management::webhooks::deliveries::{self, CallOrigin};
use crate::management::webhooks::{WebhookAttempt, lanes};
use crate::model::audit_context::AccountScope;
use crate::model::event::{Event, parse_resource_type};
use crate::model::request::LoggedCall;
use crate::model::webhook::Webhook;
use crate::provisioning::feed::{self, EventsQuery};
use crate::provisioning::resource_details;
use crate::store::Snapshot;
use crate::web::portal::connections::history::{HistoryChange, HistoryStep};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::lane_pages::{describe_undelivered, find_lane};
use crate::web::portal::webhooks::request_view::resource_path;
use crate::web::portal::webhooks::webhook_name;
use crate::web::required_permission::Directory;

/// The deliveries of an event to one webhook.
struct EventDelivery {
    webhook_id: String,
    name: String,
    /// Path of the page of the lane.
    lane_path: String,
    /// Newest first.
    attempts: Vec<DeliveryAttempt>,
    /// Why there is no attempt; empty if there is one.
    state: &'static str,
}

/// An attempt to deliver an event.
struct DeliveryAttempt {
    attempt: i64,
    at: PageTime,
    succeeded: bool,
    outcome: String,
    duration: String,
}

impl From<WebhookAttempt> for DeliveryAttempt {
    fn from(attempt: WebhookAttempt) -> Self {
        let status = attempt.status.map(|status| status.to_string());
        Self {
            attempt: attempt.attempt,
            at: PageTime::from_millis(attempt.at),
            succeeded: attempt.succeeded,
            outcome: status.or(attempt.error).unwrap_or_else(|| texts::deliveries::NO_ANSWER.to_owned()),
            duration: texts::formats::format_milliseconds(attempt.duration_ms),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/event.html")]
struct EventDetailPage {
    layout: PageLayout,
    connection: ConnectionView,
    event: Event,
    step: HistoryStep,
    /// Path and name of the resource.
    resource: Option<(String, String)>,
    is_published: bool,
    deliveries: Vec<EventDelivery>,
}

/// `GET /connections/{id}/events/{seq}`
pub(crate) async fn show_event(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "users")?;
    let seq = page_request.path_parameter("seq").parse::<i64>().map_err(|_| PageError::NotFound)?;
    let configuration = &connection.overview.configuration;
    let (key, id, scope) = (configuration.key, configuration.id.clone(), admin.context.scope.clone());
    let sees_webhooks = admin.signed.sees_webhooks;
    let read = move |at: &Snapshot<'_>| {
        let Some(event) = deliveries::find_configuration_event(at, key, seq)? else { return Ok(None) };
        let query = EventsQuery { configuration: Some(id.clone()), ..EventsQuery::default() };
        let is_published = feed::find_event(at, &query, seq)?.is_some();
        let resource = find_resource(at, &id, &event)?;
        let found = if sees_webhooks { list_event_deliveries(at, &scope, &id, &event)? } else { Vec::new() };
        Ok(Some((event, is_published, resource, found)))
    };
    let found = page_request.read(read).await?;
    let (event, is_published, resource, deliveries) = found.ok_or(PageError::NotFound)?;
    let step = HistoryStep::from_event(&event)?;
    let layout = connection.layout(&admin.signed, &texts::directory::name_event(seq));
    Ok(render_page(200, &EventDetailPage { layout, connection, event, step, resource, is_published, deliveries }))
}

fn find_resource(at: &Snapshot<'_>, configuration_id: &str, event: &Event) -> Result<Option<(String, String)>> {
    let Some(id) = event.resource_id.as_deref() else { return Ok(None) };
    let of = parse_resource_type(&event.kind);
    let Some(path) = resource_path(configuration_id, &of, id) else { return Ok(None) };
    let name = resource_details::find_resource_name(at, event.configuration, &of, id)?;
    Ok(Some((path, name.unwrap_or_else(|| id.to_owned()))))
}

/// The deliveries of an event, one item for each webhook that gets events of the connection.
fn list_event_deliveries(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration_id: &str,
    event: &Event,
) -> Result<Vec<EventDelivery>> {
    let mut attempts = management::list_deliveries(at, scope, event.configuration, event.seq)?;
    let mut found = Vec::new();
    for webhook in management::list_webhooks(at, scope)? {
        let (own, others): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|(of, _)| of.key == webhook.key);
        attempts = others;
        let own = own.into_iter().map(|(_, attempt)| attempt).collect();
        found.extend(load_delivery(at, scope, &webhook, (configuration_id, event), own)?);
    }
    Ok(found)
}

fn load_delivery(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    webhook: &Webhook,
    (configuration_id, event): (&str, &Event),
    attempts: Vec<WebhookAttempt>,
) -> Result<Option<EventDelivery>> {
    let Ok((_, source)) = lanes::find_lane_source(at, scope, &webhook.id, configuration_id) else { return Ok(None) };
    let Some(lane) = find_lane(at, webhook, &source)? else { return Ok(None) };
    let state = if attempts.is_empty() { describe_undelivered(webhook, &lane, (event.seq, &event.kind)) } else { "" };
    Ok(Some(EventDelivery {
        name: webhook_name(webhook),
        lane_path: format!("/webhooks/{}/lanes/{configuration_id}", webhook.id),
        webhook_id: webhook.id.clone(),
        attempts: attempts.into_iter().map(DeliveryAttempt::from).collect(),
        state,
    }))
}

/// An event of a call.
pub(crate) struct CallEvent {
    pub(crate) path: String,
    pub(crate) title: String,
    /// What it changed.
    pub(crate) changes: Vec<HistoryChange>,
}

/// Most events of a call that its page lists. A Bulk request can cause thousands.
const EVENTS_OF_CALL_MAX: usize = 100;

/// Returns the events that a call caused, at most [`EVENTS_OF_CALL_MAX`].
///
/// # Errors
/// The errors of the database.
pub(crate) fn list_events_of_call(
    at: &Snapshot<'_>,
    (configuration, configuration_id): (i64, &str),
    call: &LoggedCall,
) -> Result<Vec<CallEvent>> {
    if call.failed || call.method == "GET" {
        return Ok(Vec::new());
    }
    let resource_id = call.resource_id.clone();
    let duration = call.duration_us / 1_000;
    let origin = CallOrigin { request_id: call.id.clone(), configuration, resource_id, at: call.at, duration };
    let describe = |event: Event| {
        let step = HistoryStep::from_event(&event)?;
        let path = format!("/connections/{configuration_id}/events/{}", event.seq);
        Ok(CallEvent { path, title: format!("{}: {}", event.kind, step.title), changes: step.changes })
    };
    deliveries::list_call_events(at, &origin)?.into_iter().take(EVENTS_OF_CALL_MAX).map(describe).collect()
}
