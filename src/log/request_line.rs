//! The line about a completed request. It is written for every request, so it is formatted directly into a buffer of the
//! thread. It looks like the lines of other events.

use std::cell::RefCell;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::clock::{self, Millis};
use crate::log::buffer::LogBuffer;
use crate::log::line::LineFormat;

/// Whether the lines are written. They have the level `INFO`.
static IS_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Target of the lines.
const TARGET: &str = "rollcall::request";
/// Length of a time up to its seconds.
const SECONDS_END: usize = "2026-01-01T00:00:00".len();

thread_local! {
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
    /// A second since 1970, and its text.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Sets whether the lines are written.
pub(super) fn enable_request_lines(is_written: bool) {
    IS_WRITTEN.store(is_written, Ordering::Relaxed);
}

/// The fields of a line, in their order.
pub struct LineFields<'b> {
    text: &'b mut String,
    form: LineFormat,
}

/// Writes the line of a request. `describe` adds its fields.
pub fn write_request_line(request_id: &str, describe: impl FnOnce(&mut LineFields<'_>)) {
    if !IS_WRITTEN.load(Ordering::Relaxed) {
        return;
    }
    if let Some(log) = super::LINES.get() {
        write_line(log, SystemTime::now(), request_id, describe);
    }
}

fn write_line(log: &LogBuffer, now: SystemTime, request_id: &str, describe: impl FnOnce(&mut LineFields<'_>)) {
    BUFFER.with_borrow_mut(|text| {
        text.clear();
        let form = log.form();
        if form == LineFormat::Json {
            text.push_str("{\"timestamp\":\"");
        }
        push_time(text, now.duration_since(UNIX_EPOCH).unwrap_or_default());
        text.push_str(match form {
            LineFormat::Json => "\",\"level\":\"INFO\",\"message\":\"request\"",
            LineFormat::Text => "  INFO rollcall::request: request",
        });
        let mut line = LineFields { text, form };
        line.text("request_id", request_id);
        describe(&mut line);
        if form == LineFormat::Json {
            line.text("target", TARGET);
            text.push('}');
        }
        text.push('\n');
        log.push_line(text.as_bytes());
    });
}

/// Appends a time in UTC with microseconds.
fn push_time(text: &mut String, since_epoch: Duration) {
    SECOND.with_borrow_mut(|(second, formatted)| {
        if *second != since_epoch.as_secs() {
            *second = since_epoch.as_secs();
            let millis = Millis::try_from(second.saturating_mul(1_000)).unwrap_or(Millis::MAX);
            *formatted = clock::format_rfc3339(millis);
            formatted.truncate(SECONDS_END);
        }
        text.push_str(formatted);
    });
    append(text, format_args!(".{:06}Z", since_epoch.subsec_micros()));
}

/// Writing to a string does not fail.
fn append(text: &mut String, value: impl Display) {
    let _ = write!(text, "{value}");
}

impl LineFields<'_> {
    fn name(&mut self, name: &str) {
        match self.form {
            LineFormat::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                self.text.push_str("\":");
            }
            LineFormat::Text => {
                self.text.push(' ');
                self.text.push_str(name);
                self.text.push('=');
            }
        }
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let is_plain = value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f);
        if is_plain {
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
            return;
        }
        match self.form {
            LineFormat::Json => append(self.text, Value::from(value)),
            LineFormat::Text => append(self.text, format_args!("{value:?}")),
        }
    }

    /// Adds a text, if there is one.
    pub fn optional_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Adds a network address, if there is one.
    pub fn address(&mut self, name: &str, value: Option<std::net::IpAddr>) {
        let Some(value) = value else { return };
        self.name(name);
        match self.form {
            LineFormat::Json => append(self.text, format_args!("\"{value}\"")),
            LineFormat::Text => append(self.text, value),
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        append(self.text, value);
    }

    /// Adds a duration in microseconds.
    pub fn duration(&mut self, value: Duration) {
        self.number("duration_us", u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: LineFormat) -> String {
        let log = LogBuffer::new(form);
        let now = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
        write_line(&log, now, "an-id", |line| {
            line.text("route", "/Users/\"{id}\"\n");
            line.optional_text("reason", None);
            line.optional_text("scim_type", Some(""));
            line.address("address", Some([127, 0, 0, 1].into()));
            line.number("status", 200);
            line.duration(Duration::from_micros(7));
        });
        let mut out = Vec::new();
        log.write_out(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_the_form_of_other_events() {
        assert_eq!(
            written(LineFormat::Json),
            "{\"timestamp\":\"2023-11-14T22:13:20.000042Z\",\"level\":\"INFO\",\"message\":\"request\",\
             \"request_id\":\"an-id\",\"route\":\"/Users/\\\"{id}\\\"\\n\",\"scim_type\":\"\",\
             \"address\":\"127.0.0.1\",\"status\":200,\"duration_us\":7,\"target\":\"rollcall::request\"}\n"
        );
        assert_eq!(
            written(LineFormat::Text),
            "2023-11-14T22:13:20.000042Z  INFO rollcall::request: request request_id=\"an-id\" \
             route=\"/Users/\\\"{id}\\\"\\n\" scim_type=\"\" address=127.0.0.1 status=200 duration_us=7\n"
        );
    }
}
