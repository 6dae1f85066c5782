//! Headers that an admin adds to the requests of a webhook.

use crate::error::{Reason, Result};

/// Maximum number of headers of a webhook.
pub const HEADERS_MAX: usize = 10;
/// Maximum length of the name of a header, in bytes.
const NAME_MAX_BYTES: usize = 64;
/// Maximum length of the value of a header, in bytes.
pub const VALUE_MAX_BYTES: usize = 1_024;

/// A header with its encrypted value. The value may be a credential of the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedHeader {
    /// Name in lower case.
    pub name: String,
    /// Encrypted value.
    pub sealed: Vec<u8>,
}

/// Checks headers in the spelling of the admin, and returns them with names in lower case.
///
/// # Errors
/// `Invalid` if there are too many, a name or value is not valid, or the name belongs to the server.
pub fn check_headers(given: &[(String, String)]) -> Result<Vec<(String, String)>> {
    if given.len() > HEADERS_MAX {
        return Err(Reason::WebhookTooManyHeaders.with("max", HEADERS_MAX));
    }
    let mut checked: Vec<(String, String)> = Vec::with_capacity(given.len());
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        let is_valid = !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(is_name_byte);
        let is_repeated = checked.iter().any(|(other, _)| *other == name);
        if !is_valid || is_repeated || is_reserved(&name) {
            return Err(Reason::WebhookHeaderName.with("name", format_args!("{name:?}")));
        }
        let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let is_valid = value.len() <= VALUE_MAX_BYTES && value.bytes().all(is_visible) && value.trim() == value;
        if !is_valid || value.is_empty() {
            return Err(Reason::WebhookHeaderValue.with("name", name).with("max", VALUE_MAX_BYTES));
        }
        checked.push((name, value.clone()));
    }
    Ok(checked)
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Headers that the server sets itself, and those of the connection.
fn is_reserved(name: &str) -> bool {
    let prefixes = ["content-", "webhook-", "x-webhook-", "proxy-", "sec-"];
    let names = [
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "user-agent",
        "accept-encoding",
        "date",
        "cookie",
    ];
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<Vec<(String, String)>> {
        check_headers(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn headers_of_the_admin_are_accepted_in_lower_case() {
        assert_eq!(check("X-Api-Key", "a b").unwrap(), [("x-api-key".to_owned(), "a b".to_owned())]);
        check("Authorization", "Bearer x").unwrap();
    }

    #[test]
    fn headers_of_the_server_and_invalid_ones_are_refused() {
        for name in
            ["Host", "Content-Type", "content-length", "Webhook-Id", "X-Webhook-Secret", "", "a b", "a:b", "ä", "TE"]
        {
            assert_eq!(check(name, "x").unwrap_err().reason(), Reason::WebhookHeaderName, "{name}");
        }
        for value in ["", " x", "x\r\ny: z", "x\0", "ä", &"x".repeat(1_025)] {
            assert_eq!(check("x-a", value).unwrap_err().reason(), Reason::WebhookHeaderValue, "{value:?}");
        }
        let many: Vec<_> = (0..11).map(|n| (format!("x-{n}"), "v".to_owned())).collect();
        assert_eq!(check_headers(&many).unwrap_err().reason(), Reason::WebhookTooManyHeaders);
        let twice = [("x-a".to_owned(), "1".to_owned()), ("X-A".to_owned(), "2".to_owned())];
        assert_eq!(check_headers(&twice).unwrap_err().reason(), Reason::WebhookHeaderName);
    }
}
