//! Percent-encoding of paths and query strings (RFC 3986 section 2.1).

/// Decodes percent-escapes; returns `None` if the result is not valid UTF-8.
pub fn decode_percent(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// Returns the decoded name and value pairs of a query string. A plus decodes to a space. Pairs that are not valid
/// UTF-8 are discarded.
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
    fn a_query_may_have_flags_and_pluses() {
        let pairs = parse_query_string("aadOptscim062020&filter=userName+eq+%22a%2Bb%22&x=1&");
        assert_eq!(pairs[0], ("aadOptscim062020".to_owned(), String::new()));
        assert_eq!(pairs[1].1, "userName eq \"a+b\"");
        assert_eq!(pairs.len(), 3);
    }
}
