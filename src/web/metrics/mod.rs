//! Counters and histograms of requests, reported on a separate listener in the `OpenMetrics` format. Labels are route
//! templates, methods and status classes, never ids, names or the paths that clients send.

mod endpoint;
mod snapshot;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::Method;

use crate::clock::Millis;
use crate::diagnosis::connection_status::ConnectionStatus;
use crate::histogram::{Histogram, HistogramSnapshot};
use crate::named_enum::named_enum;

pub use crate::web::metrics::endpoint::{MetricsAccess, serve_metrics, serve_not_found};

/// Upper bounds of the histogram buckets of request durations, in microseconds.
const DURATION_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// The values of the label `method`; all other methods count as the last one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
/// The values of the label `status`. Final responses are never 1xx.
const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// Maximum number of routes of a surface. There are fewer; the limit bounds the memory.
const ROUTES_MAX: usize = 200;
/// The route label when the maximum is exceeded.
const OTHER_ROUTE: &str = "other";

named_enum! {
    /// The part of the server that handles a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Surface {
        /// The SCIM endpoint.
        Scim = "scim",
        /// The management API.
        Management = "management",
        /// The portal.
        Portal = "portal",
    }
}

named_enum! {
    /// The outcome of an attempt to sign in to the portal.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SignInOutcome {
        /// A session was created.
        Done = "done",
        /// The password, the code or the identity provider rejected the attempt.
        Rejected = "refused",
        /// Rejected because of too many attempts.
        Throttled = "throttled",
    }
}

type RouteHistograms = [OnceLock<Histogram>; METHODS.len() * STATUS_CLASSES.len()];
type StatusCounts = Vec<(ConnectionStatus, u64)>;

/// The counters of the server.
#[derive(Default)]
pub struct Metrics {
    requests: [RwLock<HashMap<Box<str>, Box<RouteHistograms>>>; Surface::ALL.len()],
    sign_ins: [AtomicU64; SignInOutcome::ALL.len()],
    /// Number of configurations by status, with the time at which they were counted. They are cached, because the count
    /// reads every configuration.
    statuses: Mutex<Option<(Millis, StatusCounts)>>,
}

/// The requests of one route, method and status class.
#[derive(Debug)]
struct RequestSeries {
    surface: &'static str,
    route: String,
    method: &'static str,
    class: &'static str,
    duration: HistogramSnapshot,
}

/// A completed request.
#[derive(Debug)]
pub struct CompletedRequest<'a> {
    /// The API that served it.
    pub surface: Surface,
    /// Its route template.
    pub route: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Status of the response.
    pub status: u16,
    /// Duration until the response.
    pub took: Duration,
}

impl Metrics {
    /// Records a completed request. Takes about 0.2 µs: a lookup and three additions.
    pub fn record_request(&self, request: &CompletedRequest<'_>) {
        let CompletedRequest { surface, route, method, status, took } = *request;
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).saturating_sub(2).min(STATUS_CLASSES.len() - 1);
        let cell = method * STATUS_CLASSES.len() + class;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let routes = &self.requests[surface as usize];
        if let Some(cells) = routes.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            cells[cell].get_or_init(|| Histogram::new(DURATION_BOUNDS)).observe(micros);
            return;
        }
        let mut routes = routes.write().unwrap_or_else(PoisonError::into_inner);
        let route = if routes.len() < ROUTES_MAX { route } else { OTHER_ROUTE };
        let cells = routes.entry(route.into()).or_default();
        cells[cell].get_or_init(|| Histogram::new(DURATION_BOUNDS)).observe(micros);
    }

    /// Counts an attempt to sign in.
    pub fn record_sign_in(&self, outcome: SignInOutcome) {
        self.sign_ins[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the series of all requests, ordered by surface, route and method.
    fn series(&self) -> Vec<RequestSeries> {
        let mut series = Vec::new();
        for surface in Surface::ALL {
            let routes = self.requests[surface as usize].read().unwrap_or_else(PoisonError::into_inner);
            for (route, cells) in routes.iter() {
                for (at, cell) in cells.iter().enumerate() {
                    let Some(histogram) = cell.get() else { continue };
                    let (method, class) =
                        (METHODS[at / STATUS_CLASSES.len()], STATUS_CLASSES[at % STATUS_CLASSES.len()]);
                    let route = route.to_string();
                    series.push(RequestSeries {
                        surface: surface.as_str(),
                        route,
                        method,
                        class,
                        duration: histogram.snapshot(),
                    });
                }
            }
        }
        series.sort_by(|one, other| {
            (one.surface, &one.route, one.method).cmp(&(other.surface, &other.route, other.method))
        });
        series
    }

    /// Returns the attempts to sign in, by outcome.
    fn sign_ins(&self) -> Vec<(&'static str, u64)> {
        let count =
            |outcome: SignInOutcome| (outcome.as_str(), self.sign_ins[outcome as usize].load(Ordering::Relaxed));
        SignInOutcome::ALL.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_grouped_by_route_template_method_and_status_class() {
        let metrics = Metrics::default();
        let took = Duration::from_millis(3);
        for (method, status) in [("GET", 200), ("GET", 204), ("GET", 404), ("BREW", 418), ("TEAPOT", 200)] {
            let method = &Method::from_bytes(method.as_bytes()).unwrap();
            let route = "/Users/{id}";
            metrics.record_request(&CompletedRequest { surface: Surface::Scim, route, method, status, took });
        }
        let series = metrics.series();
        let counts: Vec<_> = series.iter().map(|one| (one.method, one.class, one.duration.count())).collect();
        assert_eq!(counts, [("GET", "2xx", 2), ("GET", "4xx", 1), ("other", "2xx", 1), ("other", "4xx", 1)]);
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let metrics = Metrics::default();
        for at in 0..1_000 {
            let (route, method) = (&*format!("/{at}"), &Method::GET);
            let (surface, took) = (Surface::Portal, Duration::ZERO);
            metrics.record_request(&CompletedRequest { surface, route, method, status: 200, took });
        }
        let series = metrics.series();
        assert_eq!(series.len(), ROUTES_MAX + 1);
        assert_eq!(series.iter().find(|one| one.route == OTHER_ROUTE).unwrap().duration.count(), 800);
    }
}
