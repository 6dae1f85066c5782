//! State shared by all requests.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::metrics::Metrics;
use super::network::Network;
use super::public_url::PublicUrl;
use super::usage::{FeedUse, KeyUse};
use crate::auth::jwt::{SigningKey, UserTokens};
use crate::auth::oidc::RelyingParty;
use crate::error::{Error, Reason, Result};
use crate::provisioning::scope::{self, Scope, TokenRow};
use crate::scim::cursor::CursorSecret;
use crate::settings::Settings;
use crate::settings::SsoSettings;
use crate::store::{Snapshot, Store};
use crate::tls::CertificateExpiry;
use crate::web::blocking::run_blocking;
use crate::web::call_log::CallActivity;
use crate::web::login_throttle::LoginThrottle;
use crate::web::manual_backup::ManualBackup;
use crate::web::password_hashing::PasswordHashing;

/// How long a read may wait for a thread. After that time the client has timed out or will retry.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);

/// Cached client of the current OpenID provider with its revision; replaced after every change of the configuration.
#[derive(Default)]
pub struct SsoClientCache(pub(super) RwLock<Option<(i64, Arc<RelyingParty>)>>);

/// How callers of the management API are authenticated, in addition to the rows of the database.
pub struct CallerAuthentication {
    /// Signs and verifies tokens issued by this server.
    pub signing_key: SigningKey,
    /// Verifies user tokens of the operator's identity system, if configured.
    pub user_tokens: Option<UserTokens>,
    /// Origins that may call from a browser (CORS).
    pub allowed_origins: Vec<String>,
    /// OpenID provider of the portal, if it is defined in the settings.
    pub sso_provider: Option<SsoSettings>,
}

/// State shared by all workers.
pub struct AppState {
    /// The database.
    pub store: Store,
    /// Public URL of the server.
    pub public: PublicUrl,
    /// Key that authenticates cursors.
    pub cursor_secret: CursorSecret,
    /// How callers of the management API are authenticated.
    pub authentication: CallerAuthentication,
    /// Trusted proxies, connections and rate limits.
    pub network: Network,
    /// Last use of API keys, not yet stored.
    pub key_use: KeyUse,
    /// Positions of event feed readers, not yet stored.
    pub feed_use: FeedUse,
    /// Logged calls and last-seen times, not yet stored.
    pub activity: CallActivity,
    /// Limits of failed token, password and sign-in attempts.
    pub login_throttle: LoginThrottle,
    /// True once the server stops; ends long polls.
    pub stopping: watch::Sender<bool>,
    /// Limits of concurrent password hashing.
    pub hashing: PasswordHashing,
    /// Client of the OpenID provider.
    pub sso: SsoClientCache,
    /// Metrics.
    pub metrics: Metrics,
    /// State of the manual backup.
    pub manual_backup: Arc<ManualBackup>,
    /// Expiry of the certificate, if the server terminates TLS.
    pub certificate: Option<CertificateExpiry>,
    /// Settings at start.
    pub settings: Settings,
    /// Cached scopes by configuration key, with their revision.
    scopes: RwLock<HashMap<i64, (i64, Scope)>>,
}

impl AppState {
    /// Creates the state for an open store.
    pub fn new(
        store: Store,
        public: PublicUrl,
        cursor_secret: CursorSecret,
        authentication: CallerAuthentication,
        settings: Settings,
        certificate: Option<CertificateExpiry>,
    ) -> Self {
        let network = Network::new(&settings);
        Self {
            store,
            public,
            cursor_secret,
            authentication,
            network,
            key_use: KeyUse::default(),
            feed_use: FeedUse::default(),
            activity: CallActivity::default(),
            login_throttle: LoginThrottle::default(),
            stopping: watch::Sender::new(false),
            hashing: PasswordHashing::default(),
            sso: SsoClientCache::default(),
            metrics: Metrics::default(),
            manual_backup: Arc::default(),
            certificate,
            settings,
            scopes: RwLock::default(),
        }
    }

    /// Returns the current public URL, without a trailing slash.
    pub fn public_url(&self) -> Arc<str> {
        self.public.documents().url.clone()
    }

    /// Returns the scope of a valid token. It is read again if the revision of the configuration has changed, so that a
    /// change takes effect with the next request.
    ///
    /// # Errors
    /// `NotFound` if the configuration no longer exists; errors of the store.
    pub fn scope(&self, at: &Snapshot<'_>, token: &TokenRow) -> Result<Scope> {
        let cached = self.scopes.read().unwrap_or_else(PoisonError::into_inner).get(&token.configuration).cloned();
        if let Some((_, scope)) = cached.filter(|(revision, _)| *revision == token.revision) {
            return Ok(scope);
        }
        let (revision, scope) = scope::load_token_scope(at, token)?;
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(scope.configuration, (revision, scope.clone()));
        Ok(scope)
    }
}

/// Runs a read off the event loop, with a limit on the waiting time.
///
/// # Errors
/// `Unavailable` if no thread was available in time; errors of `read`.
pub(super) async fn read_blocking<T: Send + 'static>(
    state: &AppState,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (store, queued) = (state.store.clone(), Instant::now());
    let read =
        move || if queued.elapsed() > READ_WAIT_MAX { Err(Reason::ServerBusy.into()) } else { store.read_pooled(read) };
    run_blocking(read).await.map_err(|_| Error::from(Reason::ServerBusy))?
}
