//! The keys that verify the assertions of OAuth clients. Customers enter where they are, so each client has its own limits.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use url::Url;

use crate::auth::fetch::Fetcher;
use crate::auth::jwt::key_location::KeyLocation;
use crate::auth::jwt::keys::KeySet;
use crate::auth::jwt::remote_keys::{KeyPolicy, RemoteKeySet};
use crate::error::{Error, Reason, Result};
use crate::model::oauth::OauthClient;
use crate::outgoing::OutgoingRules;

/// Keys are refreshed every hour, and used for a day while the issuer does not answer.
const CLIENT_POLICY: KeyPolicy = KeyPolicy {
    refresh_after: Duration::from_mins(50),
    wait_after: Duration::from_hours(1),
    unusable_after: Some(Duration::from_hours(24)),
    fetch_every: Duration::from_secs(10),
    fetches_at_once: NonZeroU32::MIN,
    counts_first: false,
    fetches_per_hour: Some(NonZeroU32::MIN.saturating_add(19)),
};
/// Most key sets in memory. Beyond it, any of them is forgotten and fetched again.
const KEY_SETS_MAX: usize = 1_000;
/// Keys that may fit an assertion without `kid`: it must be clear which one signed it.
const KEYS_WITHOUT_ID_MAX: usize = 1;

/// The keys of a client: its key, and what describes where they are.
type KeySetId = (i64, String);

/// Key sets of OAuth clients.
pub struct ClientKeys {
    rules: OutgoingRules,
    fetcher: OnceLock<Option<Arc<Fetcher>>>,
    remote: Mutex<HashMap<KeySetId, Arc<RemoteKeySet>>>,
}

impl ClientKeys {
    /// Creates an empty collection; keys are fetched by these rules.
    pub fn new(rules: OutgoingRules) -> Self {
        Self { rules, fetcher: OnceLock::new(), remote: Mutex::default() }
    }

    /// Returns the keys of a client that may have signed an assertion with that `kid` and algorithm.
    ///
    /// # Errors
    /// `IssuerKeysUnavailable` if they cannot be fetched. `AssertionKeyUnknown` if none fits, or several do without a `kid`.
    pub(super) async fn find_keys(
        &self,
        client: &OauthClient,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<KeySet>> {
        let keys = if let Some(own) = &client.assertions.jwks {
            Arc::new(KeySet::from_jwks(own.as_bytes()).map_err(report_unavailable)?)
        } else {
            let remote = self.find_remote(client)?;
            remote.keys(kid, algorithm).await.map_err(|_| {
                report_unavailable(remote.last_problem().unwrap_or_else(|| "too many attempts; wait".to_owned()))
            })?
        };
        let count = keys.matching_keys(kid, algorithm).count();
        if count == 0 || (kid.is_none() && count > KEYS_WITHOUT_ID_MAX) {
            let kid: String = kid.unwrap_or("none").chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(Reason::AssertionKeyUnknown.with("kid", kid));
        }
        Ok(keys)
    }

    fn find_remote(&self, client: &OauthClient) -> Result<Arc<RemoteKeySet>> {
        let source = &client.assertions;
        let location = match (&source.jwks_url, &source.issuer) {
            (Some(url), _) => {
                KeyLocation::Url(Url::parse(url).map_err(|problem| report_unavailable(problem.to_string()))?)
            }
            (None, Some(issuer)) => KeyLocation::Issuer(issuer.clone()),
            (None, None) => return Err(report_unavailable("the client has no URL of keys".to_owned())),
        };
        let fetcher = self.fetcher.get_or_init(|| match Fetcher::new(self.rules.clone()) {
            Ok(fetcher) => Some(Arc::new(fetcher)),
            Err(problem) => {
                tracing::error!(%problem, "the keys of OAuth clients cannot be fetched");
                None
            }
        });
        let Some(fetcher) = fetcher else {
            return Err(report_unavailable("the root certificates of the system cannot be used".to_owned()));
        };
        let id = (client.key, format!("{location:?}"));
        let mut remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if remote.len() >= KEY_SETS_MAX && !remote.contains_key(&id) {
            let forgotten = remote.keys().next().cloned();
            forgotten.and_then(|forgotten| remote.remove(&forgotten));
        }
        let found = remote.entry(id).or_insert_with(|| {
            Arc::new(RemoteKeySet::with_policy(location, "an OAuth client", Arc::clone(fetcher), CLIENT_POLICY))
        });
        Ok(Arc::clone(found))
    }
}

fn report_unavailable(problem: String) -> Error {
    Reason::IssuerKeysUnavailable.with("problem", problem)
}
