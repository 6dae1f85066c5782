//! The keys of an identity system, fetched from its JWK set: when they are needed, seldom, and one fetch for all who
//! wait. What was good is kept until something better comes.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::Algorithm;
use reqwest::Url;
use tokio::sync::Mutex;

use super::keys::KeySet;
use crate::fetch::Fetcher;

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
    /// Who named the address, for the log.
    named_by: &'static str,
    fetcher: Fetcher,
    known: RwLock<Option<(Arc<KeySet>, Instant)>>,
    budget: DefaultDirectRateLimiter,
    /// Held while somebody fetches; when that was last over.
    fetched: Mutex<Option<Instant>>,
    refresh_after: Duration,
    wait_after: Duration,
}

impl Remote {
    pub(super) fn new(url: Url, named_by: &'static str) -> Result<Self, reqwest::Error> {
        // Whoever named the address took http for this machine only.
        let fetcher = Fetcher::new(url.scheme() != "https")?;
        let quota = Quota::with_period(FETCH_EVERY).unwrap_or(Quota::per_minute(FETCHES_AT_ONCE));
        Ok(Self {
            url,
            named_by,
            fetcher,
            known: RwLock::default(),
            budget: RateLimiter::direct(quota.allow_burst(FETCHES_AT_ONCE)),
            fetched: Mutex::default(),
            refresh_after: REFRESH_AFTER,
            wait_after: WAIT_AFTER,
        })
    }

    /// The keys for a token with that `kid` and algorithm, fetched where the known ones are old or have none that fits.
    pub(super) async fn keys(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, NoKeys> {
        let is_known = |keys: &KeySet| keys.fitting(id, algorithm).next().is_some();
        if let Some((keys, since)) = self.known().filter(|(keys, _)| is_known(keys)) {
            let age = since.elapsed();
            if age < self.wait_after {
                if age >= self.refresh_after {
                    drop(tokio::spawn(Arc::clone(self).refresh_if_nobody_does()));
                }
                return Ok(keys);
            }
        }
        // A task of its own: a caller who hangs up does not end it for those who wait with him.
        if tokio::spawn(Arc::clone(self).refresh(Instant::now())).await.is_err() {
            tracing::error!("fetching the keys of the identity system broke off");
        }
        self.known().map(|(keys, _)| keys).ok_or(NoKeys)
    }

    fn known(&self) -> Option<(Arc<KeySet>, Instant)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh_if_nobody_does(self: Arc<Self>) {
        if let Ok(mut fetched) = self.fetched.try_lock() {
            self.fetch_within_budget(&mut fetched).await;
        }
    }

    /// Fetches, unless another fetch was over after `asked`: its outcome serves all who waited.
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
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Some((Arc::new(keys), Instant::now()));
            }
            Err(problem) => tracing::warn!(
                problem,
                named_by = self.named_by,
                "the keys of an identity system could not be fetched; those known before stay good"
            ),
        }
        *fetched = Some(Instant::now());
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        KeySet::from_jwks(&self.fetcher.get(&self.url, None).await?.ok()?)
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

    /// A server whose n-th answer is the n-th set, and the last one from then on. It goes with the test process.
    fn server(sets: Vec<Value>) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
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
        (url, asked)
    }

    fn remote(url: Url, refresh_after: Duration, wait_after: Duration) -> Arc<Remote> {
        Arc::new(Remote { refresh_after, wait_after, ..Remote::new(url, "a test").unwrap() })
    }

    async fn has(remote: &Arc<Remote>, id: &str) -> bool {
        let keys = remote.keys(Some(id), Algorithm::EdDSA).await.unwrap();
        keys.fitting(Some(id), Algorithm::EdDSA).next().is_some()
    }

    #[actix_web::test]
    async fn old_keys_serve_while_they_are_fetched_again() {
        let (url, asked) = server(vec![jwks("old"), jwks("new")]);
        let remote = remote(url, Duration::ZERO, WAIT_AFTER);
        assert!(has(&remote, "old").await);
        assert!(has(&remote, "old").await);
        while remote.known().unwrap().0.fitting(Some("new"), Algorithm::EdDSA).next().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[actix_web::test]
    async fn a_key_that_was_withdrawn_long_ago_does_not_open_once_more() {
        let (url, _) = server(vec![jwks("old"), jwks("new")]);
        let remote = remote(url, Duration::ZERO, Duration::ZERO);
        assert!(has(&remote, "old").await);
        assert!(!has(&remote, "old").await);
    }

    #[actix_web::test]
    async fn all_who_wait_share_one_fetch_even_one_that_fails() {
        let (url, asked) = server(vec![json!({"keys": []}), jwks("one")]);
        let remote = remote(url, REFRESH_AFTER, WAIT_AFTER);
        let wait = || remote.keys(Some("one"), Algorithm::EdDSA);
        let found = futures_util::future::join_all((0..10).map(|_| wait())).await;
        assert!(found.iter().all(|found| found.as_ref().is_err_and(|none| *none == NoKeys)));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(wait().await.is_ok());
    }

    #[actix_web::test]
    async fn unknown_ids_cause_few_fetches() {
        let (url, asked) = server(vec![jwks("one")]);
        let remote = remote(url, REFRESH_AFTER, WAIT_AFTER);
        for at in 0..50 {
            assert!(!has(&remote, &format!("unknown-{at}")).await);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert!(has(&remote, "one").await);
    }
}
