//! Removal of secrets from logged calls. Passwords and tokens are never stored.

use memchr::{memchr, memchr2, memchr2_iter};
use serde_json::Value;

use crate::scim::percent;

/// Replacement for removed text.
pub(super) const REPLACEMENT: &str = "***";
/// Maximum length of a stored path with its query.
const PATH_MAX_BYTES: usize = 4 * 1024;
/// Returns whether a stored text may have lost a secret.
pub(in crate::web) fn is_redacted(text: &str) -> bool {
    text.contains(REPLACEMENT)
}

/// Returns whether a stored path was not truncated.
pub(in crate::web) fn is_path_complete(path: &str) -> bool {
    path.len() + 4 <= PATH_MAX_BYTES
}

/// Names of query parameters in which clients send credentials.
const SECRET_NAMES: [&str; 9] =
    ["access_token", "api_key", "apikey", "authorization", "bearer", "client_secret", "key", "secret", "token"];
/// Minimum number of characters after the prefix of a token of this server. At the end of a text, fewer are sufficient,
/// because the text may be truncated.
const TOKEN_MIN_CHARS: usize = 16;

/// A text without passwords, and the removed passwords.
#[derive(Debug, Default)]
pub(super) struct RedactedText {
    pub(super) text: String,
    pub(super) passwords: Vec<String>,
}

/// Returns whether a body must be parsed to exclude that it contains a password. Member names can contain escapes.
pub(super) fn needs_parsing(body: &[u8]) -> bool {
    mentions_password(body) || has_escaped_character(body)
}

fn has_escaped_character(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(at) = memchr(b'\\', rest) {
        if rest.get(at + 1) == Some(&b'u') {
            return true;
        }
        // The escaped character may itself be a backslash.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// Returns whether the text contains `password`, case-insensitive.
fn mentions_password(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr2(b'p', b'P', rest) {
        rest = &rest[at..];
        if rest.len() < 8 {
            return false;
        }
        if rest[..8].eq_ignore_ascii_case(b"password") {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Returns a JSON document of at most about `max` bytes with all passwords hidden: in members with that name at any depth, in
/// the value of a PATCH operation whose path contains the name, and between quotes in a filter that contains the name.
pub(super) fn redact_json(value: &Value, max: usize) -> RedactedText {
    let mut redacted = RedactedText::default();
    redacted.write(value, max);
    redacted
}

impl RedactedText {
    fn write(&mut self, value: &Value, max: usize) {
        if self.text.len() > max {
            return;
        }
        match value {
            Value::Object(members) => {
                let path = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("path"));
                let path_names_it =
                    path.and_then(|(_, path)| path.as_str()).is_some_and(|path| mentions_password(path.as_bytes()));
                self.text.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    if self.text.len() > max {
                        return;
                    }
                    if number > 0 {
                        self.text.push(',');
                    }
                    self.text.push_str(&Value::from(hide_quoted_passwords(name)).to_string());
                    self.text.push(':');
                    if mentions_password(name.as_bytes()) || path_names_it && name.eq_ignore_ascii_case("value") {
                        self.hide(value);
                    } else {
                        self.write(value, max);
                    }
                }
                self.text.push('}');
            }
            Value::Array(values) => {
                self.text.push('[');
                for (number, value) in values.iter().enumerate() {
                    if self.text.len() > max {
                        return;
                    }
                    if number > 0 {
                        self.text.push(',');
                    }
                    self.write(value, max);
                }
                self.text.push(']');
            }
            Value::String(text) => self.text.push_str(&Value::from(hide_quoted_passwords(text)).to_string()),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn hide(&mut self, value: &Value) {
        match value {
            Value::Bool(_) | Value::Null => self.text.push_str(&value.to_string()),
            _ => {
                self.collect_passwords(value);
                self.text.push_str(&Value::from(REPLACEMENT).to_string());
            }
        }
    }

    fn collect_passwords(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.passwords.push(text.clone()),
            Value::Number(number) => self.passwords.push(number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| self.collect_passwords(value)),
            Value::Object(members) => members.values().for_each(|value| self.collect_passwords(value)),
            Value::Bool(_) | Value::Null => {}
        }
    }
}

/// Quotes of strings in filters: double quotes (RFC 7644), and single quotes, which some clients use.
const QUOTES: [char; 2] = ['"', '\''];

/// Hides quoted strings if the text mentions a password, because it may be a filter that compares with one.
fn hide_quoted_passwords(text: &str) -> String {
    if mentions_password(text.as_bytes()) && text.contains(QUOTES) {
        hide_quoted(text, &QUOTES)
    } else {
        text.to_owned()
    }
}

/// Replaces the content of double-quoted strings with [`REPLACEMENT`]. A string that is not closed extends to the end.
pub(super) fn hide_double_quoted(text: &str) -> String {
    hide_quoted(text, &['"'])
}

/// Like [`hide_double_quoted`], for any of these quotes.
fn hide_quoted(text: &str, quotes: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !quotes.contains(&c) {
            continue;
        }
        out.push_str(REPLACEMENT);
        while let Some(inside) = chars.next() {
            match inside {
                '\\' => drop(chars.next()),
                end if end == c => {
                    out.push(end);
                    break;
                }
                _ => {}
            }
        }
    }
    out
}

/// Removes the passwords found in another text. Passwords with fewer than 4 bytes are not removed, because they would hide
/// much unrelated text.
pub(super) fn remove_passwords(passwords: &[String], mut text: String) -> String {
    for password in passwords.iter().filter(|password| password.len() >= 4) {
        let escaped = Value::from(password.as_str()).to_string();
        for form in [&escaped[1..escaped.len() - 1], password.as_str()] {
            if text.contains(form) {
                text = text.replace(form, REPLACEMENT);
            }
        }
    }
    text
}

/// Removes tokens of this server (`rct_…`) and JWTs (`eyJ….…`).
pub(super) fn remove_tokens(text: String) -> String {
    if !may_contain_token(text.as_bytes()) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        // The end of a name such as `resource_activated` looks like a token that was cut.
        let follows_letter = out.ends_with(|before: char| before.is_ascii_lowercase());
        if let Some((prefix, length)) = find_token(rest, follows_letter) {
            out.push_str(prefix);
            out.push_str(REPLACEMENT);
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Quick check whether a text can contain a token. Most texts have no `_`, and few of the others have `rc` before it.
fn may_contain_token(text: &[u8]) -> bool {
    memchr2_iter(b'_', b'J', text).any(|at| {
        let before = &text[at.saturating_sub(3)..at];
        text[at] == b'J' && before.ends_with(b"ey") || text[at] == b'_' && before.starts_with(b"rc")
    })
}

/// If the text starts with a token, returns the prefix that stays visible and the length of the token.
fn find_token(text: &str, follows_letter: bool) -> Option<(&str, usize)> {
    let run = |from: usize, belongs: fn(u8) -> bool| {
        text.as_bytes()[from..].iter().take_while(|byte| belongs(**byte)).count()
    };
    match text.as_bytes() {
        // `rcc_` is the public id of an OAuth client.
        [b'r', b'c', kind, b'_', ..] if kind.is_ascii_lowercase() && *kind != b'c' => {
            let length = run(4, |byte| byte.is_ascii_alphanumeric());
            let is_cut = length > 0 && text.len() == 4 + length && !follows_letter;
            (length >= TOKEN_MIN_CHARS || is_cut).then_some((&text[..4], 4 + length))
        }
        [b'e', b'y', b'J', ..] => {
            let length = run(0, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            let is_cut = text.len() == length;
            let is_signed = text[..length].contains('.') || is_cut;
            (length >= TOKEN_MIN_CHARS && is_signed).then_some(("eyJ", length))
        }
        _ => None,
    }
}

/// Removes secrets from a path and its query: credentials, found by the parameter name or by their format, and passwords in
/// filters.
pub(super) fn redact_path(path: &str, query: Option<&str>) -> String {
    let mut out = redact_part(path);
    if let Some(query) = query {
        for (number, pair) in query.split('&').enumerate() {
            out.push(if number == 0 { '?' } else { '&' });
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.push_str(&redact_part(name));
            if !pair.contains('=') {
                continue;
            }
            out.push('=');
            let plain = percent::decode_percent(&name.replace('+', " ")).unwrap_or_default();
            if SECRET_NAMES.iter().any(|secret| plain.eq_ignore_ascii_case(secret)) || contains_password(value) {
                out.push_str(REPLACEMENT);
            } else {
                out.push_str(&redact_part(value));
            }
        }
    }
    truncate_text(out, PATH_MAX_BYTES)
}

/// Returns the part unchanged, unless its decoded form contains a token or it cannot be decoded.
fn redact_part(part: &str) -> String {
    let Some(plain) = percent::decode_percent(part) else { return REPLACEMENT.to_owned() };
    let scrubbed = remove_tokens(plain.clone());
    if scrubbed == plain { part.to_owned() } else { scrubbed }
}

fn contains_password(value: &str) -> bool {
    percent::decode_percent(value).is_none_or(|plain| mentions_password(plain.as_bytes()) && plain.contains(QUOTES))
}

/// Truncates the text to at most `max` bytes, at a character boundary.
pub(super) fn truncate_text(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "Hunter2-äöü\"";

    fn redacted(value: Value) -> String {
        let redacted = redact_json(&value, 16 * 1024);
        assert!(!redacted.text.contains("Hunter2"), "{}", redacted.text);
        assert!(needs_parsing(value.to_string().as_bytes()));
        redacted.text
    }

    #[test]
    fn a_password_is_hidden_in_every_position() {
        let urn = "urn:ietf:params:scim:schemas:core:2.0:User:password";
        for value in [
            json!({"userName": "bob", "PassWord": SECRET}),
            json!({"Operations": [{"op": "replace", "path": "password", "value": SECRET}]}),
            json!({"Operations": [{"op": "replace", "value": SECRET, "PATH": urn}]}),
            json!({"Operations": [{"op": "add", "value": {"password": SECRET}}]}),
            json!({"Operations": [{"op": "add", "value": {urn: {"value": SECRET}}}]}),
            json!({"Operations": [{"method": "POST", "path": "/Users", "data": {"password": [SECRET]}}]}),
            json!({"filter": format!("password eq {}", Value::from(SECRET))}),
            json!({"value": json!({"password": SECRET}).to_string()}),
        ] {
            redacted(value);
        }
        assert_eq!(redacted(json!({"a": 1, "password": SECRET, "b": "x"})), r#"{"a":1,"password":"***","b":"x"}"#);
        assert!(needs_parsing(br#"{"pass\u0077ord":"x"}"#));
        assert!(!needs_parsing(br#"{"userName":"pass","word":"passwor"}"#));
    }

    #[test]
    fn a_password_that_a_response_repeats_is_also_hidden() {
        let RedactedText { passwords, .. } = redact_json(&json!({"password": SECRET}), 1_000);
        let response = json!({"detail": format!("{SECRET} is too short")}).to_string();
        assert_eq!(remove_passwords(&passwords, response), r#"{"detail":"*** is too short"}"#);
    }

    #[test]
    fn a_long_document_is_truncated_and_its_passwords_are_hidden() {
        let many: Vec<Value> = (0..10_000).map(|_| json!({"value": SECRET, "path": "password"})).collect();
        let redacted = redact_json(&json!({ "Operations": many }), 1_000);
        assert!(redacted.text.len() < 1_100 && !redacted.text.contains("Hunter2"), "{}", redacted.text);
    }

    #[test]
    fn complete_and_truncated_tokens_are_removed_from_any_text() {
        let token = format!("rct_{}", "aB3".repeat(14));
        for text in [
            token.clone(),
            format!("x {token} y"),
            format!("{{\"token\":\"{token}\"}}"),
            format!("x {}", &token[..9]),
            "Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned(),
        ] {
            let scrubbed = remove_tokens(text.clone());
            assert!(
                scrubbed.contains(REPLACEMENT) && !scrubbed.contains("aB3") && !scrubbed.contains("c2ln"),
                "{scrubbed}"
            );
        }
        for harmless in
            ["src_files and arc_t", "rct_ and eyJ", "straße eyJoy", "rct_short is none", "resource_activated"]
        {
            assert_eq!(remove_tokens(harmless.to_owned()), harmless);
        }
    }

    #[test]
    fn a_path_is_stored_with_its_query_but_without_credentials() {
        let token = format!("rct_{}", "aB3".repeat(14));
        for query in [
            format!("token={token}"),
            "Access_Token=anything".to_owned(),
            format!("x={token}"),
            format!("x={}", token.replace('_', "%5F")),
            format!("filter={}", "password%20eq%20%22aB3%22"),
            format!("filter={}", "password%20eq%20'aB3'"),
            token.clone(),
        ] {
            let redacted = redact_path("/Users", Some(&query));
            assert!(!redacted.contains("aB3") && !redacted.contains("anything"), "{redacted}");
        }
        let plain = "filter=userName%20eq%20%22bob%22&count=2&aadOptscim062020";
        assert_eq!(redact_path("/Users", Some(plain)), format!("/Users?{plain}"));
        assert_eq!(redact_path("/Users/7", None), "/Users/7");
    }

    #[test]
    fn text_is_truncated_at_a_character_boundary() {
        assert_eq!(truncate_text("aé".to_owned(), 2), "a");
        assert_eq!(truncate_text("aé".to_owned(), 3), "aé");
    }
}
