//! Masking of logged calls for callers that may read the request log but not the directory: the structure of a call stays
//! visible, personal data is hidden.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::model::ids;
use crate::model::request::LoggedCall;
use crate::scim::percent;
use crate::web::request_log::redact::{REPLACEMENT, hide_double_quoted};

/// JSON members whose values are defined by the protocol and stay visible.
const VISIBLE_MEMBERS: [&str; 7] = ["schemas", "op", "scimType", "status", "method", "resourceType", "version"];
/// Query parameters whose values are defined by the protocol, or numbers, and stay visible.
const VISIBLE_PARAMETERS: [&str; 8] =
    ["startindex", "count", "attributes", "excludedattributes", "sortby", "sortorder", "cursor", "aadoptscim062020"];

/// Characters that are not allowed in the value of a query parameter.
const NOT_IN_A_VALUE: &AsciiSet = &CONTROLS.add(b'%').add(b' ').add(b'"').add(b'&').add(b'#');

/// Returns the call without personal data.
pub(in crate::web) fn mask_call(mut call: LoggedCall) -> LoggedCall {
    call.path = mask_path(&call.path);
    call.detail = call.detail.map(|detail| hide_double_quoted(&detail));
    call.notes = call.notes.iter().map(|note| hide_double_quoted(note)).collect();
    for body in [&mut call.request, &mut call.response] {
        body.text = body.text.take().map(|text| mask_json(&text));
    }
    call
}

/// Returns JSON text, which may be truncated, with all values hidden that are not defined by the protocol.
fn mask_json(text: &str) -> String {
    let mut reader =
        MaskingReader { rest: text, out: String::with_capacity(text.len()), member: String::new(), visible_depth: 0 };
    if !text.trim_start().starts_with(['{', '[']) {
        return REPLACEMENT.to_owned();
    }
    while reader.step() {}
    reader.out
}

struct MaskingReader<'t> {
    rest: &'t str,
    out: String,
    /// Name of the current member.
    member: String,
    /// Array depth within a member whose values stay visible.
    visible_depth: usize,
}

impl MaskingReader<'_> {
    /// Consumes one token. Returns false at the end.
    fn step(&mut self) -> bool {
        let Some(c) = self.rest.chars().next() else { return false };
        match c {
            '"' => self.copy_string(),
            '{' | '}' | ',' => {
                if self.visible_depth == 0 || c != ',' {
                    self.member.clear();
                    self.visible_depth = 0;
                }
                self.copy_char(c);
            }
            '[' => {
                self.visible_depth += usize::from(self.is_visible());
                self.copy_char(c);
            }
            ']' => {
                self.visible_depth = self.visible_depth.saturating_sub(1);
                self.copy_char(c);
            }
            ':' => self.copy_char(c),
            _ if c.is_whitespace() => self.copy_char(c),
            _ => self.copy_literal(),
        }
        true
    }

    fn copy_char(&mut self, c: char) {
        self.out.push(c);
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn is_visible(&self) -> bool {
        VISIBLE_MEMBERS.iter().any(|name| self.member.eq_ignore_ascii_case(name))
    }

    fn copy_string(&mut self) {
        let (inside, after, is_closed) = split_quoted(self.rest);
        let (inside, after) = (inside.to_owned(), after.to_owned());
        let consumed = self.rest.len() - after.len();
        self.rest = &self.rest[consumed..];
        let is_name = after.trim_start().starts_with(':');
        self.out.push('"');
        if is_name {
            self.out.push_str(&mask_escaped_quotes(&inside));
            self.member = inside;
        } else if self.is_visible() || self.member.eq_ignore_ascii_case("path") && !inside.contains('@') {
            self.out.push_str(&mask_escaped_quotes(&inside));
        } else {
            self.out.push_str(REPLACEMENT);
        }
        if is_closed {
            self.out.push('"');
        }
    }

    /// Consumes a number, true, false or null, or invalid JSON.
    fn copy_literal(&mut self) {
        let end = self.rest.find([',', '}', ']', '"', '{', '[', ':']).unwrap_or(self.rest.len());
        let literal = self.rest[..end].trim_end();
        let is_visible = matches!(literal, "true" | "false" | "null") || self.is_visible();
        self.out.push_str(if is_visible { literal } else { "\"***\"" });
        self.rest = &self.rest[literal.len().max(1).min(self.rest.len())..];
    }
}

/// Splits text that begins with a quoted string. Returns the content of the string, the rest of the text, and whether the
/// string is closed.
fn split_quoted(text: &str) -> (&str, &str, bool) {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (&text[1..at], &text[at + 1..], true),
            _ => {}
        }
    }
    (text.get(1..).unwrap_or_default(), "", false)
}

/// Hides the values of filters in a path or in another visible value. Quotes are escaped, because the text is part of a JSON
/// string.
fn mask_escaped_quotes(text: &str) -> String {
    if !text.contains("\\\"") {
        return text.to_owned();
    }
    let pieces: Vec<&str> = text.split("\\\"").collect();
    let masked = pieces.iter().enumerate().map(|(number, piece)| if number % 2 == 0 { *piece } else { REPLACEMENT });
    masked.collect::<Vec<_>>().join("\\\"")
}

/// Hides values in a path and its query: path segments other than ids and plain names, values of filters, and unknown
/// parameters.
fn mask_path(text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let is_plain = |part: &str| {
        part.len() <= 32 && part.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
            || ids::is_id(part)
            || ["v2", "v2.0"].contains(&part)
            || part.starts_with("urn:")
    };
    let segments = path.split('/').map(|part| if is_plain(part) { part } else { REPLACEMENT });
    let mut out = segments.collect::<Vec<_>>().join("/");
    for (number, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = percent::decode_percent(name).unwrap_or_default().to_ascii_lowercase();
        let is_visible = VISIBLE_PARAMETERS.contains(&plain.as_str());
        let is_filter = plain == "filter";
        out.push_str(if is_visible || is_filter { name } else { REPLACEMENT });
        if pair.contains('=') {
            out.push('=');
            match percent::decode_percent(value) {
                Some(_) if is_visible => out.push_str(value),
                Some(plain) if is_filter => out.extend(utf8_percent_encode(&mask_filter(&plain), NOT_IN_A_VALUE)),
                _ => out.push_str(REPLACEMENT),
            }
        }
    }
    out
}

/// Hides the values in a filter. Some clients use single quotes, which are also accepted.
fn mask_filter(filter: &str) -> String {
    let mut out = String::with_capacity(filter.len());
    let mut chars = filter.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !matches!(c, '"' | '\'') {
            continue;
        }
        out.push_str(REPLACEMENT);
        while let Some(inside) = chars.next() {
            match inside {
                '\\' => drop(chars.next()),
                _ if inside == c => {
                    out.push(c);
                    break;
                }
                _ => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_names_and_protocol_values_of_a_document_stay_visible() {
        for (text, masked) in [
            (
                r#"{"schemas": ["urn:a", "urn:b"], "userName": "bob", "active": true, "n": 12, "emails": [{"value": "b@x"}]}"#,
                r#"{"schemas": ["urn:a", "urn:b"], "userName": "***", "active": true, "n": "***", "emails": [{"value": "***"}]}"#,
            ),
            (
                r#"{"op":"replace","path":"emails[type eq \"work\"].value","value":"b@x"}"#,
                r#"{"op":"replace","path":"emails[type eq \"***\"].value","value":"***"}"#,
            ),
            (r#"{"userName":"bo"#, r#"{"userName":"***"#),
            (r#"{"n":12"#, r#"{"n":"***""#),
            (r#"["bob",{"a":null}]"#, r#"["***",{"a":null}]"#),
            ("bob wrote this", "***"),
            ("", "***"),
        ] {
            assert_eq!(mask_json(text), masked);
        }
    }

    #[test]
    fn invalid_text_neither_hangs_nor_reveals_a_value() {
        for text in ["{bob", "{\"a\":bob,bob}", "{\"a\" \"bob\"", "[[[[bob", "{\"\\", "{\"a\":\"bo\\\"b", "{:bob:bob"] {
            assert!(!mask_json(text).contains("bob"), "{}", mask_json(text));
        }
    }

    #[test]
    fn ids_and_attribute_names_of_filters_in_a_path_stay_visible() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        for (text, masked) in [
            (
                "/scim/v2/Users?filter=userName%20eq%20%22bob%22&count=2&x=bob",
                "/scim/v2/Users?filter=userName%20eq%20%22***%22&count=2&***=***",
            ),
            ("/Users?filter=userName%20eq%20'bob'", "/Users?filter=userName%20eq%20'***'"),
            ("/Users/bob@example.com", "/Users/***"),
            (&format!("/Users/{id}?attributes=userName"), &format!("/Users/{id}?attributes=userName")),
        ] {
            assert_eq!(mask_path(text), masked);
        }
        assert_eq!(hide_double_quoted("userName \"bob\" is taken"), "userName \"***\" is taken");
    }
}
