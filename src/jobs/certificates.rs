//! Maintenance of the TLS certificate: changed files are reloaded, and certificates are renewed when due. SIGHUP
//! triggers a check immediately.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::tls::Tls;

/// The signal that requests a reload of the certificates (SIGHUP).
pub struct HangupSignal(Signal);

impl HangupSignal {
    /// Registers a handler. From then on the signal does not terminate the process.
    ///
    /// # Errors
    /// The handler cannot be registered.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }
}

/// Maintains the certificate until the future is dropped.
pub async fn maintain_certificate(tls: Option<Tls>, mut hangups: HangupSignal) {
    let Some(mut tls) = tls else {
        while hangups.0.recv().await.is_some() {
            tracing::info!("there is no certificate to reload; other settings are read at the next start");
        }
        return pending().await;
    };
    let mut pause = Duration::ZERO;
    loop {
        let is_requested = tokio::select! {
            () = sleep(pause) => false,
            Some(()) = hangups.0.recv() => true,
        };
        pause = tls.maintain(is_requested).await;
    }
}
