//! Overview of configurations for lists: provider, status, and number of users and groups.

use crate::clock::Millis;
use crate::diagnosis::connection_status::ConnectionStatus;
use crate::error::Result;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::request::CallHealth;
use crate::providers::{self, IdentityProvider};
use crate::store::Snapshot;
use crate::store::tables::{configurations as rows, counts, request_log};

/// A configuration with its provider, health, status and counts.
#[derive(Debug, Clone)]
pub struct ConfigurationOverview {
    /// The configuration.
    pub configuration: Configuration,
    /// Its provider.
    pub provider: &'static IdentityProvider,
    /// Health from its recent calls.
    pub health: CallHealth,
    /// Status.
    pub status: ConnectionStatus,
    /// Number of users.
    pub users: i64,
    /// Number of groups.
    pub groups: i64,
}

impl ConfigurationOverview {
    /// Returns the overview of a configuration at `now`.
    pub fn load(at: &Snapshot<'_>, configuration: Configuration, now: Millis) -> Result<Self> {
        let provider = providers::provider_of_configuration(&configuration);
        let health = request_log::load_health(at, configuration.key)?.unwrap_or_default();
        let status = ConnectionStatus::from_health(&configuration, &health, provider, now);
        let users = counts::count_resources(at, configuration.key, "User")?;
        let groups = counts::count_resources(at, configuration.key, "Group")?;
        Ok(Self { configuration, provider, health, status, users, groups })
    }
}

/// Returns the number of configurations for each status.
pub fn count_by_status(at: &Snapshot<'_>, now: Millis) -> Result<Vec<(ConnectionStatus, u64)>> {
    let mut counted: Vec<(ConnectionStatus, u64)> =
        ConnectionStatus::ALL.into_iter().map(|status| (status, 0)).collect();
    for configuration in rows::list_configurations(at, None)? {
        let health = request_log::load_health(at, configuration.key)?.unwrap_or_default();
        let status = ConnectionStatus::from_health(
            &configuration,
            &health,
            providers::provider_of_configuration(&configuration),
            now,
        );
        if let Some((_, count)) = counted.iter_mut().find(|(key, _)| *key == status) {
            *count += 1;
        }
    }
    Ok(counted)
}

/// Filter for configurations. An empty field matches all.
#[derive(Debug, Clone, Default)]
pub struct OverviewQuery {
    /// Part of the name or of the account id, case-insensitive.
    pub text: String,
    /// Key of a [`ConnectionStatus`].
    pub status: String,
    /// Key of a [`crate::providers::IdentityProvider`].
    pub provider: String,
}

impl OverviewQuery {
    fn matches(&self, one: &ConfigurationOverview) -> bool {
        let text = self.text.trim().to_lowercase();
        let has = |value: &str| value.to_lowercase().contains(&text);
        (text.is_empty() || has(&one.configuration.connection_name) || has(&one.configuration.account))
            && (self.status.is_empty() || self.status == one.status.key())
            && (self.provider.is_empty() || self.provider == one.provider.key)
    }
}

/// Returns the configurations of the account scope that match the query, ordered by account and name.
pub fn list_overviews(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    query: &OverviewQuery,
    now: Millis,
) -> Result<Vec<ConfigurationOverview>> {
    let mut found = Vec::new();
    for configuration in rows::list_configurations(at, scope.filter(None).as_ref())? {
        let one = ConfigurationOverview::load(at, configuration, now)?;
        if query.matches(&one) {
            found.push(one);
        }
    }
    found.sort_by_cached_key(|one| {
        (one.configuration.account.to_lowercase(), one.configuration.connection_name.to_lowercase())
    });
    Ok(found)
}
