//! What of a logged call is shown to who may read the log but not the directory: its form, without people's values.

use super::redact::{HIDDEN, between_quotes};
use crate::model::ids;
use crate::model::request::LoggedCall;
use crate::scim::percent;

/// Members whose values are words of the protocol.
const OPEN_MEMBERS: [&str; 7] = ["schemas", "op", "scimType", "status", "method", "resourceType", "version"];
/// Query parameters whose values are words of the protocol or numbers.
const OPEN_PARAMETERS: [&str; 8] =
    ["startindex", "count", "attributes", "excludedattributes", "sortby", "sortorder", "cursor", "aadoptscim062020"];

/// The call without people's values.
pub(in crate::web) fn masked(mut call: LoggedCall) -> LoggedCall {
    call.path = path(&call.path);
    call.detail = call.detail.map(|detail| between_quotes(&detail));
    call.notes = call.notes.iter().map(|note| between_quotes(note)).collect();
    for body in [&mut call.request, &mut call.response] {
        body.text = body.text.take().map(|text| json(&text));
    }
    call
}

/// A JSON text, which may have been cut, with every value hidden that is no word of the protocol.
fn json(text: &str) -> String {
    let mut reader = Reader { rest: text, out: String::with_capacity(text.len()), member: String::new(), open: 0 };
    if !text.trim_start().starts_with(['{', '[']) {
        return HIDDEN.to_owned();
    }
    while reader.step() {}
    reader.out
}

struct Reader<'t> {
    rest: &'t str,
    out: String,
    /// The member whose value comes.
    member: String,
    /// How many arrays deep a value with an open name is.
    open: usize,
}

impl Reader<'_> {
    /// Takes one thing from the front; false at the end.
    fn step(&mut self) -> bool {
        let Some(c) = self.rest.chars().next() else { return false };
        match c {
            '"' => self.string(),
            '{' | '}' | ',' => {
                if self.open == 0 || c != ',' {
                    self.member.clear();
                    self.open = 0;
                }
                self.copy(c);
            }
            '[' => {
                self.open += usize::from(self.is_open());
                self.copy(c);
            }
            ']' => {
                self.open = self.open.saturating_sub(1);
                self.copy(c);
            }
            ':' => self.copy(c),
            _ if c.is_whitespace() => self.copy(c),
            _ => self.word(),
        }
        true
    }

    fn copy(&mut self, c: char) {
        self.out.push(c);
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn is_open(&self) -> bool {
        OPEN_MEMBERS.iter().any(|name| self.member.eq_ignore_ascii_case(name))
    }

    fn string(&mut self) {
        let (inside, after, is_closed) = quoted(self.rest);
        let (inside, after) = (inside.to_owned(), after.to_owned());
        let taken = self.rest.len() - after.len();
        self.rest = &self.rest[taken..];
        let is_name = after.trim_start().starts_with(':');
        self.out.push('"');
        if is_name {
            self.out.push_str(&between_escaped_quotes(&inside));
            self.member = inside;
        } else if self.is_open() || self.member.eq_ignore_ascii_case("path") && !inside.contains('@') {
            self.out.push_str(&between_escaped_quotes(&inside));
        } else {
            self.out.push_str(HIDDEN);
        }
        if is_closed {
            self.out.push('"');
        }
    }

    /// A number, true, false or null, or what is no JSON at all.
    fn word(&mut self) {
        let end = self.rest.find([',', '}', ']', '"', '{', '[', ':']).unwrap_or(self.rest.len());
        let word = self.rest[..end].trim_end();
        let shown = if matches!(word, "true" | "false" | "null") || self.is_open() { word } else { "\"***\"" };
        self.out.push_str(shown);
        self.rest = &self.rest[word.len().max(1).min(self.rest.len())..];
    }
}

/// What stands between the quotes at the start, what follows them, and whether they are closed.
fn quoted(text: &str) -> (&str, &str, bool) {
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

/// A path or an open word with the values in its filters hidden; its quotes are escaped, as they stand within JSON.
fn between_escaped_quotes(text: &str) -> String {
    if !text.contains("\\\"") {
        return text.to_owned();
    }
    let pieces: Vec<&str> = text.split("\\\"").collect();
    let shown = pieces.iter().enumerate().map(|(number, piece)| if number % 2 == 0 { *piece } else { HIDDEN });
    shown.collect::<Vec<_>>().join("\\\"")
}

/// Path and query with hidden values: what is no id and no plain word, and what a filter compares with.
fn path(text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let is_plain = |part: &str| {
        part.len() <= 32 && part.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
            || ids::is_id(part)
            || ["v2", "v2.0"].contains(&part)
            || part.starts_with("urn:")
    };
    let segments = path.split('/').map(|part| if is_plain(part) { part } else { HIDDEN });
    let mut out = segments.collect::<Vec<_>>().join("/");
    for (number, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = percent::decoded(name).unwrap_or_default().to_ascii_lowercase();
        let is_known = OPEN_PARAMETERS.contains(&plain.as_str());
        let is_filter = plain == "filter";
        out.push_str(if is_known || is_filter { name } else { HIDDEN });
        if pair.contains('=') {
            out.push('=');
            match percent::decoded(value) {
                Some(_) if is_known => out.push_str(value),
                Some(plain) if is_filter => out.push_str(&encoded(&between_any_quotes(&plain))),
                _ => out.push_str(HIDDEN),
            }
        }
    }
    out
}

/// A filter with its values hidden. Some clients put them into single quotes, which are understood too.
fn between_any_quotes(filter: &str) -> String {
    let mut out = String::with_capacity(filter.len());
    let mut chars = filter.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !matches!(c, '"' | '\'') {
            continue;
        }
        out.push_str(HIDDEN);
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

/// What cannot stand in a query as it is, escaped.
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "%20").replace('"', "%22").replace('&', "%26").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_its_names_and_the_words_of_the_protocol() {
        for (text, shown) in [
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
            assert_eq!(json(text), shown);
        }
    }

    #[test]
    fn no_text_makes_it_hang_or_shows_a_value() {
        for text in ["{bob", "{\"a\":bob,bob}", "{\"a\" \"bob\"", "[[[[bob", "{\"\\", "{\"a\":\"bo\\\"b", "{:bob:bob"] {
            assert!(!json(text).contains("bob"), "{}", json(text));
        }
    }

    #[test]
    fn a_path_keeps_ids_and_the_attributes_of_a_filter() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        for (text, shown) in [
            (
                "/scim/v2/Users?filter=userName%20eq%20%22bob%22&count=2&x=bob",
                "/scim/v2/Users?filter=userName%20eq%20%22***%22&count=2&***=***",
            ),
            ("/Users?filter=userName%20eq%20'bob'", "/Users?filter=userName%20eq%20'***'"),
            ("/Users/bob@example.com", "/Users/***"),
            (&format!("/Users/{id}?attributes=userName"), &format!("/Users/{id}?attributes=userName")),
        ] {
            assert_eq!(path(text), shown);
        }
        assert_eq!(between_quotes("userName \"bob\" is taken"), "userName \"***\" is taken");
    }
}
