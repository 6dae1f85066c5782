//! The signed-in admin of a page.

use crate::clock::Millis;
use crate::management::sessions::{AGE_MAX, IDLE_MAX};
use crate::model::permission::{Permission, Permissions};
use crate::web::portal::time_zone::TimeZoneChoice;

/// Color theme of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// The setting of the device.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// The key in forms, cookies and pages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme with that key; [`Theme::Auto`] for any other key.
    pub(crate) fn from_key(key: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == key).unwrap_or_default()
    }
}

/// A signed-in admin with the current session.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) session: String,
    pub(crate) admin: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    /// The account that the role is limited to; `None` for all accounts.
    pub(crate) account: Option<String>,
    pub(crate) permissions: Permissions,
    /// The CSRF token of every form of this session.
    pub(crate) form_token: String,
    /// Result of the previous action.
    pub(crate) notice: Option<&'static str>,
    pub(crate) theme: Theme,
    /// The time zone chosen in this browser.
    pub(crate) zone: Option<TimeZoneChoice>,
    /// Time of the sign-in.
    pub(super) since: Millis,
    /// Time of the last use.
    pub(super) last_seen: Millis,
}

impl SignedIn {
    /// Whether the admin may manage the server: `system.admin` without a limit to one account.
    pub(crate) fn may_manage_server(&self) -> bool {
        self.account.is_none() && self.permissions.contains(Permission::SystemAdmin)
    }

    /// The zone of days and times in forms: the chosen one, else UTC.
    pub(crate) fn zone(&self) -> TimeZoneChoice {
        self.zone.clone().unwrap_or_else(TimeZoneChoice::utc)
    }

    /// When the session expires if it is not used again.
    pub(crate) fn expires_at(&self) -> Millis {
        (self.last_seen + IDLE_MAX).min(self.since + AGE_MAX)
    }
}
