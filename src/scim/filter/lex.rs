//! Tokens of a filter, one at a time, each with its place in the text.

use serde_json::Number;

use crate::scim::Error;
use crate::scim::path::{is_path_char, shown};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, path, operator or literal word.
    Word(&'a str),
    Text(String),
    Number(Number),
    Open,
    Close,
    BracketOpen,
    BracketClose,
    Dot,
    End,
}

impl Token<'_> {
    /// The token in an error sentence.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("\"{}\"", shown(word)),
            Self::Text(text) => format!("the string \"{}\"", shown(text)),
            Self::Number(number) => format!("the number {}", shown(&number.to_string())),
            Self::Open => "\"(\"".into(),
            Self::Close => "\")\"".into(),
            Self::BracketOpen => "\"[\"".into(),
            Self::BracketClose => "\"]\"".into(),
            Self::Dot => "\".\"".into(),
            Self::End => "the end".into(),
        }
    }
}

/// Which quotes may surround a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// JSON strings only.
    Double,
    /// Also `'…'`, which the product's own documentation shows in PATCH paths.
    Either,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    quotes: Quotes,
}

impl<'a> Lexer<'a> {
    /// Reads `text` from byte `at`, which must be a character's start.
    pub(super) fn new(text: &'a str, at: usize, quotes: Quotes) -> Self {
        Self { text, at, quotes }
    }

    /// Byte at which the next token is looked for.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// 400 invalidFilter about the character at a byte offset.
    pub(super) fn error(&self, at: usize, what: &str) -> Error {
        let place = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        Error::filter(format!("at character {place}: {what}"))
    }

    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// The token at the current place; spaces before it must have been skipped.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Error> {
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        let single = match first {
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::BracketOpen,
            ']' => Token::BracketClose,
            '.' => Token::Dot,
            '"' => return self.string('"'),
            '\'' if self.quotes == Quotes::Either => return self.string('\''),
            '\'' | '‘' | '’' | '“' | '”' => {
                return Err(self.error(self.at, "strings stand in double quotes, as in userName eq \"ada\""));
            }
            '-' | '0'..='9' => return self.number(),
            c if c.is_ascii_alphabetic() || c == '$' => {
                return Ok(Token::Word(self.take_while(is_path_char)));
            }
            c => return Err(self.error(self.at, &format!("{c:?} cannot stand here"))),
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

    fn number(&mut self) -> Result<Token<'a>, Error> {
        let start = self.at;
        let word = self.take_while(is_path_char);
        match serde_json::from_str::<Number>(word) {
            Ok(number) => Ok(Token::Number(number)),
            Err(_) => {
                Err(self.error(start, &format!("\"{}\" is not a number; text stands in double quotes", shown(word))))
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<Token<'a>, Error> {
        let start = self.at;
        let Some(inside) = quoted(self.rest(), quote) else {
            return Err(self.error(start, "this string has no closing quote"));
        };
        self.at += inside.len() + 2;
        let json = if quote == '"' { format!("\"{inside}\"") } else { as_json(inside) };
        match serde_json::from_str::<String>(&json) {
            Ok(text) if text.contains('\0') => Err(self.error(start, "this string contains the character NUL")),
            Ok(text) => Ok(Token::Text(text)),
            Err(_) => {
                Err(self.error(start, "this string is not a JSON string; look at its escapes and control characters"))
            }
        }
    }
}

/// What stands between the quote that the text begins with and the next one that is not escaped.
fn quoted(text: &str, quote: char) -> Option<&str> {
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

/// The inside of a single-quoted string as a JSON string.
fn as_json(inside: &str) -> String {
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

/// Byte offset of the `]` that closes the bracket before `from`, strings skipped.
pub(in crate::scim) fn closing_bracket(text: &str, from: usize) -> Option<usize> {
    let mut rest = text.get(from..)?;
    let mut depth = 0_usize;
    loop {
        let at = text.len() - rest.len();
        let c = rest.chars().next()?;
        match c {
            '"' | '\'' => rest = rest.get(quoted(rest, c)?.len() + 1..)?,
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
        let step = rest.chars().next()?.len_utf8();
        rest = rest.get(step..)?;
    }
}
