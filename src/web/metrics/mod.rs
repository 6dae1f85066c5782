//! What is counted while requests are answered, and told on a listener of its own. Labels are templates of routes, methods
//! and classes of statuses: never ids, names, or paths as somebody sent them.

mod gathered;
mod page;
mod process;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::Method;

use crate::clock::Millis;
use crate::measure::{Histogram, Spread};
use crate::model::standing::Standing;

pub use page::{Ask, nothing, serve};

/// Upper bounds of what a request takes, in microseconds.
const MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// The methods that are told apart; every other one counts as the last.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
/// The classes of statuses: informational ones are never an answer.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// Routes that are told apart on each surface: more than there are, and a bound all the same.
const ROUTES_MAX: usize = 200;
/// What further routes count as.
const OTHER: &str = "other";

/// Which part of the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Identity providers.
    Scim,
    /// The management API.
    Management,
    /// The pages.
    Portal,
}

impl Surface {
    const ALL: [Self; 3] = [Self::Scim, Self::Management, Self::Portal];

    fn word(self) -> &'static str {
        match self {
            Self::Scim => "scim",
            Self::Management => "management",
            Self::Portal => "portal",
        }
    }
}

/// How trying to sign in to the portal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A session began.
    Done,
    /// Password, code or provider said no.
    Refused,
    /// Too many tries.
    Throttled,
}

impl SignIn {
    const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Throttled];

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
        }
    }
}

type Cells = [OnceLock<Histogram>; METHODS.len() * CLASSES.len()];
type Standings = Vec<(Standing, u64)>;

/// What is counted.
#[derive(Default)]
pub struct Metrics {
    requests: [RwLock<HashMap<Box<str>, Box<Cells>>>; Surface::ALL.len()],
    sign_ins: [AtomicU64; SignIn::ALL.len()],
    /// Configurations by standing, with the time they were counted at: each is read for it, so not at every look.
    standings: Mutex<Option<(Millis, Standings)>>,
}

/// The requests of one route, method and class.
#[derive(Debug)]
struct Series {
    surface: &'static str,
    route: String,
    method: &'static str,
    class: &'static str,
    took: Spread,
}

impl Metrics {
    /// Counts a request that was answered. Costs a look-up and three additions: some 0.2 µs.
    pub fn note(&self, surface: Surface, route: &str, method: &Method, status: u16, took: Duration) {
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1);
        let cell = method * CLASSES.len() + class;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let routes = &self.requests[surface as usize];
        if let Some(cells) = routes.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            cells[cell].get_or_init(|| Histogram::new(MICROS)).observe(micros);
            return;
        }
        let mut routes = routes.write().unwrap_or_else(PoisonError::into_inner);
        let route = if routes.len() < ROUTES_MAX { route } else { OTHER };
        let cells = routes.entry(route.into()).or_default();
        cells[cell].get_or_init(|| Histogram::new(MICROS)).observe(micros);
    }

    /// Counts that somebody tried to sign in.
    pub fn note_sign_in(&self, how: SignIn) {
        self.sign_ins[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn series(&self) -> Vec<Series> {
        let mut series = Vec::new();
        for surface in Surface::ALL {
            let routes = self.requests[surface as usize].read().unwrap_or_else(PoisonError::into_inner);
            for (route, cells) in routes.iter() {
                for (at, cell) in cells.iter().enumerate() {
                    let Some(histogram) = cell.get() else { continue };
                    let (method, class) = (METHODS[at / CLASSES.len()], CLASSES[at % CLASSES.len()]);
                    let route = route.to_string();
                    series.push(Series { surface: surface.word(), route, method, class, took: histogram.spread() });
                }
            }
        }
        series.sort_by(|one, other| {
            (one.surface, &one.route, one.method).cmp(&(other.surface, &other.route, other.method))
        });
        series
    }

    fn sign_ins(&self) -> Vec<(&'static str, u64)> {
        let count = |how: SignIn| (how.word(), self.sign_ins[how as usize].load(Ordering::Relaxed));
        SignIn::ALL.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_template_method_and_class_only() {
        let metrics = Metrics::default();
        let took = Duration::from_millis(3);
        for (method, status) in [("GET", 200), ("GET", 204), ("GET", 404), ("BREW", 418), ("TEAPOT", 200)] {
            metrics.note(Surface::Scim, "/Users/{id}", &Method::from_bytes(method.as_bytes()).unwrap(), status, took);
        }
        let series = metrics.series();
        let seen: Vec<_> = series.iter().map(|one| (one.method, one.class, one.took.count())).collect();
        assert_eq!(seen, [("GET", "2xx", 2), ("GET", "4xx", 1), ("other", "2xx", 1), ("other", "4xx", 1)]);
    }

    #[test]
    fn however_many_routes_come_their_number_is_bounded() {
        let metrics = Metrics::default();
        for at in 0..1_000 {
            metrics.note(Surface::Portal, &format!("/{at}"), &Method::GET, 200, Duration::ZERO);
        }
        let series = metrics.series();
        assert_eq!(series.len(), ROUTES_MAX + 1);
        assert_eq!(series.iter().find(|one| one.route == OTHER).unwrap().took.count(), 800);
    }
}
