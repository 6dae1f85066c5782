//! Format of log lines: each event is exactly one line, and it contains the ID of the request.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::request;

/// Name of the field with the ID of the request.
const FIELD: &str = "request_id";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFormat {
    Json,
    Text,
}

/// Adds the ID of the request to each line that does not contain it already.
pub(super) struct WithRequest<F> {
    pub(super) format: F,
    pub(super) form: LineFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let has_id = event.metadata().fields().field(FIELD).is_some();
        let Some(id) = request::current_request_id().filter(|_| !has_id) else {
            return self.format.format_event(context, to, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.form, line.strip_suffix('}')) {
            (LineFormat::Json, Some(open)) => writeln!(to, "{open},\"{FIELD}\":\"{id}\"}}"),
            _ => writeln!(to, "{line} {FIELD}={id}"),
        }
    }
}

/// Escapes control characters and characters that change the writing direction, which a terminal or a line reader would
/// interpret.
pub(crate) fn escape_controls(line: &[u8], form: LineFormat) -> Cow<'_, [u8]> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    // Without an early end within a block, the compiler checks many bytes at once. Most lines are plain.
    let is_plain = |block: &[u8]| block.iter().fold(true, |plain, byte| plain & (b' '..=b'~').contains(byte));
    if body.chunks(64).all(is_plain) {
        return Cow::Borrowed(line);
    }
    let mut written = String::with_capacity(line.len() + 16);
    for letter in String::from_utf8_lossy(body).chars() {
        // Writing to a string cannot fail.
        let _ = match (is_harmless(letter), form) {
            (true, _) => written.write_char(letter),
            (false, LineFormat::Json) => write!(written, "\\u{:04x}", u32::from(letter)),
            (false, LineFormat::Text) => write!(written, "{}", letter.escape_unicode()),
        };
    }
    written.push('\n');
    Cow::Owned(written.into_bytes())
}

fn is_harmless(letter: char) -> bool {
    let changes_direction =
        matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !letter.is_control() && !changes_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, form: LineFormat) -> String {
        String::from_utf8(escape_controls(line.as_bytes(), form).into_owned()).unwrap()
    }

    #[test]
    fn one_event_is_one_line_without_control_characters() {
        let line = "a\u{1b}[31mred\r\nINFO forged\t\u{9b}\u{202e}\u{2028}é\n";
        let text = written(line, LineFormat::Text);
        assert_eq!(text, "a\\u{1b}[31mred\\u{d}\\u{a}INFO forged\\u{9}\\u{9b}\\u{202e}\\u{2028}é\n");
        let json = written("{\"a\":\"\u{7f}\u{9b}\u{202e}é\"}\n", LineFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["a"], "\u{7f}\u{9b}\u{202e}é");
        assert!(json.is_char_boundary(json.len()) && !json.contains('\u{202e}'), "{json}");
    }

    #[test]
    fn a_plain_line_is_not_changed() {
        assert!(matches!(escape_controls(b"{\"a\":1}\n", LineFormat::Json), Cow::Borrowed(_)));
    }
}
