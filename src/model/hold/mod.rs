//! The hold of a configuration whose identity provider removes many users, memberships or groups in a short time: what it
//! then writes is stored, but not published until an admin decides.

pub mod window;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::named_enum::named_enum;

const WINDOW_MINUTES_MAX: u32 = 1_440;
const GRACE_HOURS_MAX: u32 = 168;
const PERCENT_MAX: u32 = 100;
const COUNT_MAX: u32 = 1_000_000;
/// How long a rejected removal holds the configuration when it is repeated, in milliseconds: 30 days.
pub const REJECTION_MILLIS: Millis = 30 * 86_400_000;
/// Most protected users of a configuration.
pub const PROTECTED_USERS_MAX: usize = 100;
/// Longest name of a protected user, in characters.
pub const PROTECTED_NAME_CHARS: usize = 320;
/// Longest time without a hold after a decision, in minutes.
pub const EXEMPT_MINUTES_MAX: u32 = 1_440;

named_enum! {
    /// What is removed. Each kind has counters of its own.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum RemovalKind {
        /// Active users that are deactivated or deleted.
        Users = "users",
        /// Memberships, except those of deleted users and groups.
        Memberships = "memberships",
        /// Groups that are deleted.
        Groups = "groups",
    }
}

named_enum! {
    /// Why a configuration is held.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum HoldReason {
        /// Many users were removed.
        Users = "users",
        /// Many memberships were removed.
        Memberships = "memberships",
        /// Many groups were removed.
        Groups = "groups",
        /// A protected user was removed.
        Protected = "protected",
    }
}

impl HoldReason {
    /// The kind of the removals that are listed for this reason.
    pub fn kind(self) -> RemovalKind {
        match self {
            Self::Users | Self::Protected => RemovalKind::Users,
            Self::Memberships => RemovalKind::Memberships,
            Self::Groups => RemovalKind::Groups,
        }
    }
}

impl From<RemovalKind> for HoldReason {
    fn from(kind: RemovalKind) -> Self {
        match kind {
            RemovalKind::Users => Self::Users,
            RemovalKind::Memberships => Self::Memberships,
            RemovalKind::Groups => Self::Groups,
        }
    }
}

named_enum! {
    /// How a hold ends.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum HoldDecision {
        /// What was held is published.
        Allow = "allow",
        /// The removals are undone, and everything else is published.
        Reject = "reject",
    }
}

/// From how many removals on a configuration is held: both numbers must be reached
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldThreshold {
    /// Percentage of what there was before the first removal in the window
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u32,
    /// Number of removals
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: u32,
}

impl HoldThreshold {
    /// Returns the number of removals with which the hold begins.
    pub fn find_limit(self, total: i64) -> i64 {
        let share = total.max(0).saturating_mul(i64::from(self.percent));
        let rounded_up = share / 100 + i64::from(share % 100 > 0);
        rounded_up.max(i64::from(self.count))
    }
}

/// When a configuration is held
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldSettings {
    /// Whether mass removals are held
    pub enabled: bool,
    /// Removals within this time are counted together
    #[schema(minimum = 1, maximum = 1_440)]
    pub window_minutes: u32,
    /// For this time after its creation, a configuration is not held
    #[schema(minimum = 0, maximum = 168)]
    pub grace_hours: u32,
    /// Users that are deactivated or deleted
    pub users: HoldThreshold,
    /// Memberships that are removed
    pub memberships: HoldThreshold,
    /// Groups that are deleted
    pub groups: HoldThreshold,
}

impl Default for HoldSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            window_minutes: 60,
            grace_hours: 24,
            users: HoldThreshold { percent: 10, count: 10 },
            memberships: HoldThreshold { percent: 25, count: 50 },
            groups: HoldThreshold { percent: 25, count: 5 },
        }
    }
}

impl HoldSettings {
    /// The threshold of one kind.
    pub fn threshold(&self, kind: RemovalKind) -> HoldThreshold {
        match kind {
            RemovalKind::Users => self.users,
            RemovalKind::Memberships => self.memberships,
            RemovalKind::Groups => self.groups,
        }
    }

    /// Returns the time from which a configuration that was created at that time can be held.
    pub fn find_grace_end(&self, created_at: Millis) -> Millis {
        created_at + Millis::from(self.grace_hours) * 3_600_000
    }

    /// Checks the limits of all numbers.
    ///
    /// # Errors
    /// `NumberOutOfRange`, which names the number.
    pub fn check(&self) -> Result<()> {
        check_number("hold.windowMinutes", self.window_minutes, 1, WINDOW_MINUTES_MAX)?;
        check_number("hold.graceHours", self.grace_hours, 0, GRACE_HOURS_MAX)?;
        for kind in RemovalKind::ALL {
            let HoldThreshold { percent, count } = self.threshold(kind);
            check_number(&format!("hold.{kind}.percent"), percent, 1, PERCENT_MAX)?;
            check_number(&format!("hold.{kind}.count"), count, 1, COUNT_MAX)?;
        }
        Ok(())
    }
}

/// Checks one number of the hold.
///
/// # Errors
/// `NumberOutOfRange`.
pub fn check_number(name: &str, value: u32, min: u32, max: u32) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Reason::NumberOutOfRange.on_field(name.to_owned()).with("min", min).with("max", max))
}

/// Changes to the settings of the hold; absent members keep their value
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldChanges {
    /// Whether mass removals are held
    pub enabled: Option<bool>,
    /// Removals within this time are counted together
    #[schema(minimum = 1, maximum = 1_440)]
    pub window_minutes: Option<u32>,
    /// For this time after its creation, a configuration is not held
    #[schema(minimum = 0, maximum = 168)]
    pub grace_hours: Option<u32>,
    /// Users that are deactivated or deleted
    pub users: Option<ThresholdChanges>,
    /// Memberships that are removed
    pub memberships: Option<ThresholdChanges>,
    /// Groups that are deleted
    pub groups: Option<ThresholdChanges>,
    /// Holds nothing for this time from now on; 0 ends that
    #[schema(minimum = 0, maximum = 1_440)]
    pub exempt_minutes: Option<u32>,
}

/// Changes to one threshold
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThresholdChanges {
    /// Percentage of what there was before the first removal in the window
    #[schema(minimum = 1, maximum = 100)]
    pub percent: Option<u32>,
    /// Number of removals
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: Option<u32>,
}

impl HoldChanges {
    /// Returns the settings after these changes.
    ///
    /// # Errors
    /// `NumberOutOfRange`.
    pub fn apply(&self, before: HoldSettings) -> Result<HoldSettings> {
        let change = |threshold: HoldThreshold, changes: Option<ThresholdChanges>| {
            let changes = changes.unwrap_or_default();
            HoldThreshold {
                percent: changes.percent.unwrap_or(threshold.percent),
                count: changes.count.unwrap_or(threshold.count),
            }
        };
        let after = HoldSettings {
            enabled: self.enabled.unwrap_or(before.enabled),
            window_minutes: self.window_minutes.unwrap_or(before.window_minutes),
            grace_hours: self.grace_hours.unwrap_or(before.grace_hours),
            users: change(before.users, self.users),
            memberships: change(before.memberships, self.memberships),
            groups: change(before.groups, self.groups),
        };
        check_number("hold.exemptMinutes", self.exempt_minutes.unwrap_or(0), 0, EXEMPT_MINUTES_MAX)?;
        after.check().map(|()| after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_begins_when_both_numbers_are_reached() {
        let users = HoldSettings::default().users;
        for (total, limit) in [(0, 10), (50, 10), (100, 10), (101, 11), (200, 20), (1_000, 100), (1_001, 101)] {
            assert_eq!(users.find_limit(total), limit, "{total} users");
        }
        assert_eq!(HoldThreshold { percent: 100, count: 1 }.find_limit(i64::MAX), i64::MAX / 100 + 1);
    }

    #[test]
    fn numbers_outside_their_limits_are_refused_by_name() {
        let parse = |text: &str| serde_json::from_str::<HoldChanges>(text).unwrap().apply(HoldSettings::default());
        for (text, name) in [
            (r#"{"windowMinutes":0}"#, "hold.windowMinutes"),
            (r#"{"windowMinutes":1441}"#, "hold.windowMinutes"),
            (r#"{"graceHours":169}"#, "hold.graceHours"),
            (r#"{"users":{"percent":0}}"#, "hold.users.percent"),
            (r#"{"memberships":{"percent":101}}"#, "hold.memberships.percent"),
            (r#"{"groups":{"count":0}}"#, "hold.groups.count"),
            (r#"{"groups":{"count":1000001}}"#, "hold.groups.count"),
        ] {
            assert!(parse(text).unwrap_err().to_string().contains(name), "{text}");
        }
        let changed = parse(r#"{"enabled":false,"graceHours":0,"users":{"count":3}}"#).unwrap();
        let users = HoldThreshold { percent: 10, count: 3 };
        assert_eq!(changed, HoldSettings { enabled: false, grace_hours: 0, users, ..HoldSettings::default() });
        assert!(serde_json::from_str::<HoldChanges>(r#"{"window":5}"#).is_err());
    }
}
