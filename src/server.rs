//! Starting, wiring and stopping the server. One builder serves production and tests.

mod listen;
mod metrics;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::guard::fn_guard;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::Context as _;
use tokio::sync::oneshot;

use crate::directory::admins;
use crate::jwt::{SigningKey, UserTokens};
use crate::log;
use crate::model::configuration::provisioning_url;
use crate::secret::{self, Token};
use crate::settings::{LogFormat, Settings};
use crate::store::{Access, Store, Undo, instance};
use crate::tls::Tls;
use crate::web::limits::HEAD_DEADLINE;
use crate::web::network;
use crate::web::public_url::PublicUrl;
use crate::web::state::{Callers, State};
use crate::web::{api, assets, portal, scim, strict_transport};
use crate::worker::{self, backup, certificates, notify};

/// How long the address of the first run is good, in milliseconds.
const SETUP_MILLIS: i64 = 30 * 60 * 1000;
/// How long a connection may idle between two requests; identity providers keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long running requests may take to finish when the server stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;
/// Threads of each worker for scans and large bodies; more would only wait for the readers, and each keeps memory.
const BLOCKING_THREADS: usize = 2;

/// A server that is bound and waits to be awaited.
pub struct Bound {
    /// The future that serves until it is stopped.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its requests share.
    pub state: web::Data<State>,
    /// Its certificate, where it speaks TLS.
    pub tls: Option<Tls>,
}

/// Binds a server over an open store.
///
/// # Errors
/// The address cannot be bound, the certificate does not do, the public URL cannot be kept, or there are trusted proxies and
/// no public URL.
pub fn build(settings: &Settings, store: Store) -> io::Result<Bound> {
    let tls = Tls::open(&settings.transport, &settings.data_dir).map_err(io::Error::other)?;
    let listener = network::listen(settings.listen)?;
    let address = listener.local_addr()?;
    let public = PublicUrl::new(&keep_public_url(settings, &store, address)?, settings.public_url.is_some());
    check_proxies(settings, &store)?;
    let fresh = secret::random_bytes().map_err(io::Error::other)?;
    let kept = store.write_blocking(Undo::Unneeded, move |tx| instance::cursor_secret(tx, fresh));
    let cursor_secret = kept.map_err(io::Error::other)?;
    let certificate = tls.as_ref().map(Tls::expiry);
    let state = State::new(store, public, cursor_secret, callers(settings)?, settings.clone(), certificate);
    let state = web::Data::new(state);
    let shared = state.clone();
    let sockets = Arc::clone(&state.network.sockets);
    let workers = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let sockets_max = network::most_sockets(settings.limits.sockets, workers).div_ceil(workers);
    let server = HttpServer::new(move || {
        let mut app = App::new().app_data(shared.clone()).wrap(from_fn(strict_transport::around));
        for family in scim::FAMILIES {
            // A scope compares a prefix; a pattern for the rest of the path would run for every request.
            let scope = web::scope(family).guard(fn_guard(scim::is_address));
            app = app.service(scope.default_service(web::to(scim::serve)));
        }
        app.route("/livez", web::get().to(api::livez))
            .route("/readyz", web::get().to(api::readyz))
            .route(assets::ROUTE, web::get().to(assets::serve))
            .route(assets::ROUTE, web::head().to(assets::serve))
            .configure(api::configure)
            .configure(portal::configure)
            .default_service(web::to(api::not_found))
    })
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_DEADLINE)
    .max_connections(sockets_max)
    .on_connect(move |stream, kept| sockets.welcome(stream, kept))
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals()
    .worker_max_blocking_threads(BLOCKING_THREADS)
    .max_connection_rate(listen::HANDSHAKES_MAX)
    .tls_handshake_timeout(listen::HANDSHAKE);
    let server = match &tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config().map_err(io::Error::other)?)?,
        None => server.listen(listener)?,
    };
    Ok(Bound { server: server.run(), address, state, tls })
}

/// The server's own key, and what it takes from others.
fn callers(settings: &Settings) -> io::Result<Callers> {
    let user_tokens = settings.user_tokens.clone().map(UserTokens::new).transpose();
    Ok(Callers {
        signing_key: SigningKey::open(&settings.data_dir).map_err(io::Error::other)?,
        user_tokens: user_tokens.map_err(io::Error::other)?,
        allowed_origins: settings.allowed_origins.clone(),
        provider: settings.sso.clone(),
    })
}

/// What is known of the server's URL is kept in the database, so that every command prints whole provisioning URLs.
fn keep_public_url(settings: &Settings, store: &Store, address: SocketAddr) -> io::Result<String> {
    let (listen_url, given) = (settings.transport.url(address), settings.public_url.clone());
    let kept = store.write_blocking(Undo::Savepoint, move |tx| {
        instance::set_listen_url(tx, &listen_url)?;
        if let Some(url) = &given {
            instance::set_public_url(tx, url)?;
        }
        instance::public_url(tx)
    });
    kept.map_err(io::Error::other)
}

/// Behind a proxy nothing but the public URL says how the world reaches the server.
fn check_proxies(settings: &Settings, store: &Store) -> io::Result<()> {
    let is_said = store.read_inline(instance::said_public_url).map_err(io::Error::other)?.is_some();
    if settings.trusted_proxies.is_empty() || is_said {
        return Ok(());
    }
    Err(io::Error::other(
        "--trusted-proxies needs a public URL: say with --public-url https://… how the world reaches the proxy",
    ))
}

/// Makes a new one-time address that opens the first run of the portal.
///
/// # Errors
/// There is somebody already, or the database takes no writes.
pub fn new_setup_url(store: &Store) -> anyhow::Result<String> {
    let code = Token::generate_session().context("the operating system gave no random numbers")?;
    let digest = code.digest();
    let url = store.write_blocking(Undo::Savepoint, move |tx| {
        admins::open_first_run(tx, &digest, tx.now + SETUP_MILLIS)?;
        instance::public_url(tx)
    })?;
    Ok(format!("{url}/setup/{}", code.reveal()))
}

/// Starts the listener for metrics, where somebody wants one.
fn start_metrics(settings: &Settings, state: &web::Data<State>) -> io::Result<Option<ServerHandle>> {
    let Some(told) = &settings.metrics else { return Ok(None) };
    let (server, address) = metrics::listen(told, state)?;
    println!("metrics are on http://{address}/metrics");
    tracing::info!(metrics = %address, "metrics are told");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Some(handle))
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// The database cannot be opened or the address cannot be bound; the text says what to do.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let _log = log::start(settings.log_level, settings.log_format == LogFormat::Text)?;
    listen::refuse_plain_http(settings)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let store = Store::open_with(&settings.data_dir, Access::Serve, settings.limits.writes_waiting)?;
    actix_web::rt::System::new().block_on(async {
        let ends = notify::Ends::listen()?;
        let hangups = certificates::Hangups::listen()?;
        let bound = build(settings, store.clone())?;
        let metrics = start_metrics(settings, &bound.state)?;
        let listening = listen::url(bound.tls.as_ref(), bound.address);
        println!("listening on {listening}");
        println!("provisioning URLs begin with {}", provisioning_url(&bound.state.public_url(), ""));
        listen::warn_of_url(&bound.state.public_url(), bound.tls.as_ref());
        if store.read_inline(crate::store::admins::is_empty)? {
            println!("to begin in the portal, open within 30 minutes: {}", new_setup_url(&store)?);
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let writer = actix_web::rt::spawn(keep_writing_down(bound.state.clone(), stopped));
        let workers = [
            actix_web::rt::spawn(worker::retention::run(store.clone())),
            actix_web::rt::spawn(worker::catching_up::run(store.clone())),
            actix_web::rt::spawn(worker::expiry::run(store.clone())),
            actix_web::rt::spawn(worker::neighbours::run(store.clone())),
            actix_web::rt::spawn(certificates::run(bound.tls, hangups)),
        ];
        let backups = settings.backups.clone().map(|schedule| backup::start(store.clone(), schedule)).transpose()?;
        actix_web::rt::spawn(notify::keep_alive(store.clone()));
        actix_web::rt::spawn(stop_when_told(ends, bound.server.handle(), bound.state.clone()));
        notify::ready(&listening);
        bound.server.await?;
        drop(backups);
        if let Some(metrics) = metrics {
            metrics.stop(false).await;
        }
        workers.iter().for_each(tokio::task::JoinHandle::abort);
        drop(stop);
        // It ends at once, except while it writes.
        let _ = writer.await;
        write_down(&bound.state).await;
        Ok::<_, anyhow::Error>(())
    })?;
    store.close();
    Ok(())
}

async fn keep_writing_down(state: web::Data<State>, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            () = state.activity.due() => {}
            _ = &mut stopped => return,
        }
        write_down(&state).await;
    }
}

/// Writes down what requests left behind them.
async fn write_down(state: &State) {
    if let Err(problem) = state.activity.write_down(&state.store).await {
        tracing::warn!(%problem, "activity was not written down");
    }
    if let Err(problem) = state.key_use.write_down(&state.store).await {
        tracing::warn!(%problem, "uses of API keys were not written down");
    }
    if let Err(problem) = state.feed_use.write_down(&state.store).await {
        tracing::warn!(%problem, "how far the event feed was read was not written down");
    }
}

/// Lets nobody wait for events once the server is told to stop: those requests would keep it from ending.
async fn stop_when_told(ends: notify::Ends, server: ServerHandle, state: web::Data<State>) {
    let finish = ends.wait().await;
    state.stopping.send_replace(true);
    state.by_hand.stop();
    server.stop(finish).await;
}
