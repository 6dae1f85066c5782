//! Moments and stretches of time in queries.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::Refusal;
use crate::clock::Millis;

/// The moment that a parameter names, in milliseconds; a moment between two is the later one.
pub(super) fn moment(name: &str, text: Option<&str>) -> Result<Option<Millis>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    // A plus in a query is a blank, and nobody writes a blank there.
    let read = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).map(OffsetDateTime::unix_timestamp_nanos);
    let millis = read.map(|nanos| nanos.div_euclid(1_000_000) + i128::from(nanos.rem_euclid(1_000_000) > 0));
    let millis = millis.ok().and_then(|millis| Millis::try_from(millis).ok());
    let refused = || Refusal::bad(format!("{name} must be a moment in RFC 3339, such as 2026-07-14T09:30:00Z"));
    millis.map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_zone_and_refused_by_name() {
        let read = |text| moment("since", Some(text)).map_err(|refused| refused.errors[0].clone());
        assert_eq!(read("1970-01-01T00:00:01Z"), Ok(Some(1_000)));
        assert_eq!(read("1970-01-01T01:00:00.0001 01:00"), Ok(Some(1)));
        assert_eq!(read("1970-01-02T00:00:00+23:59"), Ok(Some(60_000)));
        assert!(read("yesterday").unwrap_err().starts_with("since"));
    }
}
