//! Log output. Lines are buffered in memory, and a separate thread writes them several times per second, so that a
//! request does not wait for output. A line that is logged while a request is handled contains the ID of the request.

mod line;
mod request;

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use line::{LineFormat, WithRequest, escape_controls};
pub use request::{current_request_id, resume_request, run_for_request};

/// Longest time that a line is buffered.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum wait for the last lines at the end of the process.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(2);
/// Size of the buffer, in bytes. Lines are dropped while it is full, so that a slow reader of the log delays no
/// request.
const BUFFER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The buffer of this process, after the log has started.
static LINES: OnceLock<LogBuffer> = OnceLock::new();

#[derive(Debug, Default)]
struct BufferedLines {
    lines: Vec<u8>,
    dropped: u64,
    dropped_total: u64,
}

/// A handle to the buffered lines.
#[derive(Debug, Clone)]
struct LogBuffer {
    buffered: Arc<Mutex<BufferedLines>>,
    form: LineFormat,
}

/// Statistics of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Bytes that are buffered.
    pub buffered_bytes: usize,
    /// Lines that were dropped since the start because the reader of the log is too slow.
    pub dropped: u64,
}

/// Returns the statistics of the log of this process.
pub fn read_statistics() -> LogStatistics {
    let Some(lines) = LINES.get() else { return LogStatistics::default() };
    let waiting = lines.buffered.lock().unwrap_or_else(PoisonError::into_inner);
    LogStatistics { buffered_bytes: waiting.lines.len(), dropped: waiting.dropped_total }
}

impl Write for LogBuffer {
    /// Buffers one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = escape_controls(line, self.form);
        let mut waiting = self.buffered.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + written.len() > BUFFER_MAX_BYTES {
            waiting.dropped += 1;
            waiting.dropped_total += 1;
        } else {
            waiting.lines.extend_from_slice(&written);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    fn new(form: LineFormat) -> Self {
        Self { buffered: Arc::default(), form }
    }

    fn drain(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.buffered.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.dropped))
    }

    fn write_out(&self, to: &mut impl Write) {
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
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes the buffered lines when it is dropped.
#[derive(Debug)]
pub struct LogHandle {
    stop: Option<Sender<()>>,
    done: Receiver<()>,
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The sender is dropped when the thread has written the last line. If standard error is not read, it never does.
        let _ = self.done.recv_timeout(LAST_FLUSH_MAX);
    }
}

/// Starts the log on standard error with this lowest level, as JSON lines or as text.
///
/// # Errors
/// The thread cannot be started.
pub fn start_log(level: LevelFilter, as_text: bool) -> io::Result<LogHandle> {
    let form = if as_text { LineFormat::Text } else { LineFormat::Json };
    // A second start in one process uses the first log.
    let lines = LINES.get_or_init(|| LogBuffer::new(form)).clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_target(true).with_max_level(level);
    let _ = match form {
        LineFormat::Json => {
            let log = log.json().flatten_event(true).map_event_format(|format| WithRequest { format, form });
            log.with_writer(lines.clone()).try_init()
        }
        LineFormat::Text => {
            let log = log.map_event_format(|format| WithRequest { format, form });
            log.with_writer(lines.clone()).try_init()
        }
    };
    let (stop, stopped) = mpsc::channel::<()>();
    let (ended, done) = mpsc::channel::<()>();
    std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        while stopped.recv_timeout(FLUSH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            lines.write_out(&mut io::stderr());
        }
        lines.write_out(&mut io::stderr());
        drop(ended);
    })?;
    Ok(LogHandle { stop: Some(stop), done })
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
