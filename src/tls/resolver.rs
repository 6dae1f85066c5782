//! Selects the certificate of a handshake: the current certificate, which can be replaced between two handshakes, or
//! the challenge certificate for an authority that validates a domain.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::clock::{self, Millis};
use crate::tls::ENDS_SOON_MS;
use crate::tls::pair::{CertificatePair, covers_host};
use crate::tls::x509::CertificateFields;

/// ALPN protocol of a validation by an authority (RFC 8737).
pub(super) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// The current certificate, which is used for every server name, and the challenge certificates.
pub(super) struct CertificateResolver {
    current: ArcSwap<CurrentCertificate>,
    /// Challenge certificates by domain name, in lower case.
    challenges: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

struct CurrentCertificate {
    signing: Arc<CertifiedKey>,
    /// `None` for a self-signed certificate.
    not_after: Option<Millis>,
    /// Time from which warnings about the expiry are logged.
    warn_from: Millis,
}

impl fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateResolver").field("not_after", &self.current.load().not_after).finish_non_exhaustive()
    }
}

impl CertificateResolver {
    pub(super) fn new(pair: CertificatePair) -> Self {
        Self { current: ArcSwap::from_pointee(CurrentCertificate::from_pair(pair)), challenges: ArcSwap::default() }
    }

    /// Creates it with a self-signed certificate, which is replaced by the first issued one.
    pub(super) fn with_self_signed(signing: CertifiedKey) -> Self {
        let current = CurrentCertificate { signing: Arc::new(signing), not_after: None, warn_from: Millis::MAX };
        Self { current: ArcSwap::from_pointee(current), challenges: ArcSwap::default() }
    }

    /// Replaces the certificate, starting with the next handshake.
    pub(super) fn replace_certificate(&self, pair: CertificatePair) {
        self.current.store(Arc::new(CurrentCertificate::from_pair(pair)));
    }

    /// Replaces the challenge certificates.
    pub(super) fn set_challenges(&self, proofs: HashMap<String, Arc<CertifiedKey>>) {
        self.challenges.store(Arc::new(proofs));
    }

    pub(super) fn covers(&self, host: &str) -> bool {
        covers_host(&self.current.load().signing, host)
    }

    pub(super) fn not_after(&self) -> Option<Millis> {
        self.current.load().not_after
    }

    /// Logs a warning if the certificate has expired or expires soon.
    pub(super) fn warn_of_expiry(&self) {
        let current = self.current.load();
        let Some(not_after) = current.not_after else { return };
        let (now, not_after_text) = (clock::current_millis(), clock::format_rfc3339(not_after));
        if not_after <= now {
            tracing::error!(
                not_after = not_after_text,
                "THE CERTIFICATE HAS EXPIRED: identity providers will not connect"
            );
        } else if current.warn_from <= now {
            tracing::warn!(not_after = not_after_text, "the certificate expires soon");
        }
    }
}

impl CurrentCertificate {
    fn from_pair(pair: CertificatePair) -> Self {
        let CertificateFields { not_before, not_after, .. } = pair.fields;
        // A short-lived certificate must not cause permanent warnings.
        let warn_from = not_after - ENDS_SOON_MS.min((not_after - not_before) / 5);
        Self { not_after: Some(not_after), warn_from, signing: pair.signing }
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 section 3: a validation offers this protocol and no other.
        if hello.alpn().is_some_and(|protocols| protocols.eq([CHALLENGE_PROTOCOL])) {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.load().get(&name).cloned();
        }
        Some(Arc::clone(&self.current.load().signing))
    }
}

/// Handle for the expiry of the current certificate.
#[derive(Clone)]
pub struct CertificateExpiry(Arc<CertificateResolver>);

impl CertificateExpiry {
    pub(super) fn new(resolver: &Arc<CertificateResolver>) -> Self {
        Self(Arc::clone(resolver))
    }

    /// Returns the expiry; `None` for a self-signed certificate.
    pub fn not_after(&self) -> Option<Millis> {
        self.0.not_after()
    }
}
