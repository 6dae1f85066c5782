//! Timestamps in query parameters.

use crate::clock::Millis;
use crate::error::Reason;
use crate::scim::timestamp::parse_rfc3339;
use crate::web::api::response::ApiError;

/// Parses the query parameter `name` as an RFC 3339 timestamp. Fractions of a millisecond are rounded up.
///
/// # Errors
/// 400 if the text is not a timestamp.
pub(super) fn parse_timestamp(name: &'static str, text: Option<&str>) -> Result<Option<Millis>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    // In a query, `+` decodes to a space: a space in the zone was a plus.
    let parsed =
        text.split_at_checked(11).and_then(|(date, rest)| parse_rfc3339(&(date.to_owned() + &rest.replace(' ', "+"))));
    let nanos = parsed.map(|elapsed| elapsed.as_nanos());
    let millis = nanos.map(|nanos| nanos.div_euclid(1_000_000) + i128::from(nanos.rem_euclid(1_000_000) > 0));
    let millis = millis.and_then(|millis| Millis::try_from(millis).ok());
    millis.map(Some).ok_or_else(|| Reason::TimestampInvalid.on_field(name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed_with_their_offset_and_errors_name_the_parameter() {
        let parse = |text| parse_timestamp("since", Some(text)).map_err(|error| error.to_string());
        assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(Some(1_000)));
        assert_eq!(parse("1970-01-01T01:00:00.0001 01:00"), Ok(Some(1)));
        assert_eq!(parse("1970-01-02T00:00:00+23:59"), Ok(Some(60_000)));
        assert_eq!(parse("1970-01-02 00:00:00 23:59"), Ok(Some(60_000)));
        assert_eq!(parse("9999-12-31T23:59:59.9999Z"), Ok(Some(253_402_300_800_000)));
        assert_eq!(parse("1969-12-31T23:59:59.9999Z"), Ok(Some(0)));
        assert_eq!(parse("yesterday").unwrap_err(), "timestamp_invalid field=since");
    }
}
