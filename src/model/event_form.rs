//! The JSON form of an event, the same in the feed and in webhooks.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock;
use crate::error::{Error, Result};
use crate::model::event::{Event, EventContent, parse_resource_type};

/// An event as applications receive it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventForm {
    seq: i64,
    kind: String,
    account_id: String,
    configuration_id: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backfill: bool,
}

impl TryFrom<Event> for EventForm {
    type Error = Error;

    fn try_from(event: Event) -> Result<Self> {
        let EventContent { version, last_modified, data } = EventContent::from_payload(event.payload);
        let data = RawValue::from_string(data)
            .map_err(|problem| Error::undecodable(format_args!("stored text of event {}", event.seq), problem))?;
        Ok(Self {
            seq: event.seq,
            account_id: event.account,
            configuration_id: event.configuration_id,
            resource_type: event.resource_id.as_ref().map(|_| parse_resource_type(&event.kind)),
            kind: event.kind,
            resource_id: event.resource_id,
            version,
            last_modified,
            created_at: clock::format_rfc3339(event.created_at),
            data: Some(data),
            truncated: false,
            backfill: false,
        })
    }
}

impl EventForm {
    /// The event without its data.
    #[must_use]
    pub fn without_data(self) -> Self {
        Self { data: None, ..self }
    }

    /// The event without its data, because it is too large to be sent. The receiver reads it by its number.
    #[must_use]
    pub fn truncated(self) -> Self {
        Self { data: None, truncated: true, ..self }
    }

    /// Marks an event that describes a current state instead of a change.
    #[must_use]
    pub fn of_backfill(self) -> Self {
        Self { backfill: true, ..self }
    }

    /// Returns the JSON text.
    pub fn render(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|problem| Error::database(format!("event {} cannot be rendered: {problem}", self.seq)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            seq: 7,
            account: "acme".to_owned(),
            configuration: 1,
            configuration_id: Some("c".to_owned()),
            kind: "user.deleted".to_owned(),
            resource_id: Some("u".to_owned()),
            payload: "{\"version\":2,\"lastModified\":\"1970-01-01T00:00:00.000Z\",\"before\":{}}".to_owned(),
            created_at: 0,
            request_id: None,
        }
    }

    #[test]
    fn an_event_has_the_form_of_the_feed_and_can_lose_its_data() {
        let start = "{\"seq\":7,\"kind\":\"user.deleted\",\"accountId\":\"acme\",\"configurationId\":\"c\",\
            \"resourceType\":\"User\",\"resourceId\":\"u\",\"version\":2,\
            \"lastModified\":\"1970-01-01T00:00:00.000Z\",\"createdAt\":\"1970-01-01T00:00:00.000Z\"";
        let form = || EventForm::try_from(event()).unwrap();
        assert_eq!(form().render().unwrap(), format!("{start},\"data\":{{\"before\":{{}}}}}}"));
        assert_eq!(form().without_data().render().unwrap(), format!("{start}}}"));
        assert_eq!(form().truncated().render().unwrap(), format!("{start},\"truncated\":true}}"));
        let backfill = form().of_backfill().render().unwrap();
        assert_eq!(backfill, format!("{start},\"data\":{{\"before\":{{}}}},\"backfill\":true}}"));
    }
}
