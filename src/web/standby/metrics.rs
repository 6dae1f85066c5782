//! The metrics of a standby.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::replica::{StandbyFigures, StandbyPhase};
use crate::web::metrics::MetricsAccess;
use crate::web::standby::StandbyPages;

pub(super) async fn serve_standby_metrics(
    request: HttpRequest,
    access: Data<MetricsAccess>,
    pages: Data<StandbyPages>,
) -> HttpResponse {
    if let Some(refused) = access.refuse(request.headers()) {
        return refused;
    }
    let body = format_metrics(&pages.status.read_figures());
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

fn format_metrics(figures: &StandbyFigures) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    };
    gauge("rollcall_standby", "1 while this server is a standby", 1.0);
    let is_following = figures.phase != StandbyPhase::Restoring && figures.lag.is_some();
    gauge(
        "rollcall_standby_warm",
        "1 while a complete copy follows the replica, else 0",
        f64::from(u8::from(is_following)),
    );
    #[expect(clippy::cast_precision_loss, reason = "a generation is a small number")]
    gauge("rollcall_standby_generation", "Generation of the replica that is followed", figures.generation as f64);
    if let Some(lag) = figures.lag {
        let help = "Age of the oldest change in the replica that is not known to be in the copy";
        gauge("rollcall_standby_lag_seconds", help, lag.as_secs_f64());
    }
    text.push_str("# EOF\n");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_metrics_have_the_lag_only_while_there_is_a_copy() {
        let mut figures = StandbyFigures { generation: 3, ..StandbyFigures::default() };
        let text = format_metrics(&figures);
        assert!(text.contains("\nrollcall_standby_warm 0\n") && !text.contains("lag"), "{text}");
        figures.phase = StandbyPhase::Following;
        figures.lag = Some(Duration::from_millis(1_500));
        let text = format_metrics(&figures);
        assert!(text.contains("\nrollcall_standby_lag_seconds 1.5\n"), "{text}");
        assert!(
            text.contains("\nrollcall_standby_warm 1\n") && text.contains("\nrollcall_standby_generation 3\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
