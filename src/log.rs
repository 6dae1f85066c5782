//! Where log lines go: gathered in memory and written by a thread of their own a few times a second, so that a
//! request pays for the line and not for waking anybody.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait to be written.
const WAIT: Duration = Duration::from_millis(100);
/// Lines beyond this many bytes are dropped until the reader has caught up: a slow one holds up no request.
const WAITING_MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
}

/// A handle to the lines that wait.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Waiting>>);

impl Write for Lines {
    /// Takes one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + line.len() > WAITING_MAX_BYTES {
            waiting.dropped += 1;
        } else {
            waiting.lines.extend_from_slice(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> Waiting {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write_out(&self, to: &mut impl Write) {
        let Waiting { lines, dropped } = self.take();
        // There is nobody left to tell where standard error is gone.
        let _ = to.write_all(&lines);
        if dropped > 0 {
            let _ = writeln!(to, "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}");
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

/// Starts the log: JSON lines on standard error, from this level up.
///
/// # Errors
/// The thread cannot be started.
pub fn start(level: LevelFilter) -> io::Result<Guard> {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_target(true).with_writer(lines.clone());
    // A second start in one process keeps the first log.
    let _ = log.with_max_level(level).try_init();
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
        let mut lines = Lines::default();
        lines.write_all(b"one\n").unwrap();
        lines.clone().write_all(b"two\n").unwrap();
        let mut out = Vec::new();
        lines.write_out(&mut out);
        lines.write_out(&mut out);
        assert_eq!(out, b"one\ntwo\n");
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_what_it_missed() {
        let mut lines = Lines::default();
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
