//! What must never be kept of a call, whoever may read the log: passwords and tokens.

use serde_json::Value;

use crate::scim::percent;

/// Stands where something was taken out.
pub(super) const HIDDEN: &str = "***";
/// Longest path with its query that is kept.
const PATH_MAX_BYTES: usize = 4 * 1024;
/// Query parameters under which clients send credentials.
const SECRET_NAMES: [&str; 9] =
    ["access_token", "api_key", "apikey", "authorization", "bearer", "client_secret", "key", "secret", "token"];
/// Characters after the prefix that make a token of ours; at the end of a text fewer do, because it may have been cut.
const TOKEN_MIN_CHARS: usize = 16;

/// A text without secrets, and the passwords that stood in it.
#[derive(Debug, Default)]
pub(super) struct Redacted {
    pub(super) text: String,
    pub(super) passwords: Vec<String>,
}

/// Whether a body has to be read to be sure that no password is in it. A name may be written with escapes.
pub(super) fn needs_reading(body: &[u8]) -> bool {
    mentions_password(body) || has_escaped_character(body)
}

fn has_escaped_character(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest.get(at + 1) == Some(&b'u') {
            return true;
        }
        // What is escaped may be the backslash itself.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// Whether the word stands there, in any letter case.
fn mentions_password(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte | 0x20 == b'p') {
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

/// A JSON document of at most about `max` bytes with every password hidden: as a member of that name at any depth, as
/// the value of a PATCH operation whose path names it, and between quotes in a filter that mentions it.
pub(super) fn json(value: &Value, max: usize) -> Redacted {
    let mut redacted = Redacted::default();
    redacted.write(value, max);
    redacted
}

impl Redacted {
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
                    self.text.push_str(&Value::from(quotes_hidden(name)).to_string());
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
            Value::String(text) => self.text.push_str(&Value::from(quotes_hidden(text)).to_string()),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn hide(&mut self, value: &Value) {
        match value {
            Value::Bool(_) | Value::Null => self.text.push_str(&value.to_string()),
            _ => {
                self.remember(value);
                self.text.push_str(&Value::from(HIDDEN).to_string());
            }
        }
    }

    fn remember(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.passwords.push(text.clone()),
            Value::Number(number) => self.passwords.push(number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| self.remember(value)),
            Value::Object(members) => members.values().for_each(|value| self.remember(value)),
            Value::Bool(_) | Value::Null => {}
        }
    }
}

/// What texts in filters stand between: the standard's quotes, and those that some clients write.
const QUOTES: [char; 2] = ['"', '\''];

/// The text without what stands between quotes, where it mentions a password: a filter compares with it there.
fn quotes_hidden(text: &str) -> String {
    if mentions_password(text.as_bytes()) && text.contains(QUOTES) { between(text, &QUOTES) } else { text.to_owned() }
}

/// The text with [`HIDDEN`] for whatever stands between double quotes; one that is not closed goes to the end.
pub(super) fn between_quotes(text: &str) -> String {
    between(text, &['"'])
}

/// The same for any of these quotes.
fn between(text: &str, quotes: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !quotes.contains(&c) {
            continue;
        }
        out.push_str(HIDDEN);
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

/// A text without the passwords that another one held; short ones stay, for they would hide half of it.
pub(super) fn without(passwords: &[String], mut text: String) -> String {
    for password in passwords.iter().filter(|password| password.len() >= 4) {
        let escaped = Value::from(password.as_str()).to_string();
        for spelling in [&escaped[1..escaped.len() - 1], password.as_str()] {
            if text.contains(spelling) {
                text = text.replace(spelling, HIDDEN);
            }
        }
    }
    text
}

/// A text without tokens of our form (`rct_…`) and without signed tokens (`eyJ….…`).
pub(super) fn scrub(text: String) -> String {
    if !may_hold_secret(text.as_bytes()) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some((kept, length)) = secret_at(rest) {
            out.push_str(kept);
            out.push_str(HIDDEN);
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Whether a closer look is worth its time: most texts have no `_`, and few of those that do have `rc` before it.
fn may_hold_secret(text: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| matches!(byte, b'_' | b'J')) {
        let at = from + at;
        let before = &text[at.saturating_sub(3)..at];
        if text[at] == b'J' && before.ends_with(b"ey") || text[at] == b'_' && before.starts_with(b"rc") {
            return true;
        }
        from = at + 1;
    }
    false
}

/// A secret at the start of the text: what of it may be shown, and its whole length.
fn secret_at(text: &str) -> Option<(&str, usize)> {
    let run = |from: usize, belongs: fn(u8) -> bool| {
        text.as_bytes()[from..].iter().take_while(|byte| belongs(**byte)).count()
    };
    match text.as_bytes() {
        [b'r', b'c', kind, b'_', ..] if kind.is_ascii_lowercase() => {
            let length = run(4, |byte| byte.is_ascii_alphanumeric());
            let is_cut = length > 0 && text.len() == 4 + length;
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

/// Path and query without secrets: credentials by the parameter's name or their form, passwords in filters.
pub(super) fn path(path: &str, query: Option<&str>) -> String {
    let mut out = shown_part(path);
    if let Some(query) = query {
        for (number, pair) in query.split('&').enumerate() {
            out.push(if number == 0 { '?' } else { '&' });
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.push_str(&shown_part(name));
            if !pair.contains('=') {
                continue;
            }
            out.push('=');
            let plain = percent::decoded(&name.replace('+', " ")).unwrap_or_default();
            if SECRET_NAMES.iter().any(|secret| plain.eq_ignore_ascii_case(secret)) || plain_holds_password(value) {
                out.push_str(HIDDEN);
            } else {
                out.push_str(&shown_part(value));
            }
        }
    }
    cut(out, PATH_MAX_BYTES)
}

/// The part as it came, unless it holds a token when it is decoded.
fn shown_part(part: &str) -> String {
    let Some(plain) = percent::decoded(part) else { return HIDDEN.to_owned() };
    let scrubbed = scrub(plain.clone());
    if scrubbed == plain { part.to_owned() } else { scrubbed }
}

fn plain_holds_password(value: &str) -> bool {
    percent::decoded(value).is_none_or(|plain| mentions_password(plain.as_bytes()) && plain.contains(QUOTES))
}

/// At most `max` bytes of the text, whole characters.
pub(super) fn cut(mut text: String, max: usize) -> String {
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
        let redacted = json(&value, 16 * 1024);
        assert!(!redacted.text.contains("Hunter2"), "{}", redacted.text);
        assert!(needs_reading(value.to_string().as_bytes()));
        redacted.text
    }

    #[test]
    fn a_password_is_hidden_wherever_a_client_can_put_one() {
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
        assert!(needs_reading(br#"{"pass\u0077ord":"x"}"#));
        assert!(!needs_reading(br#"{"userName":"pass","word":"passwor"}"#));
    }

    #[test]
    fn a_password_that_an_answer_repeats_is_hidden_there_too() {
        let Redacted { passwords, .. } = json(&json!({"password": SECRET}), 1_000);
        let answer = json!({"detail": format!("{SECRET} is too short")}).to_string();
        assert_eq!(without(&passwords, answer), r#"{"detail":"*** is too short"}"#);
    }

    #[test]
    fn a_long_document_ends_early_and_hides_what_it_shows() {
        let many: Vec<Value> = (0..10_000).map(|_| json!({"value": SECRET, "path": "password"})).collect();
        let redacted = json(&json!({ "Operations": many }), 1_000);
        assert!(redacted.text.len() < 1_100 && !redacted.text.contains("Hunter2"), "{}", redacted.text);
    }

    #[test]
    fn tokens_are_taken_out_of_any_text_whole_or_cut() {
        let token = format!("rct_{}", "aB3".repeat(14));
        for text in [
            token.clone(),
            format!("x {token} y"),
            format!("{{\"token\":\"{token}\"}}"),
            format!("x {}", &token[..9]),
            "Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned(),
        ] {
            let scrubbed = scrub(text.clone());
            assert!(scrubbed.contains(HIDDEN) && !scrubbed.contains("aB3") && !scrubbed.contains("c2ln"), "{scrubbed}");
        }
        for harmless in ["src_files and arc_t", "rct_ and eyJ", "straße eyJoy", "rct_short is none"] {
            assert_eq!(scrub(harmless.to_owned()), harmless);
        }
    }

    #[test]
    fn a_path_keeps_its_query_but_no_credentials() {
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
            let shown = path("/Users", Some(&query));
            assert!(!shown.contains("aB3") && !shown.contains("anything"), "{shown}");
        }
        let plain = "filter=userName%20eq%20%22bob%22&count=2&aadOptscim062020";
        assert_eq!(path("/Users", Some(plain)), format!("/Users?{plain}"));
        assert_eq!(path("/Users/7", None), "/Users/7");
    }

    #[test]
    fn a_cut_is_made_between_characters() {
        assert_eq!(cut("aé".to_owned(), 2), "a");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }
}
