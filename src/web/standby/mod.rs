//! What a standby serves: health checks, a page, and metrics. Everything else is 503.

mod metrics;

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, ServiceConfig, get, to};

use crate::replica::StandbyStatus;
use crate::web::assets;
use crate::web::metrics::{MetricsAccess, serve_not_found};
use crate::web::portal::standby::render_standby;
use crate::web::standby::metrics::serve_standby_metrics;

/// Seconds after which a client of the server may try again: a failover takes longer than one request.
const RETRY_SECONDS: u32 = 5;

/// The state of the pages of a standby.
pub struct StandbyPages {
    pub(super) status: Arc<StandbyStatus>,
}

impl StandbyPages {
    /// Pages about this standby.
    pub fn new(status: Arc<StandbyStatus>) -> Self {
        Self { status }
    }
}

/// The routes of a standby.
pub fn configure_standby(config: &mut ServiceConfig) {
    config
        .route("/livez", get().to(check_standby_liveness))
        .route("/readyz", get().to(check_standby_readiness))
        .route(assets::ROUTE, get().to(assets::serve_asset))
        .route("/", get().to(serve_page))
        .default_service(to(refuse_request));
}

/// The routes of the metrics listener of a standby.
pub fn configure_metrics(config: &mut ServiceConfig, token: Option<&str>) {
    config.app_data(Data::new(MetricsAccess::new(token)));
    config.route("/metrics", get().to(serve_standby_metrics)).default_service(to(serve_not_found));
}

async fn check_standby_liveness() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Never ready: a proxy sends requests to the primary only.
async fn check_standby_readiness(pages: Data<StandbyPages>) -> HttpResponse {
    let figures = pages.status.read_figures();
    let mut body = format!("standby ({})", figures.phase.as_str());
    if let Some(lag) = figures.lag {
        // Writing to a string cannot fail.
        let _ = write!(body, ", {} s behind the replica", lag.as_secs());
    }
    body.push('\n');
    HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(body)
}

async fn serve_page(pages: Data<StandbyPages>) -> HttpResponse {
    render_standby(&pages.status.read_figures())
}

/// A SCIM error, which the callers of the management API understand, too.
async fn refuse_request() -> HttpResponse {
    let body = serde_json::json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "503",
        "detail": "this server is a standby; send the request to the primary",
    });
    HttpResponse::ServiceUnavailable()
        .content_type("application/scim+json")
        .insert_header((header::RETRY_AFTER, RETRY_SECONDS))
        .body(body.to_string())
}
