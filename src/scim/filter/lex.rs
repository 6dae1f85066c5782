//! The tokenizer of filters. Each token has its position in the text.

use serde_json::Number;

use crate::error::{Error, Reason, ScimType};
use crate::scim::path::{is_path_char, shorten_text};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum FilterToken<'a> {
    /// A name, path, operator or literal keyword.
    Name(&'a str),
    Text(String),
    Number(Number),
    Open,
    Close,
    BracketOpen,
    BracketClose,
    Dot,
    End,
}

impl FilterToken<'_> {
    /// Returns the description of the token in an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(text) => format!("\"{}\"", shorten_text(text)),
            Self::Text(text) => format!("the string \"{}\"", shorten_text(text)),
            Self::Number(number) => format!("the number {}", shorten_text(&number.to_string())),
            Self::Open => "\"(\"".into(),
            Self::Close => "\")\"".into(),
            Self::BracketOpen => "\"[\"".into(),
            Self::BracketClose => "\"]\"".into(),
            Self::Dot => "\".\"".into(),
            Self::End => "the end".into(),
        }
    }
}

/// The accepted syntax of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringSyntax {
    /// JSON strings only (RFC 7644 section 3.4.2.2).
    Json,
    /// Also `'…'`, which identity providers and our documentation use in PATCH paths, and a `\` without an escape
    /// sequence, as in `DOMAIN\user`.
    Lenient,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    syntax: StringSyntax,
}

impl<'a> Lexer<'a> {
    /// Reads `text` from byte `at`, which must be the start of a character.
    pub(super) fn new(text: &'a str, at: usize, syntax: StringSyntax) -> Self {
        Self { text, at, syntax }
    }

    /// Byte offset at which the next token is searched.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns the error as 400 invalidFilter, with the position of the character at a byte offset.
    pub(super) fn locate(&self, at: usize, error: impl Into<Error>) -> Error {
        let position = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        error.into().as_scim_type(ScimType::InvalidFilter).within(&format!("at character {position}"))
    }

    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Returns the token at the current position. The caller must skip spaces first.
    pub(super) fn next(&mut self) -> Result<FilterToken<'a>, Error> {
        let Some(first) = self.rest().chars().next() else {
            return Ok(FilterToken::End);
        };
        let single = match first {
            '(' => FilterToken::Open,
            ')' => FilterToken::Close,
            '[' => FilterToken::BracketOpen,
            ']' => FilterToken::BracketClose,
            '.' => FilterToken::Dot,
            '"' => return self.string('"'),
            '\'' if self.syntax == StringSyntax::Lenient => return self.string('\''),
            '\'' | '‘' | '’' | '“' | '”' => {
                return Err(self.locate(self.at, Reason::FilterQuotesWrong));
            }
            '-' | '0'..='9' => return self.number(),
            c if c.is_ascii_alphabetic() || c == '$' => {
                return Ok(FilterToken::Name(self.take_while(is_path_char)));
            }
            c => return Err(self.locate(self.at, Reason::FilterCharacter.with("character", format_args!("{c:?}")))),
        };
        self.at += 1;
        Ok(single)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<FilterToken<'a>, Error> {
        let start = self.at;
        let digits = self.take_while(is_path_char);
        match serde_json::from_str::<Number>(digits) {
            Ok(number) => Ok(FilterToken::Number(number)),
            Err(_) => Err(self.locate(start, Reason::FilterNumberInvalid.with("text", shorten_text(digits)))),
        }
    }

    fn string(&mut self, quote: char) -> Result<FilterToken<'a>, Error> {
        let start = self.at;
        let is_lenient = self.syntax == StringSyntax::Lenient;
        let found = find_quoted(self.rest(), quote).map(|inside| (inside, is_lenient && is_domain_user(inside)));
        let open_end = || find_quoted_backslash(self.rest(), quote).filter(|_| is_lenient).map(|inside| (inside, true));
        let Some((inside, is_literal)) = found.or_else(open_end) else {
            return Err(self.locate(start, Reason::FilterStringOpen));
        };
        self.at += inside.len() + 2;
        if is_literal {
            return Ok(FilterToken::Text(inside.to_owned()));
        }
        let json = if quote == '"' { format!("\"{inside}\"") } else { requote_as_json(inside) };
        match serde_json::from_str::<String>(&json) {
            Ok(text) if text.contains('\0') => Err(self.locate(start, Reason::FilterStringNul)),
            Ok(text) => Ok(FilterToken::Text(text)),
            Err(_) if is_lenient => {
                let literal = escape_lone_backslashes(&json);
                let invalid = |_| self.locate(start, Reason::FilterStringInvalid);
                serde_json::from_str::<String>(&literal).map(FilterToken::Text).map_err(invalid)
            }
            Err(_) => Err(self.locate(start, Reason::FilterStringInvalid)),
        }
    }
}

/// Returns the text between the quote at the start and the next quote that is not escaped.
fn find_quoted(text: &str, quote: char) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return text.get(1..at),
            _ => {}
        }
    }
    None
}

/// Returns the text up to the last quote, for a string that ends with a lone `\`, as in `"DOMAIN\"`. It has no other
/// quote or backslash.
fn find_quoted_backslash(text: &str, quote: char) -> Option<&str> {
    let inside = text.get(1..text.rfind(quote)?)?;
    let before = inside.strip_suffix('\\')?;
    (!before.contains(|c: char| c == '\\' || c == quote || c.is_control())).then_some(inside)
}

/// Whether a string is the account name of a Windows domain, `DOMAIN\user`, whose backslash the client did not escape
/// although the next letter makes it an escape sequence of a control character. Only a domain in capital letters is
/// recognized, so that ordinary text with a tab or a line break is still read as JSON.
fn is_domain_user(inside: &str) -> bool {
    let Some((domain, user)) = inside.split_once('\\') else { return false };
    let is_capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_.".contains(c);
    let is_part = |c: char| !c.is_whitespace() && !c.is_control() && !"\\\"'".contains(c);
    let is_domain = domain.starts_with(|c: char| c.is_ascii_uppercase()) && domain.chars().all(is_capital);
    is_domain && user.starts_with(['b', 'f', 'n', 'r', 't']) && user.chars().all(is_part)
}

/// Doubles each backslash of a JSON string that begins no escape sequence.
fn escape_lone_backslashes(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + 8);
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let after = &rest[at + 1..];
        let is_unicode =
            |digits: &str| digits.len() >= 4 && digits.bytes().take(4).all(|digit| digit.is_ascii_hexdigit());
        let is_sequence = match after.chars().next() {
            Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => true,
            Some('u') => is_unicode(&after[1..]),
            _ => false,
        };
        escaped.push_str(&rest[..at]);
        escaped.push_str(if is_sequence { "\\" } else { "\\\\" });
        rest = after;
        if is_sequence {
            // The escaped character is copied, so that it begins no sequence itself.
            let length = after.chars().next().map_or(0, char::len_utf8);
            escaped.push_str(&after[..length]);
            rest = &after[length..];
        }
    }
    escaped.push_str(rest);
    escaped
}

/// Returns the content of a single-quoted string as a JSON string.
fn requote_as_json(inside: &str) -> String {
    let mut json = String::with_capacity(inside.len() + 2);
    json.push('"');
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => match chars.next() {
                Some('\'') => json.push('\''),
                Some(other) => json.extend(['\\', other]),
                None => json.push('\\'),
            },
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Returns the byte offset of the `]` that closes the bracket before `from`; brackets in strings are skipped.
pub(in crate::scim) fn find_closing_bracket(text: &str, from: usize) -> Option<usize> {
    let mut rest = text.get(from..)?;
    let mut depth = 0_usize;
    loop {
        let at = text.len() - rest.len();
        let c = rest.chars().next()?;
        match c {
            '"' | '\'' => rest = rest.get(find_quoted(rest, c)?.len() + 1..)?,
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
        let step = rest.chars().next()?.len_utf8();
        rest = rest.get(step..)?;
    }
}
