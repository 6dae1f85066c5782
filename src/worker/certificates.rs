//! The certificate, looked after: files are read again when they change, and what is to be renewed is renewed. SIGHUP asks
//! for it at once.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::tls::Tls;

/// The signal by which somebody asks to have certificates read again.
pub struct Hangups(Signal);

impl Hangups {
    /// From here on the signal no longer ends the process.
    ///
    /// # Errors
    /// The operating system lets nobody listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }
}

/// Runs until it is dropped.
pub async fn run(tls: Option<Tls>, mut hangups: Hangups) {
    let Some(mut tls) = tls else {
        while hangups.0.recv().await.is_some() {
            tracing::info!("there is no certificate to read again; other settings are read at the next start");
        }
        return pending().await;
    };
    let mut pause = Duration::ZERO;
    loop {
        let asked = tokio::select! {
            () = sleep(pause) => false,
            Some(()) = hangups.0.recv() => true,
        };
        pause = tls.tend(asked).await;
    }
}
