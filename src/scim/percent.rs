//! Percent-encoding of paths and query strings (RFC 3986 section 2.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

/// Everything except the unreserved characters (RFC 3986 section 2.3).
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes everything except the unreserved characters, including spaces and slashes.
pub fn encode_percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Decodes percent-escapes; returns `None` if the result is not valid UTF-8. An incomplete escape is not changed.
pub fn decode_percent(text: &str) -> Option<String> {
    // Most texts have no escapes; the search costs less than half of the decoder.
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Returns the decoded name and value pairs of a query string. A plus decodes to a space. Pairs that are not valid
/// UTF-8 are discarded; `form_urlencoded::parse` would put replacement characters into a filter instead.
pub fn parse_query_string(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_percent(&name.replace('+', " "))?, decode_percent(&value.replace('+', " "))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_escapes_of_valid_utf_8_are_decoded() {
        for (text, decoded) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("%c3%A9%2F", Some("\u{e9}/")),
            ("%", Some("%")),
            ("%4", Some("%4")),
            ("%zz%41", Some("%zzA")),
            ("%%41", Some("%A")),
            ("%ff", None),
        ] {
            assert_eq!(decode_percent(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn a_pair_that_is_not_utf_8_is_discarded() {
        assert_eq!(parse_query_string("a=%ff&%ff=1&b=2"), [("b".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_query_may_have_flags_and_pluses() {
        let pairs = parse_query_string("aadOptscim062020&filter=userName+eq+%22a%2Bb%22&x=1&");
        assert_eq!(pairs[0], ("aadOptscim062020".to_owned(), String::new()));
        assert_eq!(pairs[1].1, "userName eq \"a+b\"");
        assert_eq!(pairs.len(), 3);
    }
}
