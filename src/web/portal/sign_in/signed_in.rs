//! The signed-in admin of a page.

use crate::clock::{self, Millis};
use crate::management::sessions::WrongCodes;
use crate::model::account::AccountRef;
use crate::model::permission::{Permission, Permissions};
use crate::model::service_state::ReadOnlyCause;
use crate::store::WorkOwner;
use crate::web::navigation_badges::NavigationBadges;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps;

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

/// Wrong one-time codes since the admin last confirmed to know of them.
#[derive(Debug, Clone)]
pub(crate) struct WrongCodesNotice {
    pub(crate) count: i64,
    /// Time of the first of them: RFC 3339, and text.
    pub(crate) since: (String, String),
}

impl WrongCodesNotice {
    /// The notice of these wrong codes; `None` if there are none to report.
    pub(super) fn from_counted(counted: &WrongCodes) -> Option<Self> {
        let since = (clock::format_rfc3339(counted.unseen_since), timestamps::format_minute(counted.unseen_since));
        (counted.unseen > 0).then_some(Self { count: counted.unseen, since })
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
    pub(crate) account: Option<AccountRef>,
    pub(crate) permissions: Permissions,
    /// The CSRF token of every form of this session.
    pub(crate) form_token: String,
    /// Result of the previous action.
    pub(crate) notice: Option<&'static str>,
    pub(crate) theme: Theme,
    /// The time zone chosen in this browser.
    pub(crate) zone: Option<TimeZoneChoice>,
    /// Wrong one-time codes that the admin has not confirmed to know of.
    pub(crate) wrong_codes: Option<WrongCodesNotice>,
    /// Why the server accepts no changes at present.
    pub(crate) read_only: Option<ReadOnlyCause>,
    /// Whether the admin may manage webhooks: the permission, and for an admin of an account the setting of the operator.
    pub(crate) sees_webhooks: bool,
    /// Numbers in the navigation.
    pub(crate) badges: NavigationBadges,
    /// Time of the last use.
    pub(super) last_seen: Millis,
    /// When the session expires if it is not used again.
    pub(crate) expires_at: Millis,
}

impl SignedIn {
    /// The owner of the work of the admin's requests.
    pub(crate) fn work_owner(&self) -> WorkOwner {
        self.account.as_ref().map_or(WorkOwner::Management, |account| WorkOwner::Account(account.key))
    }

    /// Whether the admin may manage the server: `system.admin` without a limit to one account.
    pub(crate) fn may_manage_server(&self) -> bool {
        self.account.is_none() && self.permissions.contains(Permission::SystemAdmin)
    }

    /// The zone of days and times in forms: the chosen one, else UTC.
    pub(crate) fn zone(&self) -> TimeZoneChoice {
        self.zone.clone().unwrap_or_else(TimeZoneChoice::utc)
    }
}
