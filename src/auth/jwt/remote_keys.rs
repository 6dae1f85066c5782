//! Cached keys of an identity system, fetched from its JWK set on demand. Concurrent callers share one fetch, fetches
//! are limited, and the cached keys stay valid until a fetch succeeds.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::Algorithm;
use tokio::sync::Mutex;
use url::Url;

use crate::auth::fetch::Fetcher;
use crate::auth::jwt::keys::KeySet;
use crate::outgoing::OutgoingRules;

/// Age from which the keys are fetched again in the background.
const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// Age from which callers wait for the fetch, so that a key that was withdrawn long ago is not accepted.
const WAIT_AFTER: Duration = Duration::from_hours(1);
/// Shortest time between two fetches: any client can cause one by sending a token with an unknown key ...
const FETCH_EVERY: Duration = Duration::from_secs(30);
/// ... after a burst of this many.
const FETCHES_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// No keys were fetched yet, so that no token can be validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoKeys;

/// A JWK set at a URL.
pub(crate) struct RemoteKeySet {
    url: Url,
    /// Source of the URL, for the log.
    named_by: &'static str,
    fetcher: Fetcher,
    cached: RwLock<Option<(Arc<KeySet>, Instant)>>,
    budget: DefaultDirectRateLimiter,
    /// Locked during a fetch; contains the end of the last fetch.
    fetched: Mutex<Option<Instant>>,
    refresh_after: Duration,
    wait_after: Duration,
}

impl RemoteKeySet {
    pub(crate) fn new(url: Url, named_by: &'static str, rules: OutgoingRules) -> Result<Self, reqwest::Error> {
        let fetcher = Fetcher::new(rules)?;
        let quota = Quota::with_period(FETCH_EVERY).unwrap_or(Quota::per_minute(FETCHES_AT_ONCE));
        Ok(Self {
            url,
            named_by,
            fetcher,
            cached: RwLock::default(),
            budget: RateLimiter::direct(quota.allow_burst(FETCHES_AT_ONCE)),
            fetched: Mutex::default(),
            refresh_after: REFRESH_AFTER,
            wait_after: WAIT_AFTER,
        })
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
            if age < self.wait_after {
                if age >= self.refresh_after {
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
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh_if_idle(self: Arc<Self>) {
        if let Ok(mut fetched) = self.fetched.try_lock() {
            self.fetch_within_budget(&mut fetched).await;
        }
    }

    /// Fetches the keys, unless another fetch ended after `asked`: all waiting callers use its result.
    async fn refresh(self: Arc<Self>, asked: Instant) {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_none_or(|over| over < asked) {
            self.fetch_within_budget(&mut fetched).await;
        }
    }

    async fn fetch_within_budget(&self, fetched: &mut Option<Instant>) {
        if self.budget.check().is_err() {
            return;
        }
        match self.fetch().await {
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
        *fetched = Some(Instant::now());
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        KeySet::from_jwks(&self.fetcher.get(&self.url, None).await?.into_ok_body()?)
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
        Arc::new(RemoteKeySet {
            refresh_after,
            wait_after,
            ..RemoteKeySet::new(url.clone(), "a test", OutgoingRules::default().with_trusted_host(&url)).unwrap()
        })
    }

    async fn has(remote: &Arc<RemoteKeySet>, id: &str) -> bool {
        let keys = remote.keys(Some(id), Algorithm::EdDSA).await.unwrap();
        keys.matching_keys(Some(id), Algorithm::EdDSA).next().is_some()
    }

    #[actix_web::test]
    async fn old_keys_are_used_while_new_ones_are_fetched() {
        let (url, requests) = server(vec![jwks("old"), jwks("new")]);
        let remote = remote(url, Duration::ZERO, WAIT_AFTER);
        assert!(has(&remote, "old").await);
        assert!(has(&remote, "old").await);
        while remote.cached().unwrap().0.matching_keys(Some("new"), Algorithm::EdDSA).next().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(requests.load(Ordering::SeqCst), 2);
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
        let remote = remote(url, REFRESH_AFTER, WAIT_AFTER);
        let wait = || remote.keys(Some("one"), Algorithm::EdDSA);
        let found = futures_util::future::join_all((0..10).map(|_| wait())).await;
        assert!(found.iter().all(|found| found.as_ref().is_err_and(|none| *none == NoKeys)));
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        assert!(wait().await.is_ok());
    }

    #[actix_web::test]
    async fn unknown_ids_cause_few_fetches() {
        let (url, requests) = server(vec![jwks("one")]);
        let remote = remote(url, REFRESH_AFTER, WAIT_AFTER);
        for at in 0..50 {
            assert!(!has(&remote, &format!("unknown-{at}")).await);
        }
        assert_eq!(requests.load(Ordering::SeqCst), 3);
        assert!(has(&remote, "one").await);
    }
}
