//! The one page of the listener for metrics.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::gathered::{Gathered, Rows};
use super::process;
use crate::clock::{self, Millis};
use crate::directory::overview;
use crate::error::Result;
use crate::model::standing::Standing;
use crate::secret::{self, TokenDigest};
use crate::store::backup::scheduled;
use crate::store::{Snapshot, events, sessions};
use crate::tls::Expiry;
use crate::web::aside::read_aside;
use crate::web::portal::{AGE_MAX, IDLE_MAX};
use crate::web::state::State;

/// What the answer is, as Prometheus asks for it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the counted standings are good, in milliseconds.
const STANDINGS_GOOD: Millis = 60_000;

/// What whoever asks must show.
pub struct Ask {
    token: Option<TokenDigest>,
    started: Millis,
}

impl Ask {
    /// That token; nothing where there is none.
    pub fn new(token: Option<&str>) -> Self {
        Self { token: token.map(secret::digest), started: clock::now() }
    }

    fn takes(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
        shown.is_some_and(|token| secret::same(wanted, &secret::digest(token.trim())))
    }
}

/// `GET /metrics`.
pub async fn serve(request: HttpRequest, ask: Data<Ask>, state: Data<State>) -> HttpResponse {
    if !ask.takes(request.headers()) {
        let challenge = (header::WWW_AUTHENTICATE, "Bearer");
        return HttpResponse::Unauthorized().insert_header(challenge).body("send the token of --metrics-token\n");
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(gather(&state, ask.started).await));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().content_type(CONTENT_TYPE).insert_header((header::CACHE_CONTROL, "no-store")).body(text)
}

/// Anything else on that listener.
pub async fn nothing() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("only /metrics is here\n")
}

async fn gather(state: &Data<State>, started: Millis) -> Gathered {
    let reading = state.clone();
    // A database that is busy or broken is told about by the other figures.
    let rows = read_aside(state, move |at| rows(at, &reading, clock::now())).await.ok();
    let schedule = state.settings.backups.as_ref();
    Gathered {
        requests: state.metrics.series(),
        sign_ins: state.metrics.sign_ins(),
        wrong_tokens: state.guard.wrong_tokens(),
        store: state.store.figures(),
        log: crate::log::figures(),
        calls: state.activity.figures(),
        rows,
        last_backup: schedule.and_then(|schedule| scheduled::newest(&schedule.folder)),
        certificate_ends: state.certificate.as_ref().and_then(Expiry::not_after),
        process: process::look(),
        started,
        is_sound: state.store.is_sound(),
    }
}

fn rows(at: &Snapshot<'_>, state: &State, now: Millis) -> Result<Rows> {
    Ok(Rows {
        sessions: sessions::count_open(at, now - IDLE_MAX, now - AGE_MAX)?,
        newest_event: u64::try_from(events::span(at)?.1).unwrap_or_default(),
        standings: standings(at, state, now)?,
    })
}

fn standings(at: &Snapshot<'_>, state: &State, now: Millis) -> Result<Vec<(&'static str, u64)>> {
    let mut known = state.metrics.standings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let counted = match known.take().filter(|(then, _)| (0..STANDINGS_GOOD).contains(&(now - then))) {
        Some(counted) => counted,
        None => (now, overview::standings(at, now)?),
    };
    let words = counted.1.iter().map(|(standing, count): &(Standing, u64)| (standing.key(), *count)).collect();
    *known = Some(counted);
    Ok(words)
}
