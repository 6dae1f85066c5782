//! HTTPS: the certificate that the server shows, where it comes from, and how it is changed while connections go on.

mod acme;
mod pair;
mod shown;
mod x509;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};

pub use pair::PairError;
pub use shown::Expiry;

use crate::settings::Transport;
use acme::Acme;
use pair::Pair;
use shown::Shown;

/// How often certificate files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// From this much time before its end on, a certificate is spoken of.
const ENDS_SOON_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// How often that is said.
const SAY_EVERY: Duration = Duration::from_hours(12);

/// What keeps a server from speaking TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Something is wrong with the certificate or its key.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Certificates cannot be got.
    #[error("{0}")]
    Acme(String),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The TLS side of a running server.
pub struct Tls {
    shown: Arc<Shown>,
    source: Source,
}

enum Source {
    Files(Files),
    Acme(Box<Acme>),
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was last found in them, good or bad.
    seen: Option<Seen>,
    said: Option<tokio::time::Instant>,
}

/// What lay in both files: digests, for nobody else needs the key.
#[derive(PartialEq)]
struct Seen([Result<[u8; 32], ErrorKind>; 2]);

impl Seen {
    fn now(certificate: &Path, key: &Path) -> Self {
        let digest = |path| std::fs::read(path).map(|bytes| Sha256::digest(bytes).into());
        Self([certificate, key].map(|path| digest(path).map_err(|error| error.kind())))
    }
}

impl Tls {
    /// Reads what there is, and takes the first certificate; nothing where requests come in the clear. With a domain
    /// there is always one to begin with: the one that was kept, else one of our own making.
    ///
    /// # Errors
    /// Certificate files that do not do, or a folder for certificates that cannot be made.
    pub fn open(transport: &Transport, data_dir: &Path) -> Result<Option<Self>, TlsError> {
        match transport {
            Transport::Plain { .. } => Ok(None),
            Transport::Files { certificate, key } => {
                let seen = Seen::now(certificate, key);
                let pair = Pair::of_files(certificate, key)?;
                let files = Files { certificate: certificate.clone(), key: key.clone(), seen: Some(seen), said: None };
                Ok(Some(Self { shown: Arc::new(Shown::new(pair)), source: Source::Files(files) }))
            }
            Transport::Acme(settings) => {
                let (acme, shown) = Acme::open(settings, data_dir)?;
                Ok(Some(Self { shown, source: Source::Acme(Box::new(acme)) }))
            }
        }
    }

    /// TLS 1.2 and 1.3, no early data (it can be played again), and tickets whose keys live in this process only.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.shown) as _);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        // `http/1.1` is actix' to add. The other one is spoken only by who checks that a domain is ours.
        if matches!(self.source, Source::Acme(_)) {
            config.alpn_protocols = vec![shown::CHALLENGE_PROTOCOL.to_vec()];
        }
        Ok(config)
    }

    /// When the certificate ends, to be asked at any time.
    pub fn expiry(&self) -> Expiry {
        Expiry::of(&self.shown)
    }

    /// Whether the certificate is for that host. One of our own making counts: a better one is on its way.
    pub fn covers(&self, host: &str) -> bool {
        self.shown.covers(host)
    }

    /// Does what is to be done for the certificate, now where somebody asks for it; returns when to come again.
    pub async fn tend(&mut self, asked: bool) -> Duration {
        match &mut self.source {
            Source::Files(files) => {
                files.tend(&self.shown, asked).await;
                LOOK_EVERY
            }
            Source::Acme(acme) => acme.tend(asked).await,
        }
    }
}

impl Files {
    async fn tend(&mut self, shown: &Shown, asked: bool) {
        let (certificate, key, before) = (self.certificate.clone(), self.key.clone(), self.seen.take());
        // A file system that hangs does not hold up requests.
        let looked = tokio::task::spawn_blocking(move || {
            let seen = Seen::now(&certificate, &key);
            let changed = asked || before.as_ref() != Some(&seen);
            (seen, changed.then(|| Pair::of_files(&certificate, &key)))
        });
        let Ok((seen, read)) = looked.await else { return };
        self.seen = Some(seen);
        match read {
            None => {}
            Some(Ok(pair)) => {
                tracing::info!(
                    not_after = pair.not_after_text(),
                    "the certificate was read again and is used from now on"
                );
                shown.show(pair);
                self.said = None;
            }
            Some(Err(problem)) => tracing::error!(
                problem = problem.to_string(),
                "the new certificate cannot be used; the one before is used still"
            ),
        }
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(tokio::time::Instant::now());
            shown.say_when_it_ends();
        }
    }
}
