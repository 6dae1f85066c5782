//! `rollcall standby`: follows the replica of another server, answers health checks, and becomes the server after a promotion.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use anyhow::Context as _;

use crate::jobs::service_manager::{self, StopSignals};
use crate::jobs::standby::{self, StandbyEnd, StandbyJob, StandbyMode};
use crate::management::backups;
use crate::replica::StandbyStatus;
use crate::server::listen::{explain_bind_error, listen_url, print_notice};
use crate::server::{http_service, primary, serve_database, start_process};
use crate::settings::{ReplicaLocation, Settings};
use crate::tls::Tls;
use crate::web::network::{self, ConnectionLimits};
use crate::web::standby::{StandbyPages, configure_metrics, configure_standby};

/// How often the end of the work is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Time that running requests have to finish, in seconds.
const SHUTDOWN_SECONDS: u64 = 1;

/// Runs a standby until it receives a signal to stop, and the server after its promotion. `location` is the replica of the other
/// server. In a folder of a primary, runs the server at once; if another one was promoted meanwhile, moves the database aside and
/// follows that one.
///
/// # Errors
/// The data folder, the address or Litestream cannot be used. The message says what to do.
pub(crate) fn run_standby(settings: &Settings, location: &ReplicaLocation, mode: StandbyMode) -> anyhow::Result<()> {
    let _log = start_process(settings)?;
    if primary::is_primary(settings)? {
        match primary::claim_lease(settings) {
            Ok(lease) => return serve_database(settings, lease),
            Err(problem) if mode == StandbyMode::Promote || primary::is_primary(settings)? => return Err(problem),
            // The database was moved aside.
            Err(problem) => tracing::error!("{problem:#}"),
        }
    }
    standby::settle_folder(&settings.data_dir, location)?;
    let lock = backups::lock_data_folder(&settings.data_dir)?;
    if mode != StandbyMode::Promote && standby::has_foreign_database(&settings.data_dir)? {
        anyhow::bail!(
            "{} has a database of its own: move it away to follow another server, or run `rollcall promote` to serve it",
            settings.data_dir.display()
        );
    }
    let ended = follow_until_end(settings, location, mode)?;
    drop(lock);
    match ended {
        StandbyEnd::Stopped => Ok(()),
        StandbyEnd::Promoted(lease) => serve_database(settings, lease),
    }
}

fn follow_until_end(settings: &Settings, location: &ReplicaLocation, mode: StandbyMode) -> anyhow::Result<StandbyEnd> {
    let job = StandbyJob::new(&settings.data_dir, location.clone(), mode);
    let (status, stopping) = (job.status(), job.stop_switch());
    actix_web::rt::System::new().block_on(async {
        let signals = StopSignals::listen()?;
        let servers = StandbyServers::bind(settings, &status)?;
        let thread = thread::Builder::new().name("rollcall-standby".into()).spawn(move || job.run())?;
        service_manager::notify_ready(&servers.url);
        print_notice(&format!("standby: health checks are on {}", servers.url));
        let pings = actix_web::rt::spawn(service_manager::send_standby_pings());
        let stop = Arc::clone(&stopping);
        let ended = tokio::select! {
            ended = wait_for_end(thread) => ended,
            _ = signals.wait() => {
                stop.store(true, Ordering::SeqCst);
                Ok(StandbyEnd::Stopped)
            }
        };
        pings.abort();
        servers.stop().await;
        ended
    })
}

/// Waits for the thread without blocking the server.
async fn wait_for_end(thread: JoinHandle<anyhow::Result<StandbyEnd>>) -> anyhow::Result<StandbyEnd> {
    while !thread.is_finished() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    thread.join().map_err(|_| anyhow::anyhow!("the thread of the standby panicked"))?
}

/// The listeners of a standby.
struct StandbyServers {
    handles: Vec<ServerHandle>,
    url: String,
}

impl StandbyServers {
    fn bind(settings: &Settings, status: &Arc<StandbyStatus>) -> anyhow::Result<Self> {
        let tls = Tls::open(&settings.transport, &settings.data_dir)?;
        let listener = network::bind_listener(settings.listen)
            .map_err(|error| explain_bind_error("--listen", settings.listen, &error))?;
        let url = listen_url(tls.as_ref(), listener.local_addr()?);
        let pages = web::Data::new(StandbyPages::new(Arc::clone(status)));
        let shared = pages.clone();
        let app = move || App::new().app_data(shared.clone()).configure(configure_standby);
        let builder = Server::build().workers(1).shutdown_timeout(SHUTDOWN_SECONDS).disable_signals();
        let config = tls.as_ref().map(Tls::config).transpose().context("the certificate cannot be used")?;
        let sockets = Arc::new(ConnectionLimits::new(settings));
        let server = http_service::add_listener(builder, listener, config, sockets, app)?.run();
        let mut handles = vec![server.handle()];
        actix_web::rt::spawn(server);
        if let Some(metrics) = &settings.metrics {
            let token = metrics.token.clone();
            let app = move || {
                let token = token.clone();
                App::new().app_data(pages.clone()).configure(move |to| configure_metrics(to, token.as_deref()))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().bind(metrics.listen);
            let server = server.map_err(|error| explain_bind_error("--metrics-listen", metrics.listen, &error))?.run();
            handles.push(server.handle());
            actix_web::rt::spawn(server);
        }
        Ok(Self { handles, url })
    }

    async fn stop(self) {
        for handle in self.handles {
            handle.stop(true).await;
        }
    }
}

/// Whether the process that was asked has promoted the folder, or whether it is a primary already.
///
/// # Errors
/// The role of the folder cannot be read.
pub(crate) fn is_promoted(settings: &Settings) -> anyhow::Result<bool> {
    Ok(primary::is_primary(settings)? && !standby::is_promotion_requested(&settings.data_dir))
}
