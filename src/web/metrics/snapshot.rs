//! A snapshot of all metrics, and its encoding.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::delivery::DeliveryFigures;
use crate::histogram::HistogramSnapshot;
use crate::management::instance::StoreStatistics;
use crate::model::service_state::{ReadOnlyCause, ServiceState};
use crate::replica::{ProcessState, ReplicaFigures};
use crate::web::metrics::RequestSeries;
use crate::{clock, log};

/// Microseconds per second.
const MICROS_PER_SECOND: f64 = 1e6;

/// Milliseconds per second.
const MILLIS_PER_SECOND: f64 = 1e3;

/// The values of all metrics for one response.
#[derive(Debug)]
pub(super) struct MetricsSnapshot {
    pub(super) requests: Vec<RequestSeries>,
    pub(super) sign_ins: Vec<(&'static str, u64)>,
    pub(super) wrong_tokens: u64,
    pub(super) store: StoreStatistics,
    pub(super) log: log::LogStatistics,
    /// Request log: waiting calls, bytes of their bodies, dropped calls.
    pub(super) calls: [u64; 3],
    /// Webhooks.
    pub(super) delivery: DeliveryFigures,
    pub(super) database: Option<DatabaseMetrics>,
    /// Time of the newest scheduled backup.
    pub(super) last_backup: Option<clock::Millis>,
    /// The replica, if the database is replicated.
    pub(super) replica: Option<ReplicaFigures>,
    /// Expiry of the current certificate.
    pub(super) certificate_ends: Option<clock::Millis>,
    pub(super) process: ProcessStatistics,
    pub(super) started: clock::Millis,
    /// Time of the machine minus time of the server in milliseconds, while a leap is not followed.
    pub(super) clock_leap: clock::Millis,
    /// Time of the start minus the last recorded time in milliseconds, while that is doubted.
    pub(super) start_gap: clock::Millis,
    pub(super) is_sound: bool,
    pub(super) state: ServiceState,
}

/// Values from the database.
#[derive(Debug)]
pub(super) struct DatabaseMetrics {
    pub(super) sessions: u64,
    /// Sequence number of the newest event.
    pub(super) newest_event: u64,
    pub(super) statuses: Vec<(&'static str, u64)>,
}

/// Statistics of this process.
#[derive(Debug, Default)]
pub(super) struct ProcessStatistics {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) files_max: Option<u64>,
}

/// Reads the statistics from `/proc`. Values that are not available are omitted.
pub(super) fn read_process_statistics() -> ProcessStatistics {
    let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    let value = |file: &str, prefix: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| number(line.strip_prefix(prefix)?))
    };
    ProcessStatistics {
        resident_bytes: value("/proc/self/status", "VmRSS:").map(|kib| kib * 1024),
        // One of the descriptors is that of the directory listing itself.
        open_files: fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1)),
        files_max: value("/proc/self/limits", "Max open files"),
    }
}

/// A family of metrics that one label distinguishes.
struct LabelledFamily<'a> {
    name: &'a str,
    help: &'a str,
    kind: MetricType,
    label: &'a str,
}

/// Encodes metric families.
struct MetricsWriter<'a>(DescriptorEncoder<'a>);

type EncodeResult = Result<(), Error>;

#[expect(clippy::cast_precision_loss, reason = "values above 2^53 are rounded, with a relative error below 2^-53")]
impl MetricsWriter<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) -> EncodeResult {
        let Some(value) = value else { return Ok(()) };
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn count(&mut self, name: &str, help: &str, value: Option<u64>) -> EncodeResult {
        self.gauge(name, help, value.map(|value| value as f64))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> EncodeResult {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// Encodes milliseconds as seconds: a duration, or a timestamp in seconds since 1970.
    fn seconds(&mut self, name: &str, help: &str, at: Option<clock::Millis>) -> EncodeResult {
        self.gauge(name, help, at.map(|at| at as f64 / 1e3))
    }

    fn labelled(&mut self, family: &LabelledFamily<'_>, values: &[(&str, u64)]) -> EncodeResult {
        let mut encoder = self.0.encode_descriptor(family.name, family.help, None, family.kind)?;
        for (label_value, value) in values {
            let labels = [(family.label, *label_value)];
            let metric = encoder.encode_family(&labels)?;
            match family.kind {
                MetricType::Counter => ConstCounter::new(*value).encode(metric)?,
                _ => ConstGauge::new(*value as f64).encode(metric)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, spread: &HistogramSnapshot, unit: f64) -> EncodeResult {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let sum = spread.sum as f64 / unit;
        family.encode_histogram::<NoLabelSet>(sum, spread.count(), &list_buckets(spread, unit), None)
    }

    fn requests(&mut self, series: &[RequestSeries]) -> EncodeResult {
        let (name, help) = ("rollcall_request_duration_seconds", "Duration of requests, by route template");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for RequestSeries { surface, route, method, class, duration: took } in series {
            let labels = [("surface", *surface), ("route", route), ("method", method), ("status", class)];
            let sum = took.sum as f64 / MICROS_PER_SECOND;
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, took.count(), &list_buckets(took, MICROS_PER_SECOND), None)?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are small")]
/// Returns the buckets of a histogram, with bounds converted to the unit.
fn list_buckets(spread: &HistogramSnapshot, unit: f64) -> Vec<(f64, u64)> {
    let bounds = spread.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
    bounds.zip(spread.counts.iter().copied()).collect()
}

impl Collector for MetricsSnapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> EncodeResult {
        let mut writer = MetricsWriter(encoder);
        writer.requests(&self.requests)?;
        self.encode_callers(&mut writer)?;
        self.encode_database(&mut writer)?;
        self.encode_logs(&mut writer)?;
        self.encode_webhooks(&mut writer)?;
        self.encode_replica(&mut writer)?;
        self.encode_process(&mut writer)
    }
}

impl MetricsSnapshot {
    fn encode_callers(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let help = "Requests with an invalid token";
        writer.counter("rollcall_wrong_tokens", help, self.wrong_tokens)?;
        let sign_ins = LabelledFamily {
            name: "rollcall_sign_ins",
            help: "Attempts to sign in to the portal, by outcome",
            kind: MetricType::Counter,
            label: "outcome",
        };
        writer.labelled(&sign_ins, &self.sign_ins)?;
        let Some(rows) = &self.database else { return Ok(()) };
        writer.count("rollcall_sessions", "Active sessions of the portal", Some(rows.sessions))?;
        let configurations = LabelledFamily {
            name: "rollcall_configurations",
            help: "Configurations by status, counted once a minute",
            kind: MetricType::Gauge,
            label: "standing",
        };
        writer.labelled(&configurations, &rows.statuses)?;
        let help = "Sequence number of the newest event of the feed";
        writer.count("rollcall_newest_event", help, Some(rows.newest_event))
    }

    fn encode_database(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let store = &self.store;
        let help = "Time of the machine minus time of the server, while a leap of the clock is not followed";
        writer.seconds("rollcall_clock_leap_seconds", help, Some(self.clock_leap))?;
        let help = "Time of the start minus the last recorded time, while no expired data is deleted because of it";
        writer.seconds("rollcall_clock_start_gap_seconds", help, Some(self.start_gap))?;
        let help = "1 if the database is intact; 0 if it is damaged and rejects writes";
        writer.count("rollcall_database_sound", help, Some(self.is_sound.into()))?;
        let states = LabelledFamily {
            name: "rollcall_service_state",
            help: "1 for the state of the service, 0 for the others; writes are rejected unless it is ready",
            kind: MetricType::Gauge,
            label: "state",
        };
        let causes = ReadOnlyCause::ALL.map(ServiceState::ReadOnly);
        let values = [ServiceState::Ready].into_iter().chain(causes);
        let values: Vec<_> = values.map(|state| (state.as_str(), u64::from(state == self.state))).collect();
        writer.labelled(&states, &values)?;
        writer.count("rollcall_database_bytes", "Size of the database file", store.database_bytes)?;
        writer.count("rollcall_database_wal_bytes", "Size of the write-ahead log", store.log_bytes)?;
        let help = "Pages that the scrub of the database file has read";
        writer.counter("rollcall_scrub_pages", help, store.scrub.pages)?;
        let help = "End of the last scrub that read all pages of the database file; 0 until the first";
        writer.seconds(
            "rollcall_scrub_finished_timestamp_seconds",
            help,
            Some(store.scrub.finished_at.unwrap_or_default()),
        )?;
        let help = "1 if the last checkpoints of the write-ahead log failed, else 0";
        writer.count("rollcall_checkpoint_failing", help, Some(store.checkpoints.is_failing.into()))?;
        let help = "Failed checkpoints of the write-ahead log";
        writer.counter("rollcall_checkpoint_failures", help, store.checkpoints.failures)?;
        let help = "How often the write-ahead log was copied completely and started again";
        writer.counter("rollcall_wal_restarts", help, store.checkpoints.restarts)?;
        writer.count("rollcall_write_queue", "Writes that wait for a commit", Some(store.queued))?;
        writer.gauge(
            "rollcall_write_queue_oldest_age_seconds",
            "Age of the oldest write that waits for a commit",
            Some(store.queue_oldest.as_secs_f64()),
        )?;
        let help = "Writes that were rejected because their caller's share of the queue was full";
        writer.counter("rollcall_writes_turned_away", help, store.rejected)?;
        writer.histogram("rollcall_batch_writes", "Writes per commit", &store.batches, 1.0)?;
        writer.histogram(
            "rollcall_commit_duration_seconds",
            "Duration of commits",
            &store.commits,
            MICROS_PER_SECOND,
        )?;
        writer.count(
            "rollcall_readers_in_use",
            "Database connections that currently read lists and reports",
            Some(store.readers_in_use),
        )?;
        writer.seconds(
            "rollcall_last_backup_timestamp_seconds",
            "Time of the newest scheduled backup",
            self.last_backup,
        )
    }

    fn encode_logs(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let [waiting, bytes, dropped] = self.calls;
        writer.count(
            "rollcall_request_log_waiting",
            "Calls that wait to be written to the request log",
            Some(waiting),
        )?;
        writer.count("rollcall_request_log_waiting_bytes", "Bytes of the bodies of these calls", Some(bytes))?;
        let help = "Calls that were served but not written to the request log";
        writer.counter("rollcall_request_log_dropped", help, dropped)?;
        let waiting = u64::try_from(self.log.buffered_bytes).ok();
        writer.count("rollcall_log_waiting_bytes", "Bytes of the server log that wait to be written", waiting)?;
        let help = "Lines of the server log that were dropped because the reader was too slow";
        writer.counter("rollcall_log_lines_dropped", help, self.log.dropped)
    }

    fn encode_webhooks(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let figures = &self.delivery;
        let attempts = LabelledFamily {
            name: "rollcall_webhook_attempts",
            help: "Attempts to send events to webhooks, by outcome",
            kind: MetricType::Counter,
            label: "outcome",
        };
        writer.labelled(&attempts, &[("success", figures.succeeded), ("failure", figures.failed)])?;
        writer.counter("rollcall_webhook_events", "Events that webhooks have accepted", figures.events)?;
        writer.histogram(
            "rollcall_webhook_duration_seconds",
            "Duration of attempts",
            &figures.durations,
            MILLIS_PER_SECOND,
        )?;
        writer.count("rollcall_webhook_in_flight", "Requests to webhooks in flight", Some(figures.in_flight))?;
        let help = "Lanes of webhooks with something to send, or that wait for a retry";
        writer.count("rollcall_webhook_waiting_lanes", help, Some(figures.waiting_lanes))?;
        let help = "Lanes of webhooks that have stopped after their last retry";
        writer.count("rollcall_webhook_stopped_lanes", help, Some(figures.stopped_lanes))?;
        let help = "Events that wait for webhooks, counted every ten seconds in at most 200 lanes";
        writer.count("rollcall_webhook_waiting_events", help, Some(figures.waiting_events))?;
        let age = i64::try_from(figures.oldest_age_ms).unwrap_or(i64::MAX);
        writer.seconds("rollcall_webhook_oldest_age_seconds", "Age of the oldest of these events", Some(age))
    }

    fn encode_replica(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let Some(replica) = &self.replica else { return Ok(()) };
        let is_up = u64::from(replica.process == ProcessState::Running);
        writer.count("rollcall_replica_up", "1 while Litestream runs, else 0", Some(is_up))?;
        writer.counter("rollcall_replica_restarts", "How often Litestream was started again", replica.restarts)?;
        let help = "Age of the oldest change that is not known to be in the replica";
        writer.gauge("rollcall_replica_lag_seconds", help, Some(replica.lag.as_secs_f64()))?;
        let help = "When everything was in the replica for the last time";
        writer.seconds("rollcall_replica_last_success_timestamp_seconds", help, replica.last_success)?;
        let content = replica.content;
        writer.count("rollcall_replica_bytes", "Size of the replica", content.map(|content| content.bytes))?;
        let help = "Oldest state that can be restored from the replica";
        let oldest = content.and_then(|content| content.oldest);
        writer.seconds("rollcall_replica_oldest_timestamp_seconds", help, oldest)?;
        let proof = replica.proof.as_ref();
        let help = "When the replica was restored and checked for the last time";
        writer.seconds("rollcall_replica_proof_timestamp_seconds", help, proof.map(|proof| proof.at))?;
        let help = "1 if the replica was good when it was restored for the last time, else 0";
        writer.count("rollcall_replica_proof_good", help, proof.map(|proof| proof.finding.is_none().into()))?;
        let lease = replica.lease.as_ref();
        let help = "1 while this server holds the lease and accepts writes, else 0";
        writer.count("rollcall_lease_held", help, lease.map(|lease| lease.is_held.into()))?;
        writer.count("rollcall_lease_generation", "Generation of this server", lease.map(|lease| lease.generation))
    }

    fn encode_process(&self, writer: &mut MetricsWriter<'_>) -> EncodeResult {
        let help = "Expiry of the current certificate";
        writer.seconds("rollcall_certificate_expiry_timestamp_seconds", help, self.certificate_ends)?;
        let build = LabelledFamily {
            name: "rollcall_build_info",
            help: "The running version",
            kind: MetricType::Gauge,
            label: "version",
        };
        writer.labelled(&build, &[(crate::VERSION, 1)])?;
        writer.seconds("process_start_time_seconds", "When the process started", Some(self.started))?;
        writer.count("process_resident_memory_bytes", "Resident memory of the process", self.process.resident_bytes)?;
        writer.count("process_open_fds", "Open file descriptors", self.process.open_files)?;
        writer.count("process_max_fds", "Maximum number of open file descriptors", self.process.files_max)
    }
}
