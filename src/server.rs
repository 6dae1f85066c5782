//! Starts and stops the server. Production and tests use the same builder.

mod http_service;
pub(crate) mod listen;
mod metrics;
mod primary;
pub(crate) mod standby;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use actix_tls::accept::max_concurrent_tls_connect;
use actix_web::dev::{Server, ServerHandle};
use actix_web::guard::fn_guard;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use anyhow::Context as _;
use ipnet::IpNet;
use tokio::sync::oneshot;

use crate::auth::jwt::{SigningKey, UserTokens};
use crate::auth::secret::{self, BearerToken};
use crate::clock;
use crate::delivery::{Delivery, DeliverySettings};
use crate::error::Reason;
use crate::jobs::lease::LeaseKeeper;
use crate::jobs::{self, certificates, scheduled_backup, service_manager};
use crate::log;
use crate::management::{admins, instance, quotas};
use crate::model::configuration::provisioning_url;
use crate::model::quota::QuotaDefaults;
use crate::model::service_state::ServiceState;
use crate::outgoing::OutgoingRules;
use crate::scim::cursor::CursorSecret;
use crate::settings::{LogFormat, ReplicaAck, Settings};
use crate::store::Store;
use crate::tls::Tls;
use crate::web::network;
use crate::web::public_url::PublicUrl;
use crate::web::request_middleware::wrap_every_request;
use crate::web::state::{AppState, ServerContext, Signing};
use crate::web::{api, assets, oauth, portal, scim};

/// Validity of the setup URL, in milliseconds.
const SETUP_MILLIS: i64 = 30 * 60 * 1000;
/// Time that running requests have to finish when the server stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;
/// Threads of each worker for scans and large documents: each one that may run has a thread, and each thread uses memory.
const BLOCKING_THREADS: usize = Store::SCANS_MAX + Store::DOCUMENTS_MAX;

/// A server that is bound to its address.
pub struct BoundServer {
    /// Future that serves requests until the server is stopped.
    pub server: Server,
    /// Address that it listens on.
    pub address: SocketAddr,
    /// State that all requests share.
    pub state: web::Data<AppState>,
    /// Its certificate, if it uses TLS.
    pub tls: Option<Tls>,
}

/// Binds a server over an open store.
///
/// # Errors
/// The address cannot be bound, the certificate cannot be used, the public URL cannot be stored, or trusted proxies are
/// set without a public URL.
pub fn build_server(settings: &Settings, store: Store) -> io::Result<BoundServer> {
    let tls = Tls::open(&settings.transport, &settings.data_dir).map_err(io::Error::other)?;
    let listener = network::bind_listener(settings.listen)
        .map_err(|error| listen::explain_bind_error("--listen", settings.listen, &error))?;
    let address = listener.local_addr()?;
    let public = PublicUrl::new(&store_public_url(settings, &store, address)?, settings.public_url.is_some());
    check_proxies(settings, &store)?;
    apply_quota_defaults(settings, &store)?;
    if let Err(problem) = jobs::pending_steps::complete_changes(&store) {
        // The disk can be full. Reads are served, and the job tries again.
        tracing::warn!(%problem, "an interrupted change could not be completed yet");
    }
    let fresh = secret::random_bytes().map_err(io::Error::other)?;
    let stored = store.write_blocking_without_savepoint(move |tx| instance::ensure_cursor_secret(tx, fresh));
    let cursor_secret = match tolerate_full_disk(stored)? {
        Some(secret) => secret,
        None => store.read_inline(instance::find_cursor_secret).map_err(io::Error::other)?.unwrap_or(fresh),
    };
    let workers = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let capacity = network::limit_sockets(settings.limits.sockets, workers);
    let mut effective = settings.clone();
    effective.limits.sockets = capacity.served;
    let rules = build_outgoing_rules(&settings.outgoing_networks, settings.outgoing_ca_file.as_deref())?;
    let mut context = ServerContext::new(public, effective, tls.as_ref().map(Tls::expiry));
    context.outgoing = rules.clone();
    let signing = open_signing(settings, cursor_secret, &rules)?;
    let signing_key = Arc::clone(&signing.key);
    let delivery = Delivery::start(store.clone(), DeliverySettings { rules, signing_key })?;
    let state = web::Data::new(AppState::new(store, signing, context, delivery));
    let shared = state.clone();
    let sockets = Arc::clone(&state.network.sockets);
    let app = move || {
        // Runs on the thread of each worker.
        Store::mark_event_loop();
        let mut app = App::new().app_data(shared.clone()).wrap(from_fn(wrap_every_request));
        for family in scim::SCIM_PREFIXES {
            // A scope compares a prefix. A pattern for the rest of the path would be evaluated for every request.
            let scope = web::scope(family)
                .guard(fn_guard(|context| scim::is_scim_path(context) && !oauth::is_oauth_path(context)));
            app = app.service(scope.default_service(web::to(scim::serve_request)));
        }
        app.route("/livez", web::get().to(api::check_liveness))
            .route("/readyz", web::get().to(api::check_readiness))
            .route(assets::ROUTE, web::get().to(assets::serve_asset))
            .route(assets::ROUTE, web::head().to(assets::serve_asset))
            .configure(api::configure_routes)
            .configure(oauth::configure_oauth)
            .configure(portal::configure_portal)
            .default_service(web::to(api::respond_not_found))
    };
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(capacity.accepted.div_ceil(workers))
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .worker_max_blocking_threads(BLOCKING_THREADS);
    max_concurrent_tls_connect(listen::HANDSHAKES_MAX);
    let tls_config = tls.as_ref().map(Tls::config).transpose().map_err(io::Error::other)?;
    // After the writes of the start, which need no acknowledgement.
    if settings.replica.as_ref().is_some_and(|replica| replica.ack == ReplicaAck::Replicated) {
        state.store.wait_for_replica()?;
    }
    let server = http_service::add_listener(builder, listener, tls_config, sockets, app)?;
    Ok(BoundServer { server: server.run(), address, state, tls })
}

/// Returns which other servers may be called, and reads the additional root certificates.
pub(crate) fn build_outgoing_rules(allowed: &[IpNet], ca_file: Option<&Path>) -> io::Result<OutgoingRules> {
    let rules = OutgoingRules::new(allowed);
    let Some(path) = ca_file else { return Ok(rules) };
    let failed = |problem: String| io::Error::other(format!("--outgoing-ca-file {}: {problem}", path.display()));
    let pem = fs::read(path).map_err(|problem| failed(problem.to_string()))?;
    rules.with_root_certificates(&pem).map_err(failed)
}

/// Opens the keys that sign and verify.
fn open_signing(settings: &Settings, cursor_secret: CursorSecret, rules: &OutgoingRules) -> io::Result<Signing> {
    let user_tokens = settings.user_tokens.clone().map(|given| UserTokens::new(given, rules)).transpose();
    Ok(Signing {
        cursor_secret,
        key: Arc::new(SigningKey::open(&settings.data_dir).map_err(io::Error::other)?),
        user_tokens: user_tokens.map_err(io::Error::other)?,
    })
}

/// Returns `None` for a write of the start that the full disk prevented: the server serves reads without it.
fn tolerate_full_disk<T>(stored: crate::error::Result<T>) -> io::Result<Option<T>> {
    match stored {
        Err(problem) if problem.reason() == Reason::DiskFull => {
            tracing::warn!(%problem, "the server starts without a write, to serve reads");
            Ok(None)
        }
        stored => stored.map(Some).map_err(io::Error::other),
    }
}

/// Stores the URLs of the server in the database, so that every command can print provisioning URLs. Returns the public
/// URL.
fn store_public_url(settings: &Settings, store: &Store, address: SocketAddr) -> io::Result<String> {
    let (listen_url, configured) = (settings.transport.url(address), settings.public_url.clone());
    let public_url =
        store.write_blocking(move |tx| instance::store_startup_urls(tx, &listen_url, configured.as_deref()));
    match (tolerate_full_disk(public_url)?, &settings.public_url) {
        (Some(url), _) => Ok(url),
        (None, Some(url)) => Ok(url.clone()),
        (None, None) => store.read_inline(instance::get_public_url).map_err(io::Error::other),
    }
}

/// Applies the default quotas, and stores them for the commands.
fn apply_quota_defaults(settings: &Settings, store: &Store) -> io::Result<()> {
    let defaults = QuotaDefaults::from(&settings.quotas);
    store.set_quota_defaults(defaults);
    tolerate_full_disk(store.write_blocking(move |tx| quotas::store_defaults(tx, &defaults))).map(drop)
}

/// Checks that trusted proxies are set together with a public URL: in a request of a proxy, no other source is
/// reliable.
fn check_proxies(settings: &Settings, store: &Store) -> io::Result<()> {
    let is_configured = store.read_inline(instance::get_configured_public_url).map_err(io::Error::other)?.is_some();
    if settings.trusted_proxies.is_empty() || is_configured {
        return Ok(());
    }
    Err(io::Error::other("--trusted-proxies requires a public URL: set --public-url https://… to the URL of the proxy"))
}

/// A one-time URL of the setup page.
#[derive(Debug)]
pub struct SetupUrl {
    /// The URL, which is valid for 30 minutes.
    pub url: String,
    /// Whether it ended one that was still valid.
    pub has_replaced: bool,
}

/// Creates a new one-time URL of the setup page. It begins with `base`, or with the public URL of the data folder.
///
/// # Errors
/// An admin exists already, or the database is not writable.
pub fn create_setup_url(store: &Store, base: Option<&str>) -> anyhow::Result<SetupUrl> {
    let code = BearerToken::generate_session().context("the operating system provided no random numbers")?;
    let digest = code.digest();
    let (has_replaced, stored) = store.write_blocking(move |tx| {
        Ok((admins::open_first_run(tx, &digest, tx.now + SETUP_MILLIS)?, instance::get_public_url(tx)?))
    })?;
    Ok(SetupUrl { url: format!("{}/setup/{}", base.unwrap_or(&stored), code.reveal()), has_replaced })
}

/// Prints a URL to set up the portal, as long as there is no admin. One that was printed before stays valid: its secret is not
/// stored, so that only its end can be printed.
fn announce_setup(store: &Store) -> anyhow::Result<()> {
    if !store.read_inline(admins::has_no_admins)? {
        return Ok(());
    }
    if let Some(until) = store.read_inline(|at| admins::find_first_run_end(at, clock::current_millis()))? {
        let until = clock::format_rfc3339(until);
        listen::print_notice(&format!(
            "there is no admin: the setup URL that was printed before is valid until {until}; `rollcall setup-url` prints a new one"
        ));
        return Ok(());
    }
    match create_setup_url(store, None) {
        Ok(SetupUrl { url, .. }) => {
            listen::print_notice(&format!("to set up the portal, open this URL within 30 minutes: {url}"));
        }
        Err(problem) if store.service_state() != ServiceState::Ready || store.is_replica_silent() => {
            tracing::warn!(%problem, "no URL to set up the portal could be created");
        }
        Err(problem) => return Err(problem),
    }
    Ok(())
}

/// Starts the listener for metrics, if it is configured.
fn start_metrics(settings: &Settings, state: &web::Data<AppState>) -> io::Result<Option<ServerHandle>> {
    let Some(configured) = &settings.metrics else { return Ok(None) };
    let (server, address) = metrics::bind_metrics_listener(configured, state)?;
    listen::print_notice(&format!("metrics are on http://{address}/metrics"));
    tracing::info!(metrics = %address, "metrics are available");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Some(handle))
}

/// Runs the server until it receives a signal to stop.
///
/// # Errors
/// The database cannot be opened or the address cannot be bound; the message contains the fix.
pub fn run_server(settings: &Settings) -> anyhow::Result<()> {
    let _log = start_process(settings)?;
    serve_database(settings, primary::claim_lease(settings)?)
}

/// Starts the log and checks what every server needs.
fn start_process(settings: &Settings) -> anyhow::Result<log::LogHandle> {
    let log = log::start_log(settings.log_level, settings.log_format == LogFormat::Text)?;
    listen::refuse_plain_http(settings)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Ok(log)
}

/// Serves the database of the folder until the process receives a signal to stop. With a lease, it accepts writes only while it
/// holds it.
fn serve_database(settings: &Settings, lease: Option<LeaseKeeper>) -> anyhow::Result<()> {
    let store = Store::open_for_server_with(&settings.data_dir, settings.limits.writes_waiting)?;
    if let Some(lease) = &lease {
        store.require_permit(lease.permit());
    }
    jobs::clock_watch::check_start(&store)?;
    settings.scrub_bytes_per_second.map_or(Ok(()), |rate| store.start_scrub(rate))?;
    let mut replication = primary::find_replica(settings, lease.as_ref())
        .map(|replica| jobs::replication::start_replication(&store, &settings.data_dir, &replica))
        .transpose()?;
    serve_until_stopped(settings, &store, |bound| {
        if let Some(job) = &replication {
            drop(bound.state.server.replica.set(job.status()));
        }
        if let Some(lease) = &lease {
            drop(bound.state.server.lease.set((lease.status(), lease.permit())));
        }
        listen::print_notice(&format!("listening on {}", listen::listen_url(bound.tls.as_ref(), bound.address)));
        let urls = provisioning_url(&bound.state.server.public_url(), "");
        listen::print_notice(&format!("provisioning URLs begin with {urls}"));
        listen::warn_of_url(&bound.state.server.public_url(), bound.tls.as_ref());
        announce_setup(&store)
    })?;
    store.close();
    // After the last write of the server.
    if let Some(job) = &mut replication {
        job.stop();
    }
    drop((store, replication));
    primary::end_lease(settings, lease)
}

/// Serves an open store until the process receives a signal to stop. `announce` is called when the server listens.
///
/// # Errors
/// The address cannot be bound, or the errors of `announce`.
pub(crate) fn serve_until_stopped(
    settings: &Settings,
    store: &Store,
    announce: impl FnOnce(&BoundServer) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let ends = service_manager::StopSignals::listen()?;
        let hangups = certificates::HangupSignal::listen()?;
        let bound = build_server(settings, store.clone())?;
        let metrics = start_metrics(settings, &bound.state)?;
        announce(&bound)?;
        let listening = listen::listen_url(bound.tls.as_ref(), bound.address);
        let (stop, stopped) = oneshot::channel::<()>();
        let writer = actix_web::rt::spawn(store_activity_periodically(bound.state.clone(), stopped));
        let workers = [
            actix_web::rt::spawn(jobs::retention::run_retention(store.clone(), settings.portal.sessions)),
            actix_web::rt::spawn(jobs::retention::limit_request_logs(
                store.clone(),
                settings.quotas.request_log_total_bytes,
            )),
            actix_web::rt::spawn(crate::jobs::pending_steps::run_pending_steps(store.clone())),
            actix_web::rt::spawn(jobs::personal_data::run_personal_data(
                store.clone(),
                settings.backups.as_ref().map(|schedule| schedule.folder.clone()),
            )),
            actix_web::rt::spawn(crate::jobs::event_expiry::expire_events(store.clone())),
            actix_web::rt::spawn(crate::jobs::external_writes::watch_external_writes(store.clone())),
            actix_web::rt::spawn(jobs::clock_watch::watch_clock(store.clone())),
            actix_web::rt::spawn(certificates::maintain_certificate(bound.tls, hangups)),
            actix_web::rt::spawn(network::close_stalled_connections(Arc::clone(&bound.state.network.sockets))),
        ];
        let backups = settings
            .backups
            .clone()
            .map(|schedule| scheduled_backup::start_schedule(store.clone(), schedule))
            .transpose()?;
        actix_web::rt::spawn(service_manager::send_watchdog_pings(store.clone()));
        actix_web::rt::spawn(stop_on_signal(ends, bound.server.handle(), bound.state.clone()));
        service_manager::notify_ready(&listening);
        bound.server.await?;
        drop(backups);
        if let Some(metrics) = metrics {
            metrics.stop(false).await;
        }
        workers.iter().for_each(tokio::task::JoinHandle::abort);
        drop(stop);
        bound.state.delivery.stop();
        // Ends immediately, unless it is writing.
        let _ = writer.await;
        bound.state.usage.flush_all(&bound.state.store).await;
        Ok(())
    })
}

async fn store_activity_periodically(state: web::Data<AppState>, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            () = state.usage.calls.wait_until_due() => {}
            _ = &mut stopped => return,
        }
        state.usage.flush(&state.store).await;
    }
}

/// Stops the server after a signal. Requests that wait for events end first, so that they do not delay the stop,
/// and connections without a complete request are closed.
async fn stop_on_signal(ends: service_manager::StopSignals, server: ServerHandle, state: web::Data<AppState>) {
    let finish = ends.wait().await;
    state.server.stopping.send_replace(true);
    state.delivery.begin_stop();
    state.server.manual_backup.stop();
    tokio::select! {
        () = server.stop(finish) => {}
        () = network::close_incomplete_connections(&state.network.sockets) => {}
    }
}
