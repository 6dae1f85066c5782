//! Everything that is told at one look, and how it is written.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Series;
use super::process::Process;
use crate::measure::Spread;
use crate::store::Figures;
use crate::{clock, log};

/// Microseconds of a second.
const MICROS: f64 = 1e6;

/// What was gathered at one look.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) requests: Vec<Series>,
    pub(super) sign_ins: Vec<(&'static str, u64)>,
    pub(super) wrong_tokens: u64,
    pub(super) store: Figures,
    pub(super) log: log::Figures,
    /// Calls of the request log that wait, the bytes of their bodies, and those that were dropped.
    pub(super) calls: [u64; 3],
    pub(super) rows: Option<Rows>,
    /// When the newest scheduled backup was made.
    pub(super) last_backup: Option<clock::Millis>,
    /// When the certificate that is served ends.
    pub(super) certificate_ends: Option<clock::Millis>,
    pub(super) process: Process,
    pub(super) started: clock::Millis,
    pub(super) is_sound: bool,
}

/// What the database says.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) sessions: u64,
    /// Number of the newest event.
    pub(super) newest_event: u64,
    pub(super) standings: Vec<(&'static str, u64)>,
}

/// Writes one family after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

type Written = Result<(), Error>;

#[expect(clippy::cast_precision_loss, reason = "a figure beyond 2^53 is told to within a part in 2^53")]
impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) -> Written {
        let Some(value) = value else { return Ok(()) };
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn count(&mut self, name: &str, help: &str, value: Option<u64>) -> Written {
        self.gauge(name, help, value.map(|value| value as f64))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Written {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// A moment, in seconds since 1970.
    fn moment(&mut self, name: &str, help: &str, at: Option<clock::Millis>) -> Written {
        self.gauge(name, help, at.map(|at| at as f64 / 1e3))
    }

    fn labelled(&mut self, name: &str, help: &str, kind: MetricType, label: &str, values: &[(&str, u64)]) -> Written {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (word, value) in values {
            let labels = [(label, *word)];
            let one = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(*value).encode(one)?,
                _ => ConstGauge::new(*value as f64).encode(one)?,
            }
        }
        Ok(())
    }

    fn spread(&mut self, name: &str, help: &str, spread: &Spread, unit: f64) -> Written {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let sum = spread.sum as f64 / unit;
        family.encode_histogram::<NoLabelSet>(sum, spread.count(), &buckets(spread, unit), None)
    }

    fn requests(&mut self, series: &[Series]) -> Written {
        let (name, help) = ("rollcall_request_duration_seconds", "What requests took, by template of the route");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for Series { surface, route, method, class, took } in series {
            let labels = [("surface", *surface), ("route", route), ("method", method), ("status", class)];
            let sum = took.sum as f64 / MICROS;
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, took.count(), &buckets(took, MICROS), None)?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are small")]
fn buckets(spread: &Spread, unit: f64) -> Vec<(f64, u64)> {
    let bounds = spread.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
    bounds.zip(spread.counts.iter().copied()).collect()
}

impl Collector for Gathered {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Written {
        let mut to = Writer(encoder);
        to.requests(&self.requests)?;
        self.callers(&mut to)?;
        self.database(&mut to)?;
        self.logs(&mut to)?;
        self.machine(&mut to)
    }
}

impl Gathered {
    fn callers(&self, to: &mut Writer<'_>) -> Written {
        let help = "Requests with a token that is nobody's";
        to.counter("rollcall_wrong_tokens", help, self.wrong_tokens)?;
        let help = "Tries to sign in to the portal, by how they ended";
        to.labelled("rollcall_sign_ins", help, MetricType::Counter, "outcome", &self.sign_ins)?;
        let Some(rows) = &self.rows else { return Ok(()) };
        to.count("rollcall_sessions", "Browsers that are signed in to the portal", Some(rows.sessions))?;
        let help = "Configurations by how they stand, counted once a minute";
        to.labelled("rollcall_configurations", help, MetricType::Gauge, "standing", &rows.standings)?;
        let help = "Number of the newest event of the feed";
        to.count("rollcall_newest_event", help, Some(rows.newest_event))
    }

    fn database(&self, to: &mut Writer<'_>) -> Written {
        let store = &self.store;
        let help = "1 while writes are taken; 0 once the database was found damaged";
        to.count("rollcall_database_sound", help, Some(self.is_sound.into()))?;
        to.count("rollcall_database_bytes", "Size of the database file", store.database_bytes)?;
        to.count("rollcall_database_wal_bytes", "Size of the write-ahead log", store.log_bytes)?;
        to.count("rollcall_write_queue", "Writes that wait for their commit", Some(store.queued))?;
        let help = "Writes that were turned away because the queue was full";
        to.counter("rollcall_writes_turned_away", help, store.turned_away)?;
        to.spread("rollcall_batch_writes", "Writes that one commit held", &store.batches, 1.0)?;
        to.spread("rollcall_commit_duration_seconds", "What commits took", &store.commits, MICROS)?;
        to.count("rollcall_readers_in_use", "Connections that read lists and reports now", Some(store.readers_in_use))?;
        to.moment(
            "rollcall_last_backup_timestamp_seconds",
            "When the newest scheduled backup was made",
            self.last_backup,
        )
    }

    fn logs(&self, to: &mut Writer<'_>) -> Written {
        let [waiting, bytes, dropped] = self.calls;
        to.count("rollcall_request_log_waiting", "Calls that are not in the request log yet", Some(waiting))?;
        to.count("rollcall_request_log_waiting_bytes", "Bytes of their bodies", Some(bytes))?;
        let help = "Calls that were served and not kept in the request log";
        to.counter("rollcall_request_log_dropped", help, dropped)?;
        let waiting = u64::try_from(self.log.waiting_bytes).ok();
        to.count("rollcall_log_waiting_bytes", "Bytes of the process's log that wait to be written", waiting)?;
        let help = "Lines of the process's log that were dropped because nobody read them";
        to.counter("rollcall_log_lines_dropped", help, self.log.dropped)
    }

    fn machine(&self, to: &mut Writer<'_>) -> Written {
        let help = "When the certificate ends that is served";
        to.moment("rollcall_certificate_expiry_timestamp_seconds", help, self.certificate_ends)?;
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        to.labelled("rollcall_build_info", "The running version", MetricType::Gauge, "version", &version)?;
        to.moment("process_start_time_seconds", "When the process started", Some(self.started))?;
        to.count("process_resident_memory_bytes", "Memory that the process holds", self.process.resident_bytes)?;
        to.count("process_open_fds", "Open file descriptors", self.process.open_files)?;
        to.count("process_max_fds", "The most file descriptors that may be open", self.process.files_max)
    }
}
