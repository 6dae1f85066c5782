//! Certificates that the server gets by itself (RFC 8555). The authority looks at our own port, so nothing else has to be
//! open. What was got is kept, and replaced in good time.

mod client;
mod kept;
mod order;
mod pace;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use tokio::time::timeout;

use super::TlsError;
use super::pair::Pair;
use super::shown::Shown;
use super::x509::Facts;
use crate::clock::{self, Millis};
use crate::settings::AcmeSettings;
use client::AcmeClient;
use kept::Kept;
use order::{Failure, Issued};

/// The whole of an order, checks included.
const ORDER_MAX: Duration = Duration::from_mins(8);
/// Asking when to renew.
const WINDOW_MAX: Duration = Duration::from_mins(1);
/// A clock that was set, or a machine that slept, is noticed this soon.
const LOOK_EVERY: Millis = 60 * 1000;
/// How long an authority is left alone that says "too often" and not for how long.
const RATE_LIMITED_PAUSE: Millis = 60 * 60 * 1000;

/// The certificate of one authority, and when it is to be replaced.
pub(super) struct Acme {
    settings: AcmeSettings,
    client: AcmeClient,
    kept: Kept,
    shown: Arc<Shown>,
    /// Of the certificate that is shown; nothing for one of our own making.
    facts: Option<Facts>,
    /// When the next certificate is wanted.
    due: Millis,
    /// When the authority is asked again whether it wants that earlier or later.
    window_again: Millis,
    /// Not before this, after a failure.
    again: Millis,
    failures_in_a_row: u32,
    /// When orders failed within the last hour.
    failed_orders: Vec<Millis>,
}

impl Acme {
    /// Begins with what was kept, where it is for these names. Nothing is asked of the authority here.
    pub(super) fn open(settings: &AcmeSettings, data_dir: &Path) -> Result<(Self, Arc<Shown>), TlsError> {
        let folder = data_dir.join("tls");
        let kept = Kept::open(data_dir, &settings.directory)
            .map_err(|error| TlsError::Acme(format!("{} cannot be used: {error}", folder.display())))?;
        let client = AcmeClient::new(settings.root.as_deref()).map_err(TlsError::Acme)?;
        let (shown, facts) = match usable(&kept, &settings.domains) {
            Some(pair) => {
                let facts = pair.facts.clone();
                (Shown::new(pair), Some(facts))
            }
            None => (our_own(&settings.domains)?, None),
        };
        let shown = Arc::new(shown);
        let failed_orders = kept.failures();
        let acme = Self {
            settings: settings.clone(),
            client,
            kept,
            shown: Arc::clone(&shown),
            due: facts.as_ref().map_or(Millis::MIN, |facts| pace::renewal(facts.not_before, facts.not_after)),
            facts,
            window_again: Millis::MIN,
            again: Millis::MIN,
            failures_in_a_row: 0,
            failed_orders,
        };
        Ok((acme, shown))
    }

    /// Gets a certificate when it is time; returns when to come again. Who asks for it does not have to wait for the
    /// end of a pause, yet for what the authority allows.
    pub(super) async fn tend(&mut self, asked: bool) -> Duration {
        let now = clock::now();
        if now < self.due && now >= self.window_again {
            self.ask_for_window(now).await;
        }
        if now < self.due {
            if asked {
                tracing::info!(renewal = clock::rfc3339(self.due), "the certificate is good and is not renewed yet");
            }
        } else if asked || now >= self.again {
            self.try_to_get(now).await;
        }
        let next = self.due.max(self.again) - clock::now();
        Duration::from_millis(next.clamp(0, LOOK_EVERY).unsigned_abs())
    }

    /// Lets the authority say when the certificate is to be renewed; where it says nothing, two thirds of its life count.
    async fn ask_for_window(&mut self, now: Millis) {
        let asked = timeout(WINDOW_MAX, self.window()).await.unwrap_or_else(|_| Err(Failure::too_slow()));
        self.window_again = now + pace::next_window(asked.as_ref().ok().and_then(|said| said.map(|(_, again)| again)));
        match (asked, &self.facts) {
            (Ok(Some((window, _))), Some(facts)) => {
                let place = facts.serial.last().copied().unwrap_or(0);
                self.due = pace::within(window, place, facts.not_before, facts.not_after);
                tracing::info!(
                    renewal = clock::rfc3339(self.due),
                    "the authority says when the certificate is to be renewed"
                );
            }
            (Err(failure), _) => {
                tracing::info!(
                    problem = failure.why,
                    "the authority was not asked when the certificate is to be renewed"
                );
            }
            _ => {}
        }
    }

    async fn window(&self) -> Result<Option<((Millis, Millis), Duration)>, Failure> {
        let (Some(facts), Ok(Some(known))) = (&self.facts, self.kept.account()) else { return Ok(None) };
        let (account, _) = order::account(&self.client, &self.settings, Some(known)).await?;
        order::window(&account, facts).await
    }

    async fn try_to_get(&mut self, now: Millis) {
        let allowed = pace::next_order(&mut self.failed_orders, now).max(self.client.not_before());
        if allowed > now {
            self.again = allowed;
            let next_try = clock::rfc3339(allowed);
            tracing::warn!(next_try, "no certificate is ordered now: the authority allows so many tries in an hour");
            return;
        }
        let domains = self.settings.domains.join(",");
        tracing::info!(domains, directory = self.settings.directory.as_str(), "ordering a certificate");
        let tried = timeout(ORDER_MAX, self.get()).await;
        match tried.unwrap_or_else(|_| Err(Failure::too_slow())) {
            Ok(pair) => self.succeeded(pair),
            Err(failure) => self.failed(&failure),
        }
    }

    fn succeeded(&mut self, pair: Pair) {
        let now = clock::now();
        let Facts { not_before, not_after, .. } = pair.facts;
        self.due = pace::renewal(not_before, not_after);
        self.again = now + pace::rest(not_before, not_after);
        self.window_again = now + pace::next_window(None);
        self.failures_in_a_row = 0;
        self.facts = Some(pair.facts.clone());
        let (not_after, renewal) = (pair.not_after_text(), clock::rfc3339(self.due));
        self.shown.show(pair);
        tracing::info!(not_after, renewal, "a new certificate is used from now on");
        if self.due <= now {
            tracing::error!(
                now = clock::rfc3339(now),
                "the new certificate looks old already: is this machine's clock right?"
            );
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let now = clock::now();
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.again = now + pace::pause(self.failures_in_a_row, failure.reached);
        // Its own word counts, and where it gave none we know the usual.
        let said = self.client.not_before();
        self.again = self.again.max(if failure.rate_limited && said <= now { now + RATE_LIMITED_PAUSE } else { said });
        if failure.ordered {
            self.failed_orders.push(now);
            self.again = self.again.max(pace::next_order(&mut self.failed_orders, now));
            if let Err(problem) = self.kept.keep_failures(&self.failed_orders) {
                tracing::warn!(%problem, "the failed order was not written down");
            }
        }
        if failure.unknown_account && self.kept.forget_account().is_ok() {
            tracing::warn!("the authority does not know the account; the next try makes a new one");
        }
        let next_try = clock::rfc3339(self.again);
        tracing::error!(problem = failure.why, next_try, "NO NEW CERTIFICATE");
        self.shown.say_when_it_ends();
    }

    async fn get(&mut self) -> Result<Pair, Failure> {
        let known = self.kept.account().unwrap_or_else(|problem| {
            tracing::warn!(%problem, "the kept account cannot be read; a new one is made");
            None
        });
        let (account, new) = order::account(&self.client, &self.settings, known).await?;
        if let Some(credentials) = new {
            tracing::info!(account = account.id(), "an account was made at the certificate authority");
            self.kept
                .keep_account(&credentials)
                .map_err(|error| Failure::here(format!("the account was not kept: {error}")))?;
        }
        let issued = order::certificate(&account, &self.settings.domains, &self.shown).await?;
        self.take(&issued)
    }

    /// Keeps a certificate that does, and shows it even where it could not be kept.
    fn take(&self, issued: &Issued) -> Result<Pair, Failure> {
        let (chain, key) =
            ((Path::new("the certificate"), issued.chain.as_bytes()), (Path::new("the key"), issued.key.as_bytes()));
        let pair = Pair::of_pem(chain, key).map_err(|error| Failure::useless(error.to_string()))?;
        if let Some(name) = self.settings.domains.iter().find(|name| !pair.covers(name)) {
            return Err(Failure::useless(format!("the authority gave a certificate that is not for {name}")));
        }
        if let Err(problem) = self.kept.keep_certificate(&issued.key, &issued.chain) {
            tracing::error!(%problem, "the new certificate was not kept in the data folder; the next start gets another");
        }
        Ok(pair)
    }
}

/// The kept certificate, where it is good and for all these names.
fn usable(kept: &Kept, domains: &[String]) -> Option<Pair> {
    let pair = match kept.certificate() {
        Ok(pair) => pair?,
        Err(problem) => {
            tracing::warn!(problem, "the kept certificate cannot be used; another one is ordered");
            return None;
        }
    };
    // One that has expired does, too: it says more to people than one of our own making.
    domains.iter().all(|name| pair.covers(name)).then_some(pair)
}

/// What is shown until the first certificate is there.
fn our_own(domains: &[String]) -> Result<Shown, TlsError> {
    let wanted = CertificateParams::new(domains).map_err(|error| TlsError::Acme(error.to_string()))?;
    let made = order::self_signed(wanted).map_err(|failure| TlsError::Acme(failure.why))?;
    Ok(Shown::with_our_own(made))
}
