//! Where log lines go: gathered in memory and written by a thread of their own a few times a second, so that a
//! request pays for the line and not for waking anybody. A line that belongs to a request carries the request's id, from
//! whatever depth it was written.

mod line;
mod request;

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use line::{Form, WithRequest, without_controls};
pub use request::{current, during, within};

/// How long a line may wait to be written.
const WAIT: Duration = Duration::from_millis(100);
/// Lines beyond this many bytes are dropped until the reader has caught up: a slow one holds up no request.
const WAITING_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The lines of this process, once its log was started.
static LINES: OnceLock<Lines> = OnceLock::new();

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    dropped_ever: u64,
}

/// A handle to the lines that wait.
#[derive(Debug, Clone)]
struct Lines {
    waiting: Arc<Mutex<Waiting>>,
    form: Form,
}

/// How the log keeps up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
    /// Lines that were dropped since the start, because whoever reads them is too slow.
    pub dropped: u64,
}

/// How the log of this process keeps up.
pub fn figures() -> Figures {
    let Some(lines) = LINES.get() else { return Figures::default() };
    let waiting = lines.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    Figures { waiting_bytes: waiting.lines.len(), dropped: waiting.dropped_ever }
}

impl Write for Lines {
    /// Takes one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = without_controls(line, self.form);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + written.len() > WAITING_MAX_BYTES {
            waiting.dropped += 1;
            waiting.dropped_ever += 1;
        } else {
            waiting.lines.extend_from_slice(&written);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn new(form: Form) -> Self {
        Self { waiting: Arc::default(), form }
    }

    fn take(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.dropped))
    }

    fn write_out(&self, to: &mut impl Write) {
        let (lines, dropped) = self.take();
        // There is nobody left to tell where standard error is gone.
        let _ = to.write_all(&lines);
        if dropped > 0 {
            let _ = match self.form {
                Form::Json => {
                    writeln!(to, "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}")
                }
                Form::Text => writeln!(to, "WARN log lines dropped lines={dropped}"),
            };
        }
        let _ = to.flush();
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes out what waits when it goes.
#[derive(Debug)]
pub struct Guard {
    stop: Option<Sender<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Starts the log on standard error, from this level up: JSON lines, or lines of text for people.
///
/// # Errors
/// The thread cannot be started.
pub fn start(level: LevelFilter, as_text: bool) -> io::Result<Guard> {
    let form = if as_text { Form::Text } else { Form::Json };
    // A second start in one process keeps the first log.
    let lines = LINES.get_or_init(|| Lines::new(form)).clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_target(true).with_max_level(level);
    let _ = match form {
        Form::Json => {
            let log = log.json().flatten_event(true).map_event_format(|format| WithRequest { format, form });
            log.with_writer(lines.clone()).try_init()
        }
        Form::Text => {
            let log = log.map_event_format(|format| WithRequest { format, form });
            log.with_writer(lines.clone()).try_init()
        }
    };
    let (stop, stopped) = mpsc::channel::<()>();
    let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        while stopped.recv_timeout(WAIT) == Err(RecvTimeoutError::Timeout) {
            lines.write_out(&mut io::stderr());
        }
        lines.write_out(&mut io::stderr());
    })?;
    Ok(Guard { stop: Some(stop), writer: Some(writer) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let mut lines = Lines::new(Form::Json);
        lines.write_all(b"one\n").unwrap();
        lines.clone().write_all(b"two\n").unwrap();
        let mut out = Vec::new();
        lines.write_out(&mut out);
        lines.write_out(&mut out);
        assert_eq!(out, b"one\ntwo\n");
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_what_it_missed() {
        let mut lines = Lines::new(Form::Json);
        let line = vec![b'x'; WAITING_MAX_BYTES / 2];
        for _ in 0..5 {
            lines.write_all(&line).unwrap();
        }
        let mut out = Vec::new();
        lines.write_out(&mut out);
        assert!(out.len() < WAITING_MAX_BYTES + 200);
        assert!(String::from_utf8_lossy(&out).contains("\"lines\":3"));
    }
}
