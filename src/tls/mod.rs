//! HTTPS: the certificate of the server, its source, and its replacement without interrupting connections.

mod acme;
mod pair;
mod resolver;
mod x509;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};

pub use crate::tls::resolver::CertificateExpiry;
pub use pair::PairError;

use crate::settings::Transport;
use crate::tls::resolver::CertificateResolver;
use acme::Acme;
use pair::CertificatePair;

/// Interval between checks of the certificate files.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Time before the expiry of a certificate from which warnings are logged.
const ENDS_SOON_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// Interval between two of these warnings.
const WARN_INTERVAL: Duration = Duration::from_hours(12);

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Certificates by ACME cannot be used.
    #[error("{0}")]
    Acme(String),
    /// The TLS library reports an error.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The TLS side of a running server.
pub struct Tls {
    resolver: Arc<CertificateResolver>,
    source: CertificateSource,
}

enum CertificateSource {
    Files(CertificateFiles),
    Acme(Box<Acme>),
}

struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// Content at the last check, valid or not.
    digests: Option<FileDigests>,
    warned_at: Option<tokio::time::Instant>,
}

/// Content of both files, as digests, so that the key is not held in memory twice.
#[derive(PartialEq)]
struct FileDigests([Result<[u8; 32], ErrorKind>; 2]);

impl FileDigests {
    fn read(certificate: &Path, key: &Path) -> Self {
        let digest = |path| std::fs::read(path).map(|bytes| Sha256::digest(bytes).into());
        Self([certificate, key].map(|path| digest(path).map_err(|error| error.kind())))
    }
}

impl Tls {
    /// Loads the first certificate; returns `None` for plain HTTP. With ACME, that is the stored certificate or else a
    /// self-signed one.
    ///
    /// # Errors
    /// The certificate files cannot be used, or the folder for certificates cannot be created.
    pub fn open(transport: &Transport, data_dir: &Path) -> Result<Option<Self>, TlsError> {
        match transport {
            Transport::Plain { .. } => Ok(None),
            Transport::Files { certificate, key } => {
                let seen = FileDigests::read(certificate, key);
                let pair = CertificatePair::from_files(certificate, key)?;
                let files = CertificateFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    digests: Some(seen),
                    warned_at: None,
                };
                Ok(Some(Self {
                    resolver: Arc::new(CertificateResolver::new(pair)),
                    source: CertificateSource::Files(files),
                }))
            }
            Transport::Acme(settings) => {
                let (acme, resolver) = Acme::open(settings, data_dir)?;
                Ok(Some(Self { resolver, source: CertificateSource::Acme(Box::new(acme)) }))
            }
        }
    }

    /// Returns the TLS configuration: TLS 1.2 and 1.3, no early data (it can be replayed), and session tickets whose
    /// keys stay in this process.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.resolver) as _);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        // actix adds `http/1.1`. Only a certificate authority that validates a domain uses the other protocol.
        if matches!(self.source, CertificateSource::Acme(_)) {
            config.alpn_protocols = vec![resolver::CHALLENGE_PROTOCOL.to_vec()];
        }
        Ok(config)
    }

    /// Returns a handle for the expiry of the current certificate.
    pub fn expiry(&self) -> CertificateExpiry {
        CertificateExpiry::new(&self.resolver)
    }

    /// Whether the certificate is valid for the host. This is also true for a self-signed certificate that ACME will
    /// replace.
    pub fn covers(&self, host: &str) -> bool {
        self.resolver.covers(host)
    }

    /// Reads or renews the certificate if necessary, or immediately if `asked`. Returns the time until the next call.
    pub async fn maintain(&mut self, asked: bool) -> Duration {
        match &mut self.source {
            CertificateSource::Files(files) => {
                files.maintain(&self.resolver, asked).await;
                CHECK_INTERVAL
            }
            CertificateSource::Acme(acme) => acme.maintain(asked).await,
        }
    }
}

impl CertificateFiles {
    async fn maintain(&mut self, resolver: &CertificateResolver, asked: bool) {
        let (certificate, key, before) = (self.certificate.clone(), self.key.clone(), self.digests.take());
        // Reads in a blocking thread, so that a slow file system does not delay requests.
        let check = tokio::task::spawn_blocking(move || {
            let seen = FileDigests::read(&certificate, &key);
            let changed = asked || before.as_ref() != Some(&seen);
            (seen, changed.then(|| CertificatePair::from_files(&certificate, &key)))
        });
        let Ok((seen, read)) = check.await else { return };
        self.digests = Some(seen);
        match read {
            None => {}
            Some(Ok(pair)) => {
                tracing::info!(not_after = pair.not_after_text(), "the certificate was read again and is now in use");
                resolver.replace_certificate(pair);
                self.warned_at = None;
            }
            Some(Err(problem)) => tracing::error!(
                problem = problem.to_string(),
                "the new certificate cannot be used; the previous one stays in use"
            ),
        }
        if self.warned_at.is_none_or(|said| said.elapsed() >= WARN_INTERVAL) {
            self.warned_at = Some(tokio::time::Instant::now());
            resolver.warn_of_expiry();
        }
    }
}
