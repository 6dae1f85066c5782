//! What clients are shown: one certificate at a time, changed between two handshakes, and the proofs for whoever checks
//! that a domain is ours.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::ENDS_SOON_MS;
use super::pair::{Pair, covers};
use super::x509::Facts;
use crate::clock::{self, Millis};

/// The protocol of RFC 8737 by which an authority asks for a proof.
pub(super) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// The certificate of the moment, whatever name a client asks for.
pub(super) struct Shown {
    current: ArcSwap<Current>,
    /// By name, in lower case.
    proofs: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

struct Current {
    signing: Arc<CertifiedKey>,
    /// Nothing for one of our own making.
    not_after: Option<Millis>,
    /// From when on its end is spoken of.
    ends_soon: Millis,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("not_after", &self.current.load().not_after).finish_non_exhaustive()
    }
}

impl Shown {
    pub(super) fn new(pair: Pair) -> Self {
        Self { current: ArcSwap::from_pointee(Current::of(pair)), proofs: ArcSwap::default() }
    }

    /// The same with a certificate of our own making, until there is a better one.
    pub(super) fn with_our_own(signing: CertifiedKey) -> Self {
        let current = Current { signing: Arc::new(signing), not_after: None, ends_soon: Millis::MAX };
        Self { current: ArcSwap::from_pointee(current), proofs: ArcSwap::default() }
    }

    /// Shows another one from the next handshake on.
    pub(super) fn show(&self, pair: Pair) {
        self.current.store(Arc::new(Current::of(pair)));
    }

    /// Has these proofs ready, and no others.
    pub(super) fn prove(&self, proofs: HashMap<String, Arc<CertifiedKey>>) {
        self.proofs.store(Arc::new(proofs));
    }

    pub(super) fn covers(&self, host: &str) -> bool {
        covers(&self.current.load().signing, host)
    }

    pub(super) fn not_after(&self) -> Option<Millis> {
        self.current.load().not_after
    }

    /// Warns of a certificate that has ended or soon will.
    pub(super) fn say_when_it_ends(&self) {
        let current = self.current.load();
        let Some(not_after) = current.not_after else { return };
        let (now, not_after_text) = (clock::now(), clock::rfc3339(not_after));
        if not_after <= now {
            tracing::error!(
                not_after = not_after_text,
                "THE CERTIFICATE HAS EXPIRED: identity providers will not connect"
            );
        } else if current.ends_soon <= now {
            tracing::warn!(not_after = not_after_text, "the certificate ends soon");
        }
    }
}

impl Current {
    fn of(pair: Pair) -> Self {
        let Facts { not_before, not_after, .. } = pair.facts;
        // A certificate that is made for a few days ends soon all the time.
        let ends_soon = not_after - ENDS_SOON_MS.min((not_after - not_before) / 5);
        Self { not_after: Some(not_after), ends_soon, signing: pair.signing }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 section 3: who asks for a proof offers this protocol and no other.
        if hello.alpn().is_some_and(|protocols| protocols.eq([CHALLENGE_PROTOCOL])) {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.proofs.load().get(&name).cloned();
        }
        Some(Arc::clone(&self.current.load().signing))
    }
}

/// When the certificate of the moment ends.
#[derive(Clone)]
pub struct Expiry(Arc<Shown>);

impl Expiry {
    pub(super) fn of(shown: &Arc<Shown>) -> Self {
        Self(Arc::clone(shown))
    }

    /// Its last moment; nothing while there is only one of our own making.
    pub fn not_after(&self) -> Option<Millis> {
        self.0.not_after()
    }
}
