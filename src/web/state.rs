//! What all requests share.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::activity::Activity;
use super::by_hand::ByHand;
use super::feed_use::FeedUse;
use super::guard::Guard;
use super::hashing::Hashing;
use super::key_use::KeyUse;
use super::metrics::Metrics;
use super::network::Network;
use super::public_url::PublicUrl;
use super::sso::Sso;
use crate::directory::Scope;
use crate::error::{Error, Result};
use crate::jwt::{SigningKey, UserTokens};
use crate::scim::cursor::Secret;
use crate::settings::Settings;
use crate::settings::SsoSettings;
use crate::store::tokens::TokenRow;
use crate::store::{Snapshot, Store, configurations};
use crate::tls::Expiry;

/// By what the callers of the management API are known, beside the rows of the database.
pub struct Callers {
    /// Signs and verifies our own tokens.
    pub signing_key: SigningKey,
    /// Takes the tokens of users, where they are taken.
    pub user_tokens: Option<UserTokens>,
    /// Origins whose pages may call from a browser.
    pub allowed_origins: Vec<String>,
    /// The provider that people of the portal sign in through, where the settings name it.
    pub provider: Option<SsoSettings>,
}

/// Shared by all workers.
pub struct State {
    /// The database.
    pub store: Store,
    /// Where the outside world reaches the server.
    pub public: PublicUrl,
    /// What cursors are authenticated with.
    pub cursor_secret: Secret,
    /// By what callers of the management API are known.
    pub callers: Callers,
    /// What stands between a caller and a request.
    pub network: Network,
    /// Which API keys were used when, until it is written down.
    pub key_use: KeyUse,
    /// How far the event feed was read, until it is written down.
    pub feed_use: FeedUse,
    /// Who called when, until it is written down.
    pub activity: Activity,
    /// Who guesses tokens.
    pub guard: Guard,
    /// True once the server stops: who waits for something then waits no longer.
    pub stopping: watch::Sender<bool>,
    /// Turns for hashing passwords.
    pub hashing: Hashing,
    /// The provider that people sign in through.
    pub sso: Sso,
    /// What is counted for monitors.
    pub metrics: Metrics,
    /// The backup that somebody asked for.
    pub by_hand: ByHand,
    /// When the certificate ends, where the server speaks TLS.
    pub certificate: Option<Expiry>,
    /// What the process was told at start.
    pub settings: Settings,
    /// Scopes by row of the configuration, with the revision they were read at.
    scopes: RwLock<HashMap<i64, (i64, Scope)>>,
}

impl State {
    /// State over an open store.
    pub fn new(
        store: Store,
        public: PublicUrl,
        cursor_secret: Secret,
        callers: Callers,
        settings: Settings,
        certificate: Option<Expiry>,
    ) -> Self {
        let network = Network::new(&settings);
        Self {
            store,
            public,
            cursor_secret,
            callers,
            network,
            key_use: KeyUse::default(),
            feed_use: FeedUse::default(),
            activity: Activity::default(),
            guard: Guard::default(),
            stopping: watch::Sender::new(false),
            hashing: Hashing::default(),
            sso: Sso::default(),
            metrics: Metrics::default(),
            by_hand: ByHand::default(),
            certificate,
            settings,
            scopes: RwLock::default(),
        }
    }

    /// URL at which identity providers reach the server at present, without a slash at the end.
    pub fn public_url(&self) -> Arc<str> {
        self.public.outside().url.clone()
    }

    /// The scope that a live token opens. Switches are read again when the configuration's revision has moved,
    /// so a change takes effect with the next request.
    pub fn scope(&self, at: &Snapshot<'_>, token: &TokenRow) -> Result<Scope> {
        let known = self.scopes.read().unwrap_or_else(PoisonError::into_inner).get(&token.configuration).cloned();
        if let Some((_, scope)) = known.filter(|(revision, _)| *revision == token.revision) {
            return Ok(scope);
        }
        let found = configurations::by_id(at, &token.configuration_id)?
            .ok_or_else(|| Error::NotFound("the configuration is gone".to_owned()))?;
        let (key, revision) = (found.key, found.revision);
        let scope = Scope::of(at, found)?;
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(key, (revision, scope.clone()));
        Ok(scope)
    }
}
