//! Quotas: how much a configuration and an account may store, and how much they use.

use std::array;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::named_enum::named_enum;
use crate::settings::QuotaSettings;

/// From this percentage of a quota on, the usage is reported as a warning.
pub const WARNING_PERCENT: u64 = 80;
/// Largest limit that can be set. Sums of numbers up to it do not overflow.
pub const LIMIT_MAX: u64 = 1 << 50;
/// Longest sentence for calls above the limit of active users.
pub const MESSAGE_MAX_CHARS: usize = 500;

named_enum! {
    /// What a quota counts.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum QuotaKind {
        /// Configurations of an account that are not deleted.
        Configurations = "configurations",
        /// Users.
        Users = "users",
        /// Users whose `active` is true: seats.
        ActiveUsers = "activeUsers",
        /// Groups.
        Groups = "groups",
        /// Memberships of groups.
        Members = "members",
        /// Bytes of the stored documents of users and groups.
        Bytes = "bytes",
        /// Bytes of the request log.
        RequestLogBytes = "requestLogBytes",
    }
}

impl QuotaKind {
    /// What it counts, for messages and pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configurations => "connections",
            Self::Users => "users",
            Self::ActiveUsers => "active users",
            Self::Groups => "groups",
            Self::Members => "group memberships",
            Self::Bytes => "bytes of users and groups",
            Self::RequestLogBytes => "bytes of the request log",
        }
    }

    /// Whether it counts bytes.
    pub fn counts_bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::RequestLogBytes)
    }
}

named_enum! {
    /// Whose usage a quota limits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum QuotaOwner {
        /// One configuration.
        Configuration = "configuration",
        /// All configurations of an account together.
        Account = "account",
    }
}

impl QuotaOwner {
    /// What it is called in messages and pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configuration => "connection",
            Self::Account => "account",
        }
    }

    /// The quotas of this owner.
    pub fn kinds(self) -> &'static [QuotaKind] {
        const CONFIGURATION: &[QuotaKind] = &[
            QuotaKind::Users,
            QuotaKind::ActiveUsers,
            QuotaKind::Groups,
            QuotaKind::Members,
            QuotaKind::Bytes,
            QuotaKind::RequestLogBytes,
        ];
        const ACCOUNT: &[QuotaKind] = &[
            QuotaKind::Configurations,
            QuotaKind::Users,
            QuotaKind::ActiveUsers,
            QuotaKind::Groups,
            QuotaKind::Members,
            QuotaKind::Bytes,
        ];
        match self {
            Self::Configuration => CONFIGURATION,
            Self::Account => ACCOUNT,
        }
    }
}

/// An amount for each quota: a usage, or a change of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageAmounts([i64; QuotaKind::ALL.len()]);

impl UsageAmounts {
    /// The amount of one quota.
    pub fn get(&self, kind: QuotaKind) -> i64 {
        self.0[kind as usize]
    }

    /// The same with another amount for one quota.
    #[must_use]
    pub fn with(mut self, kind: QuotaKind, amount: i64) -> Self {
        self.0[kind as usize] = amount;
        self
    }

    /// Whether all amounts are 0.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|amount| *amount == 0)
    }

    /// The sum of both, for each quota.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(array::from_fn(|at| self.0[at].saturating_add(other.0[at])))
    }

    /// The difference of both, for each quota.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(array::from_fn(|at| self.0[at].saturating_sub(other.0[at])))
    }
}

/// A limit for each quota. 0 means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, u64>", into = "BTreeMap<String, u64>")]
pub struct QuotaLimits([u64; QuotaKind::ALL.len()]);

impl QuotaLimits {
    /// The limit of one quota, 0 for none.
    pub fn get(&self, kind: QuotaKind) -> u64 {
        self.0[kind as usize]
    }

    /// The same with another limit for one quota.
    #[must_use]
    pub fn with(mut self, kind: QuotaKind, limit: u64) -> Self {
        self.0[kind as usize] = limit.min(LIMIT_MAX);
        self
    }
}

impl From<BTreeMap<String, u64>> for QuotaLimits {
    fn from(limits: BTreeMap<String, u64>) -> Self {
        let parsed = limits.into_iter().filter_map(|(kind, limit)| Some((kind.parse().ok()?, limit)));
        parsed.fold(Self::default(), |limits, (kind, limit)| limits.with(kind, limit))
    }
}

impl From<QuotaLimits> for BTreeMap<String, u64> {
    fn from(limits: QuotaLimits) -> Self {
        QuotaKind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), limits.get(kind))).collect()
    }
}

/// The operator's limits for every configuration and account without limits of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaDefaults {
    /// Limits of a configuration.
    pub configuration: QuotaLimits,
    /// Limits of an account.
    pub account: QuotaLimits,
}

impl QuotaDefaults {
    /// The limits of this kind of owner.
    pub fn of(&self, owner: QuotaOwner) -> &QuotaLimits {
        match owner {
            QuotaOwner::Configuration => &self.configuration,
            QuotaOwner::Account => &self.account,
        }
    }
}

impl From<&QuotaSettings> for QuotaDefaults {
    fn from(settings: &QuotaSettings) -> Self {
        Self {
            configuration: QuotaLimits::default()
                .with(QuotaKind::Users, settings.users)
                .with(QuotaKind::Groups, settings.groups)
                .with(QuotaKind::Members, settings.members)
                .with(QuotaKind::Bytes, settings.bytes)
                .with(QuotaKind::RequestLogBytes, settings.request_log_bytes),
            account: QuotaLimits::default()
                .with(QuotaKind::Configurations, settings.account_configurations)
                .with(QuotaKind::Users, settings.account_users)
                .with(QuotaKind::Groups, settings.account_groups)
                .with(QuotaKind::Members, settings.account_members)
                .with(QuotaKind::Bytes, settings.account_bytes),
        }
    }
}

/// Limits of one owner that replace the defaults. `None` stands for the default, 0 for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaOverrides([Option<u64>; QuotaKind::ALL.len()]);

impl QuotaOverrides {
    /// The limit that replaces the default of one quota.
    pub fn get(&self, kind: QuotaKind) -> Option<u64> {
        self.0[kind as usize]
    }

    /// Sets or clears the limit of one quota.
    pub fn set(&mut self, kind: QuotaKind, limit: Option<u64>) {
        self.0[kind as usize] = limit;
    }
}

/// One quota of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStatus {
    /// What it counts.
    pub kind: QuotaKind,
    /// How much is used.
    pub used: u64,
    /// The limit in effect, `None` for no limit.
    pub limit: Option<u64>,
    /// Whether the owner has a limit of its own.
    pub is_override: bool,
}

impl QuotaStatus {
    /// How much of the limit is used, in whole percent; `None` without a limit.
    pub fn percent(&self) -> Option<u64> {
        let limit = u128::from(self.limit?.max(1));
        Some(u64::try_from(u128::from(self.used) * 100 / limit).unwrap_or(u64::MAX))
    }

    /// Whether at least 80 % are used.
    pub fn is_near_limit(&self) -> bool {
        self.percent().is_some_and(|percent| percent >= WARNING_PERCENT)
    }

    /// Whether nothing more fits.
    pub fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }
}

/// The limit of active users of one owner, in addition to its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActiveUserLimit {
    /// The operator's own sentence for refused calls. `None` for that of the server.
    pub message: Option<String>,
    /// Calls that were refused because of a limit of active users.
    pub refused: u64,
    /// Time of the last one.
    pub last_refused_at: Option<Millis>,
}

/// The quotas of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerQuotas {
    /// In the order of the documentation.
    pub quotas: Vec<QuotaStatus>,
    /// What belongs to the quota of active users.
    pub active_users: ActiveUserLimit,
}

/// Checks the sentence for calls above the limit of active users, and returns it without spaces around it. `None` if it
/// is empty.
///
/// # Errors
/// `QuotaMessageInvalid` above [`MESSAGE_MAX_CHARS`], or for control characters.
pub fn check_message(text: &str) -> Result<Option<&str>> {
    let text = text.trim();
    if text.chars().count() > MESSAGE_MAX_CHARS || text.chars().any(char::is_control) {
        return Err(Reason::QuotaMessageInvalid.with("max", MESSAGE_MAX_CHARS));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The usage of one owner and its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerUsage {
    /// Whose usage it is.
    pub owner: QuotaOwner,
    /// How much is used.
    pub used: UsageAmounts,
    /// Limits that replace the defaults.
    pub overrides: QuotaOverrides,
}

impl OwnerUsage {
    /// The limit in effect, 0 for none.
    pub fn limit(&self, kind: QuotaKind, defaults: &QuotaDefaults) -> u64 {
        self.overrides.get(kind).unwrap_or_else(|| defaults.of(self.owner).get(kind))
    }

    /// Whether the growth fits. An amount that does not grow always fits, even above the limit.
    pub fn allows_growth(&self, growth: &UsageAmounts, defaults: &QuotaDefaults) -> bool {
        self.find_exceeded(growth, defaults).is_none()
    }

    /// Checks that a growth fits. An amount that does not grow always fits, even above the limit.
    ///
    /// # Errors
    /// `QuotaExceeded` names the quota and its limit. `ActiveUserLimitReached` for active users.
    pub fn check_growth(&self, growth: &UsageAmounts, defaults: &QuotaDefaults) -> Result<()> {
        match self.find_exceeded(growth, defaults) {
            None => Ok(()),
            Some(kind) => Err(self.quota_exceeded(kind, defaults)),
        }
    }

    /// Checks a usage after a write that had the usage `before`.
    ///
    /// # Errors
    /// `QuotaExceeded` names the quota and its limit.
    pub fn check_since(&self, before: &Self, defaults: &QuotaDefaults) -> Result<()> {
        before.check_growth(&self.used.minus(&before.used), defaults)
    }

    fn find_exceeded(&self, growth: &UsageAmounts, defaults: &QuotaDefaults) -> Option<QuotaKind> {
        self.owner.kinds().iter().copied().find(|&kind| {
            let (limit, grows) = (self.limit(kind, defaults), growth.get(kind));
            let after = self.used.get(kind).saturating_add(grows);
            limit > 0 && grows > 0 && u64::try_from(after).is_ok_and(|after| after > limit)
        })
    }

    fn quota_exceeded(&self, kind: QuotaKind, defaults: &QuotaDefaults) -> Error {
        let limit = self.limit(kind, defaults);
        if kind == QuotaKind::ActiveUsers {
            return Reason::ActiveUserLimitReached.with("owner", self.owner.label()).with("limit", limit);
        }
        Reason::QuotaExceeded
            .with("owner", self.owner.label())
            .with("limit", limit)
            .with("quota", kind.label())
            .on_field(kind.as_str())
    }

    /// The quotas of the owner, in the order of the documentation.
    pub fn list_quotas(&self, defaults: &QuotaDefaults) -> Vec<QuotaStatus> {
        let status = |&kind: &QuotaKind| QuotaStatus {
            kind,
            used: self.used.get(kind).max(0).unsigned_abs(),
            limit: Some(self.limit(kind, defaults)).filter(|limit| *limit > 0),
            is_override: self.overrides.get(kind).is_some(),
        };
        self.owner.kinds().iter().map(status).collect()
    }
}

/// The usage of a configuration and of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUsage {
    /// The configuration.
    pub configuration: OwnerUsage,
    /// Its account, without the number of its configurations.
    pub account: OwnerUsage,
}

impl QuotaUsage {
    /// Whether the growth fits into the quotas of the configuration and of its account.
    pub fn allows_growth(&self, growth: &UsageAmounts, defaults: &QuotaDefaults) -> bool {
        self.configuration.allows_growth(growth, defaults) && self.account.allows_growth(growth, defaults)
    }

    /// Checks the usage after a write that had the usage `before`.
    ///
    /// # Errors
    /// `QuotaExceeded` names the quota and its limit.
    pub fn check_since(&self, before: &Self, defaults: &QuotaDefaults) -> Result<()> {
        self.configuration.check_since(&before.configuration, defaults)?;
        self.account.check_since(&before.account, defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(used: i64, own: Option<u64>) -> OwnerUsage {
        let mut overrides = QuotaOverrides::default();
        overrides.set(QuotaKind::Users, own);
        let used = UsageAmounts::default().with(QuotaKind::Users, used);
        OwnerUsage { owner: QuotaOwner::Configuration, used, overrides }
    }

    fn defaults(users: u64) -> QuotaDefaults {
        QuotaDefaults {
            configuration: QuotaLimits::default().with(QuotaKind::Users, users),
            ..QuotaDefaults::default()
        }
    }

    #[test]
    fn a_growth_is_refused_above_the_limit_and_no_growth_never_is() {
        for (used, own, default, growth, allowed) in [
            (9, None, 10, 1, true),
            (10, None, 10, 1, false),
            (10, None, 10, 0, true),
            (12, None, 10, 0, true),
            (12, None, 10, -1, true),
            (12, None, 0, 1, true),
            (12, Some(0), 10, 1, true),
            (12, Some(13), 10, 1, true),
            (3, Some(3), 10, 1, false),
            (i64::MAX, Some(LIMIT_MAX), 10, i64::MAX, false),
        ] {
            let growth = UsageAmounts::default().with(QuotaKind::Users, growth);
            let found = usage(used, own).check_growth(&growth, &defaults(default));
            assert_eq!(found.is_ok(), allowed, "{used} {own:?} {default} {growth:?}");
            let reason = found.err().map(|error| (error.reason(), error.field() == Some("users")));
            assert!(reason.is_none_or(|reason| reason == (Reason::QuotaExceeded, true)));
        }
    }

    #[test]
    fn the_limit_of_active_users_has_a_reason_of_its_own() {
        let mut overrides = QuotaOverrides::default();
        overrides.set(QuotaKind::ActiveUsers, Some(2));
        let used = UsageAmounts::default().with(QuotaKind::ActiveUsers, 2).with(QuotaKind::Users, 5);
        let full = OwnerUsage { owner: QuotaOwner::Account, used, overrides };
        let growth = UsageAmounts::default().with(QuotaKind::Users, 1);
        assert!(full.check_growth(&growth, &defaults(0)).is_ok(), "an inactive user needs no seat");
        let error = full.check_growth(&growth.with(QuotaKind::ActiveUsers, 1), &defaults(0)).unwrap_err();
        assert_eq!((error.reason(), error.param("limit")), (Reason::ActiveUserLimitReached, Some("2")));
        assert!(full.check_growth(&growth.with(QuotaKind::ActiveUsers, -1), &defaults(0)).is_ok());
    }

    #[test]
    fn a_message_is_short_plain_text() {
        assert_eq!(check_message("  Buy more seats. ").unwrap(), Some("Buy more seats."));
        assert_eq!(check_message(" ").unwrap(), None);
        assert!(check_message(&"é".repeat(MESSAGE_MAX_CHARS)).is_ok());
        for wrong in ["a\nb", &"x".repeat(MESSAGE_MAX_CHARS + 1)] {
            assert_eq!(check_message(wrong).unwrap_err().reason(), Reason::QuotaMessageInvalid);
        }
    }

    #[test]
    fn a_warning_begins_at_eighty_percent() {
        for (used, near, full) in [(79, false, false), (80, true, false), (100, true, true), (130, true, true)] {
            let status = usage(used, None).list_quotas(&defaults(100))[0];
            assert_eq!((status.is_near_limit(), status.is_exhausted()), (near, full), "{used}");
        }
        assert_eq!(usage(5, None).list_quotas(&defaults(0))[0].percent(), None);
    }

    #[test]
    fn defaults_are_read_back_from_their_stored_form() {
        let stored = serde_json::to_string(&defaults(7)).unwrap();
        assert_eq!(serde_json::from_str::<QuotaDefaults>(&stored).unwrap(), defaults(7));
    }
}
