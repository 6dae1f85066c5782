//! Notifications to a service manager: ready, stopping and watchdog (`sd_notify(3)`). Without a service manager they
//! have no effect.

use std::io;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::store::Store;

/// Number of watchdog notifications within the timeout of the service manager.
const PINGS_PER_TIMEOUT: u32 = 6;

/// Notifies that the server accepts requests at `url`.
pub fn notify_ready(url: &str) {
    send_states(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {url}"))]);
}

/// The signals that stop the server (SIGTERM and SIGINT).
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Registers the handlers. A signal that arrives before [`StopSignals::wait`] is not lost.
    ///
    /// # Errors
    /// A handler cannot be registered.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal and notifies the service manager. Returns true if running requests should be completed
    /// (SIGTERM), false for an immediate stop (SIGINT).
    pub async fn wait(mut self) -> bool {
        let is_graceful = tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        };
        send_states(&[NotifyState::Stopping, NotifyState::Status("completing running requests")]);
        is_graceful
    }
}

/// Sends watchdog notifications of a standby, which has no writer, while its event loop runs.
pub async fn send_standby_pings() {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return };
    loop {
        send_states(&[NotifyState::Watchdog]);
        tokio::time::sleep(timeout / PINGS_PER_TIMEOUT).await;
    }
}

/// Sends watchdog notifications while the writer responds, if the service manager requests them. Without them the
/// service manager restarts the server.
pub async fn send_watchdog_pings(store: Store) {
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = timeout / PINGS_PER_TIMEOUT;
    loop {
        match tokio::time::timeout(timeout, store.is_responsive()).await {
            Ok(true) => send_states(&[NotifyState::Watchdog]),
            Ok(false) => tracing::warn!("the writer does not accept writes at present"),
            Err(_) => tracing::error!("the writer does not respond"),
        }
        tokio::time::sleep(pause).await;
    }
}

fn send_states(states: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(states) {
        tracing::warn!(%problem, "the notification of the service manager failed");
    }
}
