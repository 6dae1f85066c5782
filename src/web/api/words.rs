//! Words that several requests are made of, each checked as it is read, and each with the schema that says the same.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::model::names;

/// A name that people see
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
)]
pub(super) struct Name(pub(super) String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if names::check("it", &text)? == text {
            return Ok(Self(text));
        }
        Err("it must not begin or end with a blank".to_owned())
    }
}

/// A moment in time, as RFC 3339 writes it
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Moment(pub(super) Millis);

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let read = OffsetDateTime::parse(&text, &Rfc3339);
        let moment = read.map_err(|_| "it must be a time such as 2026-07-14T09:30:00Z")?;
        Millis::try_from(moment.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(|_| "it is too far away")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_needs_its_zone_and_a_name_has_no_blank_ends() {
        for (text, moment) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01t01:00:00.0015+01:00", Some(1)),
            ("1970-01-01T00:00:01", None),
            ("1970-01-01", None),
            ("soon", None),
        ] {
            assert_eq!(Moment::try_from(text.to_owned()).ok(), moment.map(Moment), "{text}");
        }
        for (text, fits) in [("a", true), ("a b", true), (" a", false), ("a ", false), ("", false), ("a\tb", false)] {
            assert_eq!(Name::try_from(text.to_owned()).is_ok(), fits, "{text:?}");
        }
    }
}
