//! Overview of configurations for lists: provider, status, and number of users and groups.

use crate::clock::Millis;
use crate::diagnosis::connection_status::{ConnectionStatus, RejectedAttempt, StatusFacts};
use crate::error::Result;
use crate::management::accounts;
use crate::management::webhooks::lanes;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::request::CallHealth;
use crate::model::webhook::DeliveryHealth;
use crate::providers::{self, IdentityProvider};
use crate::store::Snapshot;
use crate::store::tables::{configurations as rows, counts, request_log};

/// A configuration with its provider, health, status and counts.
#[derive(Debug, Clone)]
pub struct ConfigurationOverview {
    /// The configuration.
    pub configuration: Configuration,
    /// Name of its account.
    pub account_name: String,
    /// Its provider.
    pub provider: &'static IdentityProvider,
    /// Health from its recent calls.
    pub health: CallHealth,
    /// The last request, if none had a valid token yet.
    pub attempt: Option<RejectedAttempt>,
    /// Health of the deliveries of its events.
    pub deliveries: DeliveryHealth,
    /// Status.
    pub status: ConnectionStatus,
    /// Number of users.
    pub users: i64,
    /// Number of groups.
    pub groups: i64,
}

impl ConfigurationOverview {
    /// Returns the overview of a configuration at `now`, with the deliveries to the webhooks that the account scope covers.
    pub fn load(at: &Snapshot<'_>, scope: &AccountScope, configuration: Configuration, now: Millis) -> Result<Self> {
        let deliveries = lanes::find_delivery_health(at, scope, configuration.key, now)?;
        Self::load_with(at, configuration, deliveries, now)
    }

    fn load_with(
        at: &Snapshot<'_>,
        configuration: Configuration,
        deliveries: DeliveryHealth,
        now: Millis,
    ) -> Result<Self> {
        let provider = providers::provider_of_configuration(&configuration);
        let health = request_log::load_health(at, configuration.key)?.unwrap_or_default();
        let attempt = find_attempt(at, &configuration)?;
        let facts = StatusFacts {
            configuration: &configuration,
            calls: &health,
            attempt,
            deliveries: &deliveries,
            provider,
            now,
        };
        let status = ConnectionStatus::from_facts(&facts);
        let account_name = accounts::find_name(at, &configuration.account)?;
        let users = counts::count_resources(at, configuration.key, "User")?;
        let groups = counts::count_resources(at, configuration.key, "Group")?;
        Ok(Self { configuration, account_name, provider, health, attempt, deliveries, status, users, groups })
    }

    /// Returns a sentence with the reason of the status and the next step.
    pub fn describe_status(&self, now: Millis) -> String {
        self.status.describe(&StatusFacts {
            configuration: &self.configuration,
            calls: &self.health,
            attempt: self.attempt,
            deliveries: &self.deliveries,
            provider: self.provider,
            now,
        })
    }
}

/// The last request to a configuration that never got one with a valid token.
fn find_attempt(at: &Snapshot<'_>, configuration: &Configuration) -> Result<Option<RejectedAttempt>> {
    if configuration.last_seen.is_some() {
        return Ok(None);
    }
    let found = request_log::find_newest_request(at, configuration.key)?;
    Ok(found.map(|call| RejectedAttempt { at: call.at, cause: call.failure_cause() }))
}

/// Returns the number of configurations for each status.
pub fn count_by_status(at: &Snapshot<'_>, now: Millis) -> Result<Vec<(ConnectionStatus, u64)>> {
    let mut counted: Vec<(ConnectionStatus, u64)> =
        ConnectionStatus::ALL.into_iter().map(|status| (status, 0)).collect();
    let deliveries = lanes::list_delivery_health(at, &AccountScope::AllAccounts, now)?;
    for configuration in rows::list_configurations(at, None)? {
        let health = request_log::load_health(at, configuration.key)?.unwrap_or_default();
        let status = ConnectionStatus::from_facts(&StatusFacts {
            configuration: &configuration,
            calls: &health,
            attempt: None,
            deliveries: &deliveries.get(&configuration.key).copied().unwrap_or_default(),
            provider: providers::provider_of_configuration(&configuration),
            now,
        });
        if let Some((_, count)) = counted.iter_mut().find(|(key, _)| *key == status) {
            *count += 1;
        }
    }
    Ok(counted)
}

/// Returns the number of these configurations for each status, worst first.
pub fn count_states(found: &[ConfigurationOverview]) -> Vec<(ConnectionStatus, usize)> {
    let count = |status| found.iter().filter(|one| one.status == status).count();
    ConnectionStatus::ALL.map(|status| (status, count(status))).to_vec()
}

/// Filter for configurations. An empty field matches all.
#[derive(Debug, Clone, Default)]
pub struct OverviewQuery {
    /// Part of the name, or of the id or the name of the account, case-insensitive.
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
        (text.is_empty()
            || has(&one.configuration.connection_name)
            || has(&one.configuration.account)
            || has(&one.account_name))
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
    let deliveries = lanes::list_delivery_health(at, scope, now)?;
    for configuration in rows::list_configurations(at, scope.filter(None).as_ref())? {
        let own = deliveries.get(&configuration.key).copied().unwrap_or_default();
        let one = ConfigurationOverview::load_with(at, configuration, own, now)?;
        if query.matches(&one) {
            found.push(one);
        }
    }
    found.sort_by_cached_key(|one| {
        (one.configuration.account.to_lowercase(), one.configuration.connection_name.to_lowercase())
    });
    Ok(found)
}
