//! State shared by all requests.

pub mod discovery_cache;
pub mod unconfirmed_creates;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::watch;

use super::metrics::Metrics;
use super::network::Network;
use super::public_url::PublicUrl;
use super::usage::UsageRecorders;
use crate::auth::jwt::{ClientKeys, SigningKey, UserTokens};
use crate::auth::oidc::RelyingParty;
use crate::delivery::Delivery;
use crate::error::Result;
use crate::management::idempotency::RunningCalls;
use crate::model::rights::AccessRights;
use crate::outgoing::OutgoingRules;
use crate::provisioning::scope::{self, Scope, TokenRow};
use crate::replica::lease::{LeaseStatus, LeaseView};
use crate::replica::{ReplicaFigures, ReplicaStatus};
use crate::scim::cursor::CursorSecret;
use crate::settings::Settings;
use crate::store::{Snapshot, Store, WritePermit};
use crate::tls::CertificateExpiry;
use crate::web::login_throttle::LoginThrottle;
use crate::web::manual_backup::ManualBackup;
use crate::web::navigation_badges::BadgeCache;
use crate::web::password_hashing::PasswordHashing;
use crate::web::state::discovery_cache::DiscoveryCache;
use crate::web::state::unconfirmed_creates::UnconfirmedCreates;
use crate::web::used_attempts::UsedAttempts;

/// State shared by all workers, in parts. A function that needs one part takes that part.
pub struct AppState {
    /// The database.
    pub store: Store,
    /// Trusted proxies, connections and rate limits.
    pub network: Network,
    /// Keys that sign and verify.
    pub signing: Signing,
    /// Limits of attempts that cost time or guess a secret, and of expensive requests.
    pub limits: AttemptLimits,
    /// Uses recorded in memory, not yet stored.
    pub usage: UsageRecorders,
    /// Calls with an `Idempotency-Key` that run at present.
    pub running_calls: RunningCalls,
    /// Metrics.
    pub metrics: Metrics,
    /// Settings and life of the server.
    pub server: ServerContext,
    /// Client of the OpenID provider.
    pub sso: SsoClientCache,
    /// Cached scopes.
    pub scopes: ScopeCache,
    /// Resources that were created, but not confirmed by the replica.
    pub unconfirmed: UnconfirmedCreates,
    /// Cached discovery documents.
    pub discovery: DiscoveryCache,
    /// Sends events to webhooks.
    pub delivery: Delivery,
    /// Keys that verify the assertions of OAuth clients.
    pub client_keys: ClientKeys,
    /// Numbers in the navigation of the portal.
    pub(crate) badges: BadgeCache,
}

impl AppState {
    /// Creates the state for an open store.
    pub fn new(store: Store, signing: Signing, server: ServerContext, delivery: Delivery) -> Self {
        Self {
            client_keys: ClientKeys::new(server.outgoing.clone()),
            delivery,
            store,
            network: Network::new(&server.settings),
            signing,
            limits: AttemptLimits::default(),
            usage: UsageRecorders::default(),
            running_calls: RunningCalls::default(),
            metrics: Metrics::default(),
            server,
            sso: SsoClientCache::default(),
            scopes: ScopeCache::default(),
            unconfirmed: UnconfirmedCreates::default(),
            discovery: DiscoveryCache::default(),
            badges: BadgeCache::default(),
        }
    }
}

/// Keys that sign and verify.
pub struct Signing {
    /// Authenticates cursors.
    pub cursor_secret: CursorSecret,
    /// Signs and verifies tokens issued by this server.
    pub key: Arc<SigningKey>,
    /// Verifies user tokens of the operator's identity system, if configured.
    pub user_tokens: Option<UserTokens>,
}

/// Limits of attempts that cost time or guess a secret, and of expensive requests.
#[derive(Default)]
pub struct AttemptLimits {
    /// Limits of failed token, password and sign-in attempts.
    pub login_throttle: LoginThrottle,
    /// Limits of concurrent password hashing.
    pub hashing: PasswordHashing,
    /// Single sign-on attempts that were completed.
    pub used_attempts: UsedAttempts,
}

/// Settings and life of the server.
pub struct ServerContext {
    /// Public URL of the server.
    pub public: PublicUrl,
    /// Settings at start.
    pub settings: Settings,
    /// Expiry of the certificate, if the server terminates TLS.
    pub certificate: Option<CertificateExpiry>,
    /// State of the manual backup.
    pub manual_backup: Arc<ManualBackup>,
    /// True once the server stops; ends long polls.
    pub stopping: watch::Sender<bool>,
    /// Which other servers may be called.
    pub outgoing: OutgoingRules,
    /// Status of the replica, if the database is replicated.
    pub replica: OnceLock<Arc<ReplicaStatus>>,
    /// The lease and until when it is held, if the server needs one.
    pub lease: OnceLock<(Arc<LeaseStatus>, Arc<WritePermit>)>,
}

impl ServerContext {
    /// Creates the context of a server that starts.
    pub fn new(public: PublicUrl, settings: Settings, certificate: Option<CertificateExpiry>) -> Self {
        let outgoing = OutgoingRules::new(&settings.outgoing_networks);
        let stopping = watch::Sender::new(false);
        Self {
            public,
            settings,
            certificate,
            manual_backup: Arc::default(),
            stopping,
            outgoing,
            replica: OnceLock::new(),
            lease: OnceLock::new(),
        }
    }

    /// Returns what is known about the lease; `None` if the server needs none.
    fn read_lease(&self) -> Option<LeaseView> {
        let (status, permit) = self.lease.get()?;
        Some(LeaseView { is_held: permit.is_valid(), ..status.read() })
    }

    /// Returns what is known about the replica; `None` if the database is not replicated.
    pub fn read_replica(&self) -> Option<ReplicaFigures> {
        self.replica.get().map(|status| ReplicaFigures { lease: self.read_lease(), ..status.read_figures() })
    }

    /// Returns the current public URL, without a trailing slash.
    pub fn public_url(&self) -> Arc<str> {
        self.public.documents().url.clone()
    }
}

/// Cached client of the current OpenID provider with its revision; replaced after every change of the configuration.
#[derive(Default)]
pub struct SsoClientCache(RwLock<Option<(i64, Arc<RelyingParty>)>>);

impl SsoClientCache {
    /// Returns the client for this revision of the configuration.
    pub fn get(&self, revision: i64) -> Option<Arc<RelyingParty>> {
        let cached = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        cached.filter(|(cached_revision, _)| *cached_revision == revision).map(|(_, party)| party)
    }

    /// Replaces the client.
    pub fn set(&self, revision: i64, party: Arc<RelyingParty>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((revision, party));
    }
}

/// Cached scopes by configuration key and rights, with their revision.
#[derive(Default)]
pub struct ScopeCache(RwLock<HashMap<(i64, AccessRights), (i64, Scope)>>);

impl ScopeCache {
    /// Returns the scope of a valid token. It is read again if the revision of the configuration has changed, so that a
    /// change takes effect with the next request.
    ///
    /// # Errors
    /// `NotFound` if the configuration no longer exists; errors of the store.
    pub fn load(&self, at: &Snapshot<'_>, token: &TokenRow) -> Result<Scope> {
        let key = (token.configuration, token.rights);
        let cached = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, scope)) = cached.filter(|(revision, _)| *revision == token.revision) {
            return Ok(scope);
        }
        let (revision, scope) = scope::load_token_scope(at, token)?;
        let mut scopes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(key, (revision, scope.clone()));
        Ok(scope)
    }
}
