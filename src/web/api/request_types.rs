//! The request as a handler sees it, and validated value types that several request bodies use, each with the schema
//! that describes the same rules.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::messages::render_message;
use crate::model::names;
use crate::scim::timestamp::parse_rfc3339;
use crate::web::api::response::ApiError;
use crate::web::context::RequestContext;

/// A request to the management API.
pub(super) type ApiRequest = RequestContext<ApiError>;

// The pattern has the characters of `names::has_hidden_characters`, which schemas cannot name in another way.
/// A display name
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(
    as = DisplayName,
    min_length = 1,
    max_length = 64,
    pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\u{e0000}-\u{e0fff}]([^\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\u{e0000}-\u{e0fff}]*[^\\s\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\u{e0000}-\u{e0fff}])?$"
)]
pub(super) struct DisplayName(pub(super) String);

impl TryFrom<String> for DisplayName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if names::check_name("it", &text).map_err(|error| render_message(&error))? == text {
            return Ok(Self(text));
        }
        Err("it must not begin or end with a space".to_owned())
    }
}

/// A timestamp in RFC 3339 format
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(as = Timestamp, value_type = String, format = DateTime)]
pub(super) struct RequestTimestamp(pub(super) Millis);

impl TryFrom<String> for RequestTimestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let elapsed = parse_rfc3339(&text).ok_or("it must be a time such as 2026-07-14T09:30:00Z")?;
        Millis::try_from(elapsed.as_millis()).map(Self).map_err(|_| "it is out of range")
    }
}

/// Reads an object in a body. A derived type would also accept the values of its members as an array.
///
/// # Errors
/// The value is neither an object nor null.
pub(super) fn read_object<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    match Option::<Value>::deserialize(from)? {
        None => Ok(None),
        Some(value @ Value::Object(_)) => serde_json::from_value(value).map(Some).map_err(D::Error::custom),
        Some(_) => Err(D::Error::custom("expected an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_needs_a_time_zone_and_a_name_has_no_surrounding_spaces() {
        for (text, timestamp) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01t01:00:00.0015+01:00", Some(1)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("1970-01-01T00:00:01", None),
            ("1970-01-01", None),
            ("soon", None),
        ] {
            assert_eq!(RequestTimestamp::try_from(text.to_owned()).ok(), timestamp.map(RequestTimestamp), "{text}");
        }
        for (text, is_valid) in [("a", true), ("a b", true), (" a", false), ("a ", false), ("", false), ("a\tb", false)]
        {
            assert_eq!(DisplayName::try_from(text.to_owned()).is_ok(), is_valid, "{text:?}");
        }
    }
}
