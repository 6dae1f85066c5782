//! The listener for metrics: one thread, few connections, and nothing else to be had there.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use crate::settings::MetricsSettings;
use crate::web::metrics::{self, Ask};
use crate::web::state::State;

/// Connections at the same time: more than monitors need.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to arrive.
const HEAD_MAX: Duration = Duration::from_secs(5);

/// Starts the listener; the future serves until it is stopped.
///
/// # Errors
/// The address cannot be bound.
pub(super) fn listen(settings: &MetricsSettings, state: &web::Data<State>) -> io::Result<(Server, SocketAddr)> {
    let refused =
        |error: io::Error| io::Error::new(error.kind(), format!("--metrics-listen {}: {error}", settings.listen));
    let listener = TcpListener::bind(settings.listen).map_err(refused)?;
    let address = listener.local_addr()?;
    let (ask, state) = (web::Data::new(Ask::new(settings.token.as_deref())), state.clone());
    let server = HttpServer::new(move || {
        let app = App::new().app_data(ask.clone()).app_data(state.clone());
        app.route("/metrics", web::get().to(metrics::serve)).default_service(web::to(metrics::nothing))
    })
    .workers(1)
    .max_connections(CONNECTIONS_MAX)
    .client_request_timeout(HEAD_MAX)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok((server, address))
}
