//! Log output. Lines are buffered in memory, and a separate thread writes them several times per second, so that a
//! request does not wait for output. A line that is logged while a request is handled contains the ID of the request.

mod buffer;
mod line;
mod request;
mod request_line;

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use buffer::LogBuffer;
use line::{LineFormat, WithRequest};
pub use request::{current_request_id, resume_request, run_for_request};
pub use request_line::{LineFields, write_request_line};

/// Longest time that a line is buffered.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum wait for the last lines at the end of the process.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(2);
/// The buffer of this process, after the log has started.
static LINES: OnceLock<LogBuffer> = OnceLock::new();

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
    let (buffered_bytes, dropped) = lines.count_lines();
    LogStatistics { buffered_bytes, dropped }
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

/// Leaves out the messages of the web server about its threads, unless the level is `debug` or lower.
fn select_targets(level: LevelFilter) -> Targets {
    let of_framework = if level < LevelFilter::DEBUG { level.min(LevelFilter::WARN) } else { level };
    Targets::new().with_default(level).with_target("actix_server", of_framework)
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
            log.with_writer(lines.clone()).finish().with(select_targets(level)).try_init()
        }
        LineFormat::Text => {
            let log = log.map_event_format(|format| WithRequest { format, form });
            log.with_writer(lines.clone()).finish().with(select_targets(level)).try_init()
        }
    };
    request_line::enable_request_lines(level >= LevelFilter::INFO);
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
