//! Cached keys of an identity system, fetched from its JWK set on demand. Concurrent callers share one fetch, fetches
//! are limited, and the cached keys stay valid until a fetch succeeds.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::Algorithm;
use tokio::sync::Mutex;
use url::Url;

use crate::auth::fetch::Fetcher;
use crate::auth::jwt::key_location::KeyLocation;
use crate::auth::jwt::keys::KeySet;
use crate::outgoing::OutgoingRules;

/// How long keys are used, and how often they are fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPolicy {
    /// Age from which the keys are fetched again in the background.
    pub(super) refresh_after: Duration,
    /// Age from which callers wait for the fetch, so that a key that was withdrawn long ago is not accepted.
    pub(super) wait_after: Duration,
    /// Age from which the keys are not used any more. `None`: they are used until a fetch succeeds.
    pub(super) unusable_after: Option<Duration>,
    /// Shortest time between two fetches: any client can cause one by sending a token with an unknown key ...
    pub(super) fetch_every: Duration,
    /// ... after a burst of this many.
    pub(super) fetches_at_once: NonZeroU32,
    /// Whether the first fetch counts.
    pub(super) counts_first: bool,
    /// Most fetches in an hour.
    pub(super) fetches_per_hour: Option<NonZeroU32>,
}

/// The policy for identity systems that the operator or an owner configures.
const TRUSTED_POLICY: KeyPolicy = KeyPolicy {
    refresh_after: Duration::from_mins(10),
    wait_after: Duration::from_hours(1),
    unusable_after: None,
    fetch_every: Duration::from_secs(30),
    fetches_at_once: NonZeroU32::MIN.saturating_add(2),
    counts_first: true,
    fetches_per_hour: None,
};

/// No keys were fetched yet, so that no token can be validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoKeys;

/// When keys were fetched.
#[derive(Default)]
struct FetchHistory {
    /// End of the last fetch.
    ended: Option<Instant>,
    /// Starts of the fetches of the last hour, oldest first, as many as there may be.
    last_hour: VecDeque<Instant>,
}

impl FetchHistory {
    /// Counts a fetch. Returns false, without counting it, if there were that many in the last hour.
    fn count_fetch(&mut self, most: usize) -> bool {
        while self.last_hour.front().is_some_and(|start| start.elapsed() >= HOUR) {
            self.last_hour.pop_front();
        }
        let may_fetch = self.last_hour.len() < most;
        if may_fetch {
            self.last_hour.push_back(Instant::now());
        }
        may_fetch
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// A JWK set at a URL.
pub(crate) struct RemoteKeySet {
    location: KeyLocation,
    /// Source of the URL, for the log.
    named_by: &'static str,
    fetcher: Arc<Fetcher>,
    cached: RwLock<Option<(Arc<KeySet>, Instant)>>,
    budget: DefaultDirectRateLimiter,
    /// Locked during a fetch.
    fetched: Mutex<FetchHistory>,
    /// Why the last fetch failed.
    problem: RwLock<Option<String>>,
    policy: KeyPolicy,
}

impl RemoteKeySet {
    pub(crate) fn new(url: Url, named_by: &'static str, rules: OutgoingRules) -> Result<Self, reqwest::Error> {
        Ok(Self::with_policy(KeyLocation::Url(url), named_by, Arc::new(Fetcher::new(rules)?), TRUSTED_POLICY))
    }

    pub(super) fn with_policy(
        location: KeyLocation,
        named_by: &'static str,
        fetcher: Arc<Fetcher>,
        policy: KeyPolicy,
    ) -> Self {
        let burst = policy.fetches_at_once;
        let quota = Quota::with_period(policy.fetch_every).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
        Self {
            location,
            named_by,
            fetcher,
            cached: RwLock::default(),
            budget: RateLimiter::direct(quota),
            fetched: Mutex::default(),
            problem: RwLock::default(),
            policy,
        }
    }

    /// Returns why the last fetch failed, as a sentence; `None` if it succeeded.
    pub(super) fn last_problem(&self) -> Option<String> {
        self.problem.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns keys for a token with that `kid` and algorithm. Fetches them if the cached keys are too old or none
    /// matches.
    ///
    /// # Errors
    /// No fetch has succeeded yet.
    pub(crate) async fn keys(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, NoKeys> {
        let has_match = |keys: &KeySet| keys.matching_keys(id, algorithm).next().is_some();
        if let Some((keys, since)) = self.cached().filter(|(keys, _)| has_match(keys)) {
            let age = since.elapsed();
            if age < self.policy.wait_after {
                if age >= self.policy.refresh_after {
                    drop(tokio::spawn(Arc::clone(self).refresh_if_idle()));
                }
                return Ok(keys);
            }
        }
        // A separate task: if one caller disconnects, the fetch continues for the others.
        if tokio::spawn(Arc::clone(self).refresh(Instant::now())).await.is_err() {
            tracing::error!("the task that fetches the keys of the identity system failed");
        }
        self.cached().map(|(keys, _)| keys).ok_or(NoKeys)
    }

    fn cached(&self) -> Option<(Arc<KeySet>, Instant)> {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner).clone();
        cached.filter(|(_, since)| self.policy.unusable_after.is_none_or(|max| since.elapsed() < max))
    }

    async fn refresh_if_idle(self: Arc<Self>) {
        if let Ok(mut fetched) = self.fetched.try_lock() {
            self.fetch_within_budget(&mut fetched).await;
        }
    }

    /// Fetches the keys, unless another fetch ended after `asked`: all waiting callers use its result.
    async fn refresh(self: Arc<Self>, asked: Instant) {
        let mut fetched = self.fetched.lock().await;
        if fetched.ended.is_none_or(|over| over < asked) {
            self.fetch_within_budget(&mut fetched).await;
        }
    }

    async fn fetch_within_budget(&self, fetched: &mut FetchHistory) {
        if fetched.ended.is_some() || self.policy.counts_first {
            let per_hour = self.policy.fetches_per_hour.map_or(usize::MAX, |most| most.get() as usize);
            if self.budget.check().is_err() || !fetched.count_fetch(per_hour) {
                return;
            }
        }
        let result = self.fetch().await;
        *self.problem.write().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        match result {
            Ok(keys) => {
                let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
                *cached = Some((Arc::new(keys), Instant::now()));
            }
            Err(problem) => tracing::warn!(
                problem,
                named_by = self.named_by,
                "the keys of an identity system could not be fetched; the previous keys stay valid"
            ),
        }
        fetched.ended = Some(Instant::now());
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let url = self.location.find_url(&self.fetcher).await?;
        KeySet::from_jwks(&self.fetcher.get(&url, None).await?.into_ok_body()?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;

    fn jwks(id: &str) -> Value {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    }

    /// Starts a server whose n-th response is the n-th set, and the last set from then on. It ends with the test
    /// process.
    fn server(sets: Vec<Value>) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let at = count.fetch_add(1, Ordering::SeqCst);
                let body = sets[at.min(sets.len() - 1)].to_string();
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        (url, requests)
    }

    fn remote(url: Url, refresh_after: Duration, wait_after: Duration) -> Arc<RemoteKeySet> {
        let fetcher = Fetcher::new(OutgoingRules::default().with_trusted_host(&url)).unwrap();
        let policy = KeyPolicy { refresh_after, wait_after, ..TRUSTED_POLICY };
        Arc::new(RemoteKeySet::with_policy(KeyLocation::Url(url), "a test", Arc::new(fetcher), policy))
    }

    async fn has(remote: &Arc<RemoteKeySet>, id: &str) -> bool {
        let keys = remote.keys(Some(id), Algorithm::EdDSA).await.unwrap();
        keys.matching_keys(Some(id), Algorithm::EdDSA).next().is_some()
    }

    #[actix_web::test]
    async fn old_keys_are_used_while_new_ones_are_fetched() {
        let (url, requests) = server(vec![jwks("old"), jwks("new")]);
        let remote = remote(url, Duration::ZERO, TRUSTED_POLICY.wait_after);
        assert!(has(&remote, "old").await);
        assert!(has(&remote, "old").await);
        while remote.cached().unwrap().0.matching_keys(Some("new"), Algorithm::EdDSA).next().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(requests.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn fetches_of_an_hour_are_counted_exactly() {
        let mut history = FetchHistory::default();
        assert!((0..20).all(|_| history.count_fetch(20)));
        assert!(!history.count_fetch(20));
        assert_eq!(history.last_hour.len(), 20);
    }

    #[actix_web::test]
    async fn a_key_that_was_withdrawn_long_ago_is_not_accepted() {
        let (url, _) = server(vec![jwks("old"), jwks("new")]);
        let remote = remote(url, Duration::ZERO, Duration::ZERO);
        assert!(has(&remote, "old").await);
        assert!(!has(&remote, "old").await);
    }

    #[actix_web::test]
    async fn concurrent_callers_share_one_fetch_even_if_it_fails() {
        let (url, requests) = server(vec![json!({"keys": []}), jwks("one")]);
        let remote = remote(url, TRUSTED_POLICY.refresh_after, TRUSTED_POLICY.wait_after);
        let wait = || remote.keys(Some("one"), Algorithm::EdDSA);
        let found = futures_util::future::join_all((0..10).map(|_| wait())).await;
        assert!(found.iter().all(|found| found.as_ref().is_err_and(|none| *none == NoKeys)));
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        assert!(wait().await.is_ok());
    }

    #[actix_web::test]
    async fn unknown_ids_cause_few_fetches() {
        let (url, requests) = server(vec![jwks("one")]);
        let remote = remote(url, TRUSTED_POLICY.refresh_after, TRUSTED_POLICY.wait_after);
        for at in 0..50 {
            assert!(!has(&remote, &format!("unknown-{at}")).await);
        }
        assert_eq!(requests.load(Ordering::SeqCst), 3);
        assert!(has(&remote, "one").await);
    }

    #[actix_web::test]
    async fn keys_are_used_for_a_limited_time_while_the_issuer_is_down() {
        let (url, requests) = server(vec![jwks("one"), json!({"keys": []})]);
        let fetcher = Arc::new(Fetcher::new(OutgoingRules::default().with_trusted_host(&url)).unwrap());
        let with_limit = |unusable_after| {
            let policy = KeyPolicy {
                refresh_after: Duration::ZERO,
                wait_after: Duration::ZERO,
                unusable_after,
                ..TRUSTED_POLICY
            };
            let location = KeyLocation::Url(url.clone());
            Arc::new(RemoteKeySet::with_policy(location, "a test", Arc::clone(&fetcher), policy))
        };
        let limited = with_limit(Some(Duration::from_hours(24)));
        assert!(has(&limited, "one").await && has(&limited, "one").await);
        assert!(limited.last_problem().unwrap().contains("no usable key"));
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        let unusable = with_limit(Some(Duration::ZERO));
        assert!(unusable.keys(Some("one"), Algorithm::EdDSA).await.is_err());
    }

    #[actix_web::test]
    async fn a_key_url_is_found_from_the_issuer() {
        let (keys, _) = server(vec![jwks("one")]);
        let (issuer, _) = server(vec![json!({})]);
        let name = issuer.as_str().trim_end_matches('/').to_owned();
        let (found, _) = server(vec![json!({"issuer": name, "jwks_uri": keys.as_str()})]);
        let fetcher = Arc::new(Fetcher::new(OutgoingRules::default().with_trusted_host(&keys)).unwrap());
        let location = |issuer: &str| KeyLocation::Issuer(issuer.to_owned());
        // The document of another issuer is not used.
        let other = location(found.as_str().trim_end_matches('/')).find_url(&fetcher).await;
        assert!(other.unwrap_err().contains("another issuer"));
        let none = location(&name).find_url(&fetcher).await;
        assert!(none.unwrap_err().contains("openid-configuration"));
        let fixed = found.as_str().trim_end_matches('/').to_owned();
        let (right, _) = server(vec![json!({"issuer": fixed, "jwks_uri": keys.as_str()})]);
        assert!(location(right.as_str()).find_url(&fetcher).await.is_err());
    }
}
