//! `GET /metrics`, on the metrics listener.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::auth::secret::{self, TokenDigest};
use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::ConnectionStatus;
use crate::error::Result;
use crate::management::{backups, overview, sessions};
use crate::provisioning::feed;
use crate::store::{Snapshot, WorkOwner};
use crate::tls::CertificateExpiry;
use crate::web::blocking::read_blocking;
use crate::web::metrics::Metrics;
use crate::web::metrics::snapshot::{DatabaseMetrics, MetricsSnapshot, read_process_statistics};
use crate::web::state::AppState;

/// Media type of `OpenMetrics` 1.0, which Prometheus requests.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Time in milliseconds for which the counted statuses are cached.
const STATUSES_CACHE_MS: Millis = 60_000;

/// Access to the metrics.
pub struct MetricsAccess {
    token: Option<TokenDigest>,
    started: Millis,
}

impl MetricsAccess {
    /// Requires this token. Without a token, access is not restricted.
    pub fn new(token: Option<&str>) -> Self {
        Self { token: token.map(secret::digest_text), started: clock::current_millis() }
    }

    /// The response to a request without the required token: 401. `None` if it has it.
    pub fn refuse(&self, headers: &HeaderMap) -> Option<HttpResponse> {
        if self.accepts(headers) {
            return None;
        }
        let challenge = (header::WWW_AUTHENTICATE, "Bearer");
        Some(HttpResponse::Unauthorized().insert_header(challenge).body("send the token of --metrics-token\n"))
    }

    /// Returns whether the headers contain the required token.
    fn accepts(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        given.is_some_and(|token| secret::digests_match(expected, &secret::digest_text(token.trim())))
    }
}

/// `GET /metrics`: returns the metrics; 401 without the required token.
pub async fn serve_metrics(request: HttpRequest, ask: Data<MetricsAccess>, state: Data<AppState>) -> HttpResponse {
    if let Some(refused) = ask.refuse(request.headers()) {
        return refused;
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collect_metrics(&state, ask.started).await));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().content_type(CONTENT_TYPE).insert_header((header::CACHE_CONTROL, "no-store")).body(text)
}

/// The response for all other paths of the metrics listener: 404.
pub async fn serve_not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("not found; the metrics are at /metrics\n")
}

async fn collect_metrics(state: &Data<AppState>, started: Millis) -> MetricsSnapshot {
    let shared = state.clone();
    // If the database is busy or damaged, other metrics report it.
    let rows = read_blocking(&state.store, WorkOwner::Background, move |at| {
        read_database_metrics(at, &shared, clock::current_millis())
    })
    .await
    .ok();
    let schedule = state.server.settings.backups.as_ref();
    MetricsSnapshot {
        requests: state.metrics.series(),
        sign_ins: state.metrics.sign_ins(),
        wrong_tokens: state.limits.login_throttle.wrong_token_count(),
        store: state.store.statistics(),
        log: crate::log::read_statistics(),
        calls: state.usage.calls.figures(),
        delivery: state.delivery.read_figures(),
        database: rows,
        last_backup: schedule
            .and_then(|schedule| backups::find_newest_backup_time(&schedule.folder, clock::current_millis())),
        replica: state.server.read_replica(),
        certificate_ends: state.server.certificate.as_ref().and_then(CertificateExpiry::not_after),
        process: read_process_statistics(),
        started,
        clock_leap: clock::find_held_leap().map_or(0, |leap| leap.difference),
        start_gap: clock::find_start_doubt().map_or(0, clock::StartDoubt::difference),
        is_sound: state.store.is_intact(),
        state: state.store.service_state(),
    }
}

fn read_database_metrics(at: &Snapshot<'_>, state: &AppState, now: Millis) -> Result<DatabaseMetrics> {
    Ok(DatabaseMetrics {
        sessions: sessions::count_live_sessions(at, state.server.settings.portal.sessions, now)?,
        newest_event: u64::try_from(feed::find_end(at)?).unwrap_or_default(),
        statuses: count_statuses(at, &state.metrics, now)?,
    })
}

/// Returns the number of configurations by status, from the cache if it is not outdated.
fn count_statuses(at: &Snapshot<'_>, metrics: &Metrics, now: Millis) -> Result<Vec<(&'static str, u64)>> {
    let mut cache = metrics.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let counted = match cache.take().filter(|(then, _)| (0..STATUSES_CACHE_MS).contains(&(now - then))) {
        Some(counted) => counted,
        None => (now, overview::count_by_status(at, now)?),
    };
    let by_key = counted.1.iter().map(|(status, count): &(ConnectionStatus, u64)| (status.key(), *count)).collect();
    *cache = Some(counted);
    Ok(by_key)
}
