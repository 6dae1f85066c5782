//! The keys of an identity system, fetched from its JWK set: when they are needed, seldom, and one fetch for all who
//! wait. What was good is kept until something better comes.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::Algorithm;
use reqwest::{Client, StatusCode, Url, redirect};
use tokio::sync::Mutex;

use super::keys::KeySet;

/// How long one fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// From this age on keys are fetched again, while the known ones go on serving.
const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// From this age on the answer is waited for, lest a key that was withdrawn long ago opens once more.
const WAIT_AFTER: Duration = Duration::from_hours(1);
/// A token with an unknown key, which anybody can send, causes a fetch no more often than this ...
const FETCH_EVERY: Duration = Duration::from_secs(30);
/// ... after the first few.
const FETCHES_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// Nothing was ever fetched, so no token can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoKeys;

/// A JWK set at an address.
pub(super) struct Remote {
    url: Url,
    client: Client,
    known: RwLock<Option<(Arc<KeySet>, Instant)>>,
    budget: DefaultDirectRateLimiter,
    /// Held while somebody fetches.
    fetching: Mutex<()>,
}

impl Remote {
    pub(super) fn new(url: Url) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            // The settings take http for this machine only.
            .https_only(url.scheme() == "https")
            // Where the keys come from decides who gets in: not the environment's business.
            .no_proxy()
            .timeout(PATIENCE)
            // A connection belongs to the worker that made it.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let quota = Quota::with_period(FETCH_EVERY).unwrap_or(Quota::per_minute(FETCHES_AT_ONCE));
        let budget = RateLimiter::direct(quota.allow_burst(FETCHES_AT_ONCE));
        Ok(Self { url, client, known: RwLock::default(), budget, fetching: Mutex::default() })
    }

    /// The keys for a token with that `kid` and algorithm, fetched where the known ones are old or have none that fits.
    pub(super) async fn keys(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, NoKeys> {
        let known = self.known();
        let is_known = |keys: &KeySet| keys.fitting(id, algorithm).next().is_some();
        if let Some((keys, fetched)) = known.filter(|(keys, _)| is_known(keys)) {
            let age = fetched.elapsed();
            if age < WAIT_AFTER {
                if age >= REFRESH_AFTER {
                    drop(tokio::spawn(Arc::clone(self).refresh(fetched)));
                }
                return Ok(keys);
            }
        }
        // A task of its own: a caller who hangs up does not end it for those who wait with him.
        let asked = Instant::now();
        if tokio::spawn(Arc::clone(self).refresh(asked)).await.is_err() {
            tracing::error!("fetching the keys of the identity system broke off");
        }
        self.known().map(|(keys, _)| keys).ok_or(NoKeys)
    }

    fn known(&self) -> Option<(Arc<KeySet>, Instant)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches, unless somebody else did after `asked` or the budget is spent.
    async fn refresh(self: Arc<Self>, asked: Instant) {
        let _turn = self.fetching.lock().await;
        let is_newer = self.known().is_some_and(|(_, fetched)| fetched > asked);
        if is_newer || self.budget.check().is_err() {
            return;
        }
        match self.fetch().await {
            Ok(keys) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Some((Arc::new(keys), Instant::now()));
            }
            Err(problem) => tracing::warn!(
                problem,
                "the keys of user tokens could not be fetched from --user-token-jwks-url; those known before stay good"
            ),
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        // The address may hold credentials, so it is not part of the text.
        let failed = |problem: reqwest::Error| format!("no answer: {}", problem.without_url());
        let mut answer = self.client.get(self.url.clone()).send().await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {} and not 200", answer.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if text.len() + piece.len() > ANSWER_MAX_BYTES {
                return Err(format!("its answer is longer than {ANSWER_MAX_BYTES} bytes"));
            }
            text.extend_from_slice(&piece);
        }
        KeySet::from_jwks(&text)
    }
}
