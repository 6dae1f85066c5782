//! The listener for metrics: one thread and few connections; it serves only `/metrics`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use crate::server::listen::explain_bind_error;
use crate::settings::MetricsSettings;
use crate::web::metrics::{self, MetricsAccess};
use crate::web::state::AppState;

/// Connections at the same time; more than monitoring systems need.
const CONNECTIONS_MAX: usize = 16;
/// Time limit for receiving a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Binds the listener. Returns the future that serves it, and its address.
///
/// # Errors
/// The address cannot be bound.
pub(super) fn bind_metrics_listener(
    settings: &MetricsSettings,
    state: &web::Data<AppState>,
) -> io::Result<(Server, SocketAddr)> {
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| explain_bind_error("--metrics-listen", settings.listen, &error))?;
    let address = listener.local_addr()?;
    let (ask, state) = (web::Data::new(MetricsAccess::new(settings.token.as_deref())), state.clone());
    let server = HttpServer::new(move || {
        let app = App::new().app_data(ask.clone()).app_data(state.clone());
        app.route("/metrics", web::get().to(metrics::serve_metrics)).default_service(web::to(metrics::serve_not_found))
    })
    .workers(1)
    .tcp_nodelay(true)
    .max_connections(CONNECTIONS_MAX)
    .client_request_timeout(HEAD_TIMEOUT)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok((server, address))
}
