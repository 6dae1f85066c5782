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
            self.out.push_str(&mask_member_text(&inside));
            self.member = inside;
        } else if self.member.eq_ignore_ascii_case("path") {
            self.out.push_str(&mask_member_text(&inside));
        } else if self.is_visible() && is_protocol_text(&inside) {
            self.out.push_str(&inside);
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

/// Hides the values in a path of a PATCH or Bulk operation, or in a member name, which is part of a JSON string.
fn mask_member_text(text: &str) -> String {
    let is_whole_path = text.starts_with('/') || text.contains("://");
    if is_whole_path && !text.contains('[') {
        return mask_path(text);
    }
    let Some((attribute, rest)) = text.split_once('[') else {
        return if is_attribute_path(text) { text.to_owned() } else { REPLACEMENT.to_owned() };
    };
    let (filter, tail) = rest.rsplit_once(']').unwrap_or((rest, ""));
    let attribute = if is_attribute_path(attribute) { attribute } else { REPLACEMENT };
    let filter = mask_filter(&filter.replace("\\\"", "\"")).replace('"', "\\\"");
    let is_plain_tail = tail.is_empty() || tail.strip_prefix('.').is_some_and(is_attribute_path);
    let tail = if is_plain_tail { tail } else { REPLACEMENT };
    let close = if rest.contains(']') { "]" } else { "" };
    format!("{attribute}[{filter}{close}{tail}")
}

/// Whether the text can be a protocol value: a name, a URN, a number, or an entity tag.
fn is_protocol_text(text: &str) -> bool {
    let is_tag_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '\\' | '"' | '-');
    let is_tag = text.len() <= 64 && text.starts_with(['W', '\\']) && text.chars().all(is_tag_char);
    is_attribute_path(text) || is_tag || text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text can be the name or path of an attribute, or a URN with one.
fn is_attribute_path(text: &str) -> bool {
    let is_urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    let is_allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '$')
            || (is_urn && matches!(c, ':' | '/' | '+' | '%'))
    };
    text.len() <= 256 && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && text.chars().all(is_allowed)
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
    let mut out = String::with_capacity(text.len());
    let mut is_after_endpoint = false;
    for (number, part) in path.split('/').enumerate() {
        // After /Users and /Groups comes an id; anything else can be a name.
        let is_name = is_after_endpoint && !part.is_empty() && !part.starts_with('.') && !ids::is_id(part);
        out.push_str(if number == 0 { "" } else { "/" });
        out.push_str(if is_plain(part) && !is_name { part } else { REPLACEMENT });
        is_after_endpoint = part.eq_ignore_ascii_case("Users") || part.eq_ignore_ascii_case("Groups");
    }
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
                Some(plain) if is_visible && is_protocol_value(&plain) => out.push_str(value),
                Some(plain) if is_filter => out.extend(utf8_percent_encode(&mask_filter(&plain), NOT_IN_A_VALUE)),
                _ => out.push_str(REPLACEMENT),
            }
        }
    }
    out
}

/// Whether the value of a visible parameter can be a number, a cursor, or a list of attribute names.
fn is_protocol_value(value: &str) -> bool {
    value.split(',').map(str::trim).all(|part| {
        part.is_empty()
            || is_attribute_path(part)
            || part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
            || (part.len() >= 40
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')))
    })
}

/// Hides everything in a filter except its structure: operators, brackets, and the attribute names before
/// an operator. Values are hidden with and without quotes; some clients use single quotes, or none.
fn mask_filter(filter: &str) -> String {
    let pieces = split_filter(filter);
    let tokens: Vec<usize> = (0..pieces.len()).filter(|&at| !pieces[at].trim().is_empty()).collect();
    let mut is_visible = vec![false; pieces.len()];
    let mut state = FilterState::Attribute;
    for (order, &at) in tokens.iter().enumerate() {
        let (piece, next) = (pieces[at], tokens.get(order + 1).map(|&next| pieces[next]));
        let lower = piece.to_ascii_lowercase();
        let is_bracket = matches!(piece, "(" | ")" | "[" | "]");
        is_visible[at] = match state {
            FilterState::Attribute => {
                let is_tested = next.is_some_and(|next| next == "[" || is_operator(next));
                let is_name = is_tested && is_attribute_path(piece);
                let is_not = lower == "not" && next == Some("(");
                state = if is_not || is_bracket { FilterState::Attribute } else { FilterState::Operator };
                is_name || is_not || is_bracket
            }
            FilterState::Operator => {
                state = if is_bracket || is_connective(&lower) {
                    FilterState::Attribute
                } else if lower == "pr" || !is_operator(piece) {
                    FilterState::Operator
                } else {
                    FilterState::Value
                };
                is_bracket || is_connective(&lower) || is_operator(piece)
            }
            // Everything up to the next connective or closing bracket is the value.
            FilterState::Value => {
                let ends = is_connective(&lower) || matches!(piece, ")" | "]");
                if ends {
                    state = if is_connective(&lower) { FilterState::Attribute } else { FilterState::Operator };
                }
                ends
            }
        };
        // After `]` a sub-attribute of the element can follow: `emails[type eq "work"].value eq "x"`.
        if piece == "]" && next.is_some_and(|next| next.starts_with('.')) {
            state = FilterState::Attribute;
        }
        if let Some(sub) = piece.strip_prefix('.').filter(|_| state == FilterState::Operator) {
            is_visible[at] = is_attribute_path(sub) && next.is_some_and(is_operator);
        }
    }
    let mut out = String::with_capacity(filter.len());
    for (at, piece) in pieces.iter().enumerate() {
        let quote = piece.chars().next().filter(|first| matches!(first, '"' | '\''));
        match quote {
            _ if piece.trim().is_empty() || is_visible[at] => out.push_str(piece),
            Some(quote) => {
                out.push(quote);
                out.push_str(REPLACEMENT);
                if piece.len() > 1 && piece.ends_with(quote) {
                    out.push(quote);
                }
            }
            None => out.push_str(REPLACEMENT),
        }
    }
    out
}

/// What the next token of a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterState {
    Attribute,
    Operator,
    Value,
}

fn is_operator(token: &str) -> bool {
    ["eq", "ne", "co", "sw", "ew", "pr", "gt", "ge", "lt", "le"].iter().any(|name| token.eq_ignore_ascii_case(name))
}

fn is_connective(token: &str) -> bool {
    matches!(token, "and" | "or")
}

/// Splits a filter into quoted strings, brackets, tokens, and the spaces between them.
fn split_filter(filter: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = filter;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => find_quote_end(rest, first),
            '(' | ')' | '[' | ']' => 1,
            _ => {
                let is_space = first.is_whitespace();
                let ends = |c: char| c.is_whitespace() != is_space || matches!(c, '"' | '\'' | '(' | ')' | '[' | ']');
                rest.find(ends).unwrap_or(rest.len()).max(first.len_utf8())
            }
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Returns the length of the quoted string at the start of the text, with its quotes.
fn find_quote_end(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
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
            (
                r#"{"op":"replace","path":"emails[value eq b@x and type eq work].value","Path":"bob b"}"#,
                r#"{"op":"replace","path":"emails[value eq *** and type eq ***].value","Path":"***"}"#,
            ),
            (r#"{"path":"/Users/bob","op":"bob \"x"}"#, r#"{"path":"/Users/***","op":"***"}"#),
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
    fn a_filter_shows_its_structure_and_no_value() {
        for (text, masked) in [
            ("userName eq bob", "userName eq ***"),
            ("userName eq bob@example.com and active eq true", "userName eq *** and active eq ***"),
            ("userName  eq Bob Smith or title pr", "userName  eq *** *** or title pr"),
            ("not (userName sw bob) and (id eq 7)", "not (userName sw ***) and (id eq ***)"),
            (
                "emails[type eq work and value co bob].display eq bob",
                "emails[type eq *** and value co ***].display eq ***",
            ),
            ("urn:x:2.0:User:department eq bob", "urn:x:2.0:User:department eq ***"),
            ("userName eq \"bob\" and id eq 'x\\'y' or bob", "userName eq \"***\" and id eq '***' or ***"),
            ("userName eq \"bob", "userName eq \"***"),
            ("bob", "***"),
            ("bob smith", "*** ***"),
            ("userName=bob", "***"),
            ("bob@example.com eq x", "*** eq ***"),
            ("userName eq (bob)", "userName eq ******)"),
            ("userName pr bob", "userName pr ***"),
            ("", ""),
        ] {
            assert_eq!(mask_filter(text), masked, "{text}");
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
            ("/Users?filter=userName%20eq%20bob", "/Users?filter=userName%20eq%20***"),
            (
                "/Users?sortBy=bob%40x&attributes=userName,bob%20smith&count=b@b",
                "/Users?sortBy=***&attributes=***&count=***",
            ),
            ("/Users/bob@example.com", "/Users/***"),
            (&format!("/Users/{id}?attributes=userName"), &format!("/Users/{id}?attributes=userName")),
        ] {
            assert_eq!(mask_path(text), masked);
        }
        assert_eq!(hide_double_quoted("userName \"bob\" is taken"), "userName \"***\" is taken");
    }
}
