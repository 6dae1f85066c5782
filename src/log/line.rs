//! What a line looks like: one event is one line whatever was logged, and the request's id is on it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::request;

/// The field that holds the request's id.
const FIELD: &str = "request_id";

/// What a line is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text,
}

/// Puts the request's id on each line that does not say it by itself.
pub(super) struct WithRequest<F> {
    pub(super) format: F,
    pub(super) form: Form,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let says_it = event.metadata().fields().field(FIELD).is_some();
        let Some(id) = request::current().filter(|_| !says_it) else {
            return self.format.format_event(context, to, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.form, line.strip_suffix('}')) {
            (Form::Json, Some(open)) => writeln!(to, "{open},\"{FIELD}\":\"{id}\"}}"),
            _ => writeln!(to, "{line} {FIELD}={id}"),
        }
    }
}

/// The line with everything spelt out that a terminal or a reader of lines would take for a command: control characters,
/// and those that turn the direction of writing.
pub(super) fn without_controls(line: &[u8], form: Form) -> Cow<'_, [u8]> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    if body.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Cow::Borrowed(line);
    }
    let mut written = String::with_capacity(line.len() + 16);
    for letter in String::from_utf8_lossy(body).chars() {
        // Writing to a string cannot fail.
        let _ = match (is_harmless(letter), form) {
            (true, _) => written.write_char(letter),
            (false, Form::Json) => write!(written, "\\u{:04x}", u32::from(letter)),
            (false, Form::Text) => write!(written, "{}", letter.escape_unicode()),
        };
    }
    written.push('\n');
    Cow::Owned(written.into_bytes())
}

fn is_harmless(letter: char) -> bool {
    let turns =
        matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !letter.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, form: Form) -> String {
        String::from_utf8(without_controls(line.as_bytes(), form).into_owned()).unwrap()
    }

    #[test]
    fn one_event_is_one_line_and_no_command_to_a_terminal() {
        let odd = "a\u{1b}[31mred\r\nINFO forged\t\u{9b}\u{202e}\u{2028}é\n";
        let text = written(odd, Form::Text);
        assert_eq!(text, "a\\u{1b}[31mred\\u{d}\\u{a}INFO forged\\u{9}\\u{9b}\\u{202e}\\u{2028}é\n");
        let json = written("{\"a\":\"\u{7f}\u{9b}\u{202e}é\"}\n", Form::Json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["a"], "\u{7f}\u{9b}\u{202e}é");
        assert!(json.is_char_boundary(json.len()) && !json.contains('\u{202e}'), "{json}");
    }

    #[test]
    fn a_plain_line_is_left_as_it_is() {
        assert!(matches!(without_controls(b"{\"a\":1}\n", Form::Json), Cow::Borrowed(_)));
    }
}
