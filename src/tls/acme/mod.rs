//! Certificates by ACME (RFC 8555). The authority validates domains on the port of this server, so that no other port
//! is needed. Certificates are stored and renewed before they expire.

mod client;
mod order;
mod schedule;
mod storage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use tokio::time::timeout;

use super::TlsError;
use super::pair::CertificatePair;
use super::x509::CertificateFields;
use crate::clock::{self, Millis};
use crate::settings::AcmeSettings;
use crate::tls::acme::storage::AcmeStorage;
use crate::tls::resolver::CertificateResolver;
use client::AcmeClient;
use order::{IssuedCertificate, OrderFailure};

/// Time limit of an order, including validation.
const ORDER_MAX: Duration = Duration::from_mins(8);
/// Time limit of a request for renewal information.
const WINDOW_MAX: Duration = Duration::from_mins(1);
/// Longest pause between two checks, in milliseconds, so that a changed clock or a suspended machine is noticed.
const CHECK_INTERVAL: Millis = 60 * 1000;
/// Pause after a rate limit error without `Retry-After`, in milliseconds.
const RATE_LIMITED_PAUSE: Millis = 60 * 60 * 1000;

/// The certificate of one authority and the schedule of its renewal.
pub(super) struct Acme {
    settings: AcmeSettings,
    client: AcmeClient,
    storage: AcmeStorage,
    resolver: Arc<CertificateResolver>,
    /// Fields of the current certificate; `None` for a self-signed one.
    fields: Option<CertificateFields>,
    /// Time of the next renewal.
    renew_at: Millis,
    /// Time of the next request for renewal information.
    next_window_request: Millis,
    /// Earliest time of the next attempt after a failure.
    retry_at: Millis,
    failures_in_a_row: u32,
    /// Times of failed orders within the last hour.
    failed_orders: Vec<Millis>,
}

impl Acme {
    /// Starts with the stored certificate if it covers the domains, else with a self-signed one. Sends no request.
    ///
    /// # Errors
    /// The folder cannot be used, or no client or key can be created.
    pub(super) fn open(settings: &AcmeSettings, data_dir: &Path) -> Result<(Self, Arc<CertificateResolver>), TlsError> {
        let folder = data_dir.join("tls");
        let storage = AcmeStorage::open(data_dir, &settings.directory)
            .map_err(|error| TlsError::Acme(format!("{} cannot be used: {error}", folder.display())))?;
        let client = AcmeClient::new(settings.root.as_deref()).map_err(TlsError::Acme)?;
        let (resolver, facts) = match load_usable_certificate(&storage, &settings.domains) {
            Some(pair) => {
                let facts = pair.fields.clone();
                (CertificateResolver::new(pair), Some(facts))
            }
            None => (self_signed_resolver(&settings.domains)?, None),
        };
        let resolver = Arc::new(resolver);
        let failed_orders = storage.failures();
        let acme = Self {
            settings: settings.clone(),
            client,
            storage,
            resolver: Arc::clone(&resolver),
            renew_at: facts
                .as_ref()
                .map_or(Millis::MIN, |facts| schedule::renewal_time(facts.not_before, facts.not_after)),
            fields: facts,
            next_window_request: Millis::MIN,
            retry_at: Millis::MIN,
            failures_in_a_row: 0,
            failed_orders,
        };
        Ok((acme, resolver))
    }

    /// Renews the certificate if it is due, and returns the time until the next call. With `asked`, a pause after a
    /// failure is skipped, but the limits of the authority are respected.
    pub(super) async fn maintain(&mut self, asked: bool) -> Duration {
        let now = clock::current_millis();
        if now < self.renew_at && now >= self.next_window_request {
            self.update_renewal_window(now).await;
        }
        if now < self.renew_at {
            if asked {
                tracing::info!(
                    renewal = clock::format_rfc3339(self.renew_at),
                    "the certificate is valid and is not renewed yet"
                );
            }
        } else if asked || now >= self.retry_at {
            self.try_order(now).await;
        }
        let next = self.renew_at.max(self.retry_at) - clock::current_millis();
        Duration::from_millis(next.clamp(0, CHECK_INTERVAL).unsigned_abs())
    }

    /// Requests renewal information (RFC 9773). Without it, the certificate is renewed after two thirds of its
    /// lifetime.
    async fn update_renewal_window(&mut self, now: Millis) {
        let asked = timeout(WINDOW_MAX, self.fetch_window()).await.unwrap_or_else(|_| Err(OrderFailure::timed_out()));
        self.next_window_request =
            now + schedule::window_request_pause(asked.as_ref().ok().and_then(|answer| answer.map(|(_, again)| again)));
        match (asked, &self.fields) {
            (Ok(Some((window, _))), Some(facts)) => {
                let position = facts.serial.last().copied().unwrap_or(0);
                self.renew_at = schedule::renewal_time_in_window(window, position, facts.not_before, facts.not_after);
                tracing::info!(
                    renewal = clock::format_rfc3339(self.renew_at),
                    "the authority suggested when to renew the certificate"
                );
            }
            (Err(failure), _) => {
                tracing::info!(problem = failure.reason, "the authority did not answer when to renew the certificate");
            }
            _ => {}
        }
    }

    async fn fetch_window(&self) -> Result<Option<((Millis, Millis), Duration)>, OrderFailure> {
        let (Some(facts), Ok(Some(credentials))) = (&self.fields, self.storage.account()) else { return Ok(None) };
        let (account, _) = order::open_account(&self.client, &self.settings, Some(credentials)).await?;
        order::fetch_renewal_window(&account, facts).await
    }

    async fn try_order(&mut self, now: Millis) {
        let allowed = schedule::next_order_time(&mut self.failed_orders, now).max(self.client.not_before());
        if allowed > now {
            self.retry_at = allowed;
            let next_try = clock::format_rfc3339(allowed);
            tracing::warn!(next_try, "no certificate is ordered now: a limit of the authority is reached");
            return;
        }
        let domains = self.settings.domains.join(",");
        tracing::info!(domains, directory = self.settings.directory.as_str(), "ordering a certificate");
        let tried = timeout(ORDER_MAX, self.order_certificate()).await;
        match tried.unwrap_or_else(|_| Err(OrderFailure::timed_out())) {
            Ok(pair) => self.succeeded(pair),
            Err(failure) => self.failed(&failure),
        }
    }

    fn succeeded(&mut self, pair: CertificatePair) {
        let now = clock::current_millis();
        let CertificateFields { not_before, not_after, .. } = pair.fields;
        self.renew_at = schedule::renewal_time(not_before, not_after);
        self.retry_at = now + schedule::pause_after_renewal(not_before, not_after);
        self.next_window_request = now + schedule::window_request_pause(None);
        self.failures_in_a_row = 0;
        self.fields = Some(pair.fields.clone());
        let (not_after, renewal) = (pair.not_after_text(), clock::format_rfc3339(self.renew_at));
        self.resolver.replace_certificate(pair);
        tracing::info!(not_after, renewal, "a new certificate is now in use");
        if self.renew_at <= now {
            tracing::error!(
                now = clock::format_rfc3339(now),
                "the new certificate is already due for renewal: check the clock of this machine"
            );
        }
    }

    fn failed(&mut self, failure: &OrderFailure) {
        let now = clock::current_millis();
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.retry_at = now + schedule::pause_after_failures(self.failures_in_a_row, failure.reached);
        // `Retry-After` of the authority counts; without it, the default pause.
        let retry_at = self.client.not_before();
        self.retry_at = self.retry_at.max(if failure.rate_limited && retry_at <= now {
            now + RATE_LIMITED_PAUSE
        } else {
            retry_at
        });
        if failure.ordered {
            self.failed_orders.push(now);
            self.retry_at = self.retry_at.max(schedule::next_order_time(&mut self.failed_orders, now));
            if let Err(problem) = self.storage.store_failures(&self.failed_orders) {
                tracing::warn!(%problem, "the failed order was not stored");
            }
        }
        if failure.unknown_account && self.storage.retire_account().is_ok() {
            tracing::warn!("the authority does not know the account; the next attempt creates a new one");
        }
        let next_try = clock::format_rfc3339(self.retry_at);
        tracing::error!(problem = failure.reason, next_try, "NO NEW CERTIFICATE");
        self.resolver.warn_of_expiry();
    }

    async fn order_certificate(&mut self) -> Result<CertificatePair, OrderFailure> {
        let stored = self.storage.account().unwrap_or_else(|problem| {
            tracing::warn!(%problem, "the stored account cannot be read; a new one is created");
            None
        });
        let (account, new) = order::open_account(&self.client, &self.settings, stored).await?;
        if let Some(credentials) = new {
            tracing::info!(account = account.id(), "an account was created at the certificate authority");
            self.storage
                .store_account(&credentials)
                .map_err(|error| OrderFailure::local(format!("the account was not stored: {error}")))?;
        }
        let issued = order::order_certificate(&account, &self.settings.domains, &self.resolver).await?;
        self.accept_certificate(&issued)
    }

    /// Validates and stores an issued certificate. It is used even if it cannot be stored.
    fn accept_certificate(&self, issued: &IssuedCertificate) -> Result<CertificatePair, OrderFailure> {
        let (chain, key) =
            ((Path::new("the certificate"), issued.chain.as_bytes()), (Path::new("the key"), issued.key.as_bytes()));
        let pair = CertificatePair::from_pem(chain, key)
            .map_err(|error| OrderFailure::unusable_certificate(error.to_string()))?;
        if let Some(name) = self.settings.domains.iter().find(|name| !pair.covers(name)) {
            return Err(OrderFailure::unusable_certificate(format!(
                "the authority issued a certificate that is not valid for {name}"
            )));
        }
        if let Err(problem) = self.storage.store_certificate(&issued.key, &issued.chain) {
            tracing::error!(%problem, "the new certificate was not stored in the data folder; the next start orders another one");
        }
        Ok(pair)
    }
}

/// Returns the stored certificate if it can be used and covers all domains.
fn load_usable_certificate(storage: &AcmeStorage, domains: &[String]) -> Option<CertificatePair> {
    let pair = match storage.certificate() {
        Ok(pair) => pair?,
        Err(problem) => {
            tracing::warn!(problem, "the stored certificate cannot be used; another one is ordered");
            return None;
        }
    };
    // An expired certificate is used as well: its error in a browser is clearer than that of a self-signed one.
    domains.iter().all(|name| pair.covers(name)).then_some(pair)
}

/// Creates a self-signed certificate, which is used until the first one is issued.
fn self_signed_resolver(domains: &[String]) -> Result<CertificateResolver, TlsError> {
    let params = CertificateParams::new(domains).map_err(|error| TlsError::Acme(error.to_string()))?;
    let certificate = order::create_self_signed(params).map_err(|failure| TlsError::Acme(failure.reason))?;
    Ok(CertificateResolver::with_self_signed(certificate))
}
