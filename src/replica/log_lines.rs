//! The log lines of Litestream: they are written to the log of the server. A line that repeats is written once a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Interval in which the same message is written once.
const REPEAT_INTERVAL: Duration = Duration::from_mins(1);
/// Most messages that are remembered. Litestream has some hundred.
const MESSAGES_MAX: usize = 200;
/// Longest part of a line that is used, in bytes.
const LINE_MAX: usize = 4_096;

/// Severity of a line in the log of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineSeverity {
    Debug,
    Warning,
}

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
struct LitestreamLine {
    severity: LineSeverity,
    message: String,
    error: Option<String>,
}

/// Writes the lines of one process.
#[derive(Debug, Default)]
pub(super) struct LineForwarder {
    written: HashMap<String, Instant>,
}

impl LineForwarder {
    /// Writes a line to the log. Returns the problem that it reports, if it does.
    pub(super) fn forward_line(&mut self, text: &str) -> Option<String> {
        let line = parse_line(text)?;
        let LitestreamLine { severity, message, error } = line;
        match severity {
            LineSeverity::Debug => {
                tracing::debug!(error, "litestream: {message}");
                None
            }
            LineSeverity::Warning => {
                if self.is_due(&message, Instant::now()) {
                    tracing::warn!(error, "litestream: {message}");
                }
                Some(error.map_or(message.clone(), |error| format!("{message}: {error}")))
            }
        }
    }

    fn is_due(&mut self, message: &str, now: Instant) -> bool {
        if self.written.len() >= MESSAGES_MAX {
            self.written.clear();
        }
        let is_due = self.written.get(message).is_none_or(|at| now.duration_since(*at) >= REPEAT_INTERVAL);
        if is_due {
            self.written.insert(message.to_owned(), now);
        }
        is_due
    }
}

/// Parses a line. Text that is not a line of its log, such as an error of the start, is a warning. `None` for an empty line.
fn parse_line(text: &str) -> Option<LitestreamLine> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let text = text.get(..text.floor_char_boundary(LINE_MAX)).unwrap_or_default();
    let Some(line) = serde_json::from_str::<Value>(text).ok().filter(|line| line["msg"].is_string()) else {
        return Some(LitestreamLine { severity: LineSeverity::Warning, message: text.to_owned(), error: None });
    };
    let severity = match line["level"].as_str() {
        Some("ERROR" | "WARN") => LineSeverity::Warning,
        _ => LineSeverity::Debug,
    };
    let error = line["error"].as_str().or_else(|| line["err"].as_str()).map(str::to_owned);
    Some(LitestreamLine { severity, message: line["msg"].as_str().unwrap_or_default().to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_litestream_have_a_severity_and_an_error() {
        let parse = |text| parse_line(text).map(|line| (line.severity, line.message, line.error));
        assert_eq!(
            parse(r#"{"time":"x","level":"ERROR","msg":"sync error","error":"no such bucket"}"#),
            Some((LineSeverity::Warning, "sync error".to_owned(), Some("no such bucket".to_owned())))
        );
        assert_eq!(
            parse(r#"{"level":"INFO","msg":"replica sync"}"#),
            Some((LineSeverity::Debug, "replica sync".to_owned(), None))
        );
        let text = "Error: cannot open";
        assert_eq!(parse(text), Some((LineSeverity::Warning, text.to_owned(), None)));
        assert_eq!(parse("  "), None);
    }

    #[test]
    fn a_message_that_repeats_is_due_once_a_minute() {
        let (mut lines, now) = (LineForwarder::default(), Instant::now());
        assert!(lines.is_due("a", now) && lines.is_due("b", now));
        assert!(!lines.is_due("a", now + Duration::from_secs(59)));
        assert!(lines.is_due("a", now + Duration::from_mins(1)));
        assert_eq!(lines.forward_line("broken"), Some("broken".to_owned()));
        assert_eq!(lines.forward_line("broken"), Some("broken".to_owned()));
    }
}
