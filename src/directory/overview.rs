//! Configurations as people see them in a list: with their provider, how they stand, and what they hold.

use crate::clock::Millis;
use crate::error::Result;
use crate::model::actor::Reach;
use crate::model::configuration::Configuration;
use crate::model::provider::{self, Provider};
use crate::model::request::Health;
use crate::model::standing::Standing;
use crate::store::{Snapshot, configurations as rows, counts, requests};

/// A configuration with what belongs beside it.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The configuration.
    pub configuration: Configuration,
    /// Its provider.
    pub provider: &'static Provider,
    /// How its last calls went.
    pub health: Health,
    /// How it stands.
    pub standing: Standing,
    /// How many users it has.
    pub users: i64,
    /// How many groups it has.
    pub groups: i64,
}

impl Overview {
    /// What belongs to a configuration at that time.
    ///
    /// # Errors
    /// What the store says.
    pub fn of(at: &Snapshot<'_>, configuration: Configuration, now: Millis) -> Result<Self> {
        let provider = provider::of(&configuration);
        let health = requests::health(at, configuration.key)?.unwrap_or_default();
        let standing = Standing::of(&configuration, &health, provider, now);
        let users = counts::total(at, configuration.key, "User")?;
        let groups = counts::total(at, configuration.key, "Group")?;
        Ok(Self { configuration, provider, health, standing, users, groups })
    }
}

/// How many configurations stand how.
///
/// # Errors
/// What the store says.
pub fn standings(at: &Snapshot<'_>, now: Millis) -> Result<Vec<(Standing, u64)>> {
    let mut counted: Vec<(Standing, u64)> = Standing::ALL.into_iter().map(|standing| (standing, 0)).collect();
    for configuration in rows::list(at, None)? {
        let health = requests::health(at, configuration.key)?.unwrap_or_default();
        let standing = Standing::of(&configuration, &health, provider::of(&configuration), now);
        if let Some((_, count)) = counted.iter_mut().find(|(known, _)| *known == standing) {
            *count += 1;
        }
    }
    Ok(counted)
}

/// Which configurations are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Part of the name or of the account's id, whatever the case.
    pub text: String,
    /// Word of a [`Standing`].
    pub standing: String,
    /// Word of a [`Provider`].
    pub provider: String,
}

impl Wanted {
    fn takes(&self, one: &Overview) -> bool {
        let text = self.text.trim().to_lowercase();
        let has = |value: &str| value.to_lowercase().contains(&text);
        (text.is_empty() || has(&one.configuration.connection_name) || has(&one.configuration.account))
            && (self.standing.is_empty() || self.standing == one.standing.key())
            && (self.provider.is_empty() || self.provider == one.provider.key)
    }
}

/// The configurations within reach that are wanted, in the order of account and name.
///
/// # Errors
/// What the store says.
pub fn list(at: &Snapshot<'_>, reach: &Reach, wanted: &Wanted, now: Millis) -> Result<Vec<Overview>> {
    let mut found = Vec::new();
    for configuration in rows::list(at, reach.account())? {
        let one = Overview::of(at, configuration, now)?;
        if wanted.takes(&one) {
            found.push(one);
        }
    }
    found.sort_by_cached_key(|one| {
        (one.configuration.account.to_lowercase(), one.configuration.connection_name.to_lowercase())
    });
    Ok(found)
}
