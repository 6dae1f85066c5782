//! The request of an attempt as pages show it. Bodies are not stored: the request is built again from the events, and the
//! page says whether it is the one that was sent.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::Result;
use crate::management::webhooks::deliveries;
use crate::management::webhooks::{WebhookAttempt, find_attempt_source};
use crate::model::audit_context::AccountScope;
use crate::model::event::{Event, parse_resource_type};
use crate::model::webhook::message::{self, MessageSource, SecurityEvent, SingleBody};
use crate::model::webhook::{Webhook, WebhookFormat, mask_url};
use crate::provisioning::directory::DirectorySource;
use crate::provisioning::{resource_details, webhook_delivery};
use crate::store::Snapshot;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::form::describe_kind;
use crate::web::portal::webhooks::lane_pages::ConnectionName;

/// Longest part of a body on a page, in bytes.
const BODY_TEXT_MAX_BYTES: usize = 12_000;

/// What kind of request an attempt was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptContent {
    /// A test.
    Test,
    /// Users, groups and memberships that existed when the webhook began.
    CurrentResources,
    /// Events.
    Events,
}

impl AttemptContent {
    pub(crate) fn of_attempt(attempt: &WebhookAttempt) -> Self {
        match attempt.from_seq {
            _ if attempt.configuration == 0 => Self::Test,
            None => Self::CurrentResources,
            Some(_) => Self::Events,
        }
    }

    /// What was sent, in words.
    pub(crate) fn describe(self, attempt: &WebhookAttempt) -> String {
        match (self, attempt.from_seq, attempt.to_seq) {
            (Self::Test, ..) => texts::deliveries::TEST.to_owned(),
            (Self::Events, Some(first), Some(last)) if first != last => {
                texts::deliveries::name_event_range(first, last)
            }
            (Self::Events, Some(first), _) => texts::directory::name_event(first),
            _ => texts::deliveries::CURRENT_RESOURCES.to_owned(),
        }
    }
}

/// An event of a request.
pub(crate) struct SentEvent {
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) about: &'static str,
    pub(crate) at: PageTime,
    /// Path of the page of the event.
    pub(crate) path: Option<String>,
    /// Path and name of the resource.
    pub(crate) resource: Option<(String, String)>,
}

/// The request of an attempt.
pub(crate) struct RequestView {
    pub(crate) connection: Option<ConnectionName>,
    pub(crate) headers: String,
    /// The body, or its beginning. `None` if it cannot be built, or the admin may not see values.
    pub(crate) body: Option<String>,
    /// What to know about the body.
    pub(crate) remark: String,
    pub(crate) events: Vec<SentEvent>,
}

/// What the view of a request depends on besides the attempt.
pub(crate) struct RequestReader<'r> {
    pub(crate) scope: &'r AccountScope,
    pub(crate) webhook: &'r Webhook,
    /// Whether the admin may see values of users.
    pub(crate) sees_values: bool,
    /// Public URL of this server.
    pub(crate) issuer: &'r str,
}

impl RequestReader<'_> {
    /// Builds the view of an attempt.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn read(&self, at: &Snapshot<'_>, attempt: &WebhookAttempt) -> Result<RequestView> {
        let source = find_attempt_source(at, attempt)?;
        let connection = source.as_ref().map(|source| ConnectionName::read(at, self.scope, &source.id)).transpose()?;
        let mut view = RequestView {
            connection,
            headers: self.build_headers(attempt),
            body: None,
            remark: String::new(),
            events: Vec::new(),
        };
        match (AttemptContent::of_attempt(attempt), source, attempt.from_seq.zip(attempt.to_seq)) {
            (AttemptContent::Test, ..) => self.describe_test(attempt, &mut view),
            (AttemptContent::Events, Some(source), Some(range)) => {
                self.read_events(at, &source, range, &mut view)?;
                self.build_body(at, (&source, range), attempt, &mut view)?;
            }
            (AttemptContent::CurrentResources, ..) => {
                texts::deliveries::BACKFILL_NOT_STORED.clone_into(&mut view.remark);
            }
            _ => texts::deliveries::CONNECTION_PURGED.clone_into(&mut view.remark),
        }
        Ok(view)
    }

    fn build_headers(&self, attempt: &WebhookAttempt) -> String {
        let content_type = match self.webhook.settings.format {
            WebhookFormat::Set => "application/secevent+jwt",
            _ => "application/json",
        };
        let mut lines = vec![
            format!("content-type: {content_type}"),
            format!("user-agent: Rollcall/{}", crate::VERSION),
            format!("webhook-id: {}", attempt.message_id),
            format!("webhook-timestamp: {}", attempt.at / 1_000),
            "webhook-signature: ***".to_owned(),
        ];
        if self.webhook.settings.format == WebhookFormat::Frontegg {
            lines.push("x-webhook-secret: ***".to_owned());
        }
        if attempt.resend {
            lines.push("webhook-resend: true".to_owned());
        }
        lines.extend(self.webhook.headers.iter().map(|header| format!("{}: ***", header.name)));
        lines.join("\n")
    }

    fn describe_test(&self, attempt: &WebhookAttempt, view: &mut RequestView) {
        if self.webhook.settings.format == WebhookFormat::Standard {
            view.body = Some(message::build_test_body(attempt.at));
        } else {
            texts::deliveries::TEST_BODY.clone_into(&mut view.remark);
        }
    }

    fn read_events(
        &self,
        at: &Snapshot<'_>,
        source: &DirectorySource,
        range: (i64, i64),
        view: &mut RequestView,
    ) -> Result<()> {
        let has_pages = source.deleted_at.is_none() && self.sees_values;
        let mut names: HashMap<String, Option<String>> = HashMap::new();
        for event in deliveries::list_request_events(at, self.webhook, source, range)? {
            let resource = match event.resource_id.as_deref().filter(|_| has_pages) {
                Some(id) => {
                    let of = parse_resource_type(&event.kind);
                    if !names.contains_key(id) {
                        let name = resource_details::find_resource_name(at, source.configuration, &of, id)?;
                        names.insert(id.to_owned(), name);
                    }
                    let name = names.get(id).cloned().flatten().unwrap_or_else(|| id.to_owned());
                    resource_path(&source.id, &of, id).map(|path| (path, name))
                }
                None => None,
            };
            view.events.push(SentEvent {
                seq: event.seq,
                about: describe_kind(&event.kind),
                at: PageTime::from_millis(event.created_at),
                path: has_pages.then(|| format!("/connections/{}/events/{}", source.id, event.seq)),
                kind: event.kind,
                resource,
            });
        }
        Ok(())
    }

    fn build_body(
        &self,
        at: &Snapshot<'_>,
        (source, range): (&DirectorySource, (i64, i64)),
        attempt: &WebhookAttempt,
        view: &mut RequestView,
    ) -> Result<()> {
        if !self.sees_values {
            texts::deliveries::BODY_NEEDS_PERMISSION.clone_into(&mut view.remark);
            return Ok(());
        }
        let Some(request) = webhook_delivery::load_resend(at, self.webhook, source, range)? else {
            texts::deliveries::EVENTS_NOT_STORED.clone_into(&mut view.remark);
            return Ok(());
        };
        let (texts, created_at) = request.texts();
        let parts = MessageSource { account_id: &source.account.id, configuration_id: &source.id };
        let body = match request.single().filter(|_| self.webhook.settings.format != WebhookFormat::Standard) {
            Some(event) => self.build_single(&attempt.message_id, source, event),
            None => message::build_standard_body(parts, texts, created_at),
        };
        let mut remarks = Vec::new();
        if request.message_id != attempt.message_id {
            remarks.push(texts::deliveries::CHANGED_SINCE.to_owned());
        }
        if self.webhook.settings.format == WebhookFormat::Set {
            remarks.push(texts::deliveries::CLAIMS_ONLY.to_owned());
        }
        let laid_out = serde_json::from_str::<Value>(&body).and_then(|value| serde_json::to_string_pretty(&value));
        let (text, is_cut) = cut_text(laid_out.unwrap_or_else(|_| body.clone()), BODY_TEXT_MAX_BYTES);
        if is_cut {
            remarks.push(texts::labels::say_beginning_of(body.len()));
        }
        view.remark = remarks.join(" ");
        view.body = Some(text);
        Ok(())
    }

    fn build_single(&self, id: &str, source: &DirectorySource, event: &Event) -> String {
        let audience = mask_url(&self.webhook.settings.url);
        let token = SecurityEvent {
            issuer: self.issuer,
            audience: &audience,
            id,
            configuration_id: &source.id,
            payload: self.webhook.settings.payload,
        };
        match SingleBody::build(self.webhook.settings.format, token, event) {
            SingleBody::Json(text) => text,
            SingleBody::Claims(claims) => claims.to_string(),
        }
    }
}

/// Path of the page of a user or group.
pub(crate) fn resource_path(configuration: &str, resource_type: &str, id: &str) -> Option<String> {
    let segment = match resource_type {
        "User" => "users",
        "Group" => "groups",
        _ => return None,
    };
    Some(format!("/connections/{configuration}/{segment}/{id}"))
}

/// Cuts a text to at most `max` bytes. Returns whether it was longer.
fn cut_text(mut text: String, max: usize) -> (String, bool) {
    if text.len() <= max {
        return (text, false);
    }
    let end = text.floor_char_boundary(max);
    text.truncate(end);
    (text, true)
}

/// Why an attempt failed and what to do, in a sentence; empty if the answer says it.
pub(crate) fn advise_on_failure(attempt: &WebhookAttempt) -> &'static str {
    match attempt.status {
        Some(300..=399) => texts::deliveries::REDIRECTED,
        Some(401 | 403) => texts::deliveries::REQUEST_REJECTED,
        Some(404 | 405) => texts::deliveries::PATH_WRONG,
        Some(410) => texts::deliveries::APP_IS_GONE,
        Some(413) => texts::deliveries::REQUEST_TOO_LARGE,
        Some(429) => texts::deliveries::TOO_MANY_REQUESTS,
        Some(500..=599) => texts::deliveries::APP_FAILED,
        Some(_) => texts::deliveries::STATUS_NOT_SUCCESS,
        None if attempt.error.as_deref().is_some_and(|error| error.starts_with("not called")) => "",
        None => texts::deliveries::URL_NOT_REACHED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut_text("aä".to_owned(), 2), ("a".to_owned(), true));
        assert_eq!(cut_text("aä".to_owned(), 3), ("aä".to_owned(), false));
    }

    #[test]
    fn the_content_of_an_attempt_is_described() {
        let describe = |configuration, from_seq, to_seq| {
            let attempt = WebhookAttempt { configuration, from_seq, to_seq, ..WebhookAttempt::default() };
            AttemptContent::of_attempt(&attempt).describe(&attempt)
        };
        assert_eq!(describe(0, None, None), "Test");
        assert_eq!(describe(1, None, None), "Current users and groups");
        assert_eq!(describe(1, Some(4), Some(4)), "Event 4");
        assert_eq!(describe(1, Some(4), Some(9)), "Events 4 to 9");
    }
}
