//! The OpenID provider of the portal and its client.

use std::sync::Arc;

use crate::auth::jwt::SigningKey;
use crate::auth::oidc::{Registration, RelyingParty};
use crate::auth::secret::sealed::Sealer;
use crate::error::{Error, Reason, Result};
use crate::management::sso::{self, StoredProvider};
use crate::model::sso::ProviderConfiguration;
use crate::outgoing::OutgoingRules;
use crate::settings::SsoSettings;
use crate::web::state::AppState;
use crate::web::state::ServerContext;

/// Purpose of the sealed client secret.
const SECRET_PURPOSE: &str = "client secret of single sign-on";

/// The configured provider with its client.
#[derive(Clone)]
pub struct SsoProvider {
    /// Configuration of the provider.
    pub provider_configuration: ProviderConfiguration,
    /// Incremented with every change of the configuration.
    pub revision: i64,
    /// The client.
    pub party: Arc<RelyingParty>,
}

/// Path of the redirect URI, below the public URL.
pub const CALLBACK_PATH: &str = "/login/sso/callback";

/// Returns the redirect URI to register at the provider.
pub fn redirect_uri(server: &ServerContext) -> String {
    format!("{}{CALLBACK_PATH}", server.public_url())
}

/// Returns the sealer of the client secret, bound to this issuer and to the key in the data folder.
pub fn client_secret_sealer(key: &SigningKey, issuer: &str) -> Sealer {
    key.sealer(SECRET_PURPOSE, issuer)
}

/// Returns the stored configuration, if there is one. A provider in the settings overrides it and is always enabled.
pub fn load_configuration(state: &AppState) -> Result<Option<StoredProvider>> {
    let stored = state.store.read_inline(sso::find_provider)?;
    let Some(settings) = &state.server.settings.sso else { return Ok(stored) };
    let stored = stored.unwrap_or_else(|| StoredProvider {
        provider_configuration: ProviderConfiguration::defaults(),
        client_secret: None,
        revision: 0,
    });
    Ok(Some(StoredProvider {
        provider_configuration: apply_settings(stored.provider_configuration, settings),
        client_secret: None,
        revision: stored.revision,
    }))
}

/// Returns which servers may be called for a provider. An issuer of the settings may have any address.
pub fn outgoing_rules(state: &AppState, issuer: &str) -> OutgoingRules {
    let settings = &state.server.settings;
    let rules = &state.server.outgoing;
    let trusted = settings.sso.as_ref().filter(|given| given.issuer == issuer).and_then(|_| issuer.parse().ok());
    trusted.map_or_else(|| rules.clone(), |url| rules.with_trusted_host(&url))
}

/// Overrides a stored configuration with the values of the settings.
pub fn apply_settings(provider_configuration: ProviderConfiguration, settings: &SsoSettings) -> ProviderConfiguration {
    ProviderConfiguration {
        is_on: true,
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        ..provider_configuration
    }
}

/// Returns the configured provider, if there is one. Its `is_on` flag decides whether admins may sign in through it.
///
/// # Errors
/// `Invalid` if the client secret cannot be decrypted or the client cannot be created; errors of the store.
pub fn load_provider(state: &AppState) -> Result<Option<SsoProvider>> {
    let Some(StoredProvider { provider_configuration, client_secret, revision }) = load_configuration(state)? else {
        return Ok(None);
    };
    if let Some(party) = state.sso.get(revision) {
        return Ok(Some(SsoProvider { provider_configuration, revision, party }));
    }
    let opened = client_secret.map(|sealed| {
        let opened = client_secret_sealer(&state.signing.key, &provider_configuration.issuer)
            .open(&sealed)
            .and_then(|bytes| String::from_utf8(bytes).ok());
        opened.ok_or_else(|| Error::from(Reason::SsoSecretSealed))
    });
    let from_settings = state.server.settings.sso.as_ref().and_then(|settings| settings.client_secret.clone());
    let registration = Registration {
        issuer: provider_configuration.issuer.clone(),
        client_id: provider_configuration.client_id.clone(),
        client_secret: opened.transpose()?.or(from_settings),
        scopes: provider_configuration.scopes.clone(),
        role_claim: provider_configuration.role_claim.clone(),
        required_acr: provider_configuration.required_acr.clone(),
        required_amr: provider_configuration.required_amr.clone(),
    };
    let party = RelyingParty::new(registration, outgoing_rules(state, &provider_configuration.issuer));
    let party = Arc::new(party.map_err(|problem| Reason::SsoProviderUnusable.with("problem", problem))?);
    state.sso.set(revision, Arc::clone(&party));
    Ok(Some(SsoProvider { provider_configuration, revision, party }))
}
