//! What a service manager is told: that the server listens, that it stops, and that it is alive (`sd_notify(3)`).
//! Where nobody listens to that, nothing happens.

use std::io;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::store::Store;

/// How often within the time that the service manager allows a sign of life is tried.
const TRIES: u32 = 6;

/// Says that requests are taken from now on.
pub fn ready(url: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {url}"))]);
}

/// The signals with which the server is told to end.
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// From here on a signal is kept until somebody waits for it, however early it comes.
    ///
    /// # Errors
    /// The operating system lets nobody listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one, and says so. True where what runs is to be finished (SIGTERM); a person at the keyboard
    /// (SIGINT) does not wait.
    pub async fn wait(mut self) -> bool {
        let finish = tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        };
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
        finish
    }
}

/// Gives signs of life while the writer answers, for a service manager that asked for them. Without them it starts the
/// server anew.
pub async fn keep_alive(store: Store) {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = allowed / TRIES;
    loop {
        match tokio::time::timeout(allowed, store.is_answering()).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => tracing::warn!("the writer takes no writes at the moment"),
            Err(_) => tracing::error!("the writer does not answer"),
        }
        tokio::time::sleep(pause).await;
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(what) {
        tracing::warn!(%problem, "the service manager could not be told");
    }
}
