//! The lines of the log until they are written.

use std::io::{self, Write};
use std::sync::{Arc, PoisonError};

use crate::log::line::{LineFormat, escape_controls};
use crate::sync::Mutex;

/// Size of the buffer, in bytes. Lines are dropped while it is full, so that a slow reader of the log delays no
/// request.
const BUFFER_MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
struct BufferedLines {
    lines: Vec<u8>,
    dropped: u64,
    dropped_total: u64,
}

/// A handle to the buffered lines.
#[derive(Debug, Clone)]
pub(crate) struct LogBuffer {
    buffered: Arc<Mutex<BufferedLines>>,
    form: LineFormat,
}

impl Write for LogBuffer {
    /// Buffers one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    pub(crate) fn new(form: LineFormat) -> Self {
        Self { buffered: Arc::default(), form }
    }

    /// The format of the lines.
    pub(super) fn form(&self) -> LineFormat {
        self.form
    }

    /// Buffers one line.
    pub(super) fn push_line(&self, line: &[u8]) {
        let written = escape_controls(line, self.form);
        let mut waiting = self.buffered.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + written.len() > BUFFER_MAX_BYTES {
            waiting.dropped += 1;
            waiting.dropped_total += 1;
        } else {
            waiting.lines.extend_from_slice(&written);
        }
    }

    fn drain(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.buffered.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.dropped))
    }

    pub(crate) fn write_out(&self, to: &mut impl Write) {
        let (lines, dropped) = self.drain();
        // Nothing can be reported if standard error is closed.
        let _ = to.write_all(&lines);
        if dropped > 0 {
            let _ = match self.form {
                LineFormat::Json => {
                    writeln!(to, "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}")
                }
                LineFormat::Text => writeln!(to, "WARN log lines dropped lines={dropped}"),
            };
        }
        let _ = to.flush();
    }

    /// Returns the bytes that are buffered, and the lines that were dropped since the start.
    pub(crate) fn count_lines(&self) -> (usize, u64) {
        let waiting = self.buffered.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.lines.len(), waiting.dropped_total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let mut lines = LogBuffer::new(LineFormat::Json);
        lines.write_all(b"one\n").unwrap();
        lines.clone().write_all(b"two\n").unwrap();
        let mut out = Vec::new();
        lines.write_out(&mut out);
        lines.write_out(&mut out);
        assert_eq!(out, b"one\ntwo\n");
    }

    #[test]
    fn the_number_of_dropped_lines_is_logged() {
        let mut lines = LogBuffer::new(LineFormat::Json);
        let line = vec![b'x'; BUFFER_MAX_BYTES / 2];
        for _ in 0..5 {
            lines.write_all(&line).unwrap();
        }
        let mut out = Vec::new();
        lines.write_out(&mut out);
        assert!(out.len() < BUFFER_MAX_BYTES + 200);
        assert!(String::from_utf8_lossy(&out).contains("\"lines\":3"));
    }
}
